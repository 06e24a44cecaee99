"""What PostgreSQL's own catalogue says of the clinic database's tables (versions 13 to 18)."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from app.dump.document import Form

# How PostgreSQL compares the columns of the foreign key `f`, where that is not what `=` means in this session: the
# operators are those of the index that the key points to, and those of an extension (citext) need not be in the
# search path, where `=` would quietly compare texts. Of two collations, it takes that of the row pointed to.
EQUALITY_SQL = """
    CASE WHEN NOT f.conpfeqop <@ ARRAY(
        SELECT o.oid FROM pg_operator o WHERE o.oprname = '=' AND o.oprnamespace = 'pg_catalog'::regnamespace
    ) OR EXISTS (
        SELECT FROM unnest(f.conkey, f.confkey) AS k(own, target)
        JOIN pg_attribute a ON a.attrelid = f.conrelid AND a.attnum = k.own
        JOIN pg_attribute b ON b.attrelid = f.confrelid AND b.attnum = k.target
        WHERE a.attcollation <> b.attcollation AND 0 NOT IN (a.attcollation, b.attcollation)
    ) THEN (
        SELECT json_agg(json_build_array(
            format('OPERATOR(%I.%s)', os.nspname, o.oprname),
            CASE WHEN a.attcollation <> b.attcollation AND a.attcollation <> 0
                 THEN format(' COLLATE %I.%I', cs.nspname, c.collname) END,
            format('OPERATOR(%I.%s)', ps.nspname, p.oprname)
        ) ORDER BY k.n)
        FROM unnest(f.conkey, f.confkey, f.conpfeqop, f.conppeqop)
             WITH ORDINALITY AS k(own, target, operator, target_operator, n)
        JOIN pg_operator o ON o.oid = k.operator JOIN pg_namespace os ON os.oid = o.oprnamespace
        JOIN pg_operator p ON p.oid = k.target_operator JOIN pg_namespace ps ON ps.oid = p.oprnamespace
        JOIN pg_attribute a ON a.attrelid = f.conrelid AND a.attnum = k.own
        JOIN pg_attribute b ON b.attrelid = f.confrelid AND b.attnum = k.target
        LEFT JOIN pg_collation c ON c.oid = b.attcollation LEFT JOIN pg_namespace cs ON cs.oid = c.collnamespace
    ) END"""

# The same of the unique index `i`, by which rows of one table are compared. Only a B-tree's third operator is
# equality, and an index need not have its column's collation.
UNIQUE_EQUALITY_SQL = """(
        SELECT json_agg(json_build_array(
            format('OPERATOR(%I.%s)', os.nspname, o.oprname),
            CASE WHEN k.coll <> a.attcollation THEN format(' COLLATE %I.%I', cs.nspname, c.collname) END
        ) ORDER BY k.n)
        FROM unnest(i.indkey::int2[], i.indclass::oid[], i.indcollation::oid[])
             WITH ORDINALITY AS k(attnum, opclass, coll, n)
        JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = k.attnum
        JOIN pg_opclass oc ON oc.oid = k.opclass
        JOIN pg_amop m ON m.amopfamily = oc.opcfamily AND m.amopstrategy = 3
             AND m.amoplefttype = oc.opcintype AND m.amoprighttype = oc.opcintype
        JOIN pg_am am ON am.oid = m.amopmethod AND am.amname = 'btree'
        JOIN pg_operator o ON o.oid = m.amopopr JOIN pg_namespace os ON os.oid = o.oprnamespace
        LEFT JOIN pg_collation c ON c.oid = k.coll LEFT JOIN pg_namespace cs ON cs.oid = c.collnamespace
        HAVING bool_or(o.oprname <> '=' OR os.nspname <> 'pg_catalog' OR k.coll <> a.attcollation)
    )"""


# One statement, so that one text answers whether anything has changed. Partitions are read through their
# root; tables of extensions are the extension's business; schemas `respaldos*` are the service's own. A foreign
# key with PERIOD (PostgreSQL 18) names no one row, so it cannot say whose a row is. A NOT NULL that has not been
# validated (18, too) is a promise about tomorrow's rows only.
#
# Where each clinic has a schema, PostgreSQL's catalogue is large, and each backup asks this: so all of it is read by
# indexes. Only pg_depend has one that finds a schema's tables; DROP SCHEMA finds them by it, too.
def catalogue_sql(schemas: str = "true") -> str:
    """The statement that reads the catalogue of those schemas for which that is true, as a condition on `n`."""
    return f"""
