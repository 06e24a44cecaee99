"""Keeps a worker's process running: it is started again whenever it ends."""

import asyncio
import contextlib
import ctypes
import logging
import os
import re
import signal
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO, NoReturn

import click

from app.connections.redis import redis_url
from app.errors import LocalFileError
from app.logs import configure_logging
from app.respaldos.cancellation import uninterrupted
from app.settings import Settings

# A worker that cannot start at all should not spin (seconds).
FIRST_PAUSE, LONGEST_PAUSE = 1.0, 30.0

# A worker that has run this long is healthy, so the next pause is short again (seconds).
HEALTHY_AFTER_SECONDS = 60.0

# Long enough for a backup under way to clean up after itself (seconds).
STOP_SECONDS = 30.0

WORKER_LOG = "worker.log"

# A worker that ends this often in a row before HEALTHY_AFTER_SECONDS: why is said then. A restart or two are how it
# gets over an accident.
QUICK_ENDS = 3

# Of what it says, as much as holds its last line (bytes).
LAST_WORDS = 4096

# What it has said is there when it has ended, unless another process holds its pipe open (seconds).
LAST_WORDS_SECONDS = 2.0

# A process of its own, so that whatever ends it, it is started again.
WORKER_MODULE = "workers.worker"

# From <linux/prctl.h>.
PR_SET_PDEATHSIG = 1

logger = logging.getLogger(__name__)


async def keep_working(settings: Settings, folder: Path | None = None) -> NoReturn:
    """Run a worker until cancelled, again whenever it ends.

    It reads the settings itself. With `folder` it runs there and is given nothing but the home, so that it reads no
    .env of this process; what it says goes to WORKER_LOG in it.
    Raises QueueUnavailable without REDIS_URL, LocalFileError where the log cannot be written.
    """
    redis_url(settings)
    if folder is None:
        configure_logging(settings.log_format, settings.time_zone)
    environment = dict(os.environ) if folder is None else _only_home(settings)
    with _log(folder) as log:
        await _keep_running(environment, folder, log)


@contextlib.contextmanager
def _log(folder: Path | None) -> Iterator[IO[bytes] | None]:
    if folder is None:
        yield None
        return
    try:
        log = (folder / WORKER_LOG).open("ab")
    except OSError as exc:
        raise LocalFileError(f"no se puede escribir en «{folder / WORKER_LOG}»: {exc.strerror}") from exc
    with log:
        yield log


async def _keep_running(environment: dict[str, str], folder: Path | None, log: IO[bytes] | None) -> NoReturn:
    pause, quick_ends = FIRST_PAUSE, 0
    while True:
        started = time.monotonic()
        last_line = await _run_worker(environment, folder, log)
        quick_ends += 1
        if time.monotonic() - started > HEALTHY_AFTER_SECONDS:
            pause, quick_ends = FIRST_PAUSE, 0
        said = f"El proceso {WORKER_MODULE} terminó; empieza de nuevo en {pause:g} s"
        if quick_ends >= QUICK_ENDS:
            said += f". Van {quick_ends} veces seguidas que dura menos de {HEALTHY_AFTER_SECONDS:g} s;"
            said += f" lo último que dijo: {last_line}"
        if log is None:
            logger.warning("%s", said)
        else:
            click.echo(said.encode(), file=log)
        await asyncio.sleep(pause)
        pause = min(2 * pause, LONGEST_PAUSE)


async def _run_worker(environment: dict[str, str], folder: Path | None, log: IO[bytes] | None) -> str:
    """Run a worker's process to its end; return the last line of what it said of errors."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", WORKER_MODULE),
        env=environment,
        cwd=folder,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=log,
        stderr=asyncio.subprocess.PIPE,
        # A Ctrl-C is for us, who pass it on in our own way.
        start_new_session=True,
        preexec_fn=_ending_with(os.getpid()),
    )
    passing_on = asyncio.create_task(_pass_on(process.stderr, log))
    try:
        await process.wait()
    finally:
        last_words = await uninterrupted(_last_words(process, passing_on))
    lines = last_words.decode(errors="replace").strip().splitlines()
    # The name of a class of ours, before what it says, is for nobody who reads this.
    return re.sub(r"^app\.errors\.\w+: ", "", lines[-1]) if lines else "nada"


async def _pass_on(said: asyncio.StreamReader | None, log: IO[bytes] | None) -> bytes:
    """Write to our own standard error, or to the log, what the worker says as it says it; return the end of it."""
    last_words = b""
    while said is not None and (piece := await said.read(LAST_WORDS)):
        # Nobody reads it any more, or the disk is full: that must not keep it from working.
        with contextlib.suppress(OSError):
            click.echo(piece, nl=False, file=log, err=True)
        last_words = (last_words + piece)[-LAST_WORDS:]
    return last_words


async def _last_words(process: asyncio.subprocess.Process, passing_on: asyncio.Task[bytes]) -> bytes:
    """Have the process end; return the end of what it said."""
    await _stop(process)
    try:
        return await asyncio.wait_for(passing_on, LAST_WORDS_SECONDS)
    except TimeoutError:
        return b""


async def _stop(process: asyncio.subprocess.Process) -> None:
    """Have the process end: a backup under way goes back to pendiente and leaves nothing in S3."""
    if process.returncode is not None:
        return
    process.terminate()
    try:
        await asyncio.wait_for(process.wait(), STOP_SECONDS)
    except TimeoutError:
        process.kill()
        await process.wait()


def _ending_with(parent: int) -> Callable[[], None] | None:
    """What a new process does first, so that it is told to stop when `parent` dies, however it does.

    Linux only: elsewhere a worker outlives a killed parent, as any service's process may, and goes on working.
    """
    if sys.platform != "linux":
        return None
    prctl = ctypes.CDLL(None).prctl

    def end_with_parent() -> None:
        prctl(PR_SET_PDEATHSIG, signal.SIGTERM)
        if os.getppid() != parent:
            os._exit(1)

    return end_with_parent


def _only_home(settings: Settings) -> dict[str, str]:
    """This process's environment without any setting but where the home is."""
    kept = {name: value for name, value in os.environ.items() if name.lower() not in Settings.model_fields}
    return kept | {"RESPALDOS_HOME": str(settings.respaldos_home.absolute())}
