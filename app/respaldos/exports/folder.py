"""Where on this machine an export is made: a folder that goes, also where its process is killed."""

import fcntl
import os
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from tempfile import TemporaryDirectory, gettempdir

from app.errors import LocalFileError

_PREFIX = "respaldos-exportacion-"

# Between the making of a folder and its lock nobody may take it for abandoned (seconds).
_YOUNG = 60


@contextmanager
def working_folder() -> Iterator[Path]:
    """An empty folder that only this user may read, for as long as the block runs.

    Raises LocalFileError where the machine has no place for one.
    """
    try:
        folder = TemporaryDirectory(prefix=_PREFIX, ignore_cleanup_errors=True)
    except OSError as exc:
        raise LocalFileError(f"no hay dónde escribir la exportación mientras se hace: {exc.strerror or exc}") from exc
    with folder as name:
        descriptor = os.open(name, os.O_RDONLY)
        try:
            # The system lets go of it however the process ends.
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            yield Path(name)
        finally:
            os.close(descriptor)


def remove_abandoned() -> None:
    """Remove the folders of processes of this user that died: there are patients' data in them."""
    # Without any place for them there are none.
    with suppress(OSError):
        for path in Path(gettempdir()).glob(f"{_PREFIX}*"):
            _remove_if_abandoned(path)


def _remove_if_abandoned(path: Path) -> None:
    # Gone by now, in use, or no folder of ours.
    with suppress(OSError):
        descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
        try:
            found = os.fstat(descriptor)
            if found.st_uid == os.getuid() and found.st_mtime < time.time() - _YOUNG:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                shutil.rmtree(path)
        finally:
            os.close(descriptor)
