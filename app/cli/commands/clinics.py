"""Commands about all clinics: clinicas, situacion."""

from collections import Counter
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

import click

from app.cli.output import dated, json_option, number, print_json, say, table, timestamp
from app.cli.parameters import WholeNumber
from app.cli.running import with_settings
from app.clinic.clinic import Clinic
from app.connections.databases import open_databases
from app.respaldos.contract import ClinicaEnLista
from app.respaldos.databases import transaction
from app.respaldos.status import fleet as status_fleet
from app.respaldos.status.clinics import listar_clinicas
from app.respaldos.status.fleet import Failure
from app.respaldos.status.health import Situacion
from app.settings import Settings


@click.command()
@json_option
def clinicas(as_json: bool) -> None:
    """Lista las clínicas, por su número, y el último respaldo bueno de cada una."""

    async def work(settings: Settings) -> list[tuple[Clinic, ClinicaEnLista]]:
        async with open_databases(settings) as databases:
            clinics = await databases.clinic.clinics()
            found = await listar_clinicas(
                databases,
                clinics,
                now=datetime.now(UTC),
                time_zone=settings.time_zone,
                limit=len(clinics),
                offset=0,
            )
        seen = {each.clinica_id: each for each in found}
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

    De cada una, el último respaldo bueno y el último fallo, con su razón. Siempre termina bien si pudo mirar.
    """

    async def work(settings: Settings) -> tuple[list[ClinicaEnLista], list[ClinicaEnLista], dict[int, Failure]]:
        async with open_databases(settings) as databases:
            clinics = await databases.clinic.clinics()
            everyone = await listar_clinicas(
                databases,
                clinics,
                now=datetime.now(UTC),
                time_zone=settings.time_zone,
                limit=len(clinics),
                offset=0,
            )
            matching = [each for each in everyone if not estado or each.situacion in estado]
            page = [each.clinica_id for each in matching[(pagina - 1) * limite : pagina * limite]]
            async with transaction(databases) as session:
                failures = await status_fleet.last_failures(session, among=page)
        return everyone, matching, {each.clinica_id: each for each in failures}

    everyone, matching, failures = with_settings(work)
    shown = matching[(pagina - 1) * limite : pagina * limite]
    counts = Counter(each.situacion for each in everyone)
    if as_json:
        print_json(
            {
                "total": len(matching),
                "pagina": pagina,
                "limite": limite,
                "resumen": {each.value: counts[each] for each in Situacion},
                "clinicas": [
                    {**each.model_dump(), "ultimo_fallo": _failure(failures.get(each.clinica_id))} for each in shown
                ],
            }
        )
        return
    if shown:
        table(
            ("Clínica", "Nombre", "Situación", dated("Último bueno"), "Último fallo"),
            [
                (
                    str(each.clinica_id),
                    each.nombre or "—",
                    WORDS[each.situacion],
                    "ninguno" if each.ultimo_bueno is None else timestamp(each.ultimo_bueno.fecha),
                    _said(failures.get(each.clinica_id)),
                )
                for each in shown
            ],
            right=(0,),
        )
    pages = max(1, -(-len(matching) // limite))
    of_each = [f"{WORDS[each].lower()}: {number(counts[each])}" for each in Situacion if counts[each]]
    say(f"Página {number(pagina)} de {number(pages)}. Clínicas en total: {number(len(everyone))}")
    say(f"  {', '.join(of_each)}")


def _failure(failure: Failure | None) -> dict[str, Any] | None:
    if failure is None:
        return None
    return {"respaldo_id": failure.respaldo_id, "fecha": failure.taken_at, "error": failure.error}


def _said(failure: Failure | None) -> str:
    return "—" if failure is None else f"{timestamp(failure.taken_at)}: {failure.error or 'sin razón anotada'}"
