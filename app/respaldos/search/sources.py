"""Where records are looked for: the clinic's rows of today, and its backups' files."""

import asyncio
import logging
from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import datetime
from itertools import groupby
from typing import Protocol

from app.clinic.catalogue.entries import Catalogue
from app.clinic.catalogue.introspection import TableName
from app.clinic.catalogue.secret_columns import SecretColumns
from app.clinic.reading.look_up import Lookup, Values
from app.clinic.reading.snapshot import ClinicSnapshot
from app.dump.document import Header
from app.dump.encryption import Decryptor
from app.dump.reader import Event, HeaderRead, ModelBegun, ModelEnded, RecordsRead
from app.dump.scanner import FileScanner
from app.dump.whose import whose
from app.errors import EncryptionError, FormatError, ObjectNotFound, RespaldosError, StorageError
from app.respaldos.copies.sources import Sources
from app.respaldos.keys.keys import decryption_of
from app.respaldos.models import Respaldo
from app.respaldos.progress import Progress
from app.respaldos.resources import Resources
from app.respaldos.search.records import Model, Relations, Row
from app.respaldos.search.scan import Scan

log = logging.getLogger(__name__)


class Source(Protocol):
    """The clinic's records at one moment."""

    @property
    def taken_at(self) -> datetime:
        """Which moment that is (UTC)."""

    @property
    def respaldo_id(self) -> int | None:
        """The backup; None for today."""

    async def read(self, scan: Scan) -> None:
        """Feed the scan with all that it wants. Raises RespaldosError where this source cannot be read."""

    async def look_up(self, lookups: Collection[Lookup]) -> Mapping[Lookup, Row]:
        """These records, as far as they are there. Raises as `read`."""

    @property
    def object_key(self) -> str | None:
        """Where the backup's object is; None for today."""

    async def pointing(self, lookups: Collection[Lookup], *, limit: int) -> Mapping[TableName, tuple[int, list[Row]]]:
        """By table, how many records have the values of one or more of its lookups, and the first of them.

        Raises as `read`.
        """


async def values_of(source: Source, lookups: Collection[Lookup]) -> Mapping[Lookup, Values]:
    """The same as what labels are made of."""
    return {lookup: row.values for lookup, row in (await source.look_up(lookups)).items()}


# Why a backup cannot be read, which keeps nobody from reading the others.
UNREADABLE = (FormatError, StorageError, EncryptionError)


def unreadable(source: Source, exc: RespaldosError) -> str:
    """A sentence for people; addresses and names of buckets stay in the log."""
    log.warning("no se pudo leer el respaldo %s: %s", source.respaldo_id, exc.for_log)
    match exc:
        case FormatError() | EncryptionError():
            why = str(exc)
        case ObjectNotFound():
            why = "su archivo no está en el almacenamiento"
        case _:
            why = "el almacenamiento respondió con un error"
    return f"el respaldo {source.respaldo_id} no se pudo leer: {why}"


def repeated(sources: Sequence[Source]) -> dict[int, int]:
    """Of each source with the same object as one before it, which that is; by their places."""
    first: dict[str, int] = {}
    places = {}
    for number, source in enumerate(sources):
        if source.object_key is not None and first.setdefault(source.object_key, number) != number:
            places[number] = first[source.object_key]
    return places


class Today:
    """The clinic's rows of a snapshot, one question at a time. Raises DatabaseError."""

    respaldo_id: int | None = None
    object_key: str | None = None

    def __init__(self, snapshot: ClinicSnapshot, secrets: SecretColumns) -> None:
        self._snapshot = snapshot
        self._asking = asyncio.Lock()
        statements = snapshot.statements
        entries = {entry.name: entry for entry in snapshot.catalogue.entries.values()}
        self._models = {
            name: Model.of_table(entry, statements.described(entry), secrets) for name, entry in entries.items()
        }

    @property
    def taken_at(self) -> datetime:
        """When the snapshot was taken."""
        return self._snapshot.taken_at

    async def read(self, scan: Scan) -> None:
        """Stream the clinic's own rows."""
        statements = self._snapshot.statements
        async with self._asking:
            for entry in statements.own_entries:
                if not scan.wants(entry.name):
                    continue
                scan.begin(self._models[entry.name])
                async with self._snapshot.record_lines(statements.owned_records(entry)) as blocks:
                    async for block in blocks:
                        await asyncio.to_thread(scan.feed, block)
                scan.end()

    async def look_up(self, lookups: Collection[Lookup]) -> Mapping[Lookup, Row]:
        """Ask PostgreSQL for them."""
        async with self._asking:
            found = await self._snapshot.look_up(lookups)
        return {lookup: self._row(lookup.table, text) for lookup, text in found.items()}

    async def pointing(self, lookups: Collection[Lookup], *, limit: int) -> Mapping[TableName, tuple[int, list[Row]]]:
        """Ask PostgreSQL for them."""
        found = {}
        async with self._asking:
            for table, some in groupby(sorted(lookups), key=lambda each: each.table):
                count, lines = await self._snapshot.pointing(list(some), limit=limit)
                found[table] = count, [self._row(table, line) for line in lines]
        return found

    def _row(self, table: TableName, text: str) -> Row:
        (row,) = self._models[table].rows([text.encode()])
        return row


