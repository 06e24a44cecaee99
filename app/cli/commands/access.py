"""The commands acceso …: who comes in, and how long."""

import click

from app.cli.clinic_option import clinic_option
from app.cli.output import done, json_option, print_json, warn
from app.cli.running import with_settings
from app.clinic.directory import ClinicDirectory
from app.connections.databases import open_databases
from app.connections.service import clinic_users
from app.respaldos.access.sessions import cerrar_sesiones
from app.respaldos.audit import COMMAND_LINE
from app.settings import Settings


@click.group(options_metavar="[OPCIONES]", subcommand_metavar="ORDEN [ARGUMENTOS]...")
def acceso() -> None:
    """Decide quién entra todavía: cierra sesiones."""


@acceso.command("cerrar-sesiones", options_metavar="[OPCIONES]")
@clinic_option("La clínica de la persona; sin ella, es un superadministrador.")
@click.option(
    "--usuario", metavar="U", required=True, help="El código de su usuario; de un superadministrador, su correo."
)
@json_option
def cerrar_las_sesiones(clinica: str | None, usuario: str, as_json: bool) -> None:
    """Termina todos los tokens que una persona tiene, también los que dio el sistema de la clínica.

    Puede volver a ingresar: quien no deba, se desactiva en el sistema de la clínica.
    """
    if not usuario.strip() or not usuario.isprintable():
        raise click.BadParameter("debe ser un texto de una línea, que no esté vacío", param_hint="--usuario")

    async def work(settings: Settings) -> tuple[int | None, bool]:
        async with open_databases(settings) as databases:
            number = None if clinica is None else (await databases.clinic.clinic(clinica)).id
            await cerrar_sesiones(databases, usuario, clinica_id=number, actor=COMMAND_LINE)
            users = clinic_users(settings, ClinicDirectory(databases.clinic))
            known = number is None or await users.person(usuario, clinica_id=number) is not None
            return number, known

    number, known = with_settings(work)
    if as_json:
        print_json({"usuario": usuario, "clinica_id": number})
    else:
        done(f"Se cerraron las sesiones de «{usuario}»")
    if not known:
        warn(f"nadie de la clínica {number} tiene hoy el código «{usuario}»: vale para tokens que lo digan")
