"""Each night once for every active clinic: whatever the clock does, whoever schedules it, however late."""

import asyncio
from collections import Counter
from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

import asyncpg
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from app.clinic.clinic import Tenancy
from app.errors import CatalogError
from app.respaldos.models import Clase, Respaldo
from app.respaldos.resources import Resources
from app.respaldos.schedule.nights import (
    BATCH,
    CATCH_UP,
    WINDOW,
    Night,
    Nightly,
    next_night,
    night_at,
    planned_start,
    programar,
)
from tests.respaldos.conftest import LA_PAZ, LARGE, NEW, SMALL, back_up, connected, opened
from tests.storage.conftest import Store
from tests.support.jobs import add_job, occupy
from tests.support.stored import waiting_for_a_lock

ZONES = [
    "America/La_Paz",
    "America/New_York",
    "America/Santiago",
    "Europe/Madrid",
    "Australia/Lord_Howe",
    "Asia/Kathmandu",
    "Antarctica/Troll",
    "Pacific/Auckland",
    "UTC",
]
TICK = timedelta(minutes=10)


def local_days(year: int) -> list[date]:
    """Every day of the year."""
    first = date(year, 1, 1)
    return [first + timedelta(days=number) for number in range((date(year + 1, 1, 1) - first).days)]


# The pure part


@given(
    zone=st.sampled_from(ZONES),
    year=st.integers(2020, 2030),
    hour=st.integers(0, 23),
    minute=st.integers(0, 59),
)
@example(zone="America/New_York", year=2026, hour=2, minute=30)
@example(zone="America/New_York", year=2026, hour=1, minute=30)
@example(zone="America/Santiago", year=2026, hour=0, minute=0)
@example(zone="America/Santiago", year=2026, hour=23, minute=30)
@example(zone="Europe/Madrid", year=2026, hour=2, minute=30)
def test_each_local_day_of_a_year_has_exactly_one_night(zone: str, year: int, hour: int, minute: int) -> None:
    time_zone = ZoneInfo(zone)
    when = {"time_zone": time_zone, "hour": hour, "minute": minute}
    now = datetime(year, 1, 1, tzinfo=UTC) - timedelta(days=2)
    starts: dict[date, list[datetime]] = {}
    while now < datetime(year + 1, 1, 1, tzinfo=UTC) + timedelta(days=1):
        now = next_night(now, Nightly(hour, minute), time_zone=time_zone)
        night = night_at(now, **when)  # type: ignore[arg-type]
        assert night is not None
        assert night.start == now
        assert now.astimezone(time_zone).date() == night.dia
        starts.setdefault(night.dia, []).append(now)
    for day in local_days(year):
        assert len(starts[day]) == 1
        # As the clock on the wall says it, except where it skips that time.
        start = starts[day][0]
        wall = start.astimezone(time_zone).replace(tzinfo=None)
        meant = datetime.combine(day, time(hour, minute))
        exists = datetime.combine(day, time(hour, minute), time_zone).astimezone(UTC).astimezone(time_zone)
        assert wall == meant or exists.replace(tzinfo=None) != meant


@given(
    zone=st.sampled_from(ZONES),
    since=st.integers(1_577_836_800, 1_893_456_000).map(lambda second: datetime.fromtimestamp(second, UTC)),
    hour=st.integers(0, 23),
    minute=st.integers(0, 59),
)
def test_a_night_belongs_to_the_last_start_and_the_next_follows(
    zone: str, since: datetime, hour: int, minute: int
) -> None:
    time_zone = ZoneInfo(zone)
    night = night_at(since, time_zone=time_zone, hour=hour, minute=minute)
    following = next_night(since, Nightly(hour, minute), time_zone=time_zone)
    assert following.utcoffset() == timedelta(0)
    assert timedelta(0) < following - since <= timedelta(hours=26)
    if night is None:
        assert following - since <= timedelta(hours=26) - CATCH_UP
    else:
        assert night.start <= since < following
        assert since - night.start < CATCH_UP
        assert night.start < night.retries_end


