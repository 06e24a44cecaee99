"""The page that shows the API and tries it, with everything it needs from this service."""

from importlib.metadata import version
from pathlib import Path
from typing import Final

import fastapi_offline
from fastapi import APIRouter, FastAPI, Request
from fastapi.responses import FileResponse, JSONResponse, RedirectResponse
from starlette.responses import Response
from starlette.staticfiles import StaticFiles

from app.api.middleware import API

_OWN: Final = Path(__file__).with_name("static")

# Swagger UI's files, from its wheel; its version there reads OpenAPI 3.1.
_SWAGGER: Final = Path(fastapi_offline.__file__).with_name("static")

# Measured in Chromium: Swagger UI needs nothing else, but its arrows are data: images.
_POLICY: Final = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self';"
    " frame-ancestors 'none'; base-uri 'none'; form-action 'none'"
)

router = APIRouter(include_in_schema=False)


@router.get("/docs")
async def page() -> Response:
    """The page itself; its files are below it."""
    return FileResponse(_OWN / "docs.html", media_type="text/html", headers={"Content-Security-Policy": _POLICY})


@router.get("/")
async def root(request: Request) -> Response:
    """A person goes on to the panel; a program is told where things are."""
    if "text/html" in request.headers.get("accept", ""):
        return RedirectResponse("/panel/", 307)
    return JSONResponse(
        {
            "servicio": "respaldos",
            "version": version("respaldos"),
            "panel": "/panel/",
            "documentacion": "/docs",
            "openapi": f"{API}/openapi.json",
            "salud": "/salud/lista",
        }
    )


def add_page(app: FastAPI) -> None:
    """Serve the page, its files and the root."""
    app.include_router(router)
    app.mount("/docs/swagger", StaticFiles(directory=_SWAGGER), name="swagger")
    app.mount("/docs/propio", StaticFiles(directory=_OWN), name="propio")
