"""What the users and the supervisor of one embedded server share: a folder with locks and two small files.

The kernel keeps the books: a lock belongs to an open file, which a process shares with the children that
inherit it, and it is gone when the last of them is, however they ended.

- `users.lock` is shared by everyone who uses the server; whoever gets it alone knows that nobody does.
- `keeper.lock` is held for the supervisor from before it is started until it has ended.
- `server.lock` is inherited by the server and all that it forks. It contains the server's process number.
"""

import errno
import fcntl
import json
import os
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

# The servers, as they are called in EMBEDDED and by people.
TITLES = {"postgres": "PostgreSQL", "redis": "Redis", "s3": "S3"}
# The database of an embedded PostgreSQL, and the role that owns everything in it. It is not called `respaldos`: a
# role's own name comes first in its search_path, and tables made in that schema are in no backup.
DATABASE = "clinicas"
ROLE = "postgres"

SHARED = fcntl.LOCK_SH
ALONE = fcntl.LOCK_EX

# How much of the log a message quotes.
LOG_TAIL_LINES = 6
LOG_TAIL_BYTES = 4096
# A log larger than this (bytes) is set aside when the next supervisor starts.
LOG_LIMIT = 5 << 20

DISK_ERRORS = {
    errno.EACCES: "no hay permiso",
    errno.EPERM: "no hay permiso",
    errno.EROFS: "el disco es de solo lectura",
    errno.ENOSPC: "no queda sitio en el disco",
    errno.EDQUOT: "no queda sitio en el disco para este usuario",
    errno.EEXIST: "no es una carpeta",
    errno.ENOTDIR: "no es una carpeta",
}


@dataclass(frozen=True, slots=True)
class Record:
    """What a client must know, kept between runs so that addresses and presigned URLs stay valid."""

    port: int
    user: str
    secret: str
    version: str


@dataclass(frozen=True, slots=True)
class State:
    """What the supervisor says: its process number, whether the server is ready, and why it gave up, if so."""

    supervisor: int
    ready: bool
    reason: str | None = None


@dataclass(frozen=True, slots=True)
class ServerFolder:
    """The folder of one server. Whatever touches the disk raises OSError as it comes."""

    path: Path

    @property
    def data(self) -> Path:
        return self.path / "data"

    @property
    def log(self) -> Path:
        return self.path / "log"

    @property
    def server_lock(self) -> Path:
        return self.path / "server.lock"

    def open_users(self) -> int:
        """Descriptor of the users' lock, not locked yet. The caller closes it."""
        return _open(self.path / "users.lock")

    def take_supervisor(self) -> int | None:
        """Descriptor that holds the supervisor's lock, or None while a supervisor lives. The caller closes it."""
        # The name is of older versions, whose supervisor may hold it.
        return _take(self.path / "keeper.lock")

    def take_server(self) -> int | None:
        """Descriptor that holds the server's lock, or None while a process of it lives. The caller closes it."""
        return _take(self.server_lock)

    def record(self) -> Record | None:
        """None before the first start, and where somebody deleted or damaged the file."""
        values = _read(self.path / "record.json")
        return Record(**values) if set(values) == {field.name for field in fields(Record)} else None

    def write_record(self, record: Record) -> None:
        """Returns when the disk has it, so that a power cut cannot leave data without its password."""
        _write(self.path / "record.json", asdict(record), durable=True)

    def state(self) -> State | None:
        """What the last supervisor said, None while it has said nothing. It may have been killed since."""
        values = _read(self.path / "state.json")
        return State(**values) if set(values) == {field.name for field in fields(State)} else None

    def write_state(self, state: State) -> None:
        """Replaces what the supervisor said before."""
        _write(self.path / "state.json", asdict(state), durable=False)

    def clear_state(self) -> None:
        """Forgets what a supervisor said that is gone."""
        (self.path / "state.json").unlink(missing_ok=True)

    def open_log(self) -> int:
        """Descriptor that appends to the log. The caller closes it."""
        if self.log.exists() and self.log.stat().st_size > LOG_LIMIT:
            self.log.replace(self.path / "log.1")
        return os.open(self.log, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)

    def log_tail(self, start: int) -> str:
        """The last lines of what the log says from that offset on."""
        with self.log.open("rb") as log:
            log.seek(max(start, self.log.stat().st_size - LOG_TAIL_BYTES))
            lines = log.read().decode(errors="replace").splitlines()
        return "\n".join([line for line in lines if line.strip()][-LOG_TAIL_LINES:])


def disk_error(exc: OSError) -> str:
    """What went wrong, for people."""
    meaning = DISK_ERRORS.get(exc.errno or 0) or exc.strerror or str(exc)
    return f"{exc.filename}: {meaning}" if exc.filename else meaning


def try_lock(descriptor: int, how: int) -> bool:
    """Lock without waiting; False where somebody else's lock is in the way."""
    try:
        fcntl.flock(descriptor, how | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _open(path: Path) -> int:
    return os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)


def _take(path: Path) -> int | None:
    descriptor = _open(path)
    if try_lock(descriptor, ALONE):
        return descriptor
    os.close(descriptor)
    return None


def _read(path: Path) -> dict[str, Any]:
    try:
        values = json.loads(path.read_bytes())
    except (FileNotFoundError, ValueError):
        return {}
    return values if isinstance(values, dict) else {}


def _write(path: Path, values: dict[str, Any], *, durable: bool) -> None:
    fresh = path.with_suffix(".new")
    with open(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600), "w") as file:
        json.dump(values, file)
        if durable:
            file.flush()
            os.fsync(file.fileno())
    fresh.replace(path)
    if durable:
        sync_folder(path.parent)


def sync_folder(path: Path) -> None:
    """Make the disk remember a rename in the folder."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
