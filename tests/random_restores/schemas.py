"""Random schemas of a database that clinics share, with rows of which whoever made them knows whose they are."""

from dataclasses import dataclass, field, replace
from random import Random

from hypothesis import strategies as st
from hypothesis.strategies import DrawFn, SearchStrategy

from tests.random_restores.choices import WHOLE, Part, parts

CLINICS = (1, 2, 3)
NOBODY = 0

# What a column may hold, each value as it is written between quotes. None of them is too long for an index.
VALUES = {
    "integer": ("0", "-7", "2147483647"),
    "bigint": ("0", "9007199254740993", "-9223372036854775808"),
    "numeric": ("0", "1.0", "1.00", "-0.000000000000000001", "NaN", "99999999999999999999.5"),
    "numeric(12,4)": ("0", "1.5", "-99999999.9999"),
    "double precision": ("0", "-0", "0.1", "NaN", "-Infinity", "1e-300"),
    "real": ("1", "0.1", "Infinity"),
    "boolean": ("true", "false"),
    "text": ("", " ", "ñandú «é»", 'a"b\\c', "línea\nlínea", "null", "🦷"),
    "varchar(12)": ("", "a  ", "áéíóú"),
    "char(5)": ("a", "", "abcde"),
    '"char"': ("a", "z"),
    "name": ("uno", "Dos"),
    "date": ("2026-02-28", "infinity", "0044-03-15 BC"),
    "timestamp": ("2026-02-28 23:59:59.999999", "-infinity"),
    "timestamptz": ("2026-02-28 12:00:00+00", "2026-02-28 12:00:00.1-04"),
    "timetz": ("12:00:00-04", "24:00:00+00"),
    "interval": ("1 mon", "30 days", "-1 day 24:00:00"),
    "uuid": ("00000000-0000-0000-0000-000000000000",),
    "jsonb": ("null", "{}", '{"a": 1.0, "b": [null, "ñ"]}', "1", "1.0"),
    "json": ("null", '{"a" : 1, "a":2}', "[]"),
    "bytea": ("", "\\x00ff5c"),
    "integer[]": ("{}", "{1,NULL,3}", "[0:1]={5,6}", "{{1,2},{3,4}}"),
    "text[]": ("{}", '{"a,b",NULL,"null","\\""}'),
    "int4range": ("empty", "[1,5)", "(,3]"),
    "tstzrange": ('["2026-01-01 00:00+00","2026-01-02 00:00+00")', "empty"),
    "int4multirange": ("{}", "{[1,2),[5,9)}"),
    "inet": ("10.0.0.1", "10.0.0.0/8", "::1"),
    "macaddr": ("08:00:2b:01:02:03",),
    "bit(3)": ("101",),
    "varbit": ("", "1"),
    "point": ("(1,2)", "(0.1,-0)"),
    "box": ("(2,2),(1,1)",),
    "polygon": ("((0,0),(1,1),(1,0))",),
    "money": ("1.50", "-0.01"),
    "tsvector": ("'a':1 'b':2",),
    "estado": ("abierto", "cerrado", "Ánulado"),
    "correo": ("a@b", "A@B"),
    "correo[]": ("{a@b}", "{}"),
    "par": ("(1,uno)", "(,)", '(2,"dos, o más")'),
    "public.par[]": ('{"(1,uno)"}',),
}
NO_EQUALITY = {"json", "point", "box", "polygon"}

TYPES = """
CREATE TYPE estado AS ENUM ('cerrado', 'abierto', 'Ánulado');
CREATE DOMAIN correo AS text CHECK (VALUE LIKE '%@%');
CREATE DOMAIN numero AS int NOT NULL CHECK (VALUE > -1000000);
CREATE TYPE par AS (a int, b text);
"""