WITH relations AS MATERIALIZED (
    SELECT c.oid, n.oid AS namespace, n.nspname, c.relname, c.relkind
    FROM pg_namespace n CROSS JOIN LATERAL (
        SELECT c.* FROM pg_depend d JOIN pg_class c ON c.oid = d.objid
        WHERE d.refclassid = 'pg_namespace'::regclass AND d.refobjid = n.oid AND d.classid = 'pg_class'::regclass
        OFFSET 0
    ) AS c
    WHERE c.relkind IN ('r', 'p', 'f') AND NOT c.relispartition AND c.relpersistence <> 't'
      AND n.nspname !~ '^pg_' AND n.nspname <> 'information_schema' AND n.nspname !~ '^respaldos'
      AND {schemas}
      AND NOT EXISTS (SELECT FROM pg_depend d
                      WHERE d.classid = 'pg_class'::regclass AND d.objid = c.oid AND d.deptype = 'e')
)
SELECT json_build_object(
    'postgresql', current_setting('server_version'),
    'foreign_tables', (
        SELECT json_agg(json_build_array(f.nspname, f.relname) ORDER BY f.nspname COLLATE "C", f.relname COLLATE "C")
        FROM relations f WHERE f.relkind = 'f'),
    'tables', coalesce(json_agg(json_build_object(
        'schema', t.nspname,
        'name', t.relname,
        'partitioned', t.relkind = 'p',
        'readable', has_schema_privilege(t.namespace, 'USAGE') AND has_table_privilege(t.oid, 'SELECT'),
        'row_security', row_security_active(t.oid),
        'columns', (
            SELECT json_agg(json_build_object(
                'name', a.attname,
                'type', format_type(a.atttypid, a.atttypmod),
                'nullable', NOT a.attnotnull OR a.attnum = ANY (ARRAY(
                    SELECT unnest(n.conkey) FROM pg_constraint n
                    WHERE n.conrelid = t.oid AND n.contype = 'n' AND NOT n.convalidated)),
                'generated', a.attgenerated <> '',
                'collated', a.attcollation <> 0,
                'base', b.typname,
                'builtin', b.typnamespace = 'pg_catalog'::regnamespace,
                'kind', b.typtype,
                'array', b.typcategory = 'A',
                'number', b.typcategory = 'N'
            ) ORDER BY a.attnum)
            FROM pg_attribute a JOIN pg_type own ON own.oid = a.atttypid
            JOIN pg_type b ON b.oid = CASE WHEN own.typtype <> 'd' THEN own.oid ELSE (
                WITH RECURSIVE below AS (
                    SELECT t.oid, t.typtype, t.typbasetype FROM pg_type t WHERE t.oid = own.typbasetype
                    UNION ALL
                    SELECT t.oid, t.typtype, t.typbasetype FROM below JOIN pg_type t ON t.oid = below.typbasetype
                    WHERE below.typtype = 'd')
                SELECT below.oid FROM below WHERE below.typtype <> 'd') END
            WHERE a.attrelid = t.oid AND a.attnum > 0 AND NOT a.attisdropped),
        'keys', (
            SELECT json_agg(json_build_object(
                'columns', (SELECT json_agg(a.attname ORDER BY k.n)
                            FROM unnest(i.indkey::int2[]) WITH ORDINALITY k(attnum, n)
                            JOIN pg_attribute a ON a.attrelid = t.oid AND a.attnum = k.attnum
                            WHERE k.n <= i.indnkeyatts),
                'equality', {UNIQUE_EQUALITY_SQL}
            ) ORDER BY i.indisprimary DESC, i.indnkeyatts, x.relname COLLATE "C")
            FROM pg_index i JOIN pg_class x ON x.oid = i.indexrelid
            WHERE i.indrelid = t.oid AND i.indisunique AND i.indisvalid
              AND i.indpred IS NULL AND i.indexprs IS NULL),
        'foreign_keys', (
            SELECT json_agg(json_build_object(
                'name', f.conname,
                'validated', f.convalidated,
                'equality', {EQUALITY_SQL},
                'columns', (SELECT json_agg(a.attname ORDER BY k.n)
                            FROM unnest(f.conkey) WITH ORDINALITY k(attnum, n)
                            JOIN pg_attribute a ON a.attrelid = f.conrelid AND a.attnum = k.attnum),
                'schema', rn.nspname,
                'table', r.relname,
                'partition_of', (SELECT json_build_array(pn.nspname, p.relname)
                                 FROM pg_class p JOIN pg_namespace pn ON pn.oid = p.relnamespace
                                 WHERE r.relispartition AND p.oid = pg_partition_root(r.oid)),
                'target_columns', (SELECT json_agg(a.attname ORDER BY k.n)
                                   FROM unnest(f.confkey) WITH ORDINALITY k(attnum, n)
                                   JOIN pg_attribute a ON a.attrelid = f.confrelid AND a.attnum = k.attnum)
            ) ORDER BY f.conname COLLATE "C")
            FROM pg_constraint f JOIN pg_class r ON r.oid = f.confrelid
                 JOIN pg_namespace rn ON rn.oid = r.relnamespace
            WHERE f.conrelid = t.oid AND f.contype = 'f' AND f.conparentid = 0
              AND to_jsonb(f) -> 'conperiod' IS DISTINCT FROM 'true'::jsonb)
    ) ORDER BY t.nspname COLLATE "C", t.relname COLLATE "C"), '[]'))::text
