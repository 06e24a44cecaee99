"""How soon the panel's first page, and those of all clinics, can be read in a browser that has never seen it."""

import asyncio
import json
import statistics
import time
from typing import Any

import aiohttp

from tests.bench.databases import MANY_HOME
from tests.bench.service import service
from tests.bench.table import Row, say
from tests.support.browser import chromium

PORT = 8766
LOADS = 7

ELEMENTS = "document.querySelectorAll('*').length"


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


# Pages that read a hundred rows at a time, by their address.
OF_ALL_CLINICS = {"all clinics": "", "what was done in all of them": "eventos"}


async def of_all_clinics(port: int, bearer: str) -> dict[str, tuple[float, float, int, int]]:
    """Of each page of a superadmin's: seconds to the first row, from the address on and after a filter; elements.

    Elements are of the first hundred rows, and of a thousand.
    """
    found = {}
    person = {"codigo": None, "clinica_id": None, "correoelectronico": "bench", "nombre_completo": "bench"}
    session = {"token": bearer, "ends": (time.time() + 3600) * 1000, "usuario": person}
    stored = f"sessionStorage.setItem('respaldos.sesion', {json.dumps(json.dumps(session))})"
    async with chromium() as browser:
        for what, page_name in OF_ALL_CLINICS.items():
            opened, filtered = [], []
            for _ in range(LOADS):
                context = await browser.new_context(locale="es-BO")
                await context.add_init_script(stored)
                page = await context.new_page()
                row = page.locator("tbody tr").first
                await page.goto(f"http://127.0.0.1:{port}/panel/{page_name}")
                await row.wait_for()
                opened.append(await page.evaluate("performance.now()") / 1000)
                elements = await page.evaluate(ELEMENTS)
                started = await page.evaluate("performance.now()")
                await row.evaluate("row => row.classList.add('before')")
                await page.locator("form select").first.select_option(index=1)
                await page.locator("tbody tr:not(.before)").first.wait_for()
                filtered.append((await page.evaluate("performance.now()") - started) / 1000)
                await page.locator("form select").first.select_option(index=0)
                for read in range(1, 10):
                    await page.locator("tbody tr").nth(100 * read - 1).wait_for()
                    await page.get_by_role("button", name="Ver 100 más").click()
                await page.locator("tbody tr").nth(999).wait_for()
                most = await page.evaluate(ELEMENTS)
                await context.close()
            found[what] = statistics.median(opened), statistics.median(filtered), elements, most
    return found


def measure() -> tuple[list[Row], dict[str, Any]]:
    """Run everything; return the lines of the table and the raw numbers behind them."""
    say("the panel's first page")
    with service(MANY_HOME, "serve", "--puerto", str(PORT)):
        found = asyncio.run(_readable_after())
    return [Row("first page of the panel readable, median", "", statistics.median(found), 1, "s")], {"seconds": found}
