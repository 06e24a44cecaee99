"""Points of the day: each turn once, while clinics are open, after nights and after what people ask for."""

import asyncio
from datetime import date, datetime, time, timedelta
from itertools import chain, pairwise
from zoneinfo import ZoneInfo

import asyncpg
import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.opening_hours import OpeningHours
from app.respaldos.backup.all_clinics import FleetBackup, request_all
from app.respaldos.jobs.run import run_next
from app.respaldos.models import Respaldo, TipoRespaldo
from app.respaldos.resources import Resources
from app.respaldos.schedule.nights import programar
from app.respaldos.schedule.points import Points, programar_puntos, turn_at
from tests.respaldos.conftest import ANA, LA_PAZ, LARGE, NEW, SMALL, ask, told
from tests.support.stored import row

ZONES = ["America/La_Paz", "America/New_York", "America/Santiago", "Australia/Lord_Howe", "UTC"]

ALL_DAY = Points(60, OpeningHours.parse("00:00-24:00"))
OFF = Points(0, OpeningHours.parse("08:00-19:00"))

# A Monday at noon in La Paz.
NOON = datetime(2026, 5, 18, 12, 0, tzinfo=LA_PAZ)
HOUR = timedelta(hours=1)


class Workers:
    """Nobody is told."""

    async def check(self) -> None: ...

    async def announce(self, jobs: int = 1) -> None: ...


async def points(resources: Resources, now: datetime, general: Points = ALL_DAY) -> list[int]:
    """Whose points a minute's scheduling makes."""
    made = await programar_puntos(resources, now=now, time_zone=LA_PAZ, general=general)
    assert {each.tipo_respaldo for each in made} <= {"punto"}
    return sorted(each.clinica_id for each in made if each.clinica_id is not None)


async def end_all(conn: asyncpg.Connection) -> None:
    """What was under way is completed."""
    for table in ("respaldo", "trabajo"):
        await conn.execute(f"UPDATE respaldos.{table} SET estado = 'completado' WHERE estado = 'pendiente'")


@given(
    zone=st.sampled_from(ZONES),
    day=st.dates(date(2026, 1, 1), date(2027, 12, 31)),
    minutes=st.integers(15, 1440),
    start=st.integers(0, 22),
    hours=st.integers(1, 24),
    clinica_id=st.integers(1, 2**62),
)
def test_turns_are_as_far_apart_as_was_said_and_while_it_is_open(
    zone: str, day: date, minutes: int, start: int, hours: int, clinica_id: int
) -> None:
    end = min(start + hours, 24)
    opening = OpeningHours.parse(f"{start:02}:00-{end:02}:00")
    said, time_zone = Points(minutes, opening), ZoneInfo(zone)
    midnight = datetime.combine(day, time(), time_zone)
    found = []
    for minute in range(0, 24 * 60, 5):
        now = datetime.fromtimestamp(midnight.timestamp() + minute * 60, ZoneInfo("UTC"))
        local = now.astimezone(time_zone)
        turn = turn_at(now, said, time_zone=time_zone, clinica_id=clinica_id)
        if turn is None:
            continue
        assert turn <= now < turn + timedelta(minutes=minutes)
        # Where the clock skips the opening, that is an hour later.
        assert opening.start <= local.time() or local.utcoffset() != midnight.utcoffset()
        assert opening.end is None or local.time() < opening.end or local.utcoffset() != midnight.utcoffset()
        found.append(turn)
    turns = sorted(set(found))
    assert all(after - before == timedelta(minutes=minutes) for before, after in pairwise(turns))
    assert turns or minutes > 5


