"""Whole numbers as arguments; click words its own ranges half in English, and in the help with `<=`."""

from pathlib import Path
from typing import Any

import click


class WholeNumber(click.ParamType[int]):
    """From `minimum` to `maximum`, both included."""

    name = "N"

    def __init__(self, minimum: int, maximum: int) -> None:
        self._minimum = minimum
        self._maximum = maximum

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        """The number; of a default value too, which is one already."""
        try:
            number = int(value)
        except ValueError:
            number = self._minimum - 1
        if not self._minimum <= number <= self._maximum:
            self.fail(f"«{value}» no es un número entero de {self._minimum} a {self._maximum}", param, ctx)
        return number


# What PostgreSQL's bigint holds, as clinics and backups are numbered.
IDENTIFIER = WholeNumber(0, 2**63 - 1)


def id_of(which: str) -> int | None:
    """The backup's id, where a person has given one and not the name of a file."""
    return IDENTIFIER.convert(which, None, None) if which.isdecimal() and not Path(which).exists() else None


unsealed_option = click.option(
    "--sin-sello", is_flag=True, help="Acepta también un archivo sin sello: de antes de que los hubiera."
)
"""For what reads files of which the database knows nothing."""

UNSEALED_ID = "--sin-sello vale para un archivo: de un ID se sabe si se selló"
