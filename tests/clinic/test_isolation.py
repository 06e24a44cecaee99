"""No row of one clinic is ever in another's file, and no row of the sample is lost."""

import json

import pytest

from app.demo.sample.generate import GrownOptions
from app.demo.sample.generate import logins as people
from app.demo.sample.grown_schema import GROWN_BY_NAME, GROWN_OWNED
from app.errors import CatalogError, ClinicNotFound
from app.settings import DEMO_RULES
from tests.clinic.conftest import SAMPLE, Database, GrownDatabase, make_grown
from tests.support.clinic_backup import Backup, back_up, back_up_all
from tests.support.grown_owners import whose
from tests.support.sample_ownership import KEY, OWNER, mark_owners

OWNED_NAMES = [table.name for table in GROWN_OWNED]


def _model(backup: Backup, table: str) -> str:
    return next(name for name, model in backup.verified.header.models.items() if model.table == table)


async def test_each_clinic_of_the_sample_has_its_rows_and_no_other(sample: Database) -> None:
    backups = await back_up_all(sample.clinics(rules=json.loads(DEMO_RULES)))
    await mark_owners(sample.sql)
    for table in OWNER:
        owned = await sample.sql.fetch(f"SELECT key, owner FROM owned_{table} ORDER BY key")
        for clinic in SAMPLE:
            keys = [row["key"] for row in owned if row["owner"] == clinic.id]
            assert backups[clinic.id].ids(_model(backups[clinic.id], table), KEY.get(table, "id")) == keys
    for clinic in SAMPLE:
        assert backups[clinic.id].verified.records == clinic.records
        logins = backups[clinic.id].document["referencias"]["auth_user"]
        assert {login["email"] for login in logins} == {login.email for login in people([clinic])[1:]}
        # Who it is, and nothing that lets in.
        assert all(set(login) == {"id", "username", "first_name", "last_name", "email"} for login in logins)
    assert backups[1].unowned == []


async def test_each_clinic_of_the_grown_sample_has_its_rows_and_no_other(grown: GrownDatabase) -> None:
    await _have_their_rows(grown)


async def test_strays_and_rows_of_nobody_are_in_no_other_clinics_file(database: Database) -> None:
    grown = await make_grown(database, GrownOptions(0.1, orphans=4, strays=3))
    backups = await _have_their_rows(grown)
    assert sum(count.rows for count in backups[1].unowned if count.table.name in OWNED_NAMES) == 4
    assert sum(stray.rows for stray in backups[2].cross_tenant) == 3


async def _have_their_rows(grown: GrownDatabase) -> dict[int, Backup]:
    backups = await back_up_all(grown.clinics())
    for table in ("clinica", *OWNED_NAMES):
        key = GROWN_BY_NAME[table].key
        rows = await grown.sql.fetch(
            f"SELECT t.{key} AS key, {whose(grown.sample, table)} AS owner FROM {table} AS t ORDER BY t.{key}"
        )
        for clinic in SAMPLE:
            keys = [row["key"] for row in rows if row["owner"] == clinic.id]
            assert backups[clinic.id].ids(_model(backups[clinic.id], table), key) == keys, (clinic.id, table)
    for clinic in SAMPLE:
        assert backups[clinic.id].verified.records == clinic.records
    return backups


async def test_each_clinic_with_a_schema_of_its_own_has_its_rows_and_no_other(tenant_sample: Database) -> None:
    clinics = tenant_sample.clinics(kind="schema")
    # The entry whose schema is the shared one is the platform.
    assert [(clinic.id, clinic.schema) for clinic in await clinics.clinics()] == [
        (clinic.id, f"{tenant_sample.prefix}{clinic.id}") for clinic in SAMPLE
    ]
    for clinic in SAMPLE:
        backup = await back_up(clinics, clinic.id)
        assert backup.verified.records == clinic.records
        assert backup.ids("clinica") == [clinic.id]
        models = backup.verified.header.models
        assert {model.schema for name, model in models.items() if name in backup.lines} == {None, "public"}
        for name, model in models.items():
            if model.schema is None:
                rows = await tenant_sample.sql.fetchval(
                    f"SELECT count(*) FROM {tenant_sample.prefix}{clinic.id}.{model.table}"
                )
                assert len(backup.records(name)) == rows
        assert "auth_user" not in backup.document["referencias"]


