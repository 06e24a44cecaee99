"""Any value that PostgreSQL can store is in the file exactly."""

import gzip
from typing import Any

from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from app.dump.seal import NO_SEALS
from app.dump.verifier import FileVerifier
from tests.clinic.conftest import Database
from tests.support.clinic_backup import back_up, file_of, record_lines
from tests.support.two_clinics import TWO_CLINICS
from tests.support.value import CREATE_TYPES, ROW, VALUES, images, quoted, read_back

COLUMNS = [quoted(type_) for type_ in VALUES]


async def _create(database: Database) -> None:
    if await database.sql.fetchval("SELECT to_regclass('valores') IS NOT NULL"):
        await database.sql.execute("TRUNCATE valores, copia")
        return
    columns = ", ".join(f"{name} {type_}" for name, type_ in zip(COLUMNS, VALUES, strict=True))
    await database.sql.execute(
        f"""
        SET search_path = public;
        {TWO_CLINICS} {CREATE_TYPES}
        CREATE SCHEMA citado; CREATE DOMAIN citado.texto AS text;
        CREATE TABLE "Con ""x"" y" (id int); CREATE EXTENSION vector;
        CREATE TABLE valores (id int PRIMARY KEY, clinica_id int NOT NULL REFERENCES clinica, {columns});
        CREATE TABLE copia (LIKE valores INCLUDING ALL, FOREIGN KEY (clinica_id) REFERENCES clinica);
        """
    )


@settings(
    derandomize=True,
    deadline=None,
    max_examples=30,
    # A failure shows its column; to look for a smaller one takes minutes with so many.
    phases=[Phase.generate],
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow, HealthCheck.data_too_large],
)
@given(rows=st.lists(ROW, min_size=1, max_size=3))
async def test_values_of_every_type_come_back_exactly(any_database: Database, rows: list[tuple[Any, ...]]) -> None:
    await _create(any_database)
    values = ", ".join(f"${number}::text::{type_}" for number, type_ in enumerate(VALUES, 2))
    await any_database.sql.executemany(
        f"INSERT INTO valores SELECT $1, 1, {values}", [(number, *row) for number, row in enumerate(rows)]
    )
    clinics = any_database.clinics(exclude=('Con "x" y',))
    backup = await back_up(clinics, 1)
    await read_back(any_database.sql, backup.verified.header.models["valores"], backup.lines["valores"], "copia")
    assert await images(any_database.sql, "copia", VALUES) == await images(any_database.sql, "valores", VALUES)
    again = await back_up(clinics, 1)
    assert again.lines["copia"] == backup.lines["valores"]
    assert again.verified.totals["copia"] == backup.verified.totals["valores"]


async def test_values_of_unusual_size(any_database: Database) -> None:
    await any_database.sql.execute(
        TWO_CLINICS
        + """
        SET search_path = public;
        CREATE TABLE valores (id int PRIMARY KEY, clinica_id int REFERENCES clinica, n numeric, j jsonb, t text,
            b bytea);
        CREATE TABLE copia (LIKE valores INCLUDING ALL, FOREIGN KEY (clinica_id) REFERENCES clinica);
        INSERT INTO valores VALUES
            (1, 1, (repeat('7', 100000) || '.' || repeat('3', 10000))::numeric, 'null', NULL, NULL),
            (2, 1, -1e-10000, (repeat('[', 3000) || repeat(']', 3000))::jsonb, NULL, '\\x'),
            (3, 1, NULL, NULL, repeat(E'\\\\"\\n\\u2028🦷', 400000), decode(repeat('00ff', 1000000), 'hex'));
        """
    )
    async with any_database.clinics().snapshot(1) as snapshot:
        file = await file_of(snapshot)
    text = gzip.decompress(file)
    verifier = FileVerifier(NO_SEALS, sealed=False, max_size=len(text))
    verifier.feed(file)
    verified = verifier.finish()
    lines = record_lines(text.decode())["valores"]
    assert verified.totals["valores"].records == len(lines) == 3
    assert len(lines[2]) > 7_000_000
    await read_back(any_database.sql, verified.header.models["valores"], lines, "copia")
    columns = [column.name for column in verified.header.models["valores"].columns]
    assert await images(any_database.sql, "copia", columns) == await images(any_database.sql, "valores", columns)


async def test_a_table_of_1500_columns(any_database: Database) -> None:
    names = [f"c{number}" for number in range(1500)]
    await any_database.sql.execute(
        f"""
        {TWO_CLINICS} SET search_path = public;
        CREATE TABLE ancha (id int PRIMARY KEY, clinica_id int REFERENCES clinica,
            {", ".join(f"{name} jsonb" for name in names)});
        INSERT INTO ancha (id, clinica_id, c0, c1, c1499) VALUES (1, 1, 'null', '{{}}', 'null');
        """
    )
    backup = await back_up(any_database.clinics(), 1)
    record = backup.records("ancha")[0]
    assert record == {"id": 1, "clinica_id": 1, **dict.fromkeys(names), "c1": {}, "$jsonnull": ["c0", "c1499"]}


async def test_a_table_without_stored_columns(tenant_sample: Database) -> None:
    schema = f"{tenant_sample.prefix}1"
    await tenant_sample.sql.execute(
        f"""
        CREATE TABLE {schema}.nada ();
        INSERT INTO {schema}.nada DEFAULT VALUES; INSERT INTO {schema}.nada DEFAULT VALUES;
        CREATE TABLE {schema}.calculada (n int GENERATED ALWAYS AS (1) STORED);
        INSERT INTO {schema}.calculada DEFAULT VALUES;
        """
    )
    backup = await back_up(tenant_sample.clinics(kind="schema"), 1)
    assert (backup.lines["nada"], backup.lines["calculada"]) == (["{}", "{}"], ["{}"])


