"""`respaldos demo`: everything on this machine, with sample clinics, up to a first backup of each."""

import os
import sys
from typing import TYPE_CHECKING

import click

from app.cli.output import json_option, print_json, warn
from app.cli.respaldo_commands import show_created

if TYPE_CHECKING:
    from app.respaldos.models import Respaldo
    from app.settings import Settings

NEXT = (
    "listar",
    'crear --clinica 1 --descripcion "Antes de la actualización"',
    "ver 1",
    "descargar 1 -o respaldo.json.gz",
    "verificar respaldo.json.gz",
    "verificar 1",
    "catalogo",
    "estadisticas --clinica 1",
)


@click.command()
@json_option
def demo(as_json: bool) -> None:
    """Prueba el servicio en esta máquina, sin instalar ni configurar nada.

    Arranca servidores propios en la carpeta .respaldos/, crea clínicas de ejemplo y respalda cada clínica activa.
    Las direcciones configuradas en el entorno no se usan.
    """
    from app.cli.session import run_with
    from app.settings import ADDRESSES, demo_settings

    settings = demo_settings()
    inherited = [name for name in ADDRESSES if os.environ.get(name)]
    respaldos = run_with(settings, _demo)
    if as_json:
        from app.respaldos.views import detalle

        print_json([detalle(respaldo) for respaldo in respaldos])
        return
    for respaldo in respaldos:
        click.echo(f"\nClínica {respaldo.clinica_id}")
        show_created(respaldo)
    click.echo(f"\nLos datos están en {settings.respaldos_home.absolute()}")
    if inherited:
        warn(
            f"Las órdenes que siguen usarían {', '.join(inherited)} del entorno, y no la demo;"
            f" use antes: unset {' '.join(inherited)}"
        )
    click.echo("\nAhora puede probar, en esta misma carpeta:\n")
    program = os.path.relpath(sys.argv[0])
    for order in NEXT:
        click.echo(f"  {program} {order}")


async def _demo(settings: "Settings") -> "list[Respaldo]":
    import asyncpg

    from app.connections import open_resources
    from app.database import asyncpg_url
    from app.migrate import migrate
    from app.respaldos.crear_respaldo import crear_respaldo
    from app.respaldos.models import TipoRespaldo
    from app.sample.generate import DEMO_CLINICS, create_schema, fill
    from app.storage.bucket import configure_bucket

    if settings.database_url is None:
        raise TypeError("the demo's database is embedded, so it has an address")
    url = settings.database_url.get_secret_value()
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
        return [
            await crear_respaldo(
                resources, clinica_id=clinic.id, tipo=TipoRespaldo.MANUAL, descripcion="Primer respaldo de la demo"
            )
            for clinic in await resources.clinic.clinics()
            if clinic.active
        ]
