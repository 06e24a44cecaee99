"""Restores a backup: verify, compare, safety backup, apply; proven before it is committed."""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import replace
from typing import Any, TypeAlias

from app.clinic.restore.database import RestoreDatabase
from app.clinic.restore.difference import EXAMPLES, Changes
from app.clinic.restore.session import ClinicRestore, Outcome, Plan
from app.clinic.restore.taken import ConflictsFound
from app.dump.verifier import VerifiedFile
from app.dump.whose import whose
from app.errors import (
    AlreadyPurged,
    Cancelled,
    ClinicNotFound,
    DatabaseError,
    NotCompleted,
    RespaldosError,
    RestoreDiffers,
    RestoreInterrupted,
    RestoreRefused,
    StorageError,
)
from app.respaldos.audit import COMMAND_LINE, Actor
from app.respaldos.backup import queries as backup_queries
from app.respaldos.backup.run import crear_respaldo
from app.respaldos.cancellation import uninterrupted
from app.respaldos.contract import WHAT, WHO
from app.respaldos.copies.sources import Source, Sources, read_from
from app.respaldos.databases import transaction
from app.respaldos.jobs import queries as job_queries
from app.respaldos.jobs.heartbeat import lost
from app.respaldos.jobs.kinds import Handlers, the
from app.respaldos.jobs.run import Attempt
from app.respaldos.models import Respaldo, Restauracion, TipoRespaldo
from app.respaldos.progress import Etapa, Expected, Progress
from app.respaldos.reading import queries as reading_queries
from app.respaldos.reading.check import check_thoroughly
from app.respaldos.resources import Resources
from app.respaldos.restore.end import record_end
from app.respaldos.restore.request import SAFETY_DESCRIPTION, RestoreRequest, create_pending

log = logging.getLogger(__name__)

# How often a safety backup is made at most: in a clinic where people are at work, each may be out of date at once.
SAFETY_BACKUPS = 3

# Why a restore with conflicts is not made, for who may see which rows they are, and who may not.
CONFLICTING = "registros de hoy tienen valores que no se pueden repetir y que los del respaldo necesitan"

# Shown what will be written.
Look: TypeAlias = Callable[[ClinicRestore, Plan], Awaitable[None]]

# A server whose client is gone has ended the transaction, either way, within this time (seconds).
OUTCOME_SECONDS = 10


async def restaurar_respaldo(
    resources: Resources,
    respaldo: Respaldo,
    request: RestoreRequest,
    *,
    actor: Actor = COMMAND_LINE,
    progress: Progress | None = None,
    database: RestoreDatabase | None = None,
    strict: bool = False,
    look: Look | None = None,
) -> Restauracion:
    """Restore now, or try to where it is `simulada`; return the completed row, whose `resultado` says what changed.

    `database` is where to, the clinics' own unless another is given, which `request.destino` then names;
    `strict` is as for `RestoreDatabase.restoring`, and always so for another database. `look` is called with what
    will be written, before it is. Raises OperationInProgress,
    InvalidRequest, NotCompleted, RestoreRefused, RestoreDiffers, FormatError, StorageError or DatabaseError: nothing
    has changed then, and the row is `fallido` with the reason. It is never tried again by itself.
    """
    async with Attempt(resources, progress) as attempt:
        async with attempt.claiming() as session:
            asked = await create_pending(
                session, respaldo.id, clinica_id=respaldo.clinica_id, request=request, actor=actor
            )
            await attempt.claim(session, asked.trabajo)
        await run(attempt, database=database, strict=strict or request.destino is not None, look=look)
    async with transaction(resources) as session:
        return await reading_queries.for_job(session, attempt.job, clinica_id=respaldo.clinica_id)


