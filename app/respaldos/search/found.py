"""A record that was found, and what became of it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from app.clinic.reading.look_up import Lookup
from app.respaldos.search.contract import (
    Coincidencia,
    EstadoRegistro,
    RegistroEncontrado,
    model_name,
)
from app.respaldos.search.records import Id, Row
from app.respaldos.search.sources import Source
from app.respaldos.search.words import Coincidence

# Today is the source of this number; the backups follow, newest first.
TODAY = 0


@dataclass(slots=True)
class Found:
    """A record with what it is one with: the first row is its own.

    `lookups` find these rows in any source; there are none where its table has no key. `versions` say by source what
    it is like there, None where it is not there, for the sources in which it was looked for.
    """

    row: Row
    lookups: tuple[Lookup, ...]
    coincidence: Coincidence
    label: str = ""
    versions: dict[int, int | None] = field(default_factory=dict)
    told: RegistroEncontrado | None = None

    @property
    def id(self) -> Id:
        """Table and key."""
        return self.row.id

    @property
    def gone(self) -> bool:
        """Whether it is not there today, which has been asked."""
        return self.versions[TODAY] is None

    def see(self, number: int, rows: Mapping[Lookup, Row]) -> None:
        """Note what it is like in that source, by the rows that were found there."""
        own = [rows.get(lookup) for lookup in self.lookups]
        self.versions[number] = version(own) if own[0] is not None else None

    def outcome(self, number: int, sources: Sequence[Source]) -> RegistroEncontrado | None:
        """What became of the search's record of that number, as far as is known; None where too little is."""
        there = [each for each, seen in sorted(self.versions.items()) if seen is not None and each != TODAY]
        today = self.versions.get(TODAY)
        state, source = EstadoRegistro.NUEVO, TODAY
        if today is None and there:
            state, source = EstadoRegistro.ELIMINADO, there[0]
        elif there:
            other = next((each for each in there if self.versions[each] != today), None)
            state = EstadoRegistro.IGUAL if other is None else EstadoRegistro.CAMBIO
            source = there[0] if other is None else other
        elif today is None:
            return None
        taken_at = sources[source].taken_at
        return RegistroEncontrado(
            numero=number,
            modelo=self.row.model.name,
            modelo_nombre=model_name(self.row.model.name),
            clave=self.row.clave,
            etiqueta=self.label,
            estado=state,
            en_respaldo=sources[source].respaldo_id,
            fecha_respaldo=taken_at if source != TODAY else None,
            visto_hasta=taken_at if today is None else sources[TODAY].taken_at,
            eliminado_entre=(taken_at, self._gone_by(source, sources)) if today is None else None,
            coincidencia=Coincidencia(
                modelo=self.coincidence.model,
                columna=self.coincidence.column,
                extracto=self.coincidence.excerpt,
            ),
        )

    def _gone_by(self, source: int, sources: Sequence[Source]) -> datetime:
        """When it was first seen that it is gone."""
        return sources[max(each for each in self.versions if each < source)].taken_at


def version(rows: Sequence[Row | None]) -> int:
    """What tells one state of these rows from another, within this process.

    A column that a table got since, and that holds nothing, is no other state.
    """
    return hash(
        tuple(
            frozenset((name, value) for name, value in row.values.items() if value is not None)
            for row in rows
            if row is not None
        )
    )
