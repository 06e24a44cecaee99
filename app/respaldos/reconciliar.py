"""Ends what dead processes left open, and removes what ended attempts left in S3."""

import asyncio
import logging
from collections.abc import Sequence
from dataclasses import dataclass

from app.errors import StorageError
from app.respaldos import avisos, platform_repository
from app.respaldos.expired_restores import end_expired_restores
from app.respaldos.models import Estado, TipoAviso, TipoRestauracion
from app.respaldos.platform_repository import Waiting
from app.respaldos.resources import Resources
from app.respaldos.transaction import transaction
from app.respaldos.verification import Verification, record_verification

log = logging.getLogger(__name__)

# For each key. A person waits for this when a backup is interrupted, and what is left is tried again later.
CLEAN_UP_SECONDS = 20


@dataclass(frozen=True, slots=True)
class Pending:
    """What waits for a worker, so that jobs which Redis has lost can be put there again."""

    respaldos: Sequence[Waiting]
    restauraciones: Sequence[Waiting]


async def reconciliar(resources: Resources) -> Pending:
    """End work whose lease ran out, clean up after every ended attempt, and return what waits for a worker."""
    async with transaction(resources) as session:
        respaldos = await platform_repository.end_expired_leases(session)
        for respaldo in respaldos:
            if respaldo.estado == Estado.FALLIDO:
                error = {name: respaldo.metadata_[name] for name in ("error", "error_type")}
                await avisos.record(
                    session, TipoAviso.FALLO, clinica_id=respaldo.clinica_id, respaldo_id=respaldo.id, **error
                )
        restauraciones = await platform_repository.end_expired_readings(session)
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
            await platform_repository.waiting_backups(session),
            await platform_repository.waiting_restauraciones(session),
        )


async def clean_up(resources: Resources, *, respaldo_id: int | None = None) -> None:
    """Remove the uploads and objects of our own ended attempts, by their recorded keys; nothing else is touched.

    With `respaldo_id`, only those at that backup, so that its end does not wait for the others'. What S3 does not
    remove now is tried again at the next call.
    """
    async with transaction(resources) as session:
        leftovers = await platform_repository.leftovers(session, respaldo_id=respaldo_id)
    if not leftovers:
        return
    try:
        # A store that does not answer would cost its whole patience for every key.
        async with asyncio.timeout(CLEAN_UP_SECONDS):
            await resources.storage.check()
    except (StorageError, TimeoutError) as exc:
        log.warning("queda por limpiar en S3 lo de %d intentos de respaldo: %s", len(leftovers), exc or "no responde")
        return
    for leftover in leftovers:
        try:
            async with asyncio.timeout(CLEAN_UP_SECONDS):
                await resources.storage.discard(leftover.archivo_s3)
        except (StorageError, TimeoutError) as exc:
            log.warning("no se pudo limpiar «%s» en S3: %s", leftover.archivo_s3, exc or "no responde")
            continue
        async with transaction(resources) as session:
            await platform_repository.mark_clean(session, leftover)