FROM relations t
WHERE t.relkind <> 'f'
"""


# The same without the schemas of $1.
CATALOGUE_SQL = catalogue_sql("n.nspname <> ALL ($1::text[])")


class TableName(NamedTuple):
    """A table by schema and name."""

    schema: str
    name: str

    def __str__(self) -> str:
        return self.name if self.schema == "public" else f"{self.schema}.{self.name}"


@dataclass(frozen=True, slots=True)
class Column:
    """A column; `number` says that its values compare with an integer."""

    name: str
    type: str
    nullable: bool
    collated: bool
    number: bool
    form: Form


# For each column of a foreign key, the operator that compares it, between the row pointed to and the row that points,
# and the collation of the latter's value, which may be empty; nothing where it is just `=`.
Equality = tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class UniqueKey:
    """Columns of which no two rows of a table have the same values, and how these are compared."""

    columns: tuple[str, ...]
    equality: Equality = ()

    @property
    def target_columns(self) -> tuple[str, ...]:
        """As a foreign key to the table itself would have them."""
        return self.columns


@dataclass(frozen=True, slots=True)
class ForeignKey:
    """A foreign key; `validated` says that every row fulfils it.

    `target_key` compares rows that it may point to with each other. `optional`: a row may point to nothing, by a NULL
    or because the key is not validated. `target` is the root of a partitioned table even where the key names one of
    its partitions, unless `to_one_partition`: then what the key points to is not unique in the root, and `target` is
    that partition, which is no table of the catalogue.
    """

    name: str
    columns: tuple[str, ...]
    target: TableName
    target_key: UniqueKey
    validated: bool
    optional: bool
    to_one_partition: bool = False
    equality: Equality = ()

    @property
    def target_columns(self) -> tuple[str, ...]:
        """Those of the row pointed to."""
        return self.target_key.columns


@dataclass(frozen=True, slots=True)
class Table:
    """A table with the key that its records are sorted by (empty where it has none), and how its values are compared.

    `columns` are those of a record; the `generated` ones are not in it, but may say whose a row is.
    `readable` says whether this role may read it, `row_security` whether a policy would hide rows from it.
    """

    name: TableName
    partitioned: bool
    readable: bool
    row_security: bool
    columns: tuple[Column, ...]
    generated: tuple[Column, ...]
    key: tuple[str, ...]
    foreign_keys: tuple[ForeignKey, ...]
    key_equality: Equality = ()

    def column(self, name: str) -> Column | None:
        """The column of that name, if the table has one, generated or not."""
        return next((column for column in (*self.columns, *self.generated) if column.name == name), None)


@dataclass(frozen=True, slots=True)
class Introspection:
    """The tables of the clinic database, by name; the foreign ones hold rows of another server."""

    postgresql: str
    tables: dict[TableName, Table]
    foreign_tables: tuple[TableName, ...]


def parse(text: str) -> Introspection:
    """What `catalogue_sql` answered, as values."""
    document = json.loads(text)
    unique = {
        TableName(raw["schema"], raw["name"]): [
            UniqueKey(tuple(key["columns"]), parse_equality(key["equality"])) for key in raw["keys"] or ()
        ]
        for raw in document["tables"]
    }
    tables = [_table(raw, unique) for raw in document["tables"]]
    foreign = tuple(TableName(*name) for name in document["foreign_tables"] or ())
    return Introspection(document["postgresql"], {table.name: table for table in tables}, foreign)


# Types whose row_to_json is exact and readable; all other types stand as their own text. (bpchar is here
# because its cast to text would cut trailing blanks; enums and ranges are told by their kind.)
_SCALARS = {
    *("bool", "int2", "int4", "int8", "float4", "float8", "numeric", "money", "oid", "pg_lsn"),
    *("text", "varchar", "bpchar", "name", "char", "bytea", "uuid", "bit", "varbit", "tsvector", "tsquery"),
    *("date", "time", "timetz", "timestamp", "timestamptz", "interval"),
    *("inet", "cidr", "macaddr", "macaddr8"),
    *("point", "line", "lseg", "box", "path", "polygon", "circle"),
}


def _form(raw: dict[str, Any]) -> Form:
    if raw["kind"] == "e":
        return Form.SCALAR
    if raw["builtin"] and not raw["array"]:
        if raw["base"] == "jsonb":
            return Form.JSONB
        if raw["base"] in _SCALARS:
            return Form.SCALAR
    return Form.TEXT


def _foreign_key(
    raw: dict[str, Any], nullable: set[str], unique: Mapping[TableName, Sequence[UniqueKey]]
) -> ForeignKey:
    target = TableName(raw["schema"], raw["table"])
    to_one_partition = raw["partition_of"] is not None
    if to_one_partition:
        root = TableName(*raw["partition_of"])
        if any(set(key.columns) <= set(raw["target_columns"]) for key in unique.get(root, ())):
            target, to_one_partition = root, False
    return ForeignKey(
        name=raw["name"],
        columns=tuple(raw["columns"]),
        target=target,
        target_key=parse_target(raw),
        validated=raw["validated"],
        optional=not raw["validated"] or not nullable.isdisjoint(raw["columns"]),
        to_one_partition=to_one_partition,
        equality=parse_equality(raw["equality"]),
    )


def parse_equality(raw: Sequence[Sequence[str | None]] | None) -> Equality:
    """What EQUALITY_SQL and UNIQUE_EQUALITY_SQL answered, as values."""
    return tuple((operator or "", collation or "") for operator, collation, *_ in raw or ())


def parse_target(raw: dict[str, Any]) -> UniqueKey:
    """What a foreign key points to, of which EQUALITY_SQL says how values are compared."""
    operators = tuple((target, "") for *_, target in raw["equality"] or ())
    return UniqueKey(tuple(raw["target_columns"]), operators)


def _table(raw: dict[str, Any], unique: Mapping[TableName, Sequence[UniqueKey]]) -> Table:
    stored: list[Column] = []
    generated: list[Column] = []
    for column in raw["columns"] or ():
        (generated if column["generated"] else stored).append(
            Column(
                name=column["name"],
                type=column["type"],
                nullable=column["nullable"],
                collated=column["collated"],
                number=column["number"],
                form=_form(column),
            )
        )
    nullable = {column.name for column in (*stored, *generated) if column.nullable}
    never_null = {column.name for column in stored} - nullable
    name = TableName(raw["schema"], raw["name"])
    key = next((key for key in unique[name] if never_null.issuperset(key.columns)), UniqueKey(()))
    return Table(
        name=name,
        partitioned=raw["partitioned"],
        readable=raw["readable"],
        row_security=raw["row_security"],
        columns=tuple(stored),
        generated=tuple(generated),
        key=key.columns,
        foreign_keys=tuple(_foreign_key(fk, nullable, unique) for fk in raw["foreign_keys"] or ()),
        key_equality=key.equality,
    )
