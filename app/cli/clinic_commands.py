"""Commands that look at the clinic database: catalogo."""

from typing import TYPE_CHECKING, Any

import click

from app.cli.output import json_option, number, print_json, table, warn
from app.cli.session import with_settings
from app.cli.whole_number import IDENTIFIER

if TYPE_CHECKING:
    from app.clinic.catalogue import Entry
    from app.clinic.database import Census
    from app.settings import Settings


@click.command()
@click.option(
    "--clinica",
    type=IDENTIFIER,
    metavar="N",
    help="Con un esquema por clínica, el de esta; si no se dice, la primera.",
)
@click.option("--estricto", is_flag=True, help="Termina con error si hay tablas sin clasificar.")
@json_option
@click.pass_context
def catalogo(context: click.Context, clinica: int | None, estricto: bool, as_json: bool) -> None:
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
                    _class(entry),
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


def _class(entry: "Entry") -> str:
    """A clinic's own logins are its own, and logins all the same."""
    from app.clinic.catalogue import TableClass

    return TableClass.ACCESS if entry.access else entry.kind


def _described(census: "Census", entry: Any) -> dict[str, Any]:
    return {
        "tabla": str(entry.name),
        "modelo": entry.model,
        "clase": _class(entry),
        "dueño": census.catalogue.owner_path(entry),
        "clave": list(entry.table.key),
        "registros": census.rows[entry.name],
        "sin_dueño": sum(found.rows for found in census.unowned if found.table == entry.name),
        "apuntan_a_otra_clinica": {
            found.foreign_key.name: found.rows for found in census.strays if found.table == entry.name
        },
    }
