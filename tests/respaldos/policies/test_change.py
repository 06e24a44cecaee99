"""What a superadmin says of one clinic holds for it alone, and deletes nothing that nobody has seen."""

import json
import random
from collections import defaultdict
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from typing import Any

import asyncpg
import pytest
from sqlalchemy import select

from app.errors import ClinicNotFound, InvalidRequest, PreviewRequired
from app.respaldos.databases import transaction
from app.respaldos.models import Dia, Respaldo
from app.respaldos.policies.change import cambiar_politica, politica_de, previsualizar_politica
from app.respaldos.policies.policy import AS_ALL, OwnPolicy
from app.respaldos.resources import Resources
from app.respaldos.retention import fleet as retention_fleet
from app.respaldos.retention.clean import limpiar_respaldos_antiguos
from app.respaldos.retention.hold import retener_respaldo
from app.respaldos.retention.policy import Policy, decide
from app.respaldos.schedule.nights import days_off, next_night, programar
from app.respaldos.schedule.overdue import vigilar
from tests.respaldos.conftest import ANA, LA_PAZ, LARGE, NEW, SMALL
from tests.support.histories import fill_with_histories
from tests.support.policies import GENERAL
from tests.support.stored import live_ids, stored

# A Wednesday.
DAY = date(2026, 5, 20)


def at(day: date, hour: int, minute: int = 0) -> datetime:
    """On the clinics' clocks."""
    return datetime(day.year, day.month, day.day, hour, minute, tzinfo=LA_PAZ)


async def say(resources: Resources, own: OwnPolicy, now: datetime, clinica_id: int = SMALL, **more: Any) -> None:
    """Nothing else is said of the clinic."""
    asked = {"general": GENERAL, "now": now, "time_zone": LA_PAZ, **more}
    if "digest" not in more:
        preview = await previsualizar_politica(resources, clinica_id, own, **asked)
        asked["digest"] = preview.digest
    await cambiar_politica(resources, clinica_id, own, actor=ANA, **asked)


async def test_less_is_kept_only_when_somebody_has_seen_what_goes(
    resources: Resources, conn: asyncpg.Connection
) -> None:
    now = datetime.now(UTC)
    old = [await stored(resources, SMALL, days=days) for days in (25, 20, 15)]
    bad = await stored(resources, SMALL, days=1, sospechoso=True)
    others = await stored(resources, LARGE, days=20), await stored(resources, LARGE, days=1)
    await retener_respaldo(resources, old[1], clinica_id=SMALL, motivo="juicio", hasta=None, actor=ANA)
    own = OwnPolicy.parse(retencion_dias=10)
    asked: dict[str, Any] = {"general": GENERAL, "now": now, "time_zone": LA_PAZ}

    preview = await previsualizar_politica(resources, SMALL, own, **asked)
    assert [each.respaldo.id for each in preview.doomed] == [old[0]], "neither the held one nor the last good one"
    with pytest.raises(PreviewRequired):
        await cambiar_politica(resources, SMALL, own, **asked, actor=ANA)
    # Meanwhile one more came to be in its way: the list that was seen is not what would go.
    newer = await stored(resources, SMALL, days=12)
    with pytest.raises(PreviewRequired):
        await cambiar_politica(resources, SMALL, own, **asked, actor=ANA, digest=preview.digest)
    assert await politica_de(resources, SMALL) == AS_ALL
    again = await previsualizar_politica(resources, SMALL, own, **asked)
    assert [each.respaldo.id for each in again.doomed] == [old[2], old[0]]
    await cambiar_politica(resources, SMALL, own, **asked, actor=ANA, digest=again.digest)

    await limpiar_respaldos_antiguos(resources, GENERAL.retention, all_decisions=False)
    assert await live_ids(resources, SMALL) == sorted([old[1], newer, bad])
    assert await live_ids(resources, LARGE) == sorted(others)
    # More is kept without being asked.
    await cambiar_politica(resources, SMALL, replace(own, retencion_anuales=3), **asked, actor=ANA)
    (first, second) = await conn.fetch(
        "SELECT usuario, clinica_id, detalle FROM respaldos.evento WHERE accion = 'politica' ORDER BY id"
    )
    assert (first["usuario"], first["clinica_id"]) == (ANA.usuario, SMALL)
    said = json.loads(first["detalle"])
    assert (said["antes"]["retencion_dias"], said["despues"]["retencion_dias"], said["se_eliminan"]) == (None, 10, 2)
    assert json.loads(second["detalle"])["antes"]["retencion_dias"] == 10


async def test_no_policy_goes_below_what_protects_everybody(resources: Resources) -> None:
    now = datetime.now(UTC)
    for days in (1, 6):
        with pytest.raises(InvalidRequest):
            await say(resources, OwnPolicy.parse(retencion_dias=days), now)
    await say(resources, OwnPolicy.parse(retencion_dias=7), now)
    short = replace(GENERAL, retention=Policy(days=2))
    await say(resources, OwnPolicy.parse(retencion_dias=2), now, general=short)
    with pytest.raises(ClinicNotFound):
        await say(resources, AS_ALL, now, 999)


