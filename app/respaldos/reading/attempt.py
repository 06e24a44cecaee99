"""A worker's attempt at what only reads backups' files, which may be tried again as often as it takes."""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, Protocol

from sqlalchemy.ext.asyncio import AsyncSession

from app.errors import Interrupted, LeaseLost, RespaldosError
from app.respaldos.cancellation import uninterrupted
from app.respaldos.lease import MAX_ATTEMPTS, Beat, held_lease
from app.respaldos.models import Estado, Restauracion
from app.respaldos.progress import Expected, Progreso, Progress
from app.respaldos.reading import fleet as reading_fleet
from app.respaldos.reading import queries as reading_queries
from app.respaldos.reading.check import BAD
from app.respaldos.resources import Resources, transaction

log = logging.getLogger(__name__)


class Reading(Protocol):
    """What a `restauracion` row asks for that changes nothing: a verification, or a comparison."""

    @property
    def noun(self) -> str:
        """What it is called in people's words, a feminine noun."""
        ...

    @property
    def expected(self) -> Expected:
        """How much it will read."""
        ...

    @property
    def resultado_malo(self) -> dict[str, Any] | None:
        """`resultado` where a file turns out to be damaged."""
        ...

    async def read(self, resources: Resources, progress: Progress) -> dict[str, Any]:
        """Do it; what was found, for `resultado`. Raises RespaldosError, one of BAD where a file is damaged."""
        ...

    async def record(self, session: AsyncSession, correcto: bool | None, error: str | None) -> None:
        """Write elsewhere how it ended, in the row's transaction; `correcto` is None where nothing was learned."""
        ...


ReadingOf = Callable[[AsyncSession, Restauracion], Awaitable[Reading]]


@dataclass(frozen=True, slots=True)
class _Attempt:
    """Attempt `numero`, which this process has claimed.

    `tries` is how many attempts there are with it, but for those that were interrupted.
    """

    reading: Reading
    id: int
    clinica_id: int | None
    numero: int
    tries: int

    @property
    def name(self) -> str:
        return f"{self.reading.noun} {self.id}"

    async def beat(self, session: AsyncSession, *, renew: bool, progreso: Progreso | None) -> Beat:
        return await reading_queries.beat(
            session, self.id, self.numero, clinica_id=self.clinica_id, renew=renew, progreso=progreso
        )

    async def expected(self, session: AsyncSession) -> Expected:  # noqa: ARG002 (the backups' rows are at hand)
        return self.reading.expected


async def make_reading(resources: Resources, restauracion_id: int, reading_of: ReadingOf) -> None:
    """Do what the row asks for where it is still pending; the row tells how it went.

    What may pass is tried again, MAX_ATTEMPTS times in all; what a stop of the worker interrupts, as often as that
    happens. Raises DatabaseError where it could not even be claimed.
    """
    attempt = await _claim(resources, restauracion_id, reading_of)
    if attempt is None:
        return
    progress = Progress()
    try:
        async with held_lease(resources, attempt, progress):
            found = await attempt.reading.read(resources, progress)
        await _end(resources, attempt, True, estado=Estado.COMPLETADO, resultado=found)
    except RespaldosError as exc:
        log.warning("la %s no se completó en su intento %s: %s", attempt.name, attempt.numero, exc)
        await uninterrupted(_end_failed(resources, attempt, exc))
    except asyncio.CancelledError:
        await uninterrupted(_end_failed(resources, attempt, Interrupted(f"la {attempt.reading.noun} se interrumpió")))
        raise
    except BaseException as exc:
        await uninterrupted(_end_failed(resources, attempt, RespaldosError(f"error interno: {exc!r}")))
        raise


async def _claim(resources: Resources, restauracion_id: int, reading_of: ReadingOf) -> _Attempt | None:
    async with transaction(resources) as session:
        asked = await reading_fleet.get_restauracion(session, restauracion_id)
        if asked is None:
            return None
        claimed = await reading_queries.claim(session, restauracion_id, clinica_id=asked.clinica_id)
        if claimed is None:
            return None
        reading = await reading_of(session, claimed)
        tries = claimed.intento - claimed.interrupciones
        return _Attempt(reading, claimed.id, claimed.clinica_id, claimed.intento, tries)


async def _end_failed(resources: Resources, attempt: _Attempt, exc: RespaldosError) -> None:
    error = {"error": str(exc), "error_type": exc.code}
    bad = isinstance(exc, BAD)
    stopped = isinstance(exc, Interrupted)
    try:
        if not bad and (stopped or (exc.transient and attempt.tries < MAX_ATTEMPTS)):
            async with transaction(resources) as session:
                interrupted = {"interrupciones": Restauracion.interrupciones + 1} if stopped else {}
                await _finish(session, attempt, estado=Estado.PENDIENTE, **error, **interrupted)
        else:
            found = attempt.reading.resultado_malo if bad else None
            await _end(resources, attempt, False if bad else None, estado=Estado.FALLIDO, resultado=found, **error)
    except RespaldosError as problem:
        # The reconciler ends the row when its lease runs out.
        log.warning("la %s falló y no se pudo anotar por qué: %s", attempt.name, problem)


async def _end(
    resources: Resources, attempt: _Attempt, correcto: bool | None, *, estado: Estado, **values: Any
) -> None:
    """End it for good, and record what was found; both or neither. Raises LeaseLost."""
    async with transaction(resources) as session:
        ended = await _finish(session, attempt, estado=estado, **({"error": None, "error_type": None} | values))
        if not ended:
            raise LeaseLost(f"{attempt.name}: otro proceso se hizo cargo")
        await attempt.reading.record(session, correcto, values.get("error"))


async def _finish(session: AsyncSession, attempt: _Attempt, *, estado: Estado, **values: Any) -> bool:
    finished = await reading_queries.finish(
        session, attempt.id, attempt.numero, clinica_id=attempt.clinica_id, estado=estado, **values
    )
    return finished is not None
