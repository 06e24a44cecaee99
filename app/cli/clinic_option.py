"""`--clinica`: which clinic a command is about."""

import re
from collections.abc import Callable
from typing import Any, TypeVar

import click

from app.cli.parameters import IDENTIFIER
from app.clinic.database import ClinicDatabase
from app.errors import ClinicNotFound, DatabaseUnavailable

F = TypeVar("F", bound=Callable[..., Any])


class _ClinicName(click.ParamType[str]):
    """A clinic's number, or the name of its schema: which, the list of clinics says."""

    name = "N"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """The text as it was given."""
        if re.fullmatch(r"[+-]?\d+", value):
            IDENTIFIER.convert(value, param, ctx)
        elif not value.strip() or not value.isprintable():
            self.fail("debe ser el número de una clínica, o el nombre de su esquema", param, ctx)
        return str(value)


def clinic_option(said: str, *, required: bool = False) -> Callable[[F], F]:
    """`--clinica`, whose help begins with `said`; it gives a text for `ClinicDatabase.clinic`, or None."""
    return click.option(
        "--clinica",
        type=_ClinicName(),
        metavar="N",
        required=required,
        help=f"{said} Vale su número o, con TENANCY=schema, el nombre de su esquema; si es de solo cifras, primero"
        " cuenta como número.",
    )


async def clinic_number(database: ClinicDatabase, named: str) -> int:
    """The number of the clinic that a person named, which need not be there where it is a number.

    Backups of a clinic that is gone are there still, and one that never was is told by what is done with its number.
    Raises ClinicNotFound or DatabaseUnavailable for a name.
    """
    try:
        return (await database.clinic(named)).id
    except (ClinicNotFound, DatabaseUnavailable):
        if not named.isdecimal():
            raise
        return int(named)


def whose_option(command: F) -> F:
    """`--clinica N` or `--plataforma`, of which `one_of` lets one through."""
    platform = click.option(
        "--plataforma", is_flag=True, help="Lo que no es de ninguna clínica: tablas compartidas y registros sueltos."
    )
    return clinic_option("La clínica.")(platform(command))


def one_of(clinica: str | None, plataforma: bool) -> str | None:
    """The clinic as it was named, None for the platform. Raises UsageError unless just one of the two is given."""
    if (clinica is None) != plataforma:
        raise click.UsageError("diga de quién: --clinica N, o --plataforma")
    return clinica
