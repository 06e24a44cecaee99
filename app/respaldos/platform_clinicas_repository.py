"""How the backups of all clinics stand. It crosses clinics, so it is for the superadmin's route alone."""

from collections.abc import Sequence

from sqlalchemy.ext.asyncio import AsyncSession

from app.respaldos.situacion import Standing
from app.respaldos.situacion_repository import as_standing, standings_of


async def standings(session: AsyncSession, *, among: Sequence[int]) -> list[Standing]:
    """One for each of these clinics, by one statement."""
    return [as_standing(row) for row in await session.execute(standings_of(list(among)))]
