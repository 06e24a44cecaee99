"""The service, its worker and a browser, once for all tests of the panel; a tab of its own for each."""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import asyncpg
import pytest
import pytest_asyncio
from axe_playwright_python.base import AXE_SCRIPT, AxeResults
from playwright.async_api import Browser, ConsoleMessage, Page, Request, expect

from app.demo.embedded import Addresses
from app.demo.sample.clinics import DEMO_PASSWORD
from tests.conftest import plain_url
from tests.respaldos.conftest import (
    SMALL,
    _one_session_for_s3,
    connected,
    copy_of,
    rclone_server,
    template,
)
from tests.service.conftest import _redis, settings_for
from tests.storage.conftest import empty_bucket
from tests.support.browser import chromium
from tests.support.processes import running_api, running_worker
from tests.support.rclone import Rclone
from tests.support.redis import RedisServer
from tests.support.tcp_proxy import TcpProxy, tcp_proxy

__all__ = ["_one_session_for_s3", "_redis", "rclone_server", "template"]

ADMIN = f"admin@clinica{SMALL}.example"

# A clinic's own front end, on an origin of its own.
HOST = "http://localhost"

# A loaded machine takes several times as long as an idle one (milliseconds).
TIMEOUT_MILLISECONDS = 30_000
expect.set_options(timeout=TIMEOUT_MILLISECONDS)

# What WCAG 2.2 AA asks for, and what axe holds to be good practice.
_RULES = {
    "resultTypes": ["violations"],
    "runOnly": ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"],
}


@dataclass(frozen=True, slots=True)
class Service:
    """A running service: `url` leads to it through `proxy`, which can cut it off."""

    url: str
    proxy: TcpProxy
    s3: str
    settings: dict[str, str]
    conn: asyncpg.Connection

    @property
    def panel(self) -> str:
        """The panel's address."""
        return f"{self.url}/panel"


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def service(
    servers: Addresses,
    template: str,
    rclone_server: Rclone,
    _redis: RedisServer,
    tmp_path_factory: pytest.TempPathFactory,
) -> AsyncIterator[Service]:
    """API and worker with the tests' clinics, which have no backups yet."""
    log: Path = tmp_path_factory.mktemp("panel") / "log"
    async with (
        copy_of(servers.database_url or "", template) as database,
        empty_bucket(rclone_server.url, rclone_server.folder) as store,
        connected(plain_url(database)) as conn,
    ):
        settings = settings_for(store, database, _redis) | {"CORS_ALLOWED_ORIGINS": HOST}
        async with running_api(settings, log) as api, running_worker(settings, log):
            address = urlsplit(str(api.base_url))
            async with tcp_proxy(address.hostname or "", address.port or 0) as proxy:
                yield Service(f"http://127.0.0.1:{proxy.port}", proxy, rclone_server.url, settings, conn)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def browser() -> AsyncIterator[Browser]:
    """Chromium."""
    async with chromium() as found:
        yield found


class Visit:
    """A tab, and what went wrong in it: errors of scripts, refusals of the policy, requests to other hosts."""

    def __init__(self, page: Page, service: Service) -> None:
        self.page = page
        self.service = service
        self.requests: list[Request] = []
        self.problems: list[str] = []
        page.set_default_timeout(TIMEOUT_MILLISECONDS)
        page.on("request", self._requested)
        page.on("console", self._said)
        page.on("pageerror", lambda error: self.problems.append(str(error)))

    def _requested(self, request: Request) -> None:
        self.requests.append(request)
        if not request.url.startswith((self.service.url, self.service.s3, f"{HOST}/", "data:")):
            self.problems.append(f"a request to {request.url}")

    def _said(self, message: ConsoleMessage) -> None:
        # What the service refuses, and that it is away, the browser logs by itself.
        if message.type == "error" and not message.text.startswith("Failed to load resource"):
            self.problems.append(message.text)

    async def open(self, path: str = "/") -> None:
        """Type an address of the panel."""
        await self.page.goto(f"{self.service.panel}{path}")

    async def log_in(self, email: str = ADMIN, password: str = DEMO_PASSWORD) -> None:
        """Fill in the form that is shown."""
        await self.page.get_by_label("Correo").fill(email)
        await self.page.get_by_label("Contraseña").fill(password)
        await self.page.get_by_role("button", name="Ingresar").click()

    async def shows(self, heading: str) -> None:
        """Wait for a page or a state by its heading."""
        await expect(self.page.get_by_role("heading", name=heading)).to_be_visible()

    async def accessible(self) -> None:
        """Have axe look at the page, and at its colours in the dark, too."""
        # It stays where it has been until the page is loaded anew, and half a megabyte is not sent for nothing.
        if await self.page.evaluate("typeof axe === 'undefined'"):
            await self.page.evaluate(AXE_SCRIPT)
        found = await self._violations(_RULES)
        assert found.violations_count == 0, (self.page.url, found.generate_report())
        await self.page.emulate_media(color_scheme="dark")
        dark = await self._violations({"resultTypes": ["violations"], "runOnly": ["color-contrast"]})
        await self.page.emulate_media(color_scheme="light")
        assert dark.violations_count == 0, ("dark", self.page.url, dark.generate_report())

    async def _violations(self, options: dict[str, Any]) -> AxeResults:
        return AxeResults(await self.page.evaluate("options => axe.run(options)", options))

    async def press(self, name: str) -> None:
        """Press a button."""
        await self.page.get_by_role("button", name=name, exact=True).click()

    async def follow(self, name: str) -> None:
        """Follow a link."""
        await self.page.get_by_role("link", name=name, exact=True).click()


@pytest_asyncio.fixture(loop_scope="module")
async def visit(browser: Browser, service: Service) -> AsyncIterator[Visit]:
    """An empty tab; the test fails if anything went wrong in it that a person would not see."""
    context = await browser.new_context(
        locale="es-BO", timezone_id="Asia/Tokyo", viewport={"width": 1280, "height": 800}, reduced_motion="reduce"
    )
    visit = Visit(await context.new_page(), service)
    try:
        yield visit
    finally:
        await context.close()
    assert visit.problems == []
