"""Runs a command's coroutine against the servers of the settings."""

import asyncio
import signal
from collections.abc import Callable, Coroutine
from contextlib import suppress
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
        return _until_told(uvloop.run, work(addressed))


def run_alone(work: Coroutine[Any, Any, T]) -> T:
    """Run `work`, which needs no server, until it ends or is told to, as `run_with` does."""
    return _until_told(asyncio.run, work)


def _until_told(run: Callable[[Coroutine[Any, Any, T]], T], work: Coroutine[Any, Any, T]) -> T:
    # But not what nohup, or a shell for what it runs in the background, has told us to ignore.
    before = {
        number: handler
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
        if (handler := signal.getsignal(number)) is not signal.SIG_IGN
    }

    async def listening() -> T:
        loop, task = asyncio.get_running_loop(), asyncio.current_task()
        assert task is not None  # noqa: S101 (asyncio's own promise inside a coroutine)

        def end(*_: object) -> None:
            # Between the loop's end and what is set below there is nothing left to end.
            with suppress(RuntimeError):
                loop.call_soon_threadsafe(task.cancel)

        for number in before:
            # Not the loop's own handlers: those go with it, and the signal after that kills the program.
            signal.signal(number, end)
        return await work

    told = False
    try:
        return run(listening())
    except asyncio.CancelledError as exc:
        told = True
        raise KeyboardInterrupt from exc
    finally:
        for number, handler in before.items():
            # All is cleaned up. The same signal once more, on the way out, changes neither that nor the exit code.
            signal.signal(number, signal.SIG_IGN if told else handler)
