"""The servers from wheels: kept, shared, mended and stopped, whatever happens to whom."""

import json
import os
import pwd
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit
from urllib.request import urlopen

import boto3  # type: ignore[import-untyped]
import psutil
import pytest
import redis
from botocore.config import Config

import app
from app.demo.embedded import Addresses, postgres_bin, programs, running
from app.errors import EmbeddedServerError
from app.settings import EmbeddedServer

POSTGRES = {EmbeddedServer.POSTGRES}
REDIS = {EmbeddedServer.REDIS}
S3 = {EmbeddedServer.S3}
TIMEOUT_SECONDS = 30

# A user in a process of its own, until its standard input ends.
USER = """
import json, sys
from dataclasses import asdict
from functools import partial
from pathlib import Path
from app.demo.embedded import running
with running(Path(sys.argv[1]), sys.argv[2].split(",")) as addresses:
    print(json.dumps(asdict(addresses)), flush=True)
    sys.stdin.read()
"""


def eventually(condition: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + TIMEOUT_SECONDS
    while not condition():
        assert time.monotonic() < deadline, f"not within {TIMEOUT_SECONDS} s: {what}"
        time.sleep(0.05)


def processes_of(home: Path) -> list[psutil.Process]:
    """Supervisors and servers of the home that live."""
    named = {int(lock.read_text() or 0) for lock in home.glob("*/server.lock")}
    return [process for process in psutil.process_iter() if _is_of(home, process, named) and not gone(process)]


def _is_of(home: Path, process: psutil.Process, named: set[int]) -> bool:
    try:
        arguments = process.cmdline()
        if process.pid in named and {Path(arguments[0]).name} & {"postgres", "redis-server", "rclone"}:
            return True
        return any(place.startswith(f"{home}/") for place in [*arguments, process.cwd()])
    except (IndexError, psutil.NoSuchProcess, psutil.AccessDenied):
        return False


def port_of(url: str | None) -> int:
    assert url is not None
    port = urlsplit(url).port
    assert port is not None
    return port


def ports_of(addresses: Addresses) -> dict[EmbeddedServer, int]:
    urls = (addresses.database_url, addresses.redis_url, addresses.s3_endpoint_url)
    return {name: port_of(url) for name, url in zip(EmbeddedServer, urls, strict=True) if url}


def server_number(home: Path, name: str) -> int:
    # Empty while a supervisor is about to write who it is now.
    return int((home / name / "server.lock").read_text() or 0)


def server(home: Path, name: str) -> psutil.Process:
    return psutil.Process(server_number(home, name))


def supervisor(home: Path, name: str) -> psutil.Process:
    process = server(home, name).parent()
    assert process is not None
    assert "app.demo.embedded.supervisor" in process.cmdline()
    return process


def listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def sql(addresses: Addresses, statement: str) -> str:
    assert addresses.database_url is not None
    url = addresses.database_url.replace("+asyncpg", "")
    done = subprocess.run(
        [postgres_bin() / "psql", "-XAtq", "-v", "ON_ERROR_STOP=1", url, "-c", statement],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def started(addresses: Addresses) -> str:
    return sql(addresses, "SELECT pg_postmaster_start_time()")


def answers(addresses: Addresses) -> bool:
    assert addresses.redis_url is not None
    with redis.Redis.from_url(addresses.redis_url) as client:
        try:
            return bool(client.ping())
        except redis.ConnectionError:
            return False


def gone(process: psutil.Process) -> bool:
    try:
        return not process.is_running() or process.status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


def end(process: psutil.Process) -> None:
    with suppress(psutil.NoSuchProcess):
        process.kill()
    eventually(partial(gone, process), "it is gone")


def stopping(addresses: Addresses, watcher: psutil.Process) -> bool:
    return gone(watcher) or not answers(addresses)


def back(home: Path, killed: Mapping[EmbeddedServer, psutil.Process], ports: Mapping[EmbeddedServer, int]) -> bool:
    """Whether each server that was killed has a successor on its port."""
    return all(
        server_number(home, name) not in (0, dead.pid) and listens(ports[name]) for name, dead in killed.items()
    )


@contextmanager
def left_quiet(home: Path) -> Iterator[Path]:
    """The home, whose servers must have stopped by themselves at the end."""
    yield home
    try:
        eventually(lambda: not processes_of(home), "nobody uses the servers, and they stop")
    finally:
        for process in processes_of(home):
            end(process)


@pytest.fixture
def home(tmp_path: Path) -> Iterator[Path]:
    """A home of the test's own."""
    with left_quiet(tmp_path / "casa de prueba") as home:
        yield home


@pytest.fixture(scope="module")
def busy_home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A home where all servers run already."""
    with left_quiet(tmp_path_factory.mktemp("busy") / "casa") as home, running(home):
        yield home


class User:
    """Another process that uses the servers."""

    def __init__(
        self, home: Path, servers: set[EmbeddedServer], python: str = sys.executable, **options: Any
    ) -> None:
        self.process = subprocess.Popen(
            [python, "-c", USER, str(home), ",".join(servers)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            **options,
        )

    def addresses(self) -> Addresses:
        assert self.process.stdout is not None
        return Addresses(**json.loads(self.process.stdout.readline()))


@contextmanager
def another_user(home: Path, servers: set[EmbeddedServer]) -> Iterator[User]:
    user = User(home, servers)
    try:
        yield user
    finally:
        user.process.communicate(timeout=TIMEOUT_SECONDS)


def test_data_and_addresses_are_kept_between_runs(home: Path) -> None:
    with running(home) as first:
        sql(first, "CREATE TABLE paciente AS SELECT 'Ñandú' AS nombre")
        assert first.redis_url
        with redis.Redis.from_url(first.redis_url) as client:
            client.set("clave", "valor")
        s3 = boto3.client(
            "s3",
            endpoint_url=first.s3_endpoint_url,
            aws_access_key_id=first.s3_access_key_id,
            aws_secret_access_key=first.s3_secret_access_key,
            region_name="us-east-1",
            config=Config(signature_version="s3v4", s3={"addressing_style": "path"}),
        )
        s3.create_bucket(Bucket="respaldos")
        s3.put_object(Bucket="respaldos", Key="a/b.gz", Body=b"contenido")
        link = s3.generate_presigned_url("get_object", Params={"Bucket": "respaldos", "Key": "a/b.gz"})
        s3.close()
    eventually(lambda: not processes_of(home), "the servers stop")

    with running(home) as second:
        assert second == first
        assert sql(second, "SELECT nombre FROM paciente") == "Ñandú"
        assert second.redis_url
        with redis.Redis.from_url(second.redis_url) as client:
            assert client.get("clave") == b"valor"
        with urlopen(link) as answer:  # noqa: S310 — our own link
            assert answer.read() == b"contenido"


def test_the_database_is_an_empty_clinicas_in_utf8_and_fsync_is_on(busy_home: Path) -> None:
    with running(busy_home, POSTGRES) as addresses:
        assert addresses.redis_url is None
        assert addresses.s3_endpoint_url is None
        seen = sql(
            addresses,
            "SELECT current_database(), pg_encoding_to_char(encoding), datcollate, rolsuper, "
            "current_setting('fsync'), current_setting('server_version_num')::int / 10000 "
            "FROM pg_database, pg_roles WHERE datname = current_database() AND rolname = current_user",
        )
        assert seen == "clinicas|UTF8|C|t|on|18"


def test_a_wrong_password_is_refused_everywhere(busy_home: Path) -> None:
    with running(busy_home) as addresses:
        url = f"postgresql://postgres:otra@127.0.0.1:{port_of(addresses.database_url)}/clinicas"
        done = subprocess.run([postgres_bin() / "psql", url, "-c", "SELECT 1"], capture_output=True, check=False)
        assert b"password authentication failed" in done.stderr
        with (
            redis.Redis(port=port_of(addresses.redis_url)) as client,
            pytest.raises(redis.AuthenticationError),
        ):
            client.ping()
        with socket.create_connection(("127.0.0.1", port_of(addresses.s3_endpoint_url))) as client:
            client.sendall(b"GET / HTTP/1.0\r\n\r\n")
            assert b"<Error>" in client.recv(4096)


def test_secrets_are_neither_printed_nor_on_a_command_line_nor_readable_by_others(busy_home: Path) -> None:
    with running(busy_home) as addresses:
        secrets = [json.loads(file.read_text())["secret"] for file in busy_home.glob("*/record.json")]
        assert len(secrets) == 3
        shown = repr(addresses) + "".join(" ".join(p.cmdline()) for p in processes_of(busy_home))
        assert not [secret for secret in secrets if secret in shown]
        assert {file.stat().st_mode & 0o777 for file in busy_home.glob("*/record.json")} == {0o600}


def test_nothing_listens_except_on_loopback(busy_home: Path) -> None:
    with running(busy_home) as addresses:
        ours = {process.pid for process in processes_of(busy_home)}
        ports = set(ports_of(addresses).values())
        listening = {
            connection.laddr
            for connection in psutil.net_connections("inet")
            if connection.status == psutil.CONN_LISTEN
            and (connection.pid in ours or list(connection.laddr)[1] in ports)
        }
        assert listening == {("127.0.0.1", port) for port in ports}


def test_another_process_shares_the_servers_and_the_last_to_leave_stops_them(home: Path) -> None:
    with another_user(home, POSTGRES) as user:
        theirs = user.addresses()
        with running(home, POSTGRES) as ours:
            assert ours == theirs
            since = started(ours)
            user.process.kill()
            user.process.wait()
            with running(home, POSTGRES) as again:
                assert started(again) == since
        eventually(lambda: not processes_of(home), "the servers stop")


def test_joining_running_servers_takes_milliseconds(busy_home: Path) -> None:
    times = []
    for _ in range(5):
        start = time.perf_counter()
        with running(busy_home):
            times.append(time.perf_counter() - start)
    assert min(times) < 0.01


def test_servers_stop_when_their_last_user_is_killed(home: Path) -> None:
    with another_user(home, set(EmbeddedServer)) as user:
        user.addresses()
        user.process.kill()
        eventually(lambda: not processes_of(home), "the servers stop")


def test_who_comes_while_they_stop_waits_and_starts_them_again(home: Path) -> None:
    for _ in range(4):
        with running(home, REDIS) as addresses:
            assert answers(addresses)
            watcher = supervisor(home, "redis")
        eventually(partial(stopping, addresses, watcher), "it begins to stop")


def test_threads_and_processes_that_start_together_share_one_server(home: Path) -> None:
    together = threading.Barrier(4)

    def use(_: int) -> tuple[Addresses, str]:
        together.wait(TIMEOUT_SECONDS)
        with running(home, POSTGRES) as addresses:
            since = started(addresses)
            together.wait(TIMEOUT_SECONDS)
            return addresses, since

    with ExitStack() as stack:
        users = [stack.enter_context(another_user(home, POSTGRES)) for _ in range(3)]
        with ThreadPoolExecutor(4) as threads:
            seen = set(threads.map(use, range(4)))
        assert {user.addresses() for user in users} == {addresses for addresses, _ in seen}
        assert len(seen) == 1


def test_a_server_that_is_killed_comes_back_with_its_data_on_its_port(home: Path) -> None:
    with ExitStack() as stack, running(home) as addresses:
        sql(addresses, "CREATE TABLE pago AS SELECT 1 AS codigo")
        # A backend that computes does not notice that its postmaster is gone, and keeps its shared memory.
        url = str(addresses.database_url).replace("+asyncpg", "")
        busy = stack.enter_context(
            subprocess.Popen(
                [postgres_bin() / "psql", url, "-c", "DO 'BEGIN LOOP END LOOP; END'"], stderr=subprocess.DEVNULL
            )
        )
        computing = "SELECT count(*) FROM pg_stat_activity WHERE query LIKE 'DO %' AND state = 'active'"
        eventually(lambda: sql(addresses, computing) == "1", "the query runs")
        killed = {name: server(home, name) for name in EmbeddedServer}
        for process in killed.values():
            process.kill()
        with running(home) as mended:
            assert mended == addresses
            eventually(partial(back, home, killed, ports_of(addresses)), "all are back")
        with running(home) as ready:
            assert sql(ready, "SELECT codigo FROM pago") == "1"
        assert busy.wait(TIMEOUT_SECONDS) != 0


def test_a_killed_supervisor_is_replaced_without_an_interruption(home: Path) -> None:
    with running(home, POSTGRES) as addresses:
        since = started(addresses)
        end(supervisor(home, "postgres"))
        with running(home, POSTGRES) as again:
            assert again == addresses
            assert started(again) == since


def test_servers_of_a_killed_supervisor_stop_with_their_last_user(home: Path) -> None:
    with running(home):
        for name in EmbeddedServer:
            end(supervisor(home, name))
    eventually(lambda: not processes_of(home), "the servers stop")


def test_all_killed_at_once_is_mended_at_the_next_start(home: Path) -> None:
    with running(home, POSTGRES) as addresses:
        sql(addresses, "CREATE TABLE pago AS SELECT 1 AS codigo")
        for process in processes_of(home):
            end(process)
    with running(home, POSTGRES) as again:
        assert again == addresses
        assert sql(again, "SELECT codigo FROM pago") == "1"


def test_a_stale_pid_file_that_names_a_living_stranger_is_not_fatal_to_either(home: Path) -> None:
    with running(home, POSTGRES):
        account = server(home, "postgres").uids().real
        for process in processes_of(home):
            end(process)
    eventually(lambda: not processes_of(home), "the servers stop")
    stranger = subprocess.Popen(["sleep", "60"], user=account if os.geteuid() == 0 else None)
    try:
        pid_file = home / "postgres/data/postmaster.pid"
        lines = pid_file.read_text().splitlines()
        pid_file.write_text("\n".join([str(stranger.pid), *lines[1:]]) + "\n")
        with running(home, POSTGRES) as again:
            assert sql(again, "SELECT 1") == "1"
        assert stranger.poll() is None
    finally:
        stranger.kill()
        stranger.wait()


def test_a_postgres_that_somebody_started_by_hand_is_left_alone(home: Path) -> None:
    with running(home, POSTGRES) as addresses:
        by_hand = server(home, "postgres")
        command, account = by_hand.cmdline(), by_hand.uids().real
    eventually(lambda: not processes_of(home), "the servers stop")
    other = subprocess.Popen(
        command,
        cwd=home / "postgres/data",
        user=account if os.geteuid() == 0 else None,
        stderr=subprocess.DEVNULL,
    )
    try:
        eventually(partial(listens, port_of(addresses.database_url)), "it listens")
        message = f"otro servidor, el proceso {other.pid}"
        with pytest.raises(EmbeddedServerError, match=message), running(home, POSTGRES):
            pass
        assert other.poll() is None
    finally:
        other.send_signal(signal.SIGINT)
        other.wait(TIMEOUT_SECONDS)


def test_where_its_port_is_taken_a_server_gets_another_and_keeps_it(home: Path) -> None:
    with running(home) as before:
        pass
    eventually(lambda: not processes_of(home), "the servers stop")
    with ExitStack() as stack:
        for url in (before.database_url, before.redis_url, before.s3_endpoint_url):
            taken = stack.enter_context(socket.socket())
            taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            taken.bind(("127.0.0.1", port_of(url)))
            taken.listen()
        with running(home) as moved:
            for field in ("database_url", "redis_url", "s3_endpoint_url"):
                assert port_of(getattr(moved, field)) != port_of(getattr(before, field))
            assert sql(moved, "SELECT 1") == "1"
            assert answers(moved)
    eventually(lambda: not processes_of(home), "the servers stop")
    with running(home) as later:
        assert later == moved


def test_data_half_made_by_a_killed_start_are_made_anew(home: Path) -> None:
    with another_user(home, POSTGRES) as user:
        eventually(lambda: any(home.glob("postgres/data-new-*/global")), "the data are being made")
        user.process.kill()
        for process in processes_of(home):
            end(process)
    assert not (home / "postgres/data").exists()
    with running(home, POSTGRES) as addresses:
        assert sql(addresses, "SELECT 1") == "1"
        assert not list(home.glob("postgres/data-new-*"))


def test_a_lost_record_costs_the_address_and_not_the_data(home: Path) -> None:
    with running(home, POSTGRES) as addresses:
        sql(addresses, "CREATE TABLE pago AS SELECT 1 AS codigo")
    eventually(lambda: not processes_of(home), "the servers stop")
    (home / "postgres/record.json").unlink()
    with running(home, POSTGRES) as again:
        assert again != addresses
        assert sql(again, "SELECT codigo FROM pago") == "1"


def test_data_of_another_major_version_are_refused_and_not_touched(home: Path) -> None:
    with running(home, POSTGRES, postgres_version=16) as addresses:
        assert sql(addresses, "SHOW server_version").startswith("16.")
        with pytest.raises(EmbeddedServerError, match="versión 16 y se pidió la 18"), running(home, POSTGRES):
            pass
    eventually(lambda: not processes_of(home), "the servers stop")
    with pytest.raises(EmbeddedServerError, match="versión 16 y se pidió la 18"), running(home, POSTGRES):
        pass
    with running(home, POSTGRES, postgres_version=16) as again:
        assert again == addresses


def test_a_server_that_cannot_start_says_why(home: Path) -> None:
    with running(home, REDIS):
        pass
    eventually(lambda: not processes_of(home), "the servers stop")
    (home / "redis/data/appendonly.aof").write_bytes(b"this is not an append-only file\r\n" * 9)

    def attempt(_: int) -> str:
        with pytest.raises(EmbeddedServerError) as raised, running(home, REDIS):
            pass
        return str(raised.value)

    with ThreadPoolExecutor(3) as threads:
        for message in threads.map(attempt, range(3)):
            assert message.startswith("Redis: terminó al arrancar")
            assert str(home / "redis/log") in message
            assert "Bad file format reading the append only file" in message


def test_a_server_that_dies_again_and_again_is_given_up(home: Path) -> None:
    with running(home, REDIS) as addresses:
        for _ in range(3):
            killed = {EmbeddedServer.REDIS: server(home, "redis")}
            killed[EmbeddedServer.REDIS].kill()
            eventually(partial(back, home, killed, ports_of(addresses)), "it is back")
            with running(home, REDIS) as same:
                assert same == addresses
        watcher = supervisor(home, "redis")
        server(home, "redis").kill()
        eventually(lambda: gone(watcher), "it gives up")
        assert "terminó 4 veces" in json.loads((home / "redis/state.json").read_text())["reason"]
        with running(home, REDIS) as again:
            assert answers(again)


@pytest.mark.parametrize("name", ["postgres", "redis", "s3"])
def test_a_missing_wheel_is_an_error_that_says_what_to_install(
    home: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setattr(programs, "POSTGRES_WHEEL", "no_such_wheel")
    monkeypatch.setattr(programs, "REDIS_WHEEL", "no_such_wheel")
    monkeypatch.setattr(programs, "S3_WHEEL", "no-such-wheel")
    monkeypatch.setenv("PATH", str(home))
    missing = pytest.raises(EmbeddedServerError, match=r"respaldos\[embedded\]")
    with missing, running(home, {EmbeddedServer(name)}):
        pass


def test_the_redis_of_the_system_serves_where_there_is_no_wheel(
    home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copy2(programs.redis_server(), tmp_path / "redis-server")
    monkeypatch.setattr(programs, "REDIS_WHEEL", "no_such_wheel")
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    with running(home, REDIS):
        assert Path(server(home, "redis").cmdline()[0]) == tmp_path / "redis-server"


def test_a_home_that_cannot_be_one_is_an_error_that_names_it(home: Path) -> None:
    home.write_text("a file")
    with pytest.raises(EmbeddedServerError) as raised, running(home):
        pass
    assert str(home) in str(raised.value)
    assert "no es una carpeta" in str(raised.value)


def test_a_home_that_is_removed_while_in_use_does_not_break_the_leaving(home: Path) -> None:
    with running(home, REDIS):
        shutil.rmtree(home)


as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root starts servers as another user")


@as_root
def test_as_root_postgres_is_nobodys_in_a_home_that_nobody_can_reach(home: Path) -> None:
    above = [home, *home.parents]
    home.mkdir(mode=0o700)
    modes = [(folder.stat().st_mode, folder.stat().st_uid) for folder in above]
    with running(home, POSTGRES):
        assert server(home, "postgres").username() == "nobody"
        assert (home / "postgres/data/PG_VERSION").read_text() == "18\n"
        assert [(folder.stat().st_mode, folder.stat().st_uid) for folder in above] == modes


@as_root
def test_an_unprivileged_user_owns_everything_that_it_starts(tmp_path_factory: pytest.TempPathFactory) -> None:
    nobody = pwd.getpwnam("nobody")
    # Our own interpreter may lie below /root.
    python = shutil.which("python3", path="/usr/local/bin:/usr/bin:/bin")
    places = {str(Path(app.__file__).parents[1]), str(Path(psutil.__file__).parents[1])}
    identity: dict[str, Any] = {
        "user": nobody.pw_uid,
        "group": nobody.pw_gid,
        "extra_groups": [],
        "env": os.environ | {"PYTHONPATH": os.pathsep.join(places)},
        "cwd": "/",
    }
    attempt = [python or "", "-c", "import sys, psutil, app.demo.embedded; sys.exit(sys.version_info < (3, 11))"]
    if not python or subprocess.run(attempt, capture_output=True, check=False, **identity).returncode:
        pytest.skip("no Python 3.11 that an unprivileged user can run here")
    with tempfile.TemporaryDirectory() as folder, left_quiet(Path(folder) / "home") as home:
        os.chown(folder, nobody.pw_uid, nobody.pw_gid)
        for _ in range(2):
            user = User(home, set(EmbeddedServer), python, **identity)
            addresses = user.addresses()
            assert sql(addresses, "SELECT 1") == "1"
            assert answers(addresses)
            assert {process.username() for process in processes_of(home)} == {"nobody"}
            with pytest.raises(EmbeddedServerError, match="es de otro usuario"), running(home):
                pass
            user.process.kill()
            user.process.communicate()
            eventually(lambda: not processes_of(home), "the servers stop")


@as_root
def test_as_root_programs_that_nobody_can_reach_are_copied_where_it_can(
    home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    wheel = postgres_bin().parent.parent
    closed = tmp_path / "closed"
    closed.mkdir(mode=0o700)
    for folder in (wheel, wheel.with_name(f"{wheel.name}.libs")):
        shutil.copytree(
            folder, closed / folder.name, symlinks=True, ignore=shutil.ignore_patterns("pginstall", "include")
        )
    monkeypatch.syspath_prepend(closed)
    assert postgres_bin().is_relative_to(closed)
    copy = None
    try:
        with running(home, POSTGRES) as addresses:
            program = Path(server(home, "postgres").cmdline()[0])
            copy = next(folder for folder in program.parents if folder.parent == Path("/var/lib/respaldos"))
            assert sql(addresses, "SELECT 1") == "1"
            assert server(home, "postgres").username() == "nobody"
        assert closed.stat().st_mode & 0o777 == 0o700
    finally:
        if copy:
            shutil.rmtree(copy)
