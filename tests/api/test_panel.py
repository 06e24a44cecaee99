"""The panel's files are given as a browser should have them, and nothing but them."""

import gzip
from pathlib import Path

import httpx
import pytest

from app.api.middleware import API
from app.api.routes import panel
from tests.api.conftest import bearer

SCRIPT = "index-4f2a9c1e.js"


@pytest.fixture
def built(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a panel, beside a file that is not to be had."""
    folder = tmp_path / "dist"
    (folder / "assets").mkdir(parents=True)
    (folder / "index.html").write_text('<script type="module" src="/panel/assets/index-4f2a9c1e.js"></script>')
    (folder / "assets" / SCRIPT).write_text("let panel")
    (folder / "assets" / f"{SCRIPT}.gz").write_bytes(gzip.compress(b"let panel"))
    (folder / "secreto.js").write_text("no")
    monkeypatch.setattr(panel, "BUILT", folder)
    return folder


@pytest.mark.usefixtures("built")
@pytest.mark.parametrize("path", ["/panel", "/panel/", "/panel/respaldos/7", "/panel/clinica/3/estadisticas/"])
async def test_every_address_of_the_panel_is_its_page(path: str, client: httpx.AsyncClient) -> None:
    answer = await client.get(path)
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "text/html; charset=utf-8"
    assert answer.headers["cache-control"] == "no-store"
    policy = dict(part.strip().split(" ", 1) for part in answer.headers["content-security-policy"].split(";"))
    assert policy == {
        "default-src": "'none'",
        "script-src": "'self'",
        "style-src": "'self'",
        "img-src": "'self' data:",
        "connect-src": "'self'",
        "font-src": "'self'",
        "base-uri": "'none'",
        "form-action": "'none'",
        "frame-ancestors": "'none'",
    }
    assert (await client.head(path)).status_code == 200


@pytest.mark.usefixtures("built")
async def test_a_script_is_kept_for_ever_and_comes_compressed(client: httpx.AsyncClient) -> None:
    for accepted in ("gzip, br", "identity"):
        answer = await client.get(f"/panel/assets/{SCRIPT}", headers={"Accept-Encoding": accepted})
        assert answer.text == "let panel"
        assert answer.headers["content-type"].startswith("text/javascript")
        assert answer.headers["cache-control"] == "public, max-age=31536000, immutable"
        assert "Accept-Encoding" in answer.headers["vary"]
        assert answer.headers.get("content-encoding") == ("gzip" if "gzip" in accepted else None)


@pytest.mark.usefixtures("built")
@pytest.mark.parametrize(
    "path",
    [
        "/panel/assets/otro.js",
        "/panel/assets/%2e%2e%2fsecreto.js",
        "/panel/assets/..%2fsecreto.js",
        "/panel/assets/..%5csecreto.js",
        f"/panel/assets/{SCRIPT}.gz",
        "/panel/assets/.js",
        "/panel/assets/a%00.js",
    ],
)
async def test_nothing_but_the_assets_is_given(path: str, client: httpx.AsyncClient) -> None:
    answer = await client.get(path)
    # What is no asset's address is one of the panel's own, and gets its page.
    assert answer.status_code == 404 or "<script" in answer.text
    assert answer.text != "no"


async def test_a_service_without_a_panel_says_so_and_works(
    client: httpx.AsyncClient, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(panel, "BUILT", tmp_path)
    answer = await client.get("/panel/respaldos")
    assert answer.status_code == 503
    assert "El panel no está instalado" in answer.text
    assert 'lang="es"' in answer.text
    assert (await client.get(f"{API}/respaldos/", headers=bearer())).status_code == 200
    assert (await client.get("/salud/lista")).status_code == 200
