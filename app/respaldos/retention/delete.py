"""What a person decides of a backup: hidden at once and purged days later, taken back, accepted though suspicious."""

from datetime import UTC, datetime

from app.dump.whose import whose
from app.errors import AlreadyPurged, LastGoodBackup, NotDeleted, NotSuspicious, OperationInProgress, RespaldoNotFound
from app.respaldos import audit
from app.respaldos.audit import Actor
from app.respaldos.backup import queries as backup_queries
from app.respaldos.databases import Databases, transaction
from app.respaldos.models import Accion, Respaldo
from app.respaldos.resources import Resources
from app.respaldos.retention import queries as retention_queries


async def eliminar_respaldo(databases: Databases, respaldo_id: int, *, clinica_id: int | None, actor: Actor) -> None:
    """Raises RespaldoNotFound, OperationInProgress while it is pending or running, and LastGoodBackup.

    The latter where the clinic would be left without a good one.
    """
    async with transaction(databases) as session:
        # All of them are locked: of the last two good ones, two people must not delete one each.
        backups = await retention_queries.live(session, clinica_id=clinica_id, locked=True)
        found = next((backup for backup in backups if backup.id == respaldo_id), None)
        if found is None:
            raise RespaldoNotFound(f"no existe el respaldo {respaldo_id}")
        if found.good and not any(other.good for other in backups if other is not found):
            raise LastGoodBackup(
                f"el respaldo {respaldo_id} es el único bueno de {whose(clinica_id)}; haga otro antes de eliminarlo"
            )
        if not await retention_queries.mark_deleted(session, respaldo_id, clinica_id=clinica_id):
            raise OperationInProgress(
                f"el respaldo {respaldo_id} está en curso; cancélelo antes de eliminarlo", respaldo_id
            )
        await audit.record(session, Accion.ELIMINACION, actor, clinica_id=clinica_id, respaldo_id=respaldo_id)


async def recuperar_respaldo(
    resources: Resources, respaldo_id: int, *, clinica_id: int | None, actor: Actor
) -> Respaldo:
    """The backup as it was before its deletion; limpiar leaves it alone for RETENTION_DAYS from now.

    Raises RespaldoNotFound, NotDeleted, AlreadyPurged where the object is gone or is being removed just now, and
    StorageError where S3 does not say.
    """
    async with transaction(resources) as session:
        respaldo = await backup_queries.get(session, respaldo_id, clinica_id=clinica_id, deleted=True)
    _refuse(respaldo)
    if respaldo.archivo_s3 is not None and await resources.storage.head(respaldo.archivo_s3) is None:
        raise AlreadyPurged(f"el archivo del respaldo {respaldo_id} ya no está en S3")
    async with transaction(resources) as session:
        respaldo = await retention_queries.locked(session, respaldo_id, clinica_id=clinica_id)
        _refuse(respaldo)
        respaldo.fecha_eliminacion = None
        await audit.record(session, Accion.RECUPERACION, actor, clinica_id=clinica_id, respaldo_id=respaldo_id)
        await session.refresh(respaldo)
        return respaldo


def _refuse(respaldo: Respaldo) -> None:
    if respaldo.fecha_eliminacion is None:
        raise NotDeleted(f"el respaldo {respaldo.id} no está eliminado")
    if respaldo.being_purged:
        raise AlreadyPurged(f"el archivo del respaldo {respaldo.id} ya se borró de S3")


async def aceptar_respaldo(
    databases: Databases, respaldo_id: int, *, clinica_id: int | None, actor: Actor
) -> Respaldo:
    """Raises RespaldoNotFound, and NotSuspicious where there is nothing to accept any more or never was."""
    async with transaction(databases) as session:
        respaldo = await retention_queries.locked(session, respaldo_id, clinica_id=clinica_id)
        if respaldo.fecha_eliminacion is not None:
            raise RespaldoNotFound(f"no existe el respaldo {respaldo_id}")
        if respaldo.aceptado is not None:
            raise NotSuspicious(f"el respaldo {respaldo_id} ya se aceptó")
        if not respaldo.sospechoso:
            raise NotSuspicious(f"el respaldo {respaldo_id} no es sospechoso")
        respaldo.aceptado = datetime.now(UTC)
        await audit.record(session, Accion.ACEPTACION, actor, clinica_id=clinica_id, respaldo_id=respaldo_id)
        await session.refresh(respaldo)
        return respaldo
