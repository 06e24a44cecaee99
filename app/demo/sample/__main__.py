"""`python -m app.demo.sample postgresql://…`: the sample in an empty database, from a terminal."""

import argparse
import asyncio
import sys
import time
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal, NoReturn

import asyncpg

from app.demo.sample.generate import (
    DEMO_CLINICS,
    DEMO_PASSWORD,
    GrownOptions,
    SampleClinic,
    create_grown_schema,
    create_schema,
    create_tenant_schema,
    fill,
    fill_grown,
    logins,
    numbered_clinics,
)
from app.errors import DatabaseUnavailable, RespaldosError, SettingsError

_USAGE = (
    "python -m app.demo.sample URL [--clinics N] [--records N] [--seed N] [--tenancy column|schema]"
    " [--schema tidy|grown] [--null-fraction F] [--orphans N] [--strays N] [--tenant-not-null]"
)


class _SpanishParser(argparse.ArgumentParser):
    """argparse words its own complaints in English; the usage says the same."""

    def error(self, message: str) -> NoReturn:  # noqa: ARG002
        self.exit(2, f"Falta un argumento, o uno no vale. Uso: {_USAGE}\n")

    def format_help(self) -> str:
        return super().format_help().replace("usage: ", "Uso: ", 1)


def main(arguments: list[str] | None = None) -> int:
    """Run the command; gives its exit code, 0 only if the whole sample was made."""
    parser = _SpanishParser(
        usage=_USAGE,
        description="Llena una base PostgreSQL vacía con clínicas de muestra, iguales para igual semilla.",
        add_help=False,
    )
    options = parser.add_argument_group("argumentos")
    options.add_argument("url", metavar="URL", help="postgresql://usuario:clave@host:puerto/base")
    options.add_argument("--clinics", type=int, metavar="N", help="cuántas clínicas (si no, las de la demo)")
    options.add_argument("--records", type=int, metavar="N", help="registros de cada clínica (15000)")
    options.add_argument("--seed", type=int, default=1, metavar="N", help="la semilla (1)")
    options.add_argument(
        "--tenancy",
        choices=("column", "schema"),
        default="column",
        help="column (si no se dice) o schema",
    )
    options.add_argument(
        "--schema",
        choices=("tidy", "grown"),
        default="tidy",
        help="tidy (si no se dice) o grown: más de 50 tablas, cada una con una clinica_id que puede ser NULL",
    )
    grown = parser.add_argument_group("solo con --schema grown")
    grown.add_argument(
        "--null-fraction",
        type=float,
        default=0.0,
        metavar="F",
        help="qué parte de las filas no dice su clínica, de 0 a 1; la dicen sus claves foráneas (0)",
    )
    grown.add_argument("--orphans", type=int, default=0, metavar="N", help="filas de nadie, en total (0)")
    grown.add_argument(
        "--strays",
        type=int,
        default=0,
        metavar="N",
        help="filas de cada clínica, salvo la primera, que apuntan a otra clínica (0)",
    )
    grown.add_argument(
        "--tenant-not-null",
        action="store_true",
        help="las mismas filas con clinica_id NOT NULL; solo si ninguna fila queda sin clínica",
    )
    options.add_argument("-h", "--help", action="help", help="muestra esta ayuda")
    given = parser.parse_args(arguments)
    try:
        clinics: Iterable[SampleClinic] = DEMO_CLINICS
        if given.clinics is not None or given.records is not None:
            count = 3 if given.clinics is None else given.clinics
            clinics = tuple(numbered_clinics(count, 15_000 if given.records is None else given.records))
        grown_options = GrownOptions(given.null_fraction, given.orphans, given.strays)
        kind = _kind(given.schema, given.tenancy, grown_options, tenant_not_null=given.tenant_not_null)
        asyncio.run(_make(given.url, tuple(clinics), given.seed, kind))
    except RespaldosError as exc:
        sys.stderr.write(f"{exc}\n")
        return 1
    return 0


@dataclass(frozen=True, slots=True)
class _Grown:
    options: GrownOptions
    tenant_not_null: bool


def _kind(
    schema: str, tenancy: str, options: GrownOptions, *, tenant_not_null: bool
) -> Literal["column", "schema"] | _Grown:
    """What to make; raises SettingsError for options that do not go together."""
    if schema == "grown":
        if tenancy == "schema":
            raise SettingsError(
                "El esquema «grown» separa las clínicas por una columna: no vale con --tenancy schema"
            )
        if tenant_not_null and (options.null_fraction or options.orphans):
            raise SettingsError("Con --tenant-not-null, --null-fraction y --orphans deben ser 0")
        return _Grown(options, tenant_not_null)
    if tenant_not_null or options != GrownOptions():
        raise SettingsError("--null-fraction, --orphans, --strays y --tenant-not-null solo valen con --schema grown")
    return "schema" if tenancy == "schema" else "column"


async def _make(
    url: str, clinics: tuple[SampleClinic, ...], seed: int, kind: Literal["column", "schema"] | _Grown
) -> None:
    started = time.perf_counter()
    try:
        conn = await asyncpg.connect(url)
    except (asyncpg.PostgresError, asyncpg.ClientConfigurationError, OSError) as exc:
        raise DatabaseUnavailable(f"No se puede conectar con la base: {exc}") from exc
    try:
        # One transaction around both steps: what fails leaves no empty tables to be refused next time.
        async with conn.transaction():
            added = Counter[str]()
            if isinstance(kind, _Grown):
                await create_grown_schema(conn, tenant_not_null=kind.tenant_not_null)
                added += Counter((await fill_grown(conn, clinics, seed, kind.options)).added)
            elif kind == "schema":
                for clinic in clinics:
                    added += Counter(await create_tenant_schema(conn, clinic, seed))
            else:
                await create_schema(conn)
                added += Counter(await fill(conn, clinics, seed))
    finally:
        await conn.close()
    seconds = time.perf_counter() - started
    lines = [f"✓ {len(clinics)} clínicas, {_thousands(added.total())} filas en {seconds:.1f} s"]
    lines += [f"  {clinic.id:>4}  {_thousands(clinic.records):>11}  {clinic.nombre}" for clinic in clinics]
    lines += [f"  {name:<26}{_thousands(count):>11}" for name, count in added.items()]
    lines.append(f"Se entra con la contraseña {DEMO_PASSWORD} y uno de estos correos:")
    people = logins(clinics)
    lines += [f"  {login.email} ({login.rol})" for login in people[:_SHOWN]]
    if len(people) > _SHOWN:
        lines.append(f"  … y los de las demás clínicas, {len(people)} en total")
    sys.stdout.write("\n".join(lines) + "\n")


_SHOWN = 13


def _thousands(number: int) -> str:
    return f"{number:,}".replace(",", ".")


if __name__ == "__main__":
    sys.exit(main())
