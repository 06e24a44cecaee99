"""A value of any of PostgreSQL's types leaves in each format, and comes back from there the same."""

import datetime
from collections.abc import Sequence
from decimal import Decimal
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import asyncpg
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from app.clinic.session_settings import SESSION_SQL
from app.export.format import Formato
from tests.clinic.conftest import Database
from tests.support.clinic_backup import back_up
from tests.support.exporting import export, parquet_columns, sqlite_rows
from tests.support.two_clinics import TWO_CLINICS
from tests.support.value import CREATE_TYPES, ROW, VALUES, images, quoted

TYPES = ["int", "int", *VALUES]
COLUMNS = ["id", "clinica_id", *VALUES]


async def _create(sql: asyncpg.Connection) -> None:
    if await sql.fetchval("SELECT to_regclass('valores') IS NOT NULL"):
        await sql.execute("TRUNCATE valores")
        return
    columns = ", ".join(f"{quoted(type_)} {type_}" for type_ in VALUES)
    await sql.execute(
        f"""
        SET search_path = public;
        {TWO_CLINICS} {CREATE_TYPES}
        CREATE SCHEMA citado; CREATE DOMAIN citado.texto AS text;
        CREATE TABLE "Con ""x"" y" (id int); CREATE EXTENSION vector;
        CREATE TABLE valores (id int PRIMARY KEY, clinica_id int NOT NULL REFERENCES clinica, {columns});
        CREATE TABLE copia (LIKE valores INCLUDING ALL);
        """
    )


def _text(value: Any) -> str | None:
    """A value that a reader of SQLite or Parquet gave, as PostgreSQL's input functions take it."""
    match value:
        case None | str():
            return value
        case bool():
            return str(value).lower()
        case bytes():
            return "\\x" + value.hex()
        case Decimal():
            return format(value, "f")
        case datetime.date() | datetime.time():
            return value.isoformat()
        case float():
            return repr(value)
    return str(value)


async def _assert_same(sql: asyncpg.Connection, rows: Sequence[Sequence[Any]]) -> None:
    """The rows, put back into a table of the same shape, are those that were backed up, to the bit."""
    await sql.execute(f"TRUNCATE copia; {SESSION_SQL}")
    values = ", ".join(f"${number}::text::{type_}" for number, type_ in enumerate(TYPES, 1))
    await sql.executemany(f"INSERT INTO copia SELECT {values}", [[_text(value) for value in row] for row in rows])
    await _assert_copied(sql)


async def _assert_copied(sql: asyncpg.Connection) -> None:
    copied, original = await images(sql, "copia", VALUES), await images(sql, "valores", VALUES)
    assert len(copied) == len(original)
    for ours, theirs in zip(copied, original, strict=True):
        differing = {name: (ours[name], theirs[name]) for name in ours if ours[name] != theirs[name]}
        assert not differing


@settings(
    derandomize=True,
    deadline=None,
    max_examples=25,
    phases=[Phase.generate],
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow, HealthCheck.data_too_large],
)
@given(rows=st.lists(ROW, min_size=1, max_size=3))
async def test_values_of_every_type_come_back_exactly(database: Database, rows: list[tuple[Any, ...]]) -> None:
    sql = database.sql
    await _create(sql)
    values = ", ".join(f"${number}::text::{type_}" for number, type_ in enumerate(VALUES, 2))
    await sql.executemany(
        f"INSERT INTO valores SELECT $1, 1, {values}", [(number, *row) for number, row in enumerate(rows)]
    )
    backup = await back_up(database.clinics(exclude=('Con "x" y', "copia")), 1)
    with TemporaryDirectory() as name:
        folder = Path(name)
        for formato in Formato:
            export(backup.file, folder / formato, formato)
        await sql.execute(f"TRUNCATE copia; {SESSION_SQL}")
        await sql.copy_to_table(
            "copia", source=folder / "csv" / "valores.csv", format="csv", delimiter=";", header=True, encoding="utf-8"
        )
        await _assert_copied(sql)
        await _assert_same(sql, sqlite_rows(folder / "sqlite", "SELECT * FROM valores ORDER BY id"))
        columns = parquet_columns(folder / "parquet" / "valores.parquet")
        assert list(columns) == COLUMNS
        await _assert_same(sql, list(zip(*columns.values(), strict=True)))
