"""Where a backup's object can be read: in its bucket, and where that has lost or damaged it, in a copy."""

import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import TypeVar

from app.errors import FormatError, ObjectMismatch, ObjectNotFound, RespaldosError, StorageError
from app.respaldos.copies import queries as copy_queries
from app.respaldos.databases import transaction
from app.respaldos.models import Respaldo
from app.respaldos.progress import Progress
from app.respaldos.resources import Resources
from app.storage.s3 import S3Storage

T = TypeVar("T")

log = logging.getLogger(__name__)

# That the object is not the backup's; and besides, that its store is away, which says nothing of it.
DAMAGED = (FormatError, ObjectMismatch, ObjectNotFound)
UNREADABLE = (FormatError, StorageError)


@dataclass(frozen=True, slots=True)
class Source:
    """A bucket that has the object; `copy` is the name of that of a copy."""

    storage: S3Storage
    copy: str | None = None


class Sources:
    """Where to read a backup's object, one after the other; `current` is where it is read now.

    The copies come first where the object itself is known to be lost, unless that is what is looked at
    (`original_first`). `progress` is told of the copy that is read.
    """

    def __init__(
        self, resources: Resources, respaldo: Respaldo, progress: Progress, *, original_first: bool = False
    ) -> None:
        self._resources = resources
        self._respaldo = respaldo
        self._progress = progress
        self._problem: RespaldosError | None = None
        copies = [
            Source(bucket.storage, bucket.name) for bucket in resources.copies if respaldo.has_copy(bucket.name)
        ]
        original = Source(resources.storage)
        lost = respaldo.solo_en_copia is not None and not original_first
        self.current, *self._left = [*copies, original] if lost else [original, *copies]
        progress.copy = self.current.copy

    @property
    def alternatives(self) -> bool:
        """Whether there is another source than the current one."""
        return bool(self._left)

    def go_on(self, problem: RespaldosError) -> None:
        """Read the next one, since the current one has this problem; raises the first one's where none is left."""
        self._problem = self._problem or problem
        if not self._left:
            raise self._problem
        self.current = self._left.pop(0)
        self._progress.copy = self.current.copy
        log.warning("respaldo %d: se lee de otro almacén: %s", self._respaldo.id, problem.for_log)

    async def read(
        self,
        read: Callable[[Source], Awaitable[T]],
        *,
        over: tuple[type[RespaldosError], ...] = UNREADABLE,
        unless: Callable[[], bool] = lambda: False,
    ) -> T:
        """What `read` makes of the first source that does not raise one of `over`.

        `read` begins anew with each; none is tried once `unless` is true. What came of it is written down: whether
        the object is known to be lost. Raises what the first source did.
        """
        while True:
            try:
                found = await read(self.current)
            except over as exc:
                if unless():
                    raise
                self.go_on(exc)
            else:
                await self.note()
                return found

    async def note(self) -> None:
        """Write down whether the object was found to be lost, where that is news."""
        lost = isinstance(self._problem, DAMAGED) and self.current.copy is not None
        back = self.current.copy is None and self._respaldo.solo_en_copia is not None
        if (lost and self._respaldo.solo_en_copia is None) or back:
            async with transaction(self._resources) as session:
                await copy_queries.note_only_copy(
                    session, self._respaldo.id, lost, clinica_id=self._respaldo.clinica_id
                )

    @asynccontextmanager
    async def opened(self, key: str) -> AsyncIterator[AsyncIterator[bytes]]:
        """The bytes of the first source that begins to give them. Raises StorageError."""
        async with AsyncExitStack() as opened:
            while True:
                try:
                    chunks = await opened.enter_async_context(self.current.storage.download(key))
                except StorageError as exc:
                    self.go_on(exc)
                else:
                    break
            yield chunks


def read_from(copy: str) -> str:
    """What people are told where a copy was read."""
    return f"se leyó de la copia «{copy}», porque el archivo no está en su lugar, está dañado o no se puede leer"
