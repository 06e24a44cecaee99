"""The real program, as a person runs it."""

import asyncio
import json
import os
import pty
import select
import signal
import sys
import tempfile
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from app.settings import Settings
from tests.support.forked import Forked, fork

PROGRAM = Path(sys.executable).with_name("respaldos")


@dataclass(frozen=True, slots=True)
class Ran:
    """How a command ended."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        """What it answered to other programs."""
        return json.loads(self.out)


def environment(**given: str) -> dict[str, str]:
    """This process's, without any setting of the service but the given ones."""
    inherited = {
        name: value
        for name, value in os.environ.items()
        # Those of the tests would be taken for misspelt ones of the service.
        if name.lower() not in Settings.model_fields and not name.startswith("RESPALDOS_")
    }
    return inherited | given


def respaldos(*arguments: str, cwd: Path, given: str = "", **settings: str) -> Ran:
    """Run a command to its end, without a terminal."""
    with tempfile.TemporaryDirectory() as name:
        typed, out, err = (Path(name) / stream for stream in ("stdin", "stdout", "stderr"))
        typed.write_text(given)
        process = fork(command, *arguments, env=environment(**settings), cwd=cwd, given=typed, out=out, err=err)
        return Ran(process.ended(90), out.read_text(), err.read_text())


@dataclass(frozen=True, slots=True)
class Running:
    """A command that runs; what it writes goes to files in `folder`."""

    process: Forked
    folder: Path

    @property
    def returncode(self) -> int | None:
        """How it ended; None while it runs."""
        return self.process.returncode

    def send_signal(self, number: int) -> None:
        """Send a signal, unless it has ended."""
        self.process.send_signal(number)

    async def ended(self) -> Ran:
        """How the command ended; killed where it does not within a minute."""
        code = await asyncio.to_thread(self.process.ended, 60)
        return Ran(code, (self.folder / "out").read_text(), (self.folder / "err").read_text())


def begin(*arguments: str, cwd: Path, **settings: str) -> Running:
    """Start a command for which it does not matter how a program starts: that takes longer than its work."""
    folder = Path(tempfile.mkdtemp(dir=cwd))
    process = fork(command, *arguments, env=environment(**settings), cwd=cwd, out=folder / "out", err=folder / "err")
    return Running(process, folder)


def command(*arguments: str) -> None:
    """Be the program."""
    from app.cli.main import run

    sys.argv = [str(PROGRAM), *arguments]
    run()


def _command_on(terminal: str, *arguments: str) -> None:
    """Be the program on that terminal, whose Ctrl-C is a signal to it."""
    os.setsid()
    # The first that it opens.
    descriptor = os.open(terminal, os.O_RDWR)
    for standard in (0, 1, 2):
        os.dup2(descriptor, standard)
    os.close(descriptor)
    # As Python opens them when it starts on one; those that it has are a file's.
    sys.stdin, sys.stdout, sys.stderr = open(0, closefd=False), open(1, "w", 1), open(2, "w", 1)  # noqa: SIM115
    command(*arguments)


def heed_ctrl_c() -> None:
    """For `preexec_fn`: what runs the tests may ignore SIGINT, as CI does, and what is ignored is inherited."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def on_a_terminal(*arguments: str, cwd: Path, typed: bytes = b"", awaited: bytes = b"", **settings: str) -> Ran:
    """Run a command on a terminal, and type when it shows what is awaited; `out` is all that was shown."""
    ours, theirs = pty.openpty()
    nothing, env = os.devnull, environment(TERM="xterm", **settings)
    process = fork(_command_on, os.ttyname(theirs), *arguments, env=env, cwd=cwd, out=nothing, err=nothing)
    held = [theirs]
    shown, answered = b"", False
    with suppress(OSError):  # the other end is closed
        while True:
            # input() writes the question in C and then reads in C, with no look at Python's signals between the
            # two, so a Ctrl-C that comes in between is noticed only when something else ends the read. strace
            # with `inject=write:delay_exit` shows it on 3.11 and 3.12: write(2), SIGINT, rt_sigreturn, and then a
            # read(0) that only the next SIGINT ends. It is a matter of microseconds (1 of 300 that were typed as
            # soon as the question was there), which no person meets; the test types again, as a person would.
            silent = not select.select([ours], [], [], 0.5)[0]
            if held and (not silent or process.returncode is not None):
                # From now on, the command alone has it.
                os.close(held.pop())
            if not silent:
                if not (piece := os.read(ours, 4096)):
                    break
                shown += piece
            if awaited and awaited in shown and (not answered or (silent and typed == b"\x03")):
                os.write(ours, typed)
                answered = True
    os.close(ours)
    return Ran(process.ended(60), shown.decode(), "")


async def start(*arguments: str, cwd: Path, **settings: str) -> asyncio.subprocess.Process:
    """A command that runs; `ended` waits for it."""
    return await asyncio.create_subprocess_exec(
        *(str(PROGRAM), *arguments),
        cwd=cwd,
        env=environment(**settings),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        preexec_fn=heed_ctrl_c,
    )


async def ended(process: asyncio.subprocess.Process) -> Ran:
    """How the command ended; killed where it does not within a minute."""
    try:
        async with asyncio.timeout(60):
            out, err = await process.communicate()
    except TimeoutError:
        process.kill()
        raise
    return Ran(process.returncode or 0, out.decode(), err.decode())
