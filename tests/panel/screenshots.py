"""`python -m tests.panel.screenshots`: every page of the panel into docs/panel/, at two widths, light and dark."""

import asyncio
import json
import re
import secrets
import sys
import tempfile
from base64 import b64decode, b64encode
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Literal
from zoneinfo import ZoneInfo

import asyncpg
from playwright.async_api import Browser, Page

from app.connections.resources import open_resources
from app.demo import embedded
from app.demo.sample.clinics import DEMO_CLINICS, DEMO_PASSWORD, SUPERUSER_EMAIL
from app.demo.sample.generate import create_schema, fill
from app.migrate import migrate
from app.respaldos.backup.run import crear_respaldo
from app.respaldos.models import TipoRespaldo
from app.settings import DEMO_RULES, Settings
from app.storage.bucket import configure_bucket
from tests.conftest import plain_url
from tests.support.browser import chromium
from tests.support.patients import add_appointment, add_patient, remove_patient
from tests.support.processes import free_of_nights, running_api, running_worker

FOLDER = Path(__file__).parents[2] / "docs" / "panel"
LA_PAZ = ZoneInfo("America/La_Paz")
WIDTHS = {"360": 360, "1280": 1280}
Scheme = Literal["light", "dark"]
SCHEMES: tuple[Scheme, ...] = ("light", "dark")
HEIGHT = 800

# Ninety nights of a clinic of which two failed and one was missed, with a proof every week.
HISTORY = """
    INSERT INTO respaldos.respaldo (clinica_id, estado, tipo_respaldo, descripcion, fecha_respaldo, fecha_creacion,
        archivo_s3, hash_md5, tamaño_bytes, numero_registros, tiempo_ejecucion, verificado, verificado_profundidad,
        metadata)
    SELECT $1::bigint, CASE WHEN failed THEN 'fallido' ELSE 'completado' END, 'automatico',
        'Respaldo automático de la noche',
        moment, moment, CASE WHEN NOT failed THEN 'backups/' || $1::bigint || '/historia/' || n || '.json.gz' END,
        CASE WHEN NOT failed THEN md5(n::text) END,
        CASE WHEN NOT failed THEN 1150000 - n * 2900 + (n * 7919 % 13) * 900 END,
        CASE WHEN NOT failed THEN 15000 - n * 31 END,
        CASE WHEN NOT failed THEN make_interval(secs => 1.1 + (n * 31 % 17) / 20.0) END,
        CASE WHEN NOT failed AND n % 7 = 3 THEN moment + interval '9 hours' END,
        CASE WHEN NOT failed AND n % 7 = 3 THEN 'ensayo' END,
        CASE WHEN failed THEN '{"error": "no respondió", "error_type": "almacenamiento_no_disponible"}'
            ELSE '{"modelos_respaldados": ["pacientes"], "detalles_registros": {"pacientes": 2900}}' END::jsonb
    FROM (SELECT n, n IN (23, 51) AS failed, ($2::timestamptz - make_interval(days => n)) AS moment
        FROM generate_series($3::int, 89) AS n WHERE n <> 37) AS nights
"""


@asynccontextmanager
async def clinics(home: Path) -> AsyncIterator[tuple[str, dict[str, str]]]:
    """The demo's clinics with a history, served: the address, and the settings of the processes."""
    with embedded.running(home) as found:
        settings = {
            "DATABASE_URL": plain_url(found.database_url or ""),
            "REDIS_URL": found.redis_url or "",
            "AWS_ENDPOINT_URL_S3": found.s3_endpoint_url or "",
            "AWS_BACKUP_BUCKET_NAME": "respaldos",
            "AWS_ACCESS_KEY_ID": found.s3_access_key_id or "",
            "AWS_SECRET_ACCESS_KEY": found.s3_secret_access_key or "",
            "JWT_SECRET": secrets.token_hex(32),
            "OWNERSHIP_RULES": DEMO_RULES,
        } | free_of_nights(datetime.now(LA_PAZ).hour)
        await _prepared(settings)
        log = home / "log"
        async with running_api(settings, log) as api, running_worker(settings, log):
            yield str(api.base_url).rstrip("/"), settings


def _chosen(settings: dict[str, str]) -> Settings:
    values: dict[str, Any] = {name.lower(): value for name, value in settings.items()}
    return Settings(_env_file=None, **values)


