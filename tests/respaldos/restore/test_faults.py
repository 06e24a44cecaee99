"""Whatever goes wrong with a restore: the clinic is as before or as restored, whole, and the row says which."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any
from urllib.parse import urlsplit

import asyncpg
import pytest

from app.clinic.restore.session import ClinicRestore
from app.errors import (
    DatabaseUnavailable,
    FormatError,
    InvalidRequest,
    NotCompleted,
    OperationInProgress,
    RespaldoNotFound,
    RestoreRefused,
    StorageUnavailable,
)
from app.respaldos.backup.request import cancelar_respaldo
from app.respaldos.jobs import run as job_run
from app.respaldos.jobs.run import run_next
from app.respaldos.models import Clase
from app.respaldos.reconcile import reconciliar
from app.respaldos.resources import Resources
from app.respaldos.restore import run as making
from app.respaldos.restore.request import RestoreRequest, pedir_restauracion
from app.respaldos.retention.delete import eliminar_respaldo
from tests.respaldos.conftest import ANA, LARGE, SMALL, Held, ask, back_up, opened
from tests.storage.conftest import Store
from tests.support.damage import damage
from tests.support.jobs import expire, occupy
from tests.support.jobs import running as running_jobs
from tests.support.restores import (
    DAMAGE,
    TENANCY,
    assert_refused,
    conn,
    everybody,
    newest,
    resources,
    restore,
)
from tests.support.tcp_proxy import TcpProxy, tcp_proxy, through

__all__ = ["conn", "resources"]


@pytest.mark.parametrize("simulada", [True, False])
async def test_a_damaged_object(resources: Resources, store: Store, conn: asyncpg.Connection, simulada: bool) -> None:
    respaldo = await back_up(resources)
    await conn.execute(DAMAGE)
    before = await everybody(resources)
    damage(store, respaldo)
    with pytest.raises(FormatError, match="el archivo cambió"):
        await restore(resources, respaldo, simulada=simulada)
    assert await everybody(resources) == before
    row = await newest(conn)
    assert (row["estado"], row["error_type"], row["respaldo_previo"]) == ("fallido", "archivo_invalido", None)
    if not simulada:
        await assert_refused(conn, "archivo_invalido")


async def test_without_a_safety_backup_there_is_no_restore(
    resources: Resources, conn: asyncpg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    respaldo = await back_up(resources)
    await conn.execute(DAMAGE)
    before = await everybody(resources)

    async def no_room(*_: Any, **__: Any) -> Any:
        raise StorageUnavailable("S3 no responde")

    monkeypatch.setattr(type(resources.storage), "upload", no_room)
    with pytest.raises(StorageUnavailable):
        await restore(resources, respaldo)
    assert await everybody(resources) == before
    await assert_refused(conn, "almacenamiento_no_disponible")
    done = await restore(resources, respaldo, sin_respaldo_previo=True)
    assert (done.trabajo.estado, done.respaldo_previo) == ("completado", None)


async def test_what_cannot_be_meant(resources: Resources, conn: asyncpg.Connection) -> None:
    respaldo = await back_up(resources)
    before = await everybody(resources)
    refused: list[tuple[dict[str, Any], type[Exception], str]] = [
        ({"modelos": ("nada",)}, RestoreRefused, "no tiene el modelo «nada»"),
        ({"registros": ("pacientes:987654",)}, RestoreRefused, "no tiene el registro «pacientes:987654»"),
        ({"registros": ("pacientes:ana",)}, InvalidRequest, "no es una clave"),
        ({"registros": ("pacientes",)}, InvalidRequest, "modelo:clave"),
        ({"modelos": ("pacientes",), "registros": ("pacientes:1",)}, InvalidRequest, "no las dos"),
        ({"modelos": ()}, InvalidRequest, "vacío"),
    ]
    for request, error, said in refused:
        with pytest.raises(error, match=said):
            await restore(resources, respaldo, **request)
        assert await everybody(resources) == before, request
        assert await running_jobs(conn) == 0, request


async def test_only_a_completed_backup_of_the_clinics_own(resources: Resources, conn: asyncpg.Connection) -> None:
    pending = await ask(resources)
    with pytest.raises(NotCompleted, match="pendiente"):
        await pedir_restauracion(resources, None, pending.id, clinica_id=SMALL, request=RestoreRequest(), actor=ANA)
    await cancelar_respaldo(resources, pending.id, clinica_id=SMALL, actor=ANA)
    respaldo = await back_up(resources)
    with pytest.raises(RespaldoNotFound):
        await pedir_restauracion(resources, None, respaldo.id, clinica_id=LARGE, request=RestoreRequest(), actor=ANA)
    await back_up(resources)
    await eliminar_respaldo(resources, respaldo.id, clinica_id=SMALL, actor=ANA)
    with pytest.raises(RespaldoNotFound):
        await pedir_restauracion(resources, None, respaldo.id, clinica_id=SMALL, request=RestoreRequest(), actor=ANA)


async def test_a_backup_and_a_restore_keep_each_other_away(
    resources: Resources, conn: asyncpg.Connection, held: Held
) -> None:
    held.released.set()
    respaldo = await back_up(resources)
    await conn.execute(DAMAGE)
    held.reached.clear()
    held.released.clear()
    running = asyncio.create_task(back_up(resources))
    await asyncio.wait_for(held.reached.wait(), 30)
    with pytest.raises(OperationInProgress, match="respaldo en curso"):
        await restore(resources, respaldo)
    held.released.set()
    await running

    await pedir_restauracion(resources, None, respaldo.id, clinica_id=SMALL, request=RestoreRequest(), actor=ANA)
    with pytest.raises(OperationInProgress, match="ya tiene una restauración en curso"):
        await restore(resources, respaldo)
    held.reached.clear()
    held.released.clear()
    restoring = asyncio.create_task(run_next(resources))
    await asyncio.wait_for(held.reached.wait(), 30)
    with pytest.raises(OperationInProgress):
        await back_up(resources)
    held.released.set()
    await restoring
    assert (await newest(conn))["estado"] == "completado"


async def test_only_a_preview_that_runs_keeps_a_restore_of_the_command_line_away(
    resources: Resources, conn: asyncpg.Connection
) -> None:
    respaldo = await back_up(resources)
    simulated = RestoreRequest(simulada=True)
    await pedir_restauracion(resources, None, respaldo.id, clinica_id=SMALL, request=simulated, actor=ANA)
    assert (await restore(resources, respaldo)).trabajo.estado == "completado"
    await conn.execute("UPDATE respaldos.trabajo SET estado = 'procesando' WHERE clase = 'simulacion'")
    with pytest.raises(OperationInProgress, match="ya tiene una simulación en curso"):
        await restore(resources, respaldo)


async def test_a_restore_waits_where_a_backup_came_first(resources: Resources, conn: asyncpg.Connection) -> None:
    respaldo = await back_up(resources)
    await pedir_restauracion(resources, None, respaldo.id, clinica_id=SMALL, request=RestoreRequest(), actor=ANA)
    other = await occupy(conn, respaldo.id, Clase.RESPALDO)
    await run_next(resources)
    assert (await newest(conn))["estado"] == "pendiente"
    await conn.execute("DELETE FROM respaldos.trabajo WHERE id = $1", other)
    assert await reconciliar(resources) == 1, "it is to be announced again"
    await run_next(resources)
    assert (await newest(conn))["estado"] == "completado"


@pytest.fixture
async def proxy(own_database: str) -> Any:
    """Before the clinics' database as restores reach it."""
    parts = urlsplit(own_database)
    async with tcp_proxy(parts.hostname or "", parts.port or 0) as found:
        yield found


