"""Commands about all clinics: clinicas, situacion."""

from collections.abc import Sequence
from datetime import UTC, datetime

import click

from app.cli.output import dated, json_option, number, print_json, say, table, timestamp, warn
from app.cli.parameters import WholeNumber
from app.cli.running import with_settings
from app.clinic.clinic import Clinic
from app.connections.databases import open_databases
from app.respaldos.contract import ClinicaEnLista
from app.respaldos.copies import fleet as copy_fleet
from app.respaldos.copies.fleet import Backlog
from app.respaldos.databases import transaction
from app.respaldos.status.clinics import ClinicsPage, listar_clinicas
from app.respaldos.status.health import Situacion
from app.settings import Settings


@click.command()
@json_option
def clinicas(as_json: bool) -> None:
    """Lista las clínicas, por su número, y el último respaldo bueno de cada una."""

    async def work(settings: Settings) -> list[tuple[Clinic, ClinicaEnLista]]:
        async with open_databases(settings) as databases:
            clinics = await databases.clinic.clinics()
            page = await listar_clinicas(
                databases,
                clinics,
                now=datetime.now(UTC),
                time_zone=settings.time_zone,
                limit=len(clinics),
                offset=0,
            )
        seen = {each.clinica_id: each for each in page.shown}
        return [(clinic, seen[clinic.id]) for clinic in clinics]

    found = with_settings(work)
    if as_json:
        print_json([{**seen.model_dump(), "esquema": clinic.schema} for clinic, seen in found])
    elif not found:
        say("La tabla de clínicas está vacía.")
    else:
        table(
            ("Número", "Nombre", "Esquema", "Estado", dated("Último respaldo bueno")),
            [
                (
                    str(clinic.id),
                    clinic.name or "—",
                    clinic.schema or "—",
                    "activa" if clinic.active else "inactiva",
                    "ninguno todavía" if (good := seen.ultimo_bueno) is None else timestamp(good.fecha),
                )
                for clinic, seen in found
            ],
            right=(0,),
        )


# As the panel says them.
WORDS = {
    Situacion.SIN_RESPALDO: "Sin ningún respaldo",
    Situacion.ATRASADA: "Atrasada",
    Situacion.FALLANDO: "Fallando",
    Situacion.SIN_VERIFICAR: "Sin comprobar",
    Situacion.AL_DIA: "Al día",
    Situacion.INACTIVA: "Inactiva",
}


@click.command()
@click.option(
    "--estado",
    type=click.Choice([each.value for each in Situacion]),
    multiple=True,
    help="Solo las que están así; se puede repetir.",
)
@click.option("--limite", type=WholeNumber(1, 10_000), default=20, show_default=True, help="Cuántas por página.")
@click.option("--pagina", type=WholeNumber(1, 1_000_000), default=1, show_default=True, help="Qué página.")
@json_option
def situacion(estado: Sequence[str], limite: int, pagina: int, as_json: bool) -> None:
    """Muestra cómo están los respaldos de todas las clínicas, las que están peor primero.

    De cada una, el último respaldo bueno y, si los últimos fallaron, por qué. Dice también de cuántos falta la copia
    en otro almacén. Siempre termina bien si pudo mirar.
    """

    words = [Situacion(each) for each in estado] or list(Situacion)

    async def work(settings: Settings) -> tuple[ClinicsPage, list[Backlog]]:
        wanted = {copy.name for copy in settings.copy_buckets}
        async with open_databases(settings) as databases:
            async with transaction(databases) as session:
                lacking = [each for each in await copy_fleet.backlogs(session) if each.destino in wanted]
            return await listar_clinicas(
                databases,
                await databases.clinic.clinics(),
                now=datetime.now(UTC),
                time_zone=settings.time_zone,
                words=words,
                limit=limite,
                offset=(pagina - 1) * limite,
            ), lacking

    page, lacking = with_settings(work)
    shown, total, counts = page.shown, page.total, page.counts
    if as_json:
        print_json(
            {
                "total": total,
                "pagina": pagina,
                "limite": limite,
                "resumen": {each.value: counts[each] for each in Situacion},
                "clinicas": [each.model_dump() for each in shown],
                "copias_faltantes": [
                    {
                        "destino": each.destino,
                        "pendientes": each.pending,
                        "fallidas": each.failed,
                        "desde": each.oldest.isoformat(),
                        "error": each.error,
                    }
                    for each in lacking
                ],
            }
        )
        return
    if shown:
        table(
            ("Clínica", "Nombre", "Situación", dated("Último bueno"), "Por qué falló"),
            [
                (
                    str(each.clinica_id),
                    each.nombre or "—",
                    WORDS[each.situacion],
                    "ninguno" if each.ultimo_bueno is None else timestamp(each.ultimo_bueno.fecha),
                    each.ultimo_error or "—",
                )
                for each in shown
            ],
            right=(0,),
        )
    elif total:
        say(f"Esa página no existe: la última es la {number(-(-total // limite))}.")
    else:
        say("Ninguna clínica está así." if estado else "La tabla de clínicas está vacía.")
    pages = max(1, -(-total // limite))
    of_each = [f"{WORDS[each].lower()}: {number(counts[each])}" for each in Situacion if counts[each]]
    say(f"Página {number(pagina)} de {number(pages)}. Clínicas en total: {number(counts.total())}")
    if of_each:
        say(f"  {', '.join(of_each)}")
    for each in lacking:
        why = f": {each.error}" if each.error is not None else ""
        warn(
            f"copias que faltan en «{each.destino}»: {number(each.pending + each.failed)}, la más vieja del respaldo"
            f" del {timestamp(each.oldest)}; fallaron: {number(each.failed)}{why}"
        )
