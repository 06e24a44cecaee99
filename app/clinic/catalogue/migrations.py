"""How far the migrations of the clinics' system have come, and which came between a backup and today."""

from collections.abc import Iterable, Iterator, Sequence

import asyncpg

from app.clinic.catalogue.entries import Catalogue, Entry, TableClass
from app.clinic.catalogue.sql import from_table

# So many of one app's are all named; of more, the first and the last, since their names carry numbers.
NAMED = 5


async def migration_heads(connection: asyncpg.Connection, catalogue: Catalogue) -> dict[str, list[str]]:
    """How far each migration table has come: of Django's, each app's last; of alembic's, its heads."""
    heads = {}
    for name, entry in _tables(catalogue):
        if _of_django(entry):
            last = dict(await _applied(connection, entry))
            heads[name] = [f"{app}.{last[app]}" for app in sorted(last)]
        else:
            heads[name] = await _alembic_heads(connection, entry)
    return heads


async def migrations_since(
    connection: asyncpg.Connection, catalogue: Catalogue, heads: dict[str, list[str]]
) -> list[str]:
    """In sentences, what separates the `heads` of a backup from today; none where nothing does.

    A table that today's role may not read, or that is not there, is said as well.
    """
    said = []
    today = dict(_tables(catalogue))
    for name, known in heads.items():
        entry = today.get(name)
        if entry is None:
            said.append(f"«{name}»: el respaldo dice hasta dónde iba, y hoy no está, o no se puede leer")
        elif _of_django(entry):
            said += (f"«{name}»: {each}" for each in django_since(known, await _applied(connection, entry)))
        elif (now := await _alembic_heads(connection, entry)) != sorted(known):
            said.append(f"«{name}»: al hacer el respaldo iba en {_listed(known)}, y hoy va en {_listed(now)}")
    said += (f"«{name}»: el respaldo no dice hasta dónde iba" for name in today if name not in heads)
    return said


def django_since(heads: Iterable[str], applied: Sequence[tuple[str, str]]) -> Iterator[str]:
    """What separates each app's last migration in a backup from today's, in words.

    `heads` are `app.name`, `applied` today's apps and names in the order in which they were applied.
    """
    known = {app: name for app, _, name in (head.partition(".") for head in heads)}
    names: dict[str, list[str]] = {}
    for app, name in applied:
        names.setdefault(app, []).append(name)
    came = []
    for app in sorted(names):
        if app not in known:
            came.append(f"{app}, que es nueva ({_some(names[app])})")
        elif known[app] in names[app]:
            # Django may have applied one name twice; what came after the last time came after the backup.
            after = len(names[app]) - names[app][::-1].index(known[app])
            if later := names[app][after:]:
                came.append(f"{app} ({_some(later)})")
    if came:
        yield f"migraciones que se aplicaron después del respaldo: {'; '.join(came)}"
    gone = [
        f"{app}.{name} (hoy {f'la última es {names[app][-1]}' if app in names else 'no hay ninguna'})"
        for app, name in sorted(known.items())
        if name not in names.get(app, ())
    ]
    if gone:
        yield (
            f"migraciones que estaban aplicadas al hacer el respaldo y hoy no lo están: {'; '.join(gone)}."
            " El sistema volvió a una versión anterior, o sus migraciones se reescribieron"
        )


def _tables(catalogue: Catalogue) -> Iterator[tuple[str, Entry]]:
    """The migration tables that can be read and understood, by the name that the file gives them."""
    for entry in catalogue.of_class(TableClass.MIGRATIONS):
        understood = _of_django(entry) or entry.table.column("version_num") is not None
        if understood and entry.table.readable and not entry.table.row_security:
            own = entry.name.schema == (catalogue.schema or "public")
            yield entry.name.name if own else ".".join(entry.name), entry


def _of_django(entry: Entry) -> bool:
    return all(entry.table.column(name) is not None for name in ("id", "app", "name"))


async def _applied(connection: asyncpg.Connection, entry: Entry) -> list[tuple[str, str]]:
    rows = await connection.fetch(f"SELECT app::text, name::text FROM {from_table(entry.table)} ORDER BY id")
    return [(app, name) for app, name in rows]


async def _alembic_heads(connection: asyncpg.Connection, entry: Entry) -> list[str]:
    rows = await connection.fetch(f"SELECT version_num::text FROM {from_table(entry.table)}")
    return sorted(head for (head,) in rows)


def _some(names: Sequence[str]) -> str:
    if len(names) <= NAMED:
        return ", ".join(names)
    return f"{names[0]} … {names[-1]}, {len(names)} en total"


def _listed(heads: Sequence[str]) -> str:
    return ", ".join(heads) or "ninguna"
