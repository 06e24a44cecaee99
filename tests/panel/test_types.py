"""The panel's types are those of the service's own document."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PANEL = ROOT / "app" / "panel"


@pytest.mark.xdist_group("panel")
def test_the_types_are_those_of_the_document() -> None:
    document = subprocess.run([sys.executable, ROOT / "scripts" / "openapi.py"], capture_output=True, check=True)
    made = subprocess.run(
        ["node", PANEL / "node_modules" / "openapi-typescript" / "bin" / "cli.js"],
        cwd=PANEL,
        input=document.stdout,
        capture_output=True,
        check=True,
    )
    committed = (PANEL / "src" / "api" / "schema.ts").read_bytes()
    assert made.stdout == committed, "run: make types"