@pytest.mark.parametrize(
    ("zone", "hour", "minute", "day", "start"),
    [
        # Skipped: the clock went from 02:00 to 03:00.
        ("America/New_York", 2, 30, date(2026, 3, 8), "2026-03-08T07:30"),
        ("Europe/Madrid", 2, 0, date(2026, 3, 29), "2026-03-29T01:00"),
        # Skipped from midnight on: 2026-09-06 begins at 01:00.
        ("America/Santiago", 0, 0, date(2026, 9, 6), "2026-09-06T04:00"),
        # Doubled: the first of the two.
        ("America/New_York", 1, 30, date(2026, 11, 1), "2026-11-01T05:30"),
        ("Europe/Madrid", 2, 30, date(2026, 10, 25), "2026-10-25T00:30"),
        ("America/Santiago", 23, 30, date(2026, 4, 4), "2026-04-05T02:30"),
        ("America/La_Paz", 2, 0, date(2026, 3, 8), "2026-03-08T06:00"),
    ],
)
def test_a_skipped_and_a_doubled_time_start_one_night(
    zone: str, hour: int, minute: int, day: date, start: str
) -> None:
    expected = datetime.fromisoformat(start).replace(tzinfo=UTC)
    when = {"time_zone": ZoneInfo(zone), "hour": hour, "minute": minute}
    assert next_night(expected - timedelta(minutes=1), Nightly(hour, minute), time_zone=ZoneInfo(zone)) == expected
    night = night_at(expected, **when)  # type: ignore[arg-type]
    assert night is not None
    assert (night.dia, night.start) == (day, expected)
    # The second 01:30 begins nothing.
    assert next_night(expected, Nightly(hour, minute), time_zone=ZoneInfo(zone)) > expected + timedelta(hours=22)


@given(clinics=st.integers(1, 20_000), clinica_id=st.integers(1, 2**62))
def test_the_nights_are_spread_over_a_time_that_grows_up_to_the_window(clinics: int, clinica_id: int) -> None:
    night = Night(date(2026, 1, 1), datetime(2026, 1, 1, 6, tzinfo=UTC), datetime(2026, 1, 1, 16, tzinfo=UTC))
    offset = planned_start(night, clinica_id, clinics) - night.start
    assert timedelta(0) <= offset <= min(timedelta(seconds=5 * (clinics - 1)), WINDOW)
    assert planned_start(night, clinica_id, clinics) - night.start == offset
    assert planned_start(night, clinica_id, clinics, timedelta(minutes=10)) - night.start <= timedelta(minutes=10)
    assert planned_start(night, clinica_id, clinics, timedelta(0)) == night.start


