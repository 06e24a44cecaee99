"""What a restore's transaction has written in every table, held against what it was to write."""

import asyncpg

from app.clinic.catalogue.introspection import TableName
from app.clinic.restore.constraints import Constraints
from app.clinic.restore.difference import Difference
from app.clinic.restore.staged_tables import StagedTable
from app.clinic.restore.triggers import way_out
from app.errors import RestoreRefused

# Triggers write where they like, and so does the action of a foreign key; PostgreSQL counts all of it, but for
# TRUNCATE, which is known by its lock: nothing of ours takes one that keeps readers away. A partition's rows are its
# root's. Temporary tables are ours.
WRITTEN_SQL = """
WITH emptied AS MATERIALIZED (
    SELECT relation FROM pg_locks
    WHERE pid = pg_backend_pid() AND locktype = 'relation' AND mode = 'AccessExclusiveLock'
)
SELECT w.* FROM (
    SELECT n.nspname, t.relname,
           sum(pg_stat_get_xact_tuples_inserted(c.oid))::bigint AS inserted,
           sum(pg_stat_get_xact_tuples_updated(c.oid))::bigint AS updated,
           sum(pg_stat_get_xact_tuples_deleted(c.oid))::bigint AS deleted,
           bool_or(c.oid IN (SELECT relation FROM emptied)) AS emptied
    FROM pg_class c
    JOIN pg_class t ON t.oid = CASE WHEN c.relispartition THEN pg_partition_root(c.oid) ELSE c.oid END
    JOIN pg_namespace n ON n.oid = t.relnamespace
    WHERE c.relkind = 'r' AND c.relpersistence <> 't' AND n.nspname <> 'pg_catalog'
    GROUP BY n.nspname, t.relname
) AS w
WHERE w.inserted + w.updated + w.deleted > 0 OR w.emptied
ORDER BY w.nspname COLLATE "C", w.relname COLLATE "C"
"""

# Where it was no trigger, it was the action of a foreign key on rows that came late: now they can be seen.
TRY_AGAIN = "Vuelva a intentarlo"


async def refuse_unplanned(
    connection: asyncpg.Connection, difference: Difference, constraints: Constraints, *, replica: bool
) -> None:
    """To be asked before COMMIT, when all triggers have acted; `replica` as in `ChangeApplier`.

    Raises RestoreRefused where one more row was written anywhere than the difference has.
    """
    planned: dict[TableName, tuple[int, int, int]] = {}
    partitioned = set()
    for staged in difference.staged_tables:
        deletes, inserts, updates = await difference.count(staged)
        before = planned.get(staged.entry.name, (0, 0, 0))
        planned[staged.entry.name] = (before[0] + inserts, before[1] + updates, before[2] + deletes)
        if staged.entry.table.partitioned:
            partitioned.add(staged.entry.name)
    rows = await connection.fetch(WRITTEN_SQL)
    found = {TableName(schema, name): tuple(counts) for schema, name, *counts, _ in rows}
    emptied = {TableName(schema, name) for schema, name, *_, truncated in rows if truncated}
    more = []
    for name in sorted({*planned, *found}):
        expected, written = planned.get(name, (0, 0, 0)), found.get(name, (0, 0, 0))
        inserts, updates, deletes = (there - here for there, here in zip(written, expected, strict=True))
        if name in partitioned and updates < 0:
            # An update that takes a row to another partition is a delete and an insert.
            inserts, updates, deletes = inserts + updates, 0, deletes + updates
        if name in emptied:
            more.append(f"«{name}» (vaciada)")
            continue
        if min(inserts, updates, deletes) < 0:
            raise RestoreRefused(
                f"PostgreSQL no contó lo que se escribió en «{name}», y sin esa cuenta no se sabe si algo escribió"
                " también en otra parte, así que no se cambió nada: active track_counts"
            )
        acts = ((inserts, "insertados"), (updates, "actualizados"), (deletes, "eliminados"))
        if said := [f"{count:,} {act}" for count, act in acts if count]:
            more.append(f"«{name}» ({', '.join(said)})")
    if more:
        triggers = await acting_triggers(difference, constraints, replica=replica)
        why = f"Disparadores que actuaron: {triggers}. {way_out(replica=replica)}" if triggers else TRY_AGAIN
        raise RestoreRefused(
            "un disparador, o lo que hace una clave foránea, escribió más de lo que se restaura, así que no se cambió"
            f" nada. Registros de más: {', '.join(more)}. {why}"
        )


async def acting_triggers(
    difference: Difference, constraints: Constraints, *, replica: bool, beside: StagedTable | None = None
) -> str:
    """Those of the tables that were written, and of one table `beside`, in words; empty where none acts."""
    found = []
    for staged in difference.staged_tables:
        triggers = constraints.of(staged.entry.name).acting(replica=replica)
        if triggers and (staged is beside or any(await difference.count(staged))):
            found.append(f"{staged.model}: {', '.join(triggers)}")
    return "; ".join(found)
