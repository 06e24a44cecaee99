"""The account that PostgreSQL runs as where we are root: what it can reach, and which processes are its."""

import os
import pwd
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

import psutil

from app.errors import EmbeddedServerError

# Where programs are copied that the account cannot reach, because they are below /root, say.
COPIES = Path("/var/lib/respaldos")
# The folder of a process that we may not look at.
UNKNOWN = "?"
# For those who build against PostgreSQL; no server needs them.
NOT_COPIED = shutil.ignore_patterns("include", "*.a", "pkgconfig")


@dataclass(frozen=True, slots=True)
class Account:
    """Whom a program runs as."""

    uid: int
    gid: int


def unprivileged() -> Account | None:
    """Nobody's account where we are root, None where we are an unprivileged user already.

    Raises EmbeddedServerError where root cannot become another.
    """
    if os.geteuid() != 0:
        return None
    if sys.platform != "linux":
        raise EmbeddedServerError("PostgreSQL: como root solo puede servirse en Linux; use otra cuenta")
    try:
        nobody = pwd.getpwnam("nobody")
    except KeyError as exc:
        raise EmbeddedServerError("PostgreSQL: no se sirve como root, y falta la cuenta nobody") from exc
    return Account(nobody.pw_uid, nobody.pw_gid)


def processes_at_work(program: str, folder: Path, account: Account | None) -> list[psutil.Process]:
    """The account's processes of that program that work in that folder."""
    with _acting_as(account):
        return [p for p in psutil.process_iter() if _folder_of(p, program) == str(folder.resolve())]


def may_work_in(folder: Path, pid: int, program: str, account: Account | None) -> bool:
    """Whether the process is one of that program in that folder, or might be, because it is not ours to look at."""
    with _acting_as(account):
        try:
            return _folder_of(psutil.Process(pid), program) in (str(folder.resolve()), UNKNOWN)
        except psutil.NoSuchProcess:
            return False


def reachable_bin(folder: Path, account: Account | None) -> Path:
    """PostgreSQL's programs: the folder itself where the account can run them, else a copy, made once."""
    if account is None or _runs(folder / "postgres", account):
        return folder
    package = folder.parent.parent
    key = sha256(f"{package} {(folder / 'postgres').stat().st_mtime_ns}".encode()).hexdigest()[:16]
    # The programs find their libraries by this place relative to their own.
    trees = [folder.parent.relative_to(package.parent), Path(f"{package.name}.libs")]
    copy = COPIES / f"{folder.parent.name}-{key}"
    if not copy.exists():
        _copy(package.parent, trees, copy)
    reached = copy / folder.relative_to(package.parent)
    if not _runs(reached / "postgres", account):
        raise EmbeddedServerError(f"PostgreSQL: la cuenta nobody no puede ejecutar {reached / 'postgres'}")
    return reached


def _folder_of(process: psutil.Process, program: str) -> str | None:
    try:
        return process.cwd() if process.name() == program else None
    except psutil.NoSuchProcess:
        return None
    except psutil.AccessDenied:
        return UNKNOWN


@contextmanager
def _acting_as(account: Account | None) -> Iterator[None]:
    """Root in a container may not look into other accounts' processes; who acts as the account may."""
    if account is None:
        yield
        return
    gid = os.getegid()
    os.setegid(account.gid)
    try:
        os.seteuid(account.uid)
        try:
            yield
        finally:
            os.seteuid(0)
    finally:
        os.setegid(gid)


def _runs(program: Path, account: Account) -> bool:
    try:
        done = subprocess.run(  # noqa: S603 — the wheel's program
            [program, "--version"],
            cwd="/",
            stdin=subprocess.DEVNULL,
            capture_output=True,
            check=False,
            user=account.uid,
            group=account.gid,
            extra_groups=[],
        )
    except PermissionError:
        return False
    return done.returncode == 0


def _copy(source: Path, trees: list[Path], copy: Path) -> None:
    with suppress(FileExistsError):
        COPIES.mkdir(parents=True)
        COPIES.chmod(0o755)  # whatever our umask
    fresh = Path(tempfile.mkdtemp(dir=COPIES, prefix="new-"))
    try:
        for tree in trees:
            shutil.copytree(source / tree, fresh / tree, symlinks=True, ignore=NOT_COPIED)
        for path in [fresh, *fresh.rglob("*")]:
            if not path.is_symlink():
                path.chmod(0o755 if path.is_dir() or path.stat().st_mode & 0o100 else 0o644)
        fresh.rename(copy)
    except OSError:
        shutil.rmtree(fresh, ignore_errors=True)
        if not copy.exists():  # where it does, the supervisor of another home was faster
            raise
