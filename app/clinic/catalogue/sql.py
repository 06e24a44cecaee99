"""Identifiers and joins as SQL text."""

from typing import Protocol

from app.clinic.catalogue.introspection import Equality, Table


class Key(Protocol):
    """A foreign key, or a key of one table whose rows are compared with each other (UniqueKey)."""

    @property
    def columns(self) -> tuple[str, ...]:
        """Those of the row that points."""

    @property
    def target_columns(self) -> tuple[str, ...]:
        """Those of the row pointed to."""

    @property
    def equality(self) -> Equality:
        """How they are compared."""


def quote(name: str) -> str:
    """An SQL identifier, always quoted, so that no name needs to be known as a keyword."""
    return '"' + name.replace('"', '""') + '"'


def literal(text: str) -> str:
    """An SQL string constant, whatever `standard_conforming_strings` says."""
    return "E'" + text.replace("\\", "\\\\").replace("'", "''") + "'"


def qualified(table: Table) -> str:
    """The table's full name."""
    return f"{quote(table.name.schema)}.{quote(table.name.name)}"


def from_table(table: Table) -> str:
    """The table as FROM takes it, without the rows of tables that inherit from it: they are listed themselves."""
    return qualified(table) if table.partitioned else f"ONLY {qualified(table)}"


def joined(key: Key, child: str, parent: str) -> str:
    """The condition that the row `child` points to the row `parent`."""
    return _matching(key, columns_of(child, key.columns), columns_of(parent, key.target_columns))


def points_into(key: Key, child: str, parents: str) -> str:
    """The condition that the row `child` points to one of the rows of a query over the key's target columns."""
    if not key.equality:
        return f"({columns(child, key.columns)}) IN ({parents})"
    found = _fields(key)
    there = _matching(key, columns_of(child, key.columns), found)
    return f"EXISTS (SELECT FROM ({parents}) AS {_FOUND}({', '.join(found)}) WHERE {there})"


def pointed_to_from(key: Key, parent: str, children: str) -> str:
    """The condition that one of the rows of a query over the key's columns points to the row `parent`."""
    if not key.equality:
        return f"({columns(parent, key.target_columns)}) IN ({children})"
    found = _fields(key)
    there = _matching(key, found, columns_of(parent, key.target_columns))
    return f"EXISTS (SELECT FROM ({children}) AS {_FOUND}({', '.join(found)}) WHERE {there})"


# A name that no row which is compared has.
_FOUND = '"respaldos$hallado"'


def _fields(key: Key) -> list[str]:
    return [f'"respaldos$campo_{number}"' for number in range(len(key.columns))]


def _matching(key: Key, child: list[str], parent: list[str]) -> str:
    how = key.equality or (("=", ""),) * len(child)
    return " AND ".join(
        f"{target} {operator} {value}{collation}"
        for value, target, (operator, collation) in zip(child, parent, how, strict=True)
    )


def columns_of(alias: str, names: tuple[str, ...]) -> list[str]:
    """Columns of the row `alias`."""
    return [f"{alias}.{quote(name)}" for name in names]


def columns(alias: str, names: tuple[str, ...]) -> str:
    """Columns of the row `alias`, separated by commas."""
    return ", ".join(columns_of(alias, names))


def same_value(folded: bool, one: str, other: str) -> str:
    """The condition that two values are equal; where they are text, whatever their case, and not empty."""
    return f"lower({one}::text) = lower({other}::text) AND {other} <> ''" if folded else f"{one} = {other}"
