"""What the HTTP service works with."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass

from app.auth.attempts import LoginAttempts
from app.auth.login import Login
from app.auth.people import PeopleCheck
from app.auth.tokens import Tokens
from app.broker.queue import Queue, open_queue
from app.clinic.directory import ClinicDirectory
from app.clinic.people.users import ClinicUsers
from app.connections.databases import clinic_database_url, tenancy
from app.connections.redis import no_redis, redis_url
from app.connections.resources import open_resources
from app.respaldos.resources import Resources
from app.settings import Settings


def clinic_users(settings: Settings, directory: ClinicDirectory) -> ClinicUsers:
    """The people in the clinics' database. It holds no connection."""

    return ClinicUsers(clinic_database_url(settings), tenancy(settings), directory)


def tokens(settings: Settings) -> Tokens:
    """Who signs tokens and whose are believed; the caller closes it."""

    return Tokens(
        secret=settings.jwt_secret.get_secret_value() if settings.jwt_secret is not None else None,
        hours=settings.token_hours,
        admin_roles=settings.admin_roles,
        public_key=settings.jwt_public_key,
        jwks_url=settings.jwt_jwks_url,
        algorithm=settings.jwt_algorithm,
        issuer=settings.jwt_issuer,
        audience=settings.jwt_audience,
        unchecked=settings.jwt_unchecked,
        max_hours=settings.jwt_max_hours,
    )


@dataclass(frozen=True, slots=True)
class Service:
    """What the HTTP service works with. Without REDIS_URL it has neither queue nor login."""

    settings: Settings
    resources: Resources
    directory: ClinicDirectory
    users: ClinicUsers
    tokens: Tokens
    people: PeopleCheck
    login: Login | None
    queue: Queue | None

    def require_login(self) -> Login:
        """Raises QueueUnavailable without REDIS_URL, or LoginUnavailable where JWT_SECRET is missing as well."""
        if self.login is None:
            self.tokens.require_secret()
            raise no_redis()
        return self.login

    def require_queue(self) -> Queue:
        """Raises QueueUnavailable without REDIS_URL."""
        if self.queue is None:
            raise no_redis()
        return self.queue


@asynccontextmanager
async def open_service(settings: Settings) -> AsyncIterator[Service]:
    """Everything the HTTP service needs, closed at the end of the block. Nothing is connected before it is used."""

    async with AsyncExitStack() as stack:
        resources = await stack.enter_async_context(open_resources(settings))
        directory = ClinicDirectory(resources.clinic)
        users = clinic_users(settings, directory)
        known = tokens(settings)
        people = PeopleCheck(users, known, superadmins=settings.superadmin_login)
        stack.push_async_callback(known.close)
        login = queue = None
        if settings.redis_url is not None:
            address = redis_url(settings)
            attempts = LoginAttempts(address)
            stack.push_async_callback(attempts.close)
            login = Login(users, known, attempts, people, superadmins=settings.superadmin_login)
            queue = await stack.enter_async_context(open_queue(address))
        yield Service(settings, resources, directory, users, known, people, login, queue)
