"""What an export writes on this machine goes with its process."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from app.errors import LocalFileError
from app.respaldos.exports.folder import remove_abandoned, working_folder

PROGRAM = """
import os, sys, time
from app.respaldos.exports.folder import working_folder
with working_folder() as folder:
    (folder / "pacientes.csv").write_text("x")
    print(folder, flush=True)
    time.sleep(60)
"""


def test_what_a_killed_process_left_goes_and_nothing_else(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    process = subprocess.Popen(
        [sys.executable, "-c", PROGRAM],
        stdout=subprocess.PIPE,
        text=True,
        env=os.environ | {"TMPDIR": str(tmp_path)},
    )
    assert process.stdout is not None
    theirs = Path(process.stdout.readline().strip())
    assert (theirs.parent, theirs.stat().st_mode & 0o077) == (tmp_path, 0)
    elsewhere = tmp_path / "documentos"
    elsewhere.mkdir()
    link = tmp_path / f"{theirs.name}-enlace"
    link.symlink_to(elsewhere)
    with working_folder() as mine:
        an_hour_ago = time.time() - 3600
        for path in (theirs, mine, elsewhere):
            os.utime(path, (an_hour_ago, an_hour_ago))
        remove_abandoned()
        assert theirs.is_dir(), "its process lives"
        process.send_signal(signal.SIGKILL)
        process.wait()
        process.stdout.close()
        os.utime(theirs, None)
        remove_abandoned()
        assert theirs.is_dir(), "somebody may be about to lock it"
        os.utime(theirs, (an_hour_ago, an_hour_ago))
        remove_abandoned()
        assert not theirs.exists()
        assert mine.is_dir()
    assert sorted(tmp_path.iterdir()) == sorted([elsewhere, link])


def test_a_machine_without_a_place_for_it_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "no"))
    with pytest.raises(LocalFileError, match="no hay dónde escribir"), working_folder():
        pass
    remove_abandoned()
