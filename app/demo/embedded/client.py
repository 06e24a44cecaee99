"""A user's side of an embedded server: to count as a user, have a supervisor started, and learn the address."""

import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Literal, Self

from app.demo.embedded.folder import SHARED, TITLES, Record, ServerFolder, disk_error, try_lock
from app.demo.embedded.programs import postgres_bin, rclone, redis_server, require_psutil
from app.errors import EmbeddedServerError

# How many supervisors may end without giving a reason before we give up.
SUPERVISOR_TRIES = 3
PACKAGE_ROOT = Path(__file__).parents[3]


class ServerClient:
    """One user of one server, while its context lasts. Not for several threads at once.

    Every error is an EmbeddedServerError that names the server and its folder.
    """

    def __init__(self, name: str, path: Path, postgres_version: Literal[16, 18]) -> None:
        self.name = name
        self.title = TITLES[name]
        self._folder = ServerFolder(path)
        self._postgres_version = postgres_version
        self._users = -1
        self._counted = False
        self._waited = False
        self._supervisors: list[subprocess.Popen[bytes]] = []

    def __enter__(self) -> Self:
        path = self._folder.path
        with self._disk_errors():
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            path.mkdir(mode=0o700, exist_ok=True)
            if path.stat().st_uid != os.geteuid():
                raise EmbeddedServerError(
                    f"{self.title}: la carpeta {path} es de otro usuario; use su cuenta u otra RESPALDOS_HOME"
                )
            self._users = self._folder.open_users()
        return self

    def __exit__(self, *_: object) -> None:
        """Returns at once. Where the supervisor was killed, another one is started, to stop the server."""
        os.close(self._users)
        for supervisor in self._supervisors:
            supervisor.wait()
        with self._disk_errors(), suppress(FileNotFoundError):  # somebody removed the home
            lock = self._folder.take_supervisor()
            if lock is None:
                return
            try:
                server = self._folder.take_server()
                if server is None:
                    self._launch_supervisor(lock).wait()
                else:
                    os.close(server)
            finally:
                os.close(lock)

    def look(self) -> Record | None:
        """The record once the server is ready, else None. Has a supervisor started where there is none."""
        with self._disk_errors():
            # Not to be had while a supervisor stops the server, because its last user was gone.
            self._counted = self._counted or try_lock(self._users, SHARED)
            return self._look() if self._counted else None

    def _look(self) -> Record | None:
        lock = self._folder.take_supervisor()
        if lock is not None:
            try:
                self._start_supervisor(lock)
            finally:
                os.close(lock)
            return None
        self._waited = True
        state, record = self._folder.state(), self._folder.record()
        if not (record and state and state.ready and _exists(state.supervisor) and _accepts(record.port)):
            return None
        if self.name == "postgres" and record.version != str(self._postgres_version):
            raise EmbeddedServerError(
                f"{self.title}: en {self._folder.path} hay datos de la versión {record.version} y se pidió "
                f"la {self._postgres_version}; no se ha tocado nada"
            )
        return record

    @contextmanager
    def _disk_errors(self) -> Iterator[None]:
        try:
            yield
        except OSError as exc:
            raise EmbeddedServerError(
                f"{self.title}: no se puede usar la carpeta {self._folder.path} ({disk_error(exc)})"
            ) from exc

    def _start_supervisor(self, lock: int) -> None:
        state = self._folder.state()
        if self._waited and state and state.reason:
            raise EmbeddedServerError(state.reason)
        if len(self._supervisors) == SUPERVISOR_TRIES:
            room = os.statvfs(self._folder.path)
            raise EmbeddedServerError(
                f"{self.title}: su proceso guardián termina sin decir por qué; vea {self._folder.log}. "
                f"En el disco quedan {room.f_bavail * room.f_frsize >> 20} MB"
            )
        self._supervisors.append(self._launch_supervisor(lock))
        self._waited = True

    def _launch_supervisor(self, lock: int) -> subprocess.Popen[bytes]:
        """A supervisor that inherits the lock. The process returned ends at once, having forked it."""
        program, version = self._program()
        self._folder.clear_state()
        log = self._folder.open_log()
        try:
            return subprocess.Popen(  # noqa: S603 — ourselves
                [
                    *(sys.executable, "-P", "-m", "app.demo.embedded.supervisor"),
                    *(self.name, str(self._folder.path), str(program), version),
                ],
                cwd="/",
                env=os.environ | {"PYTHONPATH": _python_path()},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                pass_fds=(lock,),
                start_new_session=True,
            )
        finally:
            os.close(log)

    def _program(self) -> tuple[Path, str]:
        require_psutil()
        match self.name:
            case "postgres":
                return postgres_bin(self._postgres_version) / "postgres", str(self._postgres_version)
            case "redis":
                return redis_server(), ""
            case _:
                return rclone(), ""


def _exists(process: int) -> bool:
    """A supervisor that was killed leaves its last word behind."""
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    return True


def _accepts(port: int) -> bool:
    """A server may have died so recently that its supervisor has not said so yet."""
    try:
        socket.create_connection(("127.0.0.1", port), timeout=1).close()
    except OSError:
        return False
    return True


def _python_path() -> str:
    """The supervisor imports the package that we are, installed or not."""
    inherited = os.environ.get("PYTHONPATH")
    return f"{PACKAGE_ROOT}{os.pathsep}{inherited}" if inherited else str(PACKAGE_ROOT)
