"""The grown schema is as untidy as it says, and every row in it is its clinic's."""

import time

import pytest

from app.demo.sample.generate import (
    Connection,
    GrownOptions,
    GrownSample,
    SampleClinic,
    create_grown_schema,
    create_schema,
    fill_grown,
    numbered_clinics,
)
from app.demo.sample.grown_schema import GROWN_BY_NAME, GROWN_OWNED
from app.errors import DatabaseError, SettingsError
from tests.support.grown_owners import mark_grown_owners, mark_owners_by_columns_and_keys
from tests.support.sample_ownership import digest, foreign_keys

SMALL = (SampleClinic(1, "Uno", 300), SampleClinic(2, "Dos", 120), SampleClinic(3, "Tres", 1))
# Where the people, every table, or the rows of a visit just fit or just do not.
SIZES = (120, 121, 119, 8, 9, 50, 1, 150, 200, 299, 1_000)


async def _grown(conn: Connection, *, null_fraction: float = 0, orphans: int = 0, strays: int = 0) -> GrownSample:
    await create_grown_schema(conn)
    return await fill_grown(conn, SMALL, 1, GrownOptions(null_fraction, orphans, strays))


async def test_every_owned_table_has_a_tenant_column_that_may_be_null(conn: Connection) -> None:
    await create_grown_schema(conn)
    columns = await conn.fetch(
        """
        SELECT attrelid::regclass::text AS name, attnotnull AS required,
            EXISTS (SELECT FROM pg_constraint WHERE contype = 'f' AND conrelid = attrelid
                AND conkey = ARRAY[attnum] AND confrelid = 'clinica'::regclass) AS keyed,
            EXISTS (SELECT FROM pg_index WHERE indrelid = attrelid AND indkey[0] = attnum) AS indexed
        FROM pg_attribute JOIN pg_class ON pg_class.oid = attrelid WHERE attname = 'clinica_id' AND relkind = 'r'
        """
    )
    assert len(columns) >= 40
    assert not any(row["required"] for row in columns)
    assert 0 < sum(not row["keyed"] for row in columns) < 6
    assert 0 < sum(row["keyed"] and not row["indexed"] for row in columns) < 6
    shared = {"tipodeusuario", "tipopago", "servicio", "auth_user", "auth_permission", "django_session"}
    assert not shared & {row["name"] for row in columns}


async def test_foreign_keys_are_many_and_half_of_them_may_be_null(conn: Connection) -> None:
    await create_grown_schema(conn)
    keys = await conn.fetch(
        """
        SELECT c.condeferred AS deferred, c.confdeltype::text AS action, a.attnotnull AS required
        FROM pg_constraint AS c JOIN pg_attribute AS a ON a.attrelid = c.conrelid AND a.attnum = c.conkey[1]
        WHERE c.contype = 'f' AND a.attname <> 'clinica_id'
        AND EXISTS (SELECT FROM pg_attribute WHERE attrelid = c.conrelid AND attname = 'clinica_id')
        """
    )
    assert len(keys) >= 80
    assert 0.4 < sum(key["required"] for key in keys) / len(keys) < 0.6
    assert {key["action"] for key in keys if not key["deferred"]} == {"c", "n"}
    assert {key["action"] for key in keys if key["deferred"]} == {"a"}


async def test_there_are_three_cycles_of_one_two_and_three_tables(conn: Connection) -> None:
    await create_grown_schema(conn)
    rows = await conn.fetch(
        """
        WITH RECURSIVE link AS (
            SELECT conrelid::regclass::text AS child, confrelid::regclass::text AS parent
            FROM pg_constraint WHERE contype = 'f'
        ), reach AS (
            SELECT child, parent FROM link UNION SELECT r.child, l.parent FROM reach AS r JOIN link AS l
            ON l.child = r.parent
        )
        SELECT a.child, array_agg(DISTINCT b.child ORDER BY b.child) AS together
        FROM reach AS a JOIN reach AS b ON b.child = a.parent AND b.parent = a.child GROUP BY 1
        """
    )
    assert {tuple(row["together"]) for row in rows} == {
        ("area",),
        ("odontologo", "sucursal"),
        ("caja", "cierre_caja", "turno_personal"),
    }


async def test_cycles_are_there_in_the_rows_too(conn: Connection) -> None:
    await _grown(conn)
    assert await conn.fetchval("SELECT count(*) FROM area WHERE padre_id IS NOT NULL") > 0
    assert await conn.fetchval(
        "SELECT count(*) FROM sucursal AS s JOIN odontologo AS o ON o.codusuario = s.encargado_id"
        " WHERE o.sucursal_id = s.id"
    )
    assert await conn.fetchval(
        "SELECT count(*) FROM caja AS c JOIN cierre_caja AS e ON e.id = c.cierre_actual_id"
        " JOIN turno_personal AS t ON t.id = e.turno_id WHERE t.caja_id = c.id"
    )


