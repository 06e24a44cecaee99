"""Triggers of the tables that are written, disabled by the tables' owner until their rows are written."""

from collections.abc import Sequence

import asyncpg

from app.clinic.catalogue.introspection import TableName
from app.clinic.catalogue.sql import quote
from app.clinic.restore.conflicts import GRANT
from app.clinic.restore.constraints import states
from app.errors import OperationInProgress, RestoreRefused

# Held, until its transaction ends, by the one restore that may disable triggers.
DISABLING_CLASS = 0x7265_7372

# Each partition has its own of a trigger, in a state of its own. A table comes before its partitions, and tables come
# in the order in which every restore locks them.
ACTING_SQL = """
SELECT format('%I.%I', n.nspname, c.relname) AS "table", quote_ident(g.tgname) AS "trigger",
       g.tgenabled::text AS enabled, pg_get_userbyid(c.relowner)::text AS owner, current_user::text AS role,
       pg_has_role(c.relowner, 'USAGE') AS owned
FROM pg_trigger g JOIN pg_class c ON c.oid = g.tgrelid JOIN pg_namespace n ON n.oid = c.relnamespace
JOIN pg_class r ON r.oid = CASE WHEN c.relispartition THEN pg_partition_root(c.oid)::oid ELSE c.oid END
JOIN pg_namespace rn ON rn.oid = r.relnamespace
WHERE NOT g.tgisinternal AND g.tgenabled::text = ANY ($1::text[])
  AND r.oid IN (SELECT name::regclass::oid FROM unnest($2::text[]) AS given(name))
ORDER BY rn.nspname COLLATE "C", r.relname COLLATE "C", c.relispartition, 1, 2
"""

# How ALTER TABLE says what pg_trigger.tgenabled does.
ENABLE = {"O": "ENABLE", "R": "ENABLE REPLICA", "A": "ENABLE ALWAYS"}


def way_out(*, replica: bool) -> str:
    """How the clinic can be restored although triggers act."""
    owner = (
        "con --sin-disparadores (RESTORE_DISABLE_TRIGGERS) se deshabilitan, si quien restaura es dueño de la tabla"
    )
    if replica:
        return f"Para restaurar sin ellos: {owner}"
    return f"Para restaurar sin ellos: con {GRANT}, el usuario que restaura los apaga; o {owner}"


async def wait_to_disable(connection: asyncpg.Connection) -> None:
    """Wait, as for any lock, until no other restore disables triggers; to be done before any table is locked.

    Each locks its tables as whoever writes them does, until it is certain what has to be written, and only then keeps
    others from writing: two at once would wait for each other. Raises OperationInProgress.
    """
    try:
        await connection.execute(f"SELECT pg_advisory_xact_lock({DISABLING_CLASS}, 0)")
    except asyncpg.LockNotAvailableError as exc:
        raise OperationInProgress(
            "otra restauración tiene deshabilitados disparadores, y dos a la vez se estorbarían: vuelva a intentarlo"
            " cuando termine"
        ) from exc


async def disable_triggers(
    connection: asyncpg.Connection, tables: Sequence[TableName], *, replica: bool
) -> list[str]:
    """Disable all that would act on these tables; returns the statements that put them back as they are now.

    Nobody else can write the tables until the transaction ends. `replica` as in `ChangeApplier`. Raises
    RestoreRefused where the tables are somebody else's.
    """
    names = [f"{quote(table.schema)}.{quote(table.name)}" for table in tables]
    found = await connection.fetch(ACTING_SQL, list(states(replica=replica)), names)
    for each in found:
        if not each["owned"]:
            raise RestoreRefused(
                f"los disparadores de «{each['table']}» solo los deshabilita su dueño, «{each['owner']}», y no"
                f" «{each['role']}», con que se restaura: póngala a su nombre, o déle ese rol"
                f" (GRANT {each['owner']} TO {each['role']})"
            )
    # Without ONLY all partitions would get the state of the table above them.
    for each in found:
        await connection.execute(f"ALTER TABLE ONLY {each['table']} DISABLE TRIGGER {each['trigger']}")
    return [f"ALTER TABLE ONLY {each['table']} {ENABLE[each['enabled']]} TRIGGER {each['trigger']}" for each in found]
