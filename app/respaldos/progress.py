"""How far a running operation has come."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import TypedDict


class Etapa(StrEnum):
    """What a running operation is doing."""

    PREPARANDO = "preparando"
    LEYENDO = "leyendo"
    SUBIENDO = "subiendo"
    RELEYENDO = "releyendo"
    COMPROBANDO = "comprobando"
    VERIFICANDO = "verificando"
    RESPALDANDO = "respaldando"
    COMPARANDO = "comparando"
    APLICANDO = "aplicando"
    CONFIRMANDO = "confirmando"
    ENSAYANDO = "ensayando"


class Progreso(TypedDict):
    """The column `progreso`: what has passed and of how much, where that can be known; `porcentaje` is of the whole.

    Bytes are those of the document before compression, of a verification those of the file.
    """

    etapa: str
    modelo: str
    registros: int
    registros_esperados: int | None
    bytes: int
    bytes_esperados: int | None
    porcentaje: float | None


@dataclass(frozen=True, slots=True)
class Expected:
    """How much an operation will probably move: as much as the last time."""

    records: int | None
    bytes: int | None


# Reading back is quicker than reading the rows, compressing and sending them, so it is this share of the whole.
_READ_BACK_SHARE = 0.1


class Progress:
    """Counts what has moved, and remembers when. `on_change` is called after each step.

    `copy` is the name of the second copy's bucket that a backup's object is read from, if it is.
    """

    def __init__(self, on_change: "Callable[[Progress], None] | None" = None) -> None:
        self.stage = Etapa.PREPARANDO
        self.model = ""
        self.records = 0
        self.bytes = 0
        self.expected: Expected | None = None
        self.copy: str | None = None
        self._back: tuple[int, int] | None = None
        self._on_change = on_change
        self._moved = time.monotonic()

    @property
    def idle_seconds(self) -> float:
        """Seconds since anything has moved."""
        return time.monotonic() - self._moved

    def enter(self, stage: Etapa) -> None:
        """The operation goes on to its next stage."""
        self.stage = stage
        self.advance(bytes_=0)

    def advance(self, *, bytes_: int, records: int = 0) -> None:
        """Bytes of the document, and records in them, have passed; none, where something else has moved."""
        self.bytes += bytes_
        self.records += records
        self._moved = time.monotonic()
        if self._on_change is not None:
            self._on_change(self)

    def touch(self) -> None:
        """Something else has moved, which nobody need be told."""
        self._moved = time.monotonic()

    def read_back(self, *, bytes_: int, of: int) -> None:
        """More bytes of the stored object, which has `of`, have been read again."""
        self._back = ((self._back[0] if self._back is not None else 0) + bytes_, of)
        self.advance(bytes_=0)

    def as_row(self) -> Progreso:
        """What the column `progreso` is told."""
        known = self.expected or Expected(None, None)
        return {
            "etapa": self.stage,
            "modelo": self.model,
            "registros": self.records,
            "registros_esperados": known.records,
            "bytes": self.bytes,
            "bytes_esperados": known.bytes,
            "porcentaje": self._percent(known.bytes),
        }

    def _percent(self, expected: int | None) -> float | None:
        if self.stage == Etapa.VERIFICANDO:
            return round(100 * min(1.0, self.bytes / expected), 1) if expected else None
        if self._back is not None:
            passed, size = self._back
            return round(100 * (1 - _READ_BACK_SHARE * (1 - passed / size)), 1) if size else None
        if self.stage in (Etapa.RELEYENDO, Etapa.COMPROBANDO):
            return round(100 * (1 - _READ_BACK_SHARE), 1)
        return round(100 * (1 - _READ_BACK_SHARE) * min(1.0, self.bytes / expected), 1) if expected else None
