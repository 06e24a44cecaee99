"""PostgreSQL: roles, rights, migrations."""

import logging
from collections.abc import Sequence

from app.clinic.catalogue.sql import quote
from app.clinic.database import ClinicDatabase
from app.clinic.rights import RoleRights
from app.connections.databases import clinic_database
from app.connections.resources import record_labels, restore_database, secret_columns
from app.diagnostics.finding import Finding, good, warning, wrong
from app.errors import DatabaseError, SettingsError
from app.migrate import schema_state
from app.settings import Settings

log = logging.getLogger(__name__)

# Of what is the same of many tables, as many are named (the grants are for all of them).
NAMED = 5


async def service(settings: Settings) -> list[Finding]:
    """The service's own schema: whether it is there and at head, and whether the role may do all with it."""
    subject = "base del servicio"
    if settings.database_url is None:
        raise SettingsError("DATABASE_URL: falta")
    state = await schema_state(settings.database_url.get_secret_value())
    lacking = [
        wrong(subject, f"el rol «{state.role}» no puede todo en «{name}»", statement)
        for name, statement in state.lacking
    ]
    if state.current is None and lacking:
        return lacking
    if state.current is None:
        return [wrong(subject, "falta el esquema «respaldos»", "respaldos migrar")]
    if state.newer:
        said = f"el esquema «respaldos» está en «{state.current}», que este programa no conoce: es de uno más nuevo"
        return [wrong(subject, said, "actualice este programa")]
    if state.current != state.head:
        said = f"las migraciones están en {state.current}, y van por {state.head}"
        return [*lacking, wrong(subject, said, "respaldos migrar")]
    return [good(subject, f"las migraciones están al día ({state.head})"), *lacking]


async def reader(settings: Settings) -> list[Finding]:
    """Whether backups can read every table; what is wrong with OWNERSHIP_RULES and RECORD_LABELS, too."""
    database = clinic_database(settings)
    rights = await database.rights()
    found = _lacking("rol que lee", rights, "lee todas las tablas del catálogo")
    found += [wrong("reglas", problem, "respaldos catalogo") for problem in await database.problems()]
    labels = await database.label_problems(secret_columns(settings), record_labels(settings))
    return [*found, *(wrong("nombres", problem, "respaldos catalogo") for problem in labels)]


async def refuse_wrong_labels(settings: Settings, database: ClinicDatabase) -> None:
    """Raise SettingsError where RECORD_LABELS names what there is not, if the database can be asked just now."""
    if not settings.record_labels:
        return
    try:
        problems = await database.label_problems(secret_columns(settings), record_labels(settings))
    except DatabaseError as exc:
        log.warning("no se supo si RECORD_LABELS vale: %s", exc.for_log)
        return
    if problems:
        raise SettingsError("; ".join(problems))


async def writer(settings: Settings) -> list[Finding]:
    """Whether restores and trials can write every table, and are not taken back for a trigger."""
    subject = "rol que restaura"
    rights = await restore_database(settings).rights()
    found = _lacking(subject, rights, "escribe todas las tablas que una restauración escribe")
    if settings.clinic_restore_database_url is None and (rights.lacking or rights.of_database):
        # No right is for the role that reads.
        return [
            wrong(
                subject,
                f"falta CLINIC_RESTORE_DATABASE_URL: se restauraría con «{rights.role}», que no puede escribir",
                "haga el tercer rol del README, y dé su dirección en CLINIC_RESTORE_DATABASE_URL",
            )
        ]
    if rights.acting and settings.restore_disable_triggers:
        owned = [
            f"ALTER TABLE {quote(table.schema)}.{quote(table.name)} OWNER TO {quote(rights.role)};"
            for table in rights.acting
        ]
        said = f"con RESTORE_DISABLE_TRIGGERS, «{rights.role}» debe ser dueño de {_named(rights.acting)}"
        found.append(wrong(subject, said, "\n".join(owned)))
    elif rights.acting:
        said = f"no puede apagar los disparadores de {_named(rights.acting)}: una restauración puede ser rechazada"
        remedy = f'GRANT SET ON PARAMETER session_replication_role TO "{rights.role}"; (PostgreSQL 15 o más nuevo)'
        found.append(warning(subject, said, remedy))
    return found


def _lacking(subject: str, rights: RoleRights, otherwise: str) -> list[Finding]:
    said = []
    if rights.of_database:
        said.append(f"{', '.join(rights.of_database)} en la base «{rights.database}»")
    if rights.lacking:
        said.append(", ".join(map(str, rights.lacking[:NAMED])))
        if len(rights.lacking) > NAMED:
            said.append(f"y {len(rights.lacking) - NAMED:,} permisos más")
    if rights.hidden:
        said.append(f"BYPASSRLS, porque una política oculta registros de {_named(rights.hidden)}")
    if not said:
        return [good(subject, f"«{rights.role}» {otherwise}")]
    return [wrong(subject, f"a «{rights.role}» le falta {'; '.join(said)}", "\n".join(rights.grants()))]


def _named(tables: Sequence[object]) -> str:
    more = f" y {len(tables) - NAMED:,} tablas más" if len(tables) > NAMED else ""
    return ", ".join(f"«{table}»" for table in tables[:NAMED]) + more
