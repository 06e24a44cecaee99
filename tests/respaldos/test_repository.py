"""Every query says whose rows it is about, and every error has a code of its own."""

import ast
import functools
import inspect
from importlib import import_module
from pathlib import Path
from types import ModuleType

import pytest

import app
from app import errors
from app.errors import RespaldosError

ROOT = Path(app.__file__).parents[1]

# What crosses clinics, and whoever may use it: the command line, the worker's operations, the platform's routes.
CROSSING = {
    "platform_repository": {
        "app/api/plataforma.py",
        "app/cli/respaldo_commands.py",
        "app/respaldos/ejecutar_respaldo.py",
        "app/respaldos/ejecutar_restauracion.py",
        "app/respaldos/expired_restores.py",
        "app/respaldos/programar_ensayos.py",
        "app/respaldos/reading_attempt.py",
        "app/respaldos/reconciliar.py",
    },
    "platform_retention_repository": {
        "app/respaldos/limpiar_respaldos_antiguos.py",
        "app/respaldos/purgar.py",
        "app/respaldos/reindexar.py",
    },
    "programacion_repository": {"app/respaldos/programar.py", "app/respaldos/vigilar.py"},
    "avisos_repository": {"app/notify/sender.py", "app/notify/delivery.py", "app/notify/news.py"},
    "metrics_repository": {"app/api/metrics.py"},
    "platform_clinicas_repository": {"app/respaldos/listar_clinicas.py"},
}


def repositories() -> list[ModuleType]:
    """The modules of queries about one clinic's rows."""
    found = sorted((ROOT / "app/respaldos").glob("*repository.py"))
    assert {path.stem for path in found} >= CROSSING.keys()
    names = [path.stem for path in found if path.stem not in CROSSING]
    return [import_module(f"app.respaldos.{name}") for name in names]


@pytest.mark.parametrize("repository", repositories(), ids=lambda module: module.__name__)
def test_every_query_takes_the_clinic_by_name(repository: ModuleType) -> None:
    queries = [
        function
        for name, function in inspect.getmembers(repository, inspect.iscoroutinefunction)
        if function.__module__ == repository.__name__ and not name.startswith("_")
    ]
    assert queries
    for query in queries:
        clinic = inspect.signature(query).parameters.get("clinica_id")
        assert clinic is not None, query.__name__
        assert clinic.kind is inspect.Parameter.KEYWORD_ONLY, query.__name__
        assert clinic.default is inspect.Parameter.empty, query.__name__


@pytest.mark.parametrize("crossing", CROSSING)
def test_what_crosses_clinics_is_used_only_where_it_may_be(crossing: str) -> None:
    users = {
        str(path.relative_to(ROOT))
        for folder in ("app", "workers")
        for path in (ROOT / folder).rglob("*.py")
        if crossing in imported(path) and not path.stem.endswith("repository")
    }
    assert users == CROSSING[crossing]


@functools.cache
def imported(path: Path) -> set[str]:
    """The last names of the modules that a file imports, or imports from."""
    names = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom):
            names |= {(node.module or "").rpartition(".")[2], *(alias.name for alias in node.names)}
        elif isinstance(node, ast.Import):
            names |= {alias.name.rpartition(".")[2] for alias in node.names}
    return names


def test_every_error_has_a_code_of_its_own() -> None:
    kinds = [kind for _, kind in inspect.getmembers(errors, inspect.isclass) if issubclass(kind, RespaldosError)]
    codes = [kind.code for kind in kinds]
    assert len(set(codes)) == len(codes)
