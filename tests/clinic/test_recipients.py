"""Who is written to, in both tenancies and in databases that lack what says so."""

import pytest

from app.clinic.clinic import Clinic, Tenancy
from app.clinic.people.recipients import ClinicRecipients
from app.demo.sample.generate import SampleClinic, create_schema, create_tenant_schema, fill
from app.errors import CatalogError, DatabaseUnavailable
from tests.clinic.conftest import Database

CLINICS = (SampleClinic(1, "Uno", 8), SampleClinic(2, "Dos", 8))
ROLES = ("administrador", "ADMIN")


@pytest.fixture
async def sample(database: Database) -> Database:
    """Two clinics of four people each, told apart by a column."""
    await create_schema(database.sql)
    await fill(database.sql, CLINICS)
    return database


@pytest.fixture
async def tenant_sample(database: Database) -> Database:
    """Two clinics of four people each, each in a schema of its own."""
    for clinic in CLINICS:
        await create_tenant_schema(database.sql, clinic)
    return database


async def administrators(database: Database, clinica_id: int, schema: str | None = None, **tenancy: str) -> list[str]:
    if schema is not None:
        tenancy["kind"] = "schema"
    recipients = ClinicRecipients(database.url, Tenancy(**tenancy), admin_roles=ROLES)  # type: ignore[arg-type]
    return await recipients.administrators(Clinic(clinica_id, "x", True, schema))


async def _everybody_wants_mail(database: Database, schema: str = "public") -> None:
    await database.sql.execute(f"UPDATE {schema}.usuario SET notificaciones_email = true, activo = true")


async def test_of_each_clinic_its_administrators(sample: Database) -> None:
    await _everybody_wants_mail(sample)
    assert await administrators(sample, 1) == ["admin@clinica1.example"]
    assert await administrators(sample, 2) == ["admin@clinica2.example"]
    assert await administrators(sample, 99) == []


async def test_of_each_schema_its_administrators(tenant_sample: Database) -> None:
    for clinica_id in (1, 2):
        schema = f"{tenant_sample.prefix}{clinica_id}"
        await _everybody_wants_mail(tenant_sample, schema)
        assert await administrators(tenant_sample, clinica_id, schema) == [f"admin@clinica{clinica_id}.example"]


async def test_of_the_platform_its_superadmins(sample: Database) -> None:
    recipients = ClinicRecipients(sample.url, Tenancy(), admin_roles=ROLES)
    assert await recipients.superadministrators() == ["superadmin@respaldos.example"]
    await sample.sql.execute("UPDATE auth_user SET is_active = false WHERE is_superuser")
    assert await recipients.superadministrators() == []
    await sample.sql.execute("ALTER TABLE auth_user DROP COLUMN is_superuser")
    assert await recipients.superadministrators() == []


async def test_who_does_not_want_mail_gets_none(sample: Database) -> None:
    """Nor does the clinic's own address: they have said no."""
    await sample.sql.execute("UPDATE usuario SET notificaciones_email = false")
    assert await administrators(sample, 1) == []


async def test_who_has_left_gets_none(sample: Database) -> None:
    await _everybody_wants_mail(sample)
    await sample.sql.execute("UPDATE usuario SET activo = false WHERE correoelectronico LIKE 'admin@%'")
    assert await administrators(sample, 1) == []


async def test_roles_are_compared_without_case(sample: Database) -> None:
    await _everybody_wants_mail(sample)
    await sample.sql.execute("UPDATE tipodeusuario SET rol = ' aDmIn ' WHERE rol = 'Administrador'")
    assert await administrators(sample, 1) == ["admin@clinica1.example"]
    await sample.sql.execute("UPDATE tipodeusuario SET rol = 'administradora' WHERE rol = ' aDmIn '")
    assert await administrators(sample, 1) == []


async def test_an_address_is_listed_once_and_an_empty_one_never(sample: Database) -> None:
    await sample.sql.execute("UPDATE usuario SET notificaciones_email = false, activo = true")
    await sample.sql.execute(
        "ALTER TABLE usuario DROP CONSTRAINT IF EXISTS usuario_correoelectronico_clinica_id_uniq"
    )
    people = await sample.sql.fetch("SELECT codigo FROM usuario WHERE clinica_id = 1 ORDER BY codigo LIMIT 4")
    for (codigo,), email in zip(people, ["Ana@x.example ", "ana@x.example", " ", "beto@x.example"], strict=True):
        await sample.sql.execute(
            "UPDATE usuario SET notificaciones_email = true, correoelectronico = $2,"
            " idtipousuario = (SELECT id FROM tipodeusuario WHERE rol = 'Administrador') WHERE codigo = $1",
            codigo,
            email,
        )
    found = await administrators(sample, 1)
    assert [address.casefold() for address in found] == ["ana@x.example", "beto@x.example"]


@pytest.mark.parametrize(
    "change",
    [
        "ALTER TABLE usuario DROP COLUMN notificaciones_email",
        "ALTER TABLE usuario DROP COLUMN correoelectronico",
        "ALTER TABLE tipodeusuario DROP COLUMN rol",
        "DROP TABLE tipodeusuario CASCADE",
        "DROP TABLE usuario CASCADE",
    ],
)
async def test_where_the_database_does_not_say_the_clinics_own_address_is_it(sample: Database, change: str) -> None:
    await _everybody_wants_mail(sample)
    await sample.sql.execute(change)
    assert await administrators(sample, 1) == ["admin@clinica1.example"]
    await sample.sql.execute("ALTER TABLE clinica DROP COLUMN admin_email")
    assert await administrators(sample, 1) == []


async def test_the_clinics_own_address_in_tenancy_schema(tenant_sample: Database) -> None:
    schema = f"{tenant_sample.prefix}1"
    await tenant_sample.sql.execute(f"DROP TABLE {schema}.usuario CASCADE")
    assert await administrators(tenant_sample, 1, schema) == ["admin@clinica1.example"]


async def test_tables_of_another_schema_than_public(sample: Database) -> None:
    await _everybody_wants_mail(sample)
    await sample.sql.execute("ALTER SCHEMA public RENAME TO dental; CREATE SCHEMA public")
    assert await administrators(sample, 1) == ["admin@clinica1.example"]


async def test_what_is_wrong_with_the_database_is_told(database: Database) -> None:
    with pytest.raises(CatalogError):
        await administrators(database, 1)
    gone = ClinicRecipients("postgresql://nadie@127.0.0.1:1/nada", Tenancy(), admin_roles=ROLES)
    with pytest.raises(DatabaseUnavailable):
        await gone.administrators(Clinic(1, None, True, None))
