"""Makes one claimed restore: verify, compare, safety backup, apply; proven before it is committed."""

import asyncio
import logging
from dataclasses import replace
from typing import Any

from app.clinic.restore.database import RestoreDatabase
from app.clinic.restore.difference import EXAMPLES, Changes
from app.clinic.restore.session import ClinicRestore, Outcome, Plan
from app.dump.verifier import VerifiedFile
from app.dump.whose import whose
from app.errors import (
    ClinicNotFound,
    DatabaseError,
    LeaseLost,
    NotCompleted,
    OperationInProgress,
    RespaldosError,
    RestoreInterrupted,
    RestoreRefused,
)
from app.respaldos.audit import COMMAND_LINE, Actor
from app.respaldos.backup.run import crear_respaldo
from app.respaldos.cancellation import uninterrupted
from app.respaldos.contract import WHAT, WHO
from app.respaldos.lease import held_lease
from app.respaldos.models import Respaldo, Restauracion, TipoRespaldo, TipoRestauracion
from app.respaldos.progress import Etapa, Progress
from app.respaldos.reading import fleet as reading_fleet
from app.respaldos.reading import queries as reading_queries
from app.respaldos.reading.check import check_thoroughly
from app.respaldos.reading.comparison import ejecutar_comparacion
from app.respaldos.reading.verification import ejecutar_verificacion
from app.respaldos.reconcile import reconciliar
from app.respaldos.resources import Resources, transaction
from app.respaldos.restore.end import UNDONE, end_restore
from app.respaldos.restore.request import RestoreAttempt, RestoreRequest, claim_restore, put_down_restore

log = logging.getLogger(__name__)

# How often a safety backup is made at most: in a clinic where people are at work, each may be out of date at once.
SAFETY_BACKUPS = 3

# A server whose client is gone has ended the transaction, either way, within this time (seconds).
OUTCOME_SECONDS = 10


async def make_restore(
    resources: Resources,
    attempt: RestoreAttempt,
    progress: Progress,
    *,
    database: RestoreDatabase | None = None,
    strict: bool = False,
) -> Restauracion:
    """Restore, or try to where it is `simulada`, and end the attempt; return its completed row.

    `database` is where to, the clinics' own unless another is given, where it is always `strict`: see
    `RestoreDatabase.restoring`. Whatever goes wrong, all of it is taken back,
    and the row is `fallido` with the reason, which is raised. It is never tried again by itself.
    """
    target = database or resources.restore
    # Waiting for what came before was no standstill of this attempt.
    progress.advance(bytes_=0)
    made = _Made()
    try:
        async with held_lease(resources, attempt, progress):
            await _make(
                resources, target, attempt, progress, made, strict=strict or attempt.request.destino is not None
            )
        return await _complete(resources, attempt)
    except BaseException as exc:
        ended = await uninterrupted(_end_failed(resources, target, attempt, made, exc))
        if ended is None or not isinstance(exc, RespaldosError):
            raise
        return ended


class _Made:
    """What is known of the attempt so far."""

    transaction_id: str | None = None


async def _make(
    resources: Resources,
    target: RestoreDatabase,
    attempt: RestoreAttempt,
    progress: Progress,
    made: _Made,
    *,
    strict: bool,
) -> None:
    if attempt.respaldo.fecha_eliminacion is not None:
        raise NotCompleted(f"el respaldo {attempt.respaldo.id} se eliminó antes de restaurarlo")
    request = attempt.request
    async with transaction(resources) as service:
        unbroken = await reading_queries.is_unbroken(service, attempt.respaldo, clinica_id=attempt.clinica_id)
    async with target.restoring(
        attempt.clinica_id, strict=strict, update=request.actualizar, unbroken=unbroken
    ) as session:
        verified = await check_thoroughly(resources, attempt.respaldo, progress, take=session.staging.take)
        progress.enter(Etapa.COMPARANDO)
        migrations = await session.migrations_since()
        if migrations:
            # Where the restore is refused, they may be why.
            await _note(resources, attempt, avisos=migrations)
        await _compare(resources, attempt, session, progress, migrations)
        if not (request.simulada or request.sin_respaldo_previo or request.destino is not None):
            # What is restored into, and no replica that may be behind.
            await _save_first(replace(resources, clinic=target), attempt, session, progress, migrations)
        progress.enter(Etapa.APLICANDO)
        await session.apply(_step(progress))
        progress.enter(Etapa.COMPROBANDO)
        await _prove(session, verified, progress)
        if request.simulada:
            await session.rollback()
            return
        progress.enter(Etapa.CONFIRMANDO)
        number = await session.transaction_id()
        await _note(resources, attempt, transaccion=number)
        made.transaction_id = number
        await session.commit()


