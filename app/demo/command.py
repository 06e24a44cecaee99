"""`respaldos demo`: everything on this machine, with sample clinics, a first backup of each, and the service."""

import asyncio
import logging
import os
import shlex
import socket
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime
from pathlib import Path
from urllib.error import HTTPError
from urllib.request import urlopen

import asyncpg
import click

from app.cli.commands.backup import show_created
from app.cli.output import json_option, print_json, table, warn
from app.cli.running import run_with
from app.cli.server import listening, serve_http
from app.cli.stay import nothing_left_to_stop
from app.cli.supervisor import keep_working
from app.connections.resources import open_resources
from app.database import asyncpg_url
from app.demo.embedded import postgres_bin
from app.demo.sample.clinics import DEMO_CLINICS, DEMO_PASSWORD, logins
from app.demo.sample.generate import create_schema, fill
from app.errors import EmbeddedServerError, LocalFileError, SettingsError
from app.main import create_app
from app.migrate import migrate
from app.respaldos.backup.run import crear_respaldo
from app.respaldos.cancellation import uninterrupted
from app.respaldos.contract import RespaldoCompleto
from app.respaldos.jobs.run import run_next
from app.respaldos.models import Respaldo, TipoRespaldo
from app.respaldos.reconcile import reconciliar
from app.respaldos.schedule.nights import programar
from app.settings import ADDRESSES, Settings, demo_settings
from app.storage.bucket import configure_bucket

HOST = "127.0.0.1"

# The first that nobody listens on is taken.
PORTS = range(8000, 8100)

# In the home: psql with the address of the demo's database.
PSQL = "psql"

# All that the service needs runs already when it starts (seconds).
READY_SECONDS = 60.0

NEXT = (
    "listar",
    'crear --clinica 1 --descripcion "Antes de la actualización"',
    "ver 1",
    "descargar 1 -o respaldo.json.gz",
    "verificar respaldo.json.gz",
    "verificar 1",
    "catalogo",
    "estadisticas --clinica 1",
    "exportar 1 --formato csv -o clinica_1",
)

# What a person does to see a restore: damage, look, bring back, look again.
DAMAGE = (
    "DELETE FROM bitacora WHERE clinica_id = 1;"
    " UPDATE factura SET montototal = montototal + 10 WHERE clinica_id = 1 AND numero % 90 = 0"
)
WAY_BACK = ("comparar 1", "restaurar 1 --simular", "restaurar 1 --si", "comparar 1")

# For bash. Each works as it stands, after those above it.
CURL = """\
# Ingresar como administración de la clínica 1, y guardar el token
API={address}/api/v1
campo() {{ python3 -c "import json, sys; print(json.load(sys.stdin)$1)"; }}
TOKEN=$(curl -s $API/auth/login/ -H 'Content-Type: application/json' \
-d '{{"email": "{admin}", "contraseña": "{password}"}}' | campo '["token"]')

# Crear un respaldo, y mirarlo hasta que se completa
ID=$(curl -s -X POST $API/respaldos/crear_respaldo_manual/ -H "Authorization: Bearer $TOKEN" \
-H 'Content-Type: application/json' -d '{{"descripcion": "Desde curl"}}' | campo '["respaldo"]["id"]')
curl -sN $API/respaldos/$ID/progreso/ -H "Authorization: Bearer $TOKEN"

# Listar, y ver uno
curl -sw '\\n' "$API/respaldos/?limit=5" -H "Authorization: Bearer $TOKEN"
curl -sw '\\n' $API/respaldos/$ID/ -H "Authorization: Bearer $TOKEN"

# Descargarlo de S3 con su dirección firmada
curl -s -o respaldo.json.gz "$(curl -s $API/respaldos/$ID/descargar/ \
-H "Authorization: Bearer $TOKEN" | campo '["url"]')"

# Verificarlo, y ver cómo salió
curl -sw '\\n' -X POST $API/respaldos/$ID/verificar/ -H "Authorization: Bearer $TOKEN" \
-H 'Content-Type: application/json' -d '{{"profundidad": "completa"}}'
sleep 2
curl -sw '\\n' $API/restauraciones/ -H "Authorization: Bearer $TOKEN"

# Ver qué cambiaría si se lo restaurara: nada, porque acaba de hacerse
curl -sw '\\n' -X POST $API/respaldos/$ID/restaurar/ -H "Authorization: Bearer $TOKEN" \
-H 'Content-Type: application/json' -d '{{"simular": true}}'
sleep 3
curl -sw '\\n' "$API/restauraciones/?limit=1" -H "Authorization: Bearer $TOKEN"

# Estadísticas
curl -sw '\\n' $API/respaldos/estadisticas/ -H "Authorization: Bearer $TOKEN"

# Con el token de la clínica 2, el mismo respaldo no existe: 404
OTRO=$(curl -s $API/auth/login/ -H 'Content-Type: application/json' \
-d '{{"email": "{other_admin}", "contraseña": "{password}"}}' | campo '["token"]')
curl -sw '\\n%{{http_code}}\\n' $API/respaldos/$ID/ -H "Authorization: Bearer $OTRO"

# Eliminar el más antiguo de la lista: 204. Es de esta semana, y para eso se da la contraseña de nuevo
TOKEN=$(curl -s $API/auth/confirmar/ -H "Authorization: Bearer $TOKEN" -H 'Content-Type: application/json' \
-d '{{"contraseña": "{password}"}}' | campo '["token"]')
ANTIGUO=$(curl -s $API/respaldos/ -H "Authorization: Bearer $TOKEN" | campo '[-1]["id"]')
curl -sw '%{{http_code}}\\n' -X DELETE $API/respaldos/$ANTIGUO/ -H "Authorization: Bearer $TOKEN"
"""


