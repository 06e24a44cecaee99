"""Restores a clinic from a backup in the caller's process, who waits for it: the command line's."""

from app.clinic.restore.database import RestoreDatabase
from app.errors import OperationInProgress
from app.respaldos.actor import COMMAND_LINE, Actor
from app.respaldos.make_restore import make_restore
from app.respaldos.models import Respaldo, Restauracion
from app.respaldos.progress import Progress
from app.respaldos.reconciliar import reconciliar
from app.respaldos.resources import Resources
from app.respaldos.restore_attempt import RestoreRequest, claim_restore, put_down_restore
from app.respaldos.transaction import transaction


async def restaurar_respaldo(
    resources: Resources,
    respaldo: Respaldo,
    request: RestoreRequest,
    *,
    actor: Actor = COMMAND_LINE,
    progress: Progress | None = None,
    database: RestoreDatabase | None = None,
    strict: bool = False,
) -> Restauracion:
    """Restore now, or try to where it is `simulada`; return the completed row, whose `resultado` says what changed.

    `database` is where to, the clinics' own unless another is given, which `request.destino` then names;
    `strict` is as for `RestoreDatabase.restoring`. Raises
    OperationInProgress, InvalidRequest, NotCompleted, RestoreRefused, RestoreDiffers, FormatError, StorageError or
    DatabaseError: nothing has changed then, and the row is `fallido` with the reason.
    """
    await reconciliar(resources)
    clinica_id = respaldo.clinica_id
    async with transaction(resources) as session:
        asked = await put_down_restore(session, respaldo.id, clinica_id=clinica_id, request=request, actor=actor)
        attempt = await claim_restore(session, asked.id, clinica_id=clinica_id)
    if attempt is None:
        raise OperationInProgress(f"la restauración {asked.id} la hace otro proceso")
    return await make_restore(resources, attempt, progress or Progress(), database=database, strict=strict)
