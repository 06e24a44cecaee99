"""Runs a command's coroutine against the servers of the settings."""

import os
import pwd
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

import uvloop

from app.cli.interrupt import until_told
from app.connections.databases import open_databases
from app.connections.embedded import embedded_servers
from app.respaldos.audit import at_the_command_line
from app.respaldos.databases import Databases
from app.settings import Settings, settings_of_process

T = TypeVar("T")


def with_databases(work: Callable[[Databases], Coroutine[Any, Any, T]]) -> T:
    """Run `work`, which only looks, with both databases; embedded servers run at least as long."""

    async def opened(settings: Settings) -> T:
        async with open_databases(settings) as databases:
            return await work(databases)

    return with_settings(opened)


def with_settings(work: Callable[[Settings], Coroutine[Any, Any, T]]) -> T:
    """Run `work` with the settings of the environment."""
    return run_with(settings_of_process(), work)


def system_user() -> str:
    """Who runs this process, as the operating system says it and not the environment, which anybody sets."""
    try:
        return pwd.getpwuid(os.getuid()).pw_name
    except KeyError:
        # In a container there need be no name for it.
        return str(os.getuid())


def run_with(settings: Settings, work: Callable[[Settings], Coroutine[Any, Any, T]]) -> T:
    """Run `work`; the embedded servers that the settings ask for run at least as long, and are in its settings.

    SIGTERM, as a service manager sends it, and the closing of the terminal end the work as Ctrl-C does. All of
    them let it clean up, however often they come.
    """
    at_the_command_line(system_user())
    with embedded_servers(settings) as addressed:
        return until_told(uvloop.run, work(addressed))
