"""Whose a row is, on schemas that real clinic databases have."""

import asyncio
from typing import Any

import pytest

from app.clinic.catalogue.introspection import TableName
from app.clinic.catalogue.secret_columns import SecretColumns
from app.clinic.clinic import Tenancy
from app.clinic.owners.find import find_owners
from app.clinic.reading.checks import CrossTenantReference
from app.clinic.restore.database import RestoreDatabase
from tests.clinic.conftest import Database
from tests.support.clinic_backup import back_up, back_up_all
from tests.support.odd_names import NAMES
from tests.support.two_clinics import TWO_CLINICS


def _counted(strays: list[CrossTenantReference]) -> dict[tuple[str, ...], int]:
    return {(str(stray.table), *stray.foreign_key.columns): stray.rows for stray in strays}


async def test_a_clinic_owns_its_own_row_and_no_other(any_database: Database) -> None:
    await any_database.sql.execute(TWO_CLINICS)
    backups = await back_up_all(any_database.clinics())
    assert backups[1].records("clinica") == [{"id": 1, "nombre": "Uno"}]
    assert backups[2].records("clinica") == [{"id": 2, "nombre": "Dos"}]
    assert (backups[1].ids("persona"), backups[2].ids("persona")) == ([11, 12], [21])


async def test_owner_is_found_over_several_foreign_keys(any_database: Database) -> None:
    await any_database.sql.execute(
        TWO_CLINICS
        + """
        CREATE TABLE a (id int PRIMARY KEY, persona_id int NOT NULL REFERENCES persona);
        CREATE TABLE b (id int PRIMARY KEY, a_id int NOT NULL REFERENCES a);
        CREATE TABLE c (id int PRIMARY KEY, b_id int NOT NULL REFERENCES b);
        INSERT INTO a VALUES (1, 11), (2, 21); INSERT INTO b VALUES (1, 1), (2, 2);
        INSERT INTO c VALUES (1, 1), (2, 2);
        """
    )
    backups = await back_up_all(any_database.clinics())
    assert [backups[1].ids(model) for model in "abc"] == [[1], [1], [1]]
    assert [backups[2].ids(model) for model in "abc"] == [[2], [2], [2]]
    assert backups[1].verified.header.models["c"].owner == "c → b → a → persona.clinica_id"


async def test_many_rows_without_clinic_below_one_that_has_one(database: Database) -> None:
    sql = database.sql
    await sql.execute(
        f"{TWO_CLINICS} CREATE TABLE hoja (id int PRIMARY KEY, clinica_id int REFERENCES clinica, padre int"
        " REFERENCES hoja); CREATE INDEX ON hoja (padre)"
    )
    async with database.clinics().snapshot(1) as snapshot:
        catalogue = snapshot.catalogue
    await sql.execute(
        "INSERT INTO hoja SELECT n, CASE WHEN n = 1 THEN 1 END, CASE WHEN n > 1 THEN 1 END"
        " FROM generate_series(1, 10000) AS n; ANALYZE hoja"
    )
    # To count which of them point elsewhere, each was compared with every other: seven seconds.
    async with asyncio.timeout(3), sql.transaction():
        statements = await find_owners(sql, catalogue, 1)
        owned = statements.owned(catalogue.entries[TableName("public", "hoja")], ("id",))
        assert await sql.fetchval(f"SELECT count(*) FROM ({owned}) AS x") == 10_000


async def test_composite_keys_and_their_partial_nulls(any_database: Database) -> None:
    await any_database.sql.execute(
        TWO_CLINICS
        + """
        CREATE TABLE caja (sede text, numero int, persona_id int NOT NULL REFERENCES persona,
            PRIMARY KEY (sede, numero));
        CREATE TABLE turno (id int PRIMARY KEY, sede text, numero int, otra int REFERENCES persona,
            FOREIGN KEY (sede, numero) REFERENCES caja (sede, numero));
        INSERT INTO caja VALUES ('norte', 1, 11), ('norte', 2, 21), ('sur', 1, 21);
        -- MATCH SIMPLE: one NULL, and the key points to nothing.
        INSERT INTO turno VALUES (1, 'norte', 1, NULL), (2, 'norte', 2, NULL), (3, 'norte', NULL, NULL),
            (4, NULL, 1, 21), (5, 'sur', 1, NULL);
        """
    )
    backups = await back_up_all(any_database.clinics())
    assert backups[1].ids("turno") == [1]
    assert backups[2].ids("turno") == [2, 4, 5]
    assert [str(count) for count in backups[1].unowned] == [
        "turno: registros que no son de ninguna clínica: 1",
    ]


