"""Any input, against the running service: no 5xx, no answer outside of the document."""

import asyncio
import sys
from pathlib import Path

import asyncpg
import pytest

from app.settings import Settings
from tests.api.conftest import API, OTHER, add_backup, add_verification, bearer, served
from tests.respaldos.conftest import SMALL

PROGRAM = str(Path(sys.executable).with_name("schemathesis"))


@pytest.mark.timeout(300)
async def test_any_input_is_answered_as_documented(
    settings: Settings, conn: asyncpg.Connection, tmp_path: Path
) -> None:
    for clinic in (SMALL, OTHER):
        first = await add_backup(conn, clinic)
        await add_verification(conn, first)
        for estado in ("fallido", "cancelado"):
            await add_backup(conn, clinic, estado=estado)
    # What is made here stays pending, and following that has no end: its number must not be guessed.
    await conn.execute("ALTER SEQUENCE respaldos.respaldo_id_seq RESTART 700000000000001")
    async with served(settings) as url:
        process = await asyncio.create_subprocess_exec(
            *(PROGRAM, "run", f"{url}{API}/openapi.json", "--url", url),
            *("--header", f"Authorization: {bearer()['Authorization']}"),
            # It ends the token that all others are asked with.
            *("--exclude-path", f"{API}/auth/logout/"),
            *("--phases", "examples,coverage,fuzzing", "--mode", "all", "--max-examples", "10"),
            *("--generation-deterministic", "--workers", "1", "--no-color"),
            *("--request-timeout", "30"),
            cwd=tmp_path,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )
        said, _ = await process.communicate()
    assert process.returncode == 0, said.decode()
