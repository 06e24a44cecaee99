"""Old backups are hidden with the reason on record, and their objects go days later, whatever S3 says meanwhile."""

import asyncio
import logging
import random
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import asyncpg
import pytest
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from app.errors import AlreadyPurged, DatabaseUnavailable
from app.respaldos.audit import SERVICE
from app.respaldos.databases import transaction
from app.respaldos.models import Estado, Respaldo
from app.respaldos.resources import Resources
from app.respaldos.retention import fleet as retention_fleet
from app.respaldos.retention import queries as retention_queries
from app.respaldos.retention.clean import limpiar_respaldos_antiguos
from app.respaldos.retention.delete import aceptar_respaldo, recuperar_respaldo
from app.respaldos.retention.policy import Policy, decide
from app.respaldos.retention.purge import purgar
from tests.support.fault import FaultyS3
from tests.support.histories import fill_with_histories
from tests.support.jobs import add_restauracion
from tests.support.stored import PERSON, keys, live_ids, row, stored, trail, unused_clinic, waiting_for_a_lock

MONTH = Policy(days=30)


async def deleted(resources: Resources, clinica_id: int, *, days: float, content: bytes | None = b"x") -> int:
    """A backup that was deleted so many days ago, its object still in the bucket."""
    moment = datetime.now(UTC) - timedelta(days=days)
    return await stored(resources, clinica_id, days=days + 1, content=content, fecha_eliminacion=moment)


# limpiar


async def test_each_clinic_keeps_its_own_newest_good_one(resources: Resources) -> None:
    first, second = unused_clinic(), unused_clinic()
    kept = [await stored(resources, clinic, days=40) for clinic in (first, second)]
    old = [await stored(resources, clinic, days=50) for clinic in (first, second)]
    found = await limpiar_respaldos_antiguos(resources, MONTH)
    assert [(clinic.clinica_id, [d.respaldo_id for d in clinic.decisions if not d.keep]) for clinic in found] == [
        (first, [old[0]]),
        (second, [old[1]]),
    ]
    assert [await live_ids(resources, clinic) for clinic in (first, second)] == [[kept[0]], [kept[1]]]
    assert [backup.id for backup in found[0].backups] == [d.respaldo_id for d in found[0].decisions]


async def test_an_error_in_one_clinic_is_told_when_the_others_are_clean(
    resources: Resources, monkeypatch: pytest.MonkeyPatch
) -> None:
    live = retention_queries.live

    async def failing(session: AsyncSession, *, clinica_id: int, locked: bool) -> Sequence[Respaldo]:
        if clinica_id == first:
            raise DatabaseUnavailable("una tabla está bloqueada")
        return await live(session, clinica_id=clinica_id, locked=locked)

    first, second = sorted((unused_clinic(), unused_clinic()))
    for clinic in (first, second):
        for days in (40, 50):
            await stored(resources, clinic, days=days)
    monkeypatch.setattr(retention_queries, "live", failing)
    with pytest.raises(DatabaseUnavailable, match="bloqueada"):
        await limpiar_respaldos_antiguos(resources, MONTH)
    assert len(await live_ids(resources, second)) == 1
    monkeypatch.undo()
    assert len(await live_ids(resources, first)) == 2


async def test_the_reason_is_on_record(resources: Resources) -> None:
    clinic = unused_clinic()
    await stored(resources, clinic)
    old = await stored(resources, clinic, days=50)
    await limpiar_respaldos_antiguos(resources, MONTH, clinica_id=clinic)
    [event] = await trail(resources, clinic)
    assert (event.accion, event.respaldo_id, event.direccion) == ("eliminacion", old, SERVICE.direccion)
    assert event.detalle == {"motivo": "hay otros más nuevos y tiene 30 días o más"}


