"""One attempt at a restore: what is asked for, and the row that this process has claimed."""

from dataclasses import dataclass
from typing import Any

from sqlalchemy.ext.asyncio import AsyncSession

from app.clinic.restore.scope import Record, Scope
from app.errors import InvalidRequest, NotCompleted
from app.respaldos import audit
from app.respaldos.audit import Actor
from app.respaldos.backup import queries as backup_queries
from app.respaldos.databases import Databases, transaction
from app.respaldos.lease import Beat
from app.respaldos.models import Accion, Estado, Respaldo, Restauracion
from app.respaldos.progress import Expected, Progreso
from app.respaldos.reading import queries as reading_queries


@dataclass(frozen=True, slots=True)
class RestoreRequest:
    """What is to be restored, or, where `simulada`, only tried; neither `modelos` nor `registro`: the whole clinic.

    `sin_respaldo_previo`: without a safety backup of how things are now. `destino` names another database.
    `actualizar`: change rows of the platform that differ, too; of a clinic all of them are, in any case.
    `con_accesos` and `con_clinica`: logins and privileges, or the clinic's row in the table of clinics, too; both are
    the platform's to ask for.
    """

    simulada: bool = False
    modelos: tuple[str, ...] | None = None
    registro: str | None = None
    sin_respaldo_previo: bool = False
    destino: str | None = None
    actualizar: bool = False
    con_accesos: bool = False
    con_clinica: bool = False

    @property
    def scope(self) -> Scope:
        """The part of the clinic. Raises InvalidRequest."""
        if self.modelos is not None and self.registro is not None:
            raise InvalidRequest("se restauran unos modelos o un registro, no las dos cosas a la vez")
        if self.modelos is not None and not self.modelos:
            raise InvalidRequest("«modelos» está vacío: nombre al menos uno, o no lo envíe para restaurar todo")
        record = Record.parse(self.registro) if self.registro is not None else None
        return Scope(self.modelos, record, access=self.con_accesos, clinic=self.con_clinica)

    def values(self) -> dict[str, Any]:
        """The columns of the row."""
        return {
            "simulada": self.simulada,
            "modelos": list(self.modelos) if self.modelos is not None else None,
            "registro": self.registro,
            "sin_respaldo_previo": self.sin_respaldo_previo,
            "destino": self.destino,
            "actualizar": self.actualizar,
            "con_accesos": self.con_accesos,
            "con_clinica": self.con_clinica,
        }


@dataclass(frozen=True, slots=True)
class RestoreAttempt:
    """Work that this process has claimed: attempt `numero` at the restore `id`, of the backup as it was then."""

    id: int
    numero: int
    respaldo: Respaldo
    request: RestoreRequest
    actor: Actor

    @property
    def clinica_id(self) -> int | None:
        """Whose rows they are."""
        return self.respaldo.clinica_id

    @property
    def name(self) -> str:
        """What it is called in an error's message."""
        return f"restauración {self.id}"

    async def beat(self, session: AsyncSession, *, renew: bool, progreso: Progreso | None) -> Beat:
        """See `LeasedWork`."""
        return await reading_queries.beat(
            session, self.id, self.numero, clinica_id=self.clinica_id, renew=renew, progreso=progreso
        )

    async def expected(self, session: AsyncSession) -> Expected:  # noqa: ARG002 (the backup's row is at hand)
        """What the backup has."""
        return Expected(self.respaldo.numero_registros, self.respaldo.tamaño_bytes)


async def put_down_restore(
    session: AsyncSession, respaldo_id: int, *, clinica_id: int | None, request: RestoreRequest, actor: Actor
) -> Restauracion:
    """A pending restore, with its line in the audit trail, as part of the caller's transaction.

    Raises RespaldoNotFound, NotCompleted, InvalidRequest, and OperationInProgress where the clinic has something
    under way already: a person who asks for it wants it now, or not at all.
    """
    _ = request.scope
    if clinica_id is None and request.registro is not None:
        raise InvalidRequest("de la plataforma se restaura todo, o modelos enteros, y no un registro")
    if clinica_id is None and (request.con_accesos or request.con_clinica):
        raise InvalidRequest(
            "en el respaldo de la plataforma los accesos y la tabla de clínicas son filas como las demás: las que"
            " faltan vuelven siempre y las que difieren, con `actualizar`"
        )
    if clinica_id is not None and request.actualizar:
        raise InvalidRequest(
            "`actualizar` es del respaldo de la plataforma: el de una clínica corrige siempre lo que difiere"
        )
    respaldo = await backup_queries.get(session, respaldo_id, clinica_id=clinica_id)
    if respaldo.estado != Estado.COMPLETADO:
        raise NotCompleted(
            f"el respaldo {respaldo_id} está {respaldo.estado}; solo se restaura uno completado", respaldo.estado
        )
    if request.destino is None:
        await backup_queries.refuse_if_busy(session, clinica_id=clinica_id)
    restauracion = await reading_queries.add_restore(
        session, respaldo_id, clinica_id=clinica_id, actor=actor, **request.values()
    )
    asked = {name: value for name, value in request.values().items() if value}
    await audit.record(
        session,
        Accion.RESTAURACION,
        actor,
        clinica_id=clinica_id,
        respaldo_id=respaldo_id,
        restauracion_id=restauracion.id,
        estado=Estado.PENDIENTE,
        **asked,
    )
    return restauracion


async def claim_restore(
    session: AsyncSession, restauracion_id: int, *, clinica_id: int | None
) -> RestoreAttempt | None:
    """Take the pending restore for a lease; None where it is not pending any more.

    Raises OperationInProgress, upon which the transaction must be rolled back.
    """
    claimed = await reading_queries.claim(session, restauracion_id, clinica_id=clinica_id)
    if claimed is None:
        return None
    request = RestoreRequest(
        simulada=claimed.simulada,
        modelos=tuple(claimed.modelos) if claimed.modelos is not None else None,
        registro=claimed.registro,
        sin_respaldo_previo=claimed.sin_respaldo_previo,
        destino=claimed.destino,
        actualizar=claimed.actualizar,
        con_accesos=claimed.con_accesos,
        con_clinica=claimed.con_clinica,
    )
    if request.destino is None:
        await reading_queries.take_clinic(session, claimed, clinica_id=clinica_id)
    respaldo = await backup_queries.get(session, claimed.respaldo_id, clinica_id=clinica_id, deleted=True)
    actor = Actor(claimed.usuario, None, claimed.direccion)
    return RestoreAttempt(claimed.id, claimed.intento, respaldo, request, actor)


async def pedir_restauracion(
    databases: Databases, respaldo_id: int, *, clinica_id: int | None, request: RestoreRequest, actor: Actor
) -> Restauracion:
    """A pending restore, committed; tell the queue, or the reconciler will within a minute.

    Raises RespaldoNotFound, NotCompleted, InvalidRequest, OperationInProgress.
    """
    async with transaction(databases) as session:
        return await put_down_restore(session, respaldo_id, clinica_id=clinica_id, request=request, actor=actor)
