"""What a person does with the panel, in a real browser against the real service."""

import hashlib
import json
import re
from datetime import UTC, datetime, timedelta
from pathlib import Path
from zipfile import ZipFile

import httpx
import jwt
import pytest
from playwright.async_api import expect

from app.demo.sample.clinics import DEMO_PASSWORD, SUPERUSER_EMAIL
from tests.panel.conftest import ADMIN, Service, Visit
from tests.respaldos.conftest import LARGE, NEW, SMALL
from tests.support.processes import eventually

pytestmark = [
    pytest.mark.asyncio(loop_scope="module"),
    pytest.mark.timeout(180),
]

STAFF = f"recepcion@clinica{LARGE}.example"
NAME = "Clínica pequeña"


async def created(visit: Visit, descripcion: str) -> int:
    """The number of a backup that was made from the page that creates one."""
    await visit.follow("Crear respaldo")
    await visit.page.get_by_label("Para qué es").fill(descripcion)
    await visit.press("Crear respaldo")
    await visit.shows("Listo: sus datos están guardados")
    return int(re.search(r"respaldo=(\d+)", visit.page.url)[1])  # type: ignore[index]


async def test_the_first_page_is_light(visit: Visit) -> None:
    await visit.open()
    await expect(visit.page.get_by_role("heading", name="Ingrese para ver sus respaldos")).to_be_visible()
    await visit.accessible()
    visit.requests.clear()
    await visit.open()
    await visit.log_in()
    await visit.shows("Todavía no hay ningún respaldo bueno")
    await expect(visit.page.get_by_role("heading", name="Los últimos 90 días")).to_be_visible()
    loaded = json.loads(
        await visit.page.evaluate(
            """JSON.stringify(performance.getEntriesByType("resource").filter(({ name }) => name.endsWith(".js"))
                .map(({ name, encodedBodySize }) => [name, encodedBodySize]))"""
        )
    )
    assert 50_000 < sum(size for _, size in loaded) < 200_000, loaded
    await visit.accessible()


async def test_a_wrong_password_is_said_and_nothing_is_shown(visit: Visit) -> None:
    await visit.open("/respaldos")
    await visit.log_in(password="otra cosa")
    await expect(visit.page.get_by_role("alert")).to_contain_text("no son correctos")
    await visit.accessible()
    await visit.page.get_by_label("Contraseña").fill(DEMO_PASSWORD)
    await visit.press("Ingresar")
    # The address that was typed is where the person gets.
    await visit.shows("Todavía no hay respaldos")
    await visit.accessible()


async def test_a_backup_is_created_seen_downloaded_checked_and_deleted(
    visit: Visit, service: Service, tmp_path: Path
) -> None:
    await visit.open()
    await visit.log_in()
    first = await created(visit, "Antes de cambiar los precios")
    await visit.accessible()
    await visit.follow("Ver este respaldo")
    await visit.shows("Qué contiene")
    await expect(visit.page.get_by_text("Antes de cambiar los precios")).to_be_visible()
    await expect(visit.page.get_by_text("pidió el respaldo")).to_be_visible()
    await visit.accessible()

    async with visit.page.expect_download() as downloading:
        await visit.press("Descargar")
    download = await downloading.value
    await download.save_as(tmp_path / "file")
    content = (tmp_path / "file").read_bytes()
    row = await service.conn.fetchrow("SELECT * FROM respaldos.respaldo WHERE id = $1", first)
    assert row is not None
    assert hashlib.md5(content, usedforsecurity=False).hexdigest() == row["hash_md5"]
    assert download.suggested_filename == row["archivo_s3"].rpartition("/")[2]
    await expect(visit.page.get_by_text(row["hash_md5"])).to_be_visible()

    await visit.press("Comprobar")
    await visit.accessible()
    await visit.page.get_by_role("dialog").get_by_role("button", name="Comprobar").click()
    await expect(visit.page.get_by_text("Comprobación: prueba de recuperación").first).to_be_visible()
    await expect(visit.page.get_by_text("Salió bien").first).to_be_visible()

    # The only good one stays.
    await visit.press("Eliminar")
    await visit.press("Eliminar el respaldo")
    await expect(visit.page.get_by_role("alert")).to_contain_text("es el único bueno")
    await visit.press("No eliminar")
    second = await created(visit, "")
    await visit.follow("Respaldos")
    line = visit.page.get_by_role("row").filter(has_text="Antes de cambiar los precios")
    await line.get_by_role("button", name=f"Eliminar el respaldo {first}").click()
    question = visit.page.get_by_role("dialog", name=f"¿Eliminar el respaldo {first}?")
    await expect(question).to_contain_text("Antes de cambiar los precios")
    await visit.press("Eliminar el respaldo")
    await expect(line).to_be_hidden()
    await expect(visit.page.get_by_role("row")).to_have_count(2)
    await visit.accessible()
    live = "SELECT array_agg(id) FROM respaldos.respaldo WHERE clinica_id = $1 AND fecha_eliminacion IS NULL"
    assert await service.conn.fetchval(live, SMALL) == [second]
    await visit.press("Cerrar este aviso")
    await visit.page.get_by_label("Estado").select_option("Eliminados, por recuperar")
    await expect(visit.page).to_have_url(re.compile("eliminados=true"))
    await visit.press(f"Recuperar el respaldo {first}")
    await visit.shows("Ningún respaldo es así")
    await visit.accessible()
    await visit.press("Quitar filtros")
    await expect(line).to_be_visible()
    await visit.follow("Resumen")
    await visit.shows("Sus datos están a salvo")
    await visit.accessible()


