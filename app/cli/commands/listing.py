"""Commands that only look at what the service knows: listar, ver, estadisticas."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime

import click

from app.cli.clinic_option import clinic_number, clinic_option, one_of, whose_option
from app.cli.find import encryption_of, find_respaldo, kept_days
from app.cli.output import (
    dated,
    elapsed,
    fields,
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
from app.cli.parameters import IDENTIFIER, WholeNumber
from app.cli.running import with_databases, with_settings
from app.connections.databases import open_databases
from app.connections.full import in_full
from app.connections.storage import storage_price
from app.dump.whose import named
from app.respaldos.backup import fleet as backup_fleet
from app.respaldos.backup import queries as backup_queries
from app.respaldos.contract import (
    COPIA_DISPLAY,
    ESTADO_DISPLAY,
    Copia,
    Estadisticas,
    RespaldoCompleto,
    RespaldoEnLista,
    Retencion,
    Verificacion,
)
from app.respaldos.databases import Databases, transaction
from app.respaldos.jobs.request import progress_of
from app.respaldos.models import Estado, Respaldo, Restauracion, TipoRestauracion
from app.respaldos.reading import queries as reading_queries
from app.respaldos.status.statistics import obtener_estadisticas
from app.settings import Settings, settings_of_process

# Of what was done with a backup, restores among the last so many are shown with it; the API has all of them.
LAST_DONE = 50


@click.command()
@clinic_option("Solo los de esta clínica.")
@click.option("--plataforma", is_flag=True, help="Solo los de la plataforma.")
@click.option(
    "--limite", type=WholeNumber(1, 1000), default=20, show_default=True, help="Cuántos, como mucho; hasta 1000."
)
@json_option
def listar(clinica: str | None, plataforma: bool, limite: int, as_json: bool) -> None:
    """Lista los respaldos, del más nuevo al más viejo."""
    everybody = clinica is None and not plataforma
    if not everybody:
        one_of(clinica, plataforma)

    async def work(databases: Databases) -> tuple[list[Respaldo], Mapping[int | None, int]]:
        days = await kept_days(databases)
        if everybody:
            async with transaction(databases) as session:
                return list(await backup_fleet.newest_of_all(session, limit=limite)), days
        clinica_id = await clinic_number(databases.clinic, clinica) if clinica is not None else None
        async with transaction(databases) as session:
            found = list((await backup_queries.page(session, clinica_id=clinica_id, limit=limite, offset=0))[0])
        if not found and clinica is not None:
            # A mistyped clinic must not look like one without backups; one that is gone has them still.
            await databases.clinic.clinic(clinica)
        return found, days

    respaldos, days = with_databases(work)
    rows = [RespaldoEnLista.of(respaldo, retention_days=days[respaldo.clinica_id]) for respaldo in respaldos]
    if as_json:
        print_json(rows)
    elif not rows:
        say("No hay respaldos todavía. Haga uno con: respaldos crear --clinica N")
    else:
        # Nobody misses what is not set up.
        copied = any(row.copias for row in rows)
        table(
            (
                *("ID", "Clínica", dated("Fecha"), "Estado", "Tipo", "Tamaño", "Registros", "Verificado"),
                *(("Copia",) if copied else ()),
                "Descripción",
            ),
            [
                (
                    str(row.id),
                    named(row.clinica_id),
                    timestamp(row.fecha_respaldo),
                    row.estado_display,
                    row.tipo_respaldo_display,
                    _stored(respaldo),
                    number(respaldo.numero_registros),
                    _verified(row.verificado),
                    *((_copied(row.copias),) if copied else ()),
                    row.descripcion,
                )
                for respaldo, row in zip(respaldos, rows, strict=True)
            ],
            right=(0, 1, 5, 6),
        )


def _unchanged(shown: RespaldoEnLista) -> dict[str, str]:
    since = shown.sin_cambios_desde
    if since is None:
        return {}
    return {
        dated("Sin cambios desde"): f"{timestamp(since)} (su archivo es el del respaldo {shown.respaldo_base_id})"
    }


def _stored(respaldo: Respaldo) -> str:
    """Its size; of one with another backup's file, which takes no room of its own."""
    base = respaldo.respaldo_base_id
    return size(respaldo.tamaño_bytes) if base is None else f"el del {base}"


def _copied(copies: Sequence[Copia]) -> str:
    """The copies in few words: how the only one is, or where which."""
    if len({copy.estado for copy in copies}) == 1:
        return COPIA_DISPLAY[copies[0].estado]
    return ", ".join(f"{copy.destino}: {copy.estado_display}" for copy in copies) or "—"


def _copies(respaldo: Respaldo, shown: RespaldoEnLista) -> dict[str, str]:
    found = {
        f"Copia «{copy.destino}»": f"{copy.estado_display} ({timestamp(copy.fecha)})" + _why(respaldo, copy)
        for copy in shown.copias
    }
    if shown.solo_en_copia is not None:
        found[dated("Solo en copia")] = f"desde {timestamp(shown.solo_en_copia)}: el archivo falta o está dañado"
    return found


