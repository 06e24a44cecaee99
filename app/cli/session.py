"""Runs a command's coroutine against the servers of the settings."""

import asyncio
import signal
from collections.abc import Callable, Coroutine
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from app.respaldos.resources import Databases, Resources
    from app.settings import Settings

T = TypeVar("T")


def with_resources(work: "Callable[[Resources], Coroutine[Any, Any, T]]") -> T:
    """Run `work` with everything a backup needs; embedded servers run at least as long."""

    async def opened(settings: "Settings") -> T:
        from app.connections import open_resources

        async with open_resources(settings) as resources:
            return await work(resources)

    return with_settings(opened)


def with_databases(work: "Callable[[Databases], Coroutine[Any, Any, T]]") -> T:
    """Run `work`, which only looks, with both databases; embedded servers run at least as long."""

    async def opened(settings: "Settings") -> T:
        from app.connections import open_databases

        async with open_databases(settings) as databases:
            return await work(databases)

    return with_settings(opened)


def with_settings(work: "Callable[[Settings], Coroutine[Any, Any, T]]") -> T:
    """Run `work` with the settings of the environment."""
    from app.settings import load_settings

    return run_with(load_settings(), work)


def run_with(settings: "Settings", work: "Callable[[Settings], Coroutine[Any, Any, T]]") -> T:
    """Run `work`; the embedded servers that the settings ask for run at least as long, and are in its settings.

    SIGTERM, as a service manager sends it, and the closing of the terminal end the work as Ctrl-C does. All of
    them let it clean up, however often they come.
    """
    import uvloop

    from app.connections import embedded_servers

    with embedded_servers(settings) as addressed:
        try:
            return uvloop.run(_until_told(work(addressed)))
        except asyncio.CancelledError as exc:
            raise KeyboardInterrupt from exc


def run_alone(work: Coroutine[Any, Any, T]) -> T:
    """Run `work`, which needs no server, until it ends or is told to, as `run_with` does."""
    try:
        return asyncio.run(_until_told(work))
    except asyncio.CancelledError as exc:
        raise KeyboardInterrupt from exc


async def _until_told(work: Coroutine[Any, Any, T]) -> T:
    task = asyncio.current_task()
    assert task is not None  # noqa: S101 (asyncio's own promise inside a coroutine)
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        # What nohup, or a shell for what it runs in the background, has told us to ignore.
        if signal.getsignal(number) is not signal.SIG_IGN:
            asyncio.get_running_loop().add_signal_handler(number, task.cancel)
    return await work
