"""What PostgreSQL holds a table's rows to: foreign keys, unique indexes, triggers, sequences (versions 13 to 18)."""

import json
from collections.abc import Collection, Iterator
from dataclasses import dataclass, field, replace
from typing import Any

from app.clinic.catalogue.introspection import (
    EQUALITY_SQL,
    UNIQUE_EQUALITY_SQL,
    Equality,
    TableName,
    UniqueKey,
    parse_equality,
    parse_target,
)

# Every foreign key of the database, also those of tables that no backup has: their rows may point to a clinic's.
# Keys that PostgreSQL made for the partitions of a table are left out, as the table's own key stands for them. The
# schemas of $1 are other clinics': nothing of this one's is there, but something there may point here.
CONSTRAINTS_SQL = f"""
SELECT json_build_object(
    'foreign_keys', (
        SELECT json_agg(json_build_object(
            'name', f.conname,
            'child', json_build_array(cn.nspname, c.relname),
            'child_partitioned', c.relkind = 'p',
            'child_root', (SELECT json_build_array(rn.nspname, r.relname) FROM pg_class r
                           JOIN pg_namespace rn ON rn.oid = r.relnamespace
                           WHERE c.relispartition AND r.oid = pg_partition_root(c.oid)),
            'columns', (SELECT json_agg(a.attname ORDER BY k.n)
                        FROM unnest(f.conkey) WITH ORDINALITY k(attnum, n)
                        JOIN pg_attribute a ON a.attrelid = f.conrelid AND a.attnum = k.attnum),
            'parent', json_build_array(pn.nspname, p.relname),
            'parent_partitioned', p.relkind = 'p',
            'parent_root', (SELECT json_build_array(rn.nspname, r.relname) FROM pg_class r
                            JOIN pg_namespace rn ON rn.oid = r.relnamespace
                            WHERE p.relispartition AND r.oid = pg_partition_root(p.oid)),
            'target_columns', (SELECT json_agg(a.attname ORDER BY k.n)
                               FROM unnest(f.confkey) WITH ORDINALITY k(attnum, n)
                               JOIN pg_attribute a ON a.attrelid = f.confrelid AND a.attnum = k.attnum),
            'deferrable', f.condeferrable,
            'no_action', f.confdeltype = 'a',
            'match_full', f.confmatchtype = 'f',
            'validated', f.convalidated,
            'equality', {EQUALITY_SQL},
            'temporal', coalesce(to_jsonb(f) -> 'conperiod' = 'true'::jsonb, false)
        ) ORDER BY cn.nspname COLLATE "C", c.relname COLLATE "C", f.conname COLLATE "C")
        FROM pg_constraint f
        JOIN pg_class c ON c.oid = f.conrelid JOIN pg_namespace cn ON cn.oid = c.relnamespace
        JOIN pg_class p ON p.oid = f.confrelid JOIN pg_namespace pn ON pn.oid = p.relnamespace
        WHERE f.contype = 'f' AND f.conparentid = 0
          AND (cn.nspname <> ALL ($1::text[]) OR pn.nspname <> ALL ($1::text[] || ARRAY['public']))),
    'unique', (
        SELECT json_agg(json_build_object(
            'table', json_build_array(rn.nspname, r.relname),
            'name', x.relname,
            'columns', (SELECT json_agg(a.attname ORDER BY k.n)
                        FROM unnest(i.indkey::int2[]) WITH ORDINALITY k(attnum, n)
                        JOIN pg_attribute a ON a.attrelid = t.oid AND a.attnum = k.attnum
                        WHERE k.n <= i.indnkeyatts),
            'involved', (SELECT json_agg(DISTINCT a.attname)
                         FROM pg_depend d JOIN pg_attribute a ON a.attrelid = t.oid AND a.attnum = d.refobjsubid
                         WHERE d.refclassid = 'pg_class'::regclass AND d.refobjid = t.oid AND d.refobjsubid > 0
                           AND (d.classid = 'pg_class'::regclass AND d.objid = x.oid
                                OR d.classid = 'pg_constraint'::regclass AND d.objid = u.oid)),
            'plain', i.indisunique AND NOT i.indisexclusion AND i.indpred IS NULL AND i.indexprs IS NULL
                     AND r.oid = t.oid
                     AND coalesce(to_jsonb(i) -> 'indnullsnotdistinct' = 'false'::jsonb, true),
            'equality', {UNIQUE_EQUALITY_SQL},
            'exclusion', i.indisexclusion,
            'deferrable', coalesce(u.condeferrable, false)
        ) ORDER BY n.nspname COLLATE "C", t.relname COLLATE "C", x.relname COLLATE "C")
        FROM pg_index i JOIN pg_class x ON x.oid = i.indexrelid JOIN pg_class t ON t.oid = i.indrelid
        JOIN pg_class r ON r.oid = CASE WHEN t.relispartition THEN pg_partition_root(t.oid) ELSE t.oid END
        JOIN pg_namespace n ON n.oid = t.relnamespace JOIN pg_namespace rn ON rn.oid = r.relnamespace
        LEFT JOIN pg_constraint u ON u.conindid = x.oid AND u.contype IN ('p', 'u', 'x')
        WHERE (i.indisunique OR i.indisexclusion) AND i.indislive AND NOT x.relispartition
          AND n.nspname !~ '^pg_' AND n.nspname <> 'information_schema' AND n.nspname <> ALL ($1::text[])),
    'columns', (
        SELECT json_agg(json_build_object(
            'table', json_build_array(n.nspname, t.relname),
            'name', a.attname,
            'always', a.attidentity = 'a',
            'number', coalesce(nullif(y.typbasetype, 0), y.oid)
                      IN ('int2'::regtype, 'int4'::regtype, 'int8'::regtype, 'numeric'::regtype),
            'sequence', (SELECT json_build_object('schema', sn.nspname, 'name', s.relname, 'step', q.seqincrement,
                                                  'in_order', q.seqcache = 1 AND NOT q.seqcycle)
                         FROM pg_depend d JOIN pg_class s ON s.oid = d.objid AND s.relkind = 'S'
                         JOIN pg_namespace sn ON sn.oid = s.relnamespace JOIN pg_sequence q ON q.seqrelid = s.oid
                         WHERE d.classid = 'pg_class'::regclass AND d.refclassid = 'pg_class'::regclass
                           AND d.refobjid = t.oid AND d.refobjsubid = a.attnum AND d.deptype IN ('a', 'i')
                         ORDER BY s.oid LIMIT 1),
            'default_sequence', (SELECT json_build_object('schema', sn.nspname, 'name', s.relname,
                                                          'step', q.seqincrement,
                                                          'in_order', q.seqcache = 1 AND NOT q.seqcycle)
                         FROM pg_attrdef e JOIN pg_depend d ON d.classid = 'pg_attrdef'::regclass AND d.objid = e.oid
                         JOIN pg_class s ON d.refclassid = 'pg_class'::regclass AND s.oid = d.refobjid
                           AND s.relkind = 'S'
                         JOIN pg_namespace sn ON sn.oid = s.relnamespace JOIN pg_sequence q ON q.seqrelid = s.oid
                         WHERE e.adrelid = t.oid AND e.adnum = a.attnum ORDER BY s.oid LIMIT 1)
        ))
        FROM pg_attribute a JOIN pg_class t ON t.oid = a.attrelid JOIN pg_namespace n ON n.oid = t.relnamespace
        JOIN pg_type y ON y.oid = a.atttypid
        WHERE a.attnum > 0 AND NOT a.attisdropped
          AND (a.atthasdef OR a.attidentity <> '' OR y.typdefault IS NOT NULL)
          AND t.relkind IN ('r', 'p') AND NOT t.relispartition
          AND n.nspname !~ '^pg_' AND n.nspname <> 'information_schema' AND n.nspname <> ALL ($1::text[])),
    'triggers', (
        SELECT json_agg(DISTINCT jsonb_build_array(n.nspname, t.relname, g.tgname, g.tgenabled))
        FROM pg_trigger g JOIN pg_class r ON r.oid = g.tgrelid
        JOIN pg_class t ON t.oid = CASE WHEN r.relispartition THEN pg_partition_root(r.oid) ELSE r.oid END
        JOIN pg_namespace n ON n.oid = t.relnamespace
        WHERE NOT g.tgisinternal AND g.tgenabled <> 'D' AND n.nspname <> ALL ($1::text[])),
    'rewrites', (
        SELECT json_agg(jsonb_build_array(n.nspname, t.relname, w.rulename, w.ev_enabled))
        FROM pg_rewrite w JOIN pg_class t ON t.oid = w.ev_class JOIN pg_namespace n ON n.oid = t.relnamespace
        WHERE w.ev_type <> '1' AND w.ev_enabled <> 'D' AND t.relkind IN ('r', 'p')
          AND n.nspname !~ '^pg_' AND n.nspname <> 'information_schema' AND n.nspname <> ALL ($1::text[]))
)::text
"""