def test_many_clinics_are_spread_evenly() -> None:
    night = Night(date(2026, 1, 1), datetime(2026, 1, 1, 6, tzinfo=UTC), datetime(2026, 1, 1, 16, tzinfo=UTC))
    minutes = Counter(
        int((planned_start(night, number, 10_000) - night.start).total_seconds() // 60) for number in range(10_000)
    )
    assert set(minutes) == set(range(120))
    assert max(minutes.values()) < 150


# With the databases. The nights are of the past, at 02:00 in La Paz.

DAY = date(2026, 5, 20)
AT_TWO = datetime(2026, 5, 20, 2, 0, tzinfo=LA_PAZ)


async def night(resources: Resources, now: datetime) -> list[Respaldo]:
    """What a minute's scheduling makes."""
    return await programar(resources, now=now, time_zone=LA_PAZ, hour=2, minute=0)


async def whole_night(resources: Resources, start: datetime = AT_TWO) -> list[Respaldo]:
    """What is made until every clinic's turn has come."""
    return await night(resources, start) + await night(resources, start + timedelta(hours=2))


def clinics_of(respaldos: list[Respaldo]) -> list[int]:
    """Whose they are, but for the platform's."""
    return sorted(respaldo.clinica_id for respaldo in respaldos if respaldo.clinica_id is not None)


async def end_all(conn: asyncpg.Connection, estado: str, made: datetime) -> None:
    """Every backup under way has ended so, and was made then."""
    await conn.execute(
        "UPDATE respaldos.respaldo SET estado = $1, fecha_creacion = $2, fecha_respaldo = $2"
        " WHERE estado IN ('pendiente', 'procesando')",
        estado,
        made,
    )
    await conn.execute(
        "UPDATE respaldos.trabajo t SET estado = r.estado FROM respaldos.respaldo r WHERE r.id = t.respaldo_id"
    )


async def test_each_active_clinic_once_a_night(resources: Resources, conn: asyncpg.Connection) -> None:
    assert await night(resources, AT_TWO - timedelta(minutes=1)) == []
    made = await whole_night(resources)
    assert clinics_of(made) == [LARGE, SMALL, NEW]
    assert [item.clinica_id for item in made].count(None) == 1, "the platform has a night, too"
    assert {(item.estado, item.tipo_respaldo) for item in made} == {("pendiente", "automatico")}
    await end_all(conn, "completado", AT_TWO)
    for hours in (2, 9, 10, 21, 22, 23):
        assert await night(resources, AT_TWO + timedelta(hours=hours, minutes=59)) == []
    following = await whole_night(resources, AT_TWO + timedelta(days=1))
    assert clinics_of(following) == [LARGE, SMALL, NEW]
    linked = await conn.fetch(
        "SELECT clinica_id, respaldo_id, intentos FROM respaldos.programacion WHERE dia = $1", DAY
    )
    assert {tuple(row) for row in linked} == {(item.clinica_id, item.id, 1) for item in made}
    trail = await conn.fetch("SELECT respaldo_id, accion, direccion FROM respaldos.evento ORDER BY id DESC LIMIT 8")
    assert {tuple(row) for row in trail} == {(item.id, "creacion", "servicio") for item in made + following}


async def test_a_single_clinic_is_due_at_once(resources: Resources, own_database: str, store: Store) -> None:
    async with connected(own_database) as conn, opened(store, service=own_database) as own:
        await conn.execute("UPDATE clinica SET activa = id = $1", SMALL)
        assert clinics_of(await night(own, AT_TWO)) == [SMALL]


async def test_nobody_is_before_their_turn(resources: Resources, conn: asyncpg.Connection) -> None:
    first = await night(resources, AT_TWO)
    planned = await conn.fetch("SELECT clinica_id, previsto FROM respaldos.programacion ORDER BY previsto")
    assert all(AT_TWO <= row[1] <= AT_TWO + timedelta(seconds=10) for row in planned)
    assert len(first) < len(planned)
    last = planned[-1]
    made = await night(resources, last["previsto"] - timedelta(microseconds=1))
    assert last["clinica_id"] not in clinics_of(first + made)
    assert clinics_of(await night(resources, last["previsto"])) == [last["clinica_id"]]


async def test_a_late_start_catches_up_with_that_night_only(resources: Resources) -> None:
    """Down from the 18th on, up at ten in the morning of the 20th."""
    assert clinics_of(await night(resources, AT_TWO + timedelta(hours=8))) == [LARGE, SMALL, NEW]


async def test_a_service_that_comes_up_the_next_day_makes_one_backup(
    resources: Resources, conn: asyncpg.Connection
) -> None:
    up_at = AT_TWO + timedelta(hours=23)
    assert await night(resources, up_at) == []
    made = await whole_night(resources, AT_TWO + timedelta(days=1))
    assert clinics_of(made) == [LARGE, SMALL, NEW]
    assert await conn.fetchval("SELECT count(*) FROM respaldos.respaldo WHERE clinica_id IS NOT NULL") == 3


async def test_a_running_backup_of_a_person_postpones_the_night(
    resources: Resources, conn: asyncpg.Connection
) -> None:
    id_ = await conn.fetchval(
        "INSERT INTO respaldos.respaldo (clinica_id, tipo_respaldo, estado) VALUES ($1, 'por_demanda', 'procesando')"
        " RETURNING id",
        SMALL,
    )
    await add_job(conn, id_)
    assert clinics_of(await whole_night(resources)) == [LARGE, NEW]
    assert await night(resources, AT_TWO + timedelta(hours=3)) == []
    await conn.execute("UPDATE respaldos.trabajo SET estado = 'completado' WHERE clinica_id = $1", SMALL)
    assert clinics_of(await night(resources, AT_TWO + timedelta(hours=3, minutes=1))) == [SMALL]


async def test_a_backup_that_is_asked_for_just_then_is_the_only_one(
    resources: Resources, conn: asyncpg.Connection, database: str
) -> None:
    async with connected(database) as person:
        asking = person.transaction()
        await asking.start()
        id_ = await person.fetchval(
            "INSERT INTO respaldos.respaldo (clinica_id, tipo_respaldo) VALUES ($1, 'por_demanda') RETURNING id",
            SMALL,
        )
        await add_job(person, id_)
        planning = asyncio.create_task(whole_night(resources))
        await waiting_for_a_lock(person)
        await asking.commit()
        assert clinics_of(await planning) == [LARGE, NEW]
    made = "SELECT id FROM respaldos.respaldo WHERE clinica_id = $1"
    assert [row["id"] for row in await conn.fetch(made, SMALL)] == [id_]


async def test_a_restore_that_waits_does_not_postpone_the_night(
    resources: Resources, conn: asyncpg.Connection
) -> None:
    source = await back_up(resources)
    await add_job(conn, source.id, Clase.RESTAURACION, estado="pendiente")
    assert clinics_of(await whole_night(resources)) == [LARGE, SMALL, NEW]


async def test_a_restore_under_way_postpones_the_night(resources: Resources, conn: asyncpg.Connection) -> None:
    source = await back_up(resources)
    restoring = await occupy(conn, source.id, Clase.RESTAURACION)
    assert clinics_of(await whole_night(resources)) == [LARGE, NEW]
    await conn.execute("DELETE FROM respaldos.trabajo WHERE id = $1", restoring)
    assert clinics_of(await night(resources, AT_TWO + timedelta(hours=3))) == [SMALL]


async def test_a_failed_night_is_tried_again_every_hour_until_noon(
    resources: Resources, conn: asyncpg.Connection
) -> None:
    await whole_night(resources)
    await end_all(conn, "fallido", AT_TWO)
    assert await night(resources, AT_TWO + timedelta(minutes=59)) == []
    tried = 0
    # A minute before each hour, and on it; of the afternoon every fifth hour will do.
    hours = [timedelta(hours=hour) for hour in [*range(1, 12), 16, 21]]
    for now in [AT_TWO + hour + minute for hour in hours for minute in (timedelta(0), timedelta(minutes=59))]:
        made = await night(resources, now)
        if now.minute or now.hour >= 12:
            assert made == []
        tried += len(made)
        await end_all(conn, "fallido", now)
    # 03:00, 04:00, … 11:00, for each of three clinics and the platform.
    assert tried == 9 * 4
    assert await conn.fetchval("SELECT array_agg(DISTINCT intentos) FROM respaldos.programacion") == [10]
    assert clinics_of(await whole_night(resources, AT_TWO + timedelta(days=1))) == [LARGE, SMALL, NEW]


@pytest.mark.parametrize("estado", ["cancelado", "completado", "pendiente", "procesando"])
async def test_what_did_not_fail_is_not_tried_again(
    resources: Resources, conn: asyncpg.Connection, estado: str
) -> None:
    await whole_night(resources)
    await end_all(conn, estado, AT_TWO)
    assert await night(resources, AT_TWO + timedelta(hours=4)) == []


async def test_one_clinics_failure_stops_no_other(resources: Resources, conn: asyncpg.Connection) -> None:
    await whole_night(resources)
    await conn.execute("UPDATE respaldos.respaldo SET estado = 'completado' WHERE clinica_id <> $1", SMALL)
    await end_all(conn, "fallido", AT_TWO)
    assert clinics_of(await night(resources, AT_TWO + timedelta(hours=1))) == [SMALL]


async def add_clinics(conn: asyncpg.Connection, first: int, last: int) -> None:
    """Active clinics with those numbers, else like the small one."""
    await conn.execute(
        "INSERT INTO clinica SELECT (jsonb_populate_record(small, jsonb_build_object('id', number))).*"
        " FROM clinica AS small, generate_series($2::int, $3::int) AS number WHERE small.id = $1",
        SMALL,
        first,
        last,
    )


async def test_clinics_join_and_drop_out(own_database: str, store: Store) -> None:
    async with connected(own_database) as conn, opened(store, service=own_database) as own:
        await conn.execute("UPDATE clinica SET activa = false WHERE id = $1", NEW)
        made = await night(own, AT_TWO)
        # After it was planned, and before its turn.
        waiting = [id_ for id_ in (LARGE, SMALL) if id_ not in clinics_of(made)]
        await conn.execute("UPDATE clinica SET activa = false WHERE id = ANY($1)", waiting)
        assert await night(own, AT_TWO + timedelta(hours=1)) == []
        await conn.execute("UPDATE clinica SET activa = true")
        await add_clinics(conn, 77, 77)
        joined = await night(own, AT_TWO + timedelta(hours=15))
        assert clinics_of(joined) == sorted([*waiting, NEW, 77])
        assert clinics_of(made + joined) == [LARGE, SMALL, NEW, 77]


async def test_two_schedulers_at_once_make_one_night(resources: Resources, database: str, store: Store) -> None:
    now = AT_TWO + timedelta(hours=3)
    async with opened(store, service=database) as other:
        answers = await asyncio.gather(*(night(where, now) for _ in range(10) for where in (resources, other)))
    assert clinics_of([item for made in answers for item in made]) == [LARGE, SMALL, NEW]


async def test_two_schedulers_at_once_try_a_failed_night_again_once(
    resources: Resources, database: str, store: Store, conn: asyncpg.Connection
) -> None:
    async with opened(store, service=database) as other:
        await whole_night(resources)
        for hours in range(1, 4):
            now = AT_TWO + timedelta(hours=hours)
            await end_all(conn, "fallido", now - timedelta(hours=1))
            answers = await asyncio.gather(*(night(where, now) for _ in range(4) for where in (resources, other)))
            assert clinics_of([item for made in answers for item in made]) == [LARGE, SMALL, NEW]
    assert await conn.fetchval("SELECT count(*) FROM respaldos.respaldo") == 4 * 4


async def test_thousands_of_clinics_are_made_in_batches_by_two_schedulers(own_database: str, store: Store) -> None:
    now = AT_TWO + timedelta(hours=3)
    async with (
        connected(own_database) as conn,
        opened(store, service=own_database) as one,
        opened(store, service=own_database) as other,
    ):
        clinics = 5 * BATCH
        await add_clinics(conn, 4, clinics)
        made: Counter[int] = Counter()
        while answers := [item for part in await asyncio.gather(night(one, now), night(other, now)) for item in part]:
            assert len(answers) <= 2 * BATCH + 1
            made.update(clinics_of(answers))
        assert made == Counter(range(1, clinics + 1))


async def test_whoever_comes_last_in_a_long_window_is_tried_again(own_database: str, store: Store) -> None:
    async with connected(own_database) as conn, opened(store, service=own_database) as own:
        at_two = {"time_zone": LA_PAZ, "hour": 2, "minute": 0, "window": timedelta(hours=12)}
        made = await programar(own, now=AT_TWO + timedelta(hours=11), **at_two)  # type: ignore[arg-type]
        assert made
        await conn.execute("UPDATE respaldos.trabajo SET estado = 'fallido', fecha_fin = now()")
        await conn.execute(
            "UPDATE respaldos.respaldo SET estado = 'fallido', fecha_creacion = $1, fecha_respaldo = $1",
            AT_TWO + timedelta(hours=11),
        )
        again = await programar(own, now=AT_TWO + timedelta(hours=13), **at_two)  # type: ignore[arg-type]
        assert clinics_of(again) == clinics_of(made)
        assert await programar(own, now=AT_TWO + timedelta(hours=15), **at_two) == []  # type: ignore[arg-type]


async def test_without_a_window_all_clinics_are_made_at_once(own_database: str, store: Store) -> None:
    async with connected(own_database) as conn, opened(store, service=own_database) as own:
        clinics = 2 * BATCH + 10
        await add_clinics(conn, 4, clinics)
        at_two = {"now": AT_TWO, "time_zone": LA_PAZ, "hour": 2, "minute": 0}
        made = await programar(own, **at_two, window=timedelta(0))  # type: ignore[arg-type]
        assert clinics_of(made) == list(range(1, clinics + 1))
        assert await programar(own, **at_two, window=timedelta(0)) == []  # type: ignore[arg-type]


async def test_a_clinics_table_that_cannot_be_read_is_an_error_and_the_next_call_goes_on(
    own_database: str, store: Store
) -> None:
    tenancy = Tenancy(table="clinica")
    async with connected(own_database) as conn, opened(store, service=own_database, tenancy=tenancy) as own:
        await conn.execute("ALTER TABLE clinica RENAME TO clinica_vieja")
        with pytest.raises(CatalogError):
            await night(own, AT_TWO)
        await conn.execute("ALTER TABLE clinica_vieja RENAME TO clinica")
        assert clinics_of(await whole_night(own)) == [LARGE, SMALL, NEW]