async def _compare(
    resources: Resources, attempt: RestoreAttempt, session: ClinicRestore, progress: Progress, migrations: list[str]
) -> None:
    """Begin the transaction, and write down what would change."""
    request = attempt.request
    await session.begin(request.scope)
    plan = await session.compare(_step(progress))
    await _note(
        resources,
        attempt,
        resultado=_shown(plan),
        avisos=[*_said(plan, request), *migrations, *plan.avisos],
    )


async def _save_first(
    resources: Resources, attempt: RestoreAttempt, session: ClinicRestore, progress: Progress, migrations: list[str]
) -> None:
    """How things are now, in a backup of its own; where that fails, so does the restore.

    It is made of the rows that were compared: where somebody has changed one before it was done, both are done again.
    Raises RestoreRefused where that does not end.
    """
    for left in reversed(range(SAFETY_BACKUPS)):
        progress.enter(Etapa.RESPALDANDO)
        await _save(resources, attempt, progress)
        if not (changed := await session.changed_since()):
            return
        if not left:
            raise RestoreRefused(
                f"{whose(attempt.clinica_id)} siguió cambiando mientras se hacía su respaldo previo"
                f" ({', '.join(f'«{model}»' for model in changed)}), y esos cambios se perderían sin estar en él."
                " Vuelva a intentarlo cuando nadie trabaje en ella"
            )
        await session.rollback()
        progress.enter(Etapa.COMPARANDO)
        await _compare(resources, attempt, session, progress, migrations)


async def _save(resources: Resources, attempt: RestoreAttempt, progress: Progress) -> None:
    def moved(_: Progress) -> None:
        progress.advance(bytes_=0)

    try:
        if attempt.clinica_id is not None:
            await resources.clinic.clinic(attempt.clinica_id)
    except ClinicNotFound:
        # It is gone with all that was its: there is nothing to save.
        return
    previous = await crear_respaldo(
        resources,
        clinica_id=attempt.clinica_id,
        tipo=TipoRespaldo.POR_DEMANDA,
        descripcion=f"Antes de restaurar el respaldo {attempt.respaldo.id}",
        actor=attempt.actor,
        progress=Progress(moved),
        under=attempt.id,
    )
    await _note(resources, attempt, respaldo_previo=previous.id)


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


async def _note(resources: Resources, attempt: RestoreAttempt, **values: Any) -> None:
    """Write into the row. Raises LeaseLost where the attempt is another's: then nothing may be committed."""
    async with transaction(resources) as session:
        mine = await reading_queries.note(
            session, attempt.id, attempt.numero, clinica_id=attempt.clinica_id, **values
        )
    if not mine:
        raise LeaseLost(f"{attempt.name}: otro proceso se hizo cargo")


async def _complete(resources: Resources, attempt: RestoreAttempt) -> Restauracion:
    ended = await end_restore(resources, attempt.id, attempt.numero, clinica_id=attempt.clinica_id, problem=None)
    if ended is None:
        raise LeaseLost(f"{attempt.name}: otro proceso se hizo cargo")
    return ended


