"""A small file that would become a large one, given to the real command."""

import subprocess
import sys
import zlib
from collections.abc import Iterator
from pathlib import Path

import pytest

from app.dump.gzip_member import HEADER
from tests.support.backup_file import document
from tests.support.program import PROGRAM, environment

HUGE = 150 << 20

# What the command itself takes is a quarter of it (bytes).
MOST_MEMORY = 200 << 20

START = b'{"formato":"respaldo-clinica","x":'
FIRST, _ = document().split(b'{"codigo":1,', 1)


def repeated(text: bytes, size: int) -> Iterator[bytes]:
    """That text again and again, `size` bytes in all."""
    piece = text * (1 << 16)
    for _ in range(size // len(piece)):
        yield piece


BOMBS = {
    "a header of zeros": lambda: (START + b'"', *repeated(b"0", HUGE), b'"},\n'),
    "a header of objects": lambda: (START + b"[", *repeated(b"{},", HUGE), b"{}]},\n"),
    # Short enough to be parsed, to forty times its size.
    "a header that just fits": lambda: (START + b"[", *repeated(b"{},", (4 << 20) - 1000), b"{}]},\n"),
    "a record of zeros": lambda: (FIRST + b'{"codigo":1,"datos":"', *repeated(b"0", HUGE), b'"},\n'),
    "a record of objects": lambda: (FIRST + b'{"codigo":1,"datos":[', *repeated(b"{},", HUGE), b"{}]},\n"),
}


# Runs a program and says how much memory it took at most: Linux tells that in KiB, and counts with a new process what
# the one has that begins it, which is to be small.
MEASURE = """
import resource, subprocess, sys
code = subprocess.run(sys.argv[1:]).returncode
print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss, file=sys.stderr)
sys.exit(code)
"""


def write(path: Path, parts: Iterator[bytes]) -> None:
    """One gzip member, with a header as ours."""
    deflate, crc, size = zlib.compressobj(9, zlib.DEFLATED, -15), 0, 0
    with path.open("wb") as file:
        file.write(HEADER)
        for part in parts:
            file.write(deflate.compress(part))
            crc, size = zlib.crc32(part, crc), size + len(part)
        file.write(deflate.flush() + crc.to_bytes(4, "little") + size.to_bytes(4, "little"))


@pytest.mark.parametrize("name", BOMBS)
def test_a_bomb_is_refused_in_little_memory(name: str, tmp_path: Path) -> None:
    write(tmp_path / "bomba.json.gz", iter(BOMBS[name]()))
    assert (tmp_path / "bomba.json.gz").stat().st_size < 1 << 20
    # Not `respaldos` of tests.support.program, which forks this large process.
    ran = subprocess.run(
        [sys.executable, "-c", MEASURE, PROGRAM, "verificar", "bomba.json.gz", "--json"],
        cwd=tmp_path,
        env=environment(),
        capture_output=True,
        text=True,
    )
    assert ran.returncode == 1
    assert "archivo_invalido" in ran.stdout
    assert int(ran.stderr.split()[-1]) * 1024 < MOST_MEMORY