async def test_a_foreign_key_to_a_unique_key_that_is_not_the_primary_one(any_database: Database) -> None:
    await any_database.sql.execute(
        TWO_CLINICS
        + """
        ALTER TABLE persona ADD documento text UNIQUE;
        UPDATE persona SET documento = 'CI-' || id WHERE id <> 12;
        CREATE TABLE receta (id int PRIMARY KEY, documento text NOT NULL REFERENCES persona (documento));
        INSERT INTO receta VALUES (1, 'CI-11'), (2, 'CI-21');
        """
    )
    backups = await back_up_all(any_database.clinics())
    assert (backups[1].ids("receta"), backups[2].ids("receta")) == ([1], [2])


async def test_where_two_parents_disagree_the_first_in_order_wins_and_the_row_is_counted(
    any_database: Database,
) -> None:
    await any_database.sql.execute(
        TWO_CLINICS
        + """
        CREATE TABLE por_nombre (id int PRIMARY KEY, a int REFERENCES persona, b int REFERENCES persona);
        CREATE TABLE por_pasos (id int PRIMARY KEY, a int REFERENCES por_nombre, b int REFERENCES persona);
        CREATE TABLE por_obligatoria (id int PRIMARY KEY, a int REFERENCES persona,
            b int NOT NULL REFERENCES por_nombre);
        INSERT INTO por_nombre VALUES (1, 11, 21), (2, NULL, 21), (3, 21, NULL), (4, 11, 12);
        INSERT INTO por_pasos VALUES (1, 1, 21), (2, 1, NULL);
        INSERT INTO por_obligatoria VALUES (1, 21, 1), (2, 11, 2);
        """
    )
    backups = await back_up_all(any_database.clinics())
    assert [backups[1].ids(model) for model in ("por_nombre", "por_pasos", "por_obligatoria")] == [[1, 4], [2], [1]]
    assert [backups[2].ids(model) for model in ("por_nombre", "por_pasos", "por_obligatoria")] == [[2, 3], [1], [2]]
    one, two = (
        {("por_nombre", "b"): 1, ("por_obligatoria", "a"): 1},
        {("por_pasos", "a"): 1, ("por_obligatoria", "a"): 1},
    )
    assert (_counted(backups[1].cross_tenant), _counted(backups[2].cross_tenant)) == (one, two)
    census = await any_database.clinics().census()
    assert _counted(census.cross_tenant) == {**one, **two, ("por_obligatoria", "a"): 2}
    assert any(
        str(stray).startswith("por_nombre: registros cuyo b apunta a persona de otra clínica: 1 (")
        for stray in census.cross_tenant
    )


async def test_null_in_the_tenant_column_falls_through_to_the_foreign_keys(any_database: Database) -> None:
    await any_database.sql.execute(
        TWO_CLINICS
        + """
        CREATE TABLE nota (id int PRIMARY KEY, clinica_id int REFERENCES clinica, persona_id int REFERENCES persona);
        INSERT INTO nota VALUES (1, 1, NULL), (2, NULL, 11), (3, NULL, 21), (4, 2, 11), (5, NULL, NULL), (6, 1, 11);
        """
    )
    backups = await back_up_all(any_database.clinics())
    assert (backups[1].ids("nota"), backups[2].ids("nota")) == ([1, 2, 6], [3, 4])
    assert [count.rows for count in backups[1].unowned] == [1]
    assert (_counted(backups[1].cross_tenant), _counted(backups[2].cross_tenant)) == ({}, {("nota", "persona_id"): 1})


