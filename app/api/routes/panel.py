"""The web panel: the files that its build has left in app/panel/dist, and nothing else."""

import re
from pathlib import Path
from typing import Final

from fastapi import APIRouter, Request
from fastapi.responses import FileResponse, HTMLResponse
from starlette.exceptions import HTTPException
from starlette.responses import Response

BUILT: Final = Path(__file__).parents[2] / "panel" / "dist"

_POLICY: Final = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self';"
    " font-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)

# The build puts a hash of its content into each file's name.
_FOR_EVER: Final = "public, max-age=31536000, immutable"

_ASSET: Final = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9._-]*\.(js|css|svg|woff2)")
_TYPES: Final = {
    "js": "text/javascript",
    "css": "text/css",
    "svg": "image/svg+xml",
    "woff2": "font/woff2",
}

_NOT_BUILT: Final = """<!doctype html>
<html lang="es">
<head><meta charset="utf-8"><meta name="viewport" content="width=device-width"><title>Respaldos</title></head>
<body>
<h1>El panel no está instalado en este servicio</h1>
<p>Todo lo demás funciona: los respaldos se hacen, y la <a href="/docs">API</a> atiende.</p>
<p>Quien administra el servidor puede instalarlo con <code>make panel</code>.</p>
</body>
</html>
"""

router = APIRouter(prefix="/panel", include_in_schema=False)


@router.get("/assets/{name}")
async def asset(request: Request, name: str) -> Response:
    """A script, a style or an image; compressed by the build where that makes it smaller."""
    found = _ASSET.fullmatch(name)
    path = BUILT / "assets" / name
    if found is None or not path.is_file():
        raise HTTPException(404)
    headers = {"Cache-Control": _FOR_EVER, "Vary": "Accept-Encoding"}
    compressed = path.with_name(f"{name}.gz")
    if "gzip" in request.headers.get("accept-encoding", "") and compressed.is_file():
        path = compressed
        headers["Content-Encoding"] = "gzip"
    return FileResponse(path, media_type=_TYPES[found[1]], headers=headers)


@router.get("")
@router.get("/{place:path}")
async def page(place: str = "") -> Response:  # noqa: ARG001 (the panel itself reads the address)
    """The one page that there is, whichever of the panel's addresses was typed."""
    headers = {"Content-Security-Policy": _POLICY, "Cache-Control": "no-store"}
    index = BUILT / "index.html"
    if not index.is_file():
        return HTMLResponse(_NOT_BUILT, 503, headers)
    return FileResponse(index, media_type="text/html", headers=headers)
