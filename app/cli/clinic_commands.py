"""Commands that look at the clinic database: clinicas, catalogo."""

from typing import TYPE_CHECKING, Any

import click

from app.cli.clinic_option import clinic_option
from app.cli.output import json_option, moment, number, print_json, table, warn
from app.cli.session import with_databases, with_settings

if TYPE_CHECKING:
    from app.clinic.database import Census
    from app.clinic.snapshot import Clinic
    from app.respaldos.listar_clinicas import ClinicaVista
    from app.respaldos.resources import Databases
    from app.settings import Settings


@click.command()
@json_option
def clinicas(as_json: bool) -> None:
    """Lista las clínicas, por su número, y el último respaldo bueno de cada una."""

    async def work(databases: "Databases") -> "list[tuple[Clinic, ClinicaVista]]":
        from datetime import UTC, datetime

        from app.respaldos.listar_clinicas import listar_clinicas

        clinics = await databases.clinic.clinics()
        found = await listar_clinicas(databases, clinics, now=datetime.now(UTC), limit=len(clinics), offset=0)
        seen = {each["clinica_id"]: each for each in found}
        return [(clinic, seen[clinic.id]) for clinic in clinics]

    found = with_databases(work)
    if as_json:
        print_json([{**seen, "esquema": clinic.schema} for clinic, seen in found])
    elif not found:
        click.echo("La tabla de clínicas está vacía.")
    else:
        table(
            ("Número", "Nombre", "Esquema", "Estado", "Último respaldo bueno (UTC)"),
            [
                (
                    str(clinic.id),
                    clinic.name or "—",
                    clinic.schema or "—",
                    "activa" if clinic.active else "inactiva",
                    "ninguno todavía" if (good := seen["ultimo_bueno"]) is None else moment(good["fecha"]),
                )
                for clinic, seen in found
            ],
            right=(0,),
        )


@click.command()
@clinic_option("Con un esquema por clínica, el de esta; si no se dice, la primera.")
@click.option("--estricto", is_flag=True, help="Termina con error si hay tablas sin clasificar.")
@json_option
@click.pass_context
def catalogo(context: click.Context, clinica: str | None, estricto: bool, as_json: bool) -> None:
    """Muestra de quién es cada tabla: qué se respalda, por qué camino, y qué no tiene dueño.

    Cuenta todos los registros, así que en una base grande tarda.
    """

    async def work(settings: "Settings") -> "Census":
        from app.connections import clinic_database

        return await clinic_database(settings).census(clinica)

    census = with_settings(work)
    from app.clinic.catalogue import TableClass
    from app.clinic.checks import unclassified

    entries = list(census.catalogue.entries.values())
    avisos = [*unclassified(census.catalogue), *map(str, census.unowned), *map(str, census.strays)]
    if as_json:
        print_json({"tablas": [_described(census, entry) for entry in entries], "avisos": avisos})
    else:
        table(
            ("Tabla", "Clase", "Dueño", "Clave", "Registros"),
            [
                (
                    str(entry.name),
                    entry.kind,
                    census.catalogue.owner_path(entry) or "—",
                    ", ".join(entry.table.key) or "sin clave",
                    number(census.rows[entry.name]),
                )
                for entry in entries
            ],
            right=(4,),
        )
        for aviso in avisos:
            warn(aviso)
    if estricto and any(entry.kind is TableClass.UNCLASSIFIED for entry in entries):
        context.exit(1)


def _described(census: "Census", entry: Any) -> dict[str, Any]:
    return {
        "tabla": str(entry.name),
        "modelo": entry.model,
        "clase": entry.kind,
        "dueño": census.catalogue.owner_path(entry),
        "clave": list(entry.table.key),
        "registros": census.rows[entry.name],
        "sin_dueño": sum(found.rows for found in census.unowned if found.table == entry.name),
        "apuntan_a_otra_clinica": {
            found.foreign_key.name: found.rows for found in census.strays if found.table == entry.name
        },
    }
