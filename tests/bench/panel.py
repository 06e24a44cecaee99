"""How soon the panel's first page can be read by somebody whose browser has never seen it."""

import asyncio
import statistics
from typing import Any

import aiohttp

from tests.bench.databases import MANY_HOME
from tests.bench.service import service
from tests.bench.table import Row, say
from tests.support.browser import chromium

PORT = 8766
LOADS = 7


async def _readable_after() -> list[float]:
    """Seconds from asking for the page until its heading is there, each time in a browser without a cache."""
    found = []
    address = f"http://127.0.0.1:{PORT}/panel/"
    async with aiohttp.ClientSession() as session, chromium() as browser:
        while True:
            try:
                async with session.get(address):
                    break
            except aiohttp.ClientConnectionError:
                await asyncio.sleep(0.05)
        for _ in range(LOADS):
            context = await browser.new_context(locale="es-BO")
            page = await context.new_page()
            await page.goto(address)
            await page.get_by_role("heading", name="Ingrese para ver sus respaldos").wait_for()
            found.append(await page.evaluate("performance.now()") / 1000)
            await context.close()
    return found


def measure() -> tuple[list[Row], dict[str, Any]]:
    """Run everything; return the lines of the table and the raw numbers behind them."""
    say("the panel's first page")
    with service(MANY_HOME, "serve", "--puerto", str(PORT)):
        found = asyncio.run(_readable_after())
    return [Row("first page of the panel readable, median", "", statistics.median(found), 1, "s")], {"seconds": found}
