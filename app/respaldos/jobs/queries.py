"""The jobs of one clinic, or of the platform where `clinica_id` is None.

Each function takes part in its caller's transaction.
"""

from datetime import timedelta
from enum import Enum, auto
from typing import Any

from sqlalchemy import ColumnElement, DateTime, func, literal, or_, select, update
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.dialects.postgresql import insert as postgresql_insert
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import aliased

from app import tracing
from app.dump.whose import whose
from app.errors import Cancelled, InvalidRequest, OperationInProgress, RespaldosError, TooManyReadings
from app.respaldos.audit import Actor, RequestKey
from app.respaldos.jobs.fleet import serialize
from app.respaldos.jobs.kinds import KINDS, MAX_ATTEMPTS, POINT_PRIORITY, name_of, those
from app.respaldos.jobs.lease import Lease
from app.respaldos.models import Clase, Estado, Peticion, Respaldo, Trabajo
from app.respaldos.progress import Progreso

_UNDER_WAY = (Estado.PENDIENTE, Estado.PROCESANDO)

# Readings of a clinic that may wait at once: each may take minutes, and other clinics' come in between.
MAX_WAITING_READINGS = 3

# How long a request may be sent again: over a night, so that whoever asked in the evening may look in the morning.
KEY_LIFE = timedelta(hours=24)


class Heartbeat(Enum):
    """What a heartbeat brought back: the job is still ours; it is another's; a person wants it stopped."""

    MINE = auto()
    LOST = auto()
    CANCELLED = auto()


async def refuse_if_busy(session: AsyncSession, *, clinica_id: int | None) -> None:
    """Raise OperationInProgress where a backup or a restore of the clinic is pending or running, and no preview.

    Nobody adds one until the transaction ends.
    """
    await serialize(session)
    found = await session.scalar(
        select(Trabajo)
        .where(
            Trabajo.clinica_id == clinica_id,
            Trabajo.exclusiva,
            Trabajo.clase.in_(those(lambda kind: not kind.reading)),
            Trabajo.estado.in_(_UNDER_WAY),
        )
        .order_by(Trabajo.id)
        .limit(1)
    )
    if found is None:
        return
    if found.clase == Clase.RESPALDO:
        raise OperationInProgress(
            f"{whose(clinica_id)} tiene un respaldo en curso (número {found.respaldo_id}, {found.estado})",
            found.respaldo_id,
        )
    raise OperationInProgress(f"{whose(clinica_id)} ya tiene una restauración en curso")


async def refuse_if_many_readings_wait(session: AsyncSession, *, clinica_id: int | None) -> None:
    """Raise TooManyReadings where MAX_WAITING_READINGS of the clinic wait; nobody adds one meanwhile."""
    await serialize(session)
    waiting = await session.scalar(
        select(func.count()).where(
            Trabajo.clinica_id == clinica_id,
            Trabajo.clase.in_(those(lambda kind: kind.reading)),
            Trabajo.estado == Estado.PENDIENTE,
        )
    )
    if (waiting or 0) >= MAX_WAITING_READINGS:
        raise TooManyReadings(
            f"{whose(clinica_id)} ya tiene {waiting} verificaciones, comparaciones, exportaciones o simulaciones"
            " en espera; pida otra cuando empiece alguna"
        )


async def claim(session: AsyncSession, job_id: int, *, clinica_id: int | None, lease: Lease) -> Trabajo:
    """Take the pending job for a lease, as its next attempt.

    Raises OperationInProgress, upon which the transaction must be rolled back, where it is not pending any more or an
    exclusive job of the clinic keeps it waiting.
    """
    await serialize(session)
    other = aliased(Trabajo)
    running = select(other).where(other.clinica_id == clinica_id, other.exclusiva, other.estado == Estado.PROCESANDO)
    claimed = await _change(
        session,
        *(Trabajo.id == job_id, Trabajo.clinica_id == clinica_id, Trabajo.estado == Estado.PENDIENTE),
        or_(~Trabajo.exclusiva, ~running.exists()),
        estado=Estado.PROCESANDO,
        intento=Trabajo.intento + 1,
        lease_until=_in(lease.seconds),
    )
    if claimed is not None:
        return claimed
    blocking = await session.scalar(running)
    if blocking is None:
        raise OperationInProgress(f"el trabajo {job_id} ya no está pendiente")
    what = {Clase.RESPALDO: "un respaldo", Clase.SIMULACION: "una simulación"}.get(
        Clase(blocking.clase), "una restauración"
    )
    raise OperationInProgress(
        f"{whose(clinica_id)} ya tiene {what} en curso (del respaldo número {blocking.respaldo_id})",
        blocking.respaldo_id,
    )