@click.command()
@click.option("--una-vez", "once", is_flag=True, help="Prueba que la API arranca, lo muestra todo y termina.")
@json_option
def demo(once: bool, as_json: bool) -> None:
    """Prueba el servicio en esta máquina, sin instalar ni configurar nada.

    Arranca servidores propios en la carpeta .respaldos/, crea clínicas de ejemplo, respalda cada clínica activa
    y sirve el panel y la API hasta que se lo detenga con Ctrl-C. Las direcciones del entorno no se usan.
    """
    settings = demo_settings()

    async def work(addressed: Settings) -> None:
        respaldos = await _prepared(addressed)
        if as_json:
            days = settings.retention_days
            print_json([RespaldoCompleto.of(respaldo, retention_days=days) for respaldo in respaldos])
            return
        for respaldo in respaldos:
            click.echo(f"\nClínica {respaldo.clinica_id}")
            show_created(respaldo)
        _show_commands(settings)
        if not once:
            await _night(addressed)
        await _serve(addressed, once)

    run_with(settings, work)
    nothing_left_to_stop()


def _show_commands(settings: Settings) -> None:
    click.echo(f"\nLos datos están en {settings.respaldos_home.absolute()}")
    inherited = [name for name in ADDRESSES if os.environ.get(name)]
    if inherited:
        warn(
            f"Las órdenes que siguen usarían {', '.join(inherited)} del entorno, y no la demo;"
            f" use antes: unset {' '.join(inherited)}"
        )
    click.echo("\nAhora puede probar, en esta misma carpeta:\n")
    program = os.path.relpath(sys.argv[0])
    for order in NEXT:
        click.echo(f"  {program} {order}")
    click.echo("\nDañar los datos de la clínica 1, y restaurarlos:\n")
    click.echo(f'  {os.path.relpath(settings.respaldos_home / PSQL)} -qc "{DAMAGE}"')
    for order in WAY_BACK:
        click.echo(f"  {program} {order}")


def _write_psql(home: Path, url: str) -> None:
    """Leave a psql in the home that leads to the demo's database, for this user only: it knows the password."""
    script = home / PSQL
    try:
        script.unlink(missing_ok=True)
        with os.fdopen(os.open(script, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o700), "w") as file:
            file.write(f'#!/bin/sh\nexec {shlex.quote(str(postgres_bin() / "psql"))} {shlex.quote(url)} "$@"\n')
    except OSError as exc:
        raise LocalFileError(f"no se puede escribir «{script}»: {exc.strerror}") from exc


async def _prepared(settings: Settings) -> list[Respaldo]:
    """The sample clinics, the service's tables, the bucket, and a backup just made of each active clinic."""
    if settings.database_url is None:
        raise TypeError("the demo's database is embedded, so it has an address")
    url = settings.database_url.get_secret_value()
    _write_psql(settings.respaldos_home, asyncpg_url(url))
    connection = await asyncpg.connect(asyncpg_url(url))
    try:
        # All or nothing, and one demo at a time: the next one looks only whether the first table is there.
        async with connection.transaction():
            await connection.execute("SELECT pg_advisory_xact_lock(hashtext('respaldos.demo'))")
            if await connection.fetchval("SELECT to_regclass('public.clinica')") is None:
                await create_schema(connection)
                await fill(connection, DEMO_CLINICS)
    finally:
        await connection.close()
    await migrate(url)
    async with open_resources(settings) as resources:
        await configure_bucket(resources.storage)
        await reconciliar(resources)
        return [
            await crear_respaldo(
                resources, clinica_id=clinic.id, tipo=TipoRespaldo.MANUAL, descripcion="Primer respaldo de la demo"
            )
            for clinic in await resources.clinic.clinics()
            if clinic.active
        ]


