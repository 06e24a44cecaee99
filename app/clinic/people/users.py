"""The people of the clinics, in the tables that Django and the clinics' own system keep of them."""

import asyncio
import math
import time
from collections.abc import AsyncIterator, Callable, Iterable, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass, field
from typing import Final

import asyncpg

from app.clinic.catalogue.sql import quote
from app.clinic.clinic import SETTING, Clinic, Tenancy
from app.clinic.directory import ClinicDirectory
from app.database import asyncpg_url, database_errors
from app.errors import DatabaseUnavailable, InvalidRequest, LoginUnavailable

# How long a login may wait for the clinic database, connecting and then asking (seconds).
CONNECT_SECONDS = 5
QUERY_SECONDS = 5

# Logins come in crowds in the morning, and the clinics' own system needs its connections.
CONNECTIONS = 4

# How long a name is remembered (seconds), and how many are.
NAME_SECONDS = 60.0
NAMES = 10_000

# The role of the platform's own people, of no clinic. A clinic may call a role of its own so: that gives nothing.
SUPERADMIN: Final = "superadmin"

# The names are text in some systems and numbers in others; `activo` is missing in many.
_PERSON = """
    u.codigo::bigint AS codigo, u.nombre::text AS nombre, u.apellido::text AS apellido,
    u.correoelectronico::text AS correoelectronico, u.idtipousuario::bigint AS idtipousuario,
    (SELECT nullif(trim(t.rol::text), '') FROM tipodeusuario AS t WHERE t.id = u.idtipousuario) AS rol,
    (to_jsonb(u) -> 'activo') IS DISTINCT FROM 'false'::jsonb AS activo
"""

# The one login that is meant. An e-mail comes before a user name that looks like it, which anybody may choose; a
# user name is compared as Django does. tableoid says whether the login is the platform's or a clinic's own.
_ACCOUNT = """
    SELECT a.email::text AS email, a.username::text AS username, a.password::text AS password,
           a.first_name::text AS first_name, a.last_name::text AS last_name,
           a.is_active AS is_active, a.is_superuser AS is_superuser,
           a.tableoid = to_regclass('public.auth_user') AS platform,
           (SELECT count(*) FROM auth_user AS b
            WHERE a.email <> '' AND lower(b.email) = lower(a.email)) AS sharing
    FROM auth_user AS a
    WHERE lower(a.email) = lower($1) OR a.username = $1
    ORDER BY lower(a.email) = lower($1) DESC, a.is_active DESC, a.id LIMIT 1
"""


@dataclass(frozen=True, slots=True)
class Usuario:
    """A person as the front ends show them; a superadmin has neither codigo nor clinic."""

    codigo: int | None
    nombre: str
    apellido: str
    correoelectronico: str
    idtipousuario: int | None
    tipo_usuario_nombre: str | None
    clinica_id: int | None
    rol: str

    @property
    def nombre_completo(self) -> str:
        """First and last name."""
        return f"{self.nombre} {self.apellido}".strip()


@dataclass(frozen=True, slots=True)
class Account:
    """A login of Django's, and whom it lets in.

    `shared` says that other logins, active or not, have the same e-mail, so that it does not say who this is.
    `people` may come in: they and their clinics are active. `superuser` is given for a superuser of the platform,
    not of a clinic's own logins. `clinic_unsaid` is where each clinic has a schema and none was named.
    """

    password: str | None = field(repr=False)
    active: bool
    shared: bool
    superuser: Usuario | None
    people: tuple[tuple[Usuario, Clinic], ...]
    clinic_unsaid: bool


@dataclass(frozen=True, slots=True)
class StoredLogin:
    """A login of Django's: its password, as Django stores it, and whether it may be used."""

    password: str | None = field(repr=False)
    active: bool


@dataclass(frozen=True, slots=True)
class Standing:
    """How a clinic's person stands today; `logins` are those of their e-mail, None where nobody may see logins."""

    correo: str
    rol: str | None
    active: bool
    logins: tuple[StoredLogin, ...] | None


