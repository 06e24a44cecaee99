"""What is written down of a verification, whoever made it."""

from dataclasses import dataclass
from typing import Self

from sqlalchemy.ext.asyncio import AsyncSession

from app.record_names import without_names
from app.respaldos import audit, notices
from app.respaldos.audit import Actor
from app.respaldos.backup import queries as backup_queries
from app.respaldos.models import Accion, Profundidad, Restauracion, TipoAviso


@dataclass(frozen=True, slots=True)
class Verification:
    """Of which backup, how deep, and for whom; `restauracion_id` where it was asked for through the queue."""

    respaldo_id: int
    clinica_id: int | None
    profundidad: Profundidad
    actor: Actor
    restauracion_id: int | None = None

    @classmethod
    def of(cls, restauracion: Restauracion) -> Self:
        """What the row asks for."""
        return cls(
            restauracion.respaldo_id,
            restauracion.clinica_id,
            Profundidad(restauracion.profundidad or Profundidad.COMPLETA),
            Actor.of(restauracion.trabajo),
            restauracion.id,
        )


async def record_verification(
    session: AsyncSession, verification: Verification, correcto: bool | None, error: str | None
) -> None:
    """Put it in the audit trail, and into the backup's row whether its object is the one that was made.

    `correcto` is None where that could not be found out, as when S3 is down: the backup is as good as before then.
    """
    await audit.record(
        session,
        Accion.VERIFICACION,
        verification.actor,
        clinica_id=verification.clinica_id,
        respaldo_id=verification.respaldo_id,
        restauracion_id=verification.restauracion_id,
        profundidad=verification.profundidad,
        correcto=correcto,
        error=error,
    )
    if error is not None:
        # Of the backup's row, as of mails, everybody on the staff hears; who may know the names asked, or audits.
        error = without_names(error)
    if correcto is None:
        if verification.profundidad == Profundidad.ENSAYO and error is not None:
            # Nobody looks at a trial that was never made, so nobody would miss it.
            await notices.record(
                session,
                TipoAviso.VERIFICACION_FALLIDA,
                clinica_id=verification.clinica_id,
                respaldo_id=verification.respaldo_id,
                error=error,
                profundidad=verification.profundidad,
                sin_ensayo=True,
            )
        return
    await backup_queries.mark_verified(
        session,
        verification.respaldo_id,
        clinica_id=verification.clinica_id,
        profundidad=verification.profundidad,
        error=error,
    )
    if not correcto:
        await notices.record(
            session,
            TipoAviso.VERIFICACION_FALLIDA,
            clinica_id=verification.clinica_id,
            respaldo_id=verification.respaldo_id,
            error=error,
            profundidad=verification.profundidad,
        )
