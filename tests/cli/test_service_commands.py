"""`serve`, `worker` and `demo`, which stay until they are told to stop, or are killed."""

import asyncio
import re
import secrets
import signal
import socket
import subprocess
from contextlib import ExitStack, suppress
from pathlib import Path

import asyncpg
import httpx
import psutil
import pytest

from app.cli.supervisor import WORKER_MODULE
from tests.cli.conftest import Slowly
from tests.conftest import plain_url
from tests.respaldos.conftest import LARGE, SMALL
from tests.storage.conftest import Store
from tests.support.jobs import add_job
from tests.support.killed import killed_at_the_end
from tests.support.ports import free_port
from tests.support.processes import eventually
from tests.support.program import Ran, ended, environment, on_a_terminal, respaldos, start
from tests.support.redis import running_redis
from tests.support.tcp_proxy import Direction


async def shown(process: asyncio.subprocess.Process, line: str) -> str:
    """What it has said on its standard output, up to the first line that has this in it."""
    said = ""
    assert process.stdout is not None
    async with asyncio.timeout(90):
        while line not in said:
            piece = await process.stdout.readline()
            assert piece, said
            said += piece.decode()
    return said


def processes_of(folder: Path) -> list[psutil.Process]:
    """Everything that runs in the folder, or was started for something in it."""
    found = []
    for process in psutil.process_iter():
        with suppress(psutil.NoSuchProcess, psutil.AccessDenied):
            if str(folder) in " ".join([process.cwd(), *process.cmdline()]):
                found.append(process)
    return found


async def nothing_left(folder: Path) -> None:
    """Return when the last of them has ended."""

    async def none() -> bool:
        return not processes_of(folder)

    await eventually(none)


# serve