async def test_a_backup_is_the_same_wherever_the_clinics_schema_is(tenant_sample: Database) -> None:
    clinics = tenant_sample.clinics(kind="schema")
    before = await back_up(clinics, 1)
    await tenant_sample.sql.execute(
        f'ALTER SCHEMA {tenant_sample.prefix}1 RENAME TO "Clínica 1";'
        " UPDATE clinica SET schema_name = 'Clínica 1' WHERE id = 1"
    )
    after = await back_up(clinics, 1)
    assert set(after.verified.header.migrations) == {"django_migrations", "public.django_migrations"}
    assert after.verified.header.migrations == before.verified.header.migrations
    for model, header in after.verified.header.models.items():
        # The clinic's own row says its schema.
        if model != "clinica":
            assert (header.schema, after.lines.get(model)) == (
                before.verified.header.models[model].schema,
                before.lines.get(model),
            )


async def test_a_schema_that_is_not_there_is_no_empty_backup(tenant_sample: Database) -> None:
    clinics = tenant_sample.clinics(kind="schema")
    await tenant_sample.sql.execute("UPDATE clinica SET schema_name = 'clinica_2' WHERE id = 2")
    with pytest.raises(CatalogError, match="el esquema «clinica_2» de la clínica no existe"):
        await back_up(clinics, 2)
    await tenant_sample.sql.execute(
        "ALTER TABLE clinica DROP CONSTRAINT clinica_schema_name_key;"
        f" UPDATE clinica SET schema_name = '{tenant_sample.prefix}1' WHERE id = 2"
    )
    for clinica_id in (1, 2):
        with pytest.raises(CatalogError, match=f"tienen el mismo esquema, «{tenant_sample.prefix}1»"):
            await back_up(clinics, clinica_id)
    await tenant_sample.sql.execute(
        "ALTER TABLE clinica ALTER schema_name DROP NOT NULL; UPDATE clinica SET schema_name = NULL WHERE id = 2"
    )
    with pytest.raises(CatalogError, match="la clínica 2 no dice su esquema en «schema_name»"):
        await back_up(clinics, 2)
    # The others go on.
    assert (await back_up(clinics, 1)).verified.records == SAMPLE[0].records
    with pytest.raises(ClinicNotFound):
        await back_up(clinics, 9)


async def test_a_table_of_the_platform_with_the_name_of_a_clinics_is_a_model_of_its_own(
    tenant_sample: Database,
) -> None:
    clinics = tenant_sample.clinics(kind="schema")
    await tenant_sample.sql.execute("CREATE TABLE public.usuario (id int PRIMARY KEY)")
    assert (await back_up(clinics, 1)).verified.records == SAMPLE[0].records
    await tenant_sample.sql.execute(
        f"ALTER TABLE {tenant_sample.prefix}1.paciente ADD creador int REFERENCES public.usuario;"
        f"INSERT INTO public.usuario VALUES (5); UPDATE {tenant_sample.prefix}1.paciente SET creador = 5"
    )
    backup = await back_up(clinics, 1)
    assert backup.verified.records == SAMPLE[0].records
    assert backup.referenced("public.usuario") == [5]
    assert {
        name: (m.schema, m.table) for name, m in backup.verified.header.models.items() if m.table == "usuario"
    } == {
        "usuarios": (None, "usuario"),
        "public.usuario": ("public", "usuario"),
    }


async def test_rows_of_the_shared_schema_that_name_a_clinic_are_the_clinics(tenant_sample: Database) -> None:
    await tenant_sample.sql.execute(
        """
        CREATE TABLE public.dominio (id int PRIMARY KEY, tenant_id bigint NOT NULL REFERENCES public.clinica);
        CREATE TABLE public.visita (id int PRIMARY KEY, dominio_id int NOT NULL REFERENCES public.dominio);
        INSERT INTO public.dominio VALUES (1, 1), (2, 2), (3, 9999); INSERT INTO public.visita VALUES (1, 1), (2, 2);
        """
    )
    clinics = tenant_sample.clinics(kind="schema")
    first, second = await back_up(clinics, 1), await back_up(clinics, 2)
    assert (first.ids("dominio"), first.ids("visita")) == ([1], [1])
    assert (second.ids("dominio"), second.ids("visita")) == ([2], [2])
