"""The HTTP service."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from importlib.metadata import version

from fastapi import FastAPI
from redis.asyncio import Redis

from app.api import health
from app.connections import open_resources
from app.settings import Settings, load_settings


def create_app(settings: Settings | None = None) -> FastAPI:
    """The application; what it works with is opened when it starts and closed when it stops.

    Without `settings` they are read from the environment, as `uvicorn --factory app.main:create_app` needs it.
    """
    chosen = settings or load_settings()

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        redis = Redis.from_url(chosen.redis_url.get_secret_value()) if chosen.redis_url is not None else None
        async with open_resources(chosen) as resources:
            app.state.resources = resources
            app.state.redis = redis
            try:
                yield
            finally:
                if redis is not None:
                    await redis.aclose()

    app = FastAPI(title="Respaldos", version=version("respaldos"), lifespan=lifespan, docs_url=None, redoc_url=None)
    app.include_router(health.router)
    return app
