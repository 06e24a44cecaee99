"""Whether the service lives, and whether it can work: for orchestrators and for people."""

import asyncio
from collections.abc import Awaitable

from fastapi import APIRouter, Request, Response
from redis.asyncio import Redis
from redis.exceptions import RedisError
from sqlalchemy import text

from app.errors import QueueUnavailable, RespaldosError, SettingsError
from app.respaldos.resources import Resources
from app.respaldos.transaction import transaction

router = APIRouter(prefix="/salud", tags=["salud"])

# A dependency that does not answer within this counts as down (seconds).
PATIENCE = 5.0


@router.get("/viva")
async def viva() -> dict[str, str]:
    """The process answers."""
    return {"estado": "viva"}


@router.get("/lista")
async def lista(request: Request, response: Response) -> dict[str, str]:
    """Each dependency by name: `ok`, or what is wrong with it. Status 503 where any is not ok."""
    resources: Resources = request.app.state.resources
    names = ("base_de_datos", "redis", "bucket")
    checks = (_database(resources), _redis(request.app.state.redis), resources.storage.check())
    found = await asyncio.gather(*map(_said, checks))
    if any(said != "ok" for said in found):
        response.status_code = 503
    return dict(zip(names, found, strict=True))


async def _said(check: Awaitable[None]) -> str:
    try:
        await asyncio.wait_for(check, PATIENCE)
    except RespaldosError as exc:
        return str(exc)
    except TimeoutError:
        return f"no respondió en {PATIENCE:g} segundos"
    return "ok"


async def _database(resources: Resources) -> None:
    async with transaction(resources) as session:
        await session.execute(text("SELECT version_num FROM respaldos.alembic_version"))


async def _redis(redis: "Redis | None") -> None:
    if redis is None:
        raise SettingsError("REDIS_URL: falta")
    try:
        await redis.ping()
    except (RedisError, OSError) as exc:
        raise QueueUnavailable(f"Redis no responde (REDIS_URL): {exc}") from exc
