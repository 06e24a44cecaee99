"""What the supervisor needs to know of a server that it keeps."""

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from app.demo.embedded.account import Account
from app.demo.embedded.folder import Record

# What a server inherits of our environment: its own variables (PG…, RCLONE_…) would change how it behaves.
INHERITED = ("PATH", "HOME", "TMPDIR", "TZ", "LD_LIBRARY_PATH")


@dataclass(frozen=True, slots=True)
class Launch:
    """How to start a server. Secrets go in `environment` or `stdin`: every user sees arguments."""

    arguments: list[str]
    environment: dict[str, str]
    stdin: bytes = b""


class Server(Protocol):
    """One kind of server. Its methods raise EmbeddedServerError, and OSError where the disk does."""

    @property
    def program(self) -> Path:
        """What its processes run, all of them in its data folder."""

    @property
    def account(self) -> Account | None:
        """Whom it runs as, None for our own user."""

    @property
    def start_seconds(self) -> float:
        """How long it may take to be ready, a recovery after a crash included."""

    @property
    def stop_signal(self) -> int:
        """What makes it end cleanly without waiting for its clients."""

    def new_record(self, port: int) -> Record:
        """Names and secrets for a first start."""

    def prepare(self, record: Record, *, new_secret: bool) -> None:
        """Make the data folder fit for a start. No process of this server lives meanwhile."""

    def launch(self, record: Record) -> Launch:
        """How to start it."""

    def ready(self, record: Record, pid: int) -> bool:
        """Whether it is this process, and no other, that serves clients with this record."""


def plain_environment() -> dict[str, str]:
    """The environment of a server, with messages in English, for whoever reads or searches its log."""
    return {name: os.environ[name] for name in INHERITED if name in os.environ} | {"LC_ALL": "C"}


@contextmanager
def unnamed_file(folder: Path, content: bytes, account: Account | None) -> Iterator[int]:
    """Descriptor of a file in the folder that has no name, and that only the account can open again."""
    with tempfile.TemporaryFile(dir=folder) as file:
        file.write(content)
        file.seek(0)
        if account:
            os.fchown(file.fileno(), account.uid, account.gid)
        yield file.fileno()
