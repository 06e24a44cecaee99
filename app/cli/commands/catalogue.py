"""The command catalogo."""

from typing import Any

import click

from app.cli.clinic_option import clinic_option
from app.cli.output import json_option, number, print_json, say, table, warn
from app.cli.running import with_settings
from app.clinic.catalogue.entries import Entry, TableClass
from app.clinic.database import Census
from app.clinic.reading.checks import unclassified
from app.connections.databases import clinic_database
from app.settings import Settings


@click.command()
@clinic_option("Con un esquema por clínica, el de esta; si no se dice, la primera.")
@click.option("--estricto", is_flag=True, help="Termina con error si hay tablas sin clasificar.")
@json_option
@click.pass_context
def catalogo(context: click.Context, clinica: str | None, estricto: bool, as_json: bool) -> None:
    """Muestra de quién es cada tabla: qué se respalda, por qué camino, y qué no tiene dueño.

    Avisa de lo que no está en ningún respaldo o no concuerda: tablas sin clasificar, registros de ninguna clínica o
    que apuntan a otra, columnas que nombran archivos (una radiografía) y cuántos nombran.

    Aconseja lo que haría más rápidos los respaldos: índices que faltan y columnas que ya no necesitan admitir NULL,
    como líneas de SQL que se pueden pegar en psql, y reglas de OWNERSHIP_RULES que tardan.

    Cuenta todos los registros, así que en una base grande tarda. No cambia nada.
    """

    async def work(settings: Settings) -> Census:
        return await clinic_database(settings).census(clinica)

    census = with_settings(work)
    entries = list(census.catalogue.entries.values())
    found = (*census.unowned, *census.lost, *census.cross_tenant, *census.files)
    avisos = [*unclassified(census.catalogue), *map(str, found)]
    if as_json:
        consejos = [
            {"tipo": advice.kind, "tabla": str(advice.table), "motivo": advice.reason, "sql": list(advice.statements)}
            for advice in census.advice
        ]
        tables = [_described(census, entry) for entry in entries]
        print_json({"tablas": tables, "avisos": avisos, "consejos": consejos})
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
        if census.advice:
            _show_advice(census)
        for aviso in avisos:
            warn(aviso)
    if estricto and any(entry.kind is TableClass.UNCLASSIFIED for entry in entries):
        context.exit(1)


def _show_advice(census: "Census") -> None:
    """As a script of psql, whatever names the tables have."""
    say("-- Para que los respaldos tarden menos:")
    for advice in census.advice:
        say()
        for line in str(advice).splitlines():
            say(f"-- {line}")
        for statement in advice.statements:
            say(statement)


def _class(entry: "Entry") -> str:
    """A clinic's own logins are its own, and logins all the same."""
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
            found.foreign_key.name: found.rows for found in census.cross_tenant if found.table == entry.name
        },
        "archivos_sin_respaldo": {found.column: found.files for found in census.files if found.table == entry.name},
    }