async def test_rows_of_a_clinic_that_does_not_exist_are_counted(any_database: Database) -> None:
    await any_database.sql.execute(
        TWO_CLINICS
        + """
        CREATE TABLE bitacora (id int PRIMARY KEY, clinica_id int NOT NULL);
        CREATE TABLE detalle (id int PRIMARY KEY, bitacora_id int NOT NULL REFERENCES bitacora);
        INSERT INTO bitacora VALUES (1, 1), (2, 2), (3, 99), (4, 99);
        INSERT INTO detalle VALUES (1, 1), (2, 3);
        """
    )
    backups = await back_up_all(any_database.clinics())
    assert {str(count.table): count.rows for count in backups[1].unowned} == {"bitacora": 2, "detalle": 1}


async def test_a_foreign_key_that_was_never_validated_may_point_to_nothing(any_database: Database) -> None:
    await any_database.sql.execute(
        TWO_CLINICS
        + """
        CREATE TABLE pago (id int PRIMARY KEY, persona_id int NOT NULL);
        INSERT INTO pago VALUES (1, 11), (2, 21), (3, 999);
        ALTER TABLE pago ADD FOREIGN KEY (persona_id) REFERENCES persona NOT VALID;
        """
    )
    backups = await back_up_all(any_database.clinics())
    assert (backups[1].ids("pagos"), backups[2].ids("pagos")) == ([1], [2])
    assert [str(count) for count in backups[1].unowned] == ["pago: registros que no son de ninguna clínica: 1"]


async def test_a_not_null_that_was_never_validated_may_be_null(database: Database) -> None:
    await database.sql.execute(
        TWO_CLINICS
        + """
        CREATE TABLE nota (id int PRIMARY KEY, clinica_id int REFERENCES clinica, persona_id int REFERENCES persona);
        INSERT INTO nota VALUES (1, 1, NULL), (2, NULL, 21), (3, NULL, NULL);
        ALTER TABLE nota ADD CONSTRAINT obligatoria NOT NULL clinica_id NOT VALID;
        """
    )
    backups = await back_up_all(database.clinics())
    assert (backups[1].ids("nota"), backups[2].ids("nota")) == ([1], [2])
    assert [count.rows for count in backups[1].unowned] == [1]


async def test_generated_columns_say_whose_a_row_is_and_are_not_dumped(any_database: Database) -> None:
    await any_database.sql.execute(
        TWO_CLINICS
        + """
        CREATE TABLE por_columna (id int PRIMARY KEY, codigo text,
            clinica_id int GENERATED ALWAYS AS (left(codigo, 1)::int) STORED);
        CREATE TABLE por_clave (id int PRIMARY KEY, datos jsonb,
            persona_id int GENERATED ALWAYS AS ((datos ->> 'persona')::int) STORED REFERENCES persona);
        INSERT INTO por_columna VALUES (1, '1-x'), (2, '2-x');
        INSERT INTO por_clave VALUES (1, '{"persona": 11}'), (2, '{"persona": 21}'), (3, '{}');
        """
    )
    backups = await back_up_all(any_database.clinics())
    assert backups[1].records("por_columna") == [{"id": 1, "codigo": "1-x"}]
    assert backups[2].records("por_clave") == [{"id": 2, "datos": {"persona": 21}}]
    assert {str(count.table): count.rows for count in backups[1].unowned} == {"por_clave": 1}


async def test_a_self_reference_is_followed_to_an_owner(any_database: Database) -> None:
    await any_database.sql.execute(
        TWO_CLINICS
        + """
        CREATE TABLE carpeta (id int PRIMARY KEY, padre int REFERENCES carpeta, persona_id int REFERENCES persona);
        INSERT INTO carpeta VALUES
            (1, NULL, 11), (2, 1, NULL), (3, 2, NULL), (4, NULL, 21), (5, 4, NULL), (6, 5, 12),
            (7, NULL, NULL), (8, 7, NULL), (9, 9, NULL);
        """
    )
    backups = await back_up_all(any_database.clinics())
    assert (backups[1].ids("carpeta"), backups[2].ids("carpeta")) == ([1, 2, 3, 6], [4, 5])
    assert [count.rows for count in backups[1].unowned] == [3]
    assert _counted(backups[1].cross_tenant) == {("carpeta", "padre"): 1}


