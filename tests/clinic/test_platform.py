"""What no clinic owns is in the platform's file, so that no row of the database is in none."""

import pytest

from app.clinic.database import ClinicDatabase
from app.errors import CatalogError, PermissionMissing
from tests.clinic.conftest import Database, GrownDatabase
from tests.support.clinic_backup import Backup, back_up

# How far the migrations have come is told in every header, and no restore may change it.
NOWHERE = {"django_session", "authtoken_token", "django_migrations"}

TWO_CLINICS = """
CREATE TABLE clinica (id integer PRIMARY KEY, nombre text);
INSERT INTO clinica VALUES (1, 'Uno'), (2, 'Dos');
CREATE TABLE tipo (id integer PRIMARY KEY, nombre text);
INSERT INTO tipo VALUES (1, 'usado'), (2, 'sin usar');
CREATE TABLE persona (id integer PRIMARY KEY, clinica_id integer REFERENCES clinica, tipo_id integer REFERENCES tipo);
INSERT INTO persona VALUES (1, 1, 1), (2, 2, NULL), (3, NULL, NULL);
"""


async def _every_row_once(clinics: ClinicDatabase, *, known: set[str]) -> Backup:
    """Each row of the database is in one file, but for the clinics' own, which are in two. The platform's file."""
    files = {clinic.id: await back_up(clinics, clinic.id) for clinic in await clinics.clinics()}
    platform = await back_up(clinics, None)
    census = await clinics.census()
    seen = set()
    for entry in census.catalogue.entries.values():
        if entry.name.name in NOWHERE:
            assert entry.model not in platform.lines
            continue
        lines = list(platform.lines[entry.model])
        if entry.name != census.catalogue.tenant_table:
            for backup in files.values():
                lines += backup.lines.get(entry.model, [])
        assert len(lines) == census.rows[entry.name], entry.name
        seen.add(entry.model)
    assert known <= seen
    assert platform.document["clinica_id"] is None
    assert platform.document["referencias"] == {}
    return platform


async def test_every_row_is_in_a_file(grown: GrownDatabase) -> None:
    platform = await _every_row_once(grown.clinics(), known={"auth_permission", "servicio", "pacientes"})
    without = await grown.sql.fetchval("SELECT count(*) FROM tarea WHERE clinica_id IS NULL")
    assert len(platform.lines["tarea"]) <= without
    assert (platform.unowned, platform.cross_tenant) == ([], [])


async def test_rows_of_a_clinic_that_is_not_there(database: Database) -> None:
    await database.sql.execute(TWO_CLINICS)
    await database.sql.execute(
        "ALTER TABLE persona DROP CONSTRAINT persona_clinica_id_fkey;"
        "ALTER TABLE persona ADD FOREIGN KEY (clinica_id) REFERENCES clinica NOT VALID;"
        "CREATE TABLE nota (persona_id integer NOT NULL REFERENCES persona, texto text);"
        "INSERT INTO nota VALUES (1, 'de una clínica'), (3, 'de nadie'), (4, 'de otra'), (4, 'de otra')".replace(
            "INSERT", "SET session_replication_role = replica; INSERT INTO persona VALUES (4, 99, NULL); INSERT"
        )
    )
    platform = await back_up(database.clinics(), None)
    assert platform.ids("persona") == [3, 4]
    assert [record["texto"] for record in platform.records("nota")] == ["de nadie", "de otra", "de otra"]
    assert platform.ids("tipo") == [1, 2]
    assert platform.ids("clinica") == [1, 2]


async def test_what_nobody_has_classified_is_the_platforms(database: Database) -> None:
    await database.sql.execute(
        f"{TWO_CLINICS}; CREATE TABLE suelta (dato text); INSERT INTO suelta VALUES ('x'), ('x')"
    )
    platform = await back_up(database.clinics(), None)
    assert platform.records("suelta") == [{"dato": "x"}] * 2
    excluded = await back_up(database.clinics(exclude=("suelta",)), None)
    assert "suelta" not in excluded.lines


async def test_sessions_and_tokens_are_in_no_file_and_data_with_such_a_name_is(database: Database) -> None:
    await database.sql.execute(
        f"{TWO_CLINICS}; CREATE TABLE sesion_clinica (dato text); INSERT INTO sesion_clinica VALUES ('x');"
        "CREATE TABLE django_session (session_key text); INSERT INTO django_session VALUES ('abierta');"
        "CREATE TABLE token_movil (token text); INSERT INTO token_movil VALUES ('abierto');"
        "CREATE TABLE auth_user (id integer PRIMARY KEY, password text); INSERT INTO auth_user VALUES (1, 'hash')"
    )
    platform = await back_up(database.clinics(access=("token_movil",)), None)
    assert {"django_session", "token_movil"}.isdisjoint(platform.lines)
    assert platform.records("sesion_clinica") == [{"dato": "x"}]
    assert platform.records("auth_user") == [{"id": 1, "password": "hash"}]


async def test_rows_whose_rule_fails_are_not_lost(database: Database) -> None:
    await database.sql.execute(f"{TWO_CLINICS}; CREATE TABLE cosa (dato text); INSERT INTO cosa VALUES ('1'), ('x')")
    platform = await back_up(database.clinics(rules={"cosa": "t.dato::int"}), None)
    assert [record["dato"] for record in platform.records("cosa")] == ["1", "x"]


async def test_a_table_that_may_not_be_read(database: Database) -> None:
    sql = database.sql
    await sql.execute(f"{TWO_CLINICS}; CREATE TABLE cerrada (dato text)")
    await sql.execute(
        "CREATE ROLE lector_plataforma LOGIN PASSWORD 'x'; GRANT SELECT ON clinica, persona, tipo TO"
        " lector_plataforma"
    )
    try:
        address = database.url.rsplit("@", 1)[1]
        reader = database.clinics_at(f"postgresql://lector_plataforma:x@{address}")
        await back_up(reader, 1)
        with pytest.raises(PermissionMissing, match="«cerrada»"):
            await back_up(reader, None)
    finally:
        await sql.execute("DROP OWNED BY lector_plataforma; DROP ROLE lector_plataforma")


async def test_two_tables_with_one_name(database: Database) -> None:
    await database.sql.execute(f"{TWO_CLINICS}; CREATE TABLE usuario (a int); CREATE TABLE usuarios (a int)")
    await back_up(database.clinics(), 1)
    with pytest.raises(CatalogError, match="«usuarios»"):
        await back_up(database.clinics(), None)


async def test_the_shared_schema_of_clinics_with_their_own(tenant_sample: Database) -> None:
    sql = tenant_sample.sql
    await sql.execute(
        "CREATE TABLE dominio (nombre text, clinica_id integer REFERENCES clinica);"
        "INSERT INTO dominio SELECT schema_name, id FROM clinica; INSERT INTO dominio VALUES ('libre', NULL)"
    )
    # What a setting says of a table of the clinics' own schemas says nothing of the shared one.
    clinics = tenant_sample.clinics(kind="schema", exclude=("bitacora",), rules={"factura": "shared"})
    platform = await back_up(clinics, None)
    assert sorted(record["nombre"] for record in platform.records("dominio")) == ["libre", "public"]
    assert len(platform.records("clinica")) == 4
    assert "pacientes" not in platform.lines
    assert len(platform.records("servicio")) == await sql.fetchval("SELECT count(*) FROM servicio")
    assert platform.verified.header.tenancy == "schema"
    assert platform.document["esquema"]["modelos"]["dominio"]["schema"] == "public"
