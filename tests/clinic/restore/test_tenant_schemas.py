"""A clinic with a schema of its own."""

import pytest

from app.errors import RestoreRefused
from tests.clinic.conftest import Database
from tests.clinic.restore.conftest import ordinary, superuser
from tests.support.clinic_backup import back_up
from tests.support.clinic_restore import EVERYTHING, assert_restored, counts, record, restore, staged
from tests.support.restore_cases import leftovers

NOTHING = """
CREATE TABLE {clinic}.nada (); INSERT INTO {clinic}.nada DEFAULT VALUES; INSERT INTO {clinic}.nada DEFAULT VALUES;
CREATE TABLE {clinic}.calculada (n int GENERATED ALWAYS AS (1) STORED); INSERT INTO {clinic}.calculada DEFAULT VALUES;
"""
DAMAGE = """
SET search_path = {clinic}, public;
INSERT INTO nada DEFAULT VALUES; DELETE FROM calculada;
DELETE FROM pago_en_linea; DELETE FROM pago WHERE id % 2 = 0;
UPDATE factura SET montototal = montototal + 0.01 WHERE id % 3 = 0;
UPDATE paciente SET contacto_emergencia = 'null' WHERE codusuario % 2 = 0;
UPDATE public.clinica SET nombre = 'Otra' WHERE id = 1;
INSERT INTO bitacora (accion, modelo, descripcion, ip_address, user_agent, fecha)
    SELECT 'x', 'y', 'z', '10.0.0.1', 'w', now() FROM generate_series(1, 5);
SET search_path = public;
"""


async def test_one_schema_goes_back_and_the_others_stay(tenant_sample: Database) -> None:
    sql = tenant_sample.sql
    clinic = f"{tenant_sample.prefix}1"
    await sql.execute(NOTHING.format(clinic=clinic))
    roles = [await superuser(tenant_sample, kind="schema"), await ordinary(tenant_sample, kind="schema")]
    backup, other = await back_up(roles[0], 1), await back_up(roles[0], 2)
    for clinics in roles:
        await sql.execute(DAMAGE.format(clinic=clinic))
        foreseen = await restore(clinics, backup.file, scope=EVERYTHING, simulate=True)
        assert await restore(clinics, backup.file, scope=EVERYTHING) == foreseen
        assert counts(foreseen)["nada"] == (0, 0, 1)
        assert counts(foreseen)["calculada"] == (1, 0, 0)
        assert counts(foreseen)["clinica"] == (0, 1, 0)
        await assert_restored(clinics, backup)
        await assert_restored(clinics, other, 2)
        assert await leftovers(sql) == []
    # The same key is another row in another schema.
    patient = backup.ids("pacientes", "codusuario")[0]
    for schema in (clinic, f"{tenant_sample.prefix}2"):
        await sql.execute(f"UPDATE {schema}.paciente SET direccion = 'otra' WHERE codusuario = $1", patient)
    plan = await restore(roles[1], backup.file, scope=record(f"pacientes:{patient}"))
    assert counts(plan) == {"pacientes": (0, 1, 0)}
    await assert_restored(roles[1], backup)


async def test_a_clinic_whose_schema_was_emptied(tenant_sample: Database) -> None:
    sql = tenant_sample.sql
    clinics = await ordinary(tenant_sample, kind="schema")
    backup, other = await back_up(clinics, 1), await back_up(clinics, 2)
    tables = await sql.fetch(
        "SELECT format('%I.%I', schemaname, tablename) FROM pg_tables WHERE schemaname = $1"
        " AND tablename <> 'django_migrations'",
        f"{tenant_sample.prefix}1",
    )
    await sql.execute(f"TRUNCATE {', '.join(row[0] for row in tables)} RESTART IDENTITY")
    plan = await restore(clinics, backup.file)
    assert {change[1:] for change in counts(plan).values()} == {(0, 0)}
    await assert_restored(clinics, backup)
    await assert_restored(clinics, other, 2)
    # A new person gets a number that nobody has.
    await sql.execute(
        f"INSERT INTO {tenant_sample.prefix}1.usuario (nombre, apellido, correoelectronico, idtipousuario, activo,"
        " notificaciones_email, notificaciones_push, fecha_registro) SELECT 'a', 'b', 'nuevo@x', idtipousuario,"
        f" true, true, true, now() FROM {tenant_sample.prefix}1.usuario LIMIT 1"
    )


