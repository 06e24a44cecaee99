"""Proves that a backup's object is whole and is the one that was made, for somebody who waits for the answer."""

from collections.abc import Callable

from app.dump.reader import Event
from app.dump.verifier import VerifiedFile
from app.respaldos.actor import COMMAND_LINE, Actor
from app.respaldos.models import Profundidad, Respaldo
from app.respaldos.object_check import BAD, check_thoroughly
from app.respaldos.progress import Progress
from app.respaldos.resources import Resources
from app.respaldos.transaction import transaction
from app.respaldos.verification import Verification, record_verification


async def verificar_respaldo(
    resources: Resources,
    respaldo: Respaldo,
    *,
    actor: Actor = COMMAND_LINE,
    progress: Progress | None = None,
    on_event: Callable[[Event], None] | None = None,
) -> VerifiedFile:
    """Read the object from S3, check all of it, and record in the backup's row what was found.

    `on_event` is as for check_thoroughly; what it raises says nothing of the object, unless it is a FormatError.

    Raises NotCompleted, AlreadyPurged, ObjectNotFound, or FormatError that says what is wrong; a StorageError or
    DatabaseError says nothing about the object.
    """
    verification = Verification(respaldo.id, respaldo.clinica_id, Profundidad.COMPLETA, actor)
    try:
        verified = await check_thoroughly(resources, respaldo, progress or Progress(), on_event=on_event)
    except BAD as exc:
        async with transaction(resources) as session:
            await record_verification(session, verification, False, str(exc))
        raise
    async with transaction(resources) as session:
        await record_verification(session, verification, True, None)
    return verified
