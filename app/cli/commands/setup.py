"""Commands that prepare the ground: migrar, configurar-s3."""

import click

from app.cli.output import done, json_option, print_json, say
from app.cli.parameters import WholeNumber
from app.cli.running import with_settings
from app.connections.storage import s3_options
from app.migrate import migrate
from app.settings import Settings
from app.storage.bucket import BucketSetting, configure_bucket
from app.storage.s3 import open_storage


@click.command()
@json_option
def migrar(as_json: bool) -> None:
    """Crea o actualiza el esquema «respaldos» en la base de datos del servicio."""

    async def work(settings: Settings) -> str:

        if settings.database_url is None:
            raise click.UsageError("falta DATABASE_URL")
        return await migrate(settings.database_url.get_secret_value())

    revision = with_settings(work)
    if as_json:
        print_json({"revision": revision})
    else:
        done(f"El esquema «respaldos» está en la revisión {revision}")


@click.command("configurar-s3")
@click.option(
    "--bloqueo", type=WholeNumber(1, 36_500), metavar="DÍAS", help="Impide borrar cada objeto durante estos días."
)
@json_option
def configurar_s3(bloqueo: int | None, as_json: bool) -> None:
    """Deja el bucket como debe estar: privado, cifrado, con versiones y con limpieza automática.

    Dice qué cambió; la segunda vez no cambia nada. Lo que el almacén no admite, se dice.
    """

    async def work(settings: Settings) -> tuple[BucketSetting, ...]:

        async with open_storage(s3_options(settings)) as storage:
            return await configure_bucket(storage, lock_days=bloqueo)

    found = with_settings(work)
    if as_json:
        print_json([{"ajuste": s.name, "resultado": s.outcome, "detalle": s.detail} for s in found])
        return
    marks = {"changed": "✓ cambiado", "already": "= ya estaba", "unsupported": "– no admitido"}
    for setting in found:
        say(f"{marks[setting.outcome]:13}  {setting.name}: {setting.detail}")
