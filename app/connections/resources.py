"""What operations that make, read and restore backups need besides the databases."""

import os
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

from app.clinic.catalogue.secret_columns import SecretColumns
from app.clinic.labels import RecordLabels
from app.clinic.restore.database import RestoreDatabase
from app.connections.databases import open_databases, tenancy
from app.connections.encryption import keyring
from app.connections.seals import sealing
from app.connections.storage import copy_options, s3_options
from app.dump.gzip_member import Compression
from app.errors import SettingsError
from app.respaldos.copies.bucket import CopyBucket
from app.respaldos.jobs.lease import Lease
from app.respaldos.resources import Resources
from app.settings import Settings
from app.storage.s3 import open_storage

# Of the jobs that this process claims.
LEASE = Lease()

# On fewer processors PostgreSQL, which prints the rows, would wait for what compresses them.
_PROCESSORS_FOR_SMALL = 4


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
        # Its snapshots are of safety backups.
        count_unowned=False,
    )


def compression(settings: Settings) -> Compression:
    """COMPRESSION; where it is not set, by how many processors this process may use."""
    if settings.compression is not None:
        return Compression(settings.compression)
    # Linux alone tells; elsewhere nobody runs this for speed.
    processors = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else _PROCESSORS_FOR_SMALL
    return Compression.SMALL if processors >= _PROCESSORS_FOR_SMALL else Compression.FAST


@asynccontextmanager
async def open_resources(settings: Settings, *, count_unowned: bool = False) -> AsyncIterator[Resources]:
    """Everything a backup needs, closed at the end of the block. Nothing is connected before it is used.

    With `count_unowned` a clinic's backup says how many rows are nobody's. All clinics' rows are read for that, once
    in a while: that is for a process that goes on, the workers', and not for one backup or one record put back.
    """
    async with (
        open_databases(settings, count_unowned=count_unowned) as databases,
        open_storage(s3_options(settings)) as storage,
        open_copies(settings) as copies,
    ):
        yield Resources(
            databases.sessions,
            databases.clinic,
            storage,
            settings.time_zone,
            restore_database(settings),
            LEASE,
            compression(settings),
            secret_columns(settings),
            record_labels(settings),
            sealing(settings),
            keyring(settings),
            copies,
        )


@asynccontextmanager
async def open_copies(settings: Settings) -> AsyncIterator[tuple[CopyBucket, ...]]:
    """The buckets of second copies. Raises as `open_storage` does, and SettingsError."""
    async with AsyncExitStack() as opened:
        yield tuple(
            [
                CopyBucket(copy.name, await opened.enter_async_context(open_storage(copy_options(copy))), copy.days)
                for copy in settings.copy_buckets
            ]
        )
