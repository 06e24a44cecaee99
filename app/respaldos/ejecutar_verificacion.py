"""A worker's attempt at a verification that somebody has asked for."""

import asyncio
import logging
from dataclasses import dataclass
from typing import Any

from sqlalchemy.ext.asyncio import AsyncSession

from app.errors import Interrupted, LeaseLost, NotCompleted, RespaldosError
from app.respaldos import platform_repository, repository, restauracion_repository
from app.respaldos.lease import MAX_ATTEMPTS, Beat, held_lease
from app.respaldos.models import Estado, Profundidad, Respaldo, Restauracion
from app.respaldos.object_check import BAD, check_by_trial, check_quickly, check_thoroughly
from app.respaldos.progress import Expected, Progreso, Progress
from app.respaldos.resources import Resources
from app.respaldos.transaction import transaction
from app.respaldos.uninterrupted import uninterrupted
from app.respaldos.verification import Verification, record_verification

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class _Attempt:
    """Attempt `numero` at a verification, which this process has claimed, of the backup as it was then.

    `tries` is how many attempts there are with it, but for those that were interrupted.
    """

    verification: Verification
    id: int
    numero: int
    tries: int
    respaldo: Respaldo

    @property
    def name(self) -> str:
        return f"verificación {self.id}"

    async def beat(self, session: AsyncSession, *, renew: bool, progreso: Progreso | None) -> Beat:
        return await restauracion_repository.beat(
            session, self.id, self.numero, clinica_id=self.verification.clinica_id, renew=renew, progreso=progreso
        )

    async def expected(self, session: AsyncSession) -> Expected:  # noqa: ARG002 (the backup's row is at hand)
        return Expected(self.respaldo.numero_registros, self.respaldo.tamaño_bytes)


async def ejecutar_verificacion(resources: Resources, restauracion_id: int) -> None:
    """Verify where it is still pending; the row tells how it went.

    `completado` is a backup whose object is the one that was made; `fallido` one whose object is not, which its own
    row then says too, or one that could not be looked at. What may pass is tried again, MAX_ATTEMPTS times in all;
    what a stop of the worker interrupts, as often as that happens. Raises DatabaseError where it could not
    even be claimed.
    """
    attempt = await _claim(resources, restauracion_id)
    if attempt is None:
        return
    progress = Progress()
    try:
        async with held_lease(resources, attempt, progress):
            found = await _look(resources, attempt, progress)
        await _end(resources, attempt, True, estado=Estado.COMPLETADO, resultado={"correcto": True, **found})
    except RespaldosError as exc:
        log.warning("la verificación %s no se completó en su intento %s: %s", restauracion_id, attempt.numero, exc)
        await uninterrupted(_end_failed(resources, attempt, exc))
    except asyncio.CancelledError:
        await uninterrupted(_end_failed(resources, attempt, Interrupted("la verificación se interrumpió")))
        raise
    except BaseException as exc:
        await uninterrupted(_end_failed(resources, attempt, RespaldosError(f"error interno: {exc!r}")))
        raise


async def _claim(resources: Resources, restauracion_id: int) -> _Attempt | None:
    async with transaction(resources) as session:
        asked = await platform_repository.get_restauracion(session, restauracion_id)
        if asked is None:
            return None
        clinica_id = asked.clinica_id
        claimed = await restauracion_repository.claim(session, restauracion_id, clinica_id=clinica_id)
        if claimed is None:
            return None
        respaldo = await repository.get(session, claimed.respaldo_id, clinica_id=clinica_id, deleted=True)
        tries = claimed.intento - claimed.interrupciones
        return _Attempt(Verification.of(claimed), claimed.id, claimed.intento, tries, respaldo)


async def _look(resources: Resources, attempt: _Attempt, progress: Progress) -> dict[str, Any]:
    if attempt.respaldo.fecha_eliminacion is not None:
        raise NotCompleted(f"el respaldo {attempt.respaldo.id} se eliminó antes de verificarlo")
    if attempt.verification.profundidad == Profundidad.RAPIDA:
        await check_quickly(resources, attempt.respaldo, progress)
        return {"tamaño_bytes": attempt.respaldo.tamaño_bytes}
    if attempt.verification.profundidad == Profundidad.COMPLETA:
        verified = await check_thoroughly(resources, attempt.respaldo, progress)
        said: list[str] = []
    else:
        verified, said = await check_by_trial(resources, attempt.respaldo, progress)
    found = {"tamaño_bytes": verified.compressed_size, "numero_registros": verified.records}
    return {**found, "avisos": said} if said else found


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
            await _end(
                resources,
                attempt,
                False if bad else None,
                estado=Estado.FALLIDO,
                resultado={"correcto": False} if bad else None,
                **error,
            )
    except RespaldosError as problem:
        # The reconciler ends the row when its lease runs out.
        log.warning("la verificación %s falló y no se pudo anotar por qué: %s", attempt.id, problem)


async def _end(
    resources: Resources, attempt: _Attempt, correcto: bool | None, *, estado: Estado, **values: Any
) -> None:
    """End it for good, and record what was found; both or neither. Raises LeaseLost."""
    async with transaction(resources) as session:
        ended = await _finish(session, attempt, estado=estado, **({"error": None, "error_type": None} | values))
        if not ended:
            raise LeaseLost(f"{attempt.name}: otro proceso se hizo cargo")
        await record_verification(session, attempt.verification, correcto, values.get("error"))


async def _finish(session: AsyncSession, attempt: _Attempt, *, estado: Estado, **values: Any) -> bool:
    clinica_id = attempt.verification.clinica_id
    finished = await restauracion_repository.finish(
        session, attempt.id, attempt.numero, clinica_id=clinica_id, estado=estado, **values
    )
    return finished is not None
