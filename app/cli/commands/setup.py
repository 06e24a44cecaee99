"""Commands that prepare the ground: migrar, configurar-s3."""

import sys

import click

from app.cli.output import done, json_option, print_json, say
from app.cli.parameters import WholeNumber
from app.cli.running import with_settings
from app.connections.storage import copy_options, s3_options
from app.migrate import migrate
from app.settings import Settings
from app.storage.bucket import BucketSetting, Outcome, configure_bucket
from app.storage.s3 import open_storage

_MARKS = {
    Outcome.CHANGED: "✓ cambiado",
    Outcome.ALREADY: "= ya estaba",
    Outcome.WORKS: "✓ funciona",
    Outcome.UNSUPPORTED: "– no admitido",
    Outcome.UNDONE: "– deshecho",
    Outcome.REFUSED: "✗ rechazado",
}


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
@click.option("--copia", metavar="NOMBRE", help="El bucket de COPY_BUCKETS que se llama así.")
@json_option
def configurar_s3(bloqueo: int | None, copia: str | None, as_json: bool) -> None:
    """Deja el bucket como debe estar: privado, cifrado, con versiones y con limpieza automática.

    Dice qué cambió; la segunda vez no cambia nada. Prueba a guardar un objeto como el de un respaldo, y otra vez
    después de cada cambio: lo que impide guardarlo se dice, y se deshace. Lo que el almacén no admite, se dice.
    Termina con error si así no se podría guardar ningún respaldo, si el almacén rechaza un ajuste y si no hubo el
    bloqueo pedido.
    """

    async def work(settings: Settings) -> tuple[BucketSetting, ...]:

        options = s3_options(settings)
        if copia is not None:
            named = next((each for each in settings.copy_buckets if each.name == copia), None)
            if named is None:
                raise click.UsageError(f"COPY_BUCKETS no tiene ninguno que se llame «{copia}»")
            options = copy_options(named)
        async with open_storage(options) as storage:
            return await configure_bucket(storage, lock_days=bloqueo)

    found = with_settings(work)
    if as_json:
        print_json([{"ajuste": s.name, "resultado": s.outcome, "detalle": s.detail} for s in found])
    else:
        for setting in found:
            say(f"{_MARKS[setting.outcome]:14}  {setting.name}: {setting.detail}")
    if any(setting.outcome is Outcome.REFUSED for setting in found):
        sys.exit(1)
    if bloqueo is not None and found[-1].outcome not in (Outcome.CHANGED, Outcome.ALREADY):
        raise click.ClickException(
            "El bucket no quedó bloqueado. Muchos almacenes solo bloquean un bucket que se creó para ello: ponga "
            "otro nombre en AWS_BACKUP_BUCKET_NAME, que este comando lo crea"
        )
