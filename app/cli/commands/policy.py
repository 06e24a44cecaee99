"""The command politica: when a clinic is backed up, what is kept, and who is told."""

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import click

from app.cli.clinic_option import clinic_option
from app.cli.output import (
    ask_first,
    dated,
    done,
    json_option,
    number,
    print_json,
    say,
    table,
    timestamp,
)
from app.cli.parameters import WholeNumber
from app.cli.running import with_settings
from app.connections.databases import open_databases
from app.connections.policy import general_policy
from app.opening_hours import MOST_MINUTES
from app.respaldos.audit import COMMAND_LINE
from app.respaldos.contract import CambioDePolitica, PoliticaDeClinica
from app.respaldos.models import Dia
from app.respaldos.policies.answer import changed, shown
from app.respaldos.policies.change import cambiar_politica, politica_de, previsualizar_politica
from app.respaldos.policies.policy import AS_ALL, MOST, OwnPolicy
from app.settings import Settings

_RULES = {
    "retencion_dias": ("--conservar", 1, "Días que se guarda cada respaldo."),
    "retencion_minimo": ("--minimo", 1, "Cuántos de los últimos buenos no se eliminan nunca por su edad."),
    "retencion_diarios": ("--diarios", 0, "De cuántos días se guarda además uno."),
    "retencion_semanales": ("--semanales", 0, "De cuántas semanas se guarda además uno."),
    "retencion_mensuales": ("--mensuales", 0, "De cuántos meses se guarda además uno."),
    "retencion_anuales": ("--anuales", 0, "De cuántos años se guarda además uno."),
    "retencion_puntos_dias": ("--conservar-puntos", 1, "Días que se guardan todos los respaldos de día."),
}


class _Days(click.ParamType[tuple[Dia, ...]]):
    """Days of the week, by commas; accents may be left out."""

    name = "D"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[Dia, ...]:
        """The days that are named."""
        if not isinstance(value, str):
            return tuple(value)
        named = {each.name.casefold(): each for each in Dia} | {each.value: each for each in Dia}
        if value.strip().casefold() == "todos":
            return tuple(Dia)
        days = [named.get(part.strip().casefold()) for part in value.split(",")]
        found = tuple(day for day in days if day is not None)
        if len(found) < len(days):
            self.fail("diga días de la semana separados por comas, por ejemplo lunes,jueves; o todos", param, ctx)
        return found


def _rule_options(command: Any) -> Any:
    for name, (option, least, said) in reversed(_RULES.items()):
        command = click.option(option, name, type=WholeNumber(least, MOST), metavar="N", help=said)(command)
    return command


@click.command()
@clinic_option("La clínica.", required=True)
@click.option("--hora", metavar="HH:MM", help="A qué hora se respalda cada noche, por ejemplo 22:30.")
@click.option("--dias", type=_Days(), metavar="D", help="Qué días, por ejemplo lunes,miércoles,viernes; o todos.")
@click.option(
    "--cada",
    "minutos",
    type=WholeNumber(0, MOST_MINUTES),
    metavar="N",
    help="De día, cada cuántos minutos, 15 o más; 0, nunca.",
)
@click.option("--horario", metavar="H", help="De día, de qué hora a qué hora, por ejemplo 08:00-19:00.")
@_rule_options
@click.option("--avisar", multiple=True, metavar="CORREO", help="A quién se avisa además; se puede repetir.")
@click.option(
    "--administradores/--sin-administradores",
    "avisar_administradores",
    default=None,
    help="Si se avisa también a quienes administran la clínica. De lo grave se les avisa siempre.",
)
@click.option("--como-todas", is_flag=True, help="Quita lo que se dijo de ella; lo demás que se dé vale desde ahí.")
@click.option("--simular", is_flag=True, help="Muestra qué se eliminaría, y no cambia nada.")
@click.option("--si", is_flag=True, help="Guarda menos que antes sin preguntar.")
@json_option
def politica(clinica: str, como_todas: bool, simular: bool, si: bool, as_json: bool, **given: Any) -> None:
    """Muestra cuándo se respalda una clínica, qué se guarda y a quién se avisa, o lo cambia.

    Lo que no se dice queda como estaba. Donde no se dijo nada de la clínica vale lo que dicen los ajustes para todas
    (BACKUP_HOUR, RETENTION_DAYS y los demás). Si se guardaría menos que antes, muestra qué se eliminaría y pregunta.
    """
    said = {name: value for name, value in given.items() if value not in (None, ())}
    if not said and not como_todas:
        if simular:
            raise click.UsageError("--simular va con lo que se quiere cambiar")
        now = with_settings(lambda settings: _look(settings, clinica))
        if as_json:
            print_json(now)
        else:
            say(f"Clínica {now.clinica_id}: {now.en_palabras}")
            say("(como todas)" if now.como_todas else "(dicho solo de ella)")
        return
    preview = with_settings(lambda settings: _change(settings, clinica, said, como_todas, None))
    if simular:
        _show(preview, as_json)
        return
    if preview.se_eliminarian:
        if not as_json:
            _show(preview, as_json)
        ask_first(
            f"¿Cambiarla, y que la próxima limpieza elimine esos respaldos ({number(preview.se_eliminarian)})?",
            si,
            refusal=f"se eliminarían respaldos ({number(preview.se_eliminarian)}): use --si, o --simular para verlos",
        )
    held = with_settings(lambda settings: _change(settings, clinica, said, como_todas, preview.huella))
    if as_json:
        print_json(held)
    else:
        done(f"Clínica {held.politica.clinica_id}: {held.politica.en_palabras}")


async def _look(settings: Settings, clinica: str) -> PoliticaDeClinica:
    async with open_databases(settings) as databases:
        clinic = await databases.clinic.clinic(clinica)
        own = await politica_de(databases, clinic.id)
    return shown(own, clinic.id, general_policy(settings), settings.time_zone)


async def _change(
    settings: Settings, clinica: str, said: dict[str, Any], como_todas: bool, digest: str | None
) -> CambioDePolitica:
    """Without the digest of its preview, only that."""
    general = general_policy(settings)
    asked: dict[str, Any] = {"general": general, "now": datetime.now(UTC), "time_zone": settings.time_zone}
    async with open_databases(settings) as databases:
        clinic = await databases.clinic.clinic(clinica)
        own = AS_ALL if como_todas else await politica_de(databases, clinic.id)
        parsed = OwnPolicy.parse(**said)
        own = replace(own, **{name: getattr(parsed, name) for name in said})
        own.check()
        if digest is None:
            found = await previsualizar_politica(databases, clinic.id, own, **asked)
        else:
            found = await cambiar_politica(databases, clinic.id, own, **asked, actor=COMMAND_LINE, digest=digest)
    return changed(found, clinic.id, general, settings.time_zone, simulated=digest is None)


def _show(preview: CambioDePolitica, as_json: bool) -> None:
    if as_json:
        print_json(preview)
        return
    say(f"Quedaría así: {preview.politica.en_palabras}")
    if preview.ejemplos:
        table(
            ("ID", dated("Fecha"), "Razón"),
            [(str(each.id), timestamp(each.fecha_respaldo), each.razon) for each in preview.ejemplos],
            right=(0,),
        )
    say(f"Respaldos que se eliminarían: {number(preview.se_eliminarian)}")