async def run(
    attempt: Attempt, *, database: RestoreDatabase | None = None, strict: bool = False, look: Look | None = None
) -> None:
    """Make the restore of the claimed job, and complete it. Whatever goes wrong, all of it is taken back."""
    job, target = attempt.job, database or attempt.resources.restore
    async with transaction(attempt.resources) as session:
        request = RestoreRequest.of(await reading_queries.for_job(session, job, clinica_id=job.clinica_id))
        respaldo = await backup_queries.get(session, job.respaldo_id, clinica_id=job.clinica_id, deleted=True)
    if respaldo.fecha_eliminacion is not None:
        raise NotCompleted(f"el respaldo {respaldo.id} se eliminó antes de restaurarlo")
    attempt.progress.expected = Expected(respaldo.numero_registros, respaldo.tamaño_bytes)
    made = _Made()
    try:
        async with attempt.leased():
            # Of a whole clinic PostgreSQL parses what is not there today already, and the digests prove all of it.
            parsed = not request.scope.exact or job.clinica_id is None

            async def make(source: Source) -> None:
                try:
                    await _make(
                        *(attempt, target, respaldo, source, request, made),
                        strict=strict,
                        parse_data=parsed,
                        look=look,
                    )
                except (RestoreRefused, RestoreDiffers):
                    if not (parsed and made.read):
                        await _name_wrong_record(attempt, respaldo, source)
                    raise

            sources = Sources(attempt.resources, respaldo, attempt.progress)
            # What goes wrong once it has been read is not the source's fault.
            await sources.read(make, unless=lambda: made.read)
        await _complete(attempt)
    except BaseException as exc:
        if made.transaction_id is None:
            raise
        committed = await uninterrupted(_settle(attempt, target, made.transaction_id))
        if not (committed and isinstance(exc, RespaldosError)):
            raise


class _Made:
    """What is known of the attempt so far: whether the file has been read and is right."""

    read = False
    transaction_id: str | None = None


async def _make(
    attempt: Attempt,
    target: RestoreDatabase,
    respaldo: Respaldo,
    source: Source,
    request: RestoreRequest,
    made: _Made,
    *,
    strict: bool,
    parse_data: bool,
    look: Look | None,
) -> None:
    resources, clinica_id, progress = attempt.resources, attempt.job.clinica_id, attempt.progress
    async with transaction(resources) as service:
        unbroken = await reading_queries.is_unbroken(service, respaldo, clinica_id=clinica_id)
    async with target.restoring(
        clinica_id, progress.touch, strict=strict, update=request.actualizar, unbroken=unbroken
    ) as session:
        verified = await check_thoroughly(
            resources, respaldo, progress, source, take=session.staging.take, parse_data=parse_data
        )
        made.read = True
        progress.enter(Etapa.COMPARANDO)
        said = await session.migrations_since()
        if source.copy is not None:
            said = [read_from(source.copy), *said]
        if said:
            # Where the restore is refused, they may be why.
            await _note(attempt, avisos=said, copia=source.copy)
        plan = await _compare(attempt, request, session, said)
        nothing_there = request.scope.whole and session.is_empty
        if plan.any and not (
            request.simulada or request.sin_respaldo_previo or request.destino is not None or nothing_there
        ):
            # What is restored into, and no replica that may be behind.
            plan = await _save_first(replace(resources, clinic=target), attempt, request, session, said, plan)
        if look is not None:
            await look(session, plan)
        progress.enter(Etapa.APLICANDO)
        try:
            await session.apply(_step(progress))
        except ConflictsFound as exc:
            await _note_conflicts(attempt, exc)
            if request.simulada:
                # That is the answer.
                await session.rollback()
                return
            raise
        progress.enter(Etapa.COMPROBANDO)
        await _prove(session, verified, progress)
        if request.simulada:
            await session.rollback()
            return
        progress.enter(Etapa.CONFIRMANDO)
        number = await session.transaction_id()
        await _note(attempt, transaccion=number)
        attempt.undecided = True
        made.transaction_id = number
        await session.commit()


async def _name_wrong_record(attempt: Attempt, respaldo: Respaldo, source: Source) -> None:
    """Where a record of the file is none, that is why it was refused. Raises FormatError, which says which."""
    with suppress(StorageError, NotCompleted, AlreadyPurged):
        await check_thoroughly(attempt.resources, respaldo, attempt.progress, source)


async def _compare(attempt: Attempt, request: RestoreRequest, session: ClinicRestore, said: list[str]) -> Plan:
    """Begin the transaction, and write down what would change."""
    await session.begin(request.scope)
    plan = await session.compare(_step(attempt.progress))
    await _note(
        attempt,
        resultado=_shown(plan),
        etiquetas=plan.called,
        avisos=[*said_of(plan, request), *said, *plan.avisos],
    )
    return plan