def states(*, replica: bool) -> set[str]:
    """The values of pg_trigger.tgenabled, and of a rule, with which it acts in such a session."""
    return {"R", "A"} if replica else {"O", "A"}


@dataclass(frozen=True, slots=True)
class Reference:
    """A foreign key of the database, as a restore has to respect it.

    A root is the partitioned table that a table is a partition of, else the table itself. `at_once`: the key is
    looked at with every statement, or does something when a row goes, so that order matters. `validated` says that
    every row fulfils it.
    """

    name: str
    child: TableName
    child_root: TableName
    child_partitioned: bool
    columns: tuple[str, ...]
    parent: TableName
    parent_root: TableName
    parent_partitioned: bool
    target_key: UniqueKey
    at_once: bool
    match_full: bool
    validated: bool
    temporal: bool
    equality: Equality

    @property
    def target_columns(self) -> tuple[str, ...]:
        """Those of the row pointed to."""
        return self.target_key.columns


@dataclass(frozen=True, slots=True)
class UniqueIndex(UniqueKey):
    """A unique or exclusion index. `plain`: two rows collide just where all of `columns` are equal and not NULL.

    `involved` are all columns whose change may make a row collide.
    """

    name: str = field(kw_only=True)
    involved: tuple[str, ...] = field(kw_only=True)
    plain: bool = field(kw_only=True)
    exclusion: bool = field(kw_only=True)
    deferrable: bool = field(kw_only=True)


