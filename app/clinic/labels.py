"""What people call a record: by the columns that name it, and by the records that it points to."""

import re
from collections.abc import Awaitable, Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, tzinfo
from string import Formatter
from typing import TypeAlias

from app.clinic.catalogue.entries import Catalogue, Entry, TableClass
from app.clinic.catalogue.introspection import Column, ForeignKey, TableName
from app.clinic.catalogue.secret_columns import SecretColumns
from app.clinic.reading.look_up import Lookup, Values
from app.dump.document import Form
from app.folded import fold
from app.printable import printable

SEPARATOR = " · "

# A label is cut to so many characters, a value in it to fewer.
LABEL_CHARACTERS = 120
VALUE_CHARACTERS = 80

# Of what names it beside a person's name: number, date, whose it is.
PARTS = 3

# How many keys are followed to somebody's name: from an appointment to its patient, and from there to the user.
HOPS = 3

# Names of columns as they are without accents, case and what is no letter.
_WHOLE_NAMES = ("nombrecompleto", "fullname", "displayname", "apellidosynombres", "nombresyapellidos")
_GIVEN_NAMES = ("nombre", "nombres", "firstname", "name", "givenname")
_FAMILY_NAMES = (
    *("apellido", "apellidos", "primerapellido", "apellidopaterno", "segundoapellido", "apellidomaterno"),
    *("lastname", "surname", "familyname"),
)
_TITLES = ("titulo", "title", "razonsocial", "denominacion", "asunto", "subject")
_CODES = ("numero", "nro", "number", "codigo", "code", "folio")
_TEXTS = ("descripcion", "description", "motivo", "detalle", "concepto", "accion", "reason")
_LOGINS = ("correo", "correoelectronico", "email", "mail", "username", "nombreusuario")
# Of tables that clinics share, which hold states and kinds.
_KINDS = ("rol", "role", "estado", "status", "state", "tipo", "type", "hora", "valor", "value")

# Dates that do not say which record it is.
_OTHER_DATES = ("nacimiento", "birth", "vencimiento", "expir", "fin", "end", "actualiz", "updat", "modif", "baja")
_MADE_DATES = ("creacion", "creado", "creat", "registro", "alta", "joined")

_NO_LETTER = re.compile(r"[^a-z0-9]")
# What is left of a template where a value is missing.
_EMPTY = re.compile(r" ?\( ?\)")
_LOOSE_ENDS = " ·,;:-–/"


# Finds records among those of one moment; what is not there is left out.
Fetch: TypeAlias = Callable[[Collection[Lookup]], Awaitable[Mapping[Lookup, Values]]]


@dataclass(frozen=True, slots=True)
class Path:
    """A column of the record, or of what it points to by these keys, one after the other."""

    hops: tuple[ForeignKey, ...]
    column: Column


Part: TypeAlias = tuple[str | Path, ...]


@dataclass(frozen=True, slots=True)
class RecordLabels:
    """RECORD_LABELS: by table or model, its template, `{codusuario.nombre} {codusuario.apellido}`.

    `time_zone` is the clinics', in which moments are shown.
    """

    templates: Mapping[str, str] = field(default_factory=dict)
    time_zone: tzinfo = UTC


