"""What is asked of the second copies of all clinics' backups, in the caller's transaction."""

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import ColumnElement, func, or_, select, text
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import aliased

from app.respaldos.copies.queries import to_remove
from app.respaldos.models import COPIED, UNCOPIED, Aviso, Estado, EstadoCopia, Respaldo, TipoAviso, Trabajo


@dataclass(frozen=True, slots=True)
class Owner:
    """A backup that has an object of its own."""

    respaldo_id: int
    clinica_id: int | None
    archivo_s3: str | None


async def missing(session: AsyncSession, destino: str, *, limit: int) -> list[Owner]:
    """Backups that have no copy in that bucket and nobody is to make one, the newest first."""
    estado = Respaldo.copias[destino]["estado"].astext
    found = await session.execute(
        select(Respaldo.id, Respaldo.clinica_id, Respaldo.archivo_s3)
        .where(
            Respaldo.estado == Estado.COMPLETADO,
            Respaldo.respaldo_base_id.is_(None),
            Respaldo.archivo_s3.is_not(None),
            Respaldo.clave_destruida.is_(None),
            Respaldo.solo_en_copia.is_(None),
            Respaldo.purga_iniciada.is_(None),
            or_(estado.is_(None), estado == EstadoCopia.FALLIDA),
            or_(Respaldo.fecha_eliminacion.is_(None), _borrowed()),
        )
        .order_by(Respaldo.fecha_respaldo.desc(), Respaldo.id.desc())
        .limit(limit)
    )
    return [Owner(*row) for row in found]


def _borrowed() -> ColumnElement[bool]:
    other = aliased(Respaldo)
    return (
        select(other.id)
        .where(other.respaldo_base_id == Respaldo.id, other.fecha_eliminacion.is_(None))
        .correlate(Respaldo)
        .exists()
    )


@dataclass(frozen=True, slots=True)
class Backlog:
    """Of one bucket: backups that it has no copy of, how many of these failed, and the oldest of them."""

    destino: str
    pending: int
    failed: int
    oldest_id: int
    oldest: datetime
    error: str | None


async def backlogs(session: AsyncSession) -> list[Backlog]:
    """One for each bucket that lacks a copy of a backup that is not deleted; by an index that is small then."""
    each = func.jsonb_each(Respaldo.copias).table_valued("key", "value").lateral("copia")
    state = each.c.value.op("->>")("estado")
    found = await session.execute(
        select(
            each.c.key,
            func.count().filter(state == EstadoCopia.PENDIENTE),
            func.count().filter(state == EstadoCopia.FALLIDA),
            func.min(Respaldo.id),
            func.min(Respaldo.fecha_respaldo),
            func.max(each.c.value.op("->>")("error")),
        )
        .select_from(Respaldo)
        .join(each, text("true"))
        .where(
            Respaldo.fecha_eliminacion.is_(None),
            Respaldo.respaldo_base_id.is_(None),
            text(UNCOPIED),
            state.in_([EstadoCopia.PENDIENTE, EstadoCopia.FALLIDA]),
        )
        .group_by(each.c.key)
        .order_by(each.c.key)
    )
    return [Backlog(*row) for row in found]


async def tell(session: AsyncSession, backlog: Backlog) -> bool:
    """Put down that copies fail, for the platform's people, once for as long as the same backup lacks its copy."""
    told = await session.scalar(
        insert(Aviso)
        .values(
            clinica_id=None,
            tipo=TipoAviso.COPIA_FALLIDA,
            clave=f"copia {backlog.destino} {backlog.oldest_id}",
            datos={
                "destino": backlog.destino,
                "faltan": backlog.pending + backlog.failed,
                "desde_respaldo": backlog.oldest.isoformat(),
                "error": backlog.error,
            },
        )
        .on_conflict_do_nothing()
        .returning(Aviso.id)
    )
    return told is not None


async def removable(session: AsyncSession, destino: str, *, days: int) -> list[Owner]:
    """Purged backups that were deleted `days` or more ago and still have a copy in that bucket, the oldest first.

    None whose object is in use.
    """
    in_use = select(Trabajo.id).where(
        Trabajo.respaldo_id == Respaldo.id, Trabajo.estado.in_([Estado.PENDIENTE, Estado.PROCESANDO])
    )
    found = await session.execute(
        select(Respaldo.id, Respaldo.clinica_id, Respaldo.archivo_s3)
        .where(
            Respaldo.fecha_eliminacion.is_not(None),
            text(COPIED),
            to_remove(destino, days),
            ~in_use.exists(),
        )
        .order_by(Respaldo.fecha_eliminacion, Respaldo.id)
    )
    return [Owner(*row) for row in found]
