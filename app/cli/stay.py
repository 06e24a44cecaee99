"""What commands that stay until they are told to stop have in common."""

import signal
from collections.abc import Callable, Coroutine
from typing import Any

import click

from app.cli.running import run_with
from app.settings import Settings, settings_of_process


def until_stopped(work: Callable[[Settings], Coroutine[Any, Any, None]]) -> None:
    """Being told to stop is how these commands succeed."""

    try:
        run_with(settings_of_process(), work)
    except KeyboardInterrupt:
        nothing_left_to_stop()
        click.echo("Detenido")


def nothing_left_to_stop() -> None:
    """Let a second, impatient Ctrl-C not change how a command that has just stopped ends."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
