"""A Redis of a test's own, to be killed, started again and emptied."""

import os
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import redis

from app.demo.embedded.programs import redis_server


class RedisServer:
    """A redis-server on 127.0.0.1 that keeps its data in a folder, always on the same port."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._process: subprocess.Popen[bytes] | None = None
        with socket.create_server(("127.0.0.1", 0)) as probe:
            self.port: int = probe.getsockname()[1]

    @property
    def url(self) -> str:
        """Its address for REDIS_URL."""
        return f"redis://127.0.0.1:{self.port}/0"

    def start(self) -> None:
        """Return when it answers, with what it held when it was killed."""
        self._process = subprocess.Popen(
            [
                *(redis_server(), "--bind", "127.0.0.1", "--port", str(self.port), "--dir", self._folder),
                *("--save", "", "--appendonly", "yes"),
            ],
            stdout=subprocess.DEVNULL,
        )
        deadline = time.monotonic() + 30
        while True:
            try:
                with self.client() as client:
                    client.ping()
                return
            except redis.ConnectionError:
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.01)

    def client(self) -> redis.Redis:
        """A connection to it, for the caller to close."""
        return redis.Redis(port=self.port)

    def jobs(self) -> int:
        """How many jobs it knows of, waiting or running."""
        with self.client() as client:
            return int(client.zcard("arq:queue"))

    def kill(self) -> None:
        """End it at once, as a crash does."""
        if self._process is not None:
            os.kill(self._process.pid, signal.SIGKILL)
            self._process.wait()
            self._process = None


@contextmanager
def running_redis(folder: Path) -> Iterator[RedisServer]:
    """A server that runs, and is killed at the end of the block."""
    server = RedisServer(folder)
    server.start()
    try:
        yield server
    finally:
        server.kill()
