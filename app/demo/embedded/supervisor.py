"""The process that starts an embedded server, watches it, starts it again and stops it: one for each server.

Run as `python -m app.demo.embedded.supervisor SERVER FOLDER PROGRAM VERSION`, with an inherited descriptor that holds
the supervisor's lock. It leaves its parent at once. What it writes to standard error goes to the server's log.
"""

import os
import random
import signal
import socket
import sys
import time
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from types import FrameType
from typing import NoReturn

import psutil

from app.demo.embedded.account import processes_at_work
from app.demo.embedded.folder import ALONE, TITLES, Record, ServerFolder, State, disk_error, try_lock
from app.demo.embedded.postgres import Postgres
from app.demo.embedded.redis import Redis
from app.demo.embedded.s3 import S3
from app.demo.embedded.server import Server, unnamed_file
from app.errors import EmbeddedServerError

# How often users are counted (seconds): about as long as a server outlives its last user.
COUNT_SECONDS = 0.2
# So many deaths within this time (seconds), and the server is given up. One now and then is mended for ever.
DEATHS = 4
DEATHS_SECONDS = 60
# A clean stop writes what is in memory. After this (seconds) the server is killed, which it survives.
STOP_SECONDS = 60
# What a server's children may take to notice that it is gone (seconds). PostgreSQL's do not while they compute.
ORPHAN_SECONDS = 2
# How often a server that starts is asked whether it is ready (seconds).
READY_SECONDS = 0.01
# Below those that kernels give to outgoing connections, so that ours is not taken while the server is down.
PORTS = range(20000, 32000)
# How often a port that was free may be taken before the server listens there.
PORT_TRIES = 3

END_SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)


@dataclass(frozen=True, slots=True)
class Supervisor:
    """Keeps one server. The process must hold the supervisor's lock."""

    title: str
    folder: ServerFolder
    server: Server

    def keep(self) -> None:
        """Returns when the last user is gone and the server has stopped.

        Raises EmbeddedServerError where the server does not start, dies too often, or cannot be stopped.
        """
        users = self.folder.open_users()
        deaths: list[float] = []
        process = self._adopt()
        if process is None and try_lock(users, ALONE):
            return  # we were started only to end what a killed supervisor had left
        process = process or self._start()
        try:
            self._say(ready=True)
            while not try_lock(users, ALONE):
                if _lives(process, COUNT_SECONDS):
                    continue
                now = time.monotonic()
                deaths = [*(death for death in deaths if now - death < DEATHS_SECONDS), now]
                if len(deaths) == DEATHS:
                    raise EmbeddedServerError(f"{self.title}: terminó {DEATHS} veces en menos de {DEATHS_SECONDS} s")
                self._say(ready=False)
                process = self._start()
                self._say(ready=True)
        finally:
            try:
                self.folder.clear_state()
            finally:
                self._stop(process)

    def give_up(self, reason: str, log_start: int) -> None:
        """Leave the reason, with what the log says since that offset, for those who wait for the server."""
        tail = self.folder.log_tail(log_start)
        quoted = f" Últimas líneas de {self.folder.log}:\n{tail}" if tail else ""
        message = f"{reason}. Carpeta: {self.folder.path}.{quoted}"
        self.folder.write_state(State(os.getpid(), ready=False, reason=message))

    def _say(self, *, ready: bool) -> None:
        self.folder.write_state(State(os.getpid(), ready=ready))

    def _adopt(self) -> psutil.Process | None:
        """The server that a killed supervisor left behind, if it works. One that does not is ended."""
        lock = self.folder.take_server()
        if lock is not None:
            os.close(lock)
            return None
        record = self.folder.record()
        number = self.folder.server_lock.read_text()
        left = next((process for process in self._processes() if str(process.pid) == number), None)
        if left and record and self._becomes_ready(record, left):
            return left
        self._stop(left)
        return None

    def _start(self) -> psutil.Process:
        for _ in range(PORT_TRIES):
            record, process = self._spawn()
            try:
                if self._becomes_ready(record, process):
                    return process
                seconds = self.server.start_seconds
                what = f"no estuvo listo en {seconds:.0f} s" if _lives(process, 0) else "terminó al arrancar"
            except BaseException:
                self._stop(process)
                raise
            self._stop(process)
            if _is_free(record.port):
                break
        raise EmbeddedServerError(f"{self.title}: {what}")

    def _spawn(self) -> tuple[Record, psutil.Process]:
        lock = self._take_server()
        try:
            known = self.folder.record()
            record = self.server.new_record(_free_port())
            if known:
                port = known.port if _is_free(known.port) else record.port
                record = replace(known, port=port, version=record.version)
            self.server.prepare(record, new_secret=known is None)
            if record != known:
                self.folder.write_record(record)
            launch, account = self.server.launch(record), self.server.account
            with unnamed_file(self.folder.path, launch.stdin, account) as stdin:
                process = psutil.Popen(
                    launch.arguments,
                    cwd=self.folder.data,
                    env=launch.environment,
                    stdin=stdin,
                    stdout=sys.stderr,
                    pass_fds=(lock,),
                    user=account.uid if account else None,
                    group=account.gid if account else None,
                    extra_groups=[] if account else None,
                )
            os.ftruncate(lock, 0)
            os.pwrite(lock, str(process.pid).encode(), 0)
            return record, process
        finally:
            os.close(lock)

    def _becomes_ready(self, record: Record, process: psutil.Process) -> bool:
        deadline = time.monotonic() + self.server.start_seconds
        while time.monotonic() < deadline and _lives(process, READY_SECONDS):
            if self.server.ready(record, process.pid):
                # Where the port was taken just now, it was another's server that answered.
                return _lives(process, 0)
        return False

    def _stop(self, process: psutil.Process | None) -> None:
        if process and _lives(process, 0):
            _send(process, self.server.stop_signal)
            if _lives(process, STOP_SECONDS):
                _send(process, signal.SIGKILL)
        os.close(self._take_server())

    def _take_server(self) -> int:
        """The server's lock, after ending what a dead server left running."""
        for attempt in range(2):
            deadline = time.monotonic() + ORPHAN_SECONDS
            while time.monotonic() < deadline:
                lock = self.folder.take_server()
                if lock is not None:
                    return lock
                time.sleep(READY_SECONDS)
            if not attempt:
                for process in self._processes():
                    _send(process, signal.SIGKILL)
        raise EmbeddedServerError(f"{self.title}: quedan procesos suyos que no terminan")

    def _processes(self) -> list[psutil.Process]:
        """The server and its children. Ask only while the server's lock is taken: then nobody else's are there."""
        return processes_at_work(self.server.program.name, self.folder.data, self.server.account)


