"""The list of clinics, remembered for a short while."""

import asyncio
import math
import time
from collections.abc import Callable

from app.clinic.clinic import Clinic
from app.clinic.database import ClinicDatabase
from app.errors import ClinicNotFound, DatabaseUnavailable

# How often ids that do not exist may make the database be read (seconds).
MISS_SECONDS = 1.0

# How old the list may become while the database does not answer (seconds): a restart of PostgreSQL is no reason
# to refuse those whom it knew a moment ago.
OUTAGE_SECONDS = 300.0


class ClinicDirectory:
    """Which clinics there are, read again when older than `seconds`, or when one is asked for that is not known.

    However many ask at once, there is one reading. For one event loop.
    """

    def __init__(
        self, database: ClinicDatabase, seconds: float = 30, *, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._database = database
        self._seconds = seconds
        self._clock = clock
        self._clinics: dict[int, Clinic] = {}
        self._read_at: float | None = None
        self._reading: asyncio.Task[None] | None = None

    async def clinics(self) -> list[Clinic]:
        """Every clinic, by id. Raises DatabaseError."""
        await self._read_if_older(self._seconds, max_stale=OUTAGE_SECONDS)
        return list(self._clinics.values())

    async def clinic(self, clinica_id: int) -> Clinic:
        """The clinic of that id, active or not. Raises ClinicNotFound, DatabaseError."""
        await self._read_if_older(self._seconds, max_stale=OUTAGE_SECONDS)
        if clinica_id not in self._clinics:
            await self._read_if_older(MISS_SECONDS)
        try:
            return self._clinics[clinica_id]
        except KeyError:
            raise ClinicNotFound(f"no existe la clínica {clinica_id}") from None

    async def _read_if_older(self, seconds: float, *, max_stale: float = 0.0) -> None:
        """Read the list where it is older than `seconds`; without an answer, one as old as `max_stale` will do."""
        if self._age() < seconds:
            return
        if self._reading is None:
            self._reading = asyncio.create_task(self._read())
            self._reading.add_done_callback(self._end_reading)
        try:
            # Whoever stops waiting does not stop the reading for the others.
            await asyncio.shield(self._reading)
        except DatabaseUnavailable:
            if self._age() > max_stale:
                raise

    def _age(self) -> float:
        return math.inf if self._read_at is None else self._clock() - self._read_at

    async def _read(self) -> None:
        began = self._clock()
        self._clinics = {clinic.id: clinic for clinic in await self._database.clinics()}
        self._read_at = began

    def _end_reading(self, reading: asyncio.Task[None]) -> None:
        self._reading = None
        if not reading.cancelled():
            # Where nobody waits any more, asyncio would log that nobody has looked.
            reading.exception()
