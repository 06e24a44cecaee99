"""Logins that a restore does not put back as they were: what is inserted of one that is missing, and who it is."""

from collections.abc import Collection, Sequence
from typing import Final

import asyncpg

from app.clinic.catalogue.entries import ByLink, TableClass
from app.clinic.catalogue.introspection import Column, TableName
from app.clinic.catalogue.sql import columns, literal, quote
from app.clinic.people.access import login_columns
from app.clinic.restore.naming import named_people
from app.clinic.restore.staged_tables import FILE, KIND, TODAY, Kind, StagedTable
from app.errors import SchemaDiffers

PASSWORDS: Final = frozenset({"password", "contraseña", "contrasena", "clave"})

# Django's convention: no hash begins so, and so no password is right.
UNUSABLE: Final = "'!' || replace(gen_random_uuid()::text || gen_random_uuid()::text, '-', '')"

# Whose login it is in a clinic's own schema, where no rule says so: as whoever logs in finds their person.
PEOPLE: Final = ("email", "usuario", "correoelectronico")


def login_values(staged: StagedTable, defaults: Collection[str]) -> dict[str, str]:
    """Column and SQL of what a missing login is inserted with beside who it is: nobody gets in with it.

    Inactive and without any privilege: every boolean is false. Raises SchemaDiffers where a column needs a value that
    neither the file nor the table says.
    """
    values = {}
    for column in staged.entry.table.columns:
        if column.name in staged.identity:
            continue
        value = _value(column)
        if value is not None:
            values[column.name] = f"({value})::{column.type}"
        elif column.name not in defaults:
            raise SchemaDiffers(
                f"falta un acceso de «{staged.model}» y no se puede agregar: su columna «{column.name}» es"
                " obligatoria, y ningún respaldo la tiene"
            )
    return values


def _value(column: Column) -> str | None:
    if column.name.lower() in PASSWORDS:
        return UNUSABLE
    if column.type == "boolean":
        return "false"
    if column.nullable:
        return "NULL"
    return "now()" if column.type.startswith(("timestamp", "date")) else None


def link_of(staged: StagedTable, staged_tables: Sequence[StagedTable]) -> tuple[str, StagedTable, str] | None:
    """By which of its columns a login is somebody's, and the people's model with its column; None where nothing says.

    The columns are text, and compared without regard to case, or else of one type.
    """
    links = [way for way in staged.entry.candidates if isinstance(way, ByLink)]
    if links:
        own, target, named = links[0].column, links[0].target, links[0].target_column
    elif staged.entry.kind is TableClass.OWNED:
        own, target, named = PEOPLE[0], TableName(staged.entry.name.schema, PEOPLE[1]), PEOPLE[2]
    else:
        return None
    for people in staged_tables:
        if people.entry.name == target and people.has((named,)) and staged.has((own,)):
            return own, people, named
    return None


def same_login(staged: StagedTable, one: str, other: str, *, by_any: bool) -> str:
    """That two rows are the same login, whatever their keys: by the best of its columns, or by any of them."""
    names = [name for name in login_columns(staged.entry.table) if name in staged.names]
    tests = [
        f"({one}.{quote(name)}::text <> '' AND lower({one}.{quote(name)}::text) = lower({other}.{quote(name)}::text))"
        for name in (names if by_any else names[:1])
    ]
    return f"(({' OR '.join(tests)}) IS TRUE)" if tests else "false"


def who(staged: StagedTable, alias: str) -> str:
    """A row's login as people read it: `ana (7)`."""
    names = [name for name in login_columns(staged.entry.table) if name in staged.names]
    key = " || ', ' || ".join(f"{alias}.{quote(name)}::text" for name in staged.key or staged.names[:1])
    if not names:
        return key
    said = ", ".join(f"nullif({alias}.{quote(name)}::text, '')" for name in names)
    return f"coalesce({said}, '—') || ' (' || {key} || ')'"


async def privileges_given(connection: asyncpg.Connection, staged: StagedTable, access: Collection[TableName]) -> str:
    """Which privileges applying the difference of an access table gives, in words; empty where none.

    `access` are the tables that let people in: a row that ties two of them is a privilege by itself.
    """
    ties = [fk.columns for fk in staged.entry.table.foreign_keys if fk.target in access and staged.has(fk.columns)]
    if ties:
        pointing = {name for fk in staged.entry.table.foreign_keys for name in fk.columns}
        tied = tuple(name for name in staged.names if name in pointing)
        what = ", ".join(f"{literal(f'{name} ')} || f.{quote(name)}::text" for name in tied)
        changed = f"ROW({columns('f', tied)})::text IS DISTINCT FROM ROW({columns('c', tied)})::text"
        said = f"concat_ws(', ', {what})"
    else:
        flags = [c.name for c in staged.table.columns if c.type == "boolean"]
        if not flags:
            return ""
        given = {name: f"f.{quote(name)} AND c.{quote(name)} IS NOT TRUE" for name in flags}
        what = ", ".join(f"CASE WHEN {test} THEN {literal(name)} END" for name, test in given.items())
        changed = f"({' OR '.join(given.values())})"
        said = f"{who(staged, 'f')} || ': ' || concat_ws(', ', {what})"
    return await named_people(
        connection,
        f"SELECT {said} FROM {staged.file} AS f"
        f" LEFT JOIN {staged.pairs} AS p ON p.{quote(FILE)} = f.ctid AND p.{quote(KIND)} <> '{Kind.REINSERT}'"
        f" LEFT JOIN {staged.today} AS c ON c.ctid = p.{quote(TODAY)}"
        f" WHERE {changed} AND NOT EXISTS (SELECT FROM {staged.pairs} AS a WHERE a.{quote(FILE)} = f.ctid"
        f" AND a.{quote(KIND)} = '{Kind.REINSERT}')",
    )
