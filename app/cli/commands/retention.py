"""Commands on what is kept: eliminar, recuperar, retener, aceptar, limpiar, reindexar."""

from datetime import UTC, datetime, time, timedelta
from typing import Any

import click

from app.cli.clinic_option import clinic_number, clinic_option
from app.cli.find import all_in_full, find_respaldo
from app.cli.output import (
    ask_first,
    dated,
    done,
    failed,
    json_option,
    number,
    print_json,
    say,
    size,
    table,
    time_zone,
    timestamp,
    warn,
)
from app.cli.parameters import IDENTIFIER, unsealed_option
from app.cli.progress import progress_bar
from app.cli.resources import with_resources
from app.cli.running import with_databases, with_settings
from app.connections.databases import open_databases
from app.connections.full import in_full
from app.connections.policy import retention_policy
from app.connections.resources import open_resources
from app.dump.whose import named, whose
from app.respaldos.audit import COMMAND_LINE
from app.respaldos.contract import ESTADO_DISPLAY, RespaldoCompleto
from app.respaldos.databases import Databases
from app.respaldos.models import Estado, Respaldo
from app.respaldos.resources import Resources
from app.respaldos.retention.clean import ClinicDecisions, limpiar_respaldos_antiguos
from app.respaldos.retention.delete import aceptar_respaldo, eliminar_respaldo, recuperar_respaldo
from app.respaldos.retention.hold import liberar_respaldo, retener_respaldo
from app.respaldos.retention.purge import purgar
from app.respaldos.retention.reindex import Reindexed, Unknown
from app.respaldos.retention.reindex import reindexar as rebuild
from app.settings import Settings, settings_of_process


@click.command()
@click.argument("id_", metavar="ID", type=IDENTIFIER)
@click.option("--si", is_flag=True, help="Elimina sin preguntar.")
@json_option
def eliminar(id_: int, si: bool, as_json: bool) -> None:
    """Elimina un respaldo.

    Su archivo se borra de S3 días después (PURGE_DAYS); hasta entonces se lo puede recuperar. Se avisa a quienes
    administran la clínica. Ni su único respaldo bueno ni uno retenido se eliminan.
    """

    async def look(databases: Databases) -> Respaldo:
        return await find_respaldo(databases, id_)

    async def work(databases: Databases) -> None:
        respaldo = await find_respaldo(databases, id_)
        await eliminar_respaldo(databases, id_, clinica_id=respaldo.clinica_id, actor=COMMAND_LINE, platform=True)

    if not si:
        respaldo = with_databases(look)
        of = f"de {whose(respaldo.clinica_id)}, {timestamp(respaldo.fecha_respaldo)} ({time_zone()})"
        ask_first(f"¿Eliminar el respaldo {id_} ({of})?", si, refusal="use --si para eliminar sin que se le pregunte")
    with_databases(work)
    if as_json:
        print_json({"id": id_, "eliminado": True})
    else:
        done(f"Respaldo {id_} eliminado; «respaldos recuperar {id_}» lo trae de vuelta mientras su archivo exista")


@click.command()
@click.argument("id_", metavar="ID", type=IDENTIFIER)
@json_option
def recuperar(id_: int, as_json: bool) -> None:
    """Trae de vuelta un respaldo eliminado, si su archivo todavía está en S3."""

    async def work(resources: Resources) -> RespaldoCompleto:
        respaldo = await find_respaldo(resources, id_)
        found = await recuperar_respaldo(resources, id_, clinica_id=respaldo.clinica_id, actor=COMMAND_LINE)
        return await in_full(resources, settings_of_process(), found)

    _show(with_resources(work), as_json, f"Respaldo {id_} recuperado")


