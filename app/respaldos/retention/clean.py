"""Deletes the backups that the policy does not keep any more."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from app.dump.whose import whose
from app.errors import RespaldosError
from app.respaldos import audit
from app.respaldos.audit import SERVICE, Actor
from app.respaldos.databases import transaction
from app.respaldos.models import Accion, Respaldo
from app.respaldos.resources import Resources
from app.respaldos.retention import fleet as retention_fleet
from app.respaldos.retention import queries as retention_queries
from app.respaldos.retention.expiry import FOR_EVER_DAYS
from app.respaldos.retention.policy import Decision, Policy, decide

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class ClinicDecisions:
    """What was decided about a clinic's backups, newest first; `backups` are theirs, in the same order.

    Their metadata has not been read.
    """

    clinica_id: int | None
    decisions: Sequence[Decision]
    backups: Sequence[Respaldo]


async def limpiar_respaldos_antiguos(
    resources: Resources,
    policy: Policy,
    *,
    clinica_id: int | None = None,
    simular: bool = False,
    all_decisions: bool = True,
    now: datetime | None = None,
    actor: Actor = SERVICE,
) -> list[ClinicDecisions]:
    """Decide about every clinic that has backups and the platform, or about one clinic, and delete what is not kept.

    `policy` is that of clinics of which nothing else was said. With `simular` only decide. Without `all_decisions`,
    nothing is told of clinics of which nothing is to be deleted: most of them are not even looked at.

    Clinics that are inactive, or gone from the tenant table, are treated as all others: they keep their newest good
    backup for ever. Each clinic is a transaction of its own, in which nobody else changes what
    was decided about. An error in one is raised when the others have been cleaned.
    """
    now = now or datetime.now(UTC)
    async with transaction(resources) as session:
        own = await retention_fleet.own_policies(session, policy)
        if clinica_id is not None:
            clinics: Sequence[int | None] = [clinica_id]
        elif all_decisions:
            clinics = await retention_fleet.clinics_with_backups(session)
        else:
            clinics = await retention_fleet.clinics_to_clean(
                session, policy, now=now, time_zone=resources.time_zone, own=own
            )
    found, problem = [], None
    for clinic in clinics:
        try:
            found.append(await _clean(resources, own.get(clinic, policy), clinic, now, None if simular else actor))
        except RespaldosError as exc:
            log.warning("%s: no se pudo decidir qué respaldos se conservan: %s", whose(clinic), exc.for_log)
            problem = problem or exc
    if problem is not None:
        raise problem
    return found


async def _clean(
    resources: Resources, policy: Policy, clinica_id: int | None, now: datetime, actor: Actor | None
) -> ClinicDecisions:
    async with transaction(resources) as session:
        backups = await retention_queries.live(session, clinica_id=clinica_id, locked=False)
        decisions = decide(backups, now, policy, resources.time_zone)
        # Most often there is nothing to delete: then no row is locked, and the trail is not searched.
        if not all(decision.keep for decision in decisions):
            if actor is not None:
                backups = await retention_queries.live(session, clinica_id=clinica_id, locked=True)
            since = now - timedelta(days=min(policy.days, FOR_EVER_DAYS))
            recovered = await retention_queries.recoveries(session, clinica_id=clinica_id, since=since)
            decisions = decide(backups, now, policy, resources.time_zone, recovered=recovered)
        if actor is not None:
            for decision in decisions:
                if decision.keep:
                    continue
                if await retention_queries.mark_deleted(session, decision.respaldo_id, clinica_id=clinica_id):
                    await audit.record(
                        session,
                        Accion.ELIMINACION,
                        actor,
                        clinica_id=clinica_id,
                        respaldo_id=decision.respaldo_id,
                        motivo=decision.reason,
                    )
    by_id = {backup.id: backup for backup in backups}
    return ClinicDecisions(clinica_id, decisions, [by_id[decision.respaldo_id] for decision in decisions])