async def _make_points(settings: dict[str, str]) -> None:
    """One of a morning's work, and one an hour later, since when nothing has changed."""
    await _change(settings["DATABASE_URL"])
    async with open_resources(_chosen(settings)) as resources:
        for _ in range(2):
            await crear_respaldo(resources, clinica_id=1, tipo=TipoRespaldo.PUNTO)


async def _prepared(settings: dict[str, str]) -> None:
    chosen = _chosen(settings)
    connection = await asyncpg.connect(settings["DATABASE_URL"])
    try:
        await create_schema(connection)
        await fill(connection, DEMO_CLINICS)
        await migrate(chosen.database_url.get_secret_value() if chosen.database_url else "")
        tonight = datetime.now(LA_PAZ).replace(hour=2, minute=0, second=9, microsecond=0)
        if tonight > datetime.now(LA_PAZ):
            tonight -= timedelta(days=1)
        await connection.execute(HISTORY, 1, tonight, 1)
        await connection.execute(HISTORY, 3, tonight, 5)
        async with open_resources(chosen) as resources:
            await configure_bucket(resources.storage)
            made = await crear_respaldo(resources, clinica_id=1, tipo=TipoRespaldo.AUTOMATICO, descripcion="")
            await connection.execute(
                "UPDATE respaldos.respaldo SET fecha_respaldo = $2, fecha_creacion = $2 WHERE id = $1",
                made.id,
                tonight,
            )
            # Yesterday there was a little less of what a clinic writes every day.
            counts = made.metadata_["detalles_registros"]
            before = counts | {
                name: counts[name] - fewer
                for name, fewer in {
                    "bitacoras": 64,
                    "consultas": 9,
                    "pacientes": 2,
                    "pagos": 7,
                    "facturas": 6,
                }.items()
            }
            await connection.execute(
                "UPDATE respaldos.respaldo SET numero_registros = $3,"
                " metadata = metadata || jsonb_build_object('detalles_registros', $2::jsonb)"
                " WHERE clinica_id = 1 AND id = $1",
                await connection.fetchval(
                    "SELECT id FROM respaldos.respaldo WHERE clinica_id = 1 AND fecha_respaldo < $1"
                    " ORDER BY fecha_respaldo DESC LIMIT 1",
                    tonight,
                ),
                json.dumps(before),
                sum(before.values()),
            )
    finally:
        await connection.close()


async def logged_in(page: Page, url: str, email: str) -> None:
    """The page after logging in."""
    await page.goto(f"{url}/panel/")
    await page.get_by_label("Correo").fill(email)
    await page.get_by_label("Contraseña").fill(DEMO_PASSWORD)
    await page.get_by_role("button", name="Ingresar").click()
    await page.get_by_role("button", name="Salir").wait_for()


# What the browser makes of a PNG: WebP takes a fifth of it.
SMALLER = """async ([png, scale, quality]) => {
    const image = await createImageBitmap(await (await fetch(png)).blob());
    const [width, height] = [Math.round(image.width * scale), Math.round(image.height * scale)];
    const canvas = Object.assign(document.createElement("canvas"), { width, height });
    const context = canvas.getContext("2d");
    context.imageSmoothingQuality = "high";
    context.drawImage(image, 0, 0, width, height);
    return canvas.toDataURL("image/webp", quality);
}"""
SCALES = {"360": 0.75, "1280": 0.6}
QUALITY = 0.4


class Album:
    """Saves the page that a tab shows, at each width, light and dark. `studio` is another tab, to convert them in."""

    def __init__(self, page: Page, studio: Page, folder: Path) -> None:
        self._page = page
        self._studio = studio
        self._folder = folder

    async def take(self, name: str, *, whole: bool = True) -> None:
        """As it is now; `whole`, or no more than fits on the screen."""
        for width_name, width in WIDTHS.items():
            await self._page.set_viewport_size({"width": width, "height": HEIGHT})
            for scheme in SCHEMES:
                await self._page.emulate_media(color_scheme=scheme, reduced_motion="reduce")
                await self._page.wait_for_load_state("networkidle")
                png = await self._page.screenshot(full_page=whole, animations="disabled", caret="hide")
                given = f"data:image/png;base64,{b64encode(png).decode()}"
                made: str = await self._studio.evaluate(SMALLER, [given, SCALES[width_name], QUALITY])
                path = self._folder / f"{name}-{width_name}-{scheme}.webp"
                path.write_bytes(b64decode(made.partition(",")[2]))


