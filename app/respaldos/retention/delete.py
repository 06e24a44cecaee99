"""What a person decides of a backup: hidden at once and purged days later, taken back, accepted though suspicious."""

from datetime import UTC, datetime, timedelta

from app.dump.whose import whose
from app.errors import (
    AlreadyPurged,
    BackupHeld,
    ConfirmationRequired,
    LastGoodBackup,
    NotDeleted,
    NotSuspicious,
    OperationInProgress,
    ProtectedBackup,
    RespaldoNotFound,
)
from app.respaldos import audit, notices
from app.respaldos.audit import Actor
from app.respaldos.backup import queries as backup_queries
from app.respaldos.copies import queries as copy_queries
from app.respaldos.databases import Databases, transaction
from app.respaldos.models import Accion, Respaldo, TipoAviso
from app.respaldos.resources import Resources
from app.respaldos.retention import queries as retention_queries

# Whoever takes over a clinic's account is noticed within a week, and finds this backup then.
PROTECTED_AGE = timedelta(days=7)

# More than these in a day are no tidying up.
USUAL_DELETIONS, DAY = 3, timedelta(days=1)


async def eliminar_respaldo(
    databases: Databases,
    respaldo_id: int,
    *,
    clinica_id: int | None,
    actor: Actor,
    platform: bool = False,
    confirmed: bool = True,
) -> None:
    """Hide it, and tell the clinic's administrators: all of them where a thief might want it, who has no more time.

    That is a good one of the last PROTECTED_AGE, or one after USUAL_DELETIONS others of that day; who asks is to have
    `confirmed` who they are, else ConfirmationRequired.

    Raises RespaldoNotFound, OperationInProgress while it is pending or running, BackupHeld, LastGoodBackup where the
    clinic would be left without a good one, and, but for the `platform`'s own people, ProtectedBackup for its newest
    good one that is older than PROTECTED_AGE.
    """
    now = datetime.now(UTC)
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
        if found.held(now):
            raise BackupHeld(
                f"el respaldo {respaldo_id} está retenido ({found.retenido_motivo}); libérelo antes de eliminarlo"
            )
        old = [backup for backup in backups if backup.good and backup.fecha_respaldo < now - PROTECTED_AGE]
        if not platform and found is max(old, key=lambda backup: (backup.fecha_respaldo, backup.id), default=None):
            raise ProtectedBackup(
                f"el respaldo {respaldo_id} es el último bueno de hace {PROTECTED_AGE.days} días o más; solo lo"
                " elimina quien administra la plataforma"
            )
        before = await retention_queries.deletions(session, clinica_id=clinica_id, since=now - DAY)
        drastic = before >= USUAL_DELETIONS or (found.good and found.fecha_respaldo >= now - PROTECTED_AGE)
        if drastic and not confirmed:
            raise ConfirmationRequired(
                f"para eliminar uno bueno de los últimos {PROTECTED_AGE.days} días, o más de {USUAL_DELETIONS} en un"
                " día, hay que dar la contraseña de nuevo"
            )
        if not await retention_queries.mark_deleted(session, respaldo_id, clinica_id=clinica_id):
            raise OperationInProgress(
                f"el respaldo {respaldo_id} está en curso; cancélelo antes de eliminarlo", respaldo_id
            )
        await audit.record(session, Accion.ELIMINACION, actor, clinica_id=clinica_id, respaldo_id=respaldo_id)
        await notices.record(
            session,
            TipoAviso.ELIMINACION,
            clinica_id=clinica_id,
            respaldo_id=respaldo_id,
            quien=actor.nombre or actor.usuario,
            desde=actor.direccion,
            todos=drastic,
        )


async def recuperar_respaldo(
    resources: Resources, respaldo_id: int, *, clinica_id: int | None, actor: Actor
) -> Respaldo:
    """The backup as it was before its deletion; limpiar leaves it alone for RETENTION_DAYS from now.

    Where its object is gone, it is read from a second copy from then on. Raises RespaldoNotFound, NotDeleted,
    AlreadyPurged where the object and all copies are gone or being removed just now, and StorageError where S3 does
    not say.
    """
    async with transaction(resources) as session:
        respaldo = await backup_queries.get(session, respaldo_id, clinica_id=clinica_id, deleted=True)
    _refuse(respaldo)
    copy = None
    if respaldo.archivo_s3 is not None:
        copy = await _copy_needed(resources, respaldo, respaldo.archivo_s3)
    async with transaction(resources) as session:
        respaldo = await retention_queries.locked(session, respaldo_id, clinica_id=clinica_id)
        _refuse(respaldo)
        if copy is None and respaldo.being_purged:
            raise _purged(respaldo)
        if copy is not None:
            if not respaldo.has_copy(copy):
                raise _purged(respaldo)
            respaldo.purga_iniciada = respaldo.purgado = None
            await copy_queries.note_only_copy(session, respaldo_id, True, clinica_id=clinica_id)
        respaldo.fecha_eliminacion = None
        await audit.record(session, Accion.RECUPERACION, actor, clinica_id=clinica_id, respaldo_id=respaldo_id)
        await session.refresh(respaldo)
        return respaldo


def _refuse(respaldo: Respaldo) -> None:
    if respaldo.fecha_eliminacion is None:
        raise NotDeleted(f"el respaldo {respaldo.id} no está eliminado")


def _purged(respaldo: Respaldo) -> AlreadyPurged:
    return AlreadyPurged(f"el archivo del respaldo {respaldo.id} ya se borró de S3")


async def _copy_needed(resources: Resources, respaldo: Respaldo, key: str) -> str | None:
    """The second copy that takes the place of its object; None where that is there. Raises AlreadyPurged."""
    if not respaldo.being_purged and await resources.storage.head(key) is not None:
        return None
    for bucket in resources.copies:
        if respaldo.has_copy(bucket.name):
            with bucket.errors():
                found = await bucket.storage.head(key)
            if found is not None and found.size == respaldo.tamaño_bytes:
                return bucket.name
    raise _purged(respaldo)


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
