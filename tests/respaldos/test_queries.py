"""Every query says whose rows it is about, and every error has a code of its own."""

import ast
import functools
import inspect
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

import app
from app import errors
from app.errors import RespaldosError

ROOT = Path(app.__file__).parents[1]

ROOMS = ROOT / "app" / "respaldos"

# What may ask about all clinics: the worker's operations, the command line, the platform's routes.
CROSSING = {
    "access": {"app/respaldos/access/keys.py"},
    "backup": {
        "app/cli/commands/listing.py",
        "app/cli/find.py",
        "app/respaldos/backup/all_clinics.py",
        "app/respaldos/backup/cleanup.py",
    },
    "exports": {"app/respaldos/exports/cleanup.py", "app/respaldos/exports/download.py"},
    # Of these, the queries only wait for each other.
    "jobs": {
        "app/respaldos/exports/queries.py",
        "app/respaldos/jobs/queries.py",
        "app/respaldos/jobs/run.py",
        "app/respaldos/reading/queries.py",
        "app/respaldos/reconcile.py",
        "app/respaldos/restore/end.py",
    },
    "keys": {
        "app/diagnostics/servers.py",
        "app/cli/commands/keys.py",
        "app/respaldos/keys/cleanup.py",
        "app/respaldos/keys/recover.py",
        "app/respaldos/keys/rotate.py",
    },
    "retention": {
        "app/respaldos/retention/clean.py",
        "app/respaldos/retention/prune.py",
        "app/respaldos/retention/purge.py",
        "app/respaldos/retention/reindex.py",
        "app/respaldos/retention/take_in.py",
    },
    "restore": {"app/respaldos/restore/all_clinics.py"},
    "schedule": {
        "app/respaldos/schedule/nights.py",
        "app/respaldos/schedule/overdue.py",
        "app/respaldos/schedule/points.py",
        "app/respaldos/schedule/trials.py",
    },
    "status": {"app/api/routes/metrics.py", "app/respaldos/status/clinics.py"},
}


def name_of(path: Path) -> str:
    return ".".join(path.relative_to(ROOT).with_suffix("").parts)


def queries_of(module: ModuleType) -> list[Callable[..., Any]]:
    return [
        function
        for name, function in inspect.getmembers(module, inspect.iscoroutinefunction)
        if function.__module__ == module.__name__ and not name.startswith("_")
    ]


@pytest.mark.parametrize("path", sorted(ROOMS.rglob("queries.py")), ids=name_of)
def test_every_query_takes_the_clinic_by_name_and_uses_it(path: Path) -> None:
    queries = queries_of(import_module(name_of(path)))
    assert queries
    for query in queries:
        clinic = inspect.signature(query).parameters.get("clinica_id")
        assert clinic is not None, query.__name__
        assert clinic.kind is inspect.Parameter.KEYWORD_ONLY, query.__name__
        assert clinic.default is inspect.Parameter.empty, query.__name__
        tree = ast.parse(inspect.getsource(query))
        names = [node.id for node in ast.walk(tree) if isinstance(node, ast.Name) and node.id == "clinica_id"]
        assert names, f"{query.__name__} takes clinica_id and does nothing with it"


@pytest.mark.parametrize("path", sorted(ROOMS.rglob("fleet.py")), ids=name_of)
def test_what_crosses_clinics_is_used_only_where_it_may_be(path: Path) -> None:
    users = {
        str(user.relative_to(ROOT))
        for folder in ("app", "workers")
        for user in (ROOT / folder).rglob("*.py")
        if user.name != "fleet.py" and name_of(path) in imported(user)
    }
    assert users == CROSSING[path.parent.name]


@functools.cache
def imported(path: Path) -> set[str]:
    """The modules that a file imports, or imports from."""
    names = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom):
            names |= {node.module or "", *(f"{node.module}.{alias.name}" for alias in node.names)}
        elif isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
    return names


def test_every_error_has_a_code_of_its_own() -> None:
    kinds = [kind for _, kind in inspect.getmembers(errors, inspect.isclass) if issubclass(kind, RespaldosError)]
    codes = [kind.code for kind in kinds]
    assert len(set(codes)) == len(codes)
