"""Record lines out of PostgreSQL, at its own speed."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import asyncpg

from app.database import database_errors

# Handed on at once: large enough that hashing and compressing it in a thread is worth the switch, small enough
# that the blocks on their way do not count.
BLOCK_BYTES = 1 << 19

# Blocks read but not yet taken: they keep PostgreSQL busy where compressing one takes longer than usual.
QUEUED_BLOCKS = 4


@asynccontextmanager
async def copied_lines(
    connection: asyncpg.Connection, statement: str, setting: str
) -> AsyncIterator[AsyncIterator[bytes]]:
    """The lines of a statement that gives one record a row, in blocks of whole lines of about BLOCK_BYTES.

    PostgreSQL goes on working while a block is used, but no further ahead than QUEUED_BLOCKS. `setting` is what an
    error of the database names.
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
        await connection.copy_from_query(statement, output=take, format="csv", delimiter="\x02", quote="\x01")
        if pending:
            await hand_on()

    async def taken() -> AsyncIterator[bytes]:
        while (block := await blocks.get()) is not None:
            free.release()
            yield block
        with database_errors(setting):
            await task

    task = asyncio.create_task(copy())
    task.add_done_callback(lambda _: blocks.put_nowait(None))
    try:
        yield taken()
    finally:
        if not task.done():
            # A COPY left in its middle ends the snapshot: asyncpg, told only to cancel it, fails on the data
            # that is on its way, and says so in the log.
            connection.terminate()
            task.cancel()
        await asyncio.gather(task, return_exceptions=True)
