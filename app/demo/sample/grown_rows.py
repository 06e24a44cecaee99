"""The rows of one clinic in the grown schema: those of `rows`, and around each visit those of the newer tables.

Every row's foreign keys lead to its own clinic, so a row whose `clinica_id` is NULL says by them whose it is.
"""

import json
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from itertools import cycle, islice
from random import Random
from typing import ClassVar, Final

from app.demo.sample.clinics import SampleClinic, SampleLogin
from app.demo.sample.copy_format import NULL, copy_text, money, text_array
from app.demo.sample.grown_schema import GROWN_OWNED, NEW_NAMES
from app.demo.sample.rows import FIRST_DAY, LAST_DAY, PATIENT_ROWS, VISIT_ROWS, Batch, ClinicRows
from app.demo.sample.schema import BY_NAME, Column, Table
from app.demo.sample.wording import SERVICES
from app.errors import SettingsError

# From so many records on a clinic has a row in every table; a smaller one has those of `rows` only.
SMALLEST_GROWN: Final = 120

# A patient of both these clinics, with one login and a row of `usuario` in each.
SHARED_LOGIN: Final = SampleLogin("dos.clinicas@respaldos.example", "Inés", "Suárez Ñuflo", "Paciente", None)
_SHARING: Final = (1, 2)

# What a clinic gets before its first visit, a row of each and more in larger clinics.
_EQUIPMENT: Final = (
    "consultorio",
    "sillon",
    "etiqueta",
    "proveedor",
    "insumo",
    "medicamento",
    "descuento",
    "encuesta",
    "configuracion_clinica",
)
# How many rows a visit brings, on average; at most one each.
_AT_A_VISIT: Final = {
    "poliza": 0.05,
    "compra": 0.05,
    "item_compra": 0.15,
    "movimiento_insumo": 0.5,
    "receta": 0.35,
    "item_receta": 0.6,
    "radiografia": 0.25,
    "documento": 0.3,
    "consentimiento": 0.15,
    "cita_recordatorio": 0.9,
    "lista_espera": 0.05,
    "reclamo_seguro": 0.05,
    "gasto": 0.1,
    "nomina": 0.04,
    "tarea": 0.2,
    "mensaje": 0.5,
    "adjunto": 0.15,
    "respuesta_encuesta": 0.2,
    "auditoria": 0.9,
}
_TILL_AT_A_VISIT: Final = 0.02
_TILL_ROWS: Final = 3

# Rows point to one of the last so many of the table, so that memory does not grow with the clinic.
_REMEMBERED: Final = 64
_NULL_VALUES: Final = 0.2
_NULL_KEYS: Final = 0.3
# Every so many rows that could, one points into another clinic, until there are as many as asked for.
_STRAY_EVERY: Final = 5

# How many rows `generate` makes of the shared tables that the newer ones point to.
_SHARED_ROWS: Final = {"servicio": len(SERVICES), "tipopago": 5}

_Maker = Callable[[int], object]


def _loaded(table: Table) -> list[Column]:
    return [column for column in table.columns if not column.generated]


_DAYS: Final = (LAST_DAY - FIRST_DAY).days
_LOADED: Final = {table.name: _loaded(table) for table in GROWN_OWNED}
_NEW_IN_ORDER: Final = tuple(name for name in _LOADED if name in NEW_NAMES)
# The columns whose values `rows` does not give: all of a newer table, and those added to the others.
_MADE_HERE: Final = {
    name: [column for column in columns[:-1] if name in NEW_NAMES or column not in BY_NAME[name].columns]
    for name, columns in _LOADED.items()
}
# Where in a loaded row the keys to rows of a clinic are, the tenant column's own left out.
_OWNED_KEYS: Final = {
    name: [at for at, column in enumerate(columns[:-1]) if column.references in _LOADED]
    for name, columns in _LOADED.items()
}


def _nullable(table: str, at: int) -> bool:
    return _LOADED[table][at].nullable


@dataclass(frozen=True, slots=True)
class GrownOptions:
    """How a grown database differs from a tidy one.

    `null_fraction`, 0 to 1, is the part of each table's rows whose tenant column is NULL, of those whose
    foreign keys then still say whose they are; if it is not 0, each clinic with visits has one such row at
    least. `orphans` are rows of nobody, in all; `strays`, at most so many of each clinic but the first, point
    into the one before by a key that may be NULL. Raises SettingsError for numbers that cannot be.
    """

    null_fraction: float = 0.0
    orphans: int = 0
    strays: int = 0

    def __post_init__(self) -> None:
        if not 0 <= self.null_fraction <= 1:
            raise SettingsError(f"La fracción de filas sin clínica debe estar entre 0 y 1, y es {self.null_fraction}")
        if self.orphans < 0 or self.strays < 0:
            raise SettingsError("El número de filas de nadie o desviadas no puede ser negativo")


