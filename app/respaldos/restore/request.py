"""How a restore is asked for, and what of it."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Self

from sqlalchemy.ext.asyncio import AsyncSession

from app.clinic.restore.mode import Modo
from app.clinic.restore.scope import Record, Scope
from app.errors import InvalidRequest, NotCompleted
from app.respaldos import audit
from app.respaldos.audit import Actor
from app.respaldos.backup import queries as backup_queries
from app.respaldos.databases import Databases
from app.respaldos.jobs import queries as job_queries
from app.respaldos.jobs.request import Announcer, requesting
from app.respaldos.keys.keys import refuse_destroyed
from app.respaldos.models import Accion, Clase, Estado, Restauracion, TipoRestauracion
from app.respaldos.reading import queries as reading_queries

# How what a safety backup is called begins; the number of what was restored follows.
SAFETY_DESCRIPTION = "Antes de restaurar el respaldo"

# The records that one restore may name: more than people pick, and few enough to be read in one request and kept.
MOST_RECORDS = 5000

# Of the records that a restore names, so many stand in its line of the audit trail; the restore itself has them all.
AUDITED_RECORDS = 20


@dataclass(frozen=True, slots=True)
class RestoreRequest:
    """What is to be restored, or, where `simulada`, only tried; neither `modelos` nor `registros`: the whole clinic.

    `registros` are written `modelo:clave`. `modo` says which differences are applied, `motivo` why a person wants it.
    `sin_respaldo_previo`: without a safety backup of how things are now. `destino` names another database.
    `actualizar`: change rows of the platform that differ, too; of a clinic all of them are, in any case.
    `con_accesos` and `con_clinica`: logins and privileges, or the clinic's row in the table of clinics, too; both are
    the platform's to ask for.
    """

    simulada: bool = False
    modelos: tuple[str, ...] | None = None
    registros: tuple[str, ...] | None = None
    modo: Modo = Modo.TODO
    motivo: str | None = None
    sin_respaldo_previo: bool = False
    destino: str | None = None
    actualizar: bool = False
    con_accesos: bool = False
    con_clinica: bool = False

    @property
    def scope(self) -> Scope:
        """The part of the clinic. Raises InvalidRequest."""
        if self.modelos is not None and self.registros is not None:
            raise InvalidRequest("se restauran unos modelos o unos registros, no las dos cosas a la vez")
        for name, chosen in (("modelos", self.modelos), ("registros", self.registros)):
            if chosen is not None and not chosen:
                raise InvalidRequest(f"«{name}» está vacío: nombre al menos uno, o no lo envíe para restaurar todo")
        if self.registros is not None and len(self.registros) > MOST_RECORDS:
            raise InvalidRequest(
                f"se nombran {len(self.registros):,} registros, y pueden ser {MOST_RECORDS:,} como máximo: restaure"
                " modelos enteros, o en varias veces"
            )
        records = tuple(map(Record.parse, dict.fromkeys(self.registros))) if self.registros is not None else None
        return Scope(self.modelos, records, self.modo, access=self.con_accesos, clinic=self.con_clinica)

    @classmethod
    def of(cls, row: Restauracion) -> Self:
        """What the row asks for."""
        return cls(
            simulada=row.simulada,
            modelos=tuple(row.modelos) if row.modelos is not None else None,
            registros=tuple(row.registros) if row.registros is not None else None,
            modo=Modo(row.modo),
            motivo=row.motivo,
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
            "registros": list(self.registros) if self.registros is not None else None,
            "modo": self.modo,
            "motivo": self.motivo,
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

    Raises RespaldoNotFound, NotCompleted, KeyDestroyed, InvalidRequest, and OperationInProgress where the clinic has
    a backup or a restore under way already: a person who asks for it wants it now, or not at all. A preview, which
    takes minutes at most, is waited for.
    """
    _ = request.scope
    if clinica_id is None and request.registros is not None:
        raise InvalidRequest("de la plataforma se restaura todo, o modelos enteros, y no un registro")
    if clinica_id is None and request.modo is not Modo.TODO:
        raise InvalidRequest(
            "del respaldo de la plataforma se agrega siempre lo que falta, sin quitar nada, y con `actualizar` se"
            " cambia también lo que difiere: no tiene otro modo"
        )
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
    refuse_destroyed(respaldo)
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
    await audit.record(
        session,
        Accion.RESTAURACION,
        actor,
        clinica_id=clinica_id,
        respaldo_id=respaldo_id,
        restauracion_id=restauracion.id,
        estado=Estado.PENDIENTE,
        **_audited(request),
    )
    return restauracion


def _audited(request: RestoreRequest) -> dict[str, Any]:
    """What was asked beyond the usual, for the audit trail; of many records the first, and how many they are."""
    asked = {name: value for name, value in request.values().items() if value and value != Modo.TODO}
    return asked | audited_records(request.registros)


def audited_records(registros: Sequence[str] | None) -> dict[str, Any]:
    """The first records that a restore names, and how many they are where those are not all, for the audit trail."""
    if registros is None:
        return {}
    first = {"registros": list(registros[:AUDITED_RECORDS])}
    return first if len(registros) <= AUDITED_RECORDS else {**first, "numero_registros": len(registros)}


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
        restauracion = await create_pending(session, respaldo_id, clinica_id=clinica_id, request=request, actor=actor)
        await job_queries.note_asked(session, actor, clinica_id=clinica_id, restauracion_id=restauracion.id)
        return restauracion
