"""The commands as a group: their modules are imported when they are called, and all the same they are listed."""

import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import pytest

import app
from tests.support.program import PROGRAM, environment

# What only operations on backups, or the service, need: half a second and more.
HEAVY = {
    *("aioboto3", "botocore", "fastapi", "arq", "alembic", "jwt", "pyarrow", "opentelemetry"),
    "app.clinic.restore.database",
}

# Each command with what of HEAVY it needs when it is called.
COMMANDS = {
    "listar": set[str](),
    "ver": set[str](),
    "estadisticas": set[str](),
    "clinicas": set[str](),
    "catalogo": set[str](),
    "worker": set[str](),
    "verificar": set[str](),
    "exportar": set[str](),
    "crear": {"app.clinic.restore.database"},
    "restaurar": {"app.clinic.restore.database"},
    "migrar": {"alembic"},
}


def python(program: str, *arguments: str) -> str:
    """What a program prints that has just started."""
    ran = subprocess.run(
        [sys.executable, "-c", program, *arguments], capture_output=True, text=True, check=True, env=environment()
    )
    return ran.stdout


def test_each_command_is_listed_with_its_own_first_sentence() -> None:
    said = python(
        "import app.cli.main as m\n"
        "from itertools import chain\n"
        "assert sorted(chain(*m.MODULES.values())) == sorted(m.LINES)\n"
        "for name, line in m.LINES.items():\n"
        "    command = m.load(name)\n"
        "    assert command.name == name, command.name\n"
        "    own = ' '.join((command.help or '').split('\\n\\n')[0].split())\n"
        "    assert own == line, (own, line)\n"
        "print(len(m.LINES))"
    )
    assert int(said) > 20


@pytest.mark.parametrize("name", COMMANDS)
def test_a_command_imports_what_it_needs(name: str) -> None:
    said = python(
        "import sys, app.cli.main as m; m.load(sys.argv[1]); print(*sys.modules, sep='\\n')", name
    ).splitlines()
    assert HEAVY & set(said) == COMMANDS[name]


def test_listing_and_completing_import_no_command() -> None:
    for arguments, wanted in (
        ({}, "Lista los respaldos, del más nuevo al más viejo."),
        ({"_RESPALDOS_COMPLETE": "bash_complete", "COMP_WORDS": "respaldos li", "COMP_CWORD": "1"}, "plain,listar"),
    ):
        said = subprocess.run(
            [sys.executable, "-X", "importtime", PROGRAM, "--help"],
            capture_output=True,
            text=True,
            check=True,
            env=environment(**arguments),
        )
        assert wanted in said.stdout
        assert "app.cli.commands" not in said.stderr
        assert "sqlalchemy" not in said.stderr


def test_options_are_completed() -> None:
    completing = environment(_RESPALDOS_COMPLETE="bash_complete", COMP_WORDS="respaldos listar --", COMP_CWORD="2")
    said = subprocess.run([PROGRAM], capture_output=True, text=True, check=True, env=completing)
    assert {"plain,--clinica", "plain,--limite", "plain,--json"} <= set(said.stdout.splitlines())


def test_the_version_stands_in_one_place() -> None:
    said = subprocess.run([PROGRAM, "--version"], capture_output=True, text=True, check=True, env=environment())
    api = python("import json, app.main; print(app.main.create_app().openapi()['info']['version'])")
    assert said.stdout == api == f"{version('respaldos')}\n"


def test_without_the_demo_it_is_said_so(tmp_path: Path) -> None:
    """As in the wheel, which has no app.demo."""
    (tmp_path / "app").mkdir()
    for path in Path(app.__file__).parent.iterdir():
        if path.name not in {"demo", "__pycache__"}:
            (tmp_path / "app" / path.name).symlink_to(path)
    for command in ("demo", "listar"):
        ran = subprocess.run(
            [sys.executable, "-m", "app.cli.main", command],
            capture_output=True,
            text=True,
            env=environment(),
            cwd=tmp_path,
        )
        assert ran.returncode == 1
        assert ran.stderr.startswith("✗ esta instalación no trae la demo")
        assert "Traceback" not in ran.stderr