async def test_to_simulate_changes_nothing(resources: Resources) -> None:
    clinic = unused_clinic()
    ids = [await stored(resources, clinic, days=days) for days in (1, 50)]
    found = await limpiar_respaldos_antiguos(resources, MONTH, simular=True)
    assert [decision.keep for decision in found[0].decisions] == [True, False]
    assert await live_ids(resources, clinic) == ids
    assert await trail(resources, clinic) == []


async def test_one_clinic_alone_and_again(resources: Resources) -> None:
    mine, other = unused_clinic(), unused_clinic()
    for clinic in (mine, other):
        await stored(resources, clinic)
        await stored(resources, clinic, days=50, estado=Estado.FALLIDO)
    for _ in range(2):
        await limpiar_respaldos_antiguos(resources, MONTH, clinica_id=mine)
    assert len(await live_ids(resources, mine)) == 1
    assert len(await live_ids(resources, other)) == 2
    assert len(await trail(resources, mine)) == 1


async def test_the_night_is_that_of_the_given_moment(resources: Resources) -> None:
    clinic = unused_clinic()
    await stored(resources, clinic)
    await stored(resources, clinic, days=29)
    soon = datetime.now(UTC) + timedelta(days=2)
    assert all(d.keep for d in (await limpiar_respaldos_antiguos(resources, MONTH))[0].decisions)
    await limpiar_respaldos_antiguos(resources, MONTH, now=soon)
    assert len(await live_ids(resources, clinic)) == 1


async def test_two_cleaners_at_once_delete_each_backup_once(resources: Resources) -> None:
    clinic = unused_clinic()
    await stored(resources, clinic)
    for days in range(40, 60):
        await stored(resources, clinic, days=days)
    await asyncio.gather(*(limpiar_respaldos_antiguos(resources, MONTH) for _ in range(4)))
    events = await trail(resources, clinic)
    assert len(events) == len({event.respaldo_id for event in events}) == 20
    assert len(await live_ids(resources, clinic)) == 1


async def test_who_waits_for_a_verification_decides_by_what_it_found(
    resources: Resources, conn: asyncpg.Connection
) -> None:
    """The newest good one is found damaged in the moment in which the older one is about to be deleted."""
    clinic = unused_clinic()
    older = await stored(resources, clinic, days=50)
    newest = await stored(resources, clinic, days=40)
    change = conn.transaction()
    await change.start()
    await conn.execute("UPDATE respaldos.respaldo SET verificado_error = 'dañado' WHERE id = $1", newest)
    cleaning = asyncio.create_task(limpiar_respaldos_antiguos(resources, MONTH))
    await waiting_for_a_lock(conn)
    await change.commit()
    await cleaning
    assert await live_ids(resources, clinic) == [older]


async def test_a_running_backup_gives_its_signs_of_life_meanwhile(
    resources: Resources, conn: asyncpg.Connection
) -> None:
    clinic = unused_clinic()
    await stored(resources, clinic, days=50, estado=Estado.PROCESANDO)
    async with conn.transaction():
        await conn.execute("SELECT FROM respaldos.respaldo WHERE clinica_id = $1 FOR UPDATE", clinic)
        async with asyncio.timeout(10):
            [found] = await limpiar_respaldos_antiguos(resources, MONTH, clinica_id=clinic)
    assert [decision.keep for decision in found.decisions] == [True]


async def test_what_was_taken_back_stays(resources: Resources) -> None:
    clinic = unused_clinic()
    await stored(resources, clinic)
    old = await stored(resources, clinic, days=50, content=b"x")
    await limpiar_respaldos_antiguos(resources, MONTH)
    await recuperar_respaldo(resources, old, clinica_id=clinic, actor=PERSON)
    await limpiar_respaldos_antiguos(resources, MONTH)
    assert old in await live_ids(resources, clinic)


async def test_an_accepted_backup_lets_the_older_ones_go(resources: Resources) -> None:
    clinic = unused_clinic()
    full = await stored(resources, clinic, days=50)
    doubtful = await stored(resources, clinic, days=1, sospechoso=True)
    await limpiar_respaldos_antiguos(resources, MONTH)
    assert await live_ids(resources, clinic) == [full, doubtful]
    await aceptar_respaldo(resources, doubtful, clinica_id=clinic, actor=PERSON)
    await limpiar_respaldos_antiguos(resources, MONTH)
    assert await live_ids(resources, clinic) == [doubtful]


