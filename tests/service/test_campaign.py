"""A short campaign of `make faults`: whatever breaks, nothing that was promised is lost."""

import asyncio
import subprocess
import sys

import pytest


@pytest.mark.timeout(300)
async def test_a_short_one_finds_nothing() -> None:
    command = [sys.executable, "-m", "tests.faults", "--minutes", "0.5", "--seed", "7"]
    ran = await asyncio.to_thread(subprocess.run, command, capture_output=True, text=True)
    assert ran.returncode == 0, f"{ran.stdout}\n{ran.stderr}"
