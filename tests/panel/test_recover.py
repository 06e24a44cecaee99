"""Somebody deleted a patient, and a person gets her back by her name, in a real browser against the real service."""

import re
from typing import Any

import asyncpg
import pytest
from playwright.async_api import Locator, Page, Request, Route, expect

from tests.panel.conftest import Service, Visit
from tests.respaldos.conftest import SMALL
from tests.support.browser import chromium
from tests.support.patients import add_appointment, add_patient, remove_patient

pytestmark = [
    pytest.mark.asyncio(loop_scope="module"),
    pytest.mark.timeout(180),
]

NAME = "Zoé Ñandúquispe"
WHY = "Se borró por error"


async def all_of(conn: asyncpg.Connection, code: int) -> list[Any]:
    """Every row of hers."""
    return [
        list(await conn.fetch("SELECT * FROM usuario WHERE codigo = $1", code)),
        list(await conn.fetch("SELECT * FROM paciente WHERE codusuario = $1", code)),
        list(await conn.fetch("SELECT * FROM consulta WHERE codpaciente = $1 ORDER BY id", code)),
    ]


async def backed_up(visit: Visit) -> None:
    """Another backup of the clinic, made by the panel."""
    await visit.follow("Crear respaldo")
    await visit.press("Crear respaldo")
    await visit.shows("Listo: sus datos están guardados")


async def fits(page: Page) -> None:
    """Whether nothing is to be scrolled sideways on a telephone; then as wide as before."""
    await page.set_viewport_size({"width": 360, "height": 740})
    assert await page.evaluate("document.documentElement.scrollWidth") <= 360, page.url
    await page.set_viewport_size({"width": 1280, "height": 800})


async def is_on_the_first_screen(page: Page, found: Locator) -> None:
    """Whether all of it is seen on a telephone without scrolling; then as wide as before."""
    await page.set_viewport_size({"width": 360, "height": 740})
    await page.evaluate("scrollTo(0, 0)")
    box = await found.bounding_box()
    assert box is not None
    assert box["y"] + box["height"] <= 740
    await page.set_viewport_size({"width": 1280, "height": 800})


