"""The command puntos: how often a clinic is backed up by day."""

import click

from app.cli.clinic_option import clinic_option
from app.cli.output import done, json_option, print_json, say
from app.cli.parameters import WholeNumber
from app.cli.running import with_settings
from app.connections.databases import open_databases
from app.connections.points import points
from app.opening_hours import MOST_MINUTES
from app.respaldos.audit import COMMAND_LINE
from app.respaldos.contract import PuntosDeClinica
from app.respaldos.schedule.points import AS_ALL, OwnPoints, cambiar_puntos, puntos_de
from app.settings import Settings


@click.command()
@clinic_option("La clínica.", required=True)
@click.option(
    "--cada", type=WholeNumber(0, MOST_MINUTES), metavar="N", help="Cada cuántos minutos, 15 o más; 0, nunca."
)
@click.option("--horario", metavar="H", help="De qué hora a qué hora, por ejemplo 08:00-19:00.")
@click.option("--como-todas", is_flag=True, help="Quita lo que se le puso, y vale POINT_MINUTES y POINT_HOURS.")
@json_option
def puntos(clinica: str, cada: int | None, horario: str | None, como_todas: bool, as_json: bool) -> None:
    """Muestra cada cuánto se respalda una clínica de día, además de cada noche, o lo cambia.

    Lo que no se dice al cambiarlo vale como en todas. Los hacen los trabajadores («respaldos worker»).
    """
    changes = cada is not None or horario is not None
    if como_todas and changes:
        raise click.UsageError("--como-todas no va con --cada ni con --horario")

    async def work(settings: Settings) -> PuntosDeClinica:
        async with open_databases(settings) as databases:
            clinic = await databases.clinic.clinic(clinica)
            if como_todas or changes:
                said = AS_ALL if como_todas else OwnPoints.parse(cada, horario)
                await cambiar_puntos(databases, clinic.id, said, actor=COMMAND_LINE)
            else:
                said = await puntos_de(databases, clinic.id)
        return said.shown(clinic.id, points(settings), settings.time_zone)

    shown = with_settings(work)
    if as_json:
        print_json(shown)
        return
    which = "como todas" if shown.como_todas else "propio de ella"
    often = (
        f"cada {shown.minutos} minutos, de {shown.horario.replace('-', ' a ')} ({shown.zona_horaria})"
        if shown.minutos
        else "nunca, solo de noche"
    )
    (done if como_todas or changes else say)(f"Clínica {shown.clinica_id}: {often} ({which})")
