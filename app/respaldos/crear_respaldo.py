"""Makes a backup in the caller's process, who waits for it: the command line's, and a restore's safety backup."""

import time

from app.respaldos.actor import COMMAND_LINE, Actor
from app.respaldos.attempt import Attempt, claim_attempt
from app.respaldos.make_backup import claim_and_make
from app.respaldos.models import Respaldo, TipoRespaldo
from app.respaldos.pedir_respaldo import put_down
from app.respaldos.progress import Progress
from app.respaldos.reconciliar import reconciliar
from app.respaldos.resources import Resources
from app.respaldos.transaction import transaction


async def crear_respaldo(
    resources: Resources,
    *,
    clinica_id: int | None,
    tipo: TipoRespaldo,
    descripcion: str = "",
    actor: Actor = COMMAND_LINE,
    progress: Progress | None = None,
    under: int | None = None,
) -> Respaldo:
    """Back up the clinic now, in this process; return the completed backup.

    `under` is the restore whose safety backup it is: what that keeps away from the clinic, it lets in.

    Raises OperationInProgress where one is under way already, and Cancelled where a person had it stopped, which
    leaves it `cancelado`. Any other error (RespaldosError) and any cancellation of the task leaves the backup
    `fallido` with the reason; nothing of it stays in S3.
    """
    await reconciliar(resources)
    started = time.perf_counter()
    claiming = _request(resources, clinica_id, tipo, descripcion, actor, under)
    return await claim_and_make(resources, claiming, progress or Progress(), started=started, again=False)


async def _request(
    resources: Resources,
    clinica_id: int | None,
    tipo: TipoRespaldo,
    descripcion: str,
    actor: Actor,
    under: int | None,
) -> Attempt:
    async with transaction(resources) as session:
        respaldo = await put_down(session, clinica_id=clinica_id, tipo=tipo, descripcion=descripcion, actor=actor)
        return await claim_attempt(
            session, respaldo.id, clinica_id=clinica_id, time_zone=resources.time_zone, under=under
        )