async def test_tables_that_point_to_each_other(any_database: Database) -> None:
    await any_database.sql.execute(
        TWO_CLINICS
        + """
        CREATE TABLE equipo (id int PRIMARY KEY, jefe int, persona_id int REFERENCES persona);
        CREATE TABLE miembro (id int PRIMARY KEY, equipo_id int NOT NULL REFERENCES equipo);
        ALTER TABLE equipo ADD FOREIGN KEY (jefe) REFERENCES miembro DEFERRABLE INITIALLY DEFERRED;
        BEGIN;
        -- 1 is clinic 1's; 2 only by its chief, who is of team 1; 3 and its chief have nobody; 4 is clinic 2's.
        INSERT INTO equipo VALUES (1, 100, 11), (2, 100, NULL), (3, 300, NULL), (4, NULL, 21);
        INSERT INTO miembro VALUES (100, 1), (200, 2), (300, 3), (400, 4);
        COMMIT;
        """
    )
    backups = await back_up_all(any_database.clinics())
    assert (backups[1].ids("equipo"), backups[1].ids("miembro")) == ([1, 2], [100, 200])
    assert (backups[2].ids("equipo"), backups[2].ids("miembro")) == ([4], [400])
    assert {str(count.table): count.rows for count in backups[1].unowned} == {"equipo": 1, "miembro": 1}


async def test_many_tables_in_one_cycle_are_described_briefly(database: Database) -> None:
    tables = [f"t{number:02}" for number in range(14)]
    creates = [f"CREATE TABLE {table} (id int PRIMARY KEY, clinica_id int REFERENCES clinica);" for table in tables]
    keys = [f"ALTER TABLE {child} ADD {parent}_id int REFERENCES {parent};" for child in tables for parent in tables]
    await database.sql.execute(TWO_CLINICS + "".join([*creates, *keys]))
    async with database.clinics().snapshot(1) as snapshot:
        paths = [snapshot.catalogue.owner_path(entry) or "" for entry in snapshot.catalogue.entries.values()]
    assert max(map(len, paths)) < 1000


async def test_many_to_many_tables(any_database: Database) -> None:
    await any_database.sql.execute(
        TWO_CLINICS
        + """
        CREATE TABLE alergia (id int PRIMARY KEY, nombre text);
        CREATE TABLE persona_alergia (persona_id int REFERENCES persona, alergia_id int REFERENCES alergia,
            PRIMARY KEY (alergia_id, persona_id));
        CREATE TABLE amistad (una int NOT NULL REFERENCES persona, otra int NOT NULL REFERENCES persona);
        INSERT INTO alergia VALUES (1, 'polen'), (2, 'penicilina'), (3, 'látex');
        INSERT INTO persona_alergia VALUES (11, 1), (12, 1), (21, 1), (21, 2);
        INSERT INTO amistad VALUES (11, 12), (21, 21), (11, 21);
        """
    )
    backups = await back_up_all(any_database.clinics())
    assert backups[1].records("persona_alergia") == [
        {"persona_id": 11, "alergia_id": 1},
        {"persona_id": 12, "alergia_id": 1},
    ]
    assert (backups[1].referenced("alergia"), backups[2].referenced("alergia")) == ([1], [1, 2])
    # amistad_otra_fkey comes before amistad_una_fkey.
    assert (len(backups[1].records("amistad")), len(backups[2].records("amistad"))) == (1, 2)
    assert _counted(backups[2].cross_tenant) == {("amistad", "una"): 1}


