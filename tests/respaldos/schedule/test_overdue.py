"""A clinic that goes without a good backup is told of, once a day."""

import json
from datetime import datetime, timedelta

import asyncpg
import pytest
from sqlalchemy import select

from app.respaldos.databases import transaction
from app.respaldos.models import Respaldo
from app.respaldos.resources import Resources
from app.respaldos.schedule.nights import programar
from app.respaldos.schedule.overdue import vigilar
from tests.respaldos.conftest import LA_PAZ, LARGE, NEW, SMALL, connected, opened
from tests.storage.conftest import Store

NOW = datetime(2026, 5, 20, 9, 0, tzinfo=LA_PAZ)


async def good_backup(conn: asyncpg.Connection, clinica_id: int, hours_ago: float, **values: object) -> None:
    """A completed backup of that clinic, taken so long before NOW."""
    given = {
        "clinica_id": clinica_id,
        "tipo_respaldo": "automatico",
        "estado": "completado",
        "fecha_respaldo": NOW - timedelta(hours=hours_ago),
        **values,
    }
    marks = ", ".join(f"${number}" for number in range(1, len(given) + 1))
    await conn.execute(f"INSERT INTO respaldos.respaldo ({', '.join(given)}) VALUES ({marks})", *given.values())


async def all_fresh_but_small(conn: asyncpg.Connection) -> None:
    for clinica_id in (LARGE, NEW):
        await good_backup(conn, clinica_id, 1)


async def warned(conn: asyncpg.Connection) -> list[tuple[int, str | None]]:
    """Clinic and last good backup of each aviso."""
    rows = await conn.fetch("SELECT tipo, clinica_id, datos FROM respaldos.aviso ORDER BY id")
    assert {row["tipo"] for row in rows} <= {"atrasado"}
    return [(row["clinica_id"], json.loads(row["datos"])["ultimo"]) for row in rows]


@pytest.mark.parametrize(("hours", "late"), [(25.9, False), (26.1, True)])
async def test_a_clinic_is_late_after_26_hours(
    resources: Resources, conn: asyncpg.Connection, hours: float, late: bool
) -> None:
    await all_fresh_but_small(conn)
    await good_backup(conn, SMALL, hours)
    assert await vigilar(resources, now=NOW) == int(late)
    found = await warned(conn)
    assert [clinica_id for clinica_id, _ in found] == [SMALL] * late
    if late:
        assert datetime.fromisoformat(found[0][1] or "") == NOW - timedelta(hours=hours)


NOT_GOOD: list[dict[str, object]] = [
    {"estado": "fallido"},
    {"estado": "procesando"},
    {"sospechoso": True},
    {"verificado_error": "otro hash"},
    {"fecha_eliminacion": NOW},
]


@pytest.mark.parametrize("values", NOT_GOOD, ids=lambda values: next(iter(values)))
async def test_only_a_good_backup_counts(
    resources: Resources, conn: asyncpg.Connection, values: dict[str, object]
) -> None:
    await all_fresh_but_small(conn)
    await good_backup(conn, SMALL, 48)
    await good_backup(conn, SMALL, 1, **values)
    assert await vigilar(resources, now=NOW) == 1
    assert (await warned(conn))[0][0] == SMALL


async def test_an_accepted_suspicious_backup_counts(resources: Resources, conn: asyncpg.Connection) -> None:
    await all_fresh_but_small(conn)
    await good_backup(conn, SMALL, 1, sospechoso=True, aceptado=NOW)
    assert await vigilar(resources, now=NOW) == 0


async def test_python_and_postgresql_agree_on_what_is_good(resources: Resources, conn: asyncpg.Connection) -> None:
    for values in [*NOT_GOOD, {}, {"sospechoso": True, "aceptado": NOW}]:
        await good_backup(conn, SMALL, 1, **values)
        await conn.execute("UPDATE respaldos.respaldo SET clinica_id = 1000 + id")
    async with transaction(resources) as session:
        rows = (await session.scalars(select(Respaldo))).all()
        good = set(await session.scalars(select(Respaldo.id).where(Respaldo.good)))
    assert {row.id for row in rows if row.good} == good
    assert 0 < len(good) < len(rows)


async def test_people_are_told_once_for_each_local_day(resources: Resources, conn: asyncpg.Connection) -> None:
    await all_fresh_but_small(conn)
    await good_backup(conn, SMALL, 48)
    told = []
    # Eight in the evening in La Paz is midnight in UTC.
    for hours in (0, 0.5, 3, 10.5, 11, 14.5, 15, 15.5, 20, 23.5):
        now = NOW + timedelta(hours=hours)
        await conn.execute("UPDATE respaldos.respaldo SET fecha_respaldo = $1 WHERE clinica_id <> $2", now, SMALL)
        if await vigilar(resources, now=now):
            told.append(now)
    # At nine, and after the midnight of La Paz, not of UTC.
    assert told == [NOW, datetime(2026, 5, 21, 0, 0, tzinfo=LA_PAZ)]
    assert len(await warned(conn)) == 2


async def test_a_clinic_without_any_backup_counts_from_its_first_night(
    resources: Resources, conn: asyncpg.Connection
) -> None:
    assert await vigilar(resources, now=NOW) == 0, "nobody has seen them yet"
    await programar(resources, now=NOW, time_zone=LA_PAZ, hour=2, minute=0)
    await conn.execute("UPDATE respaldos.respaldo SET estado = 'fallido'")
    assert await vigilar(resources, now=NOW + timedelta(hours=26)) == 0
    assert await vigilar(resources, now=NOW + timedelta(hours=26, minutes=1)) == 4
    assert await warned(conn) == [(LARGE, None), (SMALL, None), (NEW, None), (None, None)]


async def test_an_inactive_clinic_is_nobodys_worry(own_database: str, store: Store) -> None:
    async with connected(own_database) as conn, opened(store, service=own_database) as own:
        await all_fresh_but_small(conn)
        await good_backup(conn, SMALL, 48)
        await conn.execute("UPDATE clinica SET activa = false WHERE id = $1", SMALL)
        assert await vigilar(own, now=NOW) == 0
        await conn.execute("UPDATE clinica SET activa = true")
        assert await vigilar(own, now=NOW) == 1
