"""Builds, from the settings, what the operations work with. Called by the command line, the app and the worker."""

from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pydantic import SecretStr
from sqlalchemy.ext.asyncio import async_sessionmaker

from app.clinic.catalogue.secret_columns import SecretColumns
from app.clinic.clinic import Tenancy
from app.clinic.database import ClinicDatabase
from app.database import service_engine
from app.errors import QueueUnavailable, SettingsError
from app.respaldos.jobs.lease import Lease
from app.respaldos.resources import Databases, Resources
from app.respaldos.retention.policy import Policy
from app.settings import EmbeddedServer, Settings
from app.storage.options import S3Options
from app.storage.s3 import open_storage

# What only the HTTP service needs is imported where it is built: the command line would wait for it.
if TYPE_CHECKING:
    from app.auth.login import Login
    from app.auth.tokens import Tokens
    from app.broker.queue import Queue
    from app.clinic.directory import ClinicDirectory
    from app.clinic.people.users import ClinicUsers
    from app.clinic.restore.database import RestoreDatabase


# Of the jobs that this process claims.
LEASE = Lease()


@contextmanager
def embedded_servers(settings: Settings) -> Iterator[Settings]:
    """Serve what the settings want embedded while the block runs; give the settings with its addresses filled in.

    Raises EmbeddedServerError.
    """
    if not settings.embedded_servers:
        yield settings
        return
    from app.demo import embedded

    with embedded.running(settings.respaldos_home, settings.embedded_servers) as addresses:
        given = {
            "database_url": addresses.database_url and SecretStr(addresses.database_url),
            "redis_url": addresses.redis_url and SecretStr(addresses.redis_url),
            "aws_endpoint_url_s3": addresses.s3_endpoint_url,
            "aws_access_key_id": addresses.s3_access_key_id,
            "aws_secret_access_key": addresses.s3_secret_access_key and SecretStr(addresses.s3_secret_access_key),
            # With addresses and without this, they would look like servers of somebody else's.
            "embedded": settings.embedded_servers,
        }
        yield settings.model_copy(update={name: value for name, value in given.items() if value is not None})


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


def secret_columns(settings: Settings) -> SecretColumns:
    """What no person is to be shown of the clinics' rows."""
    return SecretColumns(settings.secret_columns)


def clinic_database_url(settings: Settings) -> str:
    """Where the clinics' database is: CLINIC_DATABASE_URL, by default the service's own. Raises SettingsError."""
    url = settings.clinic_database_url or settings.database_url
    if url is None:
        raise SettingsError("CLINIC_DATABASE_URL: falta")
    return url.get_secret_value()


def redis_url(settings: Settings) -> str:
    """Where Redis is. Raises QueueUnavailable where the settings do not say."""
    if settings.redis_url is None:
        raise _no_redis()
    return settings.redis_url.get_secret_value()


def _no_redis() -> QueueUnavailable:
    return QueueUnavailable("REDIS_URL: falta")


def clinic_database(settings: Settings) -> ClinicDatabase:
    """The clinics' database."""
    return ClinicDatabase(clinic_database_url(settings), tenancy(settings))


