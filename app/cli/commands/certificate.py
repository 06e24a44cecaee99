"""The command constancia: a backup, or what was done with it, as a PDF."""

from pathlib import Path

import click

from app.certificate.issue import emitir_constancia, file_name
from app.cli.find import find_respaldo
from app.cli.output import ask_first, done, json_option, print_json, size
from app.cli.parameters import IDENTIFIER
from app.cli.progress import progress_bar
from app.cli.resources import with_resources
from app.errors import LocalFileError, RespaldoNotFound
from app.respaldos.audit import COMMAND_LINE
from app.respaldos.databases import transaction
from app.respaldos.models import Respaldo, Restauracion
from app.respaldos.reading import queries as reading_queries
from app.respaldos.resources import Resources


@click.command()
@click.argument("id_", metavar="ID", type=IDENTIFIER)
@click.option(
    "--restauracion",
    type=IDENTIFIER,
    metavar="N",
    help="De esta restauración o verificación del respaldo, y no del respaldo solo.",
)
@click.option(
    "-o", "--salida", type=click.Path(dir_okay=False, path_type=Path), metavar="F", help="Archivo en que se guarda."
)
@click.option("--si", is_flag=True, help="Reemplaza el archivo sin preguntar.")
@json_option
def constancia(id_: int, restauracion: int | None, salida: Path | None, si: bool, as_json: bool) -> None:
    """Emite la constancia de un respaldo, o de lo que se hizo con él, en un PDF para quien audita.

    Dice qué, cuándo, quién y por qué, el resumen SHA-256 de cada modelo y cómo comprobarlo otra vez. Para emitirla se
    lee y comprueba el archivo entero, y queda anotado como una verificación completa.
    """

    async def work(resources: Resources) -> Path:
        respaldo = await find_respaldo(resources, id_)
        found = await _of(resources, respaldo, restauracion) if restauracion is not None else None
        target = salida or Path(file_name(respaldo, found))
        if target.exists():
            ask_first(
                f"«{target}» ya existe. ¿Reemplazarlo?",
                si,
                refusal=f"«{target}» ya existe; use --si para reemplazarlo",
            )
        with progress_bar("Comprobando", total=respaldo.tamaño_bytes) as progress:
            document = await emitir_constancia(resources, respaldo, found, actor=COMMAND_LINE, progress=progress)
        try:
            target.write_bytes(document)
        except OSError as exc:
            raise LocalFileError(f"no se puede escribir «{target}»: {exc.strerror or exc}") from exc
        return target

    target = with_resources(work)
    if as_json:
        print_json({"archivo": str(target), "tamaño_bytes": target.stat().st_size})
    else:
        done(f"{target} ({size(target.stat().st_size)})")


async def _of(resources: Resources, respaldo: Respaldo, number: int) -> Restauracion:
    async with transaction(resources) as session:
        found = await reading_queries.get(session, number, clinica_id=respaldo.clinica_id)
    if found.respaldo_id != respaldo.id:
        raise RespaldoNotFound(
            f"la restauración {number} no es del respaldo {respaldo.id}, sino del {found.respaldo_id}"
        )
    return found