async def test_the_list_follows_a_running_backup_to_its_end(visit: Visit, service: Service) -> None:
    await visit.open()
    await visit.log_in()
    await created(visit, "Para saber cuánto falta")
    async with service.conn.transaction():
        # The worker has begun, and waits for this.
        await service.conn.execute("LOCK paciente IN ACCESS EXCLUSIVE MODE")
        await visit.follow("Crear respaldo")
        await visit.page.get_by_label("Para qué es").fill("Mientras miro")
        await visit.press("Crear respaldo")
        await expect(visit.page.get_by_role("progressbar")).to_be_visible()
        await visit.follow("Respaldos")
        line = visit.page.get_by_role("row").filter(has_text="Mientras miro")
        await expect(line.get_by_role("progressbar", name="Preparando")).to_be_visible()
        await expect(line.get_by_text("0 %")).to_be_visible()
        await visit.accessible()
    # Long before the list is looked at again by itself.
    await expect(line.get_by_text("Completado")).to_be_visible(timeout=25_000)
    await expect(line.get_by_role("progressbar")).to_have_count(0)


async def test_what_changed_since_the_backup_before(visit: Visit, service: Service) -> None:
    await visit.open()
    await visit.log_in()
    await created(visit, "Antes")
    await service.conn.execute(
        "UPDATE paciente SET direccion = 'Calle nueva' WHERE codusuario ="
        " (SELECT min(codusuario) FROM paciente WHERE clinica_id = $1)",
        SMALL,
    )
    await created(visit, "Después")
    await visit.follow("Ver este respaldo")
    await visit.press("Ver qué cambió desde el anterior")
    await expect(visit.page.get_by_text("Cambió 1 registro.")).to_be_visible()
    await visit.page.get_by_text("Ejemplos de pacientes").click()
    await expect(visit.page.get_by_text("Calle nueva")).to_be_visible()
    await expect(visit.page.get_by_text("comparó este respaldo con otro")).to_be_visible()
    await visit.accessible()


