"""A snapshot as the bytes of its backup file, produced as they are asked for."""

import asyncio
import time
from collections import deque
from collections.abc import AsyncGenerator, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import aclosing
from functools import cache, partial
from importlib.metadata import version
from typing import TypeAlias

from app import tracing
from app.clinic.catalogue.entries import Catalogue, Entry
from app.clinic.catalogue.introspection import Table
from app.clinic.reading.snapshot import ClinicSnapshot
from app.dump.document import ColumnHeader, DocumentWriter, Header, ModelHeader, ModelTotal, Origin
from app.dump.encryption import Encryptor
from app.dump.gzip_member import Compression, GzipWriter
from app.dump.seal import SealKeys
from app.respaldos.progress import Etapa, Progress

# Parts that wait for the thread beside the one it is at: it goes on to the next at once. Otherwise it would wait for
# the event loop after each, and for what else the machine does.
PARTS_AHEAD = 1

# The thread gets parts of so much together (bytes): waking it takes as long as compressing some KiB, and a small
# clinic has eighty parts.
TOGETHER_BYTES = 1 << 16

# What gives the bytes of a part of the document when it is called, and how much of it are records (bytes).
Part: TypeAlias = tuple[Callable[[], bytes], int]


class Unchanged(Exception):
    """The file would say what another one says already; its last bytes have not been given."""


class ClinicDump:
    """One file being written, sealed where `seals` has a key for it, and encrypted where there is `encryption`. Sizes
    (bytes), `md5`, `sha256` and `totals` are complete when `chunks` has ended.

    `unless` is the fingerprint (`app.dump.document.fingerprint`) of the file upon which it raises Unchanged.

    `seconds` says where the time went: waiting for PostgreSQL, hashing and compressing, and waiting for whoever
    takes the chunks.
    """

    def __init__(
        self,
        snapshot: ClinicSnapshot,
        origin: Origin,
        progress: Progress,
        compression: Compression,
        seals: SealKeys,
        *,
        unless: str | None = None,
        encryption: Encryptor | None = None,
    ) -> None:
        self.seconds = {"postgresql": 0.0, "compresion": 0.0, "envio": 0.0}
        self._snapshot = snapshot
        self._origin = origin
        self._progress = progress
        self._seals = seals
        self._document = DocumentWriter(seals)
        self._gzip = GzipWriter(compression, encryption)
        self._unless = unless
        # Records of which the progress knows.
        self._told = 0

    @property
    def md5(self) -> str:
        """Hex MD5 of the file."""
        return self._gzip.md5

    @property
    def sha256(self) -> str:
        """Its hex SHA-256."""
        return self._gzip.sha256

    @property
    def original_size(self) -> int:
        """Bytes of the document before compression."""
        return self._gzip.original_size

    @property
    def compressed_size(self) -> int:
        """Bytes of the file that have been given."""
        return self._gzip.compressed_size

    @property
    def fingerprint(self) -> str:
        """What the file says, in short."""
        return self._document.fingerprint

    @property
    def totals(self) -> dict[str, ModelTotal]:
        """The records of `datos`, by model."""
        return self._document.totals

    async def chunks(self) -> AsyncGenerator[bytes]:
        """The file's bytes. Close it where it is left early (`contextlib.aclosing`): a COPY may be under way.

        Raises Unchanged in the place of the last bytes.
        """
        loop = asyncio.get_running_loop()
        began = time.perf_counter()
        with ThreadPoolExecutor(1, "compression") as thread:
            async with aclosing(self._parts()) as parts:
                compressing: deque[asyncio.Future[bytes]] = deque()
                together: list[Callable[[], bytes]] = []
                size = 0
                async for part, bytes_ in parts:
                    together.append(part)
                    size += bytes_
                    if size < TOGETHER_BYTES:
                        continue
                    compressing.append(loop.run_in_executor(thread, self._compress, together))
                    together, size = [], 0
                    if len(compressing) > PARTS_AHEAD and (ready := await self._compressed(compressing.popleft())):
                        yield ready
                compressing.append(loop.run_in_executor(thread, self._compress, together))
                for last in compressing:
                    if ready := await self._compressed(last):
                        yield ready
        self.seconds["envio"] = time.perf_counter() - began - sum(self.seconds.values())
        self._advance()
        if self._unless is not None and self.fingerprint == self._unless:
            raise Unchanged
        # What PostgreSQL gave has been handed on; S3 may not have all of it yet.
        self._progress.enter(Etapa.SUBIENDO)
        yield self._gzip.finish()

    async def _compressed(self, compressing: asyncio.Future[bytes]) -> bytes:
        started = time.perf_counter()
        compressed = await compressing
        self.seconds["compresion"] += time.perf_counter() - started
        return compressed

    def _advance(self, bytes_: int = 0) -> None:
        """Tell that so many bytes of the document have come, and which records have been written since last time."""
        written = self._document.written
        self._progress.advance(bytes_=bytes_, records=written - self._told)
        self._told = written

    def _compress(self, parts: Sequence[Callable[[], bytes]]) -> bytes:
        return b"".join([self._gzip.feed(part()) for part in parts])

    async def _parts(self) -> AsyncGenerator[Part]:
        """The document's parts; each is to be called once, in this order."""
        snapshot, document = self._snapshot, self._document
        catalogue = snapshot.catalogue
        owned = {entry: snapshot.statements.owned_records(entry) for entry in snapshot.statements.own_entries}
        references = {
            entry: statement
            for entry in catalogue.entries.values()
            if (statement := snapshot.statements.referenced_records(entry)) is not None
        }
        header = Header(
            clinica_id=snapshot.clinica_id,
            taken_at=snapshot.taken_at,
            service=_service(),
            origin=self._origin,
            postgresql=catalogue.postgresql,
            tenancy="column" if catalogue.schema_column is None else "schema",
            migrations=snapshot.migrations,
            models={
                entry.model: _model_header(catalogue, entry, snapshot.statements.described(entry))
                for entry in (*owned, *references)
            },
            sealed=self._seals.signing is not None,
        )
        yield lambda: document.begin(header), 0
        for entry, statement in owned.items():
            async with aclosing(self._model(entry, statement)) as parts:
                async for part in parts:
                    yield part
        yield document.begin_references, 0
        for entry, statement in references.items():
            async with aclosing(self._model(entry, statement)) as parts:
                async for part in parts:
                    yield part
        yield document.finish, 0

    async def _model(self, entry: Entry, statement: str) -> AsyncGenerator[Part]:
        self._progress.model = entry.model
        yield partial(self._document.begin_model, entry.model), 0
        with tracing.span("copy", current=False, modelo=entry.model):
            async with self._snapshot.record_lines(statement) as blocks:
                started = time.perf_counter()
                async for lines in blocks:
                    self.seconds["postgresql"] += time.perf_counter() - started
                    self._advance(len(lines))
                    yield partial(self._document.records, lines), len(lines)
                    started = time.perf_counter()
                self.seconds["postgresql"] += time.perf_counter() - started
        yield self._document.end_model, 0


@cache
def _service() -> str:
    # Looked up among the files of all that is installed: 2 ms, as long as reading a small clinic's largest table.
    return version("respaldos")


def _model_header(catalogue: Catalogue, entry: Entry, table: Table) -> ModelHeader:
    return ModelHeader(
        schema=None if table.name.schema == catalogue.schema else table.name.schema,
        table=table.name.name,
        columns=tuple(ColumnHeader(c.name, c.type, c.nullable, c.form) for c in table.columns),
        key=table.key,
        owner=catalogue.owner_path(entry),
    )
