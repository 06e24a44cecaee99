"""Makes the sample in a PostgreSQL database, with a connection that the caller opened and will close.

Nothing that is there is changed or dropped. Each call is one transaction: all that it makes, or nothing.
"""

import asyncio
import json
from base64 import b64encode
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta
from decimal import Decimal
from functools import cache
from hashlib import pbkdf2_hmac
from io import BytesIO
from typing import Final, TypeAlias

import asyncpg

from app.demo.sample.clinics import (
    DEMO_CLINICS,
    DEMO_PASSWORD,
    SampleClinic,
    SampleLogin,
    logins,
    numbered_clinics,
)
from app.demo.sample.grown_rows import SHARED_LOGIN, GrownOptions, GrownRows, shares_login
from app.demo.sample.grown_schema import GROWN_BY_NAME, GROWN_OWNED, grown_tables
from app.demo.sample.rows import Batch, ClinicRows, rows_without_clinic
from app.demo.sample.schema import (
    BY_NAME,
    MIGRATIONS,
    OWNED,
    Table,
    column_tenancy,
    create_together,
    keys_to_later_tables,
    loaded_columns,
    platform,
    quoted,
    tenant,
)
from app.demo.sample.wording import SERVICES
from app.errors import DatabaseError, DatabaseUnavailable

__all__ = [
    "DEMO_CLINICS",
    "DEMO_PASSWORD",
    "PLATFORM_ID",
    "Connection",
    "GrownOptions",
    "GrownSample",
    "SampleClinic",
    "SampleLogin",
    "create_grown_schema",
    "create_schema",
    "create_tenant_schema",
    "fill",
    "fill_grown",
    "logins",
    "numbered_clinics",
    "rows_without_clinic",
]

Connection: TypeAlias = "asyncpg.Connection[asyncpg.Record]"

_GONE: Final = (
    asyncpg.PostgresConnectionError,
    asyncpg.AdminShutdownError,
    asyncpg.CrashShutdownError,
    asyncpg.InterfaceError,
    OSError,
)

# In schema tenancy, the row of `clinica` whose schema is `public`: the platform, which is nobody's clinic.
PLATFORM_ID: Final = 9999

# Django 4.2's count: a quarter of a second. Newer ones take twice that, at every login of the tests.
_ITERATIONS: Final = 600_000
_SALT: Final = "MuestraDeRespaldos1234"
_SINCE: Final = datetime(2015, 7, 1, 12, tzinfo=UTC)

_ROLES = (
    ("Administrador", "Todo en su clínica"),
    ("Odontólogo", "Atiende pacientes"),
    ("Recepcionista", "Agenda y cobra"),
    ("Paciente", "Ve lo suyo"),
)
_MIGRATION_NAMES = (
    ("contenttypes", "0001_initial"),
    ("auth", "0001_initial"),
    ("clinicas", "0001_initial"),
    ("usuarios", "0001_initial"),
    ("consultas", "0001_initial"),
    ("facturacion", "0001_initial"),
    ("facturacion", "0002_pago_en_linea"),
    ("usuarios", "0002_clinica_id"),
)


async def create_schema(conn: Connection, schema: str = "public") -> None:
    """Make every table of column tenancy, empty but for the shared ones, in `schema` (made if need be).

    Raises DatabaseError where one of the tables is there already, DatabaseUnavailable if the connection is
    lost.
    """
    async with _transaction(conn):
        await conn.execute(f"CREATE SCHEMA IF NOT EXISTS {quoted(schema)}")
        await _refuse_existing(conn, schema)
        await conn.execute(";\n".join(column_tenancy(schema)))
        await _fill_shared(conn, schema)
        await _fill_migrations(conn, schema)


async def fill(
    conn: Connection,
    clinics: Iterable[SampleClinic],
    seed: int = 1,
    *,
    schema: str = "public",
    progress: Callable[[int], None] = lambda _: None,
) -> dict[str, int]:
    """Add clinics, with all their rows and logins, to what `create_schema` made; gives the rows per table.

    Same seed, same clinics, same order: same rows. `progress` is told how many rows each step has added.
    Memory does not grow with the clinics. Raises DatabaseError where the tables are missing or a clinic is
    there already, DatabaseUnavailable if the connection is lost.
    """
    wanted = list(clinics)
    added: Counter[str] = Counter()
    async with _transaction(conn):
        if not await _has(conn, schema, "clinica"):
            raise DatabaseError(f"El esquema «{schema}» no tiene la tabla «clinica»: hay que crearla antes")
        await _refuse_existing_clinics(conn, schema, wanted)
        keys = await _first_keys(conn, schema)
        for clinic in wanted:
            added["clinica"] += await _insert_clinic(conn, schema, clinic)
            rows = ClinicRows(clinic, seed, keys, tenant_column=True)
            added += await _load(conn, schema, rows, tenant_column=True, progress=progress)
            keys = dict(rows.next_keys)
        added["auth_user"] += await _insert_logins(conn, schema, logins(wanted))
        await _finish(conn, schema, ("clinica", "auth_user", *(table.name for table in OWNED)))
    return dict(added)