async def _save_first(
    resources: Resources,
    attempt: Attempt,
    request: RestoreRequest,
    session: ClinicRestore,
    said: list[str],
    plan: Plan,
) -> Plan:
    """How things are now, in a backup of its own; where that fails, so does the restore. Return what is changed then.

    It is made of the rows that were compared: where somebody has changed one before it was done, both are done again.
    Raises RestoreRefused where that does not end.
    """
    progress = attempt.progress
    for left in reversed(range(SAFETY_BACKUPS)):
        progress.enter(Etapa.RESPALDANDO)
        await _save(resources, attempt)
        if not (changed := await session.changed_since()):
            break
        if not left:
            raise RestoreRefused(
                f"{whose(attempt.job.clinica_id)} siguió cambiando mientras se hacía su respaldo previo"
                f" ({', '.join(f'«{model}»' for model in changed)}), y esos cambios se perderían sin estar en él."
                " Vuelva a intentarlo cuando nadie trabaje en ella"
            )
        await session.rollback()
        progress.enter(Etapa.COMPARANDO)
        plan = await _compare(attempt, request, session, said)
    return plan


async def _save(resources: Resources, attempt: Attempt) -> None:
    job = attempt.job

    def moved(_: Progress) -> None:
        attempt.progress.advance(bytes_=0)

    try:
        if job.clinica_id is not None:
            await resources.clinic.clinic(job.clinica_id)
    except ClinicNotFound:
        # It is gone with all that was its: there is nothing to save.
        return
    try:
        previous = await crear_respaldo(
            resources,
            clinica_id=job.clinica_id,
            tipo=TipoRespaldo.POR_DEMANDA,
            descripcion=f"{SAFETY_DESCRIPTION} {job.respaldo_id}",
            actor=Actor.of(job),
            progress=Progress(moved),
            under_restore=True,
        )
    except Cancelled as exc:
        # Nobody has cancelled the restore: that cannot be.
        raise RestoreInterrupted("se canceló el respaldo previo, y la restauración no cambió nada") from exc
    await _note(attempt, respaldo_previo=previous.id)


async def _prove(session: ClinicRestore, verified: VerifiedFile, progress: Progress) -> None:
    def read(model: str, size: int) -> None:
        progress.model = model
        progress.advance(bytes_=size)

    await session.prove(verified, read)


def _step(progress: Progress) -> Any:
    def step(model: str) -> None:
        progress.model = model
        progress.advance(bytes_=0)

    return step


async def _note(attempt: Attempt, **values: Any) -> None:
    """Write into the row. Raises LeaseLost where the attempt is another's: then nothing may be committed."""
    async with transaction(attempt.resources) as session:
        if not await reading_queries.note(session, attempt.job, clinica_id=attempt.job.clinica_id, **values):
            raise lost(attempt.job)


async def _note_conflicts(attempt: Attempt, found: ConflictsFound) -> None:
    """Write them into the row, and in words, too: `conflictos` is for who may see rows."""
    job, many = attempt.job, "conflicto" if found.total == 1 else "conflictos"
    async with transaction(attempt.resources) as session:
        before = (await reading_queries.for_job(session, job, clinica_id=job.clinica_id)).avisos
    await _note(
        attempt,
        conflictos=[conflict.shown() for conflict in found.conflicts],
        avisos=[f"no se puede restaurar así: {found.total:,} {many}: {CONFLICTING}", *before],
    )


async def _complete(attempt: Attempt) -> None:
    async with transaction(attempt.resources) as session:
        await attempt.complete(session)


async def _settle(attempt: Attempt, target: RestoreDatabase, transaction_id: str) -> bool:
    """Whether the transaction was committed after all: then the job is completed.

    Where PostgreSQL does not say, the attempt stays undecided, and the reconciler asks again when its lease runs out.
    """
    try:
        outcome = await _outcome(target, transaction_id)
        # The answer to the COMMIT that completed it may have got lost, or the reconciler was first.
        if outcome is Outcome.COMMITTED and not await _is_completed(attempt):
            await _complete(attempt)
    except RespaldosError as exc:
        log.warning("no se pudo anotar cómo terminó %s: %s", the(attempt.job), exc.for_log)
        return False
    attempt.undecided = outcome is not Outcome.ABORTED
    return outcome is Outcome.COMMITTED