def _why(respaldo: Respaldo, copy: Copia) -> str:
    error = respaldo.copias[copy.destino].get("error")
    return f": {error}" if error is not None else ""


def _held(hold: Retencion) -> str:
    until = f"hasta el {timestamp(hold.hasta)}" if hold.hasta is not None else "hasta que se libere"
    return f"{until}: {hold.motivo}"


def _verified(verificado: Verificacion | None) -> str:
    if verificado is None:
        return "—"
    failed = ": falló" if verificado.error is not None else ""
    return f"{timestamp(verificado.fecha)} ({verificado.profundidad}{failed})"


@click.command()
@click.argument("id_", metavar="ID", type=IDENTIFIER)
@json_option
def ver(id_: int, as_json: bool) -> None:
    """Muestra todo lo que se sabe de un respaldo."""

    async def work(databases: Databases) -> tuple[Respaldo, RespaldoCompleto, Sequence[Restauracion]]:
        respaldo = await find_respaldo(databases, id_)
        async with transaction(databases) as session:
            done, _ = await reading_queries.page(
                session, clinica_id=respaldo.clinica_id, respaldo_id=respaldo.id, limit=LAST_DONE, offset=0
            )
            progress = await progress_of(session, respaldo)
        return respaldo, await in_full(databases, settings_of_process(), respaldo, progress), done

    respaldo, shown, done = with_databases(work)
    if as_json:
        print_json(shown)
        return
    metadata, deleted = respaldo.metadata_, respaldo.fecha_eliminacion
    fields(
        {
            "ID": str(shown.id),
            "Clínica": named(shown.clinica_id),
            "Estado": shown.estado_display,
            "Tipo": shown.tipo_respaldo_display,
            dated("Fecha"): timestamp(shown.fecha_respaldo),
            "Descripción": shown.descripcion or "—",
            **({dated("Eliminado"): timestamp(deleted)} if deleted is not None else {}),
            "Archivo S3": shown.archivo_s3 or "—",
            **_unchanged(shown),
            "Tamaño": size(respaldo.tamaño_bytes),
            "Registros": number(respaldo.numero_registros),
            "Tiempo": elapsed(taken.total_seconds()) if (taken := respaldo.tiempo_ejecucion) is not None else "—",
            "Hash MD5": shown.hash_md5 or "—",
            "Cifrado": encryption_of(respaldo),
            dated("Verificado"): _verified(shown.verificado),
            **_copies(respaldo, shown),
            **({"Retenido": _held(hold)} if (hold := shown.retenido) is not None else {}),
            **({"Error": f"{metadata['error']} ({metadata['error_type']})"} if "error" in metadata else {}),
        }
    )
    if counts := metadata.get("detalles_registros"):
        models = metadata["modelos_respaldados"]
        table(("Modelo", "Registros"), [(name, number(counts[name])) for name in models], right=(1,))
    if restored := [each for each in done if each.tipo == TipoRestauracion.RESTAURACION and not each.simulada]:
        table(
            (dated("Restaurado"), "Estado", "Modo", "Motivo"),
            [
                (
                    timestamp(each.trabajo.fecha_creacion),
                    ESTADO_DISPLAY[Estado(each.trabajo.estado)],
                    each.modo,
                    each.motivo or "—",
                )
                for each in restored
            ],
        )
    for aviso in metadata.get("avisos", ()):
        warn(aviso)


@click.command()
@whose_option
@json_option
def estadisticas(clinica: str | None, plataforma: bool, as_json: bool) -> None:
    """Resume cómo van los respaldos de una clínica, o de la plataforma, y cuánto cuestan."""
    owner = one_of(clinica, plataforma)

    async def work(settings: Settings) -> Estadisticas:

        async with open_databases(settings) as databases:
            return await obtener_estadisticas(
                databases,
                clinic=await databases.clinic.clinic(owner) if owner is not None else None,
                now=datetime.now(UTC),
                time_zone=settings.time_zone,
                hour=settings.backup_hour,
                minute=settings.backup_minute,
                price=storage_price(settings),
            )

    found = with_settings(work)
    if as_json:
        print_json(found)
        return
    last, rate, upcoming = found.ultimo_respaldo, found.tasa_exito, found.proximo_respaldo
    days = [day.estado for day in found.serie]
    fields(
        {
            "Respaldos": number(found.total_respaldos),
            "Completados": number(found.completados),
            "Fallidos": number(found.fallidos),
            "Tasa de éxito": f"{rate} %" if found.completados or found.fallidos else "—",
            "Espacio usado": f"{found.tamaño_total_mb:,.2f} MB",
            "Costo mensual estimado": f"{found.costo_mensual_estimado_usd:,.4f} USD",
            "Último respaldo": "ninguno"
            if last is None
            else f"número {last.id}, {timestamp(last.fecha)} ({time_zone()}), {last.tamaño_mb:,.2f} MB",
            "Próximo respaldo": "ninguno: la clínica no está activa"
            if upcoming is None
            else f"{timestamp(upcoming)} ({time_zone()})",
            f"Últimos {len(days)} días": f"{days.count('completado')} con respaldo, {days.count('fallido')} fallidos,"
            f" {days.count(None)} sin ninguno",
        }
    )