async def _end_failed(
    resources: Resources, target: RestoreDatabase, attempt: RestoreAttempt, made: _Made, exc: BaseException
) -> Restauracion | None:
    """Write down why it ended; the completed row where it did not fail after all."""
    stopped = isinstance(exc, asyncio.CancelledError | KeyboardInterrupt)
    if stopped:
        problem: RespaldosError = RestoreInterrupted(UNDONE)
    elif isinstance(exc, RespaldosError):
        problem = exc
    else:
        problem = RespaldosError(f"error interno: {exc!r}")
    try:
        if made.transaction_id is not None:
            outcome = await _outcome(target, made.transaction_id)
            if outcome is Outcome.COMMITTED:
                return await end_restore(
                    resources, attempt.id, attempt.numero, clinica_id=attempt.clinica_id, problem=None
                )
            if outcome is not Outcome.ABORTED:
                # The reconciler asks again when the lease runs out.
                return None
        await end_restore(resources, attempt.id, attempt.numero, clinica_id=attempt.clinica_id, problem=problem)
    except RespaldosError as another:
        log.warning("la restauración %s falló y no se pudo anotar por qué: %s", attempt.id, another)
    return None


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


def _said(plan: Plan, request: RestoreRequest) -> list[str]:
    """What a person should know before it is done."""
    said = [
        f"«{model}»: se agregan {count:,} registros que no se pidieron, porque otros los necesitan"
        for model, count in plan.needed.items()
    ]
    said += [
        f"«{model}», que es de todas las clínicas: se agregan {changes.inserted:,} registros que hoy faltan"
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


def _different(changes: Changes) -> list[str]:
    return [name for row in changes.examples.get("actualizados", ()) for name in row.get("campos", {})]


async def restaurar_respaldo(
    resources: Resources,
    respaldo: Respaldo,
    request: RestoreRequest,
    *,
    actor: Actor = COMMAND_LINE,
    progress: Progress | None = None,
    database: RestoreDatabase | None = None,
    strict: bool = False,
) -> Restauracion:
    """Restore now, or try to where it is `simulada`; return the completed row, whose `resultado` says what changed.

    `database` is where to, the clinics' own unless another is given, which `request.destino` then names;
    `strict` is as for `RestoreDatabase.restoring`. Raises
    OperationInProgress, InvalidRequest, NotCompleted, RestoreRefused, RestoreDiffers, FormatError, StorageError or
    DatabaseError: nothing has changed then, and the row is `fallido` with the reason.
    """
    await reconciliar(resources)
    clinica_id = respaldo.clinica_id
    async with transaction(resources) as session:
        asked = await put_down_restore(session, respaldo.id, clinica_id=clinica_id, request=request, actor=actor)
        attempt = await claim_restore(session, asked.id, clinica_id=clinica_id)
    if attempt is None:
        raise OperationInProgress(f"la restauración {asked.id} la hace otro proceso")
    return await make_restore(resources, attempt, progress or Progress(), database=database, strict=strict)


async def ejecutar_restauracion(resources: Resources, restauracion_id: int) -> None:
    """Do it where it is still pending; the row tells how it went.

    A restore stays pending where something else is under way for its clinic. Raises DatabaseError where it could not
    even be claimed.
    """
    async with transaction(resources) as session:
        asked = await reading_fleet.get_restauracion(session, restauracion_id)
    if asked is None:
        return
    if asked.tipo == TipoRestauracion.VERIFICACION:
        await ejecutar_verificacion(resources, restauracion_id)
        return
    if asked.tipo == TipoRestauracion.COMPARACION:
        await ejecutar_comparacion(resources, restauracion_id)
        return
    try:
        attempt = await _claim(resources, restauracion_id, asked.clinica_id)
    except OperationInProgress as exc:
        log.info("la restauración %s espera: %s", restauracion_id, exc)
        return
    if attempt is None:
        return
    try:
        await make_restore(resources, attempt, Progress())
    except RespaldosError as exc:
        log.warning("la restauración %s no se completó: %s", restauracion_id, exc)


async def _claim(resources: Resources, restauracion_id: int, clinica_id: int | None) -> RestoreAttempt | None:
    async with transaction(resources) as session:
        return await claim_restore(session, restauracion_id, clinica_id=clinica_id)