# Types of keys, with the value of the nth row.
KEYS = {
    "integer": "{n}",
    "bigint": "90000000000{n:02}",
    "numero": "{n}",
    "numeric": "{n}.50",
    "text": "Clave {n} ñ",
    "varchar(20)": "k{n}",
    "char(6)": "c{n}",
    "uuid": "11111111-0000-0000-0000-{n:012}",
    "date": "2026-01-01 +{n}",
    "inet": "10.0.0.{n}",
}

ACTIONS = ("NO ACTION", "NO ACTION", "RESTRICT", "CASCADE", "SET NULL", "SET DEFAULT")
DEFERRED = ("", "", "DEFERRABLE", "DEFERRABLE INITIALLY DEFERRED")


@dataclass(frozen=True, slots=True)
class Column:
    """A column that no key has. `more` is what follows its type."""

    name: str
    type: str
    nullable: bool
    more: str = ""


@dataclass(frozen=True, slots=True)
class ForeignKey:
    """Added once the rows are there. `target` is a table by its place; where it is not `valid`, rows may break it."""

    name: str
    columns: tuple[str, ...]
    target: int
    target_columns: tuple[str, ...]
    more: str
    nullable: bool
    valid: bool


@dataclass(frozen=True, slots=True)
class Table:
    """`tenant` is the declaration of its clinica_id, empty where there is none; `key` may be empty.

    `key_columns` are those with their declarations. `shared`: nothing in it leads to a clinic. `numbered` are columns
    whose value is of each row its own, by the way in which the row's number makes it.
    """

    place: int
    name: str
    tenant: str
    shared: bool
    key_columns: tuple[tuple[str, str], ...]
    key: tuple[str, ...]
    numbered: dict[str, str]
    columns: tuple[Column, ...]
    generated: tuple[tuple[str, str], ...]
    foreign_keys: tuple[ForeignKey, ...]
    constraints: tuple[str, ...]
    indexes: tuple[str, ...]
    partitions: str
    triggers: tuple[str, ...]
    late: tuple[str, ...]

    @property
    def quoted(self) -> str:
        """Its name in SQL."""
        return f'"{self.name}"'

    @property
    def referable(self) -> bool:
        """Whether a foreign key may lead to it."""
        return bool(self.key) and "DEFERRABLE" not in self.constraints[0]

    @property
    def reads(self) -> tuple[str, ...]:
        """Every column."""
        named = (
            *(name for name, _ in self.key_columns),
            *(["clinica_id"] if self.tenant else []),
            *(name for fk in self.foreign_keys for name in fk.columns),
            *(column.name for column in self.columns),
            *(name for name, _ in self.generated),
        )
        return tuple(dict.fromkeys(named))

    def create(self) -> list[str]:
        """Its statements, but for foreign keys and triggers."""
        parts = [f"{name} {declared}" for name, declared in self.key_columns]
        if self.tenant:
            parts.append(f"clinica_id {self.tenant}")
        parts += [
            f"{column.name} {column.type}{'' if column.nullable else ' NOT NULL'} {column.more}".rstrip()
            for column in self.columns
        ]
        parts += [f"{name} {declared}" for name, declared in self.generated]
        parts += self.constraints
        made = f"CREATE TABLE {self.quoted} ({', '.join(parts)})"
        if not self.partitions:
            return [made, *self.indexes]
        if self.partitions == "LIST":
            return [
                f"{made} PARTITION BY LIST (parte)",
                f'CREATE TABLE "{self.name} a" PARTITION OF {self.quoted} FOR VALUES IN (0)',
                f'CREATE TABLE "{self.name} z" PARTITION OF {self.quoted} DEFAULT',
                *self.indexes,
            ]
        halves = (
            f'CREATE TABLE "{self.name} {half}" PARTITION OF {self.quoted}'
            f" FOR VALUES WITH (MODULUS 2, REMAINDER {half})"
            for half in (0, 1)
        )
        return [f"{made} PARTITION BY HASH ({self.key[0]})", *halves, *self.indexes]


Row = dict[str, str | None]