async def test_a_connection_that_is_lost_on_the_way(
    store: Store, own_database: str, conn: asyncpg.Connection, proxy: TcpProxy
) -> None:
    """At every step, one restore after the other."""
    writer = through(own_database, proxy)
    async with opened(store, service=own_database, writer=writer, tenancy=TENANCY) as resources:
        respaldo = await back_up(resources)
        await conn.execute(DAMAGE)
        before = await everybody(resources)
        for stage in ("begin", "compare", "apply", "prove", "transaction_id"):
            with pytest.MonkeyPatch.context() as patch:
                cut = _cut_before(getattr(ClinicRestore, stage), proxy)
                patch.setattr(ClinicRestore, stage, cut)
                with pytest.raises(DatabaseUnavailable):
                    await restore(resources, respaldo)
            proxy.restore()
            assert await everybody(resources) == before, stage
            await assert_refused(conn, "base_de_datos_no_disponible")


def _cut_before(step: Callable[..., Awaitable[Any]], proxy: TcpProxy) -> Callable[..., Awaitable[Any]]:
    async def cut(session: ClinicRestore, *given: Any) -> Any:
        proxy.drop()
        return await step(session, *given)

    return cut


@pytest.mark.parametrize("committed", [True, False])
async def test_a_connection_that_is_lost_at_the_moment_of_commit(
    store: Store,
    own_database: str,
    conn: asyncpg.Connection,
    proxy: TcpProxy,
    monkeypatch: pytest.MonkeyPatch,
    committed: bool,
) -> None:
    """PostgreSQL is asked afterwards, by the transaction's number."""
    original = ClinicRestore.commit

    async def cut(session: ClinicRestore) -> None:
        if committed:
            await original(session)
        proxy.drop()
        asyncio.get_running_loop().call_later(0.3, proxy.restore)
        raise DatabaseUnavailable("se cortó la conexión")

    writer = through(own_database, proxy)
    async with opened(store, service=own_database, writer=writer, tenancy=TENANCY) as resources:
        before = await everybody(resources)
        respaldo = await back_up(resources)
        await conn.execute(DAMAGE)
        damaged = await everybody(resources)
        monkeypatch.setattr(ClinicRestore, "commit", cut)
        if committed:
            assert (await restore(resources, respaldo)).trabajo.estado == "completado"
            assert await everybody(resources) == before
        else:
            with pytest.raises(DatabaseUnavailable):
                await restore(resources, respaldo)
            await assert_refused(conn, "base_de_datos_no_disponible")
            assert await everybody(resources) == damaged


