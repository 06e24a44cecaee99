"""How the command line shows things to people and to programs."""

import json
import sys
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Any, TypeVar

import click
from pydantic_core import to_jsonable_python

F = TypeVar("F", bound=Callable[..., Any])

MIB = 1 << 20


def json_option(command: F) -> F:
    """`--json`, which every command has."""
    return click.option("--json", "as_json", is_flag=True, help="Responde en JSON, para otros programas.")(command)


def print_json(value: object) -> None:
    """A document for other programs, on standard output."""
    click.echo(json.dumps(to_jsonable_python(value), ensure_ascii=False, indent=2))


def done(text: str) -> None:
    """A line that says that something has succeeded."""
    click.secho(f"✓ {text}", fg="green")


def warn(text: str) -> None:
    """A line that a person should read, apart from the result."""
    click.secho(f"⚠ {text}", fg="yellow", err=True)


def confirm(question: str) -> bool:
    """Ask a person; anything but a yes is a no."""
    # click's own confirmation takes an answer in English only.
    answer = click.prompt(f"{question} [s/N]", default="n", show_default=False)
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


def number(value: int | None) -> str:
    """A count with thousands separators."""
    return "—" if value is None else f"{value:,}"


def timestamp(at: datetime) -> str:
    """A date and time, to the second, for people."""
    return f"{at:%Y-%m-%d %H:%M:%S}"


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
        shown.add_row(*row)
    # Piped into a file or another program, no line is broken.
    Console(width=None if sys.stdout.isatty() else 1000, markup=False).print(shown)


def fields(values: Mapping[str, str], *, indent: int = 0) -> None:
    """Names and values, one a line."""
    for name, value in values.items():
        click.echo(f"{' ' * indent}{name}: {value}")