@dataclass(frozen=True)
class Case:
    """A schema with its rows. What happens to it is in `acts`, each a kind, a table and a number for its choices.

    `writer` are the acts of somebody else, each with the step of the restore after which it is done.
    """

    tables: tuple[Table, ...]
    seed: int
    rows: tuple[tuple[int, ...], ...]
    acts: tuple[tuple[str, int, int], ...]
    writer: tuple[tuple[int, str, int, int], ...]
    part: Part
    preview: bool
    trial: bool
    statements: list[str] = field(default_factory=list, compare=False)

    def __repr__(self) -> str:
        return f"Case(acts={self.acts}, writer={self.writer}, part={self.part}):\n" + ";\n".join(self.statements)


@st.composite
def _tables(draw: DrawFn, most: int) -> tuple[Table, ...]:
    tables: list[Table] = []
    count = draw(st.integers(2, most))
    for place in range(count):
        tables.append(draw(_table(place, tables, count)))
    # Keys to tables that come later make cycles.
    for child, parent in draw(st.lists(st.tuples(st.integers(0, count - 1), st.integers(0, count - 1)), max_size=2)):
        if child < parent and tables[parent].referable and not tables[child].shared and not tables[parent].shared:
            foreign_key = draw(
                _foreign_key(f"tarde{child}{parent}", tables[parent], tables[child].tenant, nullable=True)
            )
            if foreign_key.name not in {fk.name for fk in tables[child].foreign_keys}:
                tables[child] = _with_key(tables[child], foreign_key, tables[parent])
    return tuple(tables)


def _with_key(table: Table, foreign_key: ForeignKey, parent: Table) -> Table:
    types = {**dict(parent.key_columns), "clinica_id": "integer"}
    added = tuple(
        Column(name, _plain(types[target]), foreign_key.nullable)
        for name, target in zip(foreign_key.columns, foreign_key.target_columns, strict=True)
        if name != "clinica_id"
    )
    # PostgreSQL has no such key of a partitioned table before 18.
    foreign_key = replace(foreign_key, valid=foreign_key.valid or bool(table.partitions))
    return replace(table, columns=(*table.columns, *added), foreign_keys=(*table.foreign_keys, foreign_key))


def _plain(declared: str) -> str:
    """The type of a key's column, without what else its declaration says."""
    known = next(name for name in sorted(KEYS, key=len, reverse=True) if declared.startswith(name))
    return "integer" if known == "numero" else known


@st.composite
def _foreign_key(draw: DrawFn, name: str, parent: Table, tenant: str, *, nullable: bool) -> ForeignKey:
    target = parent.key
    own = tuple(
        "clinica_id" if column == "clinica_id" and tenant else f"{name}_{number}"
        for number, column in enumerate(target)
    )
    deferred = draw(st.sampled_from(DEFERRED))
    actions = ACTIONS if nullable else ACTIONS[:4]
    more = f"ON DELETE {draw(st.sampled_from(actions))}"
    if draw(st.integers(0, 3)) == 0:
        more += " ON UPDATE CASCADE"
    if len(target) > 1 and "clinica_id" not in own and draw(st.booleans()):
        more = f"MATCH FULL {more}"
    valid = not nullable or draw(st.integers(0, 7)) > 0 or bool(parent.partitions)
    return ForeignKey(name, own, parent.place, target, f"{more} {deferred}", nullable, valid)


