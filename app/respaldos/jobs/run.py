"""Runs jobs: each attempt is claimed, kept by heartbeats, and ended by one rule."""

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import AbstractAsyncContextManager, AbstractContextManager, asynccontextmanager, contextmanager
from typing import Self

from sqlalchemy.ext.asyncio import AsyncSession

from app import tracing
from app.dump.whose import whose
from app.errors import Cancelled, ProcessDied, RespaldosError
from app.logs import fields
from app.respaldos.cancellation import uninterrupted
from app.respaldos.databases import service_errors, transaction
from app.respaldos.jobs import fleet as job_fleet
from app.respaldos.jobs import queries as job_queries
from app.respaldos.jobs.heartbeat import cancelled, hold_lease, lost
from app.respaldos.jobs.kinds import KINDS, MAX_ATTEMPTS, handlers_of, name_of, the, those
from app.respaldos.jobs.lease import Lease
from app.respaldos.models import Clase, Estado, Trabajo
from app.respaldos.progress import Progress
from app.respaldos.resources import Resources

log = logging.getLogger(__name__)


class Attempt:
    """One attempt at a job, which this process claims in `claiming` and works on in `leased`.

    Where its own block raises, it is ended: the row says why, and the error goes on, unless the job turns out to be
    completed all the same, since the answer to a COMMIT can get lost. `undecided` is set while nobody here can say
    how it ended: then that is left to the reconciler. `ended_as` is what became of the job where the attempt failed;
    None while that could not be written down.
    """

    def __init__(self, resources: Resources, progress: Progress | None = None) -> None:
        self.resources = resources
        self.progress = progress or Progress()
        self.undecided = False
        self.ended_as: Estado | None = None
        self._started = time.perf_counter()
        self._job: Trabajo | None = None

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, _: object, exc: BaseException | None, __: object) -> bool:
        if exc is None or not self.claimed or self.undecided:
            return False
        completed = await uninterrupted(_end_failed(self, exc))
        return completed and isinstance(exc, RespaldosError)

    @property
    def job(self) -> Trabajo:
        """The job as it was claimed."""
        assert self._job is not None  # noqa: S101 (nobody asks before `claim`)
        return self._job

    @property
    def claimed(self) -> bool:
        """Whether `claim` has succeeded; its transaction may have failed since."""
        return self._job is not None

    @property
    def seconds(self) -> float:
        """Since it began."""
        return time.perf_counter() - self._started

    @asynccontextmanager
    async def claiming(self) -> AsyncIterator[AsyncSession]:
        """The transaction in which to `claim`.

        A cancellation waits for its commit: only then can the job be ended.
        """
        with service_errors():
            async with self.resources.sessions() as session:
                yield session
                await uninterrupted(session.commit())

    async def claim(self, session: AsyncSession, job: Trabajo) -> None:
        """Take the pending job for a lease. Raises OperationInProgress, as `queries.claim` does."""
        self._job = await job_queries.claim(session, job.id, clinica_id=job.clinica_id, lease=self.resources.lease)

    def leased(self) -> AbstractAsyncContextManager[None]:
        """Keep the job while the block runs; see `hold_lease`."""
        # Waiting for what came before, such as cleaning after others, was no standstill of this attempt.
        self.progress.advance(bytes_=0)
        return hold_lease(self.resources, self.job, self.progress)

    async def complete(self, session: AsyncSession) -> None:
        """End the job as completed, in the transaction that writes down what came of it.

        Raises LeaseLost, and Cancelled where a person has asked for it to be stopped: nothing may be committed then.
        """
        held = await job_queries.locked(session, self.job, clinica_id=self.job.clinica_id)
        if held is None:
            raise lost(self.job)
        if held.cancelacion is not None:
            raise cancelled(self.job)
        await _end_held(session, held, None, lease=self.resources.lease, seconds=self.seconds)


async def run_next(resources: Resources) -> bool:
    """Claim the best waiting job and do it; False where there was none to claim. Its row says how it went.

    A cancellation of the task leaves it pending, where it may be tried again. Raises what is a mistake of ours.
    """
    attempt = Attempt(resources)
    problem: BaseException | None = None
    try:
        async with attempt:
            async with attempt.claiming() as session:
                job = await job_fleet.best_waiting(session)
                if job is None:
                    return False
                await attempt.claim(session, job)
                parent = await _traceparent(session, attempt.job)
            with _span(attempt.job, parent):
                await handlers_of(Clase(attempt.job.clase)).run(attempt)
    except RespaldosError as exc:
        problem = exc
        if not attempt.claimed:
            log.warning("no se pudo tomar ningún trabajo: %s", exc.for_log)
            return False
    except BaseException as exc:
        problem = exc
        raise
    finally:
        if attempt.claimed:
            _log_end(attempt, problem)
    return True


async def _traceparent(session: AsyncSession, job: Trabajo) -> str | None:
    return await job_queries.traceparent(session, job, clinica_id=job.clinica_id) if tracing.enabled() else None


def _span(job: Trabajo, parent: str | None) -> AbstractContextManager[None]:
    return tracing.span(
        f"job {job.clase}",
        parent=parent,
        trabajo_id=job.id,
        clinica_id=job.clinica_id,
        respaldo_id=job.respaldo_id,
        restauracion_id=job.restauracion_id,
        exportacion_id=job.exportacion_id,
        intento=job.intento,
    )


# What became of a job whose attempt failed, in words; None where nobody could write it down, and the reconciler will.
_ENDED = {
    Estado.PENDIENTE: "se hará de nuevo",
    Estado.FALLIDO: "falló",
    Estado.CANCELADO: "se canceló",
    None: "terminó sin que se anotara cómo",
}


