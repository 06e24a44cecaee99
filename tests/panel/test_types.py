"""The panel's types are those of the service's own document."""

import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
PANEL = ROOT / "app" / "panel"
NODE = shutil.which("node") or Path(sys.executable).with_name("node")


def test_the_types_are_those_of_the_document() -> None:
    document = subprocess.run([sys.executable, ROOT / "scripts" / "openapi.py"], capture_output=True, check=True)
    made = subprocess.run(
        [NODE, PANEL / "node_modules" / "openapi-typescript" / "bin" / "cli.js"],
        cwd=PANEL,
        input=document.stdout,
        capture_output=True,
        check=True,
    )
    committed = (PANEL / "src" / "api" / "schema.ts").read_bytes()
    assert made.stdout == committed, "run: make types"
