"""Keys of every clinic's programs."""

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from app.respaldos.models import ClaveApi


async def key_of(session: AsyncSession, publica: str) -> ClaveApi | None:
    """The key of that public part, whosever it is: the key itself says that."""
    return await session.scalar(select(ClaveApi).where(ClaveApi.publica == publica))