async def create_tenant_schema(
    conn: Connection,
    clinic: SampleClinic,
    seed: int = 1,
    *,
    progress: Callable[[int], None] = lambda _: None,
) -> dict[str, int]:
    """Add a clinic with a schema of its own, named `clinica{id}`; gives the rows added per table.

    As django-tenants does: the same tables without tenant column, while the shared ones, `clinica` and
    `auth_user` are in `public`, where the first call makes them, with PLATFORM_ID's entry for the platform
    itself. `django_migrations` is in each schema, and is not counted in the clinic's `records`. Raises
    DatabaseError where `public` has the tables of column tenancy or the clinic is there already,
    DatabaseUnavailable if the connection is lost.
    """
    schema = f"clinica{clinic.id}"
    added: Counter[str] = Counter()
    async with _transaction(conn):
        if not await _has(conn, "public", "clinica"):
            await _create_platform(conn)
        elif not await _has(conn, "public", "clinica", "schema_name"):
            raise DatabaseError("La tabla «clinica» no tiene schema_name: la base no separa por esquemas")
        await _refuse_existing_clinics(conn, "public", [clinic])
        if await conn.fetchval("SELECT to_regnamespace($1) IS NOT NULL", quoted(schema)):
            raise DatabaseError(f"Ya existe el esquema «{schema}»: no se ha cambiado nada")
        await conn.execute(";\n".join(tenant(schema)))
        added["django_migrations"] += await _fill_migrations(conn, schema)
        added["clinica"] += await _insert_clinic(conn, "public", clinic, schema_name=schema)
        keys = {table.name: 1 for table in OWNED if table.numbered}
        rows = ClinicRows(clinic, seed, keys, tenant_column=False)
        added += await _load(conn, schema, rows, tenant_column=False, progress=progress)
        added["auth_user"] += await _insert_logins(conn, "public", logins([clinic]))
        await _finish(conn, "public", ("clinica", "auth_user"))
        await _finish(conn, schema, tuple(table.name for table in OWNED))
    return dict(added)


@dataclass(frozen=True, slots=True)
class GrownSample:
    """What `fill_grown` has made.

    `added` counts the rows of each table. `keys` says whose they are, without asking any column: by clinic and
    table, the range of the primary key's first column. What is in none of them is nobody's.
    """

    added: dict[str, int]
    keys: dict[int, dict[str, range]]


async def create_grown_schema(conn: Connection, schema: str = "public", *, tenant_not_null: bool = False) -> None:
    """Make the tables of the grown schema (see `grown_schema`), empty but for the shared ones.

    With `tenant_not_null`, which only a null fraction of 0 without orphans fits, no tenant column may be NULL.
    Raises as `create_schema`.
    """
    async with _transaction(conn):
        await conn.execute(f"CREATE SCHEMA IF NOT EXISTS {quoted(schema)}")
        await _refuse_existing(conn, schema, GROWN_BY_NAME)
        await conn.execute(";\n".join(create_together(grown_tables(tenant_not_null=tenant_not_null), schema)))
        await _fill_shared(conn, schema)
        await _fill_migrations(conn, schema)
        await _fill_permissions(conn, schema)


