"""Tokens that were ended."""

from datetime import datetime

from sqlalchemy import func, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from app.respaldos.models import TokenTerminado


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


def _of_token(huella: str, clinica_id: int | None) -> str:
    return f"token:{'' if clinica_id is None else clinica_id}:{huella}"


def _of_person(usuario: str, clinica_id: int | None) -> str:
    # People write down a code with zeros before it, and an e-mail in any case.
    name = str(int(usuario)) if usuario.isascii() and usuario.isdigit() else usuario.strip().casefold()
    return f"persona:{'' if clinica_id is None else clinica_id}:{name}"
