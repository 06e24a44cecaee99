"""`crear --todas`: asks for a backup of every active clinic, and watches the workers make them."""

from app.broker.queue import open_queue
from app.cli.fleet_bar import fleet_bar
from app.cli.output import done, failed, number, print_json, table, warn
from app.cli.running import with_settings
from app.connections.databases import open_databases
from app.connections.redis import redis_url
from app.dump.whose import named
from app.errors import RespaldosError
from app.respaldos.audit import COMMAND_LINE
from app.respaldos.backup.all_clinics import FleetBackup, request_all, watch_all
from app.respaldos.contract import ESTADO_DISPLAY
from app.settings import Settings

# Of what failed, people are shown so many; the others are the same, or the reason is not theirs.
SHOWN = 20


def create_all(descripcion: str, as_json: bool) -> bool:
    """Ask, wait and say what came of it; whether all have one. Raises QueueUnavailable without REDIS_URL."""
    found = FleetBackup()

    async def work(settings: Settings) -> None:
        async with open_queue(redis_url(settings)) as queue, open_databases(settings) as databases:
            active = [clinic.id for clinic in await databases.clinic.clinics() if clinic.active]
            await request_all(databases, queue, active, descripcion=descripcion, actor=COMMAND_LINE, found=found)
            if found.requested and (silent := await queue.silent_workers()):
                warn(f"{silent}; los respaldos esperan hasta que haya uno")
            with fleet_bar("Respaldando", len(found.requested)) as show:
                await watch_all(databases, found, lambda: show(found.ended, found.ended - found.made))

    try:
        with_settings(work)
    except (KeyboardInterrupt, RespaldosError):
        if found.requested:
            warn(
                f"se dejó de esperar: los trabajadores siguen con los {number(len(found.requested))} respaldos"
                f" pedidos ({number(found.ended)} terminaron ya); cómo van lo dice «respaldos situacion»"
            )
        raise
    _show(found, as_json)
    return not found.unmade and not found.skipped


def _show(found: FleetBackup, as_json: bool) -> None:
    if as_json:
        print_json(
            {
                "pedidos": len(found.requested),
                "completados": found.made,
                "fallidos": [
                    {
                        "clinica_id": each.clinica_id,
                        "respaldo_id": each.respaldo_id,
                        "estado": each.estado,
                        "error": each.error,
                    }
                    for each in found.unmade
                ],
                "omitidos": found.skipped,
            }
        )
        return
    if found.unmade:
        table(
            ("Clínica", "Respaldo", "Estado", "Razón"),
            [
                (named(each.clinica_id), str(each.respaldo_id), ESTADO_DISPLAY[each.estado], each.error or "—")
                for each in found.unmade[:SHOWN]
            ],
            right=(0, 1),
        )
        if len(found.unmade) > SHOWN:
            warn(f"y otros {number(len(found.unmade) - SHOWN)}: con --json se ven todos")
    said = f"Respaldos hechos: {number(found.made)} de {number(len(found.requested))}"
    if found.skipped:
        some = ", ".join(map(str, found.skipped[:SHOWN]))
        more = "…" if len(found.skipped) > SHOWN else ""
        said += f"; omitidas por tener algo en curso: {number(len(found.skipped))} (clínicas {some}{more})"
    if found.unmade:
        failed(f"{said}; sin hacer: {number(len(found.unmade))}")
    elif found.skipped:
        failed(said)
    else:
        done(said)
