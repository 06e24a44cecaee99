"""What has been said of one clinic. Each function takes part in its caller's transaction."""

from collections.abc import Mapping
from typing import Any

from sqlalchemy import select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from app.respaldos.models import Politica


async def said(session: AsyncSession, *, clinica_id: int, locked: bool = False) -> Politica | None:
    """What has been said of the clinic, if anything; `locked`: nobody else changes it until the transaction ends."""
    wanted = select(Politica).where(Politica.clinica_id == clinica_id)
    return await session.scalar(wanted.with_for_update() if locked else wanted)


async def say(session: AsyncSession, values: Mapping[str, Any], *, clinica_id: int) -> None:
    """Write down what holds for the clinic, in the place of whatever did: the table's columns."""
    added = insert(Politica).values(clinica_id=clinica_id, **values)
    await session.execute(added.on_conflict_do_update(index_elements=["clinica_id"], set_=dict(values)))