async def traceparent(session: AsyncSession, job: Trabajo, *, clinica_id: int | None) -> str | None:
    """The trace of the request for the backup that the job makes; None of any other job, and where there is none."""
    if job.clase != Clase.RESPALDO:
        return None
    found: str | None = await session.scalar(
        select(Respaldo.metadata_[tracing.TRACEPARENT].astext).where(
            Respaldo.id == job.respaldo_id, Respaldo.clinica_id == clinica_id
        )
    )
    return found


async def heartbeat(
    session: AsyncSession, job: Trabajo, *, clinica_id: int | None, renew: Lease | None, progreso: Progreso | None
) -> Heartbeat:
    """Renew the lease where one is given, tell the progress where there is any news, and ask how things are."""
    values: dict[str, Any] = {}
    if renew is not None:
        values["lease_until"] = _in(renew.seconds)
    if progreso is not None:
        values["progreso"] = progreso
    mine = _mine(job, clinica_id)
    statement: Any = (
        update(Trabajo).where(*mine).values(values).returning(Trabajo.cancelacion)
        if values
        else select(Trabajo.cancelacion).where(*mine)
    )
    row = (await session.execute(statement)).one_or_none()
    if row is None:
        return Heartbeat.LOST
    return Heartbeat.MINE if row[0] is None else Heartbeat.CANCELLED


async def progress(session: AsyncSession, respaldo_id: int, *, clinica_id: int | None) -> Progreso | None:
    """How far the job that makes the backup is, while it runs."""
    found: Progreso | None = await session.scalar(
        select(Trabajo.progreso).where(
            Trabajo.respaldo_id == respaldo_id,
            Trabajo.clinica_id == clinica_id,
            Trabajo.clase == Clase.RESPALDO,
        )
    )
    return found


async def locked(session: AsyncSession, job: Trabajo, *, clinica_id: int | None) -> Trabajo | None:
    """The running job, which nobody ends or cancels until the transaction does; None where it is another's by now."""
    return await session.scalar(
        select(Trabajo).where(*_mine(job, clinica_id)).with_for_update().execution_options(populate_existing=True)
    )


async def finish(
    session: AsyncSession,
    job: Trabajo,
    *,
    clinica_id: int | None,
    estado: Estado,
    problem: RespaldosError | None,
    interrupted: bool = False,
    wait_seconds: float = 0,
) -> Trabajo | None:
    """End the attempt; None, and nothing changed, where it is another's by now.

    One that is to be tried again goes back to `pendiente`, for `wait_seconds` at least. `interrupted` ones are
    counted.
    """
    ended = {"fecha_fin": func.now()} if estado != Estado.PENDIENTE else {"proximo": _in(wait_seconds)}
    return await _change(
        session,
        *_mine(job, clinica_id),
        estado=estado,
        error=str(problem) if problem is not None else None,
        error_type=problem.code if problem is not None else None,
        interrupciones=Trabajo.interrupciones + (1 if interrupted else 0),
        lease_until=None,
        progreso=None,
        **ended,
    )


async def completed_by(session: AsyncSession, job: Trabajo, *, clinica_id: int | None) -> bool:
    """Whether just this attempt completed the job."""
    found = await session.scalar(
        select(Trabajo.id).where(
            Trabajo.id == job.id,
            Trabajo.clinica_id == clinica_id,
            Trabajo.intento == job.intento,
            Trabajo.estado == Estado.COMPLETADO,
        )
    )
    return found is not None


async def cancel(session: AsyncSession, clase: Clase, number: int, *, clinica_id: int | None) -> Trabajo | None:
    """End the job that makes that backup or export where nobody has begun it, else ask whoever has to stop.

    None where there is none, it has ended, or is asked to stop already.
    """
    assert KINDS[clase].cancellable  # noqa: S101 (the caller's promise)
    # Locked, whatever its state: one that is just given back would be neither pending nor running to two statements.
    job = await session.scalar(
        select(Trabajo)
        .where(
            (Trabajo.exportacion_id if clase == Clase.EXPORTACION else Trabajo.respaldo_id) == number,
            Trabajo.clinica_id == clinica_id,
            Trabajo.clase == clase,
        )
        .with_for_update()
        .execution_options(populate_existing=True)
    )
    if job is None or job.cancelacion is not None or job.estado not in _UNDER_WAY:
        return None
    ended: dict[str, Any] = {}
    if job.estado == Estado.PENDIENTE:
        ended = {
            "estado": Estado.CANCELADO,
            "fecha_fin": func.now(),
            "error": f"{name_of(job)}: se canceló antes de empezar",
            "error_type": Cancelled.code,
        }
    return await _change(session, Trabajo.id == job.id, cancelacion=func.now(), **ended)


