"""A worker's attempt at a verification that somebody has asked for."""

from dataclasses import dataclass
from typing import Any

from sqlalchemy.ext.asyncio import AsyncSession

from app.errors import NotCompleted
from app.respaldos import repository
from app.respaldos.models import Profundidad, Respaldo, Restauracion
from app.respaldos.object_check import check_by_trial, check_quickly, check_thoroughly
from app.respaldos.progress import Expected, Progress
from app.respaldos.reading_attempt import make_reading
from app.respaldos.resources import Resources
from app.respaldos.verification import Verification, record_verification


async def ejecutar_verificacion(resources: Resources, restauracion_id: int) -> None:
    """Verify where it is still pending; the row tells how it went.

    `completado` is a backup whose object is the one that was made; `fallido` one whose object is not, which its own
    row then says too, or one that could not be looked at. For the rest see `make_reading`.
    """
    await make_reading(resources, restauracion_id, _asked)


async def _asked(session: AsyncSession, claimed: Restauracion) -> "_Verificacion":
    respaldo = await repository.get(session, claimed.respaldo_id, clinica_id=claimed.clinica_id, deleted=True)
    return _Verificacion(Verification.of(claimed), respaldo)


@dataclass(frozen=True, slots=True)
class _Verificacion:
    """A `Reading` of the backup as it was when this was claimed."""

    verification: Verification
    respaldo: Respaldo

    @property
    def noun(self) -> str:
        return "verificación"

    @property
    def expected(self) -> Expected:
        return Expected(self.respaldo.numero_registros, self.respaldo.tamaño_bytes)

    @property
    def resultado_malo(self) -> dict[str, Any]:
        return {"correcto": False}

    async def read(self, resources: Resources, progress: Progress) -> dict[str, Any]:
        respaldo = self.respaldo
        if respaldo.fecha_eliminacion is not None:
            raise NotCompleted(f"el respaldo {respaldo.id} se eliminó antes de verificarlo")
        if self.verification.profundidad == Profundidad.RAPIDA:
            await check_quickly(resources, respaldo, progress)
            return {"correcto": True, "tamaño_bytes": respaldo.tamaño_bytes}
        if self.verification.profundidad == Profundidad.COMPLETA:
            verified = await check_thoroughly(resources, respaldo, progress)
            said: list[str] = []
        else:
            verified, said = await check_by_trial(resources, respaldo, progress)
        found = {
            "correcto": True,
            "tamaño_bytes": verified.compressed_size,
            "numero_registros": verified.records,
        }
        return {**found, "avisos": said} if said else found

    async def record(self, session: AsyncSession, correcto: bool | None, error: str | None) -> None:
        await record_verification(session, self.verification, correcto, error)
