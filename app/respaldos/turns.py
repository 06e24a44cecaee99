"""Which worker does what is to be done once for all of them."""

from datetime import timedelta

from sqlalchemy import func, or_
from sqlalchemy.dialects.postgresql import insert

from app.respaldos.databases import Databases, transaction
from app.respaldos.models import Tarea


async def take_turn(databases: Databases, nombre: str, *, seconds: float) -> bool:
    """Whether the caller is to do the task now: nobody has begun it for so long, and nobody else will for so long.

    Where its process dies in the middle, or it fails, the task is begun again by whoever asks after that.
    Raises DatabaseError.
    """
    now = func.clock_timestamp()
    async with transaction(databases) as session:
        taken = await session.scalar(
            insert(Tarea)
            .values(nombre=nombre, inicio=now)
            .on_conflict_do_update(
                index_elements=[Tarea.nombre],
                set_={"inicio": now},
                # A clock that has been set back must not put it off.
                where=or_(Tarea.inicio <= now - timedelta(seconds=seconds), Tarea.inicio > now),
            )
            .returning(Tarea.nombre)
        )
    return taken is not None