async def test_a_deleted_patient_comes_back_in_five_steps(visit: Visit, service: Service) -> None:
    page, conn = visit.page, service.conn
    code = await add_patient(conn, SMALL, "Zoé", "Ñandúquispe")
    await add_appointment(conn, SMALL, code, "Limpieza")
    before = await all_of(conn, code)
    await visit.open()
    await visit.log_in()
    await backed_up(visit)
    await remove_patient(conn, code)
    someone = await conn.fetchval("SELECT min(codusuario) FROM paciente WHERE clinica_id = $1", SMALL)
    today = await add_appointment(conn, SMALL, someone, "Anotada hoy")
    count = await conn.fetchval("SELECT count(*) FROM consulta")
    await visit.follow("Resumen")
    await visit.shows("Los últimos 90 días")
    await visit.accessible()
    await fits(page)

    # One: her name, as people type it.
    await page.get_by_label("¿Qué perdió?").fill("nanduquispe zoe")
    await page.keyboard.press("Enter")
    # Two: she is ticked.
    found = page.get_by_role("listitem").filter(has_text=NAME).first
    await expect(found).to_contain_text("paciente")
    await expect(found).to_contain_text("Se eliminó entre hoy a las")
    await expect(found).to_contain_text("Vuelve del respaldo del")
    await expect(page.get_by_text("Se encontró 1 registro.")).to_be_visible()
    await visit.accessible()
    await fits(page)
    await is_on_the_first_screen(page, found)
    await found.get_by_role("checkbox").check()
    await visit.accessible()
    await visit.press("Seguir")
    # Three: only what is missing is meant; nobody has to say so.
    await visit.shows("Lo que eligió")
    await expect(page.get_by_label("Solo lo que falta")).to_be_checked()
    await expect(page.get_by_text(f"{NAME}, paciente, con todo lo suyo")).to_be_visible()
    await visit.accessible()
    await fits(page)
    # Whoever has second thoughts begins anew where they began.
    await visit.follow("Recuperar datos")
    await page.get_by_label("¿Qué perdió?").fill("nanduquispe zoe")
    await page.keyboard.press("Enter")
    await found.get_by_role("checkbox").check()
    await visit.press("Seguir")
    await expect(page.get_by_text(f"{NAME}, paciente, con todo lo suyo")).to_be_visible()
    await visit.press("Ver qué volvería")
    # Four: who and what.
    await visit.shows("Esto cambiaría")
    await expect(page.get_by_text("Se agregan 3 registros. Nada ha cambiado todavía.")).to_be_visible()
    await expect(page.get_by_text(NAME).first).to_be_visible()
    await expect(page.get_by_text(re.compile(rf"^\d{{4}}-\d\d-\d\d · {NAME} · "))).to_be_visible()
    await expect(page.get_by_label("Para confirmar")).to_have_count(0)
    await visit.accessible()
    await fits(page)
    await visit.press("Recuperar ahora")
    await expect(page.get_by_role("alert")).to_contain_text("Escriba por qué se recupera")
    assert await all_of(conn, code) == [[], [], []]
    # Five: why.
    await page.get_by_label("¿Por qué se recupera?").fill(WHY)
    await visit.press("Recuperar ahora")
    await visit.shows("Listo: lo que faltaba está de vuelta")
    await expect(page.get_by_role("heading", name="Listo")).to_be_focused()
    await visit.accessible()
    await fits(page)

    assert await all_of(conn, code) == before
    assert await conn.fetchval("SELECT motivo FROM consulta WHERE id = $1", today) == "Anotada hoy"
    assert await conn.fetchval("SELECT count(*) FROM consulta") == count + 1
    reasons = "SELECT array_agg(motivo) FROM respaldos.restauracion WHERE tipo = 'restauracion' AND NOT simulada"
    assert await conn.fetchval(reasons) == [WHY]
    # A reload has the same, and the search goes on.
    await page.reload()
    await visit.shows("Listo: lo que faltaba está de vuelta")
    await visit.press("Recuperar algo más")
    found = page.get_by_role("listitem").filter(has_text=NAME).first
    await expect(found).to_contain_text("Está igual que hoy a las")


async def test_what_was_changed_is_seen_field_by_field_and_put_back(visit: Visit, service: Service) -> None:
    page, conn = visit.page, service.conn
    code = await add_patient(conn, SMALL, "Íñigo", "Güemes <b>O'Hara</b>")
    await add_appointment(conn, SMALL, code, "Control")
    await visit.open()
    await visit.log_in()
    await backed_up(visit)
    await conn.execute("UPDATE paciente SET direccion = 'Calle equivocada' WHERE codusuario = $1", code)
    await visit.open("/recuperar?buscar=guemes")
    found = page.get_by_role("listitem").filter(has_text="Íñigo Güemes <b>O'Hara</b>").first
    await expect(found).to_contain_text("Cambió: hoy no está como hoy a las")
    await found.get_by_role("button", name="Ver campo por campo").click()
    dialog = page.get_by_role("dialog")
    await expect(dialog.get_by_text("Calle equivocada")).to_be_visible()
    await expect(dialog.get_by_text("Calle 1")).to_be_visible()
    await expect(dialog.get_by_text("Qué depende de este registro")).to_be_visible()
    await dialog.get_by_role("button", name="Ver todo como estaba el").click()
    whole = dialog.locator(".whole")
    await expect(whole.get_by_text("Calle 1", exact=True)).to_be_visible()
    await expect(whole.get_by_role("heading", name="Como usuario")).to_be_visible()
    await expect(whole.get_by_text("Güemes <b>O'Hara</b>", exact=True)).to_be_visible()
    await visit.accessible()
    await page.keyboard.press("Escape")
    await expect(dialog).to_be_hidden()
    await found.get_by_role("button", name="Ver campo por campo").click()
    await dialog.get_by_role("button", name="Recuperar como estaba").click()
    await visit.shows("Lo que eligió")
    await expect(page.get_by_label("También lo que cambió")).to_be_checked()
    await visit.press("Ver qué volvería")
    await expect(page.get_by_text("Se corrige 1 registro.")).to_be_visible()
    await expect(page.get_by_text("Calle equivocada")).to_be_visible()
    await page.get_by_label("¿Por qué se recupera?").fill("Se escribió mal")
    await page.keyboard.press("Enter")
    await visit.shows("Listo: volvió lo que faltaba y lo que había cambiado")
    assert await conn.fetchval("SELECT direccion FROM paciente WHERE codusuario = $1", code) == "Calle 1"


