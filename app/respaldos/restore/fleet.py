"""What a restore of all clinics asks: for the command line, and nobody else."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import and_, exists, func, not_, or_, select
from sqlalchemy.dialects.postgresql import distinct_on
from sqlalchemy.ext.asyncio import AsyncSession

from app.clinic.restore.mode import Modo
from app.respaldos.models import Clase, Estado, Respaldo, Restauracion, TipoRespaldo, Trabajo, in_words
from app.respaldos.restore.request import SAFETY_DESCRIPTION


@dataclass(frozen=True, slots=True)
class Chosen:
    """The backup that a clinic, or the platform, is restored from."""

    clinica_id: int | None
    respaldo_id: int
    fecha_respaldo: datetime


async def newest_good(session: AsyncSession, *, before: datetime) -> Sequence[Chosen]:
    """The newest good backup of each that was taken before that moment, the platform's first.

    None is one that a restore made of how things were: that is what somebody wanted to get away from. Of one that was
    indexed anew its description says so.
    """
    safety = or_(
        exists().where(Restauracion.respaldo_previo == Respaldo.id),
        and_(
            Respaldo.tipo_respaldo == in_words(TipoRespaldo.POR_DEMANDA),
            Respaldo.descripcion.startswith(f"{SAFETY_DESCRIPTION} ", autoescape=True),
        ),
    )
    found = await session.execute(
        select(Respaldo.clinica_id, Respaldo.id, Respaldo.fecha_respaldo)
        .ext(distinct_on(Respaldo.clinica_id))
        .where(Respaldo.good, Respaldo.fecha_respaldo < before, not_(safety))
        .order_by(Respaldo.clinica_id.nulls_first(), Respaldo.fecha_respaldo.desc(), Respaldo.id.desc())
    )
    return [Chosen(*row) for row in found]


async def last_restored(session: AsyncSession) -> Mapping[int, int]:
    """From which backup each clinic was last restored as a whole, exactly and in its own place."""
    newest = func.row_number().over(partition_by=Trabajo.clinica_id, order_by=Trabajo.id.desc())
    whole = (
        select(
            Trabajo.clinica_id,
            Trabajo.respaldo_id,
            Restauracion.modelos.is_(None).label("all_models"),
            Restauracion.registros.is_(None).label("all_records"),
            Restauracion.modo,
            newest.label("place"),
        )
        .join(Restauracion, Restauracion.id == Trabajo.restauracion_id)
        .where(
            Trabajo.clase == in_words(Clase.RESTAURACION),
            # Not into another database.
            Trabajo.exclusiva,
            Trabajo.estado == Estado.COMPLETADO,
            Trabajo.clinica_id.is_not(None),
        )
        .subquery()
    )
    found = await session.execute(
        select(whole.c.clinica_id, whole.c.respaldo_id).where(
            whole.c.place == 1, whole.c.all_models, whole.c.all_records, whole.c.modo == Modo.TODO
        )
    )
    return {clinica_id: respaldo_id for clinica_id, respaldo_id in found}
