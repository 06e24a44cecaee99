"""One search over all sources: which records have the words, and where each of them is."""

import asyncio
from collections.abc import Collection, Iterator, Mapping, Sequence
from functools import partial
from typing import Final

from app.clinic.catalogue.entries import Catalogue
from app.clinic.labels import Labels
from app.clinic.reading.look_up import Lookup
from app.errors import RespaldosError
from app.respaldos.search.contract import EstadoRegistro, RegistroEncontrado
from app.respaldos.search.found import TODAY, Found
from app.respaldos.search.records import Id, Relations, Row, version
from app.respaldos.search.scan import Scan
from app.respaldos.search.sources import UNREADABLE, Source, answers, repeated, unreadable, values_of
from app.respaldos.search.turns import in_turns
from app.respaldos.search.words import Words

# Lines that are no result, and records that are left out, to be passed over in the next backup; some 100 bytes each.
MOST_JUDGED: Final = 200_000

BROAD: Final = "lo que se busca está en demasiados registros para mirarlos todos: agregue otra palabra"


class Hunt:
    """Puts into `told` what is found, each time that more is known of it.

    Of the records that are there today `limit` are told, and of those that are not as many; `more`: there are others.
    `avisos` name the backups that cannot be read, and what of `modelos` there is not.
    """

    def __init__(
        self,
        catalogue: Catalogue,
        relations: Relations,
        labels: Labels,
        words: Words,
        told: asyncio.Queue[RegistroEncontrado | None],
        *,
        modelos: Collection[str],
        limit: int,
    ) -> None:
        self.more = False
        self._told = told
        self._relations = relations
        self._labels = labels
        self._words = words
        by_name = {name: each.name for each in catalogue.entries.values() for name in (str(each.name), each.model)}
        self.avisos = [f"no existe ningún modelo «{name}»" for name in modelos if name not in by_name]
        self._chosen = frozenset(by_name[name] for name in modelos if name in by_name) if modelos else None
        self._searched = self._chosen
        if self._chosen is not None:
            self._searched = self._chosen.union(*map(relations.above, self._chosen))
        self._sources: list[Source] = []
        self._repeated: dict[int, int] = {}
        self._found: dict[Id, Found] = {}
        # Room for records that are there today, and for others.
        self._room = {True: limit, False: limit}
        self._left: set[Id] = set()
        self._judged: set[int] = set()
        self._unread: set[int] = set()
        self._today_read = asyncio.Event()
        self._broad = False

    async def run(self, today: Source, backups: Sequence[Source]) -> None:
        """Read today and the newest backup at once, then the older ones; at the end all is told that can be."""
        self._sources = [today, *backups]
        self._repeated = repeated(self._sources)
        numbers = [number for number in range(len(self._sources)) if number not in self._repeated]
        await in_turns(self._read, numbers[:2])
        await in_turns(self._read, numbers[2:])
        await in_turns(self._complete, numbers[1:])
        for number, same in self._repeated.items():
            for found in self._found.values():
                if same in found.versions:
                    found.versions[number] = found.versions[same]
        self._tell(ended=True)

    async def _read(self, number: int) -> None:
        """Look for the words in one source, and for what is known already by its key."""
        if self._broad:
            self._unread.add(number)
            return
        known = [found for found in self._found.values() if found.lookups]
        lookups = {lookup for found in known for lookup in found.lookups}
        scan = Scan(
            lookups,
            self._relations,
            words=self._words.pattern,
            searched=self._searched,
            judged=self._judged,
        )
        try:
            await self._sources[number].read(scan)
            if number != TODAY:
                await self._today_read.wait()
            rows, parents = await self._with_parents(number, scan.rows)
        except UNREADABLE as exc:
            self._skip(number, exc)
            return
        there = answers(rows, lookups)
        for found in known:
            found.see(number, there)
        candidates = await asyncio.to_thread(lambda: list(self._judge(number, rows, parents)))
        await self._take(number, candidates)
        if number == TODAY:
            self._today_read.set()
        if scan.overflow:
            self._broad = self.more = True
            self.avisos = [BROAD, *(aviso for aviso in self.avisos if aviso != BROAD)]
        self._tell()

    async def _with_parents(self, number: int, found: Sequence[Row]) -> tuple[list[Row], dict[Lookup, Row]]:
        """The rows, with those that they are one with and that stand further up in the source; and these by key."""
        rows = list(found)
        parents: dict[Lookup, Row] = {}
        asked: set[Lookup] = set()
        while True:
            needed = {
                lookup
                for row in rows
                if row.id not in self._left
                for fk in self._relations.parents(row.model.table)
                if (lookup := row.pointing(fk)) is not None
            }
            parents |= answers(rows, needed - parents.keys())
            missing = needed - parents.keys() - asked
            if not missing:
                return rows, parents
            asked |= missing
            rows += (await self._sources[number].look_up(missing)).values()

    def _judge(self, number: int, rows: Sequence[Row], parents: Mapping[Lookup, Row]) -> Iterator[Found]:
        """The records among these that have all words; what is one with another is told as that one."""
        told = [row for row in rows if self._chosen is None or row.model.table in self._chosen]
        groups = [(row, list(self._above(row, parents))) for row in told]
        within = {id(parent) for _, above in groups for _, parent in above}
        having: set[Id] = set()
        for row, above in groups:
            if id(row) in within or row.id in self._left:
                continue
            if number == TODAY and len(having) > self._room[False]:
                # None of those that are there today is told any more, whether it has all words or not.
                self._leave(row)
                continue
            group = [row, *(parent for _, parent in above)]
            texts = [text for each in group for text in each.model.texts(each.values)]
            if (text := self._words.found(texts)) is not None:
                own = [row.own, *(lookup for lookup, _ in above)] if row.own is not None else []
                before = self._found.get(row.id)
                coincidence = before.coincidence if before is not None else self._words.coincidence(text)
                having.add(row.id)
                yield Found(row.id, row, tuple(own), coincidence, versions={number: version(group)})
            elif row.id not in self._found:
                self._pass_over(row)

    def _above(self, row: Row, parents: Mapping[Lookup, Row]) -> Iterator[tuple[Lookup, Row]]:
        open_, seen = [row], {row.model.table}
        while open_:
            each = open_.pop()
            for fk in self._relations.parents(each.model.table):
                lookup = each.pointing(fk)
                if lookup is not None and lookup in parents and lookup.table not in seen:
                    seen.add(lookup.table)
                    open_.append(parents[lookup])
                    yield lookup, parents[lookup]

    def _pass_over(self, row: Row) -> None:
        # What it is one with may be another in the next backup.
        if self._relations.alone(row.model.table) and len(self._judged) < MOST_JUDGED:
            self._judged.add(row.digest)

    async def _take(self, number: int, candidates: Sequence[Found]) -> None:
        """Keep those that are new and for which there is room; note of the others where they are."""
        new = [found for found in candidates if found.id not in self._found and found.id not in self._left]
        there: Mapping[Lookup, Row] = {}
        if number != TODAY:
            there = await self._sources[TODAY].look_up({lookup for found in new for lookup in found.lookups})
            for found in new:
                if found.lookups:
                    found.see(TODAY, there)
                else:
                    # Without a key it is there only as it was found, and then it would have been found there.
                    found.versions[TODAY] = None
        kept = []
        for found in candidates:
            if (before := self._found.get(found.id)) is not None:
                before.versions |= found.versions
            elif found.id not in self._left:
                kept += self._keep(found)
        await self._label(self._sources[TODAY], [found for found in kept if not found.gone], there)
        await self._label(self._sources[number], [found for found in kept if found.gone], {})

    def _keep(self, found: Found) -> list[Found]:
        if self._room[found.gone] > 0:
            self._room[found.gone] -= 1
            self._found[found.id] = found
            return [found]
        self.more = True
        self._leave(found.row)
        return []

    def _leave(self, row: Row) -> None:
        self._pass_over(row)
        if len(self._left) < MOST_JUDGED:
            self._left.add(row.id)

    async def _label(self, source: Source, kept: Sequence[Found], there: Mapping[Lookup, Row]) -> None:
        """Call them what they are called in that source."""
        rows = [there.get(found.lookups[0], found.row) if found.lookups else found.row for found in kept]
        labels = [""] * len(kept)
        try:
            records = [(row.model.table, row.values) for row in rows]
            labels = await self._labels.of(records, partial(values_of, source))
        except UNREADABLE:
            # That it cannot be read any more is said when it is looked through once more, if it is.
            pass
        for found, label in zip(kept, labels, strict=True):
            found.name(label)

    async def _complete(self, number: int) -> None:
        """Find out what was not known of the records found when this source was read."""
        if number in self._unread:
            return
        missing = [found for found in self._found.values() if number not in found.versions]
        lookups = {lookup for found in missing for lookup in found.lookups}
        try:
            there = await self._sources[number].look_up(lookups) if lookups else {}
        except UNREADABLE as exc:
            self._skip(number, exc)
            return
        for found in missing:
            if found.lookups:
                found.see(number, there)
            else:
                found.versions[number] = None

    def _skip(self, number: int, exc: RespaldosError) -> None:
        self._unread.add(number)
        alike = (each for each, same in self._repeated.items() if same == number)
        self.avisos += [unreadable(self._sources[each], exc) for each in (number, *alike)]
        for found in self._found.values():
            found.versions.pop(number, None)

    def _tell(self, *, ended: bool = False) -> None:
        for number, found in enumerate(self._found.values(), 1):
            outcome = found.outcome(number, self._sources) if found.label else None
            # That no backup has it is known when all have been read.
            if outcome is None or outcome == found.told or (outcome.estado is EstadoRegistro.NUEVO and not ended):
                continue
            found.told = outcome
            self._told.put_nowait(outcome)