def _log_end(attempt: Attempt, problem: BaseException | None) -> None:
    """The one line that the log has of an attempt, with the reason but for what is in a clinic's rows."""
    job, seconds = attempt.job, round(attempt.seconds, 1)
    outcome = Estado.COMPLETADO if problem is None else attempt.ended_as
    said = f"{name_of(job)} de {whose(job.clinica_id)}: {_ENDED.get(outcome, 'completado')}, {seconds} s"
    reason = None
    if problem is not None and outcome is not Estado.COMPLETADO:
        reason = _problem(job, problem).for_log
        said += f", intento {job.intento}: {reason}"
    log.log(
        logging.INFO if outcome in (Estado.COMPLETADO, Estado.CANCELADO) else logging.WARNING,
        "%s",
        said,
        extra=fields(
            clase=job.clase,
            clinica_id=job.clinica_id,
            respaldo_id=job.respaldo_id,
            restauracion_id=job.restauracion_id,
            exportacion_id=job.exportacion_id,
            resultado=outcome or "sin anotar",
            segundos=seconds,
            intento=job.intento,
            razon=reason,
        ),
    )


async def end(
    session: AsyncSession, job: Trabajo, problem: RespaldosError | None, *, lease: Lease, seconds: float | None
) -> Trabajo | None:
    """End the attempt by the one rule, in the caller's transaction; None where it is another's by now.

    Without a problem it is completed. `seconds` is how long it took, None where its process died.
    """
    held = await job_queries.locked(session, job, clinica_id=job.clinica_id)
    if held is None:
        return None
    # Nobody who looks now may be told that a job failed, when it is the one they cancelled.
    if problem is not None and held.cancelacion is not None:
        problem = cancelled(job)
    return await _end_held(session, held, problem, lease=lease, seconds=seconds)


async def _end_held(
    session: AsyncSession, job: Trabajo, problem: RespaldosError | None, *, lease: Lease, seconds: float | None
) -> Trabajo | None:
    kind = KINDS[Clase(job.clase)]
    interrupted = problem is kind.interrupted
    estado = _state_after(job, problem)
    ended = await job_queries.finish(
        session,
        job,
        clinica_id=job.clinica_id,
        estado=estado,
        problem=problem,
        interrupted=interrupted and estado == Estado.PENDIENTE,
        wait_seconds=0 if interrupted else lease.retry_seconds,
    )
    if ended is not None:
        await handlers_of(Clase(job.clase)).ended(session, ended, seconds)
    return ended


def _state_after(job: Trabajo, problem: RespaldosError | None) -> Estado:
    kind = KINDS[Clase(job.clase)]
    if problem is None:
        return Estado.COMPLETADO
    if isinstance(problem, Cancelled):
        return Estado.CANCELADO
    passes = problem is kind.interrupted or (
        problem.transient and not isinstance(problem, kind.final) and job.tries < MAX_ATTEMPTS
    )
    return Estado.PENDIENTE if passes and job.reintentable else Estado.FALLIDO


async def end_expired(resources: Resources) -> None:
    """End the attempts whose process died, as far as the service's own database knows all of them.

    One that cannot be ended keeps no other from it. Raises DatabaseError where none can be found out.
    """
    kinds = those(lambda kind: not kind.asks_outcome)
    async with transaction(resources) as session:
        found = await job_fleet.expired(session, kinds=kinds)
    for job in found:
        died = ProcessDied(f"el proceso que hacía {the(job, number=False)} murió sin terminar")
        with logging_failure(job):
            async with transaction(resources) as session:
                # Its process may be alive after all, or somebody else has ended it.
                if not await job_fleet.expired(session, kinds=kinds, job_id=job.id):
                    continue
                await end(session, job, died, lease=resources.lease, seconds=None)
            log.warning("%s: se venció su arriendo; su intento se dio por terminado", the(job))


@contextmanager
def logging_failure(job: Trabajo) -> Iterator[None]:
    """Log whatever is raised while a dead process's job is ended: the others are to be ended all the same."""
    try:
        yield
    except RespaldosError as exc:
        log.warning("%s: se venció su arriendo, y no se pudo dar por terminado: %s", the(job), exc.for_log)
    except Exception:
        log.exception("%s: se venció su arriendo, y no se pudo dar por terminado", the(job))


async def _end_failed(attempt: Attempt, exc: BaseException) -> bool:
    """Write down why the attempt ended, and clean up after it; True, and neither, where it had been completed."""
    job, resources = attempt.job, attempt.resources
    problem = _problem(job, exc)
    try:
        async with transaction(resources) as session:
            ended = await end(session, job, problem, lease=resources.lease, seconds=attempt.seconds)
            if ended is None and await job_queries.completed_by(session, job, clinica_id=job.clinica_id):
                # It was told to stop, or heard nothing of its COMMIT, after that.
                attempt.ended_as = Estado.COMPLETADO
                return True
    except RespaldosError:
        # The reconciler ends it when its lease runs out, and cleans up then.
        return False
    attempt.ended_as = Estado(ended.estado) if ended is not None else None
    try:
        await handlers_of(Clase(job.clase)).clean(resources, job)
    except RespaldosError as another:
        log.warning("%s falló, y queda por limpiar lo que dejó: %s", the(job), another.for_log)
    return False


def _problem(job: Trabajo, exc: BaseException) -> RespaldosError:
    if isinstance(exc, asyncio.CancelledError | KeyboardInterrupt):
        return KINDS[Clase(job.clase)].interrupted
    return exc if isinstance(exc, RespaldosError) else RespaldosError(f"error interno: {exc!r}")