async def _is_completed(attempt: Attempt) -> bool:
    async with transaction(attempt.resources) as session:
        return await job_queries.completed_by(session, attempt.job, clinica_id=attempt.job.clinica_id)


async def _outcome(target: RestoreDatabase, transaction_id: str) -> Outcome | None:
    """What became of the transaction, asked until PostgreSQL knows."""
    loop = asyncio.get_running_loop()
    until = loop.time() + OUTCOME_SECONDS
    while True:
        try:
            outcome = await target.outcome(transaction_id)
        except DatabaseError:
            if loop.time() > until:
                raise
        else:
            if outcome is not Outcome.IN_PROGRESS or loop.time() > until:
                return outcome
        await asyncio.sleep(0.2)


def _shown(plan: Plan) -> dict[str, Any]:
    """What changes, by model; `compartidos` of a model are those of its rows that no clinic owns."""
    shown = {model: each.shown() for model, each in plan.models.items()}
    for model, shared in plan.references.items():
        here = shown.setdefault(model, Changes(0, 0, 0).shown())
        here["compartidos"] = shared.inserted
        here["insertados"] += shared.inserted
        # There is but one kind: a shared row is never changed, and none goes.
        for kind, examples in shared.examples.items():
            here["ejemplos"][kind] = [*here["ejemplos"].get(kind, []), *examples][:EXAMPLES]
    return shown


def said_of(plan: Plan, request: RestoreRequest) -> list[str]:
    """What a person should know before it is done."""
    said = [_needed(f"«{model}»", count) for model, count in plan.needed.items()]
    said += [
        _needed(f"«{model}», que es de todas las clínicas", changes.inserted)
        for model, changes in plan.references.items()
        if changes.inserted and model not in plan.new_logins
    ]
    said += [
        f"«{model}»: {count:,} registros existen hoy con otro contenido, y quedan como están; «actualizar» los cambia"
        for model, count in plan.differing.items()
    ]
    said += [
        f"«{model}»: {count:,} registros del archivo son hoy de una clínica, y quedan como están"
        for model, count in plan.of_clinics.items()
    ]
    changing = {**plan.models, **plan.references}
    for model, names in plan.new_logins.items():
        said += [
            f"«{model}»: faltan {changing[model].inserted:,} accesos, y se agregan inactivos, sin privilegios y con"
            " una contraseña que no sirve; actívelos quien administra la plataforma",
            f"{WHO}«{model}», los que se agregan: {names}",
        ]
    for model, names in plan.privileges.items():
        said += [f"«{model}»: se devuelven privilegios", f"{WHO}«{model}», los que los recuperan: {names}"]
    for model, values in plan.meanings.items():
        said += [
            f"«{model}», que es de todas las clínicas, dice hoy otra cosa en registros a los que apunta lo que se"
            " restaura",
            f"{WHAT}«{model}», lo que decían: {values}",
        ]
    for model, values in plan.own_meanings.items():
        said += [
            f"«{model}»: registros a los que apunta lo que se restaura, y que se quedan como están, dicen hoy otra"
            " cosa que en el respaldo; si son otros, que recibieron la misma clave, lo que se restaura"
            " quedaría como suyo",
            f"{WHAT}«{model}», lo que decían: {values}",
        ]
    said += [
        f"«{model}»: el archivo trae accesos, que son de la plataforma: no se restauran" for model in plan.left_out
    ]
    if request.con_accesos and not plan.access:
        said.append("el archivo no tiene accesos que sean de la clínica: los que existen se quedan como están")
    said += [
        f"«{model}»: la fila de la clínica es de la plataforma y se queda como está hoy; difiere en:"
        f" {', '.join(_different(changes)) or 'todo'} (se restaura con --con-clinica)"
        for model, changes in plan.models.items()
        if not changes.restored
    ]
    return said


def _needed(what: str, rows: int) -> str:
    if rows == 1:
        return f"hace falta también: 1 registro de {what}, al que apunta lo que se restaura y que hoy falta"
    return f"hace falta también: {rows:,} registros de {what}, a los que apunta lo que se restaura y que hoy faltan"


def _different(changes: Changes) -> list[str]:
    return [name for row in changes.examples.get("actualizados", ()) for name in row.get("campos", {})]


HANDLERS = Handlers(run, record_end)
