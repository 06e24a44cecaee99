"""How a backup is asked for, and stopped."""

from sqlalchemy.ext.asyncio import AsyncSession

from app.errors import NotInProgress
from app.respaldos import audit
from app.respaldos.audit import Actor
from app.respaldos.backup import queries as backup_queries
from app.respaldos.databases import Databases, transaction
from app.respaldos.jobs import queries as job_queries
from app.respaldos.jobs.request import Announcer, requesting
from app.respaldos.models import Accion, Clase, Estado, Respaldo, TipoRespaldo, Trabajo


async def pedir_respaldo(
    databases: Databases,
    queue: Announcer | None,
    *,
    clinica_id: int | None,
    tipo: TipoRespaldo,
    descripcion: str,
    actor: Actor,
) -> Respaldo:
    """A pending backup of the clinic, for a worker to make.

    Whether there is such a clinic is for the caller to know. Raises OperationInProgress, with the `respaldo_id` of
    the one that is pending or running already, and what `requesting` raises.
    """
    async with requesting(databases, queue) as session:
        respaldo, _ = await create_pending(
            session, clinica_id=clinica_id, tipo=tipo, descripcion=descripcion, actor=actor
        )
        await job_queries.note_asked(session, actor, clinica_id=clinica_id, respaldo_id=respaldo.id)
    return respaldo


async def create_pending(
    session: AsyncSession,
    *,
    clinica_id: int | None,
    tipo: TipoRespaldo,
    descripcion: str,
    actor: Actor,
    **of_job: bool,
) -> tuple[Respaldo, Trabajo]:
    """A pending backup, its job, and its line in the audit trail, in the caller's transaction.

    `of_job` are columns of the job that are not as for every backup. A point of the day that waits makes way for it.
    Raises OperationInProgress, as `backup_queries.add` does.
    """
    await job_queries.make_way(session, clinica_id=clinica_id)
    respaldo, job = await backup_queries.add(
        session, clinica_id=clinica_id, tipo=tipo, descripcion=descripcion, actor=actor, **of_job
    )
    await audit.record(
        session, Accion.CREACION, actor, clinica_id=clinica_id, respaldo_id=respaldo.id, tipo_respaldo=tipo
    )
    return respaldo, job


async def cancelar_respaldo(
    databases: Databases, respaldo_id: int, *, clinica_id: int | None, actor: Actor
) -> Respaldo:
    """Make a pending backup `cancelado`; ask whoever makes a running one to stop, which takes a second or two.

    A running one that is asked to stop never becomes `completado`. Asking again changes nothing.
    Raises RespaldoNotFound, and NotInProgress where the backup has ended.
    """
    async with transaction(databases) as session:
        job = await job_queries.cancel(session, Clase.RESPALDO, respaldo_id, clinica_id=clinica_id)
        respaldo = await backup_queries.get(session, respaldo_id, clinica_id=clinica_id)
        if job is not None:
            await audit.record(session, Accion.CANCELACION, actor, clinica_id=clinica_id, respaldo_id=respaldo_id)
        elif respaldo.estado != Estado.PROCESANDO:
            raise NotInProgress(
                f"el respaldo {respaldo_id} está {respaldo.estado}; solo se cancela uno pendiente o en proceso"
            )
        return respaldo
