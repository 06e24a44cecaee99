"""What the keys of one clinic, or of the platform where `clinica_id` is None, ask of the database.

Each function takes part in its caller's transaction.
"""

from collections.abc import Sequence
from datetime import timedelta

from sqlalchemy import func, select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from app.dump.encryption import KeyEnvelope
from app.respaldos.models import Clave, Respaldo


async def add(session: AsyncSession, envelope: KeyEnvelope, *, clinica_id: int | None, copied: bool = False) -> bool:
    """Keep the key; False where one of that id is kept, or was destroyed. `copied`: the bucket has it."""
    added = await session.scalar(
        insert(Clave)
        .values(
            id=envelope.key_id,
            clinica_id=clinica_id,
            maestra=envelope.master_id,
            envoltura=envelope.text(),
            copiada=func.now() if copied else None,
        )
        .on_conflict_do_nothing()
        .returning(Clave.id)
    )
    return added is not None


async def newest(session: AsyncSession, *, clinica_id: int | None) -> Clave | None:
    """What new files are encrypted with: the newest key that is not destroyed."""
    return await session.scalar(
        select(Clave)
        .where(Clave.clinica_id == clinica_id, Clave.destruida.is_(None))
        .order_by(Clave.fecha_creacion.desc(), Clave.id)
        .limit(1)
    )


async def get(session: AsyncSession, key_id: str, *, clinica_id: int | None) -> Clave | None:
    """The key of that id, destroyed or not."""
    return await session.scalar(select(Clave).where(Clave.id == key_id, Clave.clinica_id == clinica_id))


async def of_clinic(session: AsyncSession, *, clinica_id: int | None, locked: bool = False) -> Sequence[Clave]:
    """All of the clinic's keys, destroyed ones too, oldest first; `locked` until the transaction ends."""
    wanted = select(Clave).where(Clave.clinica_id == clinica_id).order_by(Clave.fecha_creacion, Clave.id)
    found = await session.scalars(wanted.with_for_update() if locked else wanted)
    return found.all()


async def hold(session: AsyncSession, key_id: str, *, clinica_id: int | None) -> bool:
    """Whether the key is there; nobody destroys it until the transaction ends."""
    held = await session.scalar(
        select(Clave.id)
        .where(Clave.id == key_id, Clave.clinica_id == clinica_id, Clave.destruida.is_(None))
        .with_for_update(read=True)
    )
    return held is not None


async def replace(session: AsyncSession, envelope: KeyEnvelope, *, clinica_id: int | None, before: str) -> bool:
    """Keep the key in this envelope in the place of that one; False where it is no longer in that one."""
    replaced = await session.scalar(
        update(Clave)
        .where(Clave.id == envelope.key_id, Clave.clinica_id == clinica_id, Clave.envoltura == before)
        .values(maestra=envelope.master_id, envoltura=envelope.text(), copiada=None)
        .returning(Clave.id)
    )
    return replaced is not None


async def mark_copied(session: AsyncSession, key_id: str, *, clinica_id: int | None, envelope: str) -> bool:
    """Note that the bucket has the key in this envelope; False where the key has another by now, or none."""
    marked = await session.scalar(
        update(Clave)
        .where(Clave.id == key_id, Clave.clinica_id == clinica_id, Clave.envoltura == envelope)
        .values(copiada=func.now())
        .returning(Clave.id)
    )
    return marked is not None


async def mark_erased(session: AsyncSession, key_id: str, *, clinica_id: int | None) -> None:
    """Note that the bucket has nothing of the destroyed key any more."""
    await session.execute(
        update(Clave)
        .where(Clave.id == key_id, Clave.clinica_id == clinica_id, Clave.destruida.is_not(None))
        .values(copiada=None)
    )


async def request_destruction(session: AsyncSession, *, clinica_id: int | None, by: str | None) -> bool:
    """Note who wants the clinic's keys destroyed, or with None that nobody does any more; False where it has none."""
    asked = await session.scalars(
        update(Clave)
        .where(Clave.clinica_id == clinica_id, Clave.destruida.is_(None))
        .values(destruccion_pedida=func.now() if by is not None else None, destruccion_pedida_por=by)
        .returning(Clave.id)
    )
    return bool(asked.all())


async def asked_for_destruction(session: AsyncSession, *, clinica_id: int | None, within: timedelta) -> str | None:
    """Who wants the clinic's keys destroyed, and has said so within that time. It locks them."""
    keys = await of_clinic(session, clinica_id=clinica_id, locked=True)
    since = await session.scalar(select(func.now() - within))
    return next(
        (
            key.destruccion_pedida_por
            for key in keys
            if key.destruida is None
            and key.destruccion_pedida is not None
            and since is not None
            and key.destruccion_pedida > since
        ),
        None,
    )


async def destroy(session: AsyncSession, *, clinica_id: int | None, by: str) -> list[str]:
    """Forget all of the clinic's keys but their ids, which are returned; and note it of its backups."""
    destroyed = await session.scalars(
        update(Clave)
        .where(Clave.clinica_id == clinica_id, Clave.destruida.is_(None))
        # The bucket may have what is not known to be there.
        .values(maestra=None, envoltura=None, copiada=func.now(), destruida=func.now(), destruida_por=by)
        .returning(Clave.id)
    )
    ids = list(destroyed.all())
    # In one order, as retention locks them.
    theirs = (Respaldo.clinica_id == clinica_id, Respaldo.metadata_["cifrado"].astext.in_(ids))
    await session.execute(select(Respaldo.id).where(*theirs).order_by(Respaldo.id).with_for_update(key_share=True))
    await session.execute(
        update(Respaldo)
        .where(*theirs)
        .values(clave_destruida=func.now())
        .execution_options(synchronize_session=False)
    )
    return ids