def _lives(process: psutil.Process, seconds: float) -> bool:
    """Whether it still lives after that time; returns as soon as it does not."""
    deadline = time.monotonic() + seconds
    while True:
        try:
            process.wait(min(seconds, COUNT_SECONDS))
            return False
        except psutil.TimeoutExpired:
            if _is_dead(process):
                return False
        if time.monotonic() >= deadline:
            return True


def _send(process: psutil.Process, number: int) -> None:
    with suppress(psutil.NoSuchProcess):  # it ended by itself just now
        process.send_signal(number)


def _is_dead(process: psutil.Process) -> bool:
    try:
        # A zombie is what process 1 makes of one that we adopted, where it does not care for orphans.
        return not process.is_running() or process.status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


def _free_port() -> int:
    return next(port for port in random.sample(PORTS, len(PORTS)) if _is_free(port))


def _supervisor(name: str, folder: ServerFolder, program: Path, version: str) -> Supervisor:
    match name:
        case "postgres":
            return Supervisor(TITLES[name], folder, Postgres(folder, program, version))
        case "redis":
            return Supervisor(TITLES[name], folder, Redis(folder, program))
        case "s3":
            return Supervisor(TITLES[name], folder, S3(folder, program))
    raise ValueError(name)


def _end(number: int, frame: FrameType | None) -> NoReturn:  # noqa: ARG001 — a signal handler has these
    """Stop the server and end, however often we are told to."""
    for ignored in END_SIGNALS:
        signal.signal(ignored, signal.SIG_IGN)
    sys.exit()


def main() -> None:
    """Keep the server that the arguments name."""
    name, path, program, version = sys.argv[1:]
    if os.fork():
        os._exit(0)
    for number in END_SIGNALS:
        signal.signal(number, _end)
    folder = ServerFolder(Path(path))
    supervisor = _supervisor(name, folder, Path(program), version)
    log_start = folder.log.stat().st_size
    try:
        supervisor.keep()
    except EmbeddedServerError as exc:
        supervisor.give_up(str(exc), log_start)
    except OSError as exc:
        supervisor.give_up(f"{supervisor.title}: {disk_error(exc)}", log_start)


if __name__ == "__main__":
    main()
