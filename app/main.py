"""The HTTP service."""

import math
import re
from collections.abc import AsyncIterator, MutableMapping
from contextlib import asynccontextmanager
from importlib.metadata import version
from typing import Any

from fastapi import APIRouter, FastAPI
from starlette.middleware import Middleware
from starlette.middleware.cors import CORSMiddleware

from app import tracing
from app.api import once, problems, webhooks
from app.api.client_address import networks
from app.api.middleware import API, BodyLimit, HeadAsGet, RequestLog, SecurityHeaders, Slashes, UnexpectedErrors
from app.api.openapi import DESCRIPTION, SUMMARY, TAGS, DocumentedApp, operation_id
from app.api.rejection_log import RejectionLog
from app.api.routes import (
    auth,
    claves,
    clinicas,
    constancias,
    docs,
    eventos,
    exportaciones,
    health,
    metrics,
    panel,
    platform,
    politicas,
    progress,
    registros,
    respaldos,
    restauraciones,
)
from app.connections.service import open_service
from app.diagnostics.databases import refuse_wrong_labels
from app.diagnostics.local import local, log_problems
from app.settings import Settings, load_settings


def create_app(settings: Settings | None = None) -> FastAPI:
    """The application; what it works with is opened when it starts and closed when it stops.

    Without `settings` they are read from the environment, as `uvicorn --factory app.main:create_app` needs it.
    uvicorn must be told to leave X-Forwarded-For alone (`--no-proxy-headers`): FORWARDED_ALLOW_IPS says whom to
    believe. Neither Redis, nor S3, nor a database need be up for it to start, and it can be started again.
    """
    chosen = settings or load_settings()
    app = DocumentedApp(
        title="Respaldos",
        summary=SUMMARY,
        description=DESCRIPTION,
        version=version("respaldos"),
        openapi_tags=TAGS,
        openapi_url=f"{API}/openapi.json",
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
        generate_unique_id_function=operation_id,
        lifespan=_lifespan,
        middleware=_middleware(chosen),
        # Requests of the API, with their own names; `tracing.start` says whether they are sent.
        telemetry={"exclude": _untraced, "operation_spans": False, "metrics": False, "logs": False},
    )
    app.state.settings = chosen
    app.state.trusted_proxies = networks(chosen.forwarded_allow_ips)
    problems.add_handlers(app)
    once.add_handler(app)
    api = APIRouter(prefix=API)
    parts = (
        *(
            auth,
            clinicas,
            respaldos,
            progress,
            restauraciones,
            exportaciones,
            registros,
            constancias,
            eventos,
            claves,
        ),
        *(platform, politicas),
    )
    for part in parts:
        api.include_router(part.router)
    app.include_router(api)
    app.include_router(health.router)
    app.include_router(metrics.router)
    webhooks.describe(app.webhooks)
    docs.add_page(app)
    app.include_router(panel.router)
    return app


@asynccontextmanager
async def _lifespan(app: FastAPI) -> AsyncIterator[None]:
    tracing.start("respaldos-api")
    async with open_service(app.state.settings) as service:
        log_problems(local(app.state.settings))
        await refuse_wrong_labels(app.state.settings, service.resources.clinic)
        app.state.service = service
        app.state.rejection_log = RejectionLog(service.resources)
        app.state.under_way = {}
        app.state.readiness = health.Readiness(service)
        app.state.strange_proxy_told = -math.inf
        yield


def _untraced(scope: MutableMapping[str, Any]) -> bool:
    """What asks again and again, and files."""
    return not scope["path"].startswith(f"{API}/")


def _middleware(settings: Settings) -> list[Middleware]:
    """Outermost first: what is added to an answer must be on those that say that something went wrong, too."""
    # The whole origin has to match; `*` is one label, and so has no dot in it.
    origins = (re.escape(origin).replace(r"\*", "[a-z0-9_-]+") for origin in settings.cors_allowed_origins)
    cors = Middleware(
        CORSMiddleware,
        allow_origin_regex="|".join(origins),
        allow_credentials=True,
        allow_methods=["GET", "POST", "DELETE"],
        # Only the clinics' own origins are let in; what headers their front ends add is their own affair.
        allow_headers=["*"],
        expose_headers=["X-Total-Count", "Link", "Retry-After", "X-Request-ID"],
    )
    return [
        Middleware(SecurityHeaders),
        Middleware(HeadAsGet),
        Middleware(Slashes),
        Middleware(RequestLog),
        *([cors] if settings.cors_allowed_origins else []),
        Middleware(UnexpectedErrors),
        Middleware(BodyLimit),
    ]
