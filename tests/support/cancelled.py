"""Work that is cancelled at a moment of one's choice."""

import asyncio
import inspect
from collections import Counter
from collections.abc import Callable, Coroutine, Generator
from functools import partial
from typing import Any

from app.respaldos.models import Respaldo

STAGES = {
    "reconciliar": "tidying",
    "_complete": "completing",
    "read_back": "reading back",
    "upload": "uploading",
    "__aexit__": "closing",
    "__aenter__": "opening",
}


def stage_of(work: Coroutine[Any, Any, object]) -> str:
    """What a suspended backup is doing; between two stages, that is waiting for a task of its own."""
    awaited: object = work
    functions = set[str]()
    while inspect.iscoroutine(awaited):
        functions.add(awaited.cr_code.co_name)
        awaited = awaited.cr_await
    return next((stage for function, stage in STAGES.items() if function in functions), "waiting")


class Cancelled:
    """Awaits `work`, and cancels its own task at each suspension where `when` says so.

    `seen` counts the suspensions by stage, so that a moment of a backup can be met without a clock.
    """

    def __init__(self, work: Coroutine[Any, Any, Respaldo], when: "Callable[[Cancelled], bool]") -> None:
        self.seen: Counter[str] = Counter()
        self.stage = ""
        self.times = 0
        self._work = work
        self._when = when

    def __await__(self) -> Generator[Any, Any, Respaldo]:
        steps = self._work.__await__()
        proceed: Callable[[], Any] = partial(steps.send, None)
        while True:
            try:
                waited_for = proceed()
            except StopIteration as end:
                respaldo: Respaldo = end.value
                return respaldo
            self.stage = stage_of(self._work)
            self.seen[self.stage] += 1
            task = asyncio.current_task()
            if self._when(self) and task is not None:
                self.times += 1
                task.cancel()
            try:
                yield waited_for
                proceed = partial(steps.send, None)
            except BaseException as exc:  # noqa: BLE001 — handed on to the coroutine, as an await does
                proceed = partial(steps.throw, exc)