async def _night(settings: Settings) -> None:
    """Make tonight's backups, which the worker would make as soon as it starts: they would be in a person's way."""
    async with open_resources(settings) as resources:
        for _ in await programar(
            resources,
            now=datetime.now(UTC),
            time_zone=settings.time_zone,
            hour=settings.backup_hour,
            minute=settings.backup_minute,
        ):
            await run_next(resources)


async def _serve(settings: Settings, once: bool) -> None:
    """Run API and worker, and show how to use them, until told to stop; with `once` the API alone, and only so long.

    Raises what either of them raises, and EmbeddedServerError where the service does not become ready.
    """
    folder = settings.respaldos_home.absolute() / "logs"
    with ExitStack() as stack:
        stack.enter_context(_logged(folder))
        listener = _listener(stack)
        address = f"http://{HOST}:{listener.getsockname()[1]}"
        started = asyncio.Event()
        parts = [asyncio.create_task(serve_http(create_app(settings), listener, started.set))]
        if not once:
            parts.append(asyncio.create_task(keep_working(settings, folder)))
        showing = asyncio.create_task(_show(address, started, once=once))
        try:
            await asyncio.wait([*parts, showing], return_when=asyncio.FIRST_COMPLETED)
            if showing.done():
                showing.result()
                if not once:
                    await asyncio.wait(parts, return_when=asyncio.FIRST_COMPLETED)
        except asyncio.CancelledError:
            # Once everything is there, to be told to stop is how it ends.
            if not showing.done():
                raise
            click.echo("\nSe detiene la demo; sus datos quedan para la próxima vez.")
        finally:
            for task in (*parts, showing):
                task.cancel()
            await uninterrupted(_ended([*parts, showing]))
        for part in parts:
            if not part.cancelled():
                part.result()


async def _ended(tasks: list[asyncio.Task[None]]) -> None:
    await asyncio.wait(tasks)


def _listener(stack: ExitStack) -> socket.socket:
    """A socket on the first of PORTS that is free, closed with `stack`. Raises SettingsError."""
    for port in PORTS:
        try:
            return stack.enter_context(listening(HOST, port))
        except SettingsError:
            if port == PORTS[-1]:
                raise
    raise AssertionError("the last port has returned or raised")


@contextmanager
def _logged(folder: Path) -> Iterator[None]:
    """What the API logs goes to a file in the folder, and not between what a person is shown."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        handler = logging.FileHandler(folder / "api.log", encoding="utf-8")
    except OSError as exc:
        raise LocalFileError(f"no se puede escribir en «{folder}»: {exc.strerror}") from exc
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(message)s"))
    root = logging.getLogger()
    before = root.handlers
    root.handlers = [handler]
    try:
        yield
    finally:
        root.handlers = before
        handler.close()


async def _show(address: str, started: asyncio.Event, *, once: bool) -> None:
    """Say who can log in and what to try, once all that the service needs answers."""
    await started.wait()
    await _until_ready(f"{address}/salud/lista")
    people = logins(clinic for clinic in DEMO_CLINICS if clinic.activa)
    click.echo(f"\nEl servicio atiende en {address} (documentación de la API: {address}/docs)")
    click.echo(f"Abra el panel en un navegador: {address}/panel/")
    click.echo(f"\nPueden ingresar, todos con la contraseña {DEMO_PASSWORD}:\n")
    table(
        ("Correo", "Rol", "Clínica"),
        [(login.email, login.rol, str(login.clinica_id or "todas")) for login in people],
    )
    click.echo("En otra terminal (bash), en este orden:\n")
    admin, other = (
        next(login.email for login in people if login.clinica_id == clinic.id) for clinic in DEMO_CLINICS[:2]
    )
    click.echo(CURL.format(address=address, password=DEMO_PASSWORD, admin=admin, other_admin=other))
    if not once:
        click.echo("Ctrl-C lo detiene todo.")


async def _until_ready(url: str) -> None:
    """Ask until everything is `ok`. Raises EmbeddedServerError, with the last answer, after READY_SECONDS."""
    said = ""
    try:
        async with asyncio.timeout(READY_SECONDS):
            while True:
                ready, said = await asyncio.to_thread(_asked, url)
                if ready:
                    return
                await asyncio.sleep(0.1)
    except TimeoutError as exc:
        raise EmbeddedServerError(f"el servicio no estuvo listo en {READY_SECONDS:g} s: {said}") from exc


def _asked(url: str) -> tuple[bool, str]:
    try:
        with urlopen(url, timeout=10) as answer:  # noqa: S310 (our own http://127.0.0.1)
            return True, answer.read().decode()
    except HTTPError as refusal:
        return False, refusal.read().decode()
    except OSError as exc:
        return False, str(exc)
