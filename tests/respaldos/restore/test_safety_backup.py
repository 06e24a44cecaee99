"""What a clinic writes while its safety backup is made: in that backup, or the restore is not made."""

import asyncio
import gzip
from collections.abc import Callable
from typing import Any

import asyncpg
import pytest

from app.errors import OperationInProgress, RestoreInterrupted, RestoreRefused
from app.respaldos.backup.request import cancelar_respaldo
from app.respaldos.backup.run import crear_respaldo
from app.respaldos.jobs.run import run_next
from app.respaldos.models import Respaldo
from app.respaldos.resources import Resources
from app.respaldos.restore import run as making
from app.respaldos.restore.request import RestoreRequest, pedir_restauracion
from tests.respaldos.conftest import ANA, SMALL, Held, ask, back_up, row_of
from tests.support.jobs import with_lease
from tests.support.restores import DAMAGE, assert_refused, conn, everybody, newest, resources, restore

__all__ = ["conn", "resources"]

NOTE = (
    "INSERT INTO bitacora (accion, modelo, descripcion, ip_address, user_agent, fecha, clinica_id)"
    f" VALUES ('meanwhile', 'y', 'z', '10.0.0.1', 'w', now(), {SMALL})"
)
# Of a row that is as in the backup that is restored.
CORRECTION = (
    "UPDATE factura SET razon_social = 'meanwhile'"
    f" WHERE id = (SELECT max(id) FROM factura WHERE clinica_id = {SMALL} AND id % 2 = 1)"
)


@pytest.fixture
def writing(conn: asyncpg.Connection, monkeypatch: pytest.MonkeyPatch) -> Callable[[list[str]], None]:
    """Has a statement executed at the end of each safety backup, long after its snapshot."""

    def begin(statements: list[str]) -> None:
        async def written_beside(*given: Any, **more: Any) -> Respaldo:
            made = await crear_respaldo(*given, **more)
            if statements:
                await conn.execute(statements.pop(0))
            return made

        monkeypatch.setattr(making, "crear_respaldo", written_beside)

    return begin


@pytest.mark.parametrize("clinica_id", [SMALL, None])
async def test_it_is_made_while_another_backup_waits_for_the_restore(
    resources: Resources, conn: asyncpg.Connection, monkeypatch: pytest.MonkeyPatch, clinica_id: int | None
) -> None:
    respaldo = await back_up(resources, clinica_id)
    await conn.execute("UPDATE auth_user SET first_name = 'otro'" if clinica_id is None else DAMAGE)
    asked: list[Respaldo] = []

    async def with_another(*given: Any, **more: Any) -> Respaldo:
        asked.append(await ask(resources, clinica_id))
        made = await crear_respaldo(*given, **more)
        with pytest.raises(OperationInProgress, match=f"número {asked[0].id}, pendiente"):
            await ask(resources, clinica_id)
        return made

    monkeypatch.setattr(making, "crear_respaldo", with_another)
    done = await restore(resources, respaldo, actualizar=clinica_id is None)
    assert (done.trabajo.estado, done.respaldo_previo) == ("completado", asked[0].id + 1)
    assert (await row_of(conn, asked[0].id))["estado"] == "pendiente"
    await run_next(resources)
    assert (await row_of(conn, asked[0].id))["estado"] == "completado"


async def test_where_nothing_is_written_there_is_none(resources: Resources, conn: asyncpg.Connection) -> None:
    respaldo = await back_up(resources)
    done = await restore(resources, respaldo)
    assert (done.trabajo.estado, done.respaldo_previo) == ("completado", None)
    assert await conn.fetchval("SELECT count(*) FROM respaldos.respaldo") == 1


async def test_a_backup_may_be_asked_for_while_it_is_made(
    resources: Resources, conn: asyncpg.Connection, held: Held
) -> None:
    held.released.set()
    respaldo = await back_up(resources)
    await conn.execute(DAMAGE)
    held.reached.clear()
    held.released.clear()
    restoring = asyncio.create_task(restore(resources, respaldo))
    await asyncio.wait_for(held.reached.wait(), 30)
    asked = await ask(resources)
    assert not await run_next(resources), "it waits for the restore"
    held.released.set()
    assert (await restoring).respaldo_previo == respaldo.id + 1
    await run_next(resources)
    assert (await row_of(conn, asked.id))["estado"] == "completado"