@st.composite
def _table(draw: DrawFn, place: int, before: list[Table], count: int) -> Table:
    name = draw(st.sampled_from((f"t{place}", f"Tabla {place}", f"año{place}")))
    owned = [table for table in before if not table.shared]
    # The first one is the clinics', and some are everybody's.
    kind = (
        "tenant" if not owned else draw(st.sampled_from(("tenant", "tenant", "nullable", "none", "none", "shared")))
    )
    tenant = ""
    if kind in {"tenant", "nullable"}:
        tenant = "int" + (" NOT NULL" if kind == "tenant" else "")
        if place == 0 or draw(st.booleans()):
            tenant += " REFERENCES clinica"
    partitions = draw(st.sampled_from(("", "", "", "", "LIST", "HASH")))
    key_columns: list[tuple[str, str]] = []
    numbered: dict[str, str] = {}
    constraints: list[str] = []
    keyed = draw(
        st.sampled_from(
            ("single", "single", "single", "identity", "serial", "two", "unique", "none", "clinic", "one")
        )
    )
    # Whose key is that of a row of another table: a user who is a patient.
    ones = [table for table in owned if table.key == ("id",) and table.referable and not table.partitions]
    if keyed == "one" and (not ones or kind == "shared"):
        keyed = "single"
    if keyed == "clinic" and kind != "tenant":
        keyed = "single"
    if partitions:
        keyed = "single"
    one = draw(st.sampled_from(ones)) if keyed == "one" else None
    key: tuple[str, ...] = ()
    type_ = draw(st.sampled_from(sorted(KEYS)))
    deferrable = draw(st.integers(0, 9)) == 0
    match keyed:
        case "single" | "unique" | "two" | "clinic":
            key_columns.append(("id", f"{type_} NOT NULL"))
            numbered["id"] = KEYS[type_]
            key = ("id",)
        case "identity":
            always = draw(st.booleans())
            key_columns.append(("id", f"integer GENERATED {'ALWAYS' if always else 'BY DEFAULT'} AS IDENTITY"))
            numbered["id"] = KEYS["integer"]
            key = ("id",)
        case "one" if one is not None:
            key_columns.append(("id", f"{_plain(dict(one.key_columns)['id'])} NOT NULL"))
            numbered["id"] = one.numbered["id"]
            key = ("id",)
        case "serial":
            sequence = f"secuencia{place}"
            key_columns.append(("id", f"integer NOT NULL DEFAULT nextval('{sequence}')"))
            numbered["id"] = KEYS["integer"]
            key = ("id",)
    if keyed == "two":
        key_columns.append(("sede", "text NOT NULL"))
        numbered["sede"] = "norte"
        key = ("sede", "id")
    if keyed == "clinic":
        key = ("clinica_id", "id")
    if partitions == "LIST":
        key_columns.append(("parte", "integer NOT NULL"))
        numbered["parte"] = "{part}"
        key = ("id", "parte")
    if key:
        unique = "UNIQUE" if keyed == "unique" else "PRIMARY KEY"
        constraints.append(f"{unique} ({', '.join(key)}){' DEFERRABLE INITIALLY DEFERRED' if deferrable else ''}")
    columns = [
        Column(f"c{number}", type_, draw(st.integers(0, 3)) > 0)
        for number, type_ in enumerate(draw(st.lists(st.sampled_from(sorted(VALUES)), max_size=4)))
    ]
    generated: list[tuple[str, str]] = []
    if draw(st.integers(0, 4)) == 0:
        virtual = draw(st.booleans())
        columns.append(Column("monto", "numeric", True))
        generated.append(("doble", f"numeric GENERATED ALWAYS AS (monto * 2) {'{virtual}' if virtual else 'STORED'}"))
    indexes: list[str] = []
    table_name = f'"{name}"'
    if not partitions:
        extra = draw(
            st.lists(
                st.sampled_from(
                    ("unique", "tenant unique", "nulls", "deferred", "partial", "lower", "exclude", "check", "late")
                ),
                max_size=2,
                unique=True,
            )
        )
    else:
        extra = draw(st.lists(st.sampled_from(("check",)), max_size=1))
    for what in extra:
        match what:
            case "unique" | "deferred":
                columns.append(Column(f"u{what[0]}", "integer", True))
                numbered[f"u{what[0]}"] = "{n}"
                constraints.append(f"UNIQUE (u{what[0]}){' DEFERRABLE' if what == 'deferred' else ''}")
            case "tenant unique":
                if tenant:
                    columns.append(Column("codigo", "text", True))
                    numbered["codigo"] = "cod{n}"
                    constraints.append("UNIQUE (clinica_id, codigo)")
            case "nulls":
                columns.append(Column("turno", "integer", True))
                numbered["turno"] = "{n}"
                constraints.append("UNIQUE NULLS NOT DISTINCT (turno)")
            case "partial":
                columns.append(Column("p", "integer", True))
                numbered["p"] = "{n}"
                indexes.append(f"CREATE UNIQUE INDEX ON {table_name} (p) WHERE p > 2")
            case "lower":
                columns.append(Column("alias", "text", True))
                numbered["alias"] = "Alias{n}"
                indexes.append(f"CREATE UNIQUE INDEX ON {table_name} (lower(alias))")
            case "exclude":
                columns.append(Column("horario", "int4range", True))
                numbered["horario"] = "[{n}0,{n}5)"
                late = draw(st.sampled_from(("", " DEFERRABLE")))
                constraints.append(f"EXCLUDE USING gist (horario WITH &&){late}")
            case "check":
                columns.append(Column("saldo", "numeric(10,2)", True, "CHECK (saldo >= 0)"))
                numbered["saldo"] = "{n}.5"
            case "late":
                columns.append(Column("cn", "integer", True))
    foreign_keys: list[ForeignKey] = []
    parents = [table for table in before if table.referable and (kind != "shared" or table.shared)]
    chosen = draw(st.lists(st.sampled_from(parents), max_size=3, unique_by=lambda t: t.place)) if parents else []
    if kind == "none":
        roots = [table for table in owned if table.referable]
        if roots and not any(not table.shared for table in chosen):
            chosen.append(draw(st.sampled_from(roots)))
        if not roots:
            kind = "shared"
            chosen = [table for table in chosen if table.shared]
    for parent in chosen:
        nullable = draw(st.booleans())
        foreign_keys.append(draw(_foreign_key(f"f{parent.place}", parent, tenant, nullable=nullable)))
    unchecked = (f"ALTER TABLE {table_name} ADD CHECK (cn >= 0) NOT VALID",) if "late" in extra else ()
    triggers = draw(
        st.sampled_from((*((),) * 20, ("touch",), ("audit",), ("touch", "always"), ("audit", "always"), ("veto",)))
    )
    if "touch" in triggers:
        columns.append(Column("actualizado", "timestamptz", True))
    made = Table(
        place,
        name,
        tenant,
        kind == "shared",
        tuple(key_columns),
        key,
        numbered,
        tuple(columns),
        tuple(generated),
        (),
        tuple(constraints),
        tuple(indexes),
        partitions,
        triggers,
        unchecked,
    )
    by_place = {table.place: table for table in before}
    if one is not None:
        deferred = draw(st.sampled_from(DEFERRED))
        own = ForeignKey(
            "uno", ("id",), one.place, one.key, f"ON DELETE CASCADE {deferred}", nullable=False, valid=True
        )
        made = replace(made, foreign_keys=(own,))
    for foreign_key in foreign_keys:
        made = _with_key(made, foreign_key, by_place[foreign_key.target])
    if made.referable and draw(st.integers(0, 3)) == 0:
        own = draw(_foreign_key("padre", made, tenant, nullable=True))
        made = _with_key(made, own, made)
    return made


