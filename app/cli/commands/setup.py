"""Commands that prepare the ground: migrar, configurar-s3."""

from typing import TYPE_CHECKING

import click

from app.cli.output import done, json_option, print_json
from app.cli.parameters import WholeNumber
from app.cli.running import with_settings

if TYPE_CHECKING:
    from app.settings import Settings
    from app.storage.bucket import BucketSetting
from typing import TYPE_CHECKING

from app.cli.clinic_option import clinic_option
from app.cli.output import warn

if TYPE_CHECKING:
    from app.clinic.clinic import Clinic
    from app.settings import Settings


@click.command()
@json_option
def migrar(as_json: bool) -> None:
    """Crea o actualiza el esquema «respaldos» en la base de datos del servicio."""

    async def work(settings: "Settings") -> str:
        from app.migrate import migrate

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

    async def work(settings: "Settings") -> "tuple[BucketSetting, ...]":
        from app.connections import s3_options
        from app.storage.bucket import configure_bucket
        from app.storage.s3 import open_storage

        async with open_storage(s3_options(settings)) as storage:
            return await configure_bucket(storage, lock_days=bloqueo)

    found = with_settings(work)
    if as_json:
        print_json([{"ajuste": s.name, "resultado": s.outcome, "detalle": s.detail} for s in found])
        return
    marks = {"changed": "✓ cambiado", "already": "= ya estaba", "unsupported": "– no admitido"}
    for setting in found:
        click.echo(f"{marks[setting.outcome]:13}  {setting.name}: {setting.detail}")


def _text(context: click.Context, parameter: click.Parameter, value: str | None) -> str | None:  # noqa: ARG001
    # The service would refuse a token that says anything else.
    if value is not None and (not value.strip() or not value.isprintable()):
        raise click.BadParameter("debe ser un texto de una línea, que no esté vacío")
    return value


@click.command()
@clinic_option("La clínica de quien use el token.")
@click.option("--rol", metavar="R", callback=_text, help="Su rol; si no se dice, el primero de ADMIN_ROLES.")
@click.option(
    "--usuario",
    metavar="U",
    default="línea de comandos",
    callback=_text,
    help="El código de su usuario, que queda en la auditoría.",
)
@click.option("--superadmin", is_flag=True, help="Para la plataforma: vale en todas las clínicas.")
@json_option
def token(clinica: str | None, rol: str | None, usuario: str, superadmin: bool, as_json: bool) -> None:
    """Emite un token para la API, que vale TOKEN_HOURS horas. Necesita JWT_SECRET.

    Queda en la auditoría para quién es, y nunca el token. Solo el token va a la salida, así que sirve entre $( ).
    """
    if superadmin and (clinica is not None or rol is not None):
        raise click.UsageError("--superadmin vale en todas las clínicas: no va con --clinica ni con --rol")
    if not superadmin and clinica is None:
        raise click.UsageError("falta --clinica (o --superadmin)")

    async def work(settings: "Settings") -> "tuple[str, int, Clinic | None, str]":
        from app.connections import open_databases, tokens
        from app.respaldos import audit
        from app.respaldos.audit import COMMAND_LINE
        from app.respaldos.models import Accion
        from app.respaldos.resources import transaction

        issuer = tokens(settings)
        issuer.require_secret()
        async with open_databases(settings) as databases:
            if clinica is None:
                clinic, principal = None, issuer.roles.superadmin(usuario=usuario, nombre=None)
            else:
                clinic = await databases.clinic.clinic(clinica)
                chosen = rol or next(iter(settings.admin_roles), "administrador")
                principal = issuer.roles.member(usuario=usuario, nombre=None, clinica_id=clinic.id, rol=chosen)
            async with transaction(databases) as session:
                await audit.record(
                    session,
                    Accion.EMISION_TOKEN,
                    COMMAND_LINE,
                    clinica_id=principal.clinica_id,
                    para=usuario,
                    rol=principal.rol,
                    segundos=issuer.seconds,
                )
        return issuer.issue(principal), issuer.seconds, clinic, principal.rol

    text, seconds, clinic, chosen = with_settings(work)
    if as_json:
        print_json(
            {
                "token": text,
                "expira_en_segundos": seconds,
                "clinica_id": clinic.id if clinic is not None else None,
                "rol": chosen,
            }
        )
    else:
        click.echo(text)
    if clinic is not None and not clinic.active:
        warn(f"la clínica {clinic.id} no está activa: el servicio no aceptará este token")
