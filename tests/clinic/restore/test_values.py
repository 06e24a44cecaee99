"""A value of any type comes back exactly, whatever became of its row."""

from typing import Any

from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from tests.clinic.conftest import Database
from tests.support.clinic_backup import back_up
from tests.support.clinic_restore import counts, left_to_do, restore
from tests.support.two_clinics import TWO_CLINICS
from tests.support.value import CREATE_TYPES, ROW, VALUES, images, quoted

COLUMNS = [quoted(type_) for type_ in VALUES]


async def _create(database: Database) -> None:
    if await database.sql.fetchval("SELECT to_regclass('valores') IS NOT NULL"):
        await database.sql.execute("TRUNCATE valores, sueltos")
        return
    columns = ", ".join(f"{name} {type_}" for name, type_ in zip(COLUMNS, VALUES, strict=True))
    await database.sql.execute(
        f"""
        SET search_path = public;
        {TWO_CLINICS} {CREATE_TYPES}
        CREATE SCHEMA citado; CREATE DOMAIN citado.texto AS text;
        CREATE TABLE "Con ""x"" y" (id int); CREATE EXTENSION vector;
        CREATE TABLE valores (id int PRIMARY KEY, clinica_id int NOT NULL REFERENCES clinica, {columns});
        CREATE TABLE sueltos (LIKE valores);
        ALTER TABLE sueltos ALTER id DROP NOT NULL;
        """
    )


@settings(
    derandomize=True,
    deadline=None,
    max_examples=6,
    phases=[Phase.generate],
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow, HealthCheck.data_too_large],
)
@given(rows=st.lists(ROW, min_size=3, max_size=4))
async def test_values_of_every_type_come_back_exactly(any_database: Database, rows: list[tuple[Any, ...]]) -> None:
    await _create(any_database)
    sql = any_database.sql
    values = ", ".join(f"${number}::text::{type_}" for number, type_ in enumerate(VALUES, 2))
    for table in ("valores", "sueltos"):
        await sql.executemany(
            f"INSERT INTO {table} SELECT $1, 1, {values}", [(number, *row) for number, row in enumerate(rows)]
        )
    clinics = any_database.clinics(exclude=('Con "x" y',))
    backup = await back_up(clinics, 1)
    before = {table: await images(sql, table, VALUES) for table in ("valores", "sueltos")}
    # The first row is gone, the second has the third's values, and there is one more like the third.
    changed = ", ".join(f"{name} = o.{name}" for name in COLUMNS)
    for table in before:
        await sql.execute(
            f"UPDATE {table} AS v SET {changed} FROM {table} AS o WHERE v.id = 1 AND o.id = 2;"
            f" INSERT INTO {table} SELECT 9, clinica_id, {', '.join(COLUMNS)} FROM {table} WHERE id = 2;"
            f" DELETE FROM {table} WHERE id = 0"
        )
    plan = await restore(clinics, backup.file)
    assert counts(plan)["valores"][0::2] == (1, 1)
    assert {table: await images(sql, table, VALUES) for table in before} == before
    assert await left_to_do(clinics, backup.file) == {}
