"""The command token."""

import click

from app.cli.clinic_option import clinic_option
from app.cli.output import json_option, print_json, warn
from app.cli.running import with_settings
from app.clinic.clinic import Clinic
from app.connections.databases import open_databases
from app.connections.service import tokens
from app.respaldos import audit
from app.respaldos.audit import COMMAND_LINE
from app.respaldos.databases import transaction
from app.respaldos.models import Accion
from app.settings import Settings


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

    async def work(settings: Settings) -> tuple[str, int, Clinic | None, str]:
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