async def test_a_stop_takes_all_of_it_back(
    resources: Resources, conn: asyncpg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    respaldo = await back_up(resources)
    await conn.execute(DAMAGE)
    before = await everybody(resources)
    reached = asyncio.Event()
    original = ClinicRestore.prove

    async def slow(session: ClinicRestore, *given: Any) -> None:
        reached.set()
        await asyncio.sleep(60)
        await original(session, *given)

    monkeypatch.setattr(ClinicRestore, "prove", slow)
    running = asyncio.create_task(restore(resources, respaldo))
    await asyncio.wait_for(reached.wait(), 30)
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    await assert_refused(conn, "restauracion_interrumpida")
    assert await everybody(resources) == before


@pytest.mark.parametrize("moment", ["before", "committed", "uncommitted"])
async def test_the_dead_are_followed_by_others(
    resources: Resources, conn: asyncpg.Connection, monkeypatch: pytest.MonkeyPatch, moment: str
) -> None:
    """A process dies before it knows its transaction, after COMMIT, or between the two, frozen with it open."""
    before = await everybody(resources)
    respaldo = await back_up(resources)
    await conn.execute(DAMAGE)
    damaged = await everybody(resources)
    reached, original = asyncio.Event(), ClinicRestore.commit

    async def die(session: ClinicRestore, *_: Any) -> None:
        if moment == "committed":
            await original(session)
        reached.set()
        await asyncio.sleep(60)

    async def silent(*_: Any, **__: Any) -> None:
        return None

    monkeypatch.setattr(ClinicRestore, "prove" if moment == "before" else "commit", die)
    # A dead process writes nothing down.
    monkeypatch.setattr(job_run, "_end_failed", silent)
    monkeypatch.setattr(making, "_settle", silent)
    dying = asyncio.create_task(restore(resources, respaldo))
    await asyncio.wait_for(reached.wait(), 30)
    await expire(conn)
    await reconciliar(resources)
    locks = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND database ="
    this = "(SELECT oid FROM pg_database WHERE datname = current_database())"
    assert await conn.fetchval(f"{locks} {this}") == 0
    row = await newest(conn)
    if moment == "committed":
        assert (row["estado"], row["error"]) == ("completado", None)
        assert await everybody(resources) == before
    else:
        await assert_refused(conn, "restauracion_interrumpida")
        assert await everybody(resources) == damaged
    dying.cancel()
    await asyncio.gather(dying, return_exceptions=True)
    assert (await newest(conn))["estado"] == row["estado"]
