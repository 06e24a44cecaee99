"""What the service wrote for its own use goes when it is old, and nothing that anybody still asks for."""

from datetime import UTC, datetime, timedelta

import asyncpg
import pytest

from app.respaldos.backup import queries as backup_queries
from app.respaldos.databases import transaction
from app.respaldos.models import Estado
from app.respaldos.resources import Resources
from app.respaldos.retention import prune
from app.respaldos.retention.prune import PRUNE_DAYS, podar
from app.respaldos.schedule import fleet as schedule_fleet
from app.respaldos.status import fleet as status_fleet
from tests.respaldos.conftest import NEW, SMALL
from tests.support.jobs import add_exportacion, add_job, add_restauracion
from tests.support.stored import stored, unused_clinic

OLD, YOUNG = PRUNE_DAYS + 1, PRUNE_DAYS - 1


async def nights(conn: asyncpg.Connection, clinic: int | None, *days: int) -> None:
    """Nights of the clinic that were so many days ago."""
    now = datetime.now(UTC)
    await conn.executemany(
        "INSERT INTO respaldos.programacion (clinica_id, dia, previsto, intentos) VALUES ($1, $2, $3, 1)",
        [(clinic, (now - timedelta(days=each)).date(), now - timedelta(days=each)) for each in days],
    )


async def left(conn: asyncpg.Connection, query: str) -> list[object]:
    """The first column of what the query finds."""
    return [row[0] for row in await conn.fetch(query)]


async def test_of_old_nights_the_first_stays(resources: Resources, conn: asyncpg.Connection) -> None:
    gone = unused_clinic()
    for clinic in (SMALL, gone, None):
        await nights(conn, clinic, 90, OLD, 60, YOUNG, 1)
    await nights(conn, NEW, OLD)
    async with transaction(resources) as session:
        without = await status_fleet.without_good(session)
        overdue = await schedule_fleet.overdue(session, among=[SMALL, NEW, gone], since=datetime.now(UTC))
    assert await podar(resources) == 6
    counted = "SELECT count(*) FROM respaldos.programacion GROUP BY clinica_id ORDER BY clinica_id"
    assert await left(conn, counted) == [3, 1, 3, 3]
    async with transaction(resources) as session:
        later = dict(await status_fleet.without_good(session))
    assert set(later) == {SMALL, NEW, gone, None}
    assert all(later[clinic] >= seconds for clinic, seconds in without)
    async with transaction(resources) as session:
        again = await schedule_fleet.overdue(session, among=[SMALL, NEW, gone], since=datetime.now(UTC))
    assert again == overdue
    assert await podar(resources) == 0


async def test_attempts_go_when_they_are_clean_but_those_that_are_counted(
    resources: Resources, conn: asyncpg.Connection
) -> None:
    clinic = unused_clinic()
    clean, dirty, expired, recent = [await stored(resources, clinic, days=OLD) for _ in range(4)]
    for id_, days in ((clean, OLD), (expired, OLD), (recent, YOUNG)):
        moment = datetime.now(UTC) - timedelta(days=days)
        await conn.execute("UPDATE respaldos.intento SET limpiado = $2 WHERE respaldo_id = $1", id_, moment)
    await conn.execute("UPDATE respaldos.intento SET vencido = true WHERE respaldo_id = $1", expired)
    assert await podar(resources) == 1
    assert await left(conn, "SELECT respaldo_id FROM respaldos.intento ORDER BY 1") == [dirty, expired, recent]
    async with transaction(resources) as session:
        assert (await status_fleet.backlog(session)).expired_leases == 1