async def photograph(browser: Browser, url: str, settings: dict[str, str], folder: Path) -> None:
    """Every page, into the folder."""
    database_url = settings["DATABASE_URL"]
    context = await browser.new_context(locale="es-BO", timezone_id="America/La_Paz")
    page = await context.new_page()
    album = Album(page, await context.new_page(), folder)
    await page.goto(f"{url}/panel/")
    await page.get_by_label("Correo").wait_for()
    await album.take("ingreso")
    await logged_in(page, url, "admin@clinica1.example")
    await page.get_by_role("heading", name="Los últimos 90 días").wait_for()
    await album.take("resumen")
    await page.get_by_role("link", name="Respaldos", exact=True).click()
    await page.get_by_role("row").nth(3).wait_for()
    await album.take("lista", whole=False)
    await page.get_by_role("row").nth(1).get_by_role("link").first.click()
    await page.get_by_role("heading", name="Qué contiene").wait_for()
    await page.get_by_role("heading", name="Quién hizo qué").wait_for()
    await album.take("detalle")
    await page.get_by_role("button", name="Eliminar").click()
    await page.get_by_role("dialog").wait_for()
    await album.take("eliminar", whole=False)
    await page.get_by_role("button", name="No eliminar").click()
    await page.get_by_role("button", name="Comprobar").click()
    await album.take("comprobar", whole=False)
    await page.get_by_role("button", name="Cerrar").click()
    patient = await _add_patient(database_url)
    await page.get_by_role("link", name="Crear respaldo").click()
    await page.get_by_label("Para qué es").fill("Antes de cambiar los precios")
    await album.take("crear")
    await page.get_by_role("button", name="Crear respaldo").click()
    await page.get_by_role("heading", name="Listo").wait_for(timeout=60_000)
    await album.take("creado")
    await _change(database_url)
    await page.get_by_role("link", name="Ver este respaldo").click()
    await page.get_by_role("button", name="Retener").click()
    await page.get_by_label("Por qué se conserva").fill("Lo pide la auditoría del Ministerio")
    await album.take("retener", whole=False)
    await page.get_by_role("dialog").get_by_role("button", name="Retener").click()
    await page.get_by_text("Está retenido").wait_for()
    await page.get_by_role("button", name="Exportar", exact=True).click()
    await album.take("exportar", whole=False)
    await page.get_by_role("button", name="Preparar los datos").click()
    await page.get_by_text("Se descarga una sola vez").wait_for(timeout=60_000)
    await album.take("exportado")
    await page.get_by_role("link", name="Restaurar").click()
    await page.get_by_role("button", name="Ver qué cambiaría").wait_for()
    await album.take("restaurar")
    await page.get_by_label("Exactamente como estaba entonces").check()
    await page.get_by_role("button", name="Ver qué cambiaría").click()
    await page.get_by_role("heading", name="Esto cambiaría").wait_for(timeout=60_000)
    await page.get_by_text("Ejemplos de pacientes").click()
    await album.take("vista-previa")
    await page.get_by_label("¿Por qué se recupera?").fill("Se cambiaron direcciones por error")
    await page.get_by_label("Para confirmar").fill(DEMO_CLINICS[0].nombre)
    await page.get_by_role("button", name="Restaurar ahora").click()
    await page.get_by_role("heading", name="Listo").wait_for(timeout=60_000)
    await album.take("restaurado")
    # The backup of how things were before: what had changed since the one that was restored.
    await page.get_by_role("link", name=re.compile(r"^respaldo \d+$")).click()
    await page.get_by_role("button", name="Ver qué cambió desde el anterior").click()
    await page.get_by_text("Ejemplos de pacientes").click(timeout=60_000)
    await album.take("comparado")
    await _delete_patient(database_url, patient)
    await page.get_by_role("link", name="Recuperar datos").click()
    await page.get_by_label("¿Qué perdió?").fill("munoz")
    await page.get_by_role("button", name="Buscar").click()
    await page.get_by_text("Se encontr").wait_for(timeout=60_000)
    await page.get_by_role("checkbox").first.check()
    await album.take("buscar", whole=False)
    await page.get_by_role("button", name="Ver campo por campo").first.click()
    await page.get_by_role("dialog").get_by_text("No está.").wait_for(timeout=60_000)
    await album.take("historia", whole=False)
    await page.get_by_role("button", name=re.compile("^Ver todo como estaba")).first.click()
    await page.get_by_role("dialog").get_by_text("Muñoz Peñaranda").first.wait_for(timeout=60_000)
    await album.take("entero", whole=False)
    await page.get_by_role("button", name="Cerrar").click()
    await page.get_by_role("button", name="Seguir", exact=True).click()
    await album.take("elegido")
    await page.get_by_role("button", name="Ver qué volvería").click()
    await page.get_by_role("heading", name="Esto cambiaría").wait_for(timeout=60_000)
    await album.take("recuperar")
    await page.route("**/api/**", lambda route: route.abort())
    await page.get_by_role("link", name="Respaldos", exact=True).click()
    await page.get_by_text("Sin conexión").wait_for()
    await album.take("sin-conexion", whole=False)
    await page.unroute("**/api/**")
    await page.evaluate(
        "sessionStorage.setItem('respaldos.sesion', sessionStorage['respaldos.sesion'].replace('eyJ', 'x'))"
    )
    await page.goto(f"{url}/panel/respaldos/nuevo")
    await page.get_by_role("heading", name="Su sesión terminó").wait_for()
    await album.take("sesion-terminada", whole=False)
    await page.get_by_role("button", name="Ingresar como otra persona").click()
    await logged_in(page, url, SUPERUSER_EMAIL)
    await page.get_by_role("row").nth(2).wait_for()
    await album.take("clinicas")
    await page.get_by_role("link", name=DEMO_CLINICS[0].nombre).click()
    await page.get_by_role("button", name="Cambiar los respaldos de día").click()
    await page.get_by_label("Solo para esta clínica").check()
    await page.get_by_label("Cada cuánto").select_option("60")
    await page.get_by_label("Desde las").fill("08:00")
    await page.get_by_label("Hasta las").fill("19:00")
    await album.take("puntos", whole=False)
    await page.get_by_role("button", name="Guardar").click()
    await page.get_by_text("Respaldos de día: cada hora").wait_for()
    await _make_points(settings)
    await page.get_by_role("link", name="Respaldos", exact=True).click()
    await page.get_by_text("Durante el día").nth(1).wait_for()
    await album.take("puntos-lista", whole=False)
    await page.goto(f"{url}/panel/")
    await page.get_by_role("link", name="Quién hizo qué").click()
    await page.get_by_role("row").nth(2).wait_for()
    await album.take("eventos", whole=False)
    await context.close()


