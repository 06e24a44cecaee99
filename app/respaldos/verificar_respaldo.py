"""Proves that a backup's object is whole and is the one that was made, for somebody who waits for the answer."""

from app.dump.verifier import VerifiedFile
from app.respaldos.actor import COMMAND_LINE, Actor
from app.respaldos.models import Profundidad, Respaldo
from app.respaldos.object_check import BAD, Take, check_by_trial, check_quickly, check_thoroughly
from app.respaldos.progress import Progress
from app.respaldos.resources import Resources
from app.respaldos.transaction import transaction
from app.respaldos.verification import Verification, record_verification


async def verificar_respaldo(
    resources: Resources,
    respaldo: Respaldo,
    *,
    profundidad: Profundidad = Profundidad.COMPLETA,
    actor: Actor = COMMAND_LINE,
    progress: Progress | None = None,
    take: Take | None = None,
) -> VerifiedFile | None:
    """Check the object in S3 as deep as that, and record in the backup's row what was found.

    `take` is as for check_thoroughly, of a complete reading; what it raises says nothing of the object, unless it is
    a FormatError.

    Returns what the file says where it was read, and so None of a quick look. Raises NotCompleted, AlreadyPurged,
    ObjectNotFound, ObjectMismatch, RestoreDiffers, or FormatError that says what is wrong; a StorageError, a
    DatabaseError or a RestoreRefused says nothing about the object.
    """
    verification = Verification(respaldo.id, respaldo.clinica_id, profundidad, actor)
    try:
        verified = await _check(resources, respaldo, profundidad, progress or Progress(), take)
    except BAD as exc:
        async with transaction(resources) as session:
            await record_verification(session, verification, False, str(exc))
        raise
    async with transaction(resources) as session:
        await record_verification(session, verification, True, None)
    return verified


async def _check(
    resources: Resources, respaldo: Respaldo, profundidad: Profundidad, progress: Progress, take: Take | None
) -> VerifiedFile | None:
    match profundidad:
        case Profundidad.RAPIDA:
            await check_quickly(resources, respaldo, progress)
            return None
        case Profundidad.COMPLETA:
            return await check_thoroughly(resources, respaldo, progress, take=take)
        case Profundidad.ENSAYO:
            return (await check_by_trial(resources, respaldo, progress))[0]
