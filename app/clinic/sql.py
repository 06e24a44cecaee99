"""Identifiers and joins as SQL text."""

from app.clinic.introspection import ForeignKey, Table


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


def joined(foreign_key: ForeignKey, child: str, parent: str) -> str:
    """The condition that the row `child` points to the row `parent`."""
    return " AND ".join(
        f"{parent}.{quote(target)} = {child}.{quote(column)}"
        for column, target in zip(foreign_key.columns, foreign_key.target_columns, strict=True)
    )


def columns(alias: str, names: tuple[str, ...]) -> str:
    """Columns of the row `alias`, separated by commas."""
    return ", ".join(f"{alias}.{quote(name)}" for name in names)


def same_value(folded: bool, one: str, other: str) -> str:
    """The condition that two values are equal; where they are text, whatever their case, and not empty."""
    return f"lower({one}::text) = lower({other}::text) AND {other} <> ''" if folded else f"{one} = {other}"
