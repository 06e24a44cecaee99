"""Tokens that were ended, and keys for programs."""

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import func, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from app.errors import KeyNotFound
from app.respaldos.models import ClaveApi, TokenTerminado


async def end_token(session: AsyncSession, huella: str, *, clinica_id: int | None, vence: datetime) -> bool:
    """Put down that the token is worth nothing any more; whether it was worth something before."""
    added = await session.scalar(
        insert(TokenTerminado)
        .values(clave=_of_token(huella, clinica_id), momento=func.now(), vence=vence)
        .on_conflict_do_nothing()
        .returning(TokenTerminado.clave)
    )
    return added is not None


async def end_tokens(session: AsyncSession, usuario: str, *, clinica_id: int | None, momento: datetime) -> None:
    """Put down that every token of that person from until `momento` is worth nothing any more."""
    statement = insert(TokenTerminado).values(clave=_of_person(usuario, clinica_id), momento=momento)
    await session.execute(
        statement.on_conflict_do_update(
            index_elements=[TokenTerminado.clave],
            set_={"momento": func.greatest(TokenTerminado.momento, statement.excluded.momento)},
        )
    )


async def is_ended(
    session: AsyncSession, huella: str, usuario: str, *, clinica_id: int | None, emitido: datetime
) -> bool:
    """Whether the token has been ended, by itself or with all of the person's of its time."""
    token, person = _of_token(huella, clinica_id), _of_person(usuario, clinica_id)
    found = await session.execute(
        select(TokenTerminado.clave, TokenTerminado.momento).where(TokenTerminado.clave.in_((token, person)))
    )
    return any(clave == token or emitido <= momento for clave, momento in found)


async def good_keys(session: AsyncSession, *, clinica_id: int) -> int:
    """How many keys of the clinic are good."""
    good = select(func.count()).where(
        ClaveApi.clinica_id == clinica_id, ClaveApi.revocada.is_(None), ClaveApi.vence > func.now()
    )
    return await session.scalar(good) or 0


async def keys(session: AsyncSession, *, clinica_id: int) -> Sequence[ClaveApi]:
    """The clinic's keys, the newest first."""
    found = await session.scalars(
        select(ClaveApi).where(ClaveApi.clinica_id == clinica_id).order_by(ClaveApi.id.desc())
    )
    return found.all()


async def lock_key(session: AsyncSession, clave_id: int, *, clinica_id: int) -> ClaveApi:
    """The clinic's key of that number, for this transaction to change. Raises KeyNotFound."""
    found = await session.scalar(
        select(ClaveApi).where(ClaveApi.id == clave_id, ClaveApi.clinica_id == clinica_id).with_for_update()
    )
    if found is None:
        raise KeyNotFound(f"no existe la clave {clave_id}")
    return found


def _of_token(huella: str, clinica_id: int | None) -> str:
    return f"token:{'' if clinica_id is None else clinica_id}:{huella}"


def _of_person(usuario: str, clinica_id: int | None) -> str:
    # People write down a code with zeros before it, and an e-mail in any case.
    name = str(int(usuario)) if usuario.isascii() and usuario.isdigit() else usuario.strip().casefold()
    return f"persona:{'' if clinica_id is None else clinica_id}:{name}"