async def _wrong_owners(conn: Connection, tables: list[str]) -> dict[str, int]:
    counts = {
        name: await conn.fetchval(
            f"SELECT count(*) FROM owned_{name} JOIN found_{name} AS f USING (place)"
            f" WHERE owned_{name}.owner IS DISTINCT FROM f.owner"
        )
        for name in tables
    }
    return {name: count for name, count in counts.items() if count}


@pytest.mark.parametrize("fraction", [0, 0.001, 0.1, 1])
async def test_the_fraction_of_rows_has_no_clinic_and_their_keys_say_whose_they_are(
    conn: Connection, fraction: float
) -> None:
    sample = await _grown(conn, null_fraction=fraction)
    tables = await mark_grown_owners(conn, sample)
    total = without = 0
    for table in tables[1:]:
        rows, nulls = await conn.fetchrow(f"SELECT count(*), count(*) - count(clinica_id) FROM {table}") or (0, 0)
        # The share of each of the two clinics is rounded; with 1, what no key tells is labelled all the same.
        assert nulls <= rows * fraction + 2, table
        total, without = total + rows, without + nulls
    assert (without == 0) == (fraction == 0)
    assert without == pytest.approx(total * fraction, rel=0.2, abs=4)
    await mark_owners_by_columns_and_keys(conn, tables)
    assert await _wrong_owners(conn, tables) == {}


async def test_rows_are_the_same_whatever_the_fraction(conn: Connection) -> None:
    """But for the tenant column, so that measurements compare like with like."""
    for schema, fraction in (("a", 0.0), ("b", 0.1)):
        await create_grown_schema(conn, schema, tenant_not_null=fraction == 0)
        await fill_grown(conn, SMALL, 1, GrownOptions(fraction), schema=schema)
    for name in GROWN_BY_NAME:
        differing = await conn.fetchval(
            f"SELECT count(*) FROM (SELECT to_jsonb(t) - 'clinica_id' FROM a.{name} AS t"
            f" EXCEPT ALL SELECT to_jsonb(t) - 'clinica_id' FROM b.{name} AS t) AS rest"
        )
        assert differing == 0, name
    required = await conn.fetchval(
        "SELECT bool_and(attnotnull) FROM pg_attribute JOIN pg_class AS c ON c.oid = attrelid"
        " WHERE attname = 'clinica_id' AND relkind = 'r' AND relnamespace = 'a'::regnamespace"
    )
    assert required


async def test_a_tenant_column_that_must_be_there_takes_no_nulls(conn: Connection) -> None:
    await create_grown_schema(conn, tenant_not_null=True)
    with pytest.raises(DatabaseError, match="clinica_id"):
        await fill_grown(conn, SMALL, 1, GrownOptions(null_fraction=0.1))
    assert await conn.fetchval("SELECT count(*) FROM clinica") == 0


async def test_every_key_holds_and_leads_to_the_same_clinic(conn: Connection) -> None:
    sample = await _grown(conn, null_fraction=0.1)
    tables = await mark_grown_owners(conn, sample)
    for child, column, parent, key in await foreign_keys(conn):
        dangling, crossing = await _broken(conn, tables, child, column, parent, key)
        assert (dangling, crossing) == (0, 0), (child, column)


async def _broken(
    conn: Connection, tables: list[str], child: str, column: str, parent: str, key: str
) -> tuple[int, int]:
    """How many rows point at nothing, and how many at another clinic's row."""
    dangling = await conn.fetchval(
        f"SELECT count(*) FROM {child} AS c LEFT JOIN {parent} AS p ON p.{key} = c.{column}"
        f" WHERE c.{column} IS NOT NULL AND p.{key} IS NULL"
    )
    if child not in tables or parent not in tables:
        return dangling, 0
    crossing = await conn.fetchval(
        f"SELECT count(*) FROM {child} AS c JOIN {parent} AS p ON p.{key} = c.{column}"
        f" JOIN owned_{child} AS mine ON mine.place = c.ctid JOIN owned_{parent} AS theirs ON theirs.place = p.ctid"
        " WHERE mine.owner IS DISTINCT FROM theirs.owner"
    )
    return dangling, crossing


async def test_strays_point_into_another_clinic_and_are_their_own_clinics(conn: Connection) -> None:
    sample = await _grown(conn, null_fraction=0.1, strays=3)
    tables = await mark_grown_owners(conn, sample)
    found = [await _broken(conn, tables, *key) for key in await foreign_keys(conn)]
    assert (sum(dangling for dangling, _ in found), sum(crossing for _, crossing in found)) == (0, 3)
    await mark_owners_by_columns_and_keys(conn, tables)
    assert await _wrong_owners(conn, tables) == {}