async def test_the_data_is_taken_away_once(visit: Visit, service: Service, tmp_path: Path) -> None:
    page = visit.page
    await visit.open()
    await visit.log_in()
    respaldo_id = await created(visit, "Para el contador")
    await page.set_viewport_size({"width": 360, "height": 740})
    await visit.follow("Ver este respaldo")
    button = page.get_by_role("button", name="Exportar", exact=True)
    await button.focus()
    await page.keyboard.press("Enter")
    await expect(page.get_by_role("dialog", name=f"Exportar los datos del respaldo {respaldo_id}")).to_be_visible()
    await expect(page.get_by_role("radio", name="Para Excel")).to_be_checked()
    await visit.accessible()
    await page.keyboard.press("Escape")
    await expect(button).to_be_focused()
    await button.press("Enter")
    await page.get_by_role("radio", name="Para Excel").press("ArrowDown")
    await expect(page.get_by_role("radio", name="CSV")).to_be_checked()
    await visit.press("Preparar los datos")
    await expect(button).to_be_focused()
    await visit.shows("Datos exportados")
    await expect(page.get_by_text("Se descarga una sola vez, hasta el")).to_be_visible()
    await expect(page.get_by_text("Hay datos exportados listos")).to_have_count(1)
    await visit.accessible()
    assert await page.evaluate("document.documentElement.scrollWidth") <= 360

    async with page.expect_download() as downloading:
        await visit.press("Descargar: CSV")
    download = await downloading.value
    await download.save_as(tmp_path / "file.zip")
    assert download.suggested_filename.endswith("_csv.zip")
    with ZipFile(tmp_path / "file.zip") as archive:
        assert archive.testzip() is None
        (patients,) = [name for name in archive.namelist() if name.endswith("/pacientes.csv")]
        assert archive.read(patients).decode("utf-8-sig").count("\r\n") > 1
    await expect(page.get_by_text("Si no llegó entero, se puede otra vez")).to_be_visible()
    await visit.accessible()
    await page.reload()
    await expect(page.get_by_text("descargó los datos exportados")).to_be_visible()


async def test_a_clinic_is_restored_after_seeing_what_changes(visit: Visit, service: Service) -> None:
    addresses = "SELECT array_agg(direccion ORDER BY codusuario) FROM paciente WHERE clinica_id = $1"
    before = await service.conn.fetchval(addresses, SMALL)
    await visit.open()
    await visit.log_in()
    await created(visit, "Antes del error")
    await service.conn.execute("UPDATE paciente SET direccion = 'Calle equivocada' WHERE clinica_id = $1", SMALL)
    await visit.follow("Ver este respaldo")
    await visit.follow("Restaurar")
    await visit.shows("Restaurar")
    await visit.accessible()
    await visit.page.get_by_label("Algunas cosas").check()
    await visit.page.get_by_label("Pacientes").check()
    await expect(visit.page.get_by_label("Solo lo que falta")).to_be_checked()
    await visit.page.get_by_label("Exactamente como estaba entonces").check()
    await visit.press("Ver qué cambiaría")
    await visit.shows("Esto cambiaría")
    await expect(visit.page.get_by_text(f"Se corrigen {len(before)} registros")).to_be_visible()
    await visit.page.get_by_text("Ejemplos de pacientes").click()
    await expect(visit.page.get_by_text("Calle equivocada").first).to_be_visible()
    await visit.accessible()
    assert set(await service.conn.fetchval(addresses, SMALL)) == {"Calle equivocada"}

    await visit.page.get_by_label("¿Por qué se recupera?").fill("Se cambiaron por error")
    await visit.page.get_by_label("Para confirmar").fill("Clínica grande")
    await visit.page.keyboard.press("Enter")
    await expect(visit.page.get_by_role("alert")).to_contain_text("No es el nombre")
    await visit.page.get_by_label("Para confirmar").fill(NAME)
    await visit.page.keyboard.press("Enter")
    await visit.shows("Listo: los datos están como en el respaldo")
    # Read out: the focus is where the result begins.
    await expect(visit.page.get_by_role("heading", name="Listo")).to_be_focused()
    await visit.accessible()
    assert await service.conn.fetchval(addresses, SMALL) == before


async def test_a_session_that_ends_keeps_what_was_being_done(visit: Visit) -> None:
    page = visit.page
    await page.clock.install()
    await visit.open()
    await visit.log_in()
    await visit.follow("Crear respaldo")
    await page.get_by_label("Para qué es").fill("A medio escribir")
    await page.clock.fast_forward("07:56:00")
    await expect(page.get_by_text("Su sesión termina en 4 minutos")).to_be_visible()
    await visit.accessible()
    await page.clock.fast_forward("05:00")
    await visit.shows("Su sesión terminó")
    await visit.accessible()
    # The focus is where the password goes.
    await page.keyboard.type(DEMO_PASSWORD)
    await page.keyboard.press("Enter")
    await expect(page.get_by_role("dialog")).to_be_hidden()
    await expect(page.get_by_label("Para qué es")).to_have_value("A medio escribir")


