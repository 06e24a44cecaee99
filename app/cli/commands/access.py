"""The commands acceso …: who comes in, and until when."""

import click

from app.cli.clinic_option import clinic_option
from app.cli.output import done, json_option, print_json, say, timestamp, warn
from app.cli.parameters import IDENTIFIER, WholeNumber
from app.cli.running import with_settings
from app.clinic.directory import ClinicDirectory
from app.connections.databases import open_databases
from app.connections.service import clinic_users
from app.respaldos.access.keys import MOST_DAYS, crear_clave, listar_claves, revocar_clave
from app.respaldos.access.sessions import cerrar_sesiones
from app.respaldos.audit import COMMAND_LINE
from app.respaldos.contract import ClaveEnLista, ClaveNueva
from app.respaldos.models import Alcance
from app.settings import Settings


@click.group(options_metavar="[OPCIONES]", subcommand_metavar="ORDEN [ARGUMENTOS]...")
def acceso() -> None:
    """Decide quién entra: claves para programas, y sesiones que se cierran."""


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


@acceso.command("crear-clave", options_metavar="[OPCIONES]")
@clinic_option("La clínica.", required=True)
@click.option("--nombre", metavar="N", required=True, help="Para qué programa es.")
@click.option(
    "--para",
    type=click.Choice([each.value for each in Alcance]),
    multiple=True,
    required=True,
    help="Qué puede hacer; se repite. «mirar» no muestra datos de pacientes; un respaldo descargado los tiene todos.",
)
@click.option(
    "--dias", type=WholeNumber(1, MOST_DAYS), metavar="D", default=90, show_default=True, help="Cuánto vale."
)
@json_option
def crear_la_clave(clinica: str, nombre: str, para: tuple[str, ...], dias: int, as_json: bool) -> None:
    """Crea una clave para que un programa use la API. No se vuelve a mostrar.

    Solo la clave va a la salida, así que sirve entre $( ).
    """

    async def work(settings: Settings) -> ClaveNueva:
        async with open_databases(settings) as databases:
            number = (await databases.clinic.clinic(clinica)).id
            wanted = [Alcance(each) for each in para]
            text, row = await crear_clave(databases, nombre, wanted, clinica_id=number, dias=dias, actor=COMMAND_LINE)
        return ClaveNueva(clave=text, **ClaveEnLista.model_validate(row).model_dump())

    made = with_settings(work)
    if as_json:
        print_json(made)
    else:
        click.echo(made.clave)


@acceso.command("claves", options_metavar="[OPCIONES]")
@clinic_option("La clínica.", required=True)
@json_option
def las_claves(clinica: str, as_json: bool) -> None:
    """Lista las claves de una clínica, también las que ya no valen."""

    async def work(settings: Settings) -> list[ClaveEnLista]:
        async with open_databases(settings) as databases:
            number = (await databases.clinic.clinic(clinica)).id
            return [ClaveEnLista.model_validate(row) for row in await listar_claves(databases, clinica_id=number)]

    found = with_settings(work)
    if as_json:
        print_json(found)
        return
    for key in found:
        until = (
            f"revocada el {timestamp(key.revocada)}"
            if key.revocada is not None
            else f"vale hasta {timestamp(key.vence)}"
        )
        say(f"{key.id}  {key.nombre}: {', '.join(key.permisos)}; {until}")
    if not found:
        say("No hay ninguna clave")


@acceso.command("revocar-clave", options_metavar="[OPCIONES]")
@click.argument("numero", metavar="ID", type=IDENTIFIER)
@clinic_option("La clínica.", required=True)
@json_option
def revocar_la_clave(numero: int, clinica: str, as_json: bool) -> None:
    """Hace que una clave no valga más, en el acto y para siempre."""

    async def work(settings: Settings) -> ClaveEnLista:
        async with open_databases(settings) as databases:
            number = (await databases.clinic.clinic(clinica)).id
            row = await revocar_clave(databases, numero, clinica_id=number, actor=COMMAND_LINE)
            return ClaveEnLista.model_validate(row)

    revoked = with_settings(work)
    if as_json:
        print_json(revoked)
    else:
        done(f"La clave «{revoked.nombre}» ya no vale")