async def test_each_turn_once_whoever_schedules_it_and_none_is_made_up_for(
    resources: Resources, conn: asyncpg.Connection
) -> None:
    assert await points(resources, NOON, OFF) == []
    together = await asyncio.gather(*(points(resources, NOON) for _ in range(3)))
    assert sorted(chain(*together)) == [LARGE, SMALL, NEW]
    priorities = await conn.fetch("SELECT DISTINCT prioridad FROM respaldos.trabajo")
    assert [tuple(each) for each in priorities] == [(35,)]
    # They wait still: the next turn passes, and is not made up for.
    assert await points(resources, NOON + HOUR) == []
    await end_all(conn)
    await points(resources, NOON + HOUR)
    await end_all(conn)
    assert await points(resources, NOON + HOUR) == []
    # No worker for five hours.
    late = NOON + 6 * HOUR
    assert await points(resources, late) == [LARGE, SMALL, NEW]
    await end_all(conn)
    for minute in range(1, 61):
        await points(resources, late + timedelta(minutes=minute))
        await end_all(conn)
    # Three clinics: noon, one o'clock, and the turns that began in the hour before six and in that after it.
    assert await conn.fetchval("SELECT count(*) FROM respaldos.respaldo") == 3 * 4


async def test_a_clinic_has_what_a_superadmin_says(resources: Resources, conn: asyncpg.Connection) -> None:
    await conn.execute(
        "INSERT INTO respaldos.politica (clinica_id, minutos, horario) VALUES ($1, 30, '12:00-13:00')", SMALL
    )
    assert await points(resources, NOON + timedelta(minutes=30), OFF) == [SMALL]
    assert await points(resources, NOON + 2 * HOUR, OFF) == []
    await conn.execute("UPDATE respaldos.politica SET minutos = 0, horario = NULL")
    assert await points(resources, NOON + timedelta(minutes=40)) == [LARGE, NEW]


async def under_way(conn: asyncpg.Connection) -> list[tuple[int, str]]:
    """Clinics, and the kind of backup that waits for a worker."""
    found = await conn.fetch(
        "SELECT clinica_id, tipo_respaldo FROM respaldos.respaldo WHERE estado = 'pendiente' AND clinica_id > 0"
        " ORDER BY 1"
    )
    return [tuple(each) for each in found]


async def test_a_point_that_waits_makes_way(resources: Resources, conn: asyncpg.Connection) -> None:
    assert await points(resources, NOON) == [LARGE, SMALL, NEW]
    asked = await ask(resources)
    found = FleetBackup()
    await request_all(resources, Workers(), [SMALL, LARGE], descripcion="", actor=ANA, found=found)
    assert found.skipped == [SMALL]
    night: list[Respaldo] = await programar(resources, now=NOON, time_zone=LA_PAZ, hour=11, minute=0)
    assert {each.clinica_id for each in night} == {NEW, None}
    assert await under_way(conn) == [(LARGE, "manual"), (SMALL, "por_demanda"), (NEW, "automatico")]
    states = await conn.fetch(
        "SELECT estado, metadata->>'error_type' FROM respaldos.respaldo WHERE tipo_respaldo = 'punto'"
    )
    assert [tuple(each) for each in states] == [("cancelado", "cancelado")] * 3
    # Nothing of it is told, and whoever asked is the first.
    await run_next(resources)
    assert (await row(resources, asked.id)).estado == "completado"
    assert [tipo for tipo, _ in await told(conn)] == ["exito"]


async def test_a_night_that_is_due_comes_first(resources: Resources, conn: asyncpg.Connection) -> None:
    """Of the clinic that has something under way, so that its night waits."""
    await ask(resources, SMALL)
    await programar(resources, now=NOON, time_zone=LA_PAZ, hour=11, minute=0)
    await end_all(conn)
    assert SMALL not in await points(resources, NOON + timedelta(minutes=1))
    night = await programar(resources, now=NOON + timedelta(minutes=2), time_zone=LA_PAZ, hour=11, minute=0)
    assert [each.clinica_id for each in night] == [SMALL]
    await end_all(conn)
    assert SMALL in await points(resources, NOON + timedelta(minutes=3))


async def test_people_are_told_once_that_points_fail(
    resources: Resources, conn: asyncpg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(type(resources.storage), "upload", lambda *_, **__: 1 / 0)
    for _ in range(2):
        await ask(resources, tipo=TipoRespaldo.PUNTO)
        with pytest.raises(ZeroDivisionError):
            await run_next(resources)
    assert [tipo for tipo, _ in await told(conn)] == ["fallo"]
    monkeypatch.undo()
    for _ in range(2):
        await ask(resources, tipo=TipoRespaldo.PUNTO)
        await run_next(resources)
    assert [tipo for tipo, _ in await told(conn)] == ["fallo", "recuperacion"]
