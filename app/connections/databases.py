"""Both databases: enough to look."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from sqlalchemy.ext.asyncio import async_sessionmaker

from app.clinic.clinic import Tenancy
from app.clinic.database import ClinicDatabase
from app.database import service_engine
from app.errors import SettingsError
from app.respaldos.databases import Databases
from app.settings import Settings

# Sessions in the clinics' database that rest between uses: one for each job that a worker does at a time.
KEPT_SESSIONS = 2


def tenancy(settings: Settings) -> Tenancy:
    """How clinics share the database."""
    return Tenancy(
        kind=settings.tenancy,
        column=settings.tenant_column,
        table=settings.tenant_table,
        schema_column=settings.tenant_schema_column,
        active_column=settings.tenant_active_column,
        name_column=settings.tenant_name_column,
        exclude=settings.exclude_tables,
        access=settings.access_tables,
        rules=settings.ownership_rules,
    )


def clinic_database_url(settings: Settings) -> str:
    """Where the clinics' database is: CLINIC_DATABASE_URL, by default the service's own. Raises SettingsError."""
    url = settings.clinic_database_url or settings.database_url
    if url is None:
        raise SettingsError("CLINIC_DATABASE_URL: falta")
    return url.get_secret_value()


def clinic_database(settings: Settings, *, keep: int = 0, count_unowned: bool = False) -> ClinicDatabase:
    """The clinics' database; with `keep`, the caller closes it."""
    return ClinicDatabase(clinic_database_url(settings), tenancy(settings), keep=keep, count_unowned=count_unowned)


@asynccontextmanager
async def open_databases(settings: Settings, *, count_unowned: bool = False) -> AsyncIterator[Databases]:
    """Both databases, closed at the end of the block. Nothing is connected before it is used."""
    if settings.database_url is None:
        raise SettingsError("DATABASE_URL: falta")
    engine = service_engine(settings.database_url.get_secret_value())
    clinic = clinic_database(settings, keep=KEPT_SESSIONS, count_unowned=count_unowned)
    try:
        yield Databases(async_sessionmaker(engine, expire_on_commit=False), clinic)
    finally:
        await clinic.close()
        await engine.dispose()