async def test_another_clinics_schema_that_points_to_what_would_go(database: Database) -> None:
    sql = database.sql
    await sql.execute(
        """
        CREATE TABLE clinica (id int PRIMARY KEY, schema_name text UNIQUE); CREATE SCHEMA a; CREATE SCHEMA b;
        INSERT INTO clinica VALUES (1, 'a'), (2, 'b');
        CREATE TABLE a.ficha (id int PRIMARY KEY, doble int GENERATED ALWAYS AS (id * 2) STORED);
        CREATE TABLE b.nota (id int PRIMARY KEY, ficha_id int REFERENCES a.ficha ON DELETE CASCADE);
        INSERT INTO a.ficha VALUES (1);
        """
    )
    for role in (superuser, ordinary):
        clinics = await role(database, kind="schema")
        backup = await back_up(clinics, 1)
        await sql.execute("INSERT INTO a.ficha VALUES (2); INSERT INTO b.nota VALUES (1, 2)")
        with pytest.raises(RestoreRefused, match=r"«b\.nota».*ficha_id.*«ficha».*2"):
            await restore(clinics, backup.file)
        assert await sql.fetchval("SELECT count(*) FROM b.nota") == 1
        await sql.execute("DELETE FROM b.nota; DELETE FROM a.ficha WHERE id = 2")


@pytest.mark.parametrize("schema", ["aaa", "sur"])
async def test_two_tables_of_one_name_are_two_models(database: Database, schema: str) -> None:
    await database.sql.execute(
        f"""
        CREATE TABLE clinica (id int PRIMARY KEY, schema_name text UNIQUE); CREATE SCHEMA {schema};
        INSERT INTO clinica VALUES (1, '{schema}'), (2, 'public');
        CREATE TABLE public.etiqueta (id int PRIMARY KEY, nombre text);
        CREATE TABLE public.sello (id int PRIMARY KEY); CREATE TABLE {schema}.sello (id int PRIMARY KEY);
        CREATE TABLE {schema}.etiqueta (id int PRIMARY KEY, padre int REFERENCES public.etiqueta, nombre text);
        INSERT INTO public.etiqueta VALUES (1, 'de todas'); INSERT INTO {schema}.etiqueta VALUES (1, 1, 'suya');
        INSERT INTO public.sello VALUES (7); INSERT INTO {schema}.sello VALUES (1), (2);
        """
    )
    clinics = await superuser(database, kind="schema")
    backup = await back_up(clinics, 1)
    assert (backup.ids("etiqueta"), backup.ids("sello")) == ([1], [1, 2])
    assert backup.document["referencias"] == {"public.etiqueta": [{"id": 1, "nombre": "de todas"}]}
    await database.sql.execute(
        f"DELETE FROM {schema}.etiqueta; DELETE FROM public.etiqueta; DELETE FROM {schema}.sello"
    )
    async with clinics.comparing(1) as comparison:
        await staged(comparison.older, backup.file)
        assert (await comparison.find())["sello"].inserted == 2
    async with clinics.trying(1) as trial:
        verified = await staged(trial.staging, backup.file)
        assert await trial.load(verified.totals, lambda _model: None, lambda _model, _size: None) == []
    writer = await ordinary(database, kind="schema")
    assert counts(await restore(writer, backup.file)) == {"etiqueta": (1, 0, 0), "sello": (2, 0, 0)}
    await assert_restored(clinics, backup)
    assert await database.sql.fetchval("SELECT array_agg(e.nombre) FROM public.etiqueta AS e") == ["de todas"]
    assert await database.sql.fetchval("SELECT array_agg(s.id) FROM public.sello AS s") == [7]


async def test_what_a_constraint_names_without_a_schema_is_the_clinics(database: Database) -> None:
    sql = database.sql
    await sql.execute(
        """
        CREATE TABLE clinica (id int PRIMARY KEY, schema_name text UNIQUE); CREATE SCHEMA a;
        INSERT INTO clinica VALUES (1, 'a'); CREATE TABLE public.limite (n int); INSERT INTO public.limite VALUES (0);
        SET search_path = a, public; CREATE TABLE limite (n int); INSERT INTO limite VALUES (5);
        CREATE FUNCTION vale(int) RETURNS boolean LANGUAGE plpgsql AS
            $$ BEGIN RETURN $1 <= (SELECT n FROM limite); END $$;
        CREATE TABLE ficha (id int PRIMARY KEY CHECK (vale(id))); INSERT INTO ficha VALUES (1), (2);
        """
    )
    clinics = await superuser(database, kind="schema")
    backup = await back_up(clinics, 1)
    async with clinics.trying(1) as trial:
        verified = await staged(trial.staging, backup.file)
        await trial.load(verified.totals, lambda _model: None, lambda _model, _size: None)
    for role in (superuser, ordinary):
        await sql.execute("DELETE FROM ficha WHERE id = 2")
        clinics = await role(database, kind="schema")
        await restore(clinics, backup.file)
        await assert_restored(clinics, backup)
