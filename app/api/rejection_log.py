"""Refusals in the audit trail, but not as many as somebody cares to cause."""

import logging
import time
from collections import Counter
from typing import Any, Final

from app.auth.attempts import network_of
from app.errors import DatabaseError
from app.respaldos import audit
from app.respaldos.audit import Actor
from app.respaldos.databases import Databases, transaction
from app.respaldos.models import Accion

log = logging.getLogger(__name__)

# Lines a minute that one address, and all of them, can make this process write.
PER_ADDRESS: Final = 10
IN_ALL: Final = 60

MINUTE: Final = 60.0


class RejectionLog:
    """Writes refusals down, at most PER_ADDRESS a minute from one address and IN_ALL altogether.

    How many were left out before it stands in the next line, as `omitidos`. A request without any token is not
    worth a line: it is how a browser or a scanner begins.
    """

    def __init__(self, databases: Databases) -> None:
        self._databases = databases
        self._began = time.monotonic()
        self._written: Counter[str] = Counter()
        self._omitted = 0

    async def record(self, accion: Accion, actor: Actor, *, clinica_id: int | None, **detalle: Any) -> None:
        """Add the line, or count it. A database that is away does not turn a refusal into an error."""
        if not self._room(actor.direccion or ""):
            self._omitted += 1
            return
        omitted, self._omitted = self._omitted, 0
        if omitted:
            detalle["omitidos"] = omitted
        try:
            async with transaction(self._databases) as session:
                await audit.record(session, accion, actor, clinica_id=clinica_id, **detalle)
        except DatabaseError as exc:
            self._omitted += omitted + 1
            log.warning(
                "no quedó en la auditoría que se rechazó a alguien (%s, desde %s): %s",
                accion,
                actor.direccion,
                exc.for_log,
            )

    def _room(self, direccion: str) -> bool:
        now = time.monotonic()
        if now - self._began >= MINUTE:
            self._began = now
            self._written.clear()
        network = network_of(direccion)
        if self._written[network] >= PER_ADDRESS or self._written.total() >= IN_ALL:
            return False
        self._written[network] += 1
        return True
