"""Processes of the service that have imported it already: they are forked from one that has done nothing else.

Importing takes a second or two of a processor, and the tests start many hundreds of processes. What starts by itself,
from the shell's first byte on, is tested with `tests.support.program.start`.
"""

import asyncio
import os
import signal
import sys
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing import get_context
from multiprocessing.context import ForkServerProcess
from pathlib import Path
from typing import Any

_forking = get_context("forkserver")
_forking.set_forkserver_preload(["tests.support.preloaded"])


@dataclass(frozen=True, slots=True)
class Forked:
    """A process, with what of `subprocess.Popen` is asked for."""

    process: ForkServerProcess

    @property
    def pid(self) -> int:
        """Its number."""
        assert self.process.pid is not None
        return self.process.pid

    @property
    def returncode(self) -> int | None:
        """How it ended; None while it runs."""
        return self.process.exitcode

    def send_signal(self, number: int) -> None:
        """Send a signal, unless it has ended."""
        if self.returncode is None:
            # It may end just now.
            with suppress(ProcessLookupError):
                os.kill(self.pid, number)

    async def stop(self, seconds: float = 60) -> None:
        """Tell it to stop, if it has not ended; killed where it then does not, and TimeoutError raised."""
        self.send_signal(signal.SIGTERM)
        # Where a test failed that had frozen it.
        self.send_signal(signal.SIGCONT)
        await asyncio.to_thread(self.ended, seconds)

    def ended(self, seconds: float) -> int:
        """Its exit code; killed where it does not end in that time."""
        self.process.join(seconds)
        if self.returncode is None:
            self.process.kill()
            raise TimeoutError(f"{self.process} has not ended after {seconds} s")
        return self.returncode

    async def wait(self) -> int:
        """Its exit code, when it has ended."""
        while not await asyncio.to_thread(self._joined):
            pass
        assert self.returncode is not None
        return self.returncode

    def _joined(self) -> bool:
        # Not for longer: a test that is ended by its time limit leaves this thread behind.
        self.process.join(1)
        return self.returncode is not None


def fork(
    work: Callable[..., Any],
    *arguments: Any,
    env: dict[str, str],
    cwd: Path | None = None,
    given: str | Path = os.devnull,
    out: str | Path,
    err: str | Path,
) -> Forked:
    """Start `work` in a process of its own, with this environment, and these files as its standard streams."""
    process = _forking.Process(
        target=_enter, args=(work, arguments, env, str(cwd or Path.cwd()), str(given), str(out), str(err))
    )
    process.start()
    return Forked(process)


def _enter(
    work: Callable[..., Any], arguments: Sequence[Any], env: dict[str, str], cwd: str, given: str, out: str, err: str
) -> None:
    # As for a program that starts; pytest's processes ignore SIGINT.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    signal.signal(signal.SIGHUP, signal.SIG_DFL)
    os.chdir(cwd)
    os.environ.clear()
    os.environ.update(env)
    for descriptor, path, flags in (
        (0, given, os.O_RDONLY),
        (1, out, os.O_WRONLY | os.O_CREAT | os.O_APPEND),
        (2, err, os.O_WRONLY | os.O_CREAT | os.O_APPEND),
    ):
        opened = os.open(path, flags, 0o600)
        os.dup2(opened, descriptor)
        os.close(opened)
    # What multiprocessing gives a child is /dev/null.
    sys.stdin = open(0, closefd=False)  # noqa: SIM115 (for as long as the process lives)
    work(*arguments)
