"""Redis as an embedded server."""

import os
import signal
import socket
from dataclasses import dataclass
from pathlib import Path

from app.demo.embedded.account import Account
from app.demo.embedded.folder import Record, ServerFolder
from app.demo.embedded.server import Launch, plain_environment


@dataclass(frozen=True, slots=True)
class Redis:
    """Append-only file, written to disk every second: a power cut costs at most the last one."""

    folder: ServerFolder
    program: Path
    account: Account | None = None
    # A large append-only file is read first.
    start_seconds: float = 120
    stop_signal: int = signal.SIGTERM

    def new_record(self, port: int) -> Record:
        return Record(port, "default", os.urandom(24).hex(), "")

    def prepare(self, record: Record, *, new_secret: bool) -> None:  # noqa: ARG002 — it reads both at each start
        self.folder.data.mkdir(mode=0o700, exist_ok=True)

    def launch(self, record: Record) -> Launch:
        configuration = (
            f"bind 127.0.0.1\nport {record.port}\nrequirepass {record.secret}\n"
            'daemonize no\nlogfile ""\nsave ""\nappendonly yes\n'
        )
        return Launch([str(self.program), "-"], plain_environment(), configuration.encode())

    def ready(self, record: Record, pid: int) -> bool:  # noqa: ARG002 — no other knows the password
        try:
            with socket.create_connection(("127.0.0.1", record.port), timeout=1) as connection:
                connection.sendall(f"AUTH {record.secret}\r\nPING\r\n".encode())
                answer = b""
                while answer.count(b"\r\n") < 2 and (part := connection.recv(256)):
                    answer += part
        except OSError:
            return False
        return answer == b"+OK\r\n+PONG\r\n"