async def test_a_table_without_key_is_a_multiset(any_database: Database) -> None:
    await any_database.sql.execute(
        TWO_CLINICS
        + """
        CREATE TABLE huella (clinica_id int NOT NULL REFERENCES clinica, que text);
        INSERT INTO huella VALUES (1, 'b'), (1, 'a'), (2, 'a'), (1, 'b'), (1, NULL), (1, 'á');
        CREATE TABLE candidata (clinica_id int NOT NULL REFERENCES clinica, a int NOT NULL, b int, c text NOT NULL);
        CREATE UNIQUE INDEX con_nulos ON candidata (b);
        CREATE UNIQUE INDEX parcial ON candidata (a) WHERE b = 1;
        CREATE UNIQUE INDEX expresion ON candidata (abs(a));
        CREATE UNIQUE INDEX sirve ON candidata (c DESC, a) INCLUDE (b);
        INSERT INTO candidata VALUES (1, 2, NULL, 'á'), (1, 3, NULL, 'Z'), (1, 1, NULL, 'a'), (1, 4, NULL, 'a');
        """
    )
    backups = await back_up_all(any_database.clinics())
    assert backups[1].ids("huella", "que") == ["a", "b", "b", "á", None]
    assert backups[1].verified.header.models["huella"].key == ()
    assert backups[1].verified.header.models["candidata"].key == ("c", "a")
    assert [(r["c"], r["a"]) for r in backups[1].records("candidata")] == [("Z", 3), ("a", 1), ("a", 4), ("á", 2)]


async def test_a_temporal_foreign_key_names_no_one_row(database: Database) -> None:
    await database.sql.execute(
        TWO_CLINICS
        + """
        CREATE TABLE contrato (id int4range, clinica_id int NOT NULL REFERENCES clinica, vigencia daterange,
            PRIMARY KEY (id, vigencia WITHOUT OVERLAPS));
        CREATE TABLE cuota (id int PRIMARY KEY, contrato_id int4range, vigencia daterange,
            FOREIGN KEY (contrato_id, PERIOD vigencia) REFERENCES contrato (id, PERIOD vigencia));
        INSERT INTO contrato VALUES ('[1,2)', 1, '[2026-01-01,2026-06-01)'), ('[1,2)', 1, '[2026-06-01,2027-01-01)');
        INSERT INTO cuota VALUES (1, '[1,2)', '[2026-03-01,2026-09-01)');
        """
    )
    async with database.clinics().snapshot(1) as snapshot:
        kinds = {str(name): entry.kind.value for name, entry in snapshot.catalogue.entries.items()}
    # Nothing ties the row to an owner, and that is said.
    assert (kinds["contrato"], kinds["cuota"]) == ("propia", "sin clasificar")
    assert len((await back_up(database.clinics(), 1)).records("contrato")) == 2


@pytest.mark.parametrize("schema", ["public", 'Clínica "Ñ"'])
async def test_names_that_need_quotes(any_database: Database, schema: str) -> None:
    def quote(name: str) -> str:
        return '"' + name.replace('"', '""') + '"'

    in_schema = quote(schema)
    table, child = f"{in_schema}.{quote(NAMES[0])}", f"{in_schema}.{quote(NAMES[5])}"
    columns = ", ".join(f"{quote(name)} jsonb" for name in NAMES)
    await any_database.sql.execute(
        TWO_CLINICS
        + f"""
        CREATE SCHEMA IF NOT EXISTS {in_schema};
        CREATE TABLE {table} ("clave ñ" int PRIMARY KEY, {columns}, clinica_id int NOT NULL REFERENCES clinica);
        INSERT INTO {table} ("clave ñ", clinica_id, "r", {quote(NAMES[0])})
            VALUES (1, 1, 'null', '"🦷"'), (2, 2, '{{}}', 'null');
        CREATE TABLE {child} ("t" int PRIMARY KEY, "Niño" int NOT NULL REFERENCES {table});
        INSERT INTO {child} VALUES (1, 1), (2, 2);
        """
    )
    backups = await back_up_all(any_database.clinics())
    prefix = "" if schema == "public" else f"{schema}."
    record = backups[1].records(prefix + NAMES[0])[0]
    expected: dict[str, Any] = {"clave ñ": 1, **dict.fromkeys(NAMES), "clinica_id": 1, NAMES[0]: "🦷"}
    assert record == {**expected, "$jsonnull": ["r"]}
    assert list(record) == ["clave ñ", *NAMES, "clinica_id", "$jsonnull"]
    assert backups[2].records(prefix + NAMES[0])[0]["$jsonnull"] == [NAMES[0]]
    assert (backups[1].ids(prefix + NAMES[5], "t"), backups[2].ids(prefix + NAMES[5], "t")) == ([1], [2])