@dataclass(frozen=True, slots=True)
class Sequence:
    """What gives a column its next number; `step` is its increment.

    `in_order`: a number is drawn after those before it. Where sessions draw several beforehand, it need not be.
    """

    column: str
    schema: str
    name: str
    step: int
    in_order: bool


@dataclass(frozen=True, slots=True)
class TableRules:
    """One table's own: `always` are its GENERATED ALWAYS identities, `defaults` the columns that have a default.

    `triggers` are those that act, `replica_triggers` those that act where triggers are switched off; `rewrites` and
    `replica_rewrites` the same of rules (CREATE RULE) for what is written.
    """

    unique: tuple[UniqueIndex, ...] = ()
    always: frozenset[str] = frozenset()
    defaults: frozenset[str] = frozenset()
    sequences: tuple[Sequence, ...] = ()
    triggers: tuple[str, ...] = ()
    replica_triggers: tuple[str, ...] = ()
    rewrites: tuple[str, ...] = ()
    replica_rewrites: tuple[str, ...] = ()

    def acting(self, *, replica: bool) -> tuple[str, ...]:
        """The triggers that act in such a session."""
        return self.replica_triggers if replica else self.triggers

    def rewriting(self, *, replica: bool) -> tuple[str, ...]:
        """The rules that make something else of a statement in such a session."""
        return self.replica_rewrites if replica else self.rewrites