class ClinicUsers:
    """Reads the logins and people of the clinic database at one address. It holds no connection between calls.

    `directory` says which clinics there are, and in which schemas.
    """

    def __init__(
        self,
        url: str,
        tenancy: Tenancy,
        directory: ClinicDirectory,
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._url = asyncpg_url(url)
        self._tenancy = tenancy
        self._directory = directory
        self._clock = clock
        self._free = asyncio.Semaphore(CONNECTIONS)
        self._names: dict[tuple[int, int], tuple[float, str | None]] = {}

    async def account(self, identifier: str, *, clinica: str | None) -> Account | None:
        """The login of that e-mail (in any case) or user name; None where there is none.

        `clinica` names the clinic where each has a schema, by its schema, id or name; None is returned for one
        that does not exist. Elsewhere it is not looked at: `people` are of all clinics.

        Raises InvalidRequest where `clinica` is needed to look for logins at all, LoginUnavailable where the
        database has not Django's tables, DatabaseError.
        """
        if not identifier or not identifier.isprintable():
            return None
        clinics = await self._directory.clinics()
        chosen = None
        if self._tenancy.kind == "schema" and clinica is not None:
            chosen = pick(clinics, clinica)
            if chosen is None or chosen.schema is None:
                return None
        unsaid = self._tenancy.kind == "schema" and chosen is None
        async with self._connect(chosen) as connection:
            if unsaid and not await connection.fetchval("SELECT to_regclass('public.auth_user') IS NOT NULL"):
                raise InvalidRequest(
                    "clinica: diga a qué clínica ingresa, porque cada una tiene sus propios usuarios"
                )
            rows = await connection.fetch(_ACCOUNT if unsaid else self._account_and_people(chosen), identifier)
        if not rows:
            return None
        first = rows[0]
        by_id = {clinic.id: clinic for clinic in clinics}
        people = []
        for row in () if unsaid else rows:
            clinic = chosen or by_id.get(row["clinica_id"])
            if row["activo"] and row["rol"] and clinic is not None and clinic.active:
                people.append((_usuario(row, clinic), clinic))
        return Account(
            password=first["password"],
            active=first["is_active"],
            shared=first["sharing"] > 1,
            superuser=_superuser(first) if first["is_superuser"] and first["platform"] else None,
            people=tuple(people),
            clinic_unsaid=unsaid,
        )

    async def in_any_clinic(self, correo: str) -> bool:
        """Whether a clinic has a person of that e-mail, active or not. Raises DatabaseError."""
        schemas = ["public"]
        if self._tenancy.kind == "schema":
            schemas = [clinic.schema for clinic in await self._directory.clinics() if clinic.schema is not None]
        async with self._connect(None) as connection:
            rows = await connection.fetch(
                "SELECT name FROM unnest($1::text[]) AS name"
                " WHERE to_regclass(quote_ident(name) || '.usuario') IS NOT NULL",
                schemas,
            )
            tables = [
                f"EXISTS (SELECT FROM {quote(name)}.usuario WHERE lower(correoelectronico) = lower($1))"
                for (name,) in rows
            ]
            return bool(tables) and bool(await connection.fetchval(f"SELECT {' OR '.join(tables)}", correo))

    async def person(self, usuario: str | None, *, clinica_id: int) -> Usuario | None:
        """The clinic's person with that codigo, active or not; None where there is nobody.

        Raises ClinicNotFound, DatabaseError.
        """
        if usuario is None or not _is_codigo(usuario):
            return None
        clinic = await self._directory.clinic(clinica_id)
        # Other systems than Django's may share the database, and their people are called something else.
        with suppress(LoginUnavailable):
            async with self._connect(clinic) as connection:
                row = await connection.fetchrow(
                    f"SELECT {_PERSON} FROM {_people_of(clinic)} AS u"
                    f" WHERE u.codigo = $1::bigint{self._whose(clinic)} LIMIT 1",
                    int(usuario),
                )
                return None if row is None else _usuario(row, clinic)
        return None

    async def standing(self, usuario: str, *, clinica_id: int) -> Standing | None:
        """How the clinic's person with that codigo stands today; None where there is nobody.

        Raises ClinicNotFound, LoginUnavailable where there is no table of people, DatabaseError.
        """
        if not _is_codigo(usuario):
            return None
        clinic = await self._directory.clinic(clinica_id)
        async with self._connect(clinic) as connection:
            row = await connection.fetchrow(
                f"SELECT {_PERSON}, has_table_privilege(to_regclass('auth_user'), 'SELECT') AS logins"
                f" FROM {_people_of(clinic)} AS u WHERE u.codigo = $1::bigint{self._whose(clinic)} LIMIT 1",
                int(usuario),
            )
            if row is None:
                return None
            logins = None
            if row["logins"]:
                found = await connection.fetch(
                    "SELECT password::text, is_active FROM auth_user WHERE email <> '' AND lower(email) = lower($1)",
                    row["correoelectronico"],
                )
                logins = tuple(StoredLogin(*login) for login in found)
        return Standing(row["correoelectronico"] or "", row["rol"], row["activo"], logins)

    async def display_names(self, usuarios: Iterable[str | None], *, clinica_id: int) -> dict[str, str]:
        """First and last names of the clinic's people with those codigos; without those for whom there is nobody.

        What the clinic has changed may show a minute late. Raises ClinicNotFound, DatabaseError.
        """
        codes = {usuario: int(usuario) for usuario in usuarios if usuario is not None and _is_codigo(usuario)}
        now = self._clock()
        known = {code: self._names.get((clinica_id, code), (-math.inf, None)) for code in codes.values()}
        if unread := [code for code, (read, _) in known.items() if now - read >= NAME_SECONDS]:
            found = await self._read_names(unread, clinica_id)
            if len(self._names) + len(unread) > NAMES:
                self._names.clear()
            for code in unread:
                known[code] = self._names[clinica_id, code] = (now, found.get(code))
        return {usuario: name for usuario, code in codes.items() if (name := known[code][1]) is not None}

    async def _read_names(self, codes: list[int], clinica_id: int) -> dict[int, str]:
        clinic = await self._directory.clinic(clinica_id)
        # Other systems than Django's may share the database, and their people are called something else.
        with suppress(LoginUnavailable):
            async with self._connect(clinic) as connection:
                rows = await connection.fetch(
                    "SELECT u.codigo::bigint, nullif(trim(concat_ws(' ', u.nombre, u.apellido)), '')"
                    f" FROM {_people_of(clinic)} AS u WHERE u.codigo = ANY($1::bigint[]){self._whose(clinic)}",
                    codes,
                )
                return {code: name for code, name in rows}
        return {}

    def _whose(self, clinic: Clinic) -> str:
        return f" AND u.{quote(self._tenancy.column)} = {clinic.id:d}" if self._tenancy.kind == "column" else ""

    def _account_and_people(self, clinic: Clinic | None) -> str:
        clinica_id = f"u.{quote(self._tenancy.column)}" if self._tenancy.kind == "column" else "NULL"
        return f"""
            WITH account AS ({_ACCOUNT})
            SELECT account.*, person.* FROM account LEFT JOIN LATERAL (
                SELECT {_PERSON}, {clinica_id}::bigint AS clinica_id FROM {_people_of(clinic)} AS u
                WHERE account.email <> '' AND lower(u.correoelectronico) = lower(account.email)
            ) AS person ON true
            ORDER BY person.clinica_id, person.codigo
        """

    @asynccontextmanager
    async def _connect(self, clinic: Clinic | None) -> AsyncIterator[asyncpg.Connection]:
        # As django-tenants does it: the clinic's own tables come before the shared ones.
        path = ["public"] if clinic is None or clinic.schema is None else [clinic.schema, "public"]
        session = (
            f"SET statement_timeout = '{QUERY_SECONDS}s'; SET row_security = off; SET jit = off;"
            f" SET search_path = {', '.join(map(quote, path))}"
        )
        async with self._free:
            with database_errors(SETTING), _login_errors():
                connection = await asyncpg.connect(
                    self._url, timeout=CONNECT_SECONDS, command_timeout=2 * QUERY_SECONDS
                )
                try:
                    await connection.execute(session)
                    yield connection
                except BaseException:
                    connection.terminate()
                    raise
            # All has been read: that the server does not say goodbye changes nothing.
            with suppress(OSError, asyncpg.PostgresError, asyncpg.InterfaceError):
                await connection.close(timeout=CONNECT_SECONDS)


def _is_codigo(usuario: str) -> bool:
    return usuario.isascii() and usuario.isdigit() and len(usuario) <= 18


def _people_of(clinic: Clinic | None) -> str:
    # Never by the search path: where a clinic's schema has no such table, everybody's would answer for it.
    return f"{quote('public' if clinic is None or clinic.schema is None else clinic.schema)}.usuario"


def pick(clinics: list[Clinic], named: str) -> Clinic | None:
    """The clinic that a person names, by its schema, its id or its name; None where none, or no one, is called so."""
    said = named.strip()
    ways: tuple[Callable[[Clinic], bool], ...] = (
        lambda clinic: clinic.schema == said,
        lambda clinic: (clinic.schema or "").casefold() == said.casefold() != "",
        lambda clinic: str(clinic.id) == said,
        lambda clinic: (clinic.name or "").casefold() == said.casefold() != "",
    )
    for way in ways:
        found = [clinic for clinic in clinics if way(clinic)]
        if found:
            return found[0] if len(found) == 1 else None
    return None


@contextmanager
def _login_errors() -> Iterator[None]:
    """Turn a missing or different table into LoginUnavailable, and a query that took too long."""
    try:
        yield
    except asyncpg.QueryCanceledError as exc:
        raise DatabaseUnavailable(f"la base de datos tarda demasiado en responder ({SETTING})") from exc
    except asyncpg.InsufficientPrivilegeError:
        raise
    except asyncpg.SyntaxOrAccessError as exc:
        raise LoginUnavailable(
            "la base de datos de las clínicas no tiene las tablas con que se ingresa"
            f" (auth_user, usuario, tipodeusuario): {exc}"
        ) from exc


def _usuario(row: asyncpg.Record, clinic: Clinic) -> Usuario:
    return Usuario(
        codigo=row["codigo"],
        nombre=row["nombre"] or "",
        apellido=row["apellido"] or "",
        correoelectronico=row["correoelectronico"],
        idtipousuario=row["idtipousuario"],
        tipo_usuario_nombre=row["rol"],
        clinica_id=clinic.id,
        rol=row["rol"],
    )


def _superuser(row: asyncpg.Record) -> Usuario:
    return Usuario(
        codigo=None,
        nombre=row["first_name"] or "",
        apellido=row["last_name"] or "",
        correoelectronico=row["email"] or row["username"],
        idtipousuario=None,
        tipo_usuario_nombre=SUPERADMIN,
        clinica_id=None,
        rol=SUPERADMIN,
    )
