"""Refusals in the audit trail, but not as many as somebody cares to cause."""

import logging
import time
from collections import Counter
from typing import Any, Final, TypeAlias

from app.auth.attempts import network_of
from app.errors import DatabaseError
from app.respaldos import audit
from app.respaldos.audit import Actor
from app.respaldos.databases import Databases, transaction
from app.respaldos.models import Accion

log = logging.getLogger(__name__)

# Lines a minute of one kind that one address, and all of them, can make this process write.
PER_ADDRESS: Final = 10
IN_ALL: Final = 60

MINUTE: Final = 60.0

# What was refused, and whether it is known whom.
_Kind: TypeAlias = tuple[Accion, bool]


class RejectionLog:
    """Writes refusals down, of each kind at most PER_ADDRESS a minute from one address and IN_ALL altogether.

    Whoever sends tokens that nobody signed, or guesses at passwords, so does not keep those out of the trail who come
    with a good token and ask for what is not theirs. How many of a kind were left out before it stands in its next
    line, as `omitidos`. A request without any token is not worth a line: it is how a browser or a scanner begins.
    """

    def __init__(self, databases: Databases) -> None:
        self._databases = databases
        self._began = time.monotonic()
        self._written: Counter[tuple[_Kind, str]] = Counter()
        self._in_all: Counter[_Kind] = Counter()
        self._omitted: Counter[_Kind] = Counter()

    async def record(self, accion: Accion, actor: Actor, *, clinica_id: int | None, **detalle: Any) -> None:
        """Add the line, or count it. A database that is away does not turn a refusal into an error."""
        kind = (accion, actor.usuario is not None)
        if not self._room(kind, actor.direccion or ""):
            self._omitted[kind] += 1
            return
        omitted = self._omitted.pop(kind, 0)
        if omitted:
            detalle["omitidos"] = omitted
        try:
            async with transaction(self._databases) as session:
                await audit.record(session, accion, actor, clinica_id=clinica_id, **detalle)
        except DatabaseError as exc:
            self._omitted[kind] += omitted + 1
            log.warning(
                "no quedó en la auditoría que se rechazó a alguien (%s, desde %s): %s",
                accion,
                actor.direccion,
                exc.for_log,
            )

    def _room(self, kind: _Kind, direccion: str) -> bool:
        now = time.monotonic()
        if now - self._began >= MINUTE:
            self._began = now
            self._written.clear()
            self._in_all.clear()
        place = (kind, network_of(direccion))
        if self._written[place] >= PER_ADDRESS or self._in_all[kind] >= IN_ALL:
            return False
        self._written[place] += 1
        self._in_all[kind] += 1
        return True
