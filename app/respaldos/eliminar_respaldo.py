"""Hides a backup at once; its object is purged days later, so that a mistake can be undone."""

from app.dump.whose import whose
from app.errors import LastGoodBackup, OperationInProgress, RespaldoNotFound
from app.respaldos import eventos, retention_repository
from app.respaldos.actor import Actor
from app.respaldos.models import Accion
from app.respaldos.resources import Databases
from app.respaldos.transaction import transaction


async def eliminar_respaldo(databases: Databases, respaldo_id: int, *, clinica_id: int | None, actor: Actor) -> None:
    """Raises RespaldoNotFound, OperationInProgress while it is pending or running, and LastGoodBackup.

    The latter where the clinic would be left without a good one.
    """
    async with transaction(databases) as session:
        # All of them are locked: of the last two good ones, two people must not delete one each.
        backups = await retention_repository.live(session, clinica_id=clinica_id, locked=True)
        found = next((backup for backup in backups if backup.id == respaldo_id), None)
        if found is None:
            raise RespaldoNotFound(f"no existe el respaldo {respaldo_id}")
        if found.good and not any(other.good for other in backups if other is not found):
            raise LastGoodBackup(
                f"el respaldo {respaldo_id} es el único bueno de {whose(clinica_id)}; haga otro antes de eliminarlo"
            )
        if not await retention_repository.mark_deleted(session, respaldo_id, clinica_id=clinica_id):
            raise OperationInProgress(
                f"el respaldo {respaldo_id} está en curso; cancélelo antes de eliminarlo", respaldo_id
            )
        await eventos.record(session, Accion.ELIMINACION, actor, clinica_id=clinica_id, respaldo_id=respaldo_id)