def shares_login(clinic: SampleClinic) -> bool:
    """Whether SHARED_LOGIN is a patient of this clinic."""
    return clinic.id in _SHARING and clinic.records >= SMALLEST_GROWN


class GrownRows(ClinicRows):
    """Every row of one clinic but its own in `clinica`; the same but for NULLs and strays whatever the options."""

    _tables: ClassVar[tuple[Table, ...]] = GROWN_OWNED
    _patient_rows: ClassVar[int] = PATIENT_ROWS + 1
    _visit_rows: ClassVar[int] = VISIT_ROWS + len(_AT_A_VISIT) + _TILL_ROWS

    def __init__(
        self,
        clinic: SampleClinic,
        seed: int,
        first_keys: Mapping[str, int],
        options: GrownOptions,
        elsewhere: Mapping[str, int],
    ) -> None:
        """`elsewhere` has, by table, the key of another clinic's row that is there already, for strays."""
        super().__init__(clinic, seed, first_keys, tenant_column=False)
        self._complete = clinic.records >= SMALLEST_GROWN
        self._id = str(clinic.id)
        self._fraction = options.null_fraction
        # So that a thousandth of a small table is a row in one table of many, and not in none.
        phases = Random(f"{seed}:{clinic.id}:null")  # noqa: S311
        self._due = {table.name: phases.random() for table in GROWN_OWNED}
        if options.null_fraction:
            self._due["consulta"] = 1.0
        self._strays = options.strays
        self._could_stray = 0
        self._elsewhere = elsewhere
        self._known: dict[str, deque[int]] = {table.name: deque(maxlen=_REMEMBERED) for table in GROWN_OWNED}
        self._makers = {
            table.name: [self._maker(table, column) for column in _MADE_HERE[table.name]] for table in GROWN_OWNED
        }

    @property
    def last_keys(self) -> dict[str, int]:
        """A key of each table that has rows by now."""
        return {name: keys[-1] for name, keys in self._known.items() if keys}

    def orphans(self, count: int) -> Batch:
        """So many rows that no clinic owns: neither tenant column nor foreign key says any."""
        free = [name for name in _NEW_IN_ORDER if all(_nullable(name, at) for at in _OWNED_KEYS[name])]
        for name in islice(cycle(free), count):
            key = self._key(name)
            values = [make(key) for make in self._makers[name]]
            for at in _OWNED_KEYS[name]:
                values[at] = NULL
            super()._put(name, *values, NULL)
        return self._taken()

    def _found(self) -> None:
        if not self._complete:
            return
        for number in range(1 + self._several):
            self._add("area", padre_id=self._pick(self._known["area"]) if number else NULL)
        for _ in range(self._several):
            self._add("especialidad")
        # Its dentist in charge is hired later, and works there.
        self._known["sucursal"].append(self._key("sucursal"))

    def _equip(self) -> None:
        if not self._complete:
            return
        (branch,) = self._known["sucursal"]
        self._add("sucursal", branch, encargado_id=self._dentists[0])
        for _ in range(self._several // 4):
            self._add("sucursal")
        for _ in range(self._several):
            self._add("seguro")
        for name in _EQUIPMENT:
            for _ in range(self._several):
                self._add(name)
        self._till()
        self._admit(0, SHARED_LOGIN if shares_login(self._clinic) else None)

    @property
    def _several(self) -> int:
        return min(1 + self._clinic.records // 200, 12)

    def _till(self) -> None:
        """A till, a shift at it, and the closing that the till says was its last: a cycle."""
        till = self._key("caja")
        shift = self._add("turno_personal", caja_id=till)
        closing = self._add("cierre_caja", turno_id=shift)
        self._add("caja", till, cierre_actual_id=closing)

    def _admit(self, day: int, login: SampleLogin | None = None) -> int:
        patient = super()._admit(day, login)
        if self._known["etiqueta"] and (self._random() < 0.4 or not self._known["paciente_etiqueta"]):
            self._add("paciente_etiqueta", patient)
        return patient

    def _visit(self, patient: int, chart: int, day: int, visit: int, *, complete: bool = False) -> int:
        chart = super()._visit(patient, chart, day, visit, complete=complete)
        if self._complete:
            if self._random() < _TILL_AT_A_VISIT:
                self._till()
            for name, chance in _AT_A_VISIT.items():
                if complete or self._random() < chance:
                    self._add(name)
        return chart

    def _add(self, name: str, key: int | None = None, **given: object) -> int:
        """A row of a newer table, with values of its own where none is given; its key, or its first part."""
        if key is None:
            key = self._key(name)
        columns = _LOADED[name]
        values = [
            given[columns[at].name] if columns[at].name in given else make(key)
            for at, make in enumerate(self._makers[name])
        ]
        values[0] = key
        self._label(name, key, values)
        return key

    def _put(self, table: str, *values: object) -> None:
        """A row as `rows` makes it, without the columns that were added."""
        key = int(str(values[0]))
        self._label(table, key, [*values, *[make(key) for make in self._makers[table]]])

    def _label(self, table: str, key: int, row: list[object]) -> None:
        """Say in the tenant column whose the row is, or leave that to its foreign keys."""
        self._due[table] += self._fraction
        owners = _OWNED_KEYS[table]
        if self._due[table] >= 1 and any(row[at] != NULL for at in owners):
            self._due[table] -= 1
            super()._put(table, *row, NULL)
        else:
            if self._strays:
                self._stray(table, row)
            super()._put(table, *row, self._id)
        known = self._known[table]
        if key not in known:
            known.append(key)

    def _stray(self, table: str, row: list[object]) -> None:
        for at in _OWNED_KEYS[table]:
            target = _LOADED[table][at].references or ""
            if row[at] != NULL and _nullable(table, at) and target in self._elsewhere:
                self._could_stray += 1
                if self._could_stray % _STRAY_EVERY == 0:
                    row[at] = self._elsewhere[target]
                    self._strays -= 1
                return

    def _maker(self, table: Table, column: Column) -> _Maker:
        """What makes a value of the column, for a row with this key."""
        if column.name == table.key:
            return lambda key: key
        if column.references is not None:
            # Without her branch, the first dentist would close no cycle with it.
            certain = not column.nullable or (table.name, column.name) == ("odontologo", "sucursal_id")
            return self._key_maker(column.references, absent=0 if certain else _NULL_KEYS)
        make = self._value_maker(table.name, column)
        if not column.nullable:
            return make
        random = self._random
        return lambda key: NULL if random() < _NULL_VALUES else make(key)

    def _key_maker(self, target: str, *, absent: float) -> _Maker:
        """A key of the table; NULL with that probability, and where the clinic has no such row yet."""
        random = self._random
        known: Sequence[int] = self._known[target] if target in _LOADED else range(1, _SHARED_ROWS[target] + 1)
        return lambda _: self._pick(known) if random() >= absent and known else NULL

    def _value_maker(self, table: str, column: Column) -> _Maker:
        random, words = self._random, self._words
        kind = column.definition.removesuffix(" NOT NULL")
        width = int(kind[8:-1]) if kind.startswith("varchar") else None
        named: dict[str, _Maker] = {
            "nombre": lambda _: copy_text(words.sentence()[: min(width or 0, 40)].strip()),
            "telefono": lambda _: words.phone(),
            "codigo": lambda key: f"{table[:3].upper()}-{self._id}-{key}",
            "archivo": lambda key: f"radiografias/{self._id}/{key:08}.dcm",
            "ruta": lambda key: f"C:\\\\Documentos\\\\clínica {self._id}\\\\{key}.pdf",
            "url": lambda key: f"https://archivos.{self._clinic.domain}/documentos/{key}.pdf?version=1",
            "clave_objeto": lambda key: f"clinicas/{self._id}/{table}/{key}",
        }
        if column.name in named:
            return named[column.name]
        if width is not None:
            return lambda _: copy_text(words.sentence()[:width])
        makers: dict[str, _Maker] = {
            "text": lambda _: copy_text(words.note(1 + int(random() * 3))),
            "smallint": lambda _: 1 + int(random() * 40),
            "bigint": lambda _: int(random() * 40_000_000),
            "numeric(10,2)": lambda _: money(int(random() * 900_000)),
            "numeric(12,2)": lambda _: money(int(random() * 9_000_000)),
            "boolean": lambda _: random() < 0.5,
            "date": lambda _: (FIRST_DAY + timedelta(self._day())).isoformat(),
            "time": lambda _: f"{6 + int(random() * 14):02}:30",
            "timestamptz": lambda _: self._timestamp(self._day(), int(random() * 86_400)),
            "interval": lambda _: f"{int(random() * 72)} hours",
            "uuid": lambda _: self._uuid(),
            "inet": lambda _: words.ip_address(),
            "bytea": lambda _: f"\\\\x{self._source.getrandbits(160):040x}",
            "text[]": lambda _: text_array([words.sentence()[:20] for _ in range(int(random() * 3))]),
            "jsonb": lambda key: self._document(key),
        }
        return makers[kind]

    def _day(self) -> int:
        return int(self._random() * _DAYS)

    def _document(self, key: int) -> str:
        """JSON null now and then, also inside."""
        if self._random() < 0.05:
            return "null"
        value = {"numero": key, "nota": self._words.sentence(), "valores": [self._random() < 0.5, None, "ñ"]}
        return copy_text(json.dumps(value, ensure_ascii=False))
