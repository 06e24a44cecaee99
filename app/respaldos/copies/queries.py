"""What the rows of one clinic's backups say of their second copies, in the caller's transaction.

It is said in every row that has the object.
"""

from datetime import timedelta
from typing import Any

from sqlalchemy import ColumnElement, Text, and_, cast, func, literal, or_, select, update
from sqlalchemy.dialects.postgresql import insert as postgresql_insert
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import aliased

from app.respaldos.audit import SERVICE
from app.respaldos.backup import queries as backup_queries
from app.respaldos.jobs.kinds import job_values
from app.respaldos.models import Clase, EstadoCopia, Respaldo, Trabajo


async def ask(session: AsyncSession, respaldo_id: int, destino: str, *, clinica_id: int | None) -> bool:
    """Have a worker copy the backup's object to that bucket; False where one is to do so already."""
    added = await session.scalar(
        postgresql_insert(Trabajo)
        .values(
            **job_values(Clase.COPIA, clinica_id=clinica_id, actor=SERVICE, respaldo_id=respaldo_id, destino=destino)
        )
        .on_conflict_do_nothing()
        .returning(Trabajo.id)
    )
    if added is not None:
        await note(session, respaldo_id, destino, EstadoCopia.PENDIENTE, clinica_id=clinica_id)
    return added is not None


async def note(
    session: AsyncSession,
    respaldo_id: int,
    destino: str,
    estado: EstadoCopia,
    *,
    clinica_id: int | None,
    error: str | None = None,
) -> None:
    """Write down how the copy in that bucket is from now on, and why."""
    said = func.jsonb_build_object(
        *("estado", cast(estado, Text), "fecha", func.now()),
        *("error", cast(literal(error, Text), Text)),
    )
    await _change(session, respaldo_id, clinica_id, copias=_with(destino, said))


async def forget(session: AsyncSession, respaldo_id: int, destino: str, *, clinica_id: int | None) -> None:
    """Say nothing of a copy in that bucket any more: there is none, and none is wanted."""
    await _change(session, respaldo_id, clinica_id, copias=Respaldo.copias.op("-")(cast(destino, Text)))


async def note_only_copy(session: AsyncSession, respaldo_id: int, only: bool, *, clinica_id: int | None) -> None:
    """Write down whether the object itself is gone or damaged while a copy is whole."""
    lost = func.coalesce(Respaldo.solo_en_copia, func.now()) if only else None
    await _change(session, respaldo_id, clinica_id, solo_en_copia=lost)


async def is_wanted(session: AsyncSession, respaldo_id: int, *, clinica_id: int | None) -> bool:
    """Whether the backup is still to be copied: it, or one that has its object, is not deleted, and can be read."""
    sharing = aliased(Respaldo)
    alive = (
        select(sharing.id)
        .where(
            or_(sharing.id == Respaldo.id, sharing.respaldo_base_id == Respaldo.id),
            sharing.fecha_eliminacion.is_(None),
        )
        .exists()
    )
    found = await session.scalar(
        select(Respaldo.id).where(
            Respaldo.id == respaldo_id,
            Respaldo.clinica_id == clinica_id,
            Respaldo.purgado.is_(None),
            Respaldo.clave_destruida.is_(None),
            alive,
        )
    )
    return found is not None


def to_remove(destino: str, days: int) -> ColumnElement[bool]:
    """Whether the copy in that bucket is to go: its backup, and those that have the same object, are long deleted."""
    other = aliased(Respaldo)
    ago = func.now() - timedelta(days=days)
    kept = select(other.id).where(
        other.respaldo_base_id == Respaldo.id,
        or_(other.fecha_eliminacion.is_(None), other.fecha_eliminacion > ago, other.purgado.is_(None)),
    )
    return and_(
        Respaldo.respaldo_base_id.is_(None),
        Respaldo.purgado.is_not(None),
        Respaldo.fecha_eliminacion <= ago,
        Respaldo.copias[destino]["estado"].astext.in_([EstadoCopia.COMPLETA, EstadoCopia.BORRANDO]),
        ~kept.correlate(Respaldo).exists(),
    )


async def begin_removal(
    session: AsyncSession, respaldo_id: int, destino: str, *, clinica_id: int | None, days: int
) -> bool:
    """Give the copy up, so that nobody takes the backup back while its store removes it; False where somebody has."""
    await backup_queries.lock_sharing(session, respaldo_id, clinica_id=clinica_id)
    found = await session.scalar(
        select(Respaldo.id).where(
            Respaldo.id == respaldo_id, Respaldo.clinica_id == clinica_id, to_remove(destino, days)
        )
    )
    if found is not None:
        await note(session, respaldo_id, destino, EstadoCopia.BORRANDO, clinica_id=clinica_id)
    return found is not None


async def _change(session: AsyncSession, respaldo_id: int, clinica_id: int | None, **values: Any) -> None:
    sharing = await backup_queries.lock_sharing(session, respaldo_id, clinica_id=clinica_id)
    await session.execute(
        update(Respaldo).where(sharing).values(**values).execution_options(synchronize_session=False)
    )


def _with(destino: str, said: ColumnElement[Any]) -> ColumnElement[Any]:
    return Respaldo.copias.op("||")(func.jsonb_build_object(cast(destino, Text), said))
