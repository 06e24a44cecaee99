"""Says of one clinic when it is backed up, what is kept, and who is told; first, what that would delete."""

import hashlib
import json
from dataclasses import asdict
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

from sqlalchemy.ext.asyncio import AsyncSession

from app.errors import InvalidRequest, PreviewRequired
from app.respaldos import audit
from app.respaldos.audit import Actor
from app.respaldos.databases import Databases, transaction
from app.respaldos.models import Accion
from app.respaldos.policies import queries as policy_queries
from app.respaldos.policies.answer import rules_of
from app.respaldos.policies.policy import LEAST_DAYS, ClinicPolicy, Doomed, OwnPolicy, PolicyPreview
from app.respaldos.retention import queries as retention_queries
from app.respaldos.retention.expiry import FOR_EVER_DAYS
from app.respaldos.retention.policy import Policy, decide
from app.respaldos.schedule import queries as schedule_queries
from app.respaldos.schedule.nights import Nightly, next_night, night_at


async def politica_de(databases: Databases, clinica_id: int) -> OwnPolicy:
    """What has been said of the clinic. Raises ClinicNotFound and DatabaseError."""
    await databases.clinic.clinic(clinica_id)
    async with transaction(databases) as session:
        return OwnPolicy.of(await policy_queries.said(session, clinica_id=clinica_id))


async def previsualizar_politica(
    databases: Databases,
    clinica_id: int,
    own: OwnPolicy,
    *,
    general: ClinicPolicy,
    now: datetime,
    time_zone: ZoneInfo,
) -> PolicyPreview:
    """What would be deleted if that were said of the clinic. Raises what `cambiar_politica` does, but the last."""
    await _check(databases, clinica_id, own, general)
    async with transaction(databases) as session:
        return await _preview(session, clinica_id, own, own.over(general).retention, now, time_zone)


async def cambiar_politica(
    databases: Databases,
    clinica_id: int,
    own: OwnPolicy,
    *,
    general: ClinicPolicy,
    now: datetime,
    time_zone: ZoneInfo,
    actor: Actor,
    digest: str | None = None,
) -> PolicyPreview:
    """Have that said of the clinic, in the place of whatever was, and return what is going to be deleted.

    Where less is kept than before, that takes the `digest` of the preview of it. Raises ClinicNotFound,
    DatabaseError, InvalidRequest where less would be kept than may be, and PreviewRequired where nobody has seen what
    would go.
    """
    await _check(databases, clinica_id, own, general)
    async with transaction(databases) as session:
        before = OwnPolicy.of(await policy_queries.said(session, clinica_id=clinica_id, locked=True))
        was, held = before.over(general), own.over(general)
        preview = await _preview(session, clinica_id, own, held.retention, now, time_zone)
        if held.retention.shorter_than(was.retention) and digest != preview.digest:
            raise PreviewRequired(
                f"se guardaría menos que ahora, y se eliminarían {len(preview.doomed)} respaldos: mire antes cuáles"
            )
        await policy_queries.say(session, own.values(), clinica_id=clinica_id)
        if held.nightly != was.nightly:
            await _move_night(session, clinica_id, held.nightly, now, time_zone)
        await audit.record(
            session,
            Accion.POLITICA,
            actor,
            clinica_id=clinica_id,
            antes=rules_of(before).model_dump(mode="json"),
            despues=rules_of(own).model_dump(mode="json"),
            se_eliminan=len(preview.doomed),
        )
    return preview


async def _check(databases: Databases, clinica_id: int, own: OwnPolicy, general: ClinicPolicy) -> None:
    await databases.clinic.clinic(clinica_id)
    least = min(LEAST_DAYS, general.retention.days)
    if own.retencion_dias is not None and own.retencion_dias < least:
        raise InvalidRequest(f"retencion_dias: es un número de días, {least} o más")


async def _preview(
    session: AsyncSession, clinica_id: int, own: OwnPolicy, retention: Policy, now: datetime, time_zone: ZoneInfo
) -> PolicyPreview:
    backups = await retention_queries.live(session, clinica_id=clinica_id, locked=False)
    since = now - timedelta(days=min(retention.days, FOR_EVER_DAYS))
    recovered = await retention_queries.recoveries(session, clinica_id=clinica_id, since=since)
    by_id = {backup.id: backup for backup in backups}
    doomed = [
        Doomed(by_id[decision.respaldo_id], decision.reason)
        for decision in decide(backups, now, retention, time_zone, recovered=recovered)
        if not decision.keep
    ]
    seen = json.dumps([clinica_id, asdict(retention), sorted(each.respaldo.id for each in doomed)])
    return PolicyPreview(own, doomed, hashlib.sha256(seen.encode()).hexdigest()[:16])


async def _move_night(
    session: AsyncSession, clinica_id: int, nightly: Nightly, now: datetime, time_zone: ZoneInfo
) -> None:
    """Leave the clinic the night that comes next by its new time, and none that would have begun by that already."""
    begun = night_at(now, time_zone=time_zone, hour=nightly.hour, minute=nightly.minute)
    if begun is not None:
        await schedule_queries.skip_night(session, begun.dia, begun.start, clinica_id=clinica_id)
    upcoming = next_night(now, nightly, time_zone=time_zone).astimezone(time_zone).date()
    await schedule_queries.take_night_back(session, upcoming, clinica_id=clinica_id)