async def _change(database_url: str) -> None:
    """A person's work of a morning, to be undone."""
    connection = await asyncpg.connect(database_url)
    try:
        await connection.execute(
            "UPDATE paciente SET direccion = 'Av. Arce 2315' WHERE codusuario IN"
            " (SELECT codusuario FROM paciente WHERE clinica_id = 1 ORDER BY codusuario LIMIT 3)"
        )
        await connection.execute(
            "DELETE FROM bitacora WHERE id IN (SELECT id FROM bitacora WHERE clinica_id = 1 ORDER BY id LIMIT 12)"
        )
    finally:
        await connection.close()


async def _add_patient(database_url: str) -> int:
    """One who will be deleted; her key."""
    connection = await asyncpg.connect(database_url)
    try:
        code = await add_patient(connection, 1, "Ana María", "Muñoz Peñaranda")
        await add_appointment(connection, 1, code, "Limpieza y control")
        return code
    finally:
        await connection.close()


async def _delete_patient(database_url: str, code: int) -> None:
    """And the history, in which there is no file to search."""
    connection = await asyncpg.connect(database_url)
    try:
        await remove_patient(connection, code)
        await connection.execute("DELETE FROM respaldos.respaldo WHERE archivo_s3 LIKE 'backups/1/historia/%'")
    finally:
        await connection.close()


async def main(folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as home:
        async with clinics(Path(home)) as (url, settings), chromium() as browser:
            await photograph(browser, url, settings, folder)


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1]) if len(sys.argv) > 1 else FOLDER))
