"""Takes a deletion back, as long as the object is there."""

from app.errors import AlreadyPurged, NotDeleted
from app.respaldos import eventos, repository, retention_repository
from app.respaldos.actor import Actor
from app.respaldos.models import Accion, Respaldo
from app.respaldos.resources import Resources
from app.respaldos.transaction import transaction


async def recuperar_respaldo(
    resources: Resources, respaldo_id: int, *, clinica_id: int | None, actor: Actor
) -> Respaldo:
    """The backup as it was before its deletion; limpiar leaves it alone for RETENTION_DAYS from now.

    Raises RespaldoNotFound, NotDeleted, AlreadyPurged where the object is gone or is being removed just now, and
    StorageError where S3 does not say.
    """
    async with transaction(resources) as session:
        respaldo = await repository.get(session, respaldo_id, clinica_id=clinica_id, deleted=True)
    _refuse(respaldo)
    if respaldo.archivo_s3 is not None and await resources.storage.head(respaldo.archivo_s3) is None:
        raise AlreadyPurged(f"el archivo del respaldo {respaldo_id} ya no está en S3")
    async with transaction(resources) as session:
        respaldo = await retention_repository.locked(session, respaldo_id, clinica_id=clinica_id)
        _refuse(respaldo)
        respaldo.fecha_eliminacion = None
        await eventos.record(session, Accion.RECUPERACION, actor, clinica_id=clinica_id, respaldo_id=respaldo_id)
        await session.refresh(respaldo)
        return respaldo


def _refuse(respaldo: Respaldo) -> None:
    if respaldo.fecha_eliminacion is None:
        raise NotDeleted(f"el respaldo {respaldo.id} no está eliminado")
    if retention_repository.being_purged(respaldo):
        raise AlreadyPurged(f"el archivo del respaldo {respaldo.id} ya se borró de S3")