def test_a_port_that_is_taken_is_told_in_one_line(addresses: dict[str, str], tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        ran = respaldos("serve", "--puerto", str(port), cwd=tmp_path, **addresses)
    assert (ran.code, ran.out) == (1, "")
    assert re.fullmatch(rf"✗ .*127\.0\.0\.1, puerto {port} .*--puerto.*\n", ran.err), ran.err


def test_an_address_of_another_machine_is_told_in_one_line(addresses: dict[str, str], tmp_path: Path) -> None:
    ran = respaldos("serve", "--host", "192.0.2.1", cwd=tmp_path, **addresses)
    assert (ran.code, ran.out) == (1, "")
    assert re.fullmatch(r"✗ .*192\.0\.2\.1.*--host.*\n", ran.err), ran.err


async def test_somebody_who_watches_does_not_keep_it_from_stopping(
    addresses: dict[str, str], conn: asyncpg.Connection, tmp_path: Path
) -> None:
    settings = addresses | {"JWT_SECRET": secrets.token_hex(32), "FORWARDED_ALLOW_IPS": "127.0.0.1"}
    token = respaldos("token", "--clinica", str(LARGE), cwd=tmp_path, **settings).out.strip()
    await conn.execute(
        "INSERT INTO respaldos.respaldo (clinica_id, tipo_respaldo, estado) VALUES ($1, 'por_demanda', 'procesando')",
        LARGE,
    )
    port = free_port()
    async with killed_at_the_end(await start("serve", "--puerto", str(port), cwd=tmp_path, **settings)) as process:
        assert f"http://127.0.0.1:{port}" in await shown(process, "Ctrl-C lo detiene")
        header = {"Authorization": f"Bearer {token}"}
        async with httpx.AsyncClient(headers=header, timeout=60, trust_env=False) as client:
            stream = client.stream("GET", f"http://127.0.0.1:{port}/api/v1/respaldos/1/progreso/")
            with suppress(httpx.RemoteProtocolError):  # cut off in its middle
                async with stream as answer:
                    assert answer.status_code == 200
                    async for line in answer.aiter_lines():
                        if line.startswith("event: progreso"):
                            process.terminate()
        ran = await ended(process)
    assert (ran.code, ran.out, ran.err) == (0, "Detenido\n", "")


# worker


async def gone(process: psutil.Process) -> None:
    """Return when it has ended."""

    async def ended() -> bool:
        # A zombie is what process 1 makes of one that it adopted, where it does not care for orphans.
        try:
            return not process.is_running() or process.status() == psutil.STATUS_ZOMBIE
        except psutil.NoSuchProcess:
            return True

    await eventually(ended)


async def process_of(worker: asyncio.subprocess.Process) -> psutil.Process:
    """The process that does its work."""

    def found() -> list[psutil.Process]:
        # Until it runs the module, a new process looks like its parent; one that has just ended has no command line.
        children = []
        for child in psutil.Process(worker.pid).children():
            with suppress(psutil.NoSuchProcess):
                if child.cmdline()[-2:] == ["-m", WORKER_MODULE]:
                    children.append(child)
        return children

    async def there() -> bool:
        return bool(found())

    await eventually(there)
    (only,) = found()
    return only


async def working(slowly: Slowly, conn: asyncpg.Connection) -> None:
    """Return when a pending backup of the large clinic is being sent."""

    async def reached() -> bool:
        return slowly.s3.forwarded[Direction.TO_SERVER] > 1_000_000

    await eventually(reached)
    assert await conn.fetchval("SELECT estado FROM respaldos.respaldo WHERE clinica_id = $1", LARGE) == "procesando"


@pytest.mark.parametrize("signals", [(signal.SIGTERM,), (signal.SIGINT, signal.SIGTERM, signal.SIGINT)], ids=str)
async def test_a_worker_that_is_stopped_gives_its_backup_back(
    slowly: Slowly,
    conn: asyncpg.Connection,
    store: Store,
    tmp_path: Path,
    signals: tuple[signal.Signals, ...],
) -> None:
    asked = "INSERT INTO respaldos.respaldo (clinica_id, tipo_respaldo) VALUES ($1, 'por_demanda') RETURNING id"
    await add_job(conn, await conn.fetchval(asked, LARGE))
    # Nobody else's turn comes: their nights are not what this is about.
    await conn.execute(
        "INSERT INTO respaldos.programacion (clinica_id, dia, previsto, intentos) SELECT whose.id, day::date, day, 1"
        " FROM (SELECT id FROM clinica UNION ALL SELECT NULL) AS whose,"
        " generate_series(now() - interval '2 days', now() + interval '1 day', '1 day') AS day"
    )
    with running_redis(tmp_path) as redis:
        command = await start("worker", cwd=tmp_path, **slowly.settings, REDIS_URL=redis.url)
        async with killed_at_the_end(command) as worker:
            process = await process_of(worker)
            await working(slowly, conn)
            for number in signals:
                worker.send_signal(number)
            ran = await ended(worker)
    assert (ran.code, ran.out) == (0, "Detenido\n")
    assert not process.is_running()
    rows = await conn.fetch("SELECT clinica_id, estado, lease_until FROM respaldos.trabajo")
    assert [tuple(row) for row in rows] == [(LARGE, "pendiente", None)]
    assert await store.leftovers() == []


async def test_a_worker_whose_parent_is_killed_stops_too(addresses: dict[str, str], tmp_path: Path) -> None:
    with running_redis(tmp_path) as redis:
        command = await start("worker", cwd=tmp_path, **addresses, REDIS_URL=redis.url)
        async with killed_at_the_end(command) as worker:
            process = await process_of(worker)
            worker.kill()
            await worker.wait()
            await gone(process)


async def test_a_worker_whose_process_dies_starts_it_again(addresses: dict[str, str], tmp_path: Path) -> None:
    with running_redis(tmp_path) as redis:
        command = await start("worker", cwd=tmp_path, **addresses, REDIS_URL=redis.url)
        async with killed_at_the_end(command) as worker:
            before = await process_of(worker)
            before.kill()
            await gone(before)
            assert await process_of(worker) != before
            worker.terminate()
            ran = await ended(worker)
    assert (ran.code, ran.out) == (0, "Detenido\n")
    assert f"El proceso {WORKER_MODULE} terminó" in ran.err


async def test_a_worker_works_with_servers_of_its_own_that_a_file_names(database: str, tmp_path: Path) -> None:
    (tmp_path / ".env").write_text(
        f"EMBEDDED=redis,s3\nDATABASE_URL={plain_url(database)}\nJWT_SECRET={secrets.token_hex(32)}\n"
    )
    assert respaldos("configurar-s3", cwd=tmp_path).code == 0
    token = respaldos("token", "--clinica", str(SMALL), cwd=tmp_path).out.strip()
    port = free_port()
    async with (
        killed_at_the_end(await start("worker", cwd=tmp_path)) as worker,
        killed_at_the_end(await start("serve", "--puerto", str(port), cwd=tmp_path)) as service,
        httpx.AsyncClient(
            base_url=f"http://127.0.0.1:{port}", headers={"Authorization": f"Bearer {token}"}, trust_env=False
        ) as client,
    ):
        await shown(service, "Ctrl-C lo detiene")
        asked = await client.post("/api/v1/respaldos/crear_respaldo_manual/", json={})
        address = f"/api/v1/respaldos/{asked.json()['respaldo']['id']}/"

        async def completed() -> bool:
            return bool((await client.get(address)).json()["estado"] == "completado")

        await eventually(completed)
        worker.terminate()
        ran = await ended(worker)
        service.terminate()
        await ended(service)
    assert (ran.code, ran.out) == (0, "Detenido\n")
    assert "terminó" not in ran.err
    await nothing_left(tmp_path)


async def test_a_worker_that_cannot_start_is_told_with_its_reason(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("EMBEDDED=redis\n")
    async with killed_at_the_end(await start("worker", cwd=tmp_path)) as worker:
        assert worker.stderr is not None
        async with asyncio.timeout(90):
            while "veces seguidas" not in (line := (await worker.stderr.readline()).decode()):
                assert line, "it has ended"
        worker.terminate()
        ran = await ended(worker)
    assert re.search(r"El proceso workers\.\w+ terminó.* 3 veces seguidas.*: DATABASE_URL: falta\n", line), line
    assert (ran.code, ran.out) == (0, "Detenido\n")
    await nothing_left(tmp_path)


# demo

LAST_LINE = "Ctrl-C lo detiene todo."


@pytest.fixture(scope="session")
def demo_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where demos run, one after the other, with the same data."""
    return tmp_path_factory.mktemp("servicio")


def in_bash(lines: str, folder: Path) -> Ran:
    """Run them as they were printed, in one bash, as they are when they are pasted."""
    ran = subprocess.run(
        ["bash", "-e", "-o", "pipefail", "-c", lines], cwd=folder, env=environment(), capture_output=True, text=True
    )
    return Ran(ran.returncode, ran.stdout, ran.stderr)


async def test_the_curl_lines_of_the_demo_work_as_they_are_printed_until_it_is_killed(demo_folder: Path) -> None:
    async with killed_at_the_end(await start("demo", cwd=demo_folder)) as process:
        said = await shown(process, LAST_LINE)
        for role in ("superadmin", "Administrador", "Recepcionista", "Paciente"):
            assert role in said
        address = re.search(r"atiende en (http://127\.0\.0\.1:\d+)", said)
        assert address is not None
        assert httpx.get(f"{address[1]}/docs", trust_env=False).status_code == 200
        lines = said.partition("en este orden:\n")[2].removesuffix(f"{LAST_LINE}\n")
        ran = await asyncio.to_thread(in_bash, lines, demo_folder)
        assert ran.code == 0, ran
        assert "event: fin" in ran.out
        assert '"estado": "completado"' in ran.out
        assert '"estado":"completado"' in ran.out.partition("proximo_respaldo")[0].rpartition("verificacion")[2]
        assert ran.out.rstrip().endswith("204")
        assert re.search(r'"status":404.*\n404\n', ran.out)
        assert respaldos("verificar", "respaldo.json.gz", cwd=demo_folder).code == 0
        parts = psutil.Process(process.pid).children(recursive=True)
        assert parts
        process.kill()
        await process.wait()
        for part in parts:
            await gone(part)
        await nothing_left(demo_folder)


def test_ctrl_c_on_a_terminal_stops_the_demo_with_one_line(demo_folder: Path) -> None:
    elsewhere = {"CLINIC_DATABASE_URL": "postgresql://x:y@127.0.0.1:9/z", "REDIS_URL": "redis://127.0.0.1:9/0"}
    with ExitStack() as taken:
        with suppress(OSError):  # by somebody else, then
            taken.enter_context(socket.create_server(("127.0.0.1", 8000)))
        # A line end after the Ctrl-C, so that it is typed only once.
        ran = on_a_terminal("demo", cwd=demo_folder, typed=b"\x03\n", awaited=LAST_LINE.encode(), **elsewhere)
    assert ran.code == 0, ran
    after = ran.out.partition(LAST_LINE)[2].replace("^C", "").split("\r\n")
    assert [line for line in after if line] == ["Se detiene la demo; sus datos quedan para la próxima vez."]
    assert "http://127.0.0.1:8000" not in ran.out


async def test_a_demo_that_is_told_to_stop_before_it_is_ready_says_so(demo_folder: Path) -> None:
    async with killed_at_the_end(await start("demo", cwd=demo_folder)) as process:
        await shown(process, "Clínica 1")
        process.terminate()
        ran = await ended(process)
        await nothing_left(demo_folder)
    assert (ran.code, ran.err.splitlines()[-1]) == (130, "✗ se interrumpió la orden")
    assert "Traceback" not in ran.err