class BackupFile:
    """A completed backup's object. Raises FormatError, StorageError and EncryptionError."""

    def __init__(self, resources: Resources, respaldo: Respaldo, catalogue: Catalogue, relations: Relations) -> None:
        self._resources = resources
        self._secrets = resources.secrets
        self._respaldo = respaldo
        self._catalogue = catalogue
        self._relations = relations
        # Which second copy was read, if one was.
        self.copy: str | None = None

    @property
    def taken_at(self) -> datetime:
        """When its snapshot was taken."""
        return self._respaldo.fecha_respaldo

    @property
    def respaldo_id(self) -> int | None:
        """Its number."""
        return self._respaldo.id

    @property
    def object_key(self) -> str | None:
        """Where its object is: a point of the day in which nothing had changed has that of the one before."""
        return self._respaldo.archivo_s3

    async def read(self, scan: Scan) -> None:
        """Stream the object, no further than there is something wanted."""
        key = self._respaldo.archivo_s3
        if key is None:
            raise ObjectNotFound(f"el respaldo {self._respaldo.id} no tiene archivo")
        decryption = await decryption_of(self._resources, self._respaldo)
        reading = _Reading(self._respaldo, self._catalogue, self._secrets, scan, decryption)
        sources = Sources(self._resources, self._respaldo, Progress())
        async with sources.opened(key) as chunks:
            self.copy = sources.current.copy
            async for chunk in chunks:
                await asyncio.to_thread(reading.feed, chunk)
                if scan.done:
                    return
        await asyncio.to_thread(reading.finish)

    async def look_up(self, lookups: Collection[Lookup]) -> Mapping[Lookup, Row]:
        """Read the object for them."""
        if not lookups:
            return {}
        scan = Scan(lookups, self._relations)
        await self.read(scan)
        return answers(scan.rows, lookups)

    async def pointing(self, lookups: Collection[Lookup], *, limit: int) -> Mapping[TableName, tuple[int, list[Row]]]:
        """Read the object for them."""
        scan = Scan(lookups, self._relations, keep=limit)
        await self.read(scan)
        return {
            table: (count, [row for row in scan.rows if row.model.table == table])
            for table, count in scan.counted.items()
        }


def copies_read(sources: Iterable[Source]) -> list[str]:
    """In a sentence, which backups were read from second copies, if any were."""
    of = [str(each.respaldo_id) for each in sources if isinstance(each, BackupFile) and each.copy is not None]
    return [f"se leyeron de su copia en otro almacén los respaldos {', '.join(of)}"] if of else []


class _Reading:
    """Hands a file's lines to a scan."""

    def __init__(
        self,
        respaldo: Respaldo,
        catalogue: Catalogue,
        secrets: SecretColumns,
        scan: Scan,
        decryption: Decryptor | None,
    ) -> None:
        self._scanner = FileScanner(respaldo.metadata_.get("tamaño_original_bytes"), decryption)
        self._respaldo = respaldo
        self._catalogue = catalogue
        self._secrets = secrets
        self._scan = scan
        self._header: Header | None = None

    def feed(self, chunk: bytes) -> None:
        self._take(self._scanner.feed(chunk))

    def finish(self) -> None:
        self._take(self._scanner.finish())

    def _take(self, events: Iterable[Event]) -> None:
        for event in events:
            match event:
                case HeaderRead(header):
                    self._check(header)
                    self._header = header
                case ModelBegun(section, name) if self._header is not None:
                    described = self._header.models[name]
                    self._scan.begin(Model.of_header(name, described, self._catalogue, self._secrets), section)
                case RecordsRead(lines):
                    self._scan.feed(lines)
                case ModelEnded():
                    self._scan.end()

    def _check(self, header: Header) -> None:
        own = self._respaldo.clinica_id
        if header.clinica_id != own:
            raise FormatError(f"el archivo dice ser de {whose(header.clinica_id)}, y debería ser de {whose(own)}")


def answers(rows: Collection[Row], lookups: Collection[Lookup]) -> dict[Lookup, Row]:
    """Which of the rows each lookup means."""
    shapes = {(lookup.table, lookup.columns) for lookup in lookups}
    found: dict[Lookup, Row] = {}
    for row in rows:
        for table, columns in shapes:
            lookup = Lookup(table, columns, row.values_of(columns))
            if table == row.model.table and lookup in lookups:
                found.setdefault(lookup, row)
    return found
