"""Runs a coroutine until it ends, or until a signal tells the command to stop."""

import asyncio
import signal
from collections.abc import Callable, Coroutine
from contextlib import suppress
from typing import Any, TypeVar

T = TypeVar("T")


def run_alone(work: Coroutine[Any, Any, T]) -> T:
    """Run `work`, which needs no server, until it ends or is told to, as `app.cli.running.run_with` does."""
    return until_told(asyncio.run, work)


def until_told(run: Callable[[Coroutine[Any, Any, T]], T], work: Coroutine[Any, Any, T]) -> T:
    """Have `run` run `work`, which SIGINT, SIGTERM and SIGHUP cancel. Raises KeyboardInterrupt where they did."""
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