# What a worker does for all clinics, most of which it does not look at


POLICIES = [
    MONTH,
    Policy(days=1),
    Policy(days=30, minimum=3),
    Policy(days=10, daily=20),
    Policy(days=5, weekly=6),
    Policy(days=5, minimum=2, daily=7, weekly=4, monthly=3),
    Policy(days=1, monthly=2),
    Policy(days=20, point_days=1, weekly=3),
]


@pytest.mark.parametrize("zone", ["America/La_Paz", "America/Santiago", "Pacific/Kiritimati"])
async def test_no_clinic_is_passed_over_of_which_something_is_to_be_deleted(
    resources: Resources, conn: asyncpg.Connection, zone: str
) -> None:
    chance = random.Random(zone)
    time_zone = ZoneInfo(zone)
    for policy in POLICIES:
        await conn.execute("TRUNCATE respaldos.respaldo CASCADE")
        # Chile's clocks went forward on 6 September 2026.
        now = datetime(2026, 9, chance.randint(1, 28), chance.randint(0, 23), tzinfo=UTC)
        await fill_with_histories(conn, chance, now)
        async with transaction(resources) as session:
            looked_at = await retention_fleet.clinics_to_clean(session, policy, now=now, time_zone=time_zone)
            rows = await session.scalars(select(Respaldo).where(Respaldo.fecha_eliminacion.is_(None)))
        histories: dict[int | None, list[Respaldo]] = {}
        for each in rows:
            histories.setdefault(each.clinica_id, []).append(each)
        wanted = {
            clinic
            for clinic, backups in histories.items()
            if not all(decision.keep for decision in decide(backups, now, policy, time_zone))
        }
        assert wanted <= set(looked_at)
        assert wanted
        assert len(looked_at) == len(set(looked_at)) < len(histories)


async def test_a_worker_deletes_the_same_as_the_command_says(resources: Resources, conn: asyncpg.Connection) -> None:
    now = datetime(2026, 9, 7, 8, tzinfo=UTC)
    await fill_with_histories(conn, random.Random(1), now, clinics=12)
    policy = Policy(days=5, minimum=2, daily=7, weekly=4, monthly=3)
    told = await limpiar_respaldos_antiguos(resources, policy, now=now, simular=True)
    await limpiar_respaldos_antiguos(resources, policy, now=now, all_decisions=False)
    deleted = await conn.fetch("SELECT respaldo_id FROM respaldos.evento WHERE accion = 'eliminacion' ORDER BY 1")
    assert [row[0] for row in deleted] == sorted(d.respaldo_id for each in told for d in each.decisions if not d.keep)


async def test_a_clinic_whose_old_backups_are_plainly_held_is_not_looked_at(resources: Resources) -> None:
    now = datetime(2026, 11, 23, 7, tzinfo=UTC)
    age = (datetime.now(UTC) - now).total_seconds() / 86400
    inactive, monthly, failed, twice = [unused_clinic() for _ in range(4)]
    await stored(resources, inactive, days=age + 400)
    await stored(resources, None, days=age + 400)
    for clinic in (monthly, failed, twice):
        for days in (1, 40, 70):
            await stored(resources, clinic, days=age + days)
    await stored(resources, failed, days=age + 41, estado=Estado.FALLIDO)
    await stored(resources, twice, days=age + 41)
    policy = Policy(days=30, monthly=4)
    found = await limpiar_respaldos_antiguos(resources, policy, now=now, simular=True, all_decisions=False)
    assert [each.clinica_id for each in found] == [failed, twice, None]


# purgar