@click.command()
@click.argument("id_", metavar="ID", type=IDENTIFIER)
@click.option("--motivo", metavar="TEXTO", help="Por qué se conserva. Lo ve quien puede ver los respaldos.")
@click.option(
    "--hasta",
    type=click.DateTime(formats=["%Y-%m-%d"]),
    metavar="AAAA-MM-DD",
    help="El último día; sin él, hasta que se libere.",
)
@click.option("--liberar", is_flag=True, help="Deja que se elimine otra vez.")
@json_option
def retener(id_: int, motivo: str | None, hasta: datetime | None, liberar: bool, as_json: bool) -> None:
    """Conserva un respaldo: ni una persona ni la limpieza lo eliminan, hasta que se libere."""
    if liberar == (motivo is not None) or (liberar and hasta is not None):
        raise click.UsageError("dé --motivo, para retenerlo, o --liberar")
    if motivo is not None and not motivo.strip():
        raise click.UsageError("--motivo está vacío")

    async def work(settings: Settings) -> RespaldoCompleto:
        async with open_databases(settings) as databases:
            clinica_id = (await find_respaldo(databases, id_)).clinica_id
            if motivo is None:
                found = await liberar_respaldo(databases, id_, clinica_id=clinica_id, actor=COMMAND_LINE)
            else:
                end = None
                if hasta is not None:
                    end = datetime.combine(hasta.date() + timedelta(days=1), time(), settings.time_zone)
                found = await retener_respaldo(
                    databases, id_, clinica_id=clinica_id, motivo=motivo.strip(), hasta=end, actor=COMMAND_LINE
                )
            return await in_full(databases, settings, found)

    said = f"Respaldo {id_} liberado" if liberar else f"Respaldo {id_} retenido: no se elimina hasta que se libere"
    _show(with_settings(work), as_json, said)


@click.command()
@click.argument("id_", metavar="ID", type=IDENTIFIER)
@json_option
def aceptar(id_: int, as_json: bool) -> None:
    """Da por bueno un respaldo sospechoso, después de revisarlo."""

    async def work(databases: Databases) -> RespaldoCompleto:
        respaldo = await find_respaldo(databases, id_)
        found = await aceptar_respaldo(databases, id_, clinica_id=respaldo.clinica_id, actor=COMMAND_LINE)
        return await in_full(databases, settings_of_process(), found)

    _show(with_databases(work), as_json, f"Respaldo {id_} aceptado: desde ahora cuenta como bueno")


def _show(shown: RespaldoCompleto, as_json: bool, said: str) -> None:
    if as_json:
        print_json(shown)
    else:
        done(said)


@click.command()
@clinic_option("Solo los respaldos de esta clínica.")
@click.option("--simular", is_flag=True, help="Muestra qué se eliminaría y por qué, y no elimina nada.")
@click.option("--si", is_flag=True, help="Elimina sin preguntar.")
@json_option
def limpiar(clinica: str | None, simular: bool, si: bool, as_json: bool) -> None:
    """Elimina los respaldos que RETENTION_DAYS y las demás reglas ya no conservan.

    Dice de cada uno si se conserva y por qué. Después borra de S3 los archivos de los que se eliminaron hace
    PURGE_DAYS o más.
    """
    now = datetime.now(UTC)
    if simular or not si:
        found = _clean(clinica, now, simular=True)
        if simular:
            _show_decisions(found, as_json, None)
            return
        doomed = sum(not decision.keep for clinic in found for decision in clinic.decisions)
        if doomed:
            if not as_json:
                _show_decisions(found, as_json, None)
            ask_first(
                f"¿Eliminar los respaldos marcados ({number(doomed)})?",
                si,
                refusal=f"respaldos que se eliminarían: {number(doomed)}; use --si, o --simular para verlos",
            )
    # By the same clock as what has been shown.
    found = _clean(clinica, now, simular=False)
    _show_decisions(found, as_json, _purge(clinica))


def _clean(clinica: str | None, now: datetime, *, simular: bool) -> list[ClinicDecisions]:
    async def work(settings: Settings) -> list[ClinicDecisions]:
        async with open_resources(settings) as resources:
            found = await limpiar_respaldos_antiguos(
                resources,
                retention_policy(settings),
                clinica_id=await clinic_number(resources.clinic, clinica) if clinica is not None else None,
                simular=simular,
                now=now,
                actor=COMMAND_LINE,
            )
            if clinica is not None and not found[0].decisions:
                # A mistyped clinic must not look like one without backups.
                await resources.clinic.clinic(clinica)
            return found

    return with_settings(work)


def _purge(clinica: str | None) -> int:
    async def work(settings: Settings) -> int:
        async with open_resources(settings) as resources:
            clinica_id = await clinic_number(resources.clinic, clinica) if clinica is not None else None
            return await purgar(resources, days=settings.purge_days, clinica_id=clinica_id, actor=COMMAND_LINE)

    return with_settings(work)


