"""The command revisar."""

import click

from app.cli.output import finding, json_option, print_json
from app.cli.running import with_settings
from app.diagnostics.finding import Level
from app.diagnostics.run import diagnose


@click.command()
@json_option
@click.pass_context
def revisar(context: click.Context, as_json: bool) -> None:
    """Revisa que todo esté bien puesto y, de lo que no, dice la línea que lo arregla.

    Mira los ajustes y sus nombres, los roles de PostgreSQL y sus permisos en cada tabla, las migraciones, el bucket
    (en el que escribe, lee y borra un objeto de prueba), Redis, el trabajador, los tokens, el correo, el webhook y
    los relojes. No cambia nada más. Termina con error si algo está mal; los avisos no son errores.
    """
    found = with_settings(diagnose)
    if as_json:
        print_json(
            [
                {"tema": each.subject, "estado": each.level, "detalle": each.detail, "arreglo": each.remedy}
                for each in found
            ]
        )
    else:
        for each in found:
            finding(each.level, f"{each.subject}: {each.detail}", each.remedy)
    if any(each.level is Level.WRONG for each in found):
        context.exit(1)
