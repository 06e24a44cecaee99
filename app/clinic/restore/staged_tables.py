"""How a model of the file and the table of today fit together, and the temporary tables in which they meet."""

from collections.abc import Collection
from dataclasses import dataclass, replace
from enum import StrEnum

from app.clinic.catalogue.entries import ByColumn, Catalogue, Entry, TableClass
from app.clinic.catalogue.introspection import Column, Table, TableName, UniqueKey
from app.clinic.catalogue.sql import columns, from_table, joined, literal, quote
from app.clinic.people.access import identity
from app.clinic.reading.platform_statements import platform_entries
from app.clinic.reading.records import LINE, MOST_COLUMNS
from app.dump.document import JSON_NULL_KEY, Form, Header, Section
from app.errors import RestoreRefused, SchemaDiffers

# Columns of the temporary tables beside those of the clinic's, whose names may be any but these.
HASH, COPY = "respaldos$hash", "respaldos$copia"
AT, REL, TID = "respaldos$at", "respaldos$rel", "respaldos$tid"
FILE, TODAY, KIND, VERSION = "respaldos$file", "respaldos$today", "respaldos$kind", "respaldos$xmin"
OWN = "respaldos$own"
OURS = {LINE, HASH, COPY, AT, REL, TID, FILE, TODAY, KIND, VERSION, OWN}

# The physical place of a row. None of ours moves while a restore looks at it; a row that somebody else has changed
# meanwhile is at another place, and is not found there. No other row takes its place: see KEEP_PLACES.
PLACE = ("tableoid", "ctid")

# An open cursor keeps its snapshot, and PostgreSQL frees no place of a row that this one sees or that came later.
# READ COMMITTED keeps none from one statement to the next: there, a row that somebody deletes makes room at once for
# another clinic's.
KEEP_PLACES = "DECLARE respaldos_lugares NO SCROLL CURSOR FOR SELECT"

# What can be done where today's schema lacks something of the file's.
MAKE_AGAIN = "hágala otra vez como era, o restaure los otros modelos (--modelos)"

# The same where nothing says any more whose its rows are.
SAY_AGAIN = (
    "vuelva a poner la columna o la clave que lo decía, o dígalo en OWNERSHIP_RULES; o restaure los otros modelos"
    " (--modelos)"
)


class Kind(StrEnum):
    """What becomes of a row that the file and today have both, but not alike; as PostgreSQL's "char"."""

    UPDATE = "u"
    """Updated where it stands."""
    REPLACE = "r"
    """Deleted and inserted again, because a unique value or an identity is in the way of an update."""
    REINSERT = "a"
    """Alike, but it hangs from a row that is replaced."""


@dataclass(frozen=True, slots=True)
class StagedTable:
    """One model of one section of the file. `number` tells its temporary tables from the others'.

    `table` is the table of today with the file's columns in the file's order, sorted as the file is; `extra` are the
    columns that it has beside them, generated ones left out. `cast` are the file's columns that have another type
    today, as the file has them: its lines are made anew for today's types before anything else. `key` is what a row
    of the file and one of today have in common where they are the same row; empty for a multiset of rows.
    """

    number: int
    section: Section
    model: str
    entry: Entry
    table: Table
    extra: tuple[Column, ...]
    key: tuple[str, ...]
    cast: tuple[Column, ...] = ()

    @property
    def names(self) -> tuple[str, ...]:
        """The file's columns."""
        return tuple(column.name for column in self.table.columns)

    @property
    def identity(self) -> tuple[str, ...]:
        """Of an access table: the file's columns that say whose login a row is."""
        ways = self.entry.candidates if self.entry.kind is TableClass.ACCESS else ()
        known = {*identity(self.entry.table), *(way.column for way in ways if isinstance(way, ByColumn))}
        return tuple(name for name in self.names if name in known)

    @property
    def real(self) -> str:
        """The table of today, as FROM takes it."""
        return from_table(self.entry.table)

    @property
    def stage(self) -> str:
        """Every record line of the file, with its hash."""
        return f'pg_temp."stage_{self.number}"'

    @property
    def typed(self) -> str:
        """Rows of the file as the table has them: those that a search needs. AT is where its line is in `stage`."""
        return f'pg_temp."typed_{self.number}"'

    @property
    def reached(self) -> str:
        """Where in `stage` the lines are to which foreign keys lead from the clinic's own rows in the file."""
        return f'pg_temp."reached_{self.number}"'

    @property
    def wanted(self) -> str:
        """Where in `stage` the lines of records and of what hangs from them are; OWN: of the records themselves."""
        return f'pg_temp."wanted_{self.number}"'

    @property
    def present(self) -> str:
        """Where the rows of today are that belong to those records."""
        return f'pg_temp."present_{self.number}"'

    @property
    def others(self) -> str:
        """Those of `present` that are somebody else's as well."""
        return f'pg_temp."others_{self.number}"'

    @property
    def current(self) -> str:
        """The rows of today that the restore is about: their place and their line's hash."""
        return f'pg_temp."current_{self.number}"'

    @property
    def file(self) -> str:
        """Rows of the file that are not there today, typed."""
        return f'pg_temp."file_{self.number}"'

    @property
    def today(self) -> str:
        """Rows of today that the file does not have as they are."""
        return f'pg_temp."today_{self.number}"'

    def rows_of_today(self, rows: str) -> str:
        """INSERT into `today` those rows `t` of the table that a condition picks; `rows` begins after its FROM."""
        every = tuple(column.name for column in (*self.entry.table.columns, *self.entry.table.generated))
        return (
            f"INSERT INTO {self.today} SELECT {columns('t', (*PLACE, 'xmin', *every))} FROM {self.real} AS t {rows}"
        )

    def same_version(self, row: str, today: str) -> str:
        """The condition that a row of the table is as it was when it was taken into `today`.

        Until late in 2025, PostgreSQL did not look at the ctid again of a row for which a statement had waited while
        somebody changed it.
        """
        return (
            f"{row}.tableoid = {today}.{quote(REL)} AND {row}.ctid = {today}.{quote(TID)}"
            f" AND {row}.xmin = {today}.{quote(VERSION)}"
        )

    @property
    def moved(self) -> str:
        """Rows of the file, typed, that are another clinic's today, or would be: none of them is restored."""
        return f'pg_temp."moved_{self.number}"'

    @property
    def left(self) -> str:
        """Where rows of today are that the file does not have, and that stay nevertheless."""
        return f'pg_temp."left_{self.number}"'

    @property
    def pairs(self) -> str:
        """Which row of `file` is the same as which of `today`, and what becomes of it: see `Kind`."""
        return f'pg_temp."pairs_{self.number}"'

    def has(self, names: tuple[str, ...]) -> bool:
        """Whether all of these are columns of the file."""
        return set(names) <= set(self.names)

    @property
    def unique_key(self) -> UniqueKey:
        """`key`, to compare by."""
        return UniqueKey(self.key, self.entry.table.key_equality if self.key else ())

    def same_key(self, one: str, other: str) -> str:
        """The condition that two rows are the same row."""
        return joined(self.unique_key, one, other)