def _show_decisions(found: list[ClinicDecisions], as_json: bool, purged: int | None) -> None:
    """`purged` is how many files went from S3; None where nothing has been deleted yet."""
    decided = [
        (clinic.clinica_id, decision, backup)
        for clinic in found
        for decision, backup in zip(clinic.decisions, clinic.backups, strict=True)
    ]
    if as_json:
        shown: list[dict[str, Any]] = [
            {
                "clinica_id": clinica_id,
                "id": backup.id,
                "fecha_respaldo": backup.fecha_respaldo.isoformat(),
                "estado": backup.estado,
                "conservar": decision.keep,
                "razon": decision.reason,
            }
            for clinica_id, decision, backup in decided
        ]
        print_json({"simulado": purged is None, "respaldos": shown, "purgados": purged or 0})
        return
    if decided:
        table(
            ("Clínica", "ID", dated("Fecha"), "Estado", "Tamaño", "Decisión", "Razón"),
            [
                (
                    named(clinica_id),
                    str(backup.id),
                    timestamp(backup.fecha_respaldo),
                    ESTADO_DISPLAY[Estado(backup.estado)],
                    size(backup.tamaño_bytes),
                    "conservar" if decision.keep else "eliminar",
                    decision.reason,
                )
                for clinica_id, decision, backup in decided
            ],
            right=(0, 1, 4),
        )
    doomed = sum(not decision.keep for _, decision, _ in decided)
    if purged is None:
        say(f"Respaldos que se eliminarían: {number(doomed)} de {number(len(decided))}")
    else:
        done(f"Respaldos eliminados: {number(doomed)}; borrados de S3: {number(purged)}")


@click.command()
@clinic_option("Solo los archivos de esta clínica.")
@unsealed_option
@json_option
@click.pass_context
def reindexar(context: click.Context, clinica: str | None, sin_sello: bool, as_json: bool) -> None:
    """Rehace, a partir de los archivos del bucket y de sus copias, los respaldos que la base de datos perdió.

    Lee entero cada archivo que la base de datos no conoce, también los de una clínica que ya no está en la tabla de
    clínicas. No cambia nada en ningún bucket. Termina con error si dejó afuera algún archivo de respaldo (dañado, sin
    sello, con una fecha que no ha llegado, o que no se pudo leer) o si algún bucket no se pudo mirar.
    """

    async def work(resources: Resources) -> tuple[Reindexed, list[RespaldoCompleto]]:
        clinica_id = await clinic_number(resources.clinic, clinica) if clinica is not None else None
        with progress_bar("Leyendo el bucket") as progress:
            found = await rebuild(resources, clinica_id=clinica_id, unsealed=sin_sello, progress=progress)
        return found, await all_in_full(resources, found.rebuilt)

    found, rebuilt = with_resources(work)
    if as_json:
        print_json(
            {
                "reconstruidos": rebuilt,
                "desconocidos": [_described(item) for item in found.unknown],
                "dañados": [_described(item) for item in found.damaged],
                "ya_registrados": found.known,
                "sin_mirar": found.away,
            }
        )
    else:
        if found.rebuilt:
            table(
                ("ID", "Clínica", dated("Fecha"), "Tamaño", "Registros", "Archivo S3"),
                [
                    (
                        str(respaldo.id),
                        named(respaldo.clinica_id),
                        timestamp(respaldo.fecha_respaldo),
                        size(respaldo.tamaño_bytes),
                        number(respaldo.numero_registros),
                        respaldo.archivo_s3 or "",
                    )
                    for respaldo in found.rebuilt
                ],
                right=(0, 1, 3, 4),
            )
        for reason in found.away:
            warn(f"no se pudo mirar: {reason}")
        for item in found.unknown:
            warn(f"desconocido, no se tocó: «{item.archivo_s3}»: {item.reason}")
        for item in found.damaged:
            warn(f"quedó afuera, no se tocó: «{item.archivo_s3}»: {item.reason}")
        said = f"Respaldos reconstruidos: {number(len(found.rebuilt))}; ya registrados: {number(found.known)}"
        if found.damaged:
            failed(f"{said}; respaldos que quedaron afuera: {number(len(found.damaged))}")
        else:
            done(said)
    if found.damaged or found.away:
        context.exit(1)


def _described(item: "Unknown") -> dict[str, str]:
    return {"archivo_s3": item.archivo_s3, "razon": item.reason}
