"""Commands that stay: serve, worker."""

import asyncio
import contextlib
import json
import os
import signal
import sys
import time
from collections.abc import Callable, Coroutine
from typing import TYPE_CHECKING, Any

import click

from app.cli.session import run_with
from app.cli.whole_number import WholeNumber
from app.errors import SettingsError

if TYPE_CHECKING:
    from app.settings import Settings

# Redis is back within seconds; a worker that cannot start at all should not spin (seconds).
FIRST_PAUSE, LONGEST_PAUSE = 1.0, 30.0

# A worker that has run this long was well, so the next pause is short again (seconds).
WELL = 60.0

# Long enough for a backup under way to clean up after itself (seconds).
STOP_SECONDS = 30.0


@click.command()
@click.option("--host", metavar="H", default="127.0.0.1", show_default=True, help="Dirección en que escucha.")
@click.option("--puerto", type=WholeNumber(1, 65535), default=8000, show_default=True, help="Puerto en que escucha.")
def serve(host: str, puerto: int) -> None:
    """Sirve la API HTTP hasta que se lo detenga con Ctrl-C."""

    async def work(settings: "Settings") -> None:
        import uvicorn

        from app.main import create_app

        # uvicorn has its own way to stop: it lets requests end first.
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            asyncio.get_running_loop().remove_signal_handler(number)
        await uvicorn.Server(uvicorn.Config(create_app(settings), host=host, port=puerto)).serve()

    _until_stopped(work)


@click.command()
def worker() -> None:
    """Hace el trabajo de fondo hasta que se lo detenga con Ctrl-C.

    Si Redis se reinicia, vuelve a empezar por sí solo.
    """

    async def work(settings: "Settings") -> None:
        if settings.redis_url is None:
            raise SettingsError("REDIS_URL: falta")
        environment = {**os.environ, **as_environment(settings)}
        pause = FIRST_PAUSE
        while True:
            started = time.monotonic()
            await _run_arq(environment)
            if time.monotonic() - started > WELL:
                pause = FIRST_PAUSE
            click.echo(f"El proceso de trabajo terminó; empieza de nuevo en {pause:g} s", err=True)
            await asyncio.sleep(pause)
            pause = min(2 * pause, LONGEST_PAUSE)

    _until_stopped(work)


def _until_stopped(work: "Callable[[Settings], Coroutine[Any, Any, None]]") -> None:
    """Being told to stop is how these commands succeed."""
    from app.settings import load_settings

    with contextlib.suppress(KeyboardInterrupt):
        run_with(load_settings(), work)


async def _run_arq(environment: dict[str, str]) -> None:
    """Run arq to its end; it ends by itself when Redis goes away (arq 0.28)."""
    command = (sys.executable, "-m", "arq", "workers.settings.WorkerSettings")
    process = await asyncio.create_subprocess_exec(*command, env=environment, start_new_session=True)
    try:
        await process.wait()
    finally:
        if process.returncode is None:
            process.terminate()
            try:
                await asyncio.wait_for(process.wait(), STOP_SECONDS)
            except TimeoutError:
                process.kill()


def as_environment(settings: "Settings") -> dict[str, str]:
    """The environment variables that give another process these settings.

    All of them, defaults too: the home's own file would not be read there, since the addresses are given.
    """
    from pydantic import SecretStr

    from app.settings import Settings

    values = {}
    for name in Settings.model_fields.keys() - {"embedded"}:
        value = getattr(settings, name)
        match value:
            case None:
                continue
            case SecretStr():
                text = value.get_secret_value()
            case tuple():
                text = ",".join(value)
            case dict():
                text = json.dumps(value)
            case _:
                text = str(value)
        values[name.upper()] = text
    return values