def staged_table_of(number: int, section: Section, model: str, header: Header, catalogue: Catalogue) -> StagedTable:
    """How the model fits. Raises SchemaDiffers where today's table cannot take the file's rows as they are."""
    described = header.models[model]
    name = table_of(model, header, catalogue)
    if named_twice := [m for m in header.models if m != model and table_of(m, header, catalogue) == name]:
        raise SchemaDiffers(f"el archivo dice que «{model}» y «{named_twice[0]}» son la misma tabla, «{name}»")
    entry = catalogue.entries.get(name)
    if entry is None:
        raise SchemaDiffers(f"la base de datos ya no tiene la tabla «{name}», que está en el respaldo; {MAKE_AGAIN}")
    if problem := catalogue.problems.get(name):
        raise SchemaDiffers(f"no se sabe de quién son hoy los registros de «{entry.name}». {problem}")
    if header.clinica_id is None:
        if entry not in platform_entries(catalogue):
            raise SchemaDiffers(f"la tabla «{entry.name}» hoy no es de la plataforma, sino {entry.kind}")
    elif section is Section.DATA and entry.kind is not TableClass.OWNED:
        raise SchemaDiffers(f"la tabla «{entry.name}» hoy no es de la clínica, sino {entry.kind}; {SAY_AGAIN}")
    elif section is Section.REFERENCES and entry.name == catalogue.tenant_table:
        raise RestoreRefused(f"el archivo trae en «referencias» «{model}», que es la tabla de clínicas")
    elif section is Section.REFERENCES and not entry.recorded:
        raise SchemaDiffers(f"la tabla «{entry.name}» hoy no es compartida, sino {entry.kind}; {SAY_AGAIN}")
    if taken := OURS.intersection(column.name for column in (*entry.table.columns, *entry.table.generated)):
        raise SchemaDiffers(f"la tabla «{entry.name}» tiene una columna «{taken.pop()}», nombre reservado")
    if len(entry.table.columns) > MOST_COLUMNS:
        raise SchemaDiffers(
            f"la tabla «{entry.name}» tiene {len(entry.table.columns):,} columnas, y se restauran tablas de"
            f" {MOST_COLUMNS:,} como mucho: pase algunas a otra tabla, o bórrelas si están vacías"
        )
    found, cast = [], []
    for column in described.columns:
        today = next((each for each in entry.table.columns if each.name == column.name), None)
        if today is None:
            what = "es calculada" if entry.table.column(column.name) is not None else "no existe"
            raise SchemaDiffers(
                f"la columna «{column.name}» de «{model}» está en el respaldo y hoy {what}; {MAKE_AGAIN}"
            )
        if today.type != column.type:
            cast.append(replace(today, type=column.type, form=column.form))
        elif today.form is not column.form:
            raise SchemaDiffers(
                f"la columna «{column.name}» de «{model}» era de tipo {column.type} y hoy es {today.type}"
            )
        found.append(today)
    names = {column.name for column in found}
    if len(names) < len(found) or not names.issuperset(described.key):
        raise SchemaDiffers(f"el archivo describe mal las columnas de «{model}»")
    return StagedTable(
        number=number,
        section=section,
        model=model,
        entry=entry,
        table=replace(entry.table, columns=tuple(found), key=described.key),
        extra=tuple(column for column in entry.table.columns if column.name not in names),
        key=entry.table.key if names.issuperset(entry.table.key) else (),
        cast=tuple(cast),
    )