def restore_database(settings: Settings) -> "RestoreDatabase":
    """The clinics' database for a role that may write: CLINIC_RESTORE_DATABASE_URL, by default as the other."""
    from app.clinic.restore.database import RestoreDatabase

    url = settings.clinic_restore_database_url or settings.clinic_database_url or settings.database_url
    if url is None:
        raise SettingsError("CLINIC_RESTORE_DATABASE_URL: falta")
    return RestoreDatabase(
        url.get_secret_value(),
        tenancy(settings),
        secret_columns(settings),
        setting="CLINIC_RESTORE_DATABASE_URL",
        disable_triggers=settings.restore_disable_triggers,
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


def s3_options(settings: Settings) -> S3Options:
    """The bucket of the settings."""
    secret = settings.aws_secret_access_key
    return S3Options(
        bucket=settings.aws_backup_bucket_name,
        region=settings.aws_s3_region_name,
        endpoint_url=settings.aws_endpoint_url_s3,
        public_endpoint_url=settings.aws_public_endpoint_url_s3,
        access_key_id=settings.aws_access_key_id,
        secret_access_key=secret.get_secret_value() if secret is not None else None,
        storage_class=settings.s3_storage_class,
        sse=settings.s3_sse,
        sse_kms_key_id=settings.s3_sse_kms_key_id,
        checksums=settings.s3_checksums,
        folder=settings.respaldos_home if EmbeddedServer.S3 in settings.embedded_servers else None,
    )


@asynccontextmanager
async def open_databases(settings: Settings) -> AsyncIterator[Databases]:
    """Both databases, closed at the end of the block. Nothing is connected before it is used."""
    if settings.database_url is None:
        raise SettingsError("DATABASE_URL: falta")
    engine = service_engine(settings.database_url.get_secret_value())
    try:
        yield Databases(async_sessionmaker(engine, expire_on_commit=False), clinic_database(settings))
    finally:
        await engine.dispose()


@asynccontextmanager
async def open_resources(settings: Settings) -> AsyncIterator[Resources]:
    """Everything a backup needs, closed at the end of the block. Nothing is connected before it is used."""
    async with open_databases(settings) as databases, open_storage(s3_options(settings)) as storage:
        yield Resources(
            databases.sessions, databases.clinic, storage, settings.time_zone, restore_database(settings), LEASE
        )


def clinic_users(settings: Settings, directory: "ClinicDirectory") -> "ClinicUsers":
    """The people in the clinics' database. It holds no connection."""
    from app.clinic.people.users import ClinicUsers

    return ClinicUsers(clinic_database_url(settings), tenancy(settings), directory)


def tokens(settings: Settings) -> "Tokens":
    """Who signs tokens and whose are believed; the caller closes it."""
    from app.auth.tokens import Tokens

    return Tokens(
        secret=settings.jwt_secret.get_secret_value() if settings.jwt_secret is not None else None,
        hours=settings.token_hours,
        admin_roles=settings.admin_roles,
        public_key=settings.jwt_public_key,
        jwks_url=settings.jwt_jwks_url,
        algorithm=settings.jwt_algorithm,
        issuer=settings.jwt_issuer,
        audience=settings.jwt_audience,
    )


@dataclass(frozen=True, slots=True)
class Service:
    """What the HTTP service works with. Without REDIS_URL it has neither queue nor login."""

    settings: Settings
    resources: Resources
    directory: "ClinicDirectory"
    users: "ClinicUsers"
    tokens: "Tokens"
    login: "Login | None"
    queue: "Queue | None"

    def require_login(self) -> "Login":
        """Raises QueueUnavailable without REDIS_URL, or LoginUnavailable where JWT_SECRET is missing as well."""
        if self.login is None:
            self.tokens.require_secret()
            raise _no_redis()
        return self.login

    def require_queue(self) -> "Queue":
        """Raises QueueUnavailable without REDIS_URL."""
        if self.queue is None:
            raise _no_redis()
        return self.queue


@asynccontextmanager
async def open_service(settings: Settings) -> AsyncIterator[Service]:
    """Everything the HTTP service needs, closed at the end of the block. Nothing is connected before it is used."""
    from app.auth.attempts import LoginAttempts
    from app.auth.login import Login
    from app.broker.queue import open_queue
    from app.clinic.directory import ClinicDirectory

    async with AsyncExitStack() as stack:
        resources = await stack.enter_async_context(open_resources(settings))
        directory = ClinicDirectory(resources.clinic)
        users = clinic_users(settings, directory)
        known = tokens(settings)
        stack.push_async_callback(known.close)
        login = queue = None
        if settings.redis_url is not None:
            address = redis_url(settings)
            attempts = LoginAttempts(address)
            stack.push_async_callback(attempts.close)
            login = Login(users, known, attempts)
            queue = await stack.enter_async_context(open_queue(address))
        yield Service(settings, resources, directory, users, known, login, queue)
