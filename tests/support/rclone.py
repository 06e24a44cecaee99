"""rclone over a folder that a test can look into, with the options that the embedded store has."""

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

KEY, SECRET = "AKIDTESTS", "a-secret-for-tests"


@dataclass(frozen=True, slots=True)
class Rclone:
    """A running store; its buckets are the subfolders of `folder`."""

    folder: Path
    port: int
    pid: int

    def look_again(self) -> None:
        """Make it forget what it remembers of its folders, a moment later."""
        os.kill(self.pid, signal.SIGHUP)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"


@contextmanager
def rclone(folder: Path, *, wrapper: tuple[str, ...] = ()) -> Iterator[Rclone]:
    """Serve `folder` on a free port; `wrapper` is a command that starts another one, such as prlimit."""
    folder.mkdir(exist_ok=True)
    program = str(Path(sys.executable).with_name("rclone"))
    options = ["--config", "/dev/null", "--buffer-size", "0", "--addr", "127.0.0.1:0"]
    log = folder.with_name(f"{folder.name}.log")
    with log.open("wb") as stderr:
        process = subprocess.Popen(
            [*wrapper, program, "serve", "s3", *options, "--auth-key", f"{KEY},{SECRET}", str(folder)],
            stderr=stderr,
        )
    try:
        yield Rclone(folder, _port(log, process), process.pid)
    finally:
        process.terminate()
        process.wait(10)


def _port(log: Path, process: "subprocess.Popen[bytes]") -> int:
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline and process.poll() is None:
        if found := re.search(r"server on \[http://127\.0\.0\.1:(\d+)/\]", log.read_text()):
            return int(found[1])
        time.sleep(0.01)
    raise RuntimeError(f"rclone did not start: {log.read_text()}")
