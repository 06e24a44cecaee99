"""The units of `deploy/systemd`."""

import re
import shutil
import subprocess
from configparser import ConfigParser
from pathlib import Path

import pytest

from app.cli import supervisor
from tests.support.program import PROGRAM

UNITS = sorted((Path(__file__).parents[2] / "deploy" / "systemd").glob("*.service"))


def service(path: Path) -> dict[str, str]:
    unit = ConfigParser(strict=True, interpolation=None)
    unit.optionxform = str  # type: ignore[assignment,method-assign]
    unit.read(path, encoding="utf-8")
    return dict(unit["Service"])


def verify(path: Path, folder: Path, text: str) -> str:
    """What systemd has to say of the unit, where the program is this one."""
    unit = folder / path.name
    unit.write_text(re.sub(r"/opt/respaldos/bin/respaldos", str(PROGRAM), text), encoding="utf-8")
    ran = subprocess.run(["systemd-analyze", "verify", unit], capture_output=True, text=True)
    return ran.stdout + ran.stderr


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="no systemd on this machine")
@pytest.mark.parametrize("path", UNITS, ids=lambda path: path.stem)
def test_systemd_understands_all_of_it(path: Path, tmp_path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    assert verify(path, tmp_path, text) == ""
    assert "ProtectSistem" in verify(path, tmp_path, text.replace("ProtectSystem", "ProtectSistem"))


@pytest.mark.parametrize("path", UNITS, ids=lambda path: path.stem)
def test_it_runs_a_command_that_may_do_nothing_else(path: Path) -> None:
    found = service(path)
    assert found["ExecStart"] in {"/opt/respaldos/bin/respaldos serve", "/opt/respaldos/bin/respaldos worker"}
    assert found["EnvironmentFile"] == "/etc/respaldos/respaldos.env"
    assert found["NoNewPrivileges"] == "yes"
    assert found["ProtectSystem"] == "strict"
    assert found["CapabilityBoundingSet"] == ""
    assert found["Restart"] == "always"


def test_they_differ_in_how_they_stop_alone() -> None:
    api, worker = map(service, UNITS)
    assert int(worker.pop("TimeoutStopSec")) > supervisor.STOP_SECONDS + supervisor.LAST_WORDS_SECONDS
    # The supervisor has its worker end.
    assert worker.pop("KillMode") == "mixed"
    del api["TimeoutStopSec"], api["ExecStart"], worker["ExecStart"]
    assert api == worker
