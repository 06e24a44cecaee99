"""What the operations work with. The app's lifespan, the worker's startup and the command line build it."""

from dataclasses import dataclass, field
from zoneinfo import ZoneInfo

from app.clinic.catalogue.secret_columns import SecretColumns
from app.clinic.labels import RecordLabels
from app.clinic.restore.database import RestoreDatabase
from app.dump.gzip_member import Compression
from app.dump.seal import NO_SEALS, SealKeys
from app.respaldos.copies.bucket import CopyBucket
from app.respaldos.databases import Databases
from app.respaldos.jobs.lease import Lease
from app.respaldos.keys.keyring import Keyring
from app.storage.s3 import S3Storage


@dataclass(frozen=True, slots=True)
class Resources(Databases):
    """The databases and the bucket; `time_zone` is the clinics'.

    `restore` is the clinics' database for a role that may write, used by restores only; `lease` is for the jobs that
    this process claims, `compression` for the files that it makes. `secrets` are what nobody is shown of the clinics'
    rows, `labels` what these are called. `seals` are the keys that files are sealed with, and known by; `keyring`
    opens the clinics' keys, which they are encrypted with. `copies` are the buckets of second copies.
    """

    storage: S3Storage
    time_zone: ZoneInfo
    restore: RestoreDatabase
    lease: Lease
    compression: Compression
    secrets: SecretColumns = field(default_factory=SecretColumns)
    labels: RecordLabels = field(default_factory=RecordLabels)
    seals: SealKeys = NO_SEALS
    keyring: Keyring = field(default_factory=Keyring)
    copies: tuple[CopyBucket, ...] = ()
