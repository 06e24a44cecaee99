"""A worker's attempt at what is asked to be done with a backup's file: verify it, compare it, or restore it."""

import logging

from app.errors import OperationInProgress, RespaldosError
from app.respaldos import platform_repository
from app.respaldos.ejecutar_comparacion import ejecutar_comparacion
from app.respaldos.ejecutar_verificacion import ejecutar_verificacion
from app.respaldos.make_restore import make_restore
from app.respaldos.models import TipoRestauracion
from app.respaldos.progress import Progress
from app.respaldos.resources import Resources
from app.respaldos.restore_attempt import RestoreAttempt, claim_restore
from app.respaldos.transaction import transaction

log = logging.getLogger(__name__)


async def ejecutar_restauracion(resources: Resources, restauracion_id: int) -> None:
    """Do it where it is still pending; the row tells how it went.

    A restore stays pending where something else is under way for its clinic. Raises DatabaseError where it could not
    even be claimed.
    """
    async with transaction(resources) as session:
        asked = await platform_repository.get_restauracion(session, restauracion_id)
    if asked is None:
        return
    if asked.tipo == TipoRestauracion.VERIFICACION:
        await ejecutar_verificacion(resources, restauracion_id)
        return
    if asked.tipo == TipoRestauracion.COMPARACION:
        await ejecutar_comparacion(resources, restauracion_id)
        return
    try:
        attempt = await _claim(resources, restauracion_id, asked.clinica_id)
    except OperationInProgress as exc:
        log.info("la restauración %s espera: %s", restauracion_id, exc)
        return
    if attempt is None:
        return
    try:
        await make_restore(resources, attempt, Progress())
    except RespaldosError as exc:
        log.warning("la restauración %s no se completó: %s", restauracion_id, exc)


async def _claim(resources: Resources, restauracion_id: int, clinica_id: int | None) -> RestoreAttempt | None:
    async with transaction(resources) as session:
        return await claim_restore(session, restauracion_id, clinica_id=clinica_id)