async def test_a_token_that_the_service_refuses_ends_the_session(visit: Visit, service: Service) -> None:
    await visit.open()
    await visit.log_in()
    await visit.shows("Sus datos están")
    session = json.loads(await visit.page.evaluate("sessionStorage.getItem('respaldos.sesion')"))
    claims = jwt.decode(session["token"], options={"verify_signature": False})
    claims["exp"] = int((datetime.now(UTC) - timedelta(hours=1)).timestamp())
    session["token"] = jwt.encode(claims, service.settings["JWT_SECRET"])
    await visit.page.evaluate("text => sessionStorage.setItem('respaldos.sesion', text)", json.dumps(session))
    await visit.page.reload()
    await visit.shows("Su sesión terminó")
    # Another tab has no session, and this one none any more.
    assert await visit.page.evaluate("sessionStorage.length + localStorage.length") == 0
    await visit.press("Ingresar como otra persona")
    await visit.shows("Ingrese para ver sus respaldos")


async def test_what_takes_data_away_asks_for_the_password_and_goes_on(visit: Visit, service: Service) -> None:
    page = visit.page
    await visit.open()
    await visit.log_in()
    made = await created(visit, "Para sacarlo")
    session = json.loads(await page.evaluate("sessionStorage.getItem('respaldos.sesion')"))
    claims = jwt.decode(session["token"], options={"verify_signature": False})
    claims["auth_time"] -= 16 * 60
    session["token"] = jwt.encode(claims, service.settings["JWT_SECRET"])
    await page.evaluate("text => sessionStorage.setItem('respaldos.sesion', text)", json.dumps(session))
    await visit.open(f"/respaldos/{made}")
    await visit.press("Exportar")
    await visit.press("Preparar los datos")
    await visit.shows("Confirme que es usted")
    await visit.accessible()
    # The focus is where the password goes.
    await page.keyboard.type("no es esta")
    await page.keyboard.press("Enter")
    await expect(page.get_by_role("alert")).to_contain_text("La contraseña no es correcta")
    await page.get_by_label("Contraseña").fill(DEMO_PASSWORD)
    await page.keyboard.press("Enter")
    # Nobody has to press anything again, and once is enough.
    await visit.shows("Datos exportados")
    await expect(page.get_by_role("dialog")).to_be_hidden()
    async with page.expect_download() as download:
        await page.get_by_role("button", name="Descargar", exact=True).click()
    assert (await download.value).suggested_filename.endswith(".json.gz")
    used = json.loads(await page.evaluate("sessionStorage.getItem('respaldos.sesion')"))["token"]
    await visit.press("Salir")
    await visit.shows("Ingrese para ver sus respaldos")

    async def ended() -> bool:
        async with httpx.AsyncClient(base_url=service.url, headers={"Authorization": f"Bearer {used}"}) as client:
            return (await client.get("/api/v1/auth/verificar-token/")).status_code == 401

    await eventually(ended)


async def test_the_service_goes_away_and_comes_back(visit: Visit, service: Service) -> None:
    await visit.open()
    await visit.log_in()
    await visit.shows("Sus datos están")
    await visit.follow("Crear respaldo")
    await visit.shows("Crear un respaldo")
    await service.proxy.refuse()
    try:
        await visit.press("Crear respaldo")
        await expect(visit.page.get_by_role("alert")).to_contain_text("El servicio no responde")
        await expect(visit.page.get_by_text("Sin conexión con el servicio")).to_be_visible()
        await visit.accessible()
    finally:
        await service.proxy.listen()
    # Nobody has to do anything.
    await expect(visit.page.get_by_text("Sin conexión con el servicio")).to_be_hidden()
    await visit.follow("Respaldos")
    await expect(visit.page.get_by_role("row").nth(1)).to_be_visible()


async def test_another_clinics_backup_is_not_there(visit: Visit, service: Service) -> None:
    theirs = await service.conn.fetchval(
        "INSERT INTO respaldos.respaldo (clinica_id, estado, tipo_respaldo) VALUES ($1, 'fallido', 'manual')"
        " RETURNING id",
        LARGE,
    )
    await visit.open(f"/respaldos/{theirs}")
    await visit.log_in()
    await visit.shows("No se encontró")
    await expect(visit.page.get_by_role("alert")).to_contain_text(f"No existe el respaldo {theirs}")
    await visit.accessible()
    for path in (f"/clinica/{LARGE}/respaldos", "/respaldos/otro"):
        await visit.open(path)
        await visit.shows("Esta página no existe")