async def test_orphans_are_nobodys_and_in_no_clinics_records(conn: Connection) -> None:
    sample = await _grown(conn, orphans=5)
    tables = await mark_grown_owners(conn, sample)
    await mark_owners_by_columns_and_keys(conn, tables)
    assert await _wrong_owners(conn, tables) == {}
    assert await _owned(conn, tables) == {1: 300, 2: 120, 3: 1, None: 5}


async def _owned(conn: Connection, tables: list[str]) -> dict[int | None, int]:
    union = " UNION ALL ".join(f"SELECT owner FROM owned_{name}" for name in tables)
    return {row[0]: row[1] for row in await conn.fetch(f"SELECT owner, count(*) FROM ({union}) AS every GROUP BY 1")}


async def test_each_clinic_owns_exactly_its_records(conn: Connection) -> None:
    clinics = [SampleClinic(number, f"N.º {number}", size) for number, size in enumerate(SIZES, 1)]
    await create_grown_schema(conn)
    sample = await fill_grown(conn, clinics, 1, GrownOptions(0.1))
    tables = await mark_grown_owners(conn, sample)
    assert await _owned(conn, tables) == {clinic.id: clinic.records for clinic in clinics}
    empty = {
        (name, clinic.id)
        for name in tables
        for clinic in clinics
        if clinic.records >= 120
        and not await conn.fetchval(f"SELECT EXISTS (SELECT FROM owned_{name} WHERE owner = $1)", clinic.id)
    }
    assert empty == set()


async def test_two_clinics_share_a_patient_with_one_login(conn: Connection) -> None:
    await _grown(conn)
    shared = await conn.fetch(
        "SELECT correoelectronico, array_agg(clinica_id ORDER BY clinica_id) AS clinics FROM usuario"
        " GROUP BY 1 HAVING count(*) > 1"
    )
    assert [tuple(row) for row in shared] == [("dos.clinicas@respaldos.example", [1, 2])]
    login = await conn.fetch(
        "SELECT g.name FROM auth_user AS u JOIN auth_user_groups ON user_id = u.id"
        " JOIN auth_group AS g ON g.id = group_id WHERE email = 'dos.clinicas@respaldos.example'"
    )
    assert [row["name"] for row in login] == ["Paciente"]
    # Six of their own clinics, this one, and the superuser, who is in no group.
    assert await conn.fetchval("SELECT count(*) FROM authtoken_token") == 8
    assert await conn.fetchval("SELECT count(*) FROM auth_user_groups") == 7


async def test_same_seed_gives_the_same_rows_and_another_others(conn: Connection) -> None:
    for schema, seed in (("a", 1), ("b", 1), ("c", 2)):
        await create_grown_schema(conn, schema)
        await fill_grown(conn, SMALL, seed, GrownOptions(0.1, orphans=3, strays=3), schema=schema)
    first, again, other = [await digest(conn, schema) for schema in ("a", "b", "c")]
    assert first == again
    assert all(first[table.name] != other[table.name] for table in GROWN_OWNED)


async def test_more_clinics_can_be_added_and_the_first_stay_as_they_were(conn: Connection) -> None:
    await create_grown_schema(conn)
    await fill_grown(conn, SMALL[:1])
    before = await conn.fetch("SELECT * FROM receta ORDER BY id")
    sample = await fill_grown(conn, SMALL[1:])
    assert await conn.fetch("SELECT * FROM receta WHERE id <= $1 ORDER BY id", before[-1]["id"]) == before
    assert sample.keys[2]["receta"].start == before[-1]["id"] + 1
    # What the clinics' own program adds next gets a key that is free.
    following = await conn.fetchval("SELECT nextval(pg_get_serial_sequence('receta', 'id'))")
    assert following == sample.keys[2]["receta"].stop
    with pytest.raises(DatabaseError, match="Ya existe la clínica 2"):
        await fill_grown(conn, SMALL[1:])


async def test_a_clinic_in_use_is_made_in_seconds(conn: Connection) -> None:
    await create_grown_schema(conn)
    started = time.perf_counter()
    sample = await fill_grown(conn, numbered_clinics(1, 15_000), 1, GrownOptions(0.001))
    # Two where nobody else wants the processors.
    assert time.perf_counter() - started < 30
    assert sum(count for name, count in sample.added.items() if name != "auth_user") == 15_000


async def test_tables_that_are_missing_or_there_already_are_named(conn: Connection) -> None:
    with pytest.raises(DatabaseError, match="no tiene la tabla «area»"):
        await fill_grown(conn, SMALL)
    await create_schema(conn)
    with pytest.raises(DatabaseError, match=r"ya tiene la tabla «\w+»"):
        await create_grown_schema(conn)
    with pytest.raises(DatabaseError, match="no tiene la tabla «area»"):
        await fill_grown(conn, SMALL)


@pytest.mark.parametrize("fraction", [-0.1, 1.1, float("nan")])
def test_a_fraction_that_is_none_is_refused(fraction: float) -> None:
    with pytest.raises(SettingsError, match="entre 0 y 1"):
        GrownOptions(fraction)
