"""S3 as an embedded server: rclone over a folder whose subfolders are the buckets."""

import os
import signal
from dataclasses import dataclass
from pathlib import Path

import psutil

from app.demo.embedded.account import Account
from app.demo.embedded.folder import Record, ServerFolder
from app.demo.embedded.server import Launch, plain_environment


@dataclass(frozen=True, slots=True)
class S3:
    """`rclone serve s3`. Metadata and content types are lost when it ends."""

    folder: ServerFolder
    program: Path
    account: Account | None = None
    start_seconds: float = 60
    stop_signal: int = signal.SIGTERM

    def new_record(self, port: int) -> Record:
        return Record(port, os.urandom(10).hex().upper(), os.urandom(20).hex(), "")

    def prepare(self, record: Record, *, new_secret: bool) -> None:  # noqa: ARG002 — it reads both at each start
        self.folder.data.mkdir(mode=0o700, exist_ok=True)

    def launch(self, record: Record) -> Launch:
        # With the default buffer 20 downloads cost 530 MB.
        options = ["--config", "/dev/null", "--buffer-size", "0", "--addr", f"127.0.0.1:{record.port}"]
        # A list in CSV: without the inner quotes it would be two halves of two keys.
        key = {"RCLONE_AUTH_KEY": f'"{record.user},{record.secret}"'}
        return Launch([str(self.program), "serve", "s3", *options, "."], plain_environment() | key)

    def ready(self, record: Record, pid: int) -> bool:
        """It listens when it can serve; what listens tells whose answers they are, which no answer does."""
        try:
            connections = psutil.Process(pid).net_connections("tcp4")
        except psutil.NoSuchProcess:
            return False
        return any(c.status == psutil.CONN_LISTEN and c.laddr.port == record.port for c in connections)