async def test_records_of_two_backups_are_not_mixed(visit: Visit, service: Service) -> None:
    page, conn = visit.page, service.conn
    codes = [await add_patient(conn, SMALL, nombre, "Quispetúpac") for nombre in ("Una", "Otra")]
    await visit.open()
    await visit.log_in()
    for code in codes:
        await backed_up(visit)
        await remove_patient(conn, code)
    await visit.open("/recuperar?buscar=quispetupac")
    first = page.get_by_role("listitem").filter(has_text="Una Quispetúpac").first
    second = page.get_by_role("listitem").filter(has_text="Otra Quispetúpac").first
    await first.get_by_role("checkbox").check()
    await expect(second.get_by_role("checkbox")).to_have_attribute("aria-disabled", "true")
    await expect(second).to_contain_text("Es otro respaldo que el de lo que ya marcó")
    await second.get_by_role("checkbox").press("Space")
    await expect(second.get_by_role("checkbox")).not_to_be_checked()
    await expect(page.get_by_text("1 registro marcado")).to_be_visible()
    await first.get_by_role("checkbox").uncheck()
    await second.get_by_role("checkbox").check()
    await expect(second.get_by_role("checkbox")).to_be_checked()


async def test_all_that_is_lost_is_ticked_at_once_and_the_rest_stays_folded(visit: Visit, service: Service) -> None:
    page, conn = visit.page, service.conn
    codes = [await add_patient(conn, SMALL, nombre, "Chuquiago") for nombre in ("Una", "Otra", "Tercera")]
    await visit.open()
    await visit.log_in()
    await backed_up(visit)
    for code in codes[:2]:
        await remove_patient(conn, code)
    await visit.open("/recuperar?buscar=chuquiago")
    folded = page.locator("details.kind").filter(has_text="Están hoy, sin cambios")
    await expect(folded).to_be_visible()
    await page.get_by_role("button", name="Marcar todos").click()
    await expect(page.get_by_text("2 registros marcados")).to_be_visible()
    await expect(page.get_by_role("button", name="Marcar todos")).to_be_hidden()
    await expect(folded).not_to_have_attribute("open", "")


