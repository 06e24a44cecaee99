"""What cleaning, purging and reindexing ask across clinics: for the worker and the command line, and nobody else."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import func, select, text, true, union
from sqlalchemy.ext.asyncio import AsyncSession

from app.respaldos.models import Estado, Intento, Respaldo, Trabajo
from app.respaldos.retention.queries import deleted_for


async def clinics_with_backups(session: AsyncSession) -> Sequence[int | None]:
    """Whoever has a backup that is not deleted, also clinics that the tenant table does not have any more.

    None is the platform.
    """
    found = await session.scalars(
        select(Respaldo.clinica_id)
        .where(Respaldo.fecha_eliminacion.is_(None))
        .distinct()
        .order_by(Respaldo.clinica_id)
    )
    return found.all()


@dataclass(frozen=True, slots=True)
class Purgeable:
    """A backup that was deleted long enough ago; `archivo_s3` is None where it never had an object."""

    respaldo_id: int
    clinica_id: int | None
    archivo_s3: str | None


async def purgeable(session: AsyncSession, *, days: int, clinica_id: int | None = None) -> list[Purgeable]:
    """Backups that were deleted `days` or more ago and have not been purged; none whose object is in use.

    In use is what is being verified or restored, and what another backup or attempt has recorded under its key.
    """
    others = select(Intento.numero).where(
        Intento.archivo_s3 == Respaldo.archivo_s3, Intento.respaldo_id != Respaldo.id
    )
    in_use = select(Trabajo.id).where(
        Trabajo.respaldo_id == Respaldo.id, Trabajo.estado.in_([Estado.PENDIENTE, Estado.PROCESANDO])
    )
    found = await session.execute(
        select(Respaldo.id, Respaldo.clinica_id, Respaldo.archivo_s3)
        .where(
            Respaldo.purgado.is_(None),
            deleted_for(days),
            true() if clinica_id is None else Respaldo.clinica_id == clinica_id,
            ~others.exists(),
            ~in_use.exists(),
        )
        .order_by(Respaldo.fecha_eliminacion, Respaldo.id)
    )
    return [Purgeable(*row) for row in found]


async def known_keys(session: AsyncSession, keys: Collection[str]) -> set[str]:
    """Those of the keys that a backup has, deleted or not, or that an attempt has, however it ended."""
    found = await session.scalars(
        union(
            select(Respaldo.archivo_s3).where(Respaldo.archivo_s3.in_(keys)),
            select(Intento.archivo_s3).where(Intento.archivo_s3.in_(keys)),
        )
    )
    return set(found.all())


async def add_completed(
    session: AsyncSession,
    *,
    respaldo_id: int | None,
    clinica_id: int | None,
    archivo_s3: str,
    intento: int,
    **values: Any,
) -> Respaldo | None:
    """A completed backup out of its object, and the attempt that made it; None where its key has been taken.

    It gets `respaldo_id` where that is free, else a new id; the next backup's id is past both. The transaction must
    have done nothing else before.
    """
    # An id that a backup has drawn and not committed yet looks free; and while the sequence is looked at and moved,
    # nobody may draw from it, or the move would be backward.
    await session.execute(text("LOCK TABLE respaldos.respaldo IN SHARE ROW EXCLUSIVE MODE"))
    if respaldo_id is not None:
        respaldo_id = await _reserved(session, respaldo_id)
    if await known_keys(session, [archivo_s3]):
        return None
    added = Respaldo(
        id=respaldo_id,
        clinica_id=clinica_id,
        archivo_s3=archivo_s3,
        estado=Estado.COMPLETADO,
        **values,
    )
    session.add(added)
    await session.flush()
    moment = added.fecha_respaldo
    session.add(
        Intento(
            respaldo_id=added.id,
            numero=intento,
            archivo_s3=archivo_s3,
            inicio=moment,
            fin=moment,
            limpiado=func.now(),
        )
    )
    await session.flush()
    return added


async def _reserved(session: AsyncSession, respaldo_id: int) -> int | None:
    """The id if no backup has it, else None; no later backup gets it. The table must be locked."""
    sequence = "pg_get_serial_sequence('respaldos.respaldo', 'id')"
    await session.execute(
        text(f"SELECT setval({sequence}, :id) WHERE coalesce(pg_sequence_last_value({sequence}::regclass), 0) < :id"),
        {"id": respaldo_id},
    )
    taken = await session.scalar(select(Respaldo.id).where(Respaldo.id == respaldo_id))
    return respaldo_id if taken is None else None
