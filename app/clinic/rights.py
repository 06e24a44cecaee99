"""What a role lacks of what it is to do with the clinics' tables."""

from collections import defaultdict
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field

import asyncpg

from app.clinic.catalogue.introspection import TableName
from app.clinic.catalogue.sql import quote

# Of a schema its USAGE, where the name is missing. A row is locked, too, by whoever may update one of its table's
# columns. Not by casts to regclass, which fail where the schema is closed.
LACKING_SQL = """
SELECT needed.schema, needed.name, needed."right", coalesce(c.relkind = 'S', false) AS sequence
FROM (SELECT DISTINCT * FROM unnest($1::text[], $2::text[], $3::text[]) AS given(schema, name, "right")) AS needed
JOIN pg_namespace AS n ON n.nspname = needed.schema
LEFT JOIN pg_class AS c ON c.relnamespace = n.oid AND c.relname = needed.name
WHERE NOT CASE WHEN needed.name IS NULL THEN has_schema_privilege(n.oid, needed."right")
               WHEN needed."right" = 'UPDATE' AND c.relkind <> 'S' THEN has_any_column_privilege(c.oid, 'UPDATE')
               ELSE has_table_privilege(c.oid, needed."right") END
ORDER BY needed.schema, needed.name NULLS FIRST, needed."right"
"""

# Rights asked about by one statement: thousands of clinics may have a schema each.
AT_ONCE = 20_000

# Where a role lacks the reading of more tables of a schema, one line for all of them. To write is for none but those.
ONE_BY_ONE = 8


@dataclass(frozen=True, slots=True)
class Needed:
    """A right on a table or a sequence or, without a name, on the schema."""

    schema: str
    name: str | None
    right: str
    sequence: bool = False

    @property
    def table(self) -> TableName:
        """The table or the sequence; without a name, that of none."""
        return TableName(self.schema, self.name or "")

    def __str__(self) -> str:
        return f"{self.right} en «{self.table if self.name is not None else self.schema}»"


def needed_on(table: TableName, *rights: str) -> list[Needed]:
    """Those rights on a table or a sequence."""
    return [Needed(table.schema, table.name, right) for right in rights]


async def lacking(connection: asyncpg.Connection, needed: Sequence[Needed]) -> list[Needed]:
    """Which of them the connection's role does not have; what is not there is not lacked."""
    found: list[Needed] = []
    for first in range(0, len(needed), AT_ONCE):
        some = needed[first : first + AT_ONCE]
        columns = [each.schema for each in some], [each.name for each in some], [each.right for each in some]
        found += [Needed(*row) for row in await connection.fetch(LACKING_SQL, *columns)]
    return found


async def may_switch_off_triggers(connection: asyncpg.Connection) -> bool:
    """Whether the role may switch triggers off for its session, which is left as it was."""
    try:
        await connection.execute("SET session_replication_role = replica")
    except asyncpg.InsufficientPrivilegeError:
        return False
    await connection.execute("SET session_replication_role = origin")
    return True


@dataclass(frozen=True, slots=True)
class RoleRights:
    """What a role is, and what it lacks.

    `of_database` are rights on the database itself; `hidden` the tables of which a row-level policy hides rows.
    `acting` have triggers that act while a clinic is restored, since the role can neither switch them off for its
    session nor, where that is what it is to do, disable them as their owner.
    """

    role: str
    database: str
    lacking: list[Needed]
    of_database: list[str] = field(default_factory=list)
    hidden: list[TableName] = field(default_factory=list)
    acting: list[TableName] = field(default_factory=list)

    def grants(self) -> list[str]:
        """The statements that give it what it lacks, for a superuser or the owner of the tables."""
        to = f"TO {quote(self.role)};"
        statements = []
        if self.of_database:
            statements.append(f"GRANT {', '.join(self.of_database)} ON DATABASE {quote(self.database)} {to}")
        rights: dict[tuple[str, str | None, bool], list[str]] = defaultdict(list)
        for each in self.lacking:
            rights[each.schema, each.name, each.sequence].append(each.right)
        alike: dict[tuple[str, bool, str], list[str]] = defaultdict(list)
        for (schema, name, sequence), some in rights.items():
            if name is None:
                statements.append(f"GRANT USAGE ON SCHEMA {quote(schema)} {to}")
            else:
                alike[schema, sequence, ", ".join(some)].append(name)
        for (schema, sequence, several), names in alike.items():
            kind = "SEQUENCE" if sequence else "TABLE"
            where = _list(kind, schema, names)
            if several == "SELECT" and len(names) > ONE_BY_ONE:
                where = f"ALL {kind}S IN SCHEMA {quote(schema)}"
            statements.append(f"GRANT {several} ON {where} {to}")
        if self.hidden:
            statements.append(f"ALTER ROLE {quote(self.role)} BYPASSRLS;")
        return statements


def _list(kind: str, schema: str, names: Collection[str]) -> str:
    return f"{kind} {', '.join(f'{quote(schema)}.{quote(name)}' for name in names)}"
