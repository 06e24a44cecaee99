"""A list of records, each with what hangs from it."""

import asyncio
from uuid import UUID

import pytest

from app.errors import InvalidRequest, RestoreRefused
from tests.clinic.conftest import Database
from tests.clinic.restore.conftest import Writer
from tests.support.clinic_backup import back_up
from tests.support.clinic_restore import assert_restored, counts, left_to_do, missing, record, restore
from tests.support.restore_cases import leftovers
from tests.support.two_clinics import TWO_CLINICS

TABLES = f"""SET search_path = public; {TWO_CLINICS}
CREATE TABLE gente (id uuid PRIMARY KEY, clinica_id int NOT NULL REFERENCES clinica, nombre text);
CREATE TABLE medico (gente_id uuid PRIMARY KEY REFERENCES gente, titulo text);
CREATE TABLE turno (sede text, medico_id uuid NOT NULL REFERENCES medico, hora int, PRIMARY KEY (sede, hora));
CREATE TABLE nota (id numeric PRIMARY KEY, gente_id uuid NOT NULL REFERENCES gente, texto text);
CREATE TABLE ficha ("clave, rara" text PRIMARY KEY, clinica_id int NOT NULL, texto text);
INSERT INTO gente SELECT ('00000000-0000-0000-0000-' || lpad(n::text, 12, '0'))::uuid, 1 + (n = 9)::int, 'g' || n
    FROM generate_series(1, 9) AS n;
INSERT INTO medico SELECT id, 'x' FROM gente WHERE nombre <> 'g8';
INSERT INTO turno SELECT 'ñandú', gente_id, 1 + row_number() OVER () FROM medico;
INSERT INTO nota SELECT row_number() OVER () + 0.50, id, 'n' FROM gente;
INSERT INTO ficha VALUES ('a:b', 1, 'x'), ('a,b', 1, 'x'), (' ', 1, 'x'), ('1é', 1, 'x');
"""


def _gente(number: int) -> str:
    return str(UUID(int=number))


async def test_each_comes_with_its_own_and_the_others_stay(database: Database, writer: Writer) -> None:
    sql = database.sql
    await sql.execute(TABLES)
    clinics = await writer(database)
    backup, other = await back_up(clinics, 1), await back_up(clinics, 2)
    await sql.execute(
        "UPDATE gente SET nombre = '?' WHERE clinica_id = 1; UPDATE medico SET titulo = '?'; DELETE FROM turno;"
        " UPDATE nota SET texto = '?' WHERE gente_id <> $1".replace("$1", f"'{_gente(9)}'")
        + "; UPDATE ficha SET texto = '?'"
    )
    chosen = (
        # Twice, and by the table's name: the same.
        *(f"medico:{_gente(1)}", f"medico:{_gente(1)}", f"gente:{_gente(2)}", f"gente:{_gente(8)}"),
        *("turno:ñandú,4", "nota:3.5", "ficha:a:b", "ficha:a,b", "ficha: "),
    )
    plan = await restore(clinics, backup.file, scope=record(*chosen))
    assert plan.avisos[0] == (
        f"con los {len(chosen):,} registros pedidos va lo que apunta a ellos, por cualquier clave: medico (1),"
        " nota (2), turno (2)"
    )
    assert counts(plan) == {
        "gente": (0, 3, 0),
        "medico": (0, 2, 0),
        "turno": (3, 0, 0),
        "nota": (0, 3, 0),
        "ficha": (0, 3, 0),
    }
    assert await sql.fetchval("SELECT array_agg(nombre ORDER BY id) FROM gente WHERE clinica_id = 1") == [
        *("g1", "g2", "?", "?", "?", "?", "?", "g8"),
    ]
    # What hangs from the person is not the doctor's.
    assert await sql.fetchval("SELECT texto FROM nota WHERE gente_id = $1", UUID(int=1)) == "?"
    assert await sql.fetchval("SELECT count(*) FROM ficha WHERE texto = '?'") == 1
    assert (await back_up(clinics, 2)).lines["gente"] == other.lines["gente"]
    assert await left_to_do(clinics, backup.file, scope=record(*chosen)) == {}


