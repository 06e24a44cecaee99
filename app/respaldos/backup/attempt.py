"""One attempt at a backup."""

from dataclasses import dataclass
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

from sqlalchemy.ext.asyncio import AsyncSession

from app.dump.document import Origin
from app.respaldos.backup import queries as backup_queries
from app.respaldos.lease import Beat
from app.respaldos.models import Respaldo
from app.respaldos.progress import Expected, Progreso


@dataclass(frozen=True, slots=True)
class Attempt:
    """Work that this process has claimed: attempt `numero` at the backup, under a key that no other has.

    `tries` is how many attempts there are with it, but for those that were interrupted.
    """

    respaldo_id: int
    numero: int
    tries: int
    clinica_id: int | None
    archivo_s3: str
    origin: Origin

    @property
    def name(self) -> str:
        """What it is called in an error's message."""
        return f"respaldo {self.respaldo_id}"

    async def beat(self, session: AsyncSession, *, renew: bool, progreso: Progreso | None) -> Beat:
        """See `LeasedWork`."""
        return await backup_queries.beat(
            session, self.respaldo_id, self.numero, clinica_id=self.clinica_id, renew=renew, progreso=progreso
        )

    async def expected(self, session: AsyncSession) -> Expected:
        """As much as the clinic's last completed backup."""
        last = await backup_queries.last_completed(session, clinica_id=self.clinica_id)
        if last is None:
            return Expected(None, None)
        return Expected(last.numero_registros, last.metadata_.get("tamaño_original_bytes"))


async def claim_attempt(
    session: AsyncSession, respaldo_id: int, *, clinica_id: int | None, time_zone: ZoneInfo, under: int | None = None
) -> Attempt:
    """Take the pending backup for a lease, under a new key.

    Raises OperationInProgress as `repository.claim` does.
    """
    respaldo: Respaldo = await backup_queries.claim(session, respaldo_id, clinica_id=clinica_id, under=under)
    numero = respaldo.intento
    key = await backup_queries.add_attempt(
        session, respaldo_id, numero, clinica_id=clinica_id, started=datetime.now(UTC), time_zone=time_zone
    )
    origin = Origin(respaldo_id, numero, respaldo.tipo_respaldo, respaldo.usuario, respaldo.descripcion)
    return Attempt(respaldo_id, numero, numero - respaldo.interrupciones, clinica_id, key, origin)