def is_left_out(section: Section, model: str, header: Header, catalogue: Catalogue) -> bool:
    """Whether the file has logins of a table that no restore reads: of a file made before they were the platform's.

    Or those of a table whose rows nothing ties to a clinic any more. The platform's own file has them as its data.
    """
    if header.clinica_id is None:
        return False
    entry = catalogue.entries.get(table_of(model, header, catalogue))
    return entry is not None and entry.kind is TableClass.ACCESS and (section is Section.DATA or not entry.referable)


def table_of(model: str, header: Header, catalogue: Catalogue) -> TableName:
    """The table of today that a model is, whatever its clinic's schema was called."""
    described = header.models[model]
    return TableName(described.schema or catalogue.schema or "public", described.table)


def refuse_required_columns(staged: StagedTable, defaults: Collection[str]) -> None:
    """Raise SchemaDiffers where new rows would need values that the file does not have."""
    missing = [column.name for column in staged.extra if not column.nullable and column.name not in defaults]
    if missing:
        raise SchemaDiffers(
            f"«{staged.model}» tiene hoy columnas obligatorias que el respaldo no conoce: {', '.join(missing)};"
            " déles un valor por omisión (ALTER TABLE … ALTER COLUMN … SET DEFAULT …) mientras se restaura"
        )


def create_stage(staged: StagedTable) -> str:
    """The table that takes the file's lines. Compressing long ones would cost more than it saves."""
    return (
        f'CREATE TEMP TABLE "stage_{staged.number}" ({quote(LINE)} text COLLATE "C", {quote(HASH)} bigint'
        f" GENERATED ALWAYS AS (hashtextextended({quote(LINE)}, 0)) STORED);"
        f' ALTER TABLE "stage_{staged.number}" ALTER {quote(LINE)} SET STORAGE EXTERNAL'
    )


def line_hash(line: str) -> str:
    """What `stage` has of an equal line. Only a hint: a restore is proven by the digests of the rows read again."""
    return f'hashtextextended({line} COLLATE "C", 0)'


def typed_rows(staged: StagedTable, lines: str) -> str:
    """AT and the file's columns, cast as docs/format.md says, of lines given by a query over AT and LINE."""
    x, values, read = "x", [], [f"{quote(JSON_NULL_KEY)} jsonb"]
    for column in staged.table.columns:
        name = quote(column.name)
        if column.form is Form.JSONB:
            read.append(f"{name} json")
            null = f"{x}.{quote(JSON_NULL_KEY)} ? {literal(column.name)}"
            values.append(f"(CASE WHEN {null} THEN 'null' ELSE {x}.{name}::text END)::{column.type} AS {name}")
        else:
            read.append(f"{name} text")
            values.append(f"{x}.{name}::{column.type} AS {name}")
    picked = ", ".join((f"l.{quote(AT)}", *values))
    return (
        f"SELECT {picked} FROM ({lines}) AS l"
        f" CROSS JOIN LATERAL json_to_record(l.{quote(LINE)}::json) AS {x}({', '.join(read)})"
    )


def create_typed(staged: StagedTable, name: str) -> str:
    """An empty table of AT and the file's columns, each with the type and the collation that it has today."""
    return (
        f"CREATE TEMP TABLE {name.removeprefix('pg_temp.')} AS"
        f" SELECT NULL::tid AS {quote(AT)}{and_columns('t', staged.names)} FROM {staged.real} AS t WITH NO DATA"
    )


def create_meeting(staged: StagedTable) -> str:
    """The tables `current`, `file`, `today` and `pairs`, empty."""
    copy = f", NULL::bigint AS {quote(COPY)}"
    every = tuple(column.name for column in (*staged.entry.table.columns, *staged.entry.table.generated))
    number = staged.number
    return (
        f'CREATE TEMP TABLE "current_{number}" AS SELECT t.tableoid AS {quote(REL)}, t.ctid AS {quote(TID)},'
        f" NULL::bigint AS {quote(HASH)}{copy} FROM {staged.real} AS t WITH NO DATA; "
        f"{create_typed(staged, staged.file)}; "
        f'CREATE TEMP TABLE "today_{number}" AS SELECT t.tableoid AS {quote(REL)}, t.ctid AS {quote(TID)},'
        f" t.xmin AS {quote(VERSION)}{and_columns('t', every)} FROM {staged.real} AS t WITH NO DATA; "
        f'CREATE TEMP TABLE "pairs_{number}" ({quote(FILE)} tid, {quote(TODAY)} tid, {quote(KIND)} "char")'
    )


def and_columns(alias: str, names: tuple[str, ...]) -> str:
    """Columns of the row `alias` that follow others; there may be none."""
    return f", {columns(alias, names)}" if names else ""
