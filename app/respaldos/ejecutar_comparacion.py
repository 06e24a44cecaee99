"""A worker's attempt at a comparison of two backups that somebody has asked for."""

from dataclasses import dataclass
from typing import Any

from sqlalchemy.ext.asyncio import AsyncSession

from app.clinic.restore.difference import EXAMPLES
from app.errors import NotCompleted
from app.respaldos import repository
from app.respaldos.comparar_respaldos import comparar_respaldos
from app.respaldos.models import Respaldo, Restauracion
from app.respaldos.progress import Expected, Progress
from app.respaldos.reading_attempt import make_reading
from app.respaldos.resources import Resources


async def ejecutar_comparacion(resources: Resources, restauracion_id: int) -> None:
    """Compare where it is still pending; `resultado` tells what changed, as that of a restore does.

    For the rest see `make_reading`.
    """
    await make_reading(resources, restauracion_id, _asked)


async def _asked(session: AsyncSession, claimed: Restauracion) -> "_Comparacion":
    assert claimed.comparado_con is not None  # noqa: S101 (pedir_comparacion's promise)
    older, newer = [
        await repository.get(session, id_, clinica_id=claimed.clinica_id, deleted=True)
        for id_ in (claimed.comparado_con, claimed.respaldo_id)
    ]
    return _Comparacion(older, newer)


@dataclass(frozen=True, slots=True)
class _Comparacion:
    """A `Reading` of the backups as they were when this was claimed."""

    older: Respaldo
    newer: Respaldo

    @property
    def noun(self) -> str:
        return "comparación"

    @property
    def expected(self) -> Expected:
        return Expected(None, (self.older.tamaño_bytes or 0) + (self.newer.tamaño_bytes or 0))

    @property
    def resultado_malo(self) -> None:
        return None

    async def read(self, resources: Resources, progress: Progress) -> dict[str, Any]:
        for respaldo in (self.older, self.newer):
            if respaldo.fecha_eliminacion is not None:
                raise NotCompleted(f"el respaldo {respaldo.id} se eliminó antes de compararlo")
        async with comparar_respaldos(resources, self.older, self.newer, progress=progress) as found:
            async for model, row in found.rows(limit=EXAMPLES):
                found.modelos[model].examples.setdefault(row.kind, []).append(row.shown())
            return {model: changes.shown() for model, changes in found.modelos.items()}

    async def record(self, session: AsyncSession, correcto: bool | None, error: str | None) -> None:
        """The row says it all."""