async def test_results_are_shown_while_it_still_searches(visit: Visit, service: Service) -> None:
    page, conn = visit.page, service.conn
    await add_patient(conn, SMALL, "Yatiri", "Lento")
    await visit.open()
    await visit.log_in()
    await backed_up(visit)
    # The end of the answer is held back, as where there are many backups.
    await page.add_init_script(
        """{ const given = window.fetch;
        window.fetch = async (...asked) => {
            const answer = await given(...asked);
            if (!answer.url.includes("/registros/?")) return answer;
            const text = await answer.text();
            const cut = text.trimEnd().lastIndexOf("\\n") + 1;
            const body = new ReadableStream({ start(stream) {
                const encoder = new TextEncoder();
                stream.enqueue(encoder.encode(text.slice(0, cut + 3)));
                window.goOn = () => { stream.enqueue(encoder.encode(text.slice(cut + 3))); stream.close(); };
                window.breakOff = () => stream.error(new TypeError("network"));
            } });
            return new Response(body, { status: answer.status, headers: answer.headers });
        }; }"""
    )
    await visit.open("/recuperar?buscar=yatiri")
    found = page.get_by_role("listitem").filter(has_text="Yatiri Lento").first
    await expect(found).to_be_visible()
    await expect(page.get_by_text("Buscando en los respaldos… Hasta ahora 1 registro")).to_be_visible()
    await expect(page.get_by_role("progressbar", name="Buscando en los respaldos")).to_be_visible()
    await visit.accessible()
    await page.evaluate("window.goOn()")
    await expect(page.get_by_text("Se encontró 1 registro.")).to_be_visible()
    await visit.press("Buscar")
    await expect(page.get_by_text("Buscando en los respaldos… Hasta ahora 1 registro")).to_be_visible()
    await page.evaluate("window.breakOff()")
    await expect(page.get_by_role("alert")).to_contain_text("La búsqueda se cortó antes de terminar.")
    await expect(found).to_be_visible()
    await visit.accessible()


async def test_a_search_that_cannot_be_made_says_why(visit: Visit) -> None:
    # Longer than anybody types, and than the service takes.
    await visit.open(f"/recuperar?buscar={'x' * 201}")
    await visit.log_in()
    await expect(visit.page.get_by_role("alert")).to_contain_text("200")
    await visit.page.get_by_label("¿Qué perdió?").fill("nadie se llama así")
    await visit.press("Buscar")
    await expect(visit.page.get_by_text("No se encontró nada con esas palabras.")).to_be_visible()
    await visit.accessible()


async def test_all_of_it_is_reached_by_keyboard(visit: Visit, service: Service) -> None:
    page, conn = visit.page, service.conn
    code = await add_patient(conn, SMALL, "Tecla", "Huanca")
    await add_appointment(conn, SMALL, code, "Control")
    await visit.open()
    await visit.log_in()
    await backed_up(visit)
    await remove_patient(conn, code)
    await visit.open("/recuperar")
    await visit.shows("Recuperar datos")

    async def tab_to(name: str) -> None:
        for _ in range(40):
            await page.keyboard.press("Tab")
            said = await page.evaluate(
                "[document.activeElement.getAttribute('aria-label'), document.activeElement.textContent,"
                " document.activeElement.labels?.[0]?.textContent].join(' ')"
            )
            if name in said:
                return
        raise AssertionError(name)

    await tab_to("¿Qué perdió?")
    await page.keyboard.type("tecla huanca")
    await page.keyboard.press("Enter")
    await expect(page.get_by_text("Se encontró 1 registro.")).to_be_visible()
    await tab_to("Tecla Huanca")
    await page.keyboard.press("Space")
    await tab_to("Seguir")
    await page.keyboard.press("Enter")
    await expect(page.get_by_role("heading", name="Lo que eligió")).to_be_focused()
    await tab_to("Ver qué volvería")
    await page.keyboard.press("Enter")
    await expect(page.get_by_role("heading", name="Esto cambiaría")).to_be_focused()
    await tab_to("¿Por qué se recupera?")
    await page.keyboard.type(WHY)
    await page.keyboard.press("Enter")
    await expect(page.get_by_role("heading", name="Listo")).to_be_focused()
    assert len((await all_of(conn, code))[2]) == 1


async def test_a_whole_backup_is_the_other_way_and_leads_to_the_search(visit: Visit) -> None:
    page = visit.page
    await visit.open()
    await visit.log_in()
    await backed_up(visit)
    await visit.follow("Recuperar datos")
    await visit.follow("Seguir con este respaldo")
    await visit.shows("Restaurar")
    await page.get_by_label("Solo lo que falta").check()
    await visit.press("Ver qué cambiaría")
    await visit.shows("No falta nada de este respaldo")
    await expect(page.get_by_text("puede estar en un respaldo anterior")).to_be_visible()
    await visit.accessible()
    await visit.follow("búsquelo por su nombre")
    await expect(page.get_by_label("¿Qué perdió?")).to_be_visible()


