"""What others do in the middle of a restore."""

import asyncio
from collections.abc import Sequence
from threading import Thread

import asyncpg


class Meanwhile:
    """Called at the first step of a restore, it has somebody else execute these statements before the next one."""

    def __init__(self, url: str, statements: Sequence[str]) -> None:
        self._url = url
        self._statements = list(statements)

    def __call__(self, _model: str) -> None:
        if self._statements:
            thread = Thread(target=lambda: asyncio.run(self._execute()))
            thread.start()
            thread.join()
            self._statements.clear()

    async def _execute(self) -> None:
        connection = await asyncpg.connect(self._url)
        for statement in self._statements:
            await connection.execute(statement)
        await connection.close()