async def test_those_that_cannot_be_found_are_named(database: Database) -> None:
    await database.sql.execute(TABLES)
    clinics = database.clinics()
    backup = await back_up(clinics, 1)
    good = f"gente:{_gente(1)}"
    for texts, error, says in (
        ((good, f"gente:{_gente(77)}"), RestoreRefused, f"no tiene el registro «gente:{_gente(77)}»$"),
        # Another clinic's is none of this one's.
        ((good, f"gente:{_gente(9)}"), RestoreRefused, f"no tiene el registro «gente:{_gente(9)}»$"),
        (
            (good, *(f"nota:{n}" for n in range(70, 75))),
            RestoreRefused,
            "no tiene estos 5 registros: «nota:70», «nota:71», «nota:72», …$",
        ),
        ((good, "gente:ana"), InvalidRequest, "«gente:ana» no es una clave de «gente», que es id .uuid.$"),
        ((good, "turno:ñandú,4", "turno:ñandú,x"), InvalidRequest, "«turno:ñandú,x» no es una clave"),
        ((good, f"turno:a,{'9' * 5000}"), InvalidRequest, "no es una clave"),
        ((good, "turno:ñandú"), InvalidRequest, "la clave de «turno» es sede, hora; se dio «turno:ñandú»"),
        ((good, "nada:1"), RestoreRefused, "no tiene el modelo «nada»"),
    ):
        with pytest.raises(error, match=says):
            await restore(clinics, backup.file, scope=record(*texts))
        assert await leftovers(database.sql) == []


async def test_thousands_take_no_longer_than_one(database: Database, writer: Writer) -> None:
    sql = database.sql
    await sql.execute(f"""SET search_path = public; {TWO_CLINICS}
CREATE TABLE ficha (id int PRIMARY KEY, clinica_id int NOT NULL, texto text);
CREATE TABLE hoja (id int PRIMARY KEY, ficha_id int NOT NULL REFERENCES ficha);
INSERT INTO ficha SELECT n, 1, 'x' FROM generate_series(1, 20000) AS n; INSERT INTO hoja SELECT id, id FROM ficha""")
    clinics = await writer(database)
    backup = await back_up(clinics, 1)
    await sql.execute("DELETE FROM hoja; DELETE FROM ficha WHERE id > 100")
    async with asyncio.timeout(20):
        plan = await restore(clinics, backup.file, scope=missing(record(*(f"ficha:{n}" for n in range(1, 20001, 4)))))
    assert counts(plan) == {"ficha": (4975, 0, 0), "hoja": (5000, 0, 0)}
    await restore(clinics, backup.file)
    await assert_restored(clinics, backup)


CUT = {
    "varchar(2)": ("ab", "abc"),
    # A domain over the same.
    "corto": ("ab", "abc"),
    "char(2)": ("ab", "abc"),
    "numeric(4,1)": ("1.5", "1.54"),
    "timestamp(0)": ("2026-01-01 10:00:30", "2026-01-01 10:00:30.4"),
    "timestamp(0) with time zone": ("2026-01-01 10:00:30+00", "2026-01-01 10:00:30.4+00"),
    "bit(2)": ("11", "111"),
}


async def test_a_key_that_is_too_long_is_no_other_one(database: Database, writer: Writer) -> None:
    """A cast to a length or a precision cuts, and would find what nobody asked for."""
    tables = [f"corta_{number}" for number in range(len(CUT))]
    await database.sql.execute(f"SET search_path = public; {TWO_CLINICS} CREATE DOMAIN corto AS varchar(2)")
    for table, (type_, (key, _)) in zip(tables, CUT.items(), strict=True):
        await database.sql.execute(
            f"CREATE TABLE {table} (id {type_} PRIMARY KEY, clinica_id int NOT NULL REFERENCES clinica);"
            f" INSERT INTO {table} VALUES ('{key}', 1)"
        )
    clinics = await writer(database)
    backup = await back_up(clinics, 1)
    for table, (key, longer) in zip(tables, CUT.values(), strict=True):
        await database.sql.execute(f"DELETE FROM {table}")
        with pytest.raises(RestoreRefused, match="el respaldo no tiene el registro"):
            await restore(clinics, backup.file, scope=record(f"{table}:{longer}"))
        assert counts(await restore(clinics, backup.file, scope=record(f"{table}:{key}"))) == {table: (1, 0, 0)}
