"""What shows data goes through what makes it harmless."""

import re
from pathlib import Path

import app.cli

COMMANDS = sorted((Path(app.cli.__file__).parent / "commands").glob("*.py"))

# What prints a token or a key, which are ASCII, or JSON that is text by then.
HARMLESS = {"click.echo(text)", "click.echo(made.clave)", 'click.echo("]}")'}


def test_no_command_prints_by_itself() -> None:
    assert len(COMMANDS) > 10
    for path in COMMANDS:
        for line in path.read_text(encoding="utf-8").splitlines():
            if re.search(r"\b(click\.s?echo|click\.secho|print)\(", line):
                assert line.strip() in HARMLESS or "json_text(" in line, (path.name, line)