async def test_each_clinic_is_looked_at_by_its_own_retention(resources: Resources, conn: asyncpg.Connection) -> None:
    """No clinic is passed over of which something is to be deleted, and few of the others are looked at."""
    chance = random.Random(7)
    policies = [
        Policy(days=5, minimum=2, daily=7, weekly=4, monthly=3),
        Policy(days=1, monthly=2, yearly=2),
        Policy(days=30, point_days=1),
        Policy(days=400_000),
        Policy(days=3, minimum=5, yearly=30),
        Policy(days=2, daily=40, weekly=60),
    ]
    now = datetime(2026, 9, 7, 8, tzinfo=UTC)
    await fill_with_histories(conn, chance, now, clinics=200)
    histories: dict[int | None, list[Respaldo]] = defaultdict(list)
    async with transaction(resources) as session:
        for each in await session.scalars(select(Respaldo).where(Respaldo.fecha_eliminacion.is_(None))):
            histories[each.clinica_id].append(each)
        own: dict[int | None, Policy] = {
            clinic: chance.choice(policies) for clinic in histories if clinic is not None and chance.random() < 0.7
        }
        general = Policy(days=10, daily=3)
        found = await retention_fleet.clinics_to_clean(session, general, now=now, time_zone=LA_PAZ, own=own)
        alone = {
            policy: set(await retention_fleet.clinics_to_clean(session, policy, now=now, time_zone=LA_PAZ))
            for policy in (general, *policies)
        }
    wanted = {
        clinic
        for clinic, backups in histories.items()
        if not all(decision.keep for decision in decide(backups, now, own.get(clinic, general), LA_PAZ))
    }
    assert wanted <= set(found)
    assert set(found) == {clinic for clinic in histories if clinic in alone[own.get(clinic, general)]}
    assert len(set(found)) == len(found) < len(histories)


async def made(resources: Resources, now: datetime) -> list[int]:
    """Whose nights a minute's scheduling begins, with all of a night's places come, and well."""
    found = await programar(resources, now=now, time_zone=LA_PAZ, hour=2, minute=0, window=timedelta(0))
    return sorted(each.clinica_id for each in found if each.clinica_id is not None)


async def end_all(conn: asyncpg.Connection, taken: datetime) -> None:
    """What is under way is completed."""
    await conn.execute(
        "UPDATE respaldos.respaldo SET estado = 'completado', fecha_respaldo = $1 WHERE estado = 'pendiente'", taken
    )
    await conn.execute("UPDATE respaldos.trabajo SET estado = 'completado' WHERE estado = 'pendiente'")


async def test_a_clinic_has_nights_of_its_own(resources: Resources, conn: asyncpg.Connection) -> None:
    weekdays = [day for day in Dia if day != Dia.DOMINGO]
    assert await made(resources, at(DAY, 2)) == [LARGE, SMALL, NEW]
    await end_all(conn, at(DAY, 2))
    # At three in the afternoon: its next night is today's, although it had one at two.
    await say(resources, OwnPolicy.parse(hora="22:30", dias=weekdays), at(DAY, 15))
    # And this one's would have begun at ten this morning, so that it is tomorrow's.
    await say(resources, OwnPolicy.parse(hora="10:00"), at(DAY, 15), NEW)
    assert await made(resources, at(DAY, 15, 1)) == []
    assert await made(resources, at(DAY, 22, 29)) == []
    assert await made(resources, at(DAY, 22, 30)) == [SMALL]
    await end_all(conn, at(DAY, 22, 30))
    for hour, clinics in ((2, [LARGE]), (10, [NEW]), (22, []), (23, [SMALL])):
        assert await made(resources, at(DAY + timedelta(days=1), hour)) == clinics
        await end_all(conn, at(DAY + timedelta(days=1), hour))
    friday, sunday = DAY + timedelta(days=2), DAY + timedelta(days=4)
    assert SMALL in await made(resources, at(friday, 23))
    await end_all(conn, at(friday, 23))
    assert SMALL in await made(resources, at(sunday - timedelta(days=1), 23))
    await end_all(conn, at(sunday - timedelta(days=1), 23))
    assert SMALL not in await made(resources, at(sunday, 23))
    await end_all(conn, at(sunday, 23))
    monday = sunday + timedelta(days=1)
    assert await vigilar(resources, now=at(monday, 20)) == 0, "no night was due on Sunday"
    await vigilar(resources, now=at(monday + timedelta(days=1), 1))
    assert await conn.fetchval("SELECT array_agg(clinica_id) FROM respaldos.aviso") == [SMALL], "Monday's is missing"
    # As all others again.
    await say(resources, AS_ALL, at(monday + timedelta(days=1), 1, 30))
    assert SMALL in await made(resources, at(monday + timedelta(days=1), 2))


async def test_a_clinic_that_has_had_no_night_begins_with_the_first_that_has_come(resources: Resources) -> None:
    await say(resources, OwnPolicy.parse(hora="10:00"), at(DAY, 15))
    assert await made(resources, at(DAY, 15)) == [LARGE, SMALL, NEW]


@pytest.mark.parametrize(
    ("days", "today", "off"),
    [
        (range(7), DAY, 0),
        ({0, 1, 2, 3, 4, 5}, date(2026, 5, 24), 1),
        ({0, 1, 2, 3, 4, 5}, date(2026, 5, 25), 1),
        ({0, 1, 2, 3, 4, 5}, date(2026, 5, 26), 0),
        ({0}, date(2026, 5, 31), 6),
        ({0}, date(2026, 6, 1), 6),
        ({0}, date(2026, 6, 2), 1),
    ],
)
def test_days_without_a_night_do_not_make_a_clinic_late(days: set[int], today: date, off: int) -> None:
    assert days_off(today, days) == timedelta(days=off)


def test_the_next_night_is_on_a_day_that_has_one() -> None:
    nightly = OwnPolicy.parse(hora="22:30", dias=[Dia.MIERCOLES]).over(GENERAL).nightly
    assert next_night(at(DAY, 22, 29), nightly, time_zone=LA_PAZ) == at(DAY, 22, 30)
    assert next_night(at(DAY, 22, 30), nightly, time_zone=LA_PAZ) == at(DAY + timedelta(days=7), 22, 30)
