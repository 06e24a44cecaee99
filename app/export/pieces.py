"""An export's bytes as they are sent: its file, or its folder as one ZIP."""

from collections.abc import Iterator
from pathlib import Path
from typing import IO, Final, cast
from zipfile import ZIP_DEFLATED, ZipFile, ZipInfo

# What is read, and compressed, at once (bytes).
_BLOCK: Final = 1 << 20


class _Sink:
    """What a ZipFile writes to, which cannot go back: the sizes of each member come after it."""

    def __init__(self) -> None:
        self._waiting: list[bytes] = []

    def write(self, data: bytes) -> int:
        self._waiting.append(bytes(data))
        return len(data)

    def flush(self) -> None:
        """Nothing is held back."""

    def take(self) -> bytes:
        taken, self._waiting = b"".join(self._waiting), []
        return taken


def pieces(export: Path) -> Iterator[bytes]:
    """The file as it is, or the folder, under its name, in a ZIP that is never anywhere as a whole.

    Each piece may be empty, and comes of at most a MiB of what is read. Raises OSError.
    """
    if export.is_dir():
        yield from _zipped(export)
        return
    with export.open("rb") as file:
        while block := file.read(_BLOCK):
            yield block


def _zipped(folder: Path) -> Iterator[bytes]:
    sink = _Sink()
    with ZipFile(cast(IO[bytes], sink), "w", ZIP_DEFLATED) as archive:
        for path in sorted(path for path in folder.rglob("*") if path.is_file()):
            # Told from the beginning whether it passes 4 GiB.
            info = ZipInfo.from_file(path, path.relative_to(folder.parent))
            info.compress_type = ZIP_DEFLATED
            with path.open("rb") as file, archive.open(info, "w") as member:
                while block := file.read(_BLOCK):
                    member.write(block)
                    yield sink.take()
            yield sink.take()
    yield sink.take()
