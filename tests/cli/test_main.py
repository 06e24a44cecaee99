"""The commands as a group: their modules are imported when they are called, and all the same they are listed."""

import os
import re
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import pytest

import app
from app.cli.main import LINES, WIDTHS
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
    "situacion": set[str](),
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


def test_each_command_is_listed_and_explains_itself() -> None:
    said = python(
        "import app.cli.main as m\n"
        "from itertools import chain\n"
        "assert sorted(chain(*m.MODULES.values())) == sorted(m.LINES)\n"
        "for name in m.LINES:\n"
        "    command = m.load(name)\n"
        "    assert command.name == name, command.name\n"
        "    assert (command.help or '').split('\\n\\n')[0].strip().endswith('.'), command.help\n"
        "print(len(m.LINES))"
    )
    assert int(said) > 20


def test_the_help_is_seen_at_once_and_no_line_of_it_is_cut() -> None:
    for columns in ("80", "200", "40"):
        said = subprocess.run(
            [PROGRAM, "--help"], capture_output=True, text=True, check=True, env=environment(COLUMNS=columns)
        ).stdout
        assert "..." not in said.replace("[ARGUMENTOS]...", "")
        lines = said.splitlines()
        assert max(map(len, lines)) <= 80
        # The last line of the terminal is the prompt's.
        assert len(lines) < 24 or columns == "40"
        for name, line in LINES.items():
            assert re.search(rf"(^|  ?){name} +{line}( |$)", said, re.MULTILINE), name
    name_width, line_width = WIDTHS
    assert all(len(name) < name_width and len(line) <= line_width for name, line in LINES.items())


@pytest.mark.parametrize("name", COMMANDS)
def test_a_command_imports_what_it_needs(name: str) -> None:
    said = python(
        "import sys, app.cli.main as m; m.load(sys.argv[1]); print(*sys.modules, sep='\\n')", name
    ).splitlines()
    assert HEAVY & set(said) == COMMANDS[name]


def test_listing_and_completing_import_no_command() -> None:
    for arguments, wanted in (
        ({}, "Lista los respaldos"),
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


# What each shell is told of `restaurar --so`: in bash the kind and the value, in zsh also what it is for.
COMPLETED = {
    "bash": "plain,--solo\n",
    "zsh": "plain\n--solo\nfaltantes: agrega",
    "fish": "plain,--solo\tfaltantes: agrega",
}


@pytest.mark.parametrize("shell", COMPLETED)
def test_what_the_documentation_says_has_the_shell_complete(shell: str) -> None:
    documented = (Path(__file__).parents[2] / "docs" / "command-line.md").read_text(encoding="utf-8")
    assert f"_RESPALDOS_COMPLETE={shell}_source respaldos" in documented
    script = subprocess.run(
        [PROGRAM],
        capture_output=True,
        text=True,
        check=True,
        env=environment(_RESPALDOS_COMPLETE=f"{shell}_source"),
    ).stdout
    assert f"_RESPALDOS_COMPLETE={shell}_complete" in script
    typed = {"COMP_WORDS": "respaldos restaurar --so", "COMP_CWORD": "--so" if shell == "fish" else "2"}
    said = subprocess.run(
        [PROGRAM],
        capture_output=True,
        text=True,
        check=True,
        env=environment(_RESPALDOS_COMPLETE=f"{shell}_complete", **typed),
    ).stdout
    assert said.startswith(COMPLETED[shell])


def test_bash_completes() -> None:
    said = subprocess.run(
        [
            "bash",
            "-c",
            'eval "$(_RESPALDOS_COMPLETE=bash_source respaldos)"; COMP_WORDS=(respaldos restau); COMP_CWORD=1;'
            ' _respaldos_completion respaldos; echo "${COMPREPLY[@]}"',
        ],
        capture_output=True,
        text=True,
        check=True,
        env=environment(PATH=f"{PROGRAM.parent}:{os.environ['PATH']}"),
    )
    assert said.stdout == "restaurar\n"