class Labels:
    """What the records of one catalogue are called.

    `problems` are sentences on templates that cannot be followed; what they name is called as without them. Nothing
    that `secrets` has is in a label.
    """

    def __init__(self, catalogue: Catalogue, secrets: SecretColumns, settings: RecordLabels) -> None:
        self.problems: list[str] = []
        self._catalogue = catalogue
        self.secrets = secrets
        self._time_zone = settings.time_zone
        # Of these rules, the first that says anything.
        self._rules: dict[TableName, tuple[tuple[Part, ...], ...]] = {}
        for name, text in settings.templates.items():
            try:
                entry = self._named(name)
                self._rules[entry.name] = ((tuple(self._parse(entry, text)),),)
            except ValueError as exc:
                self.problems.append(f"RECORD_LABELS: {exc}")

    async def of(self, records: Sequence[tuple[TableName, Values]], fetch: Fetch) -> list[str]:
        """The label of each of these records; empty where nothing names it."""
        known: dict[Lookup, Values | None] = {}
        while wanted := {
            at
            for table, values in records
            for path in self._paths(table)
            if isinstance(at := _follow(values, path, known), Lookup)
        }:
            found = await fetch(wanted)
            known |= {lookup: found.get(lookup) for lookup in wanted}
        return [self._render(table, values, known) for table, values in records]

    async def at(self, lookups: Collection[Lookup], fetch: Fetch) -> dict[Lookup, str]:
        """The labels of the records that are there, of those looked up; of the others nothing."""
        found = await fetch(lookups) if lookups else {}
        labels = await self.of([(lookup.table, values) for lookup, values in found.items()], fetch)
        return {lookup: label for lookup, label in zip(found, labels, strict=True) if label}

    def target(self, table: TableName, column: str, value: str) -> Lookup | None:
        """What that value of the column points to by itself; None where the column is no such key."""
        entry = self._catalogue.entries.get(table)
        for fk in entry.table.foreign_keys if entry is not None else ():
            if fk.columns == (column,) and self._may_name(fk):
                return Lookup(fk.target, fk.target_columns, (value,))
        return None

    def _paths(self, table: TableName) -> Iterator[Path]:
        for parts in self._rules_of(table):
            for part in parts:
                yield from (piece for piece in part if isinstance(piece, Path))

    def _rules_of(self, table: TableName) -> tuple[tuple[Part, ...], ...]:
        found = self._rules.get(table)
        if found is None:
            entry = self._catalogue.entries.get(table)
            found = (tuple(self._parts(entry, ())), tuple(self._login(entry))) if entry is not None else ()
            self._rules[table] = found
        return found

    def _render(self, table: TableName, values: Values, known: Mapping[Lookup, Values | None]) -> str:
        for parts in self._rules_of(table):
            texts = ("".join(self._text(piece, values, known) for piece in part) for part in parts)
            tidy = (_EMPTY.sub("", " ".join(text.split())).strip(_LOOSE_ENDS) for text in texts)
            if label := SEPARATOR.join(dict.fromkeys(filter(None, tidy))):
                return cut(printable(label), LABEL_CHARACTERS)
        return ""

    def _text(self, piece: str | Path, values: Values, known: Mapping[Lookup, Values | None]) -> str:
        if isinstance(piece, str):
            return piece
        value = _follow(values, piece, known)
        return self._shown(self.secrets.shown(value), piece.column) if isinstance(value, str) else ""

    def _shown(self, value: str, column: Column) -> str:
        if column.type.startswith("timestamp"):
            try:
                at = datetime.fromisoformat(value)
            except ValueError:
                return value
            return f"{at if at.tzinfo is None else at.astimezone(self._time_zone):%Y-%m-%d %H:%M}"
        return cut(value, VALUE_CHARACTERS)

    # The rule for who has said nothing

    def _parts(self, entry: Entry, hops: tuple[ForeignKey, ...]) -> list[Part]:
        if name := self._person(entry, hops):
            return [name]
        for fk, parent in self._parents(entry, hops):
            if fk in self._catalogue.one_with(entry) and (found := self._parts(parent, (*hops, fk))):
                return found
        called = self._called(entry, hops)
        if called and entry.kind is not TableClass.OWNED:
            return called[:1]
        found = [*called, *self._column(self._date(entry), hops)]
        for fk, parent in self._parents(entry, hops):
            if len(found) < PARTS and (short := self._short(parent, (*hops, fk))):
                found.append(short)
        if len(found) < 2:
            found += self._column(self._first(entry, _TEXTS), hops)
        return found

    def _login(self, entry: Entry) -> Iterator[Part]:
        return self._column(self._first(entry, _LOGINS), ())

    def _short(self, entry: Entry, hops: tuple[ForeignKey, ...]) -> Part:
        """The one part that says most about a record that another one points to; empty where there is none."""
        if name := self._person(entry, hops):
            return name
        if called := self._called(entry, hops):
            return called[0]
        shorts = (self._short(parent, (*hops, fk)) for fk, parent in self._parents(entry, hops))
        return next(filter(None, shorts), ())

    def _person(self, entry: Entry, hops: tuple[ForeignKey, ...]) -> Part:
        if (whole := self._first(entry, _WHOLE_NAMES)) is not None:
            return (Path(hops, whole),)
        given = self._first(entry, _GIVEN_NAMES)
        family = [column for name in _FAMILY_NAMES if (column := self._first(entry, (name,))) is not None]
        names = [Path(hops, column) for column in (given, *family) if column is not None]
        return tuple(piece for path in names for piece in (path, " "))

    def _called(self, entry: Entry, hops: tuple[ForeignKey, ...]) -> list[Part]:
        code = self._first(entry, _CODES)
        if code is not None and (code.type == "uuid" or code.name in entry.table.key):
            code = None
        title = self._first(entry, _TITLES)
        if title is None and entry.kind is not TableClass.OWNED:
            title = self._first(entry, _KINDS) or next(
                (column for column in self._columns(entry) if _bare(column.name).startswith(_GIVEN_NAMES)), None
            )
        return [*self._column(code, hops), *self._column(title, hops)]

    def _date(self, entry: Entry) -> Column | None:
        dates = [column for column in self._columns(entry) if column.type.startswith(("date", "timestamp"))]
        ranked = [
            (name not in {"fecha", "date"}, any(word in name for word in _MADE_DATES), place)
            for place, name in enumerate(_bare(column.name) for column in dates)
            if not any(word in name for word in _OTHER_DATES)
        ]
        return dates[min(ranked)[-1]] if ranked else None

    def _parents(self, entry: Entry, hops: tuple[ForeignKey, ...]) -> list[tuple[ForeignKey, Entry]]:
        """What the table points to, the clinic's own first, else in the order of its columns."""
        order = {column.name: place for place, column in enumerate(entry.table.columns)}
        found = [
            (fk, self._catalogue.entries[fk.target])
            for fk in entry.table.foreign_keys
            if len(hops) < HOPS and self._may_name(fk) and fk.target != entry.name
        ]
        return sorted(
            found, key=lambda each: (each[1].kind is not TableClass.OWNED, order.get(each[0].columns[0], len(order)))
        )

    def _may_name(self, fk: ForeignKey) -> bool:
        entry = self._catalogue.entries.get(fk.target)
        return (
            entry is not None
            and entry.name != self._catalogue.tenant_table
            and entry.kind in {TableClass.OWNED, TableClass.REFERENCED}
        )

    def _first(self, entry: Entry, names: Sequence[str]) -> Column | None:
        by_name = {_bare(column.name): column for column in reversed(self._columns(entry))}
        return next((by_name[name] for name in names if name in by_name), None)

    def _columns(self, entry: Entry) -> list[Column]:
        return [
            column
            for column in entry.described.columns
            if column.form is Form.SCALAR
            and column.type != "bytea"
            and not self.secrets.has(entry.name, entry.model, column.name)
        ]

    def _column(self, column: Column | None, hops: tuple[ForeignKey, ...]) -> Iterator[Part]:
        if column is not None:
            yield (Path(hops, column),)

    # The settings' templates

    def _named(self, name: str) -> Entry:
        for entry in self._catalogue.entries.values():
            if name in {entry.model, entry.name.name, ".".join(entry.name)}:
                return entry
        raise ValueError(f"la tabla «{name}» no existe")

    def _parse(self, entry: Entry, text: str) -> Iterator[str | Path]:
        for literal, names, _, _ in Formatter().parse(text):
            yield literal
            if names is not None:
                yield self._path(entry, names)

    def _path(self, entry: Entry, names: str) -> Path:
        *keys, name = names.split(".")
        hops: list[ForeignKey] = []
        for key in keys:
            fks = sorted((fk for fk in entry.table.foreign_keys if key in fk.columns), key=lambda fk: len(fk.columns))
            if not fks:
                raise ValueError(f"«{entry.name}.{key}» no es una columna que apunte a otra tabla (en «{{{names}}}»)")
            if not self._may_name(fks[0]):
                raise ValueError(f"lo que señala «{entry.name}.{key}» no se muestra (en «{{{names}}}»)")
            hops.append(fks[0])
            entry = self._catalogue.entries[fks[0].target]
        column = next((column for column in entry.described.columns if column.name == name), None)
        if column is None:
            raise ValueError(f"la columna «{entry.name}.{name}» no existe (en «{{{names}}}»)")
        if self.secrets.has(entry.name, entry.model, name):
            raise ValueError(f"«{entry.name}.{name}» es un secreto, y no se muestra (en «{{{names}}}»)")
        return Path(tuple(hops), column)


def cut(text: str, characters: int) -> str:
    """The text, of which no more than so many characters are left."""
    return text if len(text) <= characters else f"{text[: characters - 1].rstrip()}…"


def _bare(name: str) -> str:
    return _NO_LETTER.sub("", fold(name))


def _follow(values: Values, path: Path, known: Mapping[Lookup, Values | None]) -> Lookup | str | None:
    """The value at the end of the path, or what has to be looked up to come further."""
    for fk in path.hops:
        pointing = [value for column in fk.columns if (value := values.get(column)) is not None]
        if len(pointing) < len(fk.columns):
            return None
        lookup = Lookup(fk.target, fk.target_columns, tuple(pointing))
        if lookup not in known:
            return lookup
        found = known[lookup]
        if found is None:
            return None
        values = found
    return values.get(path.column.name)