async def test_an_answer_that_is_lost_on_the_way_is_looked_for(visit: Visit, service: Service) -> None:
    page = visit.page
    await visit.open()
    await visit.log_in()

    async def lose(route: Route, request: Request) -> None:
        await route.fetch()
        await service.proxy.refuse()
        await route.abort()

    await page.route("**/crear_respaldo_manual/", lose, times=1)
    await visit.follow("Crear respaldo")
    await page.get_by_label("Para qué es").fill("Con mala conexión")
    await visit.press("Crear respaldo")
    await expect(page.get_by_role("alert")).to_contain_text("No se sabe si se alcanzó a pedir")
    await expect(page.get_by_text("No se creó ninguno")).to_have_count(0)
    await service.proxy.listen()
    # Nobody has to do anything.
    await visit.shows("Listo: sus datos están guardados")
    number = int(re.search(r"respaldo=(\d+)", page.url)[1])  # type: ignore[index]
    row = await service.conn.fetchrow("SELECT * FROM respaldos.respaldo ORDER BY id DESC LIMIT 1")
    assert row is not None
    assert (row["id"], row["descripcion"]) == (number, "Con mala conexión")


async def test_what_is_typed_at_once_stays_in_its_field(visit: Visit) -> None:
    page = visit.page
    await visit.open()
    await visit.log_in()
    await visit.shows("Sus datos están")
    for _ in range(2):
        # The first time its script is still to be fetched.
        await visit.follow("Crear respaldo")
        await expect(page.get_by_label("Para qué es")).to_be_focused()
        await page.keyboard.type("Antes de todo", delay=20)
        await expect(page.get_by_label("Para qué es")).to_have_value("Antes de todo")
        await visit.follow("Resumen")


# Whether all that an entry of the list says and offers is within it.
INSIDE = """() => {
    const row = document.querySelector(".rows > .row");
    const box = row.getBoundingClientRect();
    return [...row.querySelectorAll(".c-actions > *, .c-cuando, .c-proof")].every(each => {
        const { left, right, top, bottom } = each.getBoundingClientRect();
        return left >= box.left && right <= Math.min(box.right, innerWidth)
            && top >= box.top - 1 && bottom <= box.bottom + 1;
    });
}"""


@pytest.mark.parametrize("percent", [100, 125, 150, 200])
async def test_larger_letters_cut_nothing_off(service: Service, percent: int) -> None:
    # What a person sets for all pages, which widths of the screen in em follow, too.
    async with chromium(f"--blink-settings=defaultFontSize={16 * percent // 100}") as browser:
        visit = Visit(await browser.new_page(), service)
        page = visit.page
        await visit.open("/respaldos")
        await visit.log_in()
        row = page.get_by_role("row").nth(1)
        await expect(row).to_be_visible()
        for width in (1280, 1000, 640, 360):
            await page.set_viewport_size({"width": width, "height": 800})
            buttons = row.locator(".c-actions > *")
            await expect(buttons).to_have_count(4)
            # Until it is drawn for this width.
            await page.wait_for_function(INSIDE)
            assert await page.evaluate("document.documentElement.scrollWidth <= innerWidth"), (percent, width)
        assert visit.problems == []


async def test_the_calendar_is_told_apart_on_paper(visit: Visit) -> None:
    page = visit.page
    await visit.open()
    await visit.log_in()
    await expect(page.get_by_role("heading", name="Los últimos 90 días")).to_be_visible()
    await page.emulate_media(media="print")
    good = page.locator(".calendar .day.good").last
    assert await good.evaluate("day => getComputedStyle(day).printColorAdjust") == "exact"
    await expect(page.get_by_role("navigation")).to_be_hidden()
    await expect(page.get_by_role("button", name="Salir")).to_be_hidden()
    await expect(page.get_by_text("¿Qué perdió?")).to_be_hidden()
