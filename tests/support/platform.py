"""A platform with a schema per clinic, and the program set up for it."""

from dataclasses import dataclass
from pathlib import Path

import asyncpg

from tests.support.program import Ran, respaldos


@dataclass(frozen=True, slots=True)
class Platform:
    """A platform with a schema per clinic, and the program set up for it."""

    sql: asyncpg.Connection
    folder: Path
    settings: dict[str, str]

    def run(self, *arguments: str) -> Ran:
        return respaldos(*arguments, cwd=self.folder, **self.settings)
