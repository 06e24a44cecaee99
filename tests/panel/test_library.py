"""The panel's components in a React project as Vite makes it, on a page of another origin that spares nothing."""

import asyncio
import mimetypes
import os
import re
import shutil
import sys
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from playwright.async_api import Locator, Route, expect

from app.demo.sample.clinics import DEMO_PASSWORD
from tests.panel.conftest import ADMIN, HOST, Service, Visit
from tests.respaldos.conftest import SMALL

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.timeout(180)]

ROOT = Path(__file__).parents[2]
PANEL = ROOT / "app" / "panel"
PAGE = (ROOT / "docs" / "front-end.md").read_text(encoding="utf-8")
TEMPLATE = Path(__file__).with_name("host")
NAME = "Clínica pequeña"


async def run(*command: str | Path, cwd: Path) -> None:
    """Run a program to its end, with Node where this Python has it if the machine has none."""
    path = f"{os.environ['PATH']}{os.pathsep}{Path(sys.executable).parent}"
    pipe, both = asyncio.subprocess.PIPE, asyncio.subprocess.STDOUT
    process = await asyncio.create_subprocess_exec(
        *command, cwd=cwd, env=os.environ | {"PATH": path}, stdout=pipe, stderr=both
    )
    said, _ = await process.communicate()
    assert process.returncode == 0, said.decode()


async def built(folder: Path, service: str) -> Path:
    """The template with the example of the documentation for its `App.tsx`, and the package installed, built."""
    shutil.copytree(TEMPLATE, folder)
    for name, code in re.findall(r"```tsx\n// (src/\S+)\n(.*?)```", PAGE, re.DOTALL):
        (folder / name).write_text(code.replace("https://respaldos.example.com", service), encoding="utf-8")
    modules = folder / "node_modules"
    modules.mkdir()
    for each in (PANEL / "node_modules").iterdir():
        if not each.name.startswith("."):
            (modules / each.name).symlink_to(each)
    npm = shutil.which("npm") or Path(sys.executable).with_name("npm")
    await run(npm, "pack", "--silent", "--pack-destination", folder, cwd=PANEL)
    (package,) = folder.glob("*.tgz")
    shutil.unpack_archive(package, folder, filter="data")
    (folder / "package").rename(modules / "respaldos-panel")
    assert sorted(each.name for each in (modules / "respaldos-panel").iterdir()) == ["library", "package.json"]
    node = PANEL / "node_modules"
    await run(node / ".bin" / "tsc", "-b", cwd=folder)
    await run(node / ".bin" / "vite", "build", "--logLevel", "warn", cwd=folder)
    return folder / "dist"


async def styles(element: Locator, *names: str) -> list[str]:
    """What the browser makes of an element's styles."""
    found: list[str] = await element.evaluate("(it, names) => names.map((n) => getComputedStyle(it)[n])", names)
    return found


async def test_a_clinic_is_restored_inside_a_page_of_its_own(visit: Visit, service: Service, tmp_path: Path) -> None:
    page = visit.page
    dist = await built(tmp_path / "host", service.url)

    async def host(route: Route) -> None:
        file = dist / (urlsplit(route.request.url).path.strip("/") or "index.html")
        await route.fulfill(body=file.read_bytes(), content_type=mimetypes.guess_type(file.name)[0])

    await page.context.grant_permissions(["local-network-access"], origin=HOST)
    await page.route(f"{HOST}/**", host)
    await page.goto(f"{HOST}/")
    await page.get_by_label("Correo").fill(ADMIN)
    await page.get_by_label("Contraseña").fill(DEMO_PASSWORD)
    theirs = page.get_by_role("button", name="Ingresar")
    assert await styles(theirs, "backgroundColor", "fontSize") == ["rgb(255, 0, 0)", "7px"]
    await theirs.click()

    # One window makes a backup, and the list in another shows it.
    ours = page.get_by_role("button", name="Crear respaldo")
    assert await styles(ours, "backgroundColor", "boxSizing", "fontSize", "letterSpacing", "textTransform") == [
        *("rgb(10, 115, 100)", "border-box", "16px", "normal", "none")
    ]
    await ours.click()
    await visit.shows("Listo: sus datos están guardados")
    listed = page.get_by_role("table", name="Respaldos").get_by_role("link", name="Restaurar el respaldo")
    await expect(listed).to_be_visible()

    addresses = "SELECT array_agg(direccion ORDER BY codusuario) FROM paciente WHERE clinica_id = $1"
    before = await service.conn.fetchval(addresses, SMALL)
    await service.conn.execute("UPDATE paciente SET direccion = 'Calle equivocada' WHERE clinica_id = $1", SMALL)
    # In a column of a wide page each window is as on a telephone.
    column = page.locator("#root")
    await column.evaluate("it => { it.style.width = '360px' }")
    for window in await page.locator(".respaldos").all():
        shown, room = await window.evaluate("it => [it.scrollWidth, it.clientWidth]")
        assert shown <= room <= 360
    entry = page.get_by_role("table", name="Respaldos").get_by_role("row").nth(1)
    await expect(entry).to_have_css("height", "192px")
    await expect(entry.get_by_text("registros")).to_be_visible()
    await column.evaluate("it => { it.style.width = '' }")
    await expect(entry).to_have_css("height", "60px")
    await listed.click()
    await page.get_by_label("Exactamente como estaba entonces").check()
    await visit.press("Ver qué cambiaría")
    await visit.shows("Esto cambiaría")
    await page.get_by_label("¿Por qué se recupera?").fill("Se cambiaron por error")
    await page.get_by_label("Para confirmar").fill(NAME)
    await visit.press("Restaurar ahora")
    await visit.shows("Listo: los datos están como en el respaldo")
    await expect(page.get_by_role("heading", name="Listo: los datos")).to_be_focused()
    assert await service.conn.fetchval(addresses, SMALL) == before
    # The other windows, the title and the address are as they were.
    await visit.shows("Listo: sus datos están guardados")
    assert [await page.title(), page.url] == ["host", f"{HOST}/"]
    await visit.follow("Volver al comienzo")
    await expect(listed.first).to_be_visible()
