"""Rules that the code keeps as a whole: who imports whom, who asks the database, who opens connections."""

import ast
import inspect
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from app import errors
from app.errors import RespaldosError

ROOT = Path(__file__).parents[1]


def test_the_layers_are_kept() -> None:
    """The contracts stand in pyproject.toml."""
    ran = subprocess.run(
        [Path(sys.executable).with_name("lint-imports"), "--no-cache"], cwd=ROOT, capture_output=True, text=True
    )
    assert ran.returncode == 0, ran.stdout


def error_classes() -> list[type[RespaldosError]]:
    return [
        found
        for _, found in inspect.getmembers(errors, inspect.isclass)
        if issubclass(found, RespaldosError) and found.__module__ == errors.__name__
    ]


@pytest.mark.parametrize("found", error_classes())
def test_each_error_says_what_to_answer(found: type[RespaldosError]) -> None:
    assert "code" in vars(found)
    assert found.code.isidentifier()
    assert found.code == found.code.lower()
    assert 400 <= found.status < 600
    assert found.__doc__
    # What may be tried again was not the caller's fault.
    assert not found.transient or found.status >= 500


def sources(folder: str) -> Iterator[Path]:
    yield from (ROOT / folder).rglob("*.py")


# The audit trail, the outbox and the workers' turns belong to no room.
APART = {
    "app/respaldos/audit.py",
    "app/respaldos/notices.py",
    "app/respaldos/turns.py",
    "app/notify/outbox.py",
}


def test_only_queries_and_fleet_write_sql_about_respaldos() -> None:
    """Elsewhere a forgotten WHERE would show one clinic's backups to another."""
    statements = {"select", "insert", "update", "delete"}
    for path in [*sources("app"), *sources("workers")]:
        if path.name in {"queries.py", "fleet.py"} or path.relative_to(ROOT).as_posix() in APART:
            continue
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("sqlalchemy"):
                found = statements & {alias.name for alias in node.names}
                assert not found, f"{path}: {found}"


def test_only_few_places_open_connections_and_clients() -> None:
    """The app's lifespan, the worker's context and the command line; and what looks whether each can be opened."""
    openers = {"open_resources", "open_databases", "open_storage", "service_engine"}
    allowed = {
        "app/connections/databases.py",
        "app/connections/resources.py",
        "app/connections/service.py",
        "app/demo/command.py",
        "app/diagnostics/databases.py",
        "app/diagnostics/servers.py",
        "app/database.py",
        "app/migrate.py",
        "app/main.py",
        "app/storage/s3.py",
        "migrations/env.py",
        "workers/context.py",
    }
    for path in [*sources("app"), *sources("workers"), *sources("migrations")]:
        name = str(path.relative_to(ROOT))
        if name in allowed or name.startswith("app/cli/"):
            continue
        used = {node.id for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.Name)}
        assert not used & openers, name


def test_no_test_module_imports_another() -> None:
    """What two of them need is in tests/support, or a fixture in a conftest.py."""
    for path in sources("tests"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ImportFrom):
                assert not (node.module or "").rpartition(".")[2].startswith("test_"), path
