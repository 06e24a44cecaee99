"""What operations that make, read and restore backups need besides the databases."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from app.clinic.catalogue.secret_columns import SecretColumns
from app.clinic.labels import RecordLabels
from app.clinic.restore.database import RestoreDatabase
from app.connections.databases import open_databases, tenancy
from app.connections.storage import s3_options
from app.errors import SettingsError
from app.respaldos.jobs.lease import Lease
from app.respaldos.resources import Resources
from app.respaldos.retention.policy import Policy
from app.settings import Settings
from app.storage.s3 import open_storage

# Of the jobs that this process claims.
LEASE = Lease()


def secret_columns(settings: Settings) -> SecretColumns:
    """What no person is to be shown of the clinics' rows."""
    return SecretColumns(settings.secret_columns)


def record_labels(settings: Settings) -> RecordLabels:
    """What the clinics' records are called."""
    return RecordLabels(settings.record_labels, settings.time_zone)


def restore_database(settings: Settings) -> RestoreDatabase:
    """The clinics' database for a role that may write: CLINIC_RESTORE_DATABASE_URL, by default as the other."""
    url = settings.clinic_restore_database_url or settings.clinic_database_url or settings.database_url
    if url is None:
        raise SettingsError("CLINIC_RESTORE_DATABASE_URL: falta")
    return RestoreDatabase(
        url.get_secret_value(),
        tenancy(settings),
        secret_columns(settings),
        labels=record_labels(settings),
        setting="CLINIC_RESTORE_DATABASE_URL",
        disable_triggers=settings.restore_disable_triggers,
        # Each night's backup says it. To put one record back, all clinics' rows would be read.
        count_unowned=False,
    )


def retention_policy(settings: Settings) -> Policy:
    """How long backups are kept."""
    return Policy(
        days=settings.retention_days,
        minimum=settings.retention_minimum,
        daily=settings.retention_daily,
        weekly=settings.retention_weekly,
        monthly=settings.retention_monthly,
    )


@asynccontextmanager
async def open_resources(settings: Settings) -> AsyncIterator[Resources]:
    """Everything a backup needs, closed at the end of the block. Nothing is connected before it is used."""
    async with open_databases(settings) as databases, open_storage(s3_options(settings)) as storage:
        yield Resources(
            databases.sessions,
            databases.clinic,
            storage,
            settings.time_zone,
            restore_database(settings),
            LEASE,
            secret_columns(settings),
            record_labels(settings),
        )