@pytest.mark.parametrize("by", ["worker", "command line"])
async def test_where_it_is_cancelled_the_restore_fails(
    resources: Resources, conn: asyncpg.Connection, held: Held, by: str
) -> None:
    held.released.set()
    respaldo = await back_up(resources)
    await conn.execute(DAMAGE)
    before = await everybody(resources)
    held.reached.clear()
    held.released.clear()
    resources = with_lease(resources, heartbeat_seconds=0.05)
    if by == "worker":
        request = RestoreRequest()
        await pedir_restauracion(resources, None, respaldo.id, clinica_id=SMALL, request=request, actor=ANA)
        restoring: asyncio.Task[Any] = asyncio.create_task(run_next(resources))
    else:
        restoring = asyncio.create_task(restore(resources, respaldo))
    await asyncio.wait_for(held.reached.wait(), 30)
    await cancelar_respaldo(resources, respaldo.id + 1, clinica_id=SMALL, actor=ANA)
    if by == "worker":
        await restoring
    else:
        with pytest.raises(RestoreInterrupted, match="se canceló el respaldo previo"):
            await restoring
    assert await everybody(resources) == before
    assert (await row_of(conn, respaldo.id + 1))["estado"] == "cancelado"
    row = await newest(conn)
    assert (row["estado"], row["error_type"]) == ("fallido", "restauracion_interrumpida")
    assert row["error"] == "se canceló el respaldo previo, y la restauración no cambió nada"


async def test_it_is_made_again(
    resources: Resources, conn: asyncpg.Connection, writing: Callable[[list[str]], None]
) -> None:
    respaldo = await back_up(resources)
    before = await everybody(resources)
    await conn.execute(DAMAGE)
    writing([NOTE, CORRECTION])
    done = await restore(resources, respaldo)
    assert await everybody(resources) == before
    made = await conn.fetch("SELECT id, archivo_s3 FROM respaldos.respaldo ORDER BY id")
    assert [row["id"] for row in made[1:]] == [respaldo.id + 1, respaldo.id + 2, done.respaldo_previo]
    async with resources.storage.download(made[-1]["archivo_s3"]) as chunks:
        file = b"".join([chunk async for chunk in chunks])
    assert gzip.decompress(file).count(b'"meanwhile"') == 2


async def test_it_is_made_again_where_a_column_has_another_type_by_now(
    resources: Resources, conn: asyncpg.Connection, writing: Callable[[list[str]], None]
) -> None:
    respaldo = await back_up(resources)
    await conn.execute(f"ALTER TABLE consulta ALTER costo TYPE numeric(14, 4); {DAMAGE}")
    writing([NOTE])
    done = await restore(resources, respaldo)
    assert done.respaldo_previo == respaldo.id + 2


async def test_its_row_in_the_table_of_clinics_may_change(
    resources: Resources, conn: asyncpg.Connection, writing: Callable[[list[str]], None]
) -> None:
    respaldo = await back_up(resources)
    await conn.execute(DAMAGE)
    writing([f"UPDATE clinica SET nombre = 'Otro nombre' WHERE id = {SMALL}"])
    assert (await restore(resources, respaldo)).respaldo_previo == respaldo.id + 1


async def test_people_log_in_while_the_platforms_rows_go_back(
    resources: Resources, conn: asyncpg.Connection, writing: Callable[[list[str]], None]
) -> None:
    """Neither whoever's row is not written, nor one who only logs in, needs another safety backup."""
    respaldo = await back_up(resources, None)
    back, other = [row["id"] for row in await conn.fetch("SELECT id FROM auth_user ORDER BY id LIMIT 2")]
    everyone = f"UPDATE auth_user SET last_login = '2030-01-01' WHERE id IN ({back}, {other})"
    changed = f"UPDATE auth_user SET first_name = 'otro' WHERE id = {back}"
    later = "SELECT array_agg(id ORDER BY id) FROM auth_user WHERE first_name ~ '^otro' OR last_login > now()"
    await conn.execute(changed)
    writing([everyone])
    assert (await restore(resources, respaldo, actualizar=True)).respaldo_previo == respaldo.id + 1
    assert await conn.fetchval(later) == [other]
    # What is more than a login is not lost.
    await conn.execute(changed)
    writing([everyone.replace(" WHERE", f", first_name = 'otro {n}' WHERE") for n in range(3)])
    with pytest.raises(RestoreRefused, match=r"siguió cambiando mientras .* \(«auth_user»\)"):
        await restore(resources, respaldo, actualizar=True)
    assert await conn.fetchval(later) == [back, other]


async def test_a_clinic_that_never_rests(
    resources: Resources,
    conn: asyncpg.Connection,
    writing: Callable[[list[str]], None],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    respaldo = await back_up(resources)
    await conn.execute(DAMAGE)
    before = await everybody(resources)
    monkeypatch.setattr(making, "SAFETY_BACKUPS", 1)
    writing([NOTE])
    with pytest.raises(RestoreRefused, match=r"siguió cambiando mientras .* \(«bitacoras»\)"):
        await restore(resources, respaldo)
    await assert_refused(conn, "restauracion_rechazada")
    await conn.execute("DELETE FROM bitacora WHERE accion = 'meanwhile'")
    assert await everybody(resources) == before
