"""A worker's attempt at a backup that somebody has asked for."""

import logging
import time

from app.errors import OperationInProgress, RespaldoNotFound, RespaldosError
from app.respaldos import platform_repository
from app.respaldos.attempt import Attempt, claim_attempt
from app.respaldos.make_backup import claim_and_make
from app.respaldos.progress import Progress
from app.respaldos.resources import Resources
from app.respaldos.transaction import transaction

log = logging.getLogger(__name__)


async def ejecutar_respaldo(resources: Resources, respaldo_id: int) -> None:
    """Make the backup where it is still pending, and end it as `claim_and_make` says: the row tells how it went.

    It stays pending where something else is under way for its clinic, or where it cannot even be claimed: the
    reconciler has it tried again. A cancellation of the task does so too, however often that has happened.
    """
    started = time.perf_counter()
    try:
        await claim_and_make(resources, _claim(resources, respaldo_id), Progress(), started=started, again=True)
    except (OperationInProgress, RespaldoNotFound) as exc:
        log.info("el respaldo %s espera, o ya se hizo: %s", respaldo_id, exc)
    except RespaldosError as exc:
        log.warning("el respaldo %s no se completó: %s", respaldo_id, exc)


async def _claim(resources: Resources, respaldo_id: int) -> Attempt:
    async with transaction(resources) as session:
        respaldo = await platform_repository.get(session, respaldo_id)
        if respaldo is None:
            raise RespaldoNotFound(f"no existe el respaldo {respaldo_id}")
        return await claim_attempt(
            session, respaldo_id, clinica_id=respaldo.clinica_id, time_zone=resources.time_zone
        )
