"""How a restore is asked for, and what of it."""

from dataclasses import dataclass
from typing import Any, Self

from sqlalchemy.ext.asyncio import AsyncSession

from app.clinic.restore.scope import Record, Scope
from app.errors import InvalidRequest, NotCompleted
from app.respaldos import audit
from app.respaldos.audit import Actor
from app.respaldos.backup import queries as backup_queries
from app.respaldos.databases import Databases
from app.respaldos.jobs import queries as job_queries
from app.respaldos.jobs.request import Announcer, requesting
from app.respaldos.models import Accion, Clase, Estado, Restauracion, TipoRestauracion
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

    @classmethod
    def of(cls, row: Restauracion) -> Self:
        """What the row asks for."""
        return cls(
            simulada=row.simulada,
            modelos=tuple(row.modelos) if row.modelos is not None else None,
            registro=row.registro,
            sin_respaldo_previo=row.sin_respaldo_previo,
            destino=row.destino,
            actualizar=row.actualizar,
            con_accesos=row.con_accesos,
            con_clinica=row.con_clinica,
        )

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


async def create_pending(
    session: AsyncSession, respaldo_id: int, *, clinica_id: int | None, request: RestoreRequest, actor: Actor
) -> Restauracion:
    """A pending restore, with its line in the audit trail, as part of the caller's transaction.

    Raises RespaldoNotFound, NotCompleted, InvalidRequest, and OperationInProgress where the clinic has a backup or a
    restore under way already: a person who asks for it wants it now, or not at all. A preview, which takes minutes at
    most, is waited for.
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
    here = request.destino is None
    if here:
        await job_queries.refuse_if_busy(session, clinica_id=clinica_id)
    restauracion = await reading_queries.add(
        session,
        Clase.SIMULACION if request.simulada else Clase.RESTAURACION,
        respaldo_id,
        clinica_id=clinica_id,
        actor=actor,
        of_job={"exclusiva": here},
        tipo=TipoRestauracion.RESTAURACION,
        **request.values(),
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


async def pedir_restauracion(
    databases: Databases,
    queue: Announcer | None,
    respaldo_id: int,
    *,
    clinica_id: int | None,
    request: RestoreRequest,
    actor: Actor,
) -> Restauracion:
    """A pending restore, for a worker to make.

    Raises RespaldoNotFound, NotCompleted, InvalidRequest, OperationInProgress, TooManyReadings where it is
    `simulada`, and what `requesting` raises.
    """
    async with requesting(databases, queue) as session:
        if request.simulada:
            await job_queries.refuse_if_many_readings_wait(session, clinica_id=clinica_id)
        return await create_pending(session, respaldo_id, clinica_id=clinica_id, request=request, actor=actor)
