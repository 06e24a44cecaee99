"""Whether the service lives, and whether it can work: for orchestrators and for people."""

import asyncio
import math
import time
from collections.abc import Awaitable, Callable

from fastapi import APIRouter, Request, Response
from sqlalchemy import text

from app.api.openapi import problems
from app.api.schemas import Preparacion, Vida
from app.connections.service import Service
from app.errors import RespaldosError
from app.respaldos.databases import transaction
from app.respaldos.resources import Resources

router = APIRouter(prefix="/salud", tags=["Salud"])

# A dependency that does not answer within this counts as down (seconds).
TIMEOUT_SECONDS = 5.0

# How long what was found is taken for true (seconds).
SECONDS = 1.0

NEEDED = ("base_de_datos", "redis", "bucket")


@router.get(
    "/viva",
    response_model=Vida,
    summary="Dice si el proceso vive",
    response_description="Vive.",
    responses=problems(500),
)
async def viva() -> dict[str, str]:
    """No mira nada más: un servicio sin base de datos vive, y no gana nada con que lo reinicien."""
    return {"estado": "viva"}


@router.get(
    "/lista",
    response_model=Preparacion,
    summary="Dice si el servicio puede trabajar",
    response_description="Todo lo que necesita responde.",
    responses={
        503: {
            "description": "Algo no responde.",
            "model": Preparacion,
            "content": {
                "application/json": {
                    "example": {
                        "base_de_datos": "ok",
                        "redis": "Redis no responde (REDIS_URL): Connection refused",
                        "bucket": "ok",
                        "trabajador": "Redis no responde (REDIS_URL): Connection refused",
                    }
                }
            },
        },
        **problems(500),
    },
)
async def lista(request: Request, response: Response) -> dict[str, str]:
    """Cada cosa que necesita, por su nombre: `ok`, o qué le pasa. Responde 503 si a alguna le pasa algo.

    El trabajador es otro proceso, y sin él este responde igual: se dice cómo está, y no cambia el código. Se mira una
    vez por segundo, por más que se pregunte.
    """
    readiness: Readiness = request.app.state.readiness
    found = await readiness.look()
    if any(found[name] != "ok" for name in NEEDED):
        response.status_code = 503
    return found


class Readiness:
    """Looks at what the service needs, once for all who ask, and remembers it for SECONDS. For one event loop.

    Anybody may ask: however many do, database, Redis and bucket are asked no more often.
    """

    def __init__(self, service: Service, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._service = service
        self._clock = clock
        self._looking: asyncio.Task[dict[str, str]] | None = None
        self._ended = -math.inf

    async def look(self) -> dict[str, str]:
        """Of each thing by its name `ok`, or what is wrong with it."""
        if self._looking is None or (self._looking.done() and self._clock() - self._ended >= SECONDS):
            self._looking = asyncio.create_task(self._look())
        # Who stops waiting does not stop it for the others.
        return await asyncio.shield(self._looking)

    async def _look(self) -> dict[str, str]:
        service = self._service
        checks = (_database(service.resources), _redis(service), service.resources.storage.check(), _worker(service))
        found = await asyncio.gather(*map(_said, checks))
        self._ended = self._clock()
        return dict(zip((*NEEDED, "trabajador"), found, strict=True))


async def _said(check: Awaitable[str | None]) -> str:
    """What a check has found to say; nothing is `ok`."""
    try:
        return await asyncio.wait_for(check, TIMEOUT_SECONDS) or "ok"
    except RespaldosError as exc:
        return str(exc)
    except TimeoutError:
        return f"no respondió en {TIMEOUT_SECONDS:g} segundos"


async def _database(resources: Resources) -> None:
    async with transaction(resources) as session:
        await session.execute(text("SELECT version_num FROM respaldos.alembic_version"))


async def _redis(service: Service) -> None:
    await service.require_queue().check()


async def _worker(service: Service) -> str | None:
    return await service.require_queue().silent_workers()
