"""`python -m tests.faults [--minutes N] [--seed S]`: break everything while clinics are backed up and restored.

Prints how often each fault was made and what came of what was asked. Exit code 1 where a promise was not kept: then
the folder of the campaign, with all that was logged, stays, and the line that repeats it is printed.
"""

import asyncio
import os
import shutil
import sys
import tempfile
import time
from argparse import ArgumentParser
from collections import Counter
from pathlib import Path
from random import Random

from rich.console import Console
from rich.table import Table

from tests.bench.table import say
from tests.faults.breaking import FAULTS, break_things
from tests.faults.checks import check
from tests.faults.ground import LARGE, RESTORED, WRITTEN, Ground, campaign_ground
from tests.faults.work import PATIENCE, Ledger, backups, readings, restores, writes

# When a worker is warm (share of the campaign), and how much it may grow from then on (bytes).
WARM, GROWTH = 0.3, 60 * 2**20


async def campaign(ground: Ground, minutes: float, seed: int) -> tuple[Ledger, Counter[str]]:
    """Everything; what came of it, and how often each fault was made."""
    ledger, done = Ledger(), Counter[str]()
    asking = [
        *(restores(ground, ledger, number, Random(f"{seed} {number}")) for number in RESTORED),
        *(backups(ground, ledger, number) for number in (*WRITTEN, LARGE)),
        *(readings(ground, ledger, Random(f"{seed} readings {place}")) for place in range(2)),
    ]
    tasks = [asyncio.create_task(work) for work in asking]
    writing = [asyncio.create_task(writes(ground, ledger, number)) for number in WRITTEN]
    breaking = asyncio.create_task(break_things(ground, ledger, Random(seed), done))
    began, warm = time.monotonic(), 0
    until = began + minutes * 60
    while (now := time.monotonic()) < until and not ledger.violations:
        if not warm and now > began + WARM * minutes * 60:
            warm = ground.steady.memory()
        await asyncio.sleep(0.5)
        for task in (*tasks, *writing, breaking):
            if task.done() and not task.cancelled() and (exc := task.exception()) is not None:
                raise exc
    ledger.over = True
    await asyncio.gather(breaking, *writing)
    await ground.heal()
    try:
        async with asyncio.timeout(PATIENCE):
            await asyncio.gather(*tasks)
            while await ground.look(
                lambda c: c.fetchval(
                    "SELECT EXISTS (SELECT FROM respaldos.trabajo WHERE estado IN ('pendiente', 'procesando'))"
                    " OR EXISTS (SELECT FROM respaldos.intento WHERE fin IS NULL)"
                )
            ):
                await asyncio.sleep(0.2)
    except TimeoutError:
        ledger.violated(f"{PATIENCE} s after the last fault there is still something to be done")
    if warm and (grown := ground.steady.memory() - warm) > GROWTH:
        ledger.violated(f"a worker that was warm grew by {grown >> 20} MiB")
    if ground.steady.started > 1:
        ledger.violated("a worker that nobody ended has ended")
    await check(ground, ledger)
    return ledger, done


def show(ledger: Ledger, done: Counter[str]) -> None:
    """Both as tables."""
    for title, counts in (("Faults", {name: done[name] for name in FAULTS}), ("What was asked", ledger.outcomes)):
        table = Table(title=f"{title}: {sum(counts.values()):,}")
        table.add_column("what")
        table.add_column("times", justify="right")
        for name, times in sorted(counts.items()):
            table.add_row(name, f"{times:,}")
        Console().print(table)
    console = Console(soft_wrap=True)
    for said in ledger.violations[:20]:
        console.print(f"✗ {said}", markup=False)


def main(arguments: list[str] | None = None) -> int:
    """Run one; the exit code."""
    parser = ArgumentParser(prog="python -m tests.faults")
    parser.add_argument("--minutes", type=float, default=20, help="how long things break")
    parser.add_argument("--seed", type=int, default=1, help="of what is broken when, and of what is asked")
    given = parser.parse_args(arguments)
    memory = Path("/dev/shm")
    folder = Path(tempfile.mkdtemp(prefix="campana-", dir=memory if memory.is_dir() else None))
    os.environ.pop("RESPALDOS_HOME", None)

    async def run() -> tuple[Ledger, Counter[str]]:
        async with campaign_ground(folder) as ground:
            return await campaign(ground, given.minutes, given.seed)

    ledger, done = asyncio.run(run())
    show(ledger, done)
    if ledger.violations:
        say(f"{folder} has the log. Again: python -m tests.faults --minutes {given.minutes:g} --seed {given.seed}")
        return 1
    shutil.rmtree(folder)
    return 0


if __name__ == "__main__":
    sys.exit(main())
