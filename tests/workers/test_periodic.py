"""What a worker does again and again goes on, whatever one of it does."""

import asyncio
import logging
from contextlib import suppress

import pytest

from app.errors import DatabaseUnavailable
from workers.periodic import Round, going_round


class Counted:
    """Counts how often it is done; raises what it is given, the first time."""

    def __init__(self, problem: Exception | None = None) -> None:
        self.times = 0
        self.twice = asyncio.Event()
        self._problem = problem

    async def act(self) -> None:
        self.times += 1
        if self.times == 2:
            self.twice.set()
        if self.times == 1 and self._problem is not None:
            raise self._problem


async def test_it_is_done_at_once_and_again() -> None:
    one = Counted()
    async with asyncio.timeout(10), going_round([Round("una", 0.01, one.act)]):
        await one.twice.wait()


@pytest.mark.parametrize("problem", [DatabaseUnavailable("no hay conexión"), ZeroDivisionError("entre cero")])
async def test_a_failure_is_said_and_ends_nothing(problem: Exception, caplog: pytest.LogCaptureFixture) -> None:
    failing, other = Counted(problem), Counted()
    rounds = [Round("una", 0.01, failing.act), Round("otra", 0.01, other.act)]
    with caplog.at_level(logging.WARNING):
        async with asyncio.timeout(10), going_round(rounds):
            await failing.twice.wait()
            await other.twice.wait()
    assert len([record for record in caplog.records if "una" in record.getMessage()]) == 1
    assert str(problem) in caplog.text


async def test_they_end_with_their_block() -> None:
    ended = asyncio.Event()
    begun = asyncio.Event()

    async def act() -> None:
        begun.set()
        try:
            await asyncio.sleep(3600)
        finally:
            ended.set()

    async with going_round([Round("una", 1, act)]):
        await begun.wait()
    assert ended.is_set()


async def test_they_end_also_where_a_cancellation_gets_lost() -> None:
    """As asyncio.wait_for of Python 3.11 loses one that comes together with the answer that it waits for."""
    begun = asyncio.Event()

    async def act() -> None:
        begun.set()
        with suppress(asyncio.CancelledError):
            await asyncio.sleep(60)

    async with asyncio.timeout(10), going_round([Round("una", 60, act)]):
        await begun.wait()
