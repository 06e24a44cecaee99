"""Every query says whose rows it is about, and every error has a code of its own."""

import inspect
from pathlib import Path

import app
from app import errors
from app.errors import RespaldosError
from app.respaldos import platform_repository, repository

# Whoever may see across clinics.
PLATFORM_USERS = {"cli/respaldo_commands.py", "respaldos/reconciliar.py"}


def test_every_query_takes_the_clinic_by_name() -> None:
    queries = [
        function
        for name, function in inspect.getmembers(repository, inspect.iscoroutinefunction)
        if function.__module__ == repository.__name__ and not name.startswith("_")
    ]
    assert len(queries) >= 8
    for query in queries:
        clinic = inspect.signature(query).parameters.get("clinica_id")
        assert clinic is not None, query.__name__
        assert clinic.kind is inspect.Parameter.KEYWORD_ONLY, query.__name__
        assert clinic.default is inspect.Parameter.empty, query.__name__


def test_what_crosses_clinics_is_used_only_where_it_may_be() -> None:
    root = Path(app.__file__).parent
    users = {
        str(path.relative_to(root))
        for path in root.rglob("*.py")
        if "platform_repository" in path.read_text(encoding="utf-8") and path.stem != platform_repository.__name__
    }
    assert users - {"respaldos/platform_repository.py"} == PLATFORM_USERS


def test_every_error_has_a_code_of_its_own() -> None:
    kinds = [kind for _, kind in inspect.getmembers(errors, inspect.isclass) if issubclass(kind, RespaldosError)]
    codes = [kind.code for kind in kinds]
    assert len(set(codes)) == len(codes)