DAMAGE = (
    "delete", "delete", "delete", "empty", "change", "change", "rekey", "repoint", "repoint", "insert", "insert",
    "swap", "orphan", "move", "delete shared", "change shared", "delete other", "change other", "insert other",
    "take", "stray other", "add column", "add table", "drop constraint",
)  # fmt: skip
MEANWHILE = ("delete other", "change other", "insert other", "take", "delete shared", "change shared")

_number = st.integers(0, 2**20)


def cases(most: int = 8, chosen: SearchStrategy[Part] | None = None) -> SearchStrategy[Case]:
    """Schemas of at most so many tables with rows, what happens to them, and what of that is restored: often all."""
    return st.builds(
        Case,
        tables=_tables(most),
        seed=_number,
        # How many rows each table has of nobody and of each clinic.
        rows=st.lists(
            st.tuples(st.integers(0, 2), st.integers(1, 6), st.integers(0, 3), st.integers(0, 1)),
            min_size=8,
            max_size=8,
        ).map(tuple),
        acts=st.lists(st.tuples(st.sampled_from(DAMAGE), st.integers(0, 7), _number), min_size=1, max_size=6).map(
            tuple
        ),
        writer=st.one_of(
            st.just(()),
            st.just(()),
            st.lists(
                st.tuples(st.integers(0, 3), st.sampled_from(MEANWHILE), st.integers(0, 7), _number),
                min_size=1,
                max_size=2,
            ).map(tuple),
        ),
        part=chosen if chosen is not None else st.one_of(st.just(WHOLE), parts()),
        preview=st.booleans(),
        trial=st.integers(0, 3).map(lambda number: number == 0),
    )