async def fill_grown(
    conn: Connection,
    clinics: Iterable[SampleClinic],
    seed: int = 1,
    options: GrownOptions = GrownOptions(),  # noqa: B008
    *,
    schema: str = "public",
    progress: Callable[[int], None] = lambda _: None,
) -> GrownSample:
    """Add clinics to what `create_grown_schema` made, as `fill` does.

    A clinic has a row in every table from 120 records on. Same seed, same clinics: the same rows, but for the
    NULLs and keys that `options` asks for. Raises as `fill`.
    """
    wanted = list(clinics)
    added: Counter[str] = Counter()
    owned: dict[int, dict[str, range]] = {}
    elsewhere: dict[str, int] = {}
    async with _transaction(conn):
        if not await _has(conn, schema, "area"):
            raise DatabaseError(f"El esquema «{schema}» no tiene la tabla «area»: hay que crearla antes")
        await _refuse_existing_clinics(conn, schema, wanted)
        keys = await _first_keys(conn, schema, GROWN_OWNED)
        cycles = tuple(keys_to_later_tables(GROWN_OWNED, schema))
        for clinic in wanted:
            added["clinica"] += await _insert_clinic(conn, schema, clinic)
            rows = GrownRows(clinic, seed, keys, options, elsewhere)
            added += await _load(
                conn, schema, rows, GROWN_BY_NAME, tenant_column=True, deferred=cycles, progress=progress
            )
            owned[clinic.id] = {
                table.name: range(keys[_numbered_by(table)], rows.next_keys[_numbered_by(table)])
                for table in GROWN_OWNED
            }
            keys = dict(rows.next_keys)
            elsewhere = rows.last_keys or elsewhere
        if options.orphans:
            nobody = GrownRows(SampleClinic(0, "", 1), seed, keys, options, {})
            added += await _copy(conn, schema, nobody.orphans(options.orphans), GROWN_BY_NAME, tenant_column=True)
        people = list(logins(wanted))
        if any(shares_login(clinic) for clinic in wanted):
            people.append(SHARED_LOGIN)
        added["auth_user"] += await _insert_logins(conn, schema, people)
        await _let_in(conn, schema, people)
        await _finish(conn, schema, ("clinica", "auth_user", *(table.name for table in GROWN_OWNED)))
    return GrownSample(dict(added), owned)


def _numbered_by(table: Table) -> str:
    """The table whose sequence a table's first column comes from: a patient's key is that of a user."""
    while not table.numbered:
        table = GROWN_BY_NAME[table.columns[0].references or ""]
    return table.name


@asynccontextmanager
async def _transaction(conn: Connection) -> AsyncIterator[None]:
    try:
        async with conn.transaction():
            yield
    except _GONE as exc:
        raise DatabaseUnavailable(f"Se perdió la conexión con PostgreSQL: {exc}") from exc
    except asyncpg.PostgresError as exc:
        raise DatabaseError(f"PostgreSQL no aceptó los datos de muestra: {exc}") from exc


async def _has(conn: Connection, schema: str, table: str, column: str | None = None) -> bool:
    found: bool = await conn.fetchval(
        """
        SELECT EXISTS (
            SELECT FROM pg_class AS c JOIN pg_attribute AS a ON a.attrelid = c.oid
            WHERE c.relnamespace = to_regnamespace($1) AND c.relname = $2
            AND a.attname = coalesce($3, a.attname))
        """,
        quoted(schema),
        table,
        column,
    )
    return found


async def _refuse_existing(conn: Connection, schema: str, tables: Mapping[str, Table] = BY_NAME) -> None:
    taken = await conn.fetchval(
        "SELECT min(relname::text) FROM pg_class"
        " WHERE relnamespace = to_regnamespace($1) AND relname = ANY($2::text[])",
        quoted(schema),
        list(tables),
    )
    if taken is not None:
        raise DatabaseError(f"El esquema «{schema}» ya tiene la tabla «{taken}»: no se ha cambiado nada")


async def _refuse_existing_clinics(conn: Connection, schema: str, clinics: list[SampleClinic]) -> None:
    """Also keeps another filling out until the end of the transaction: both would take the same keys."""
    await conn.execute(f"LOCK TABLE {quoted(schema)}.clinica IN SHARE ROW EXCLUSIVE MODE")
    taken = await conn.fetchval(
        f"SELECT min(id) FROM {quoted(schema)}.clinica WHERE id = ANY($1::bigint[])",  # noqa: S608
        [clinic.id for clinic in clinics],
    )
    if taken is not None:
        raise DatabaseError(f"Ya existe la clínica {taken}: no se ha cambiado nada")


async def _create_platform(conn: Connection) -> None:
    await _refuse_existing(conn, "public")
    await conn.execute(";\n".join(platform()))
    await _fill_shared(conn, "public")
    await _fill_migrations(conn, "public")
    itself = SampleClinic(PLATFORM_ID, "Plataforma", 1)
    await _insert_clinic(conn, "public", itself, schema_name="public")