async def test_a_composite_of_nulls_is_not_null(any_database: Database) -> None:
    await any_database.sql.execute(
        TWO_CLINICS
        + """
        SET search_path = public; CREATE TYPE par AS (a int, b int);
        CREATE TABLE valores (id int PRIMARY KEY, clinica_id int REFERENCES clinica, p par);
        INSERT INTO valores VALUES (1, 1, ROW(NULL, NULL)), (2, 1, NULL), (3, 1, ROW(NULL, 1));
        """
    )
    backup = await back_up(any_database.clinics(), 1)
    assert backup.ids("valores", "p") == ["(,)", None, "(,1)"]


async def test_the_databases_own_settings_change_no_value(any_database: Database) -> None:
    await any_database.sql.execute(
        TWO_CLINICS
        + """
        SET search_path = public;
        CREATE TABLE valores (id int PRIMARY KEY, clinica_id int REFERENCES clinica, t timestamptz, d date,
            i interval, f float8, b bytea, a timestamptz[], r daterange, tabla regclass);
        INSERT INTO valores VALUES (1, 1, '2026-01-02 03:04:05+00', '2026-03-04', '1 year -2 days', 0.1::float8 + 0.2,
            '\\x5c00', '{"2026-01-02 03:04:05+00"}', '[2026-03-04,2026-03-05)', 'valores');
        """
    )
    before = await back_up(any_database.clinics(), 1)
    for setting in (
        "TimeZone = 'Asia/Kathmandu'",
        "DateStyle = 'German, DMY'",
        "IntervalStyle = 'iso_8601'",
        "extra_float_digits = -5",
        "bytea_output = 'escape'",
        "standard_conforming_strings = off",
        "search_path = 'pg_catalog'",
        "client_encoding = 'LATIN1'",
        "quote_all_identifiers = on",
    ):
        await any_database.sql.execute(f'ALTER ROLE CURRENT_USER IN DATABASE "{any_database.name}" SET {setting}')
    after = await back_up(any_database.clinics(), 1)
    assert after.lines == before.lines
    assert before.records("valores")[0]["t"] == "2026-01-02T03:04:05+00:00"


async def test_no_session_ends_because_it_has_lived_or_waited_long(any_database: Database) -> None:
    await any_database.sql.execute(TWO_CLINICS)
    names = ["idle_in_transaction_session_timeout", "idle_session_timeout", "statement_timeout"]
    if any_database.sql.get_server_version().major >= 17:
        names.append("transaction_timeout")
    for name in names:
        await any_database.sql.execute(
            f"ALTER ROLE CURRENT_USER IN DATABASE \"{any_database.name}\" SET {name} = '9s'"
        )
    listed = ", ".join(f"'{name}'" for name in names)
    async with (
        any_database.clinics().snapshot(1) as snapshot,
        snapshot.record_lines(f"SELECT setting FROM pg_settings WHERE name IN ({listed})") as blocks,
    ):
        assert b"".join([block async for block in blocks]) == b"0\n" * len(names)


async def test_the_roles_own_time_limit_does_not_end_a_long_reading(any_database: Database) -> None:
    await any_database.sql.execute(TWO_CLINICS)
    await any_database.sql.execute(
        f"ALTER ROLE CURRENT_USER IN DATABASE \"{any_database.name}\" SET statement_timeout = '500ms'"
    )
    async with (
        any_database.clinics().snapshot(1) as snapshot,
        snapshot.record_lines("SELECT '{}' FROM pg_sleep(0.7)") as blocks,
    ):
        assert [block async for block in blocks] == [b"{}\n"]


async def test_the_same_rows_give_the_same_digests_however_they_are_stored(any_database: Database) -> None:
    await any_database.sql.execute(
        TWO_CLINICS
        + """
        CREATE TABLE con_clave (id text PRIMARY KEY, clinica_id int REFERENCES clinica, n int);
        CREATE TABLE sin_clave (clinica_id int REFERENCES clinica, n int, j jsonb);
        INSERT INTO con_clave SELECT chr(65 + n % 50) || n, 1, n FROM generate_series(1, 500) AS n;
        INSERT INTO sin_clave SELECT 1, n % 9, CASE n % 2 WHEN 0 THEN 'null' ELSE '{"b":1,"a":2}' END::jsonb
            FROM generate_series(1, 500) AS n;
        """
    )
    clinics = any_database.clinics()
    first = await back_up(clinics, 1)
    assert (await back_up(clinics, 1)).verified.totals == first.verified.totals
    await any_database.sql.execute(
        "UPDATE con_clave SET n = n WHERE n % 3 = 0; UPDATE sin_clave SET n = n WHERE n > 4"
    )
    await any_database.sql.execute("CREATE INDEX por_n ON con_clave (n DESC); CLUSTER con_clave USING por_n")
    await any_database.sql.execute("VACUUM FULL sin_clave")
    await any_database.sql.execute("ANALYZE")
    assert (await back_up(clinics, 1)).verified.totals == first.verified.totals
    await any_database.sql.execute("UPDATE con_clave SET n = 0 WHERE id = (SELECT min(id) FROM con_clave)")
    changed = (await back_up(clinics, 1)).verified.totals
    assert {name for name in changed if changed[name] != first.verified.totals[name]} == {"con_clave"}
