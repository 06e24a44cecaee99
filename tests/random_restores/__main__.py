"""`python -m tests.random_restores [--minutes N] [--seed S] [--examples N]`: random restores, as many as time allows.

Prints for each role and version how many ended how, for each role why some were refused, with a way out and without
one, and of a finding the command that has it again. Exit code 1 where there is one.
"""

import asyncio
import re
import sys
import tempfile
import time
from argparse import ArgumentParser
from collections import Counter, defaultdict
from contextlib import ExitStack
from pathlib import Path
from random import SystemRandom

import asyncpg
import hypothesis
from hypothesis import HealthCheck, Phase, given, settings

from app.demo import embedded
from app.settings import EmbeddedServer
from tests.conftest import make_cheap, plain_url, unique_name
from tests.random_restores.restoring import Ground, Outcome, run
from tests.random_restores.schemas import Case, cases

VARIANTS = ((18, False), (18, True), (16, False), (16, True))


class Round:
    """Some examples of one variant, from one seed."""

    def __init__(self, runner: asyncio.Runner, ground: Ground, seed: int, examples: int, *, shrink: bool) -> None:
        self._runner = runner
        self._ground = ground
        self._seed = seed
        self._settings = settings(
            max_examples=examples,
            database=None,
            phases=[Phase.generate, *([Phase.shrink] if shrink else [])],
            suppress_health_check=list(HealthCheck),
            deadline=None,
            report_multiple_bugs=False,
        )
        self.outcomes: Counter[Outcome] = Counter()
        self.reasons: dict[Outcome, Counter[str]] = defaultdict(Counter)

    def run(self) -> str | None:
        """The finding, if there is one, with the smallest case that shows it."""

        @hypothesis.seed(self._seed)
        @self._settings
        @given(case=cases())
        def see_through(case: Case) -> None:
            try:
                result = self._runner.run(run(self._ground, case))
            except Exception as exc:
                exc.add_note(repr(case))
                raise
            self.outcomes[result.outcome] += 1
            if result.why:
                self.reasons[result.outcome][_kind_of(result.why)] += 1

        try:
            see_through()
        except Exception as exc:  # noqa: BLE001 (whatever it is, it is what is looked for)
            notes = next((note for note in exc.__notes__ if note.startswith("Case(acts")), "")
            return f"{type(exc).__name__}: {exc}\n{notes}"
        return None


def main() -> int:
    """Try until time is up; the exit code."""
    parser = ArgumentParser(prog="python -m tests.random_restores")
    parser.add_argument("--minutes", type=float, default=10, help="one round at least")
    parser.add_argument("--seed", type=int, default=None, help="of the first round; the others count on")
    parser.add_argument("--examples", type=int, default=40, help="of each round")
    parser.add_argument("--variant", type=int, choices=range(len(VARIANTS)), help="only this of: " + str(VARIANTS))
    parser.add_argument("--no-shrink", action="store_true", help="the first case found, instead of the smallest")
    given_ = parser.parse_args()
    seed = given_.seed if given_.seed is not None else SystemRandom().randrange(2**32)
    until = time.monotonic() + given_.minutes * 60
    outcomes: dict[str, Counter[Outcome]] = defaultdict(Counter)
    reasons: dict[str, Counter[str]] = defaultdict(Counter)
    findings = 0
    with ExitStack() as stack:
        runner = stack.enter_context(asyncio.Runner())
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(dir="/dev/shm")))
        grounds = {}
        while True:
            version, ordinary = variant = VARIANTS[seed % 4 if given_.variant is None else given_.variant]
            role = "ordinary owner" if ordinary else "superuser"
            if variant not in grounds:
                home = folder / str(version)
                addresses = stack.enter_context(
                    embedded.running(home, {EmbeddedServer.POSTGRES}, postgres_version=version)  # type: ignore[arg-type]
                )
                assert addresses.database_url is not None
                make_cheap(home, addresses)
                grounds[variant] = runner.run(_new_ground(plain_url(addresses.database_url), ordinary=ordinary))
            round_ = Round(runner, grounds[variant], seed, given_.examples, shrink=not given_.no_shrink)
            if found := round_.run():
                findings += 1
                again = f"--minutes 0 --seed {seed} --examples {given_.examples} --variant {VARIANTS.index(variant)}"
                print(f"\n### {role}, PostgreSQL {version}: {parser.prog} {again}\n{found}", flush=True)  # noqa: T201
            outcomes[f"{role}, PostgreSQL {version}"] += round_.outcomes
            for outcome, why in round_.reasons.items():
                reasons[f"{role}, {outcome}"] += why
            seed += 1
            if time.monotonic() > until:
                break
    for whose, counted in sorted(outcomes.items()):
        print(f"{whose}: {', '.join(f'{outcome} {counted[outcome]}' for outcome in Outcome)}")  # noqa: T201
    for whose, kinds in sorted(reasons.items()):
        print(f"{whose}:")  # noqa: T201
        for kind, count in kinds.most_common(40):
            print(f"{count:6} {kind}")  # noqa: T201
    print(f"findings: {findings}")  # noqa: T201
    return 1 if findings else 0


def _kind_of(why: str) -> str:
    """The sentence without the names and the keys of its case."""
    return re.sub(r"«[^»]*»|\d+", "…", why)[:160]


async def _new_ground(server: str, *, ordinary: bool) -> Ground:
    name = unique_name("random")
    admin = await asyncpg.connect(server)
    await admin.execute(f'CREATE DATABASE "{name}"')
    await admin.close()
    url = server.rpartition("/")[0] + f"/{name}"
    return await Ground.of(url, await asyncpg.connect(url), ordinary=ordinary)


if __name__ == "__main__":
    sys.exit(main())