async def _fill_shared(conn: Connection, schema: str) -> None:
    """The rows that Django's data migrations make, with the keys that `rows` points at."""
    services = [
        (name, f"{name}. Precio de lista.", Decimal(price) / 100, timedelta(minutes=minutes), True)
        for name, price, minutes in SERVICES
    ]
    hours = [(time(8 + slot // 2, slot % 2 * 30),) for slot in range(24)]
    shared: dict[str, list[tuple[object, ...]]] = {
        "tipodeusuario": list(_ROLES),
        "estadodefactura": [(state,) for state in ("Pagada", "Pendiente", "Pago parcial", "Anulada")],
        "tipopago": [(kind,) for kind in ("Efectivo", "Transferencia", "Tarjeta", "QR", "En línea")],
        "horario": list(hours),
        "servicio": list(services),
        "tipodeconsulta": [(kind,) for kind in ("Primera vez", "Control", "Tratamiento", "Urgencia", "Seguimiento")],
        "estadodeconsulta": [
            (state,) for state in ("Programada", "Confirmada", "Atendida", "Cancelada", "No asistió")
        ],
    }
    for name, rows in shared.items():
        records = [(key, *row) for key, row in enumerate(rows, 1)]
        await conn.copy_records_to_table(name, schema_name=schema, records=records)
    await _finish(conn, schema, tuple(shared))


async def _fill_migrations(conn: Connection, schema: str) -> int:
    records = [(key, app, name, _SINCE + timedelta(days=key)) for key, (app, name) in enumerate(_MIGRATION_NAMES, 1)]
    await conn.copy_records_to_table(MIGRATIONS.name, schema_name=schema, records=records)
    await _finish(conn, schema, (MIGRATIONS.name,))
    return len(records)


async def _fill_permissions(conn: Connection, schema: str) -> None:
    """The rows that Django makes for its own tables when it migrates, and a few sessions."""
    place = quoted(schema)
    roles = [role for role, _ in _ROLES]
    await conn.copy_records_to_table(
        "auth_group", schema_name=schema, records=[(key, role) for key, role in enumerate(roles, 1)]
    )
    kinds = [(key, "clinica", table.name) for key, table in enumerate(GROWN_OWNED, 1)]
    await conn.copy_records_to_table("django_content_type", schema_name=schema, records=kinds)
    permissions = [
        (4 * key + at, f"Can {verb} {name}", key, f"{verb}_{name}")
        for key, _, name in kinds
        for at, verb in enumerate(("add", "change", "delete", "view"), -3)
    ]
    await conn.copy_records_to_table("auth_permission", schema_name=schema, records=permissions)
    await conn.execute(
        f"""
        INSERT INTO {place}.django_session
        SELECT left(encode(sha256(n::text::bytea), 'hex'), 32), 'e30:' || n, $1::timestamptz + n * interval '1 day'
        FROM generate_series(1, 20) AS n
        """,  # noqa: S608
        _SINCE,
    )
    await _finish(conn, schema, ("auth_group", "django_content_type", "auth_permission", "django_session"))


async def _let_in(conn: Connection, schema: str, people: Iterable[SampleLogin]) -> None:
    """Group and token of those who log in."""
    place = quoted(schema)
    known = {login.email: login.rol for login in people}
    await conn.execute(
        f"""
        INSERT INTO {place}.auth_user_groups (user_id, group_id)
        SELECT u.id, g.id FROM unnest($1::text[], $2::text[]) AS who(email, rol)
        JOIN {place}.auth_user AS u USING (email) JOIN {place}.auth_group AS g ON g.name = who.rol
        ORDER BY u.id ON CONFLICT DO NOTHING
        """,  # noqa: S608
        list(known),
        list(known.values()),
    )
    await conn.execute(
        f"""
        INSERT INTO {place}.authtoken_token
        SELECT left(encode(sha256(username::bytea), 'hex'), 40), $1, id FROM {place}.auth_user
        ON CONFLICT DO NOTHING
        """,  # noqa: S608
        _SINCE,
    )
    await _finish(conn, schema, ("auth_user_groups", "authtoken_token"))


async def _first_keys(conn: Connection, schema: str, tables: Iterable[Table] = OWNED) -> dict[str, int]:
    keys = {}
    for table in tables:
        if table.numbered:
            place = f"{quoted(schema)}.{table.name}"
            keys[table.name] = await conn.fetchval(f"SELECT coalesce(max({table.key}), 0) + 1 FROM {place}")  # noqa: S608
    return keys


async def _insert_clinic(
    conn: Connection, schema: str, clinic: SampleClinic, *, schema_name: str | None = None
) -> int:
    columns: dict[str, object] = {
        "id": clinic.id,
        "nombre": clinic.nombre,
        "ciudad": clinic.ciudad,
        "direccion": f"Av. Principal n.º {100 + clinic.id}, {clinic.ciudad}",
        "telefono": f"+591 {3_000_000 + clinic.id}",
        "admin_email": f"admin@{clinic.domain}",
        "activa": clinic.activa,
        "fecha_alta": _SINCE,
        "configuracion": json.dumps({"moneda": "BOB", "recordatorios": [24, 2], "logo": None}),
    }
    if schema_name is not None:
        columns["schema_name"] = schema_name
    values = ", ".join(f"${number}" for number in range(1, len(columns) + 1))
    await conn.execute(
        f"INSERT INTO {quoted(schema)}.clinica ({', '.join(columns)}) VALUES ({values})",  # noqa: S608
        *columns.values(),
    )
    return 1


async def _insert_logins(conn: Connection, schema: str, people: Iterable[SampleLogin]) -> int:
    """The people who are not there yet: the superuser may be, from an earlier call."""
    inserted = 0
    for login in people:
        status = await conn.execute(
            f"""
            INSERT INTO {quoted(schema)}.auth_user (password, is_superuser, username, first_name, last_name,
                email, is_staff, is_active, date_joined)
            VALUES ($1, $2, $3, $4, $5, $6, $2, true, $7)
            ON CONFLICT (username) DO NOTHING
            """,  # noqa: S608
            _password_hash(),
            login.superuser,
            login.email.removesuffix(".example").replace("@", "."),
            login.nombre,
            login.apellido,
            login.email,
            _SINCE,
        )
        inserted += int(status.rpartition(" ")[2])
    return inserted


@cache
def _password_hash() -> str:
    """DEMO_PASSWORD as Django stores it; one hash serves everybody, since it takes a quarter of a second."""
    digest = pbkdf2_hmac("sha256", DEMO_PASSWORD.encode(), _SALT.encode(), _ITERATIONS)
    return f"pbkdf2_sha256${_ITERATIONS}${_SALT}${b64encode(digest).decode()}"


async def _load(
    conn: Connection,
    schema: str,
    rows: ClinicRows,
    tables: Mapping[str, Table] = BY_NAME,
    *,
    tenant_column: bool,
    deferred: tuple[str, ...] = (),
    progress: Callable[[int], None],
) -> Counter[str]:
    """Load every batch, while a thread makes the next one; foreign keys are checked at once but for `deferred`."""
    added: Counter[str] = Counter()
    # Dropping constraints and indexes for the load would save a quarter of the time, and lock others out.
    # Deferred checks of a million rows would wait in the server's memory until the end.
    await conn.execute("SET CONSTRAINTS ALL IMMEDIATE")
    if deferred:
        await conn.execute(f"SET CONSTRAINTS {', '.join(deferred)} DEFERRED")
    batches = rows.batches()
    batch = await asyncio.to_thread(next, batches, None)
    while batch is not None:
        following = asyncio.create_task(asyncio.to_thread(next, batches, None))
        try:
            counts = await _copy(conn, schema, batch, tables, tenant_column=tenant_column)
        finally:
            # The thread cannot be stopped, and nobody else may hear of what it raises.
            batch = await following
        added += counts
        progress(counts.total())
    await conn.execute("SET CONSTRAINTS ALL DEFERRED")
    return added


async def _copy(
    conn: Connection, schema: str, batch: Batch, tables: Mapping[str, Table], *, tenant_column: bool
) -> Counter[str]:
    counts: Counter[str] = Counter()
    for name, lines in batch.items():
        status = await conn.copy_to_table(
            name,
            schema_name=schema,
            columns=loaded_columns(tables[name], tenant_column),
            source=BytesIO(lines),
            encoding="utf8",
        )
        counts[name] += int(status.rpartition(" ")[2])
    return counts


async def _finish(conn: Connection, schema: str, tables: tuple[str, ...]) -> None:
    """Sequences past what was loaded, and statistics for the planner, which knows nothing of new tables."""
    for name in tables:
        table = GROWN_BY_NAME[name]
        place = f"{quoted(schema)}.{name}"
        if table.numbered:
            await conn.execute(
                f"SELECT setval(pg_get_serial_sequence($1, $2), max({table.key})) FROM {place}"  # noqa: S608
                f" HAVING max({table.key}) IS NOT NULL",
                place,
                table.key,
            )
        await conn.execute(f"ANALYZE {place}")
