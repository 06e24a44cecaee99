"""One moment of one clinic, its rows read with COPY."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime

import asyncpg

from app.clinic.catalogue import Catalogue
from app.clinic.checks import COUNT_SECONDS, Counter, OnStep, Stray, Unchecked, Unowned, count_clinics_strays
from app.clinic.statements import ClinicStatements
from app.database import database_errors

# Handed on at once: large enough that hashing and compressing it in a thread is worth the switch, small enough
# that the blocks on their way do not count.
BLOCK_BYTES = 1 << 19

# Blocks read but not yet taken: they keep PostgreSQL busy where compressing one takes longer than usual.
QUEUED_BLOCKS = 4

# The setting that an error of this database names.
SETTING = "CLINIC_DATABASE_URL"


@dataclass(frozen=True, slots=True)
class Clinic:
    """A tenant. `schema` is its own, in tenancy `schema`; `name` and `active` where the table says them."""

    id: int
    name: str | None
    active: bool
    schema: str | None


class ClinicSnapshot:
    """One moment of one clinic. It is of no use after its `ClinicDatabase.snapshot` block.

    `unowned` is what no clinic owns, and the tables that took too long to say so; `taken_at` is UTC;
    `tables_size` is what all clinics' rows of the owned tables take on disk (bytes).
    """

    def __init__(
        self,
        connection: asyncpg.Connection,
        clinic: Clinic,
        catalogue: Catalogue,
        statements: ClinicStatements,
        migrations: dict[str, list[str]],
        unowned: Sequence[Unowned | Unchecked],
        tables_size: int,
        taken_at: datetime,
    ) -> None:
        self.clinic = clinic
        self.catalogue = catalogue
        self.statements = statements
        self.migrations = migrations
        self.unowned = unowned
        self.tables_size = tables_size
        self.taken_at = taken_at
        self._connection = connection

    @asynccontextmanager
    async def record_lines(self, statement: str) -> AsyncIterator[AsyncIterator[bytes]]:
        """The lines of a statement that gives one record a row, in blocks of whole lines of about BLOCK_BYTES.

        PostgreSQL goes on working while a block is used, but no further ahead than QUEUED_BLOCKS.
        """
        blocks: asyncio.Queue[bytes | None] = asyncio.Queue()
        free = asyncio.Semaphore(QUEUED_BLOCKS)
        pending: list[bytes] = []
        size = 0

        async def hand_on() -> None:
            nonlocal size
            await free.acquire()
            blocks.put_nowait(b"".join(pending))
            pending.clear()
            size = 0

        async def take(data: bytes) -> None:
            # Each message of the server is one whole row, and asyncpg joins whole messages.
            nonlocal size
            pending.append(data)
            size += len(data)
            if size >= BLOCK_BYTES:
                await hand_on()

        async def copy() -> None:
            # In CSV a value is written as it is, unless it holds the delimiter, the quote or a line break: JSON
            # holds none of these raw. The text format would double every backslash, and undoing that was a tenth
            # of a backup's time.
            await self._connection.copy_from_query(
                statement, output=take, format="csv", delimiter="\x02", quote="\x01"
            )
            if pending:
                await hand_on()

        async def taken() -> AsyncIterator[bytes]:
            while (block := await blocks.get()) is not None:
                free.release()
                yield block
            with database_errors(SETTING):
                await task

        task = asyncio.create_task(copy())
        task.add_done_callback(lambda _: blocks.put_nowait(None))
        try:
            yield taken()
        finally:
            if not task.done():
                # A COPY left in its middle ends the snapshot: asyncpg, told only to cancel it, fails on the data
                # that is on its way, and says so in the log.
                self._connection.terminate()
                task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    async def strays(self, on_step: OnStep | None = None) -> list[Stray | Unchecked]:
        """The clinic's own rows that point to rows of another clinic, and the tables that took too long to check.

        No count takes longer than COUNT_SECONDS; `on_step` is called after each.
        """
        with database_errors(SETTING):
            async with Counter(self._connection, seconds=COUNT_SECONDS, on_step=on_step) as counter:
                found = await count_clinics_strays(counter, self.catalogue, self.statements)
        return [*found, *counter.unchecked]