def value_of(column: str, table: Table, number: int) -> str:
    """Of a numbered column, the value of the row of that number."""
    text = table.numbered[column].format(n=number, part=number % 3)
    day, plus, days = text.partition(" +")
    return f"{day[:8]}{1 + int(days) % 28:02}" if plus else text


def rows_of(case: Case) -> list[list[Row]]:
    """The rows of each table; by chance, most references of a clinic's row lead to rows of the same clinic."""
    chance = Random(case.seed)
    made: list[list[tuple[int, Row]]] = []
    for table in case.tables:
        rows: list[tuple[int, Row]] = []
        made.append(rows)
        number = 0
        counts = case.rows[table.place]
        wanted = [NOBODY] * counts[0] + [c for c in CLINICS for _ in range(0 if table.shared else counts[c])]
        for owner in wanted:
            if owner == NOBODY and not table.shared and "NOT NULL" in table.tenant:
                continue
            number += 1
            row = _row(table, number, chance)
            if table.tenant:
                leads = any(not case.tables[fk.target].shared for fk in table.foreign_keys)
                row["clinica_id"] = (
                    str(owner)
                    if owner and not (leads and "NOT NULL" not in table.tenant and chance.random() < 0.5)
                    else None
                )
            found = owner if not table.tenant or row["clinica_id"] is None else int(row["clinica_id"])
            complete = True
            reached = NOBODY
            for fk in table.foreign_keys:
                if fk.target > table.place:
                    continue
                there = [(o, r) for o, r in made[fk.target] if o in {found, NOBODY}]
                mine = [(o, r) for o, r in there if o == found] or there
                if fk.columns == table.key:
                    taken = {tuple(r[name] for name in table.key) for _, r in rows}
                    mine = [(o, r) for o, r in mine if tuple(r[name] for name in fk.target_columns) not in taken]
                if "clinica_id" in fk.columns:
                    mine = [(o, r) for o, r in mine if r["clinica_id"] == row["clinica_id"]]
                if not mine or (fk.nullable and chance.random() < 0.25):
                    complete = complete and fk.nullable
                    continue
                whose, parent = chance.choice(mine)
                reached = reached or whose
                for name, target in zip(fk.columns, fk.target_columns, strict=True):
                    row[name] = parent[target]
            if complete:
                told = row.get("clinica_id")
                rows.append((int(told) if told is not None else reached, row))
    for table, rows in zip(case.tables, made, strict=True):
        for fk in table.foreign_keys:
            for owner, row in rows:
                if fk.target > table.place:
                    mine = [
                        (o, r)
                        for o, r in made[fk.target]
                        if o == owner and ("clinica_id" not in fk.columns or r["clinica_id"] == row["clinica_id"])
                    ]
                    if mine and chance.random() < 0.7:
                        _, parent = chance.choice(mine)
                        row.update(zip(fk.columns, (parent[name] for name in fk.target_columns), strict=True))
                if not fk.valid and chance.random() < 0.2:
                    row.update(
                        (name, value_of(target, case.tables[fk.target], 77))
                        for name, target in zip(fk.columns, fk.target_columns, strict=True)
                        if target != "clinica_id"
                    )
    return [[row for _, row in rows] for rows in made]