async def make_way(session: AsyncSession, *, clinica_id: int | None) -> None:
    """Cancel the clinic's point of the day that nobody has begun, where there is one: another backup is asked for."""
    waiting: tuple[ColumnElement[bool], ...] = (
        Trabajo.clinica_id == clinica_id,
        Trabajo.clase == Clase.RESPALDO,
        Trabajo.prioridad == POINT_PRIORITY,
        Trabajo.estado == Estado.PENDIENTE,
    )
    await _change(
        session,
        *waiting,
        estado=Estado.CANCELADO,
        cancelacion=func.now(),
        fecha_fin=func.now(),
        error="dejó su lugar a otro respaldo, que dice lo mismo",
        error_type=Cancelled.code,
    )


async def _change(session: AsyncSession, *which: ColumnElement[bool], **values: Any) -> Trabajo | None:
    """Change the job, and what the row of the backup that it makes says of it; only here a job's state changes."""
    job: Trabajo | None = await session.scalar(
        update(Trabajo)
        .where(*which)
        .values(**values)
        .returning(Trabajo)
        .execution_options(populate_existing=True, synchronize_session=False)
    )
    if job is not None and job.clase == Clase.RESPALDO:
        respaldo: dict[str, Any] = {"estado": job.estado}
        if job.error is not None:
            said: dict[str, Any] = {
                "error": job.error,
                "error_type": job.error_type,
                "avisos": [],
                "intentos_fallidos": job.tries,
                "intentos_maximos": MAX_ATTEMPTS,
            }
            respaldo["metadata_"] = Respaldo.metadata_.op("||")(literal(said, JSONB))
        await session.execute(
            update(Respaldo)
            .where(Respaldo.id == job.respaldo_id)
            .values(**respaldo)
            .execution_options(synchronize_session=False)
        )
    return job


def _in(seconds: float) -> ColumnElement[Any]:
    """So many seconds from now, as SQL."""
    # By the database's clock: the clocks of two machines may differ by more than a lease.
    return func.clock_timestamp(type_=DateTime(timezone=True)) + timedelta(seconds=seconds)


def _mine(job: Trabajo, clinica_id: int | None) -> tuple[ColumnElement[bool], ...]:
    return (
        Trabajo.id == job.id,
        Trabajo.clinica_id == clinica_id,
        Trabajo.intento == job.intento,
        Trabajo.estado == Estado.PROCESANDO,
    )


async def asked_before(session: AsyncSession, key: RequestKey, *, clinica_id: int | None) -> Peticion | None:
    """What came of the request that had the key before; None where none had, or too long ago.

    Raises InvalidRequest where it asked for something else.
    """
    found = await session.scalar(
        select(Peticion).where(Peticion.quien == _asker(key, clinica_id), Peticion.clave == key.clave, ~_forgotten())
    )
    if found is not None and found.huella != key.huella:
        raise InvalidRequest("con esa «Idempotency-Key» ya se pidió otra cosa: cada petición lleva una nueva")
    return found


async def note_asked(
    session: AsyncSession,
    actor: Actor,
    *,
    clinica_id: int | None,
    respaldo_id: int | None = None,
    restauracion_id: int | None = None,
) -> None:
    """Write down what comes of a request that has a key, in the transaction in which it does.

    Raises OperationInProgress, upon which that must be rolled back, where the same request is being answered.
    """
    if actor.key is None:
        return
    values = {
        "huella": actor.key.huella,
        "respaldo_id": respaldo_id,
        "restauracion_id": restauracion_id,
        "fecha": func.now(),
    }
    noted = await session.scalar(
        postgresql_insert(Peticion)
        .values(quien=_asker(actor.key, clinica_id), clave=actor.key.clave, **values)
        .on_conflict_do_update(index_elements=[Peticion.quien, Peticion.clave], set_=values, where=_forgotten())
        .returning(Peticion.clave)
    )
    if noted is None:
        raise OperationInProgress("esta misma petición se está atendiendo ahora; vuelva a enviarla en un momento")


def _asker(key: RequestKey, clinica_id: int | None) -> str:
    # Two clinics may have people of the same number.
    return f"{clinica_id} {key.quien}"


def _forgotten() -> ColumnElement[bool]:
    return Peticion.fecha < func.now() - KEY_LIFE
