"""Ending tokens before their time.

They are put down in PostgreSQL: what only Redis knew, a Redis that is emptied would bring back to life.
"""

from datetime import UTC, datetime

from app.respaldos import audit
from app.respaldos.access import queries
from app.respaldos.audit import Actor
from app.respaldos.databases import Databases, transaction
from app.respaldos.models import Accion


async def terminar_token(
    databases: Databases, huella: str, *, clinica_id: int | None, vence: datetime, actor: Actor
) -> None:
    """End one token, for good. Raises DatabaseError."""
    async with transaction(databases) as session:
        if await queries.end_token(session, huella, clinica_id=clinica_id, vence=vence):
            await audit.record(session, Accion.SALIDA, actor, clinica_id=clinica_id)


async def cerrar_sesiones(databases: Databases, usuario: str, *, clinica_id: int | None, actor: Actor) -> None:
    """End all tokens that somebody has by now, whoever issued them; of a superadmin where `clinica_id` is None.

    `usuario` is what their tokens call them: a codigo, or a superadmin's e-mail. Raises DatabaseError.
    """
    async with transaction(databases) as session:
        await queries.end_tokens(session, usuario, clinica_id=clinica_id, momento=datetime.now(UTC))
        await audit.record(session, Accion.CIERRE_SESIONES, actor, clinica_id=clinica_id, de=usuario)


async def token_terminado(
    databases: Databases, huella: str, usuario: str, *, clinica_id: int | None, emitido: datetime
) -> bool:
    """Whether a token has been ended. Raises DatabaseError."""
    async with transaction(databases) as session:
        return await queries.is_ended(session, huella, usuario, clinica_id=clinica_id, emitido=emitido)