@dataclass(frozen=True, slots=True)
class Constraints:
    """All of the database's."""

    references: tuple[Reference, ...]
    rules: dict[TableName, TableRules]

    def without_triggers(self, tables: Collection[TableName]) -> "Constraints":
        """The same while no trigger of these tables acts."""
        quiet = {name: replace(self.of(name), triggers=(), replica_triggers=()) for name in tables}
        return replace(self, rules={**self.rules, **quiet})

    def of(self, table: TableName) -> TableRules:
        """What this table's rows are held to."""
        return self.rules.get(table, TableRules())

    def to(self, table: TableName) -> Iterator[Reference]:
        """The foreign keys whose rows point to rows of this table, or of a partition of it."""
        return (reference for reference in self.references if reference.parent_root == table)

    def of_child(self, table: TableName) -> Iterator[Reference]:
        """The foreign keys of this table."""
        return (reference for reference in self.references if reference.child_root == table)


def parse_constraints(text: str) -> Constraints:
    """What CONSTRAINTS_SQL answered, as values."""
    document = json.loads(text)
    collected: dict[TableName, dict[str, Any]] = {}

    def of(name: list[str]) -> dict[str, Any]:
        empty: dict[str, Any] = {"unique": [], "always": set(), "defaults": set(), "sequences": []}
        empty |= {"triggers": {}, "rewrites": {}}
        return collected.setdefault(TableName(*name), empty)

    for raw in document["unique"] or ():
        of(raw["table"])["unique"].append(
            UniqueIndex(
                name=raw["name"],
                columns=tuple(raw["columns"] or ()),
                equality=parse_equality(raw["equality"]),
                involved=tuple(raw["involved"] or ()),
                plain=raw["plain"],
                exclusion=raw["exclusion"],
                deferrable=raw["deferrable"],
            )
        )
    for raw in document["columns"] or ():
        table = of(raw["table"])
        if raw["always"]:
            table["always"].add(raw["name"])
        table["defaults"].add(raw["name"])
        # Of a code such as F-000123 nobody knows what number is in it.
        if raw["number"] and (found := raw["sequence"] or raw["default_sequence"]):
            table["sequences"].append(
                Sequence(raw["name"], found["schema"], found["name"], found["step"], found["in_order"])
            )
    for kind in ("triggers", "rewrites"):
        for schema, name, called, enabled in document[kind] or ():
            of([schema, name])[kind].setdefault(called, set()).add(enabled)
    return Constraints(
        references=tuple(_reference(raw) for raw in document["foreign_keys"] or ()),
        rules={
            name: TableRules(
                unique=tuple(raw["unique"]),
                always=frozenset(raw["always"]),
                defaults=frozenset(raw["defaults"]),
                sequences=tuple(raw["sequences"]),
                triggers=_enabled(raw["triggers"], replica=False),
                replica_triggers=_enabled(raw["triggers"], replica=True),
                rewrites=_enabled(raw["rewrites"], replica=False),
                replica_rewrites=_enabled(raw["rewrites"], replica=True),
            )
            for name, raw in collected.items()
        },
    )


def _enabled(named: dict[str, set[str]], *, replica: bool) -> tuple[str, ...]:
    # A partition's own of a trigger may be in another state than its table's.
    return tuple(sorted(name for name, enabled in named.items() if enabled & states(replica=replica)))


def _reference(raw: dict[str, Any]) -> Reference:
    child, parent = TableName(*raw["child"]), TableName(*raw["parent"])
    return Reference(
        name=raw["name"],
        child=child,
        child_root=TableName(*raw["child_root"]) if raw["child_root"] is not None else child,
        child_partitioned=raw["child_partitioned"],
        columns=tuple(raw["columns"]),
        parent=parent,
        parent_root=TableName(*raw["parent_root"]) if raw["parent_root"] is not None else parent,
        parent_partitioned=raw["parent_partitioned"],
        target_key=parse_target(raw),
        at_once=not (raw["deferrable"] and raw["no_action"]),
        match_full=raw["match_full"],
        validated=raw["validated"],
        temporal=raw["temporal"],
        equality=parse_equality(raw["equality"]),
    )