async def test_objects_go_when_their_days_are_over(resources: Resources) -> None:
    clinic = unused_clinic()
    alive = await stored(resources, clinic, content=b"vivo")
    recent = await deleted(resources, clinic, days=6)
    old = await deleted(resources, clinic, days=8)
    assert await purgar(resources, days=7) == 1
    assert await keys(resources) == {(await row(resources, id_)).archivo_s3 for id_ in (alive, recent)}
    gone = await row(resources, old)
    assert (gone.purgado is not None, gone.being_purged) == (True, True)
    assert (await row(resources, recent)).purgado is None
    assert await purgar(resources, days=7) == 0
    assert await purgar(resources, days=0) == 1


async def test_a_missing_object_and_one_that_never_was_count_as_removed(resources: Resources) -> None:
    clinic = unused_clinic()
    gone = await deleted(resources, clinic, days=8, content=None)
    moment = datetime.now(UTC) - timedelta(days=8)
    failed = await stored(resources, clinic, estado=Estado.FALLIDO, fecha_eliminacion=moment)
    assert await purgar(resources, days=7) == 2
    assert all([(await row(resources, id_)).purgado for id_ in (gone, failed)])


async def test_one_that_s3_refuses_does_not_stop_the_rest_and_is_tried_again(
    moto_resources: Resources, faults: FaultyS3, caplog: pytest.LogCaptureFixture
) -> None:
    clinic = unused_clinic()
    first, second = [await deleted(moto_resources, clinic, days=days) for days in (9, 8)]
    faults.fail("delete", "500")
    with caplog.at_level(logging.WARNING):
        assert await purgar(moto_resources, days=7) == 1
    refused = await row(moto_resources, first)
    assert refused.archivo_s3 is not None
    assert refused.archivo_s3 in caplog.text
    assert refused.purgado is None
    assert (await row(moto_resources, second)).purgado is not None
    assert await keys(moto_resources) == {refused.archivo_s3}
    assert await purgar(moto_resources, days=7) == 1
    assert await keys(moto_resources) == set()


async def test_a_store_that_is_down_is_not_asked_for_every_object(
    moto_resources: Resources, faults: FaultyS3
) -> None:
    for days in (8, 9, 10):
        await deleted(moto_resources, unused_clinic(), days=days)
    faults.seen.clear()
    faults.fail("delete", "500", times=9)
    faults.fail("list", "503", times=9)
    assert await purgar(moto_resources, days=7) == 0
    assert [name for name, _ in faults.seen].count("delete") == 1
    faults.restore()
    assert await purgar(moto_resources, days=7) == 3


async def test_nobody_takes_back_what_is_being_removed(moto_resources: Resources, faults: FaultyS3) -> None:
    clinic = unused_clinic()
    doomed = await deleted(moto_resources, clinic, days=8)
    faults.fail("delete", "500")
    await purgar(moto_resources, days=7)
    assert len(await keys(moto_resources)) == 1, "S3 has not done it yet, and may any moment"
    with pytest.raises(AlreadyPurged):
        await recuperar_respaldo(moto_resources, doomed, clinica_id=clinic, actor=PERSON)


async def test_an_object_in_use_stays(resources: Resources, conn: asyncpg.Connection) -> None:
    clinic = unused_clinic()
    verified = await deleted(resources, clinic, days=8)
    shared = await deleted(resources, clinic, days=8)
    await add_restauracion(conn, verified)
    other = await stored(resources, clinic)
    await conn.execute("DELETE FROM respaldos.intento WHERE respaldo_id = $1", shared)
    await conn.execute(
        "UPDATE respaldos.intento SET archivo_s3 = (SELECT archivo_s3 FROM respaldos.respaldo WHERE id = $1)"
        " WHERE respaldo_id = $2",
        shared,
        other,
    )
    assert await purgar(resources, days=7) == 0
    assert len(await keys(resources)) == 2
    await conn.execute("UPDATE respaldos.trabajo SET estado = 'completado'")
    assert await purgar(resources, days=7) == 1
    assert await keys(resources) == {(await row(resources, shared)).archivo_s3}