async def test_jobs_of_backups_go_and_what_a_page_shows_stays(resources: Resources, conn: asyncpg.Connection) -> None:
    clinic = unused_clinic()
    moment = datetime.now(UTC) - timedelta(days=OLD)
    ended = [
        await stored(resources, clinic, days=OLD, estado=estado) for estado in (Estado.COMPLETADO, Estado.FALLIDO)
    ]
    for respaldo_id in ended:
        await add_job(conn, respaldo_id, fecha_fin=moment)
    waiting = await stored(resources, clinic, days=OLD, estado=Estado.PENDIENTE)
    kept = await add_job(conn, waiting, fecha_creacion=moment)
    verification = await add_restauracion(conn, ended[0], job={"estado": "completado", "fecha_fin": moment})
    assert await podar(resources) == 2
    assert await left(conn, "SELECT id FROM respaldos.trabajo WHERE clase = 'respaldo'") == [kept]
    assert await left(conn, "SELECT restauracion_id FROM respaldos.trabajo WHERE clase <> 'respaldo'") == [
        verification
    ]
    async with transaction(resources) as session:
        found, total = await backup_queries.page(session, clinica_id=clinic, limit=10, offset=0)
    assert (len(found), total) == (3, 3)


async def test_exports_go_with_their_jobs_once_nothing_is_left_of_them(
    resources: Resources, conn: asyncpg.Connection
) -> None:
    respaldo_id = await stored(resources, unused_clinic(), days=OLD)
    now = datetime.now(UTC)
    job = {"estado": "completado", "fecha_fin": now - timedelta(days=OLD)}
    gone, recent = [
        await add_exportacion(conn, respaldo_id, job=job, limpiado=now - timedelta(days=days))
        for days in (OLD, YOUNG)
    ]
    there = await add_exportacion(conn, respaldo_id, job=job)
    assert await podar(resources) == 1
    kept = [recent, there]
    assert await left(conn, "SELECT id FROM respaldos.exportacion ORDER BY id") == kept
    assert await left(conn, "SELECT exportacion_id FROM respaldos.trabajo ORDER BY id") == kept
    assert gone not in kept


async def test_notices_go_when_they_are_sent(resources: Resources, conn: asyncpg.Connection) -> None:
    now = datetime.now(UTC)
    for key, ended in (("sent", OLD), ("recent", YOUNG), ("waits", None)):
        await conn.execute(
            "INSERT INTO respaldos.aviso (clinica_id, tipo, clave, fecha_creacion, terminado)"
            " VALUES (NULL, 'fallo', $1, $2, $3)",
            *(key, now - timedelta(days=OLD), now - timedelta(days=ended) if ended is not None else None),
        )
    assert await podar(resources) == 1
    assert await left(conn, "SELECT clave FROM respaldos.aviso ORDER BY id") == ["recent", "waits"]


async def test_keys_of_requests_go_when_they_are_old(resources: Resources, conn: asyncpg.Connection) -> None:
    for key, days in (("old", OLD), ("recent", YOUNG)):
        moment = datetime.now(UTC) - timedelta(days=days)
        await conn.execute("INSERT INTO respaldos.peticion VALUES ('1 1', $1, 'x', 1, NULL, $2)", key, moment)
    assert await podar(resources) == 1
    assert await left(conn, "SELECT clave FROM respaldos.peticion") == ["recent"]


async def test_ended_tokens_go_when_they_would_have_ended(resources: Resources, conn: asyncpg.Connection) -> None:
    for key, days in (("token:old", OLD), ("token:recent", YOUNG), ("persona:1:7", None)):
        ends = datetime.now(UTC) - timedelta(days=days) if days is not None else None
        await conn.execute("INSERT INTO respaldos.token_terminado (clave, vence) VALUES ($1, $2)", key, ends)
    assert await podar(resources) == 1
    assert await left(conn, "SELECT clave FROM respaldos.token_terminado ORDER BY clave") == [
        "persona:1:7",
        "token:recent",
    ]


async def test_many_go_one_part_after_the_other(
    resources: Resources, conn: asyncpg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(prune, "BATCH", 3)
    await nights(conn, SMALL, *range(OLD, OLD + 11))
    assert await podar(resources) == 10
    assert await left(conn, "SELECT count(*) FROM respaldos.programacion") == [1]
