"""Who of a clinic, and of the platform, is told by e-mail what became of the backups."""

from collections.abc import AsyncIterator, Collection, Iterable
from contextlib import asynccontextmanager

import asyncpg

from app.clinic.catalogue.classification import find_tenant_table
from app.clinic.catalogue.introspection import CATALOGUE_SQL, parse
from app.clinic.catalogue.sql import from_table, quote
from app.clinic.clinic import SETTING, Clinic, Tenancy
from app.database import asyncpg_url, database_errors

CONNECT_SECONDS = 10
QUERY_SECONDS = 30

# The clinics' own words.
USERS, ROLES = "usuario", "tipodeusuario"

# Django's table of who may log in.
LOGINS = "auth_user"
NEEDED = {USERS: {"correoelectronico", "notificaciones_email", "idtipousuario"}, ROLES: {"id", "rol"}}
ADMIN_EMAIL = "admin_email"

# row_security=off as in a backup: a policy that hides people is an error, not silence.
SESSION_SQL = "SET default_transaction_read_only = on; SET row_security = off; SET search_path = public"

# The first table of that name in the order of the schemas, and its columns.
COLUMNS_SQL = """
SELECT array_agg(attname::text) FROM pg_attribute
WHERE attrelid = to_regclass($1) AND attnum > 0 AND NOT attisdropped
"""


class ClinicRecipients:
    """The people of the clinics at one address. It holds no connection between calls.

    `admin_roles` are the roles, compared without case, whose people may do everything in their clinic.
    """

    def __init__(self, url: str, tenancy: Tenancy, *, admin_roles: Collection[str]) -> None:
        self._url = asyncpg_url(url)
        self._tenancy = tenancy
        self._admin_roles = {role.casefold() for role in admin_roles}

    async def administrators(self, clinic: Clinic, *, everybody: bool = False) -> list[str]:
        """E-mail addresses of the clinic's active administrators who want mail, each once, as the clinic wrote them.

        `everybody`: also of those who do not want any.
        Where the database does not say who wants mail, that is the address in the clinics table; where that does
        not say one either, nobody's. Raises DatabaseError or one of its kinds.
        """
        async with self._connect() as connection:
            with database_errors(SETTING):
                shared = parse(await connection.fetchval(CATALOGUE_SQL, await self._clinic_schemas(connection)))
                tenants, key = find_tenant_table(shared, self._tenancy)
                schemas = dict.fromkeys((clinic.schema or tenants.schema, tenants.schema, "public"))
                await connection.execute(f"SET search_path = {', '.join(quote(schema) for schema in schemas)}")
                users = await _columns(connection, USERS)
                if users >= self._needed_of_users and await _columns(connection, ROLES) >= NEEDED[ROLES]:
                    return await self._who_want_mail(
                        connection, clinic, active="activo" in users, everybody=everybody
                    )
                table = shared.tables[tenants]
                if table.column(ADMIN_EMAIL) is None:
                    return []
                found = await connection.fetchval(
                    f"SELECT {quote(ADMIN_EMAIL)}::text FROM {from_table(table)} WHERE {quote(key)} = $1::bigint",
                    clinic.id,
                )
                return _each_once([found])

    async def superadministrators(self) -> list[str]:
        """E-mail addresses of those who may log in as superadmin, each once: they are told what is the platform's.

        Nobody's where the database has no such table. Raises DatabaseError or one of its kinds.
        """
        async with self._connect() as connection:
            with database_errors(SETTING):
                if not await _columns(connection, LOGINS) >= {"email", "is_superuser", "is_active"}:
                    return []
                rows = await connection.fetch(
                    f"SELECT email::text FROM {LOGINS} WHERE is_superuser AND is_active ORDER BY 1"
                )
        return _each_once(email for (email,) in rows)

    @property
    def _needed_of_users(self) -> set[str]:
        return NEEDED[USERS] | ({self._tenancy.column} if self._tenancy.kind == "column" else set())

    async def _who_want_mail(
        self, connection: asyncpg.Connection, clinic: Clinic, *, active: bool, everybody: bool
    ) -> list[str]:
        statement = (
            f"SELECT t.rol::text, u.correoelectronico::text FROM {USERS} AS u JOIN {ROLES} AS t"
            f" ON t.id = u.idtipousuario WHERE {'true' if everybody else 'u.notificaciones_email'}"
        )
        if active:
            statement += " AND u.activo IS NOT FALSE"
        if self._tenancy.kind == "column":
            statement += f" AND u.{quote(self._tenancy.column)} = $1::bigint"
            rows = await connection.fetch(f"{statement} ORDER BY 2", clinic.id)
        else:
            rows = await connection.fetch(f"{statement} ORDER BY 2")
        # Python's case folding, as where people log in: PostgreSQL's depends on the database's locale.
        return _each_once(email for role, email in rows if (role or "").strip().casefold() in self._admin_roles)

    async def _clinic_schemas(self, connection: asyncpg.Connection) -> list[str]:
        if self._tenancy.kind == "column":
            return []
        rows = await connection.fetch("SELECT nspname FROM pg_namespace WHERE nspname <> 'public'")
        return [row[0] for row in rows]

    @asynccontextmanager
    async def _connect(self) -> AsyncIterator[asyncpg.Connection]:
        with database_errors(SETTING):
            connection = await asyncpg.connect(self._url, timeout=CONNECT_SECONDS, command_timeout=QUERY_SECONDS)
        try:
            with database_errors(SETTING):
                await connection.execute(SESSION_SQL)
            yield connection
            with database_errors(SETTING):
                await connection.close(timeout=CONNECT_SECONDS)
        except BaseException:
            connection.terminate()
            raise


async def _columns(connection: asyncpg.Connection, table: str) -> set[str]:
    return set(await connection.fetchval(COLUMNS_SQL, table) or ())


def _each_once(addresses: Iterable[str | None]) -> list[str]:
    """Without the empty ones, and without those that differ from an earlier one in their case only."""
    found: dict[str, str] = {}
    for address in addresses:
        if address is not None and (plain := address.strip()):
            found.setdefault(plain.casefold(), plain)
    return list(found.values())