def _row(table: Table, number: int, chance: Random) -> Row:
    row: Row = {name: value_of(name, table, number) for name in table.numbered}
    linked = {name for fk in table.foreign_keys for name in fk.columns}
    for column in table.columns:
        # No two rows may be without `turno`.
        if column.name in linked or (column.nullable and column.name != "turno" and chance.random() < 0.25):
            row[column.name] = None
        elif column.name not in table.numbered:
            row[column.name] = chance.choice(VALUES[column.type])
    return row


def literal(value: str | None) -> str:
    """As SQL has it."""
    if value is None:
        return "NULL"
    return "'" + value.replace("'", "''") + "'"


def insert(table: Table, row: Row) -> str:
    """The statement that inserts the row."""
    if not row:
        return f"INSERT INTO {table.quoted} DEFAULT VALUES"
    return (
        f"INSERT INTO {table.quoted} ({', '.join(row)}) OVERRIDING SYSTEM VALUE"
        f" VALUES ({', '.join(map(literal, row.values()))})"
    )


AUDIT = """
CREATE TABLE auditoria (que text, cuando timestamptz);
CREATE FUNCTION anotar() RETURNS trigger LANGUAGE plpgsql AS
    $$ BEGIN INSERT INTO auditoria VALUES (TG_OP || TG_TABLE_NAME, now()); RETURN NULL; END $$;
CREATE FUNCTION tocar() RETURNS trigger LANGUAGE plpgsql AS
    $$ BEGIN NEW.actualizado := clock_timestamp(); RETURN NEW; END $$;
CREATE FUNCTION vetar() RETURNS trigger LANGUAGE plpgsql AS
    $$ BEGIN RAISE EXCEPTION 'no se borra'; END $$;
"""
_TRIGGERS = {
    "touch": "BEFORE UPDATE ON {0} FOR EACH ROW EXECUTE FUNCTION tocar()",
    "audit": "AFTER INSERT OR UPDATE OR DELETE ON {0} FOR EACH ROW EXECUTE FUNCTION anotar()",
    "veto": "BEFORE DELETE ON {0} FOR EACH ROW EXECUTE FUNCTION vetar()",
}


def script(case: Case, version: int) -> list[str]:
    """The statements that make the database."""
    found = [
        TYPES,
        AUDIT,
        "CREATE TABLE clinica (id int PRIMARY KEY, nombre text, activa bool)",
        *(f"INSERT INTO clinica VALUES ({clinic}, 'Clínica {clinic}', true)" for clinic in CLINICS),
    ]
    made = rows_of(case)
    for table in case.tables:
        found += [
            f"CREATE SEQUENCE secuencia{table.place}" for _, declared in table.key_columns if "nextval" in declared
        ]
        virtual = "VIRTUAL" if version >= 18 else "STORED"
        found += [statement.replace("{virtual}", virtual) for statement in table.create()]
    for table, rows in zip(case.tables, made, strict=True):
        found += [insert(table, row) for row in rows]
    for table in case.tables:
        found += [add_key(table, fk, case.tables[fk.target]) for fk in table.foreign_keys]
        found += table.late
        for trigger in table.triggers:
            if trigger == "always":
                found.append(f"ALTER TABLE {table.quoted} ENABLE ALWAYS TRIGGER {table.triggers[0]}")
            else:
                found.append(f"CREATE TRIGGER {trigger} {_TRIGGERS[trigger].format(table.quoted)}")
    return found


def add_key(table: Table, fk: ForeignKey, target: Table) -> str:
    """The statement that adds a foreign key."""
    return (
        f"ALTER TABLE {table.quoted} ADD CONSTRAINT {fk.name} FOREIGN KEY ({', '.join(fk.columns)})"
        f" REFERENCES {target.quoted} ({', '.join(fk.target_columns)}) {fk.more}{'' if fk.valid else ' NOT VALID'}"
    )
