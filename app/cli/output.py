"""How the command line shows things to people and to programs."""

import json
import re
import sys
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from functools import cache
from typing import Any, TypeVar
from zoneinfo import ZoneInfo

import click
from pydantic_core import to_jsonable_python

from app.printable import printable

F = TypeVar("F", bound=Callable[..., Any])

MIB = 1 << 20

# Of what JSON lets stand in a string, what a terminal heeds, or what turns the writing around.
_HEEDED = re.compile(r"[\x7f-\x9f\u200e\u200f\u2028-\u202e\u2066-\u2069]")


def json_option(command: F) -> F:
    """`--json`, which every command has."""
    return click.option("--json", "as_json", is_flag=True, help="Responde en JSON, para otros programas.")(command)


def print_json(value: object) -> None:
    """A document for other programs, on standard output."""
    click.echo(json_text(value, indent=2))


def json_text(value: object, *, indent: int | None = None) -> str:
    """The value as JSON, which may be shown on a terminal whatever its strings hold."""
    text = json.dumps(to_jsonable_python(value), ensure_ascii=False, indent=indent)
    return _HEEDED.sub(lambda found: f"\\u{ord(found[0]):04x}", text)


def say(text: str = "") -> None:
    """A line of the result, on standard output."""
    click.echo(printable(text))


def done(text: str) -> None:
    """A line that says that something has succeeded."""
    click.secho(f"✓ {printable(text)}", fg="green")


def warn(text: str) -> None:
    """A line that a person should read, apart from the result."""
    click.secho(f"⚠ {printable(text)}", fg="yellow", err=True)


def failed(text: str) -> None:
    """A line that says that something has failed."""
    click.secho(f"✗ {printable(text)}", fg="red", err=True)


# Of what was looked at, by how it is: as for what a command has done.
_MARKS = {"bien": ("✓", "green"), "aviso": ("⚠", "yellow"), "mal": ("✗", "red")}


def finding(level: str, text: str, remedy: str | None) -> None:
    """A line that says how something is (`bien`, `aviso` or `mal`), and those that mend it."""
    mark, color = _MARKS[level]
    click.secho(f"{mark} {printable(text)}", fg=color)
    for line in (remedy or "").splitlines():
        say(f"    → {line}")


def confirm(question: str) -> bool:
    """Ask a person; anything but a yes is a no."""
    # click's own confirmation takes an answer in English only.
    answer = click.prompt(f"{printable(question)} [s/N]", default="n", show_default=False)
    return str(answer).strip().lower() in {"s", "si", "sí"}


def ask_first(question: str, si: bool, *, refusal: str) -> None:
    """Ask before something is lost; without a terminal and without `--si` it is refused in those words.

    To be called before any work begins: in there, Ctrl-C waits for the work, which would wait for the answer.
    """
    if si:
        return
    if not sys.stdin.isatty():
        raise click.UsageError(refusal)
    if not confirm(question):
        raise click.Abort


def size(bytes_: int | None) -> str:
    """A size for people, in the unit that keeps it short."""
    if bytes_ is None:
        return "—"
    if bytes_ < 1024:
        return f"{bytes_} bytes"
    return f"{bytes_ / 1024:,.1f} KB" if bytes_ < MIB else f"{bytes_ / MIB:,.2f} MB"


def elapsed(seconds: float) -> str:
    """How long something took, for people: `0.4 s`, `3 min 5 s`, `1 h 2 min`."""
    if seconds < 59.95:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes} min {rest} s"
    hours, minutes = divmod(round(seconds / 60), 60)
    return f"{hours:,} h {minutes} min"


def number(value: int | None) -> str:
    """A count with thousands separators."""
    return "—" if value is None else f"{value:,}"


@cache
def time_zone() -> ZoneInfo:
    """TIME_ZONE, in which people are shown every moment. Raises SettingsError."""
    # What is about a file alone does not wait for the settings (0.1 s).
    from app.settings import settings_of_process

    return settings_of_process().time_zone


def timestamp(at: datetime) -> str:
    """An aware moment in TIME_ZONE, to the second, for people; where it stands, `dated` says which zone that is."""
    return f"{at.astimezone(time_zone()):%Y-%m-%d %H:%M:%S}"


def dated(name: str) -> str:
    """The header of a column, or the name of a field, with timestamps in it: `Fecha (America/La_Paz)`."""
    return f"{name} ({time_zone()})"


def table(headers: Sequence[str], rows: Sequence[Sequence[str]], *, right: Sequence[int] = ()) -> None:
    """Rows under their headers; the columns numbered in `right` are aligned to the right."""
    # Only who is shown a table, or a bar, waits for rich: 0.06 s of a processor.
    from rich import box
    from rich.console import Console
    from rich.table import Table

    shown = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for index, header in enumerate(headers):
        shown.add_column(header, justify="right" if index in right else "left", overflow="fold")
    for row in rows:
        shown.add_row(*map(printable, row))
    # Piped into a file or another program, no line is broken.
    Console(width=None if sys.stdout.isatty() else 1000, markup=False).print(shown)


def fields(values: Mapping[str, str], *, indent: int = 0) -> None:
    """Names and values, one a line."""
    for name, value in values.items():
        say(f"{' ' * indent}{name}: {value}")