async def test_staff_may_look_and_no_more(visit: Visit) -> None:
    await visit.open()
    await visit.log_in(STAFF)
    await visit.shows("Todavía no hay ningún respaldo bueno")
    await expect(visit.page.get_by_role("link", name="Crear")).to_have_count(0)
    await visit.open("/respaldos/nuevo")
    await expect(visit.page.get_by_text("Solo quien administra la clínica puede crear")).to_be_visible()


async def test_the_superadmin_sees_the_worst_clinic_first_and_goes_into_it(visit: Visit) -> None:
    await visit.open()
    await visit.log_in(SUPERUSER_EMAIL)
    await visit.shows("necesitan atención")
    rows = visit.page.get_by_role("row")
    await expect(rows).to_have_count(4)
    await expect(rows.nth(3)).to_contain_text(NAME)
    await visit.accessible()
    await visit.follow("Clínica nueva")
    await visit.shows("Todavía no hay ningún respaldo bueno")
    assert visit.page.url.endswith(f"/panel/clinica/{NEW}")
    await created(visit, "Por la plataforma")
    await visit.follow("Todas las clínicas")
    # The hourly trial may have come to it by then.
    await expect(rows.filter(has_text="Clínica nueva")).to_contain_text(re.compile("Sin comprobar|Al día"))
    await visit.page.get_by_label("Buscar una clínica").fill("NUÉVA")
    await expect(rows).to_have_count(2)
    await visit.follow("Quién hizo qué")
    await expect(rows.filter(has_text="pidió el respaldo")).to_contain_text([f"Clínica {NEW}"])
    await visit.page.get_by_label("Número de la clínica").fill(str(NEW))
    await expect(rows.filter(has_text="ningún")).to_have_count(0)
    await visit.page.get_by_label("Qué hizo").select_option("Pidió el respaldo")
    await expect(rows).to_have_count(2)
    await visit.accessible()
    await visit.page.get_by_label("Día", exact=True).fill("2020-01-01")
    await visit.shows("No hay nada así")
    await visit.page.reload()
    await visit.shows("No hay nada así")


async def test_ten_thousand_backups_are_no_slower_than_a_hundred(visit: Visit, service: Service) -> None:
    await service.conn.execute(
        "INSERT INTO respaldos.respaldo (clinica_id, estado, tipo_respaldo, fecha_respaldo, tamaño_bytes)"
        " SELECT $1, 'fallido', 'automatico', now() - make_interval(hours => n), n"
        " FROM generate_series(1, 10000) AS n",
        LARGE,
    )
    page = visit.page
    await visit.open("/respaldos?tipo=automatico")
    await visit.log_in(f"admin@clinica{LARGE}.example")
    await expect(page.get_by_text("10.000 respaldos")).to_be_visible()
    await page.get_by_role("button", name="Tamaño").click()
    await expect(page).to_have_url(re.compile(r"orden=-tama"))
    await expect(page.get_by_role("row").nth(1)).to_contain_text("10 kB")
    asked = len(visit.requests)
    await page.keyboard.press("End")
    last = page.locator('[aria-rowindex="10001"]')
    await expect(last).to_contain_text("1 kB")
    assert await page.get_by_role("row").count() < 60
    assert len([request for request in visit.requests[asked:] if "/respaldos/?" in request.url]) < 10
    await page.reload()
    await expect(page.get_by_role("columnheader", name="Tamaño")).to_have_attribute("aria-sort", "descending")


async def test_everything_fits_on_a_small_telephone(visit: Visit) -> None:
    page = visit.page
    # Narrower than any, as WCAG 2.2 has it (1.4.10): what is enlarged four times, too.
    await page.set_viewport_size({"width": 320, "height": 640})
    await visit.open()
    await visit.log_in(ADMIN)
    await visit.shows("Sus datos están")
    for path, there in (
        ("/", "Los últimos 90 días"),
        ("/respaldos", "Respaldos"),
        ("/recuperar", "Recuperar datos"),
        ("/respaldos/nuevo", "Crear un respaldo"),
        ("/respaldos/1", "Quién hizo qué"),
        ("/respaldos/1/restaurar", "Restaurar"),
    ):
        await visit.open(path)
        await expect(page.get_by_role("heading", name=there).first).to_be_visible()
        assert await page.evaluate("document.documentElement.scrollWidth") <= 320, path
        await visit.accessible()
