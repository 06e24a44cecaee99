"""One reading of a source: the records that have the words in them, and those that are looked up by their keys."""

from collections import Counter
from collections.abc import Callable, Container, Iterable, Iterator
from typing import Final

from app.clinic.catalogue.introspection import TableName
from app.clinic.reading.look_up import Lookup
from app.dump.document import Section
from app.respaldos.search.records import Model, Relations, Row, finder

# Records of one source in which the longest word is, and of which nothing is known yet. Who has as many to look
# through wants another word; it is what bounds the memory of a search.
MOST_HITS: Final = 5_000

# The same of the length of their lines. Three sources of each of four searches are looked through at once.
MOST_BYTES: Final = 32 << 20


class Scan:
    """Fed with a source's models and their lines, in any thread; then `rows` are the records that were found.

    `words` is a pattern, to be looked for in the tables `searched`, None for all of the clinic's own. What `judged`
    has is passed over: hashes of model and line, of lines that are no result. With a record that has a word comes
    what is one with it, where that stands further down. `overflow`: more have a word than MOST_HITS, or MOST_BYTES.

    Of what is looked up `keep` records of a table are among the rows, and all are in `counted`.
    """

    def __init__(
        self,
        lookups: Iterable[Lookup],
        relations: Relations,
        *,
        words: str | None = None,
        searched: Container[TableName] | None = None,
        judged: Container[int] = frozenset(),
        keep: int | None = None,
    ) -> None:
        self.counted: Counter[TableName] = Counter()
        self.rows: list[Row] = []
        self.overflow = False
        self._relations = relations
        self._words = words
        self._gathers = words is not None
        self._searched = searched
        self._judged = judged
        self._wanted: dict[TableName, dict[tuple[str, ...], set[tuple[str, ...]]]] = {}
        self._passed: set[TableName] = set()
        self._find: Callable[[bytes], Iterator[bytes]] | None = None
        self._model: Model | None = None
        self._hunting = self._gathering = self._shown = False
        self._hits = 0
        self._bytes = 0
        self._keep = keep
        self._known = frozenset(lookups)
        for lookup in self._known:
            self._want(lookup)

    @property
    def done(self) -> bool:
        """Whether nothing that is still to come is wanted."""
        return self._words is None and self._passed.issuperset(self._wanted)

    def wants(self, table: TableName, section: Section = Section.DATA) -> bool:
        """Whether the table's lines are to be fed."""
        return table in self._wanted or self._hunts(table, section)

    def begin(self, model: Model, section: Section = Section.DATA) -> None:
        """Lines of this model follow."""
        self._model = model
        self._hunting = self._hunts(model.table, section)
        self._gathering = self._gathers and self._searches(model.table, section)
        # Of other rows of `referencias`, as those that no clinic owns, today's are not shown.
        self._shown = section is Section.DATA or self._relations.shared(model.table)
        self._look(model)

    def feed(self, block: bytes) -> None:
        """Whole lines of the model begun last. Raises FormatError where one is no record."""
        if self._find is None or self._model is None:
            return
        lines = [line for line in self._find(block) if self._model.digest(line) not in self._judged]
        for row, line in zip(self._model.rows(lines), lines, strict=True):
            self._take(row, len(line))
        if self.overflow and self._hits >= MOST_HITS and self._words is not None:
            # No further one would be kept: only what is looked up is still to be found.
            self._words = None
            self._look(self._model)

    def end(self) -> None:
        """The model begun last is complete."""
        if self._model is not None:
            self._passed.add(self._model.table)

    def _hunts(self, table: TableName, section: Section) -> bool:
        return self._words is not None and self._searches(table, section)

    def _searches(self, table: TableName, section: Section) -> bool:
        return section is Section.DATA and (self._searched is None or table in self._searched)

    def _look(self, model: Model) -> None:
        wanted = self._wanted.get(model.table, {}) if self._shown else {}
        self._find = finder(model, self._words if self._hunting else None, wanted)

    def _want(self, lookup: Lookup) -> None:
        self._wanted.setdefault(lookup.table, {}).setdefault(lookup.columns, set()).add(lookup.values)

    def _take(self, row: Row, size: int) -> None:
        table = row.model.table
        looked_up = {
            Lookup(table, columns, values)
            for columns, wanted in self._wanted.get(table, {}).items()
            if (values := row.values_of(columns)) in wanted
        }
        if looked_up:
            self.counted[table] += 1
            if self._keep is not None and self.counted[table] > self._keep:
                return
        elif not self._hunting:
            return
        # What is known already has to be told of; what comes with a hit is as much of it as the hit.
        if self._known.isdisjoint(looked_up):
            if self._bytes + size > MOST_BYTES or (not looked_up and self._hits >= MOST_HITS):
                self.overflow = True
                return
            self._bytes += size
            self._hits += not looked_up
        self.rows.append(row)
        if self._gathering:
            for fk, child in self._relations.children(table):
                if (lookup := row.pointed_to(fk, child)) is not None:
                    self._want(lookup)
