"""`restaurar --todas`: the platform and every clinic, each from its newest good backup."""

import sys
from collections.abc import Sequence
from datetime import UTC, datetime

import click

from app.cli.fleet_bar import fleet_bar
from app.cli.output import done, failed, number, print_json, say, table, timestamp, warn
from app.cli.running import with_settings
from app.connections.resources import open_resources
from app.dump.whose import named
from app.errors import RespaldosError
from app.respaldos.reconcile import reconciliar
from app.respaldos.restore.all_clinics import FleetRestore, plan_all, restore_all
from app.respaldos.restore.request import RestoreRequest
from app.settings import Settings

# Of what failed, people are shown so many; the others are the same, or --json has them.
SHOWN = 20

TYPED = "TODAS"


def restore_every_clinic(
    request: RestoreRequest, before: datetime | None, sin_disparadores: bool, si: bool, as_json: bool
) -> bool:
    """Show what would be restored, ask, and do it; whether all is there. `before` is aware."""
    found = FleetRestore(before or datetime.now(UTC))

    def set_up(settings: Settings) -> Settings:
        return settings.model_copy(update={"restore_disable_triggers": True}) if sin_disparadores else settings

    async def plan(settings: Settings) -> FleetRestore:
        async with open_resources(set_up(settings)) as resources:
            await reconciliar(resources)
            return await plan_all(resources, before=found.before)

    async def work(settings: Settings) -> None:
        async with open_resources(set_up(settings)) as resources:
            with fleet_bar("Restaurando", found.total) as show:
                await restore_all(
                    resources,
                    found,
                    request,
                    lambda: show(len(found.restored) + len(found.failed), len(found.failed)),
                )

    if not si and (as_json or not sys.stdin.isatty()):
        raise click.UsageError("use --si para restaurar todo sin que se le pregunte")
    found = with_settings(plan)
    if not si:
        _show_plan(found)
        if click.prompt(f"Escriba «{TYPED}» para seguir", default="", show_default=False) != TYPED:
            raise click.Abort
    try:
        with_settings(work)
    except (KeyboardInterrupt, RespaldosError):
        warn(
            f"se interrumpió, con {number(len(found.restored))} de {number(found.total)} restaurados; para seguir con"
            f" los mismos respaldos: respaldos restaurar --todas --antes-de {found.before.isoformat()}"
        )
        raise
    _show(found, as_json)
    return found.complete


def _show_plan(found: FleetRestore) -> None:
    if found.platform is not None:
        say(f"La plataforma, del respaldo {found.platform.respaldo_id}: {timestamp(found.platform.fecha_respaldo)}")
    else:
        warn("de la plataforma no hay ningún respaldo bueno: no vuelven las tablas que comparten las clínicas")
    dates = [each.fecha_respaldo for each in found.clinics]
    between = f", con respaldos del {timestamp(min(dates))} al {timestamp(max(dates))}" if dates else ""
    say(f"Clínicas: {number(len(dates))}{between}")
    if found.already:
        say(f"Ya restauradas de su mismo respaldo, y se quedan como están: {_some(found.already)}")
    warn("lo que se cambió en cada clínica después de su respaldo se quita")


def _some(clinics: Sequence[int]) -> str:
    more = "…" if len(clinics) > SHOWN else ""
    return f"{number(len(clinics))} ({', '.join(map(str, clinics[:SHOWN]))}{more})"


def _show(found: FleetRestore, as_json: bool) -> None:
    if as_json:
        print_json(
            {
                "antes_de": found.before.isoformat(),
                "restaurados": [
                    {"clinica_id": each.clinica_id, "respaldo_id": each.respaldo_id} for each in found.restored
                ],
                "ya_restauradas": found.already,
                "fallidos": [
                    {
                        "clinica_id": each.chosen.clinica_id,
                        "respaldo_id": each.chosen.respaldo_id,
                        "error": str(each.error),
                        "error_type": each.error.code,
                    }
                    for each in found.failed
                ],
                "sin_respaldo": found.without,
                "ya_no_existian": found.gone,
            }
        )
        return
    if found.failed:
        table(
            ("Clínica", "Respaldo", "Razón"),
            [
                (named(each.chosen.clinica_id), str(each.chosen.respaldo_id), str(each.error))
                for each in found.failed[:SHOWN]
            ],
            right=(0, 1),
        )
        if len(found.failed) > SHOWN:
            warn(f"y otros {number(len(found.failed) - SHOWN)}: con --json se ven todos")
    if found.gone:
        warn(
            f"ya no estaban en la tabla de clínicas cuando se respaldó la plataforma, y no se restauraron:"
            f" {_some(found.gone)}; «respaldos restaurar ID» trae una"
        )
    if found.without:
        warn(f"sin ningún respaldo bueno: {_some(found.without)}")
    said = f"Restaurados: {number(len(found.restored))} de {number(found.total)}"
    if found.already:
        said += f"; ya lo estaban: {number(len(found.already))}"
    (done if found.complete else failed)(said)
