"""Ends what dead processes left open, and removes what ended attempts left in S3."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass

from app.respaldos import notices
from app.respaldos.backup import fleet as backup_fleet
from app.respaldos.backup.cleanup import clean_up
from app.respaldos.backup.fleet import Waiting
from app.respaldos.models import Estado, TipoAviso, TipoRestauracion
from app.respaldos.reading import fleet as reading_fleet
from app.respaldos.reading.verification import Verification, record_verification
from app.respaldos.resources import Resources, transaction
from app.respaldos.restore.end import end_expired_restores

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Pending:
    """What waits for a worker, so that jobs which Redis has lost can be put there again."""

    respaldos: Sequence[Waiting]
    restauraciones: Sequence[Waiting]


async def reconciliar(resources: Resources) -> Pending:
    """End work whose lease ran out, clean up after every ended attempt, and return what waits for a worker."""
    async with transaction(resources) as session:
        respaldos = await backup_fleet.end_expired_leases(session)
        for respaldo in respaldos:
            if respaldo.estado == Estado.FALLIDO:
                error = {name: respaldo.metadata_[name] for name in ("error", "error_type")}
                await notices.record(
                    session, TipoAviso.FALLO, clinica_id=respaldo.clinica_id, respaldo_id=respaldo.id, **error
                )
        restauraciones = await reading_fleet.end_expired_readings(session)
        for restauracion in restauraciones:
            if restauracion.estado == Estado.FALLIDO and restauracion.tipo == TipoRestauracion.VERIFICACION:
                await record_verification(session, Verification.of(restauracion), None, restauracion.error)
    for respaldo in respaldos:
        log.warning("el respaldo %s no daba señales de vida; su intento se dio por terminado", respaldo.id)
    for restauracion in restauraciones:
        log.warning(
            "la %s %s no daba señales de vida; su intento se dio por terminado", restauracion.tipo, restauracion.id
        )
    await end_expired_restores(resources)
    await clean_up(resources)
    async with transaction(resources) as session:
        return Pending(
            await backup_fleet.waiting_backups(session),
            await reading_fleet.waiting_restauraciones(session),
        )