async def test_with_a_schema_per_clinic_what_hangs_from_its_row_is_its_own(any_database: Database) -> None:
    await any_database.sql.execute(
        """
        CREATE TABLE clinica (id int PRIMARY KEY, schema_name text UNIQUE); CREATE SCHEMA a; CREATE SCHEMA b;
        INSERT INTO clinica VALUES (1, 'a'), (2, 'b'), (9, 'public');
        CREATE TABLE rol (id int PRIMARY KEY); INSERT INTO rol VALUES (1), (2);
        CREATE TABLE a.ficha (id int PRIMARY KEY, rol_id int REFERENCES rol); INSERT INTO a.ficha VALUES (1, 2);
        CREATE TABLE b.ficha (LIKE a.ficha INCLUDING ALL);
        CREATE TABLE dominio (id int PRIMARY KEY, clinica_id int REFERENCES clinica);
        INSERT INTO dominio VALUES (1, 1), (2, 2), (3, 9), (4, NULL), (5, 1);
        CREATE TABLE certificado (id int PRIMARY KEY, dominio_id int NOT NULL REFERENCES dominio);
        INSERT INTO certificado VALUES (1, 5), (2, 2), (3, 3);
        """
    )
    clinics = any_database.clinics(kind="schema")
    one, two = await back_up(clinics, 1), await back_up(clinics, 2)
    assert (one.ids("dominio"), two.ids("dominio")) == ([1, 5], [2])
    assert (one.ids("certificado"), two.ids("certificado")) == ([1], [2])
    # What no clinic's row has to do with is everybody's as before, and what says no clinic is counted.
    assert one.referenced("rol") == [2]
    assert {str(each.table): each.rows for each in one.unowned} == {"dominio": 1}


async def test_a_long_way_up_costs_what_there_are_rows_and_not_what_there_are_paths(any_database: Database) -> None:
    await any_database.sql.execute(
        TWO_CLINICS
        + """
        CREATE TABLE carpeta (id int PRIMARY KEY, persona_id int REFERENCES persona, padre int REFERENCES carpeta,
            copia_de int REFERENCES carpeta);
        -- Both keys lead on, to other clinics in the end: so many paths as there are Fibonacci numbers.
        INSERT INTO carpeta SELECT n, CASE n WHEN 1 THEN 11 WHEN 2 THEN 21 END, nullif(n - 1, 0),
            CASE WHEN n > 2 THEN n - 2 END FROM generate_series(1, 300) AS n;
        """
    )
    async with asyncio.timeout(30):
        backups = await back_up_all(any_database.clinics())
    assert backups[1].ids("carpeta") == list(range(1, 300, 2))
    assert backups[2].ids("carpeta") == list(range(2, 301, 2))


async def test_a_restores_own_backup_does_not_count_what_is_nobodys(database: Database) -> None:
    await database.sql.execute(TWO_CLINICS)
    await database.sql.execute(
        "CREATE TABLE nota (id int PRIMARY KEY, clinica_id int REFERENCES clinica); INSERT INTO nota VALUES (1, NULL)"
    )
    hurried = RestoreDatabase(database.url, Tenancy(), SecretColumns(()), count_unowned=False)
    slow, quick = await back_up(database.clinics(), 1), await back_up(hurried, 1)
    assert ([count.rows for count in slow.unowned], quick.unowned) == ([1], [])
    assert quick.verified.totals == slow.verified.totals
