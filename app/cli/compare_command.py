"""The command that says what changed: comparar."""

import json
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING

import click

from app.cli.output import done, json_option, number, progress_bar, table
from app.cli.respaldo_commands import find_respaldo
from app.cli.session import with_resources
from app.cli.whole_number import IDENTIFIER

if TYPE_CHECKING:
    from app.clinic.restore.changed_rows import Change, ChangedRow, Value
    from app.respaldos.comparar_respaldos import Comparacion
    from app.respaldos.resources import Resources

SIGNS: "dict[Change, str]" = {"insertados": "+", "actualizados": "~", "eliminados": "-"}
WORDS: "dict[Change, str]" = {"insertados": "agregado", "actualizados": "cambiado", "eliminados": "quitado"}


@click.command()
@click.argument("id_", metavar="ID", type=IDENTIFIER)
@click.argument("otro", metavar="[ID2]", type=IDENTIFIER, required=False)
@click.option("--resumen", is_flag=True, help="Solo cuántos registros de cada modelo, no cuáles.")
@json_option
def comparar(id_: int, otro: int | None, resumen: bool, as_json: bool) -> None:
    """Dice qué cambió entre un respaldo y hoy, o entre dos respaldos.

    De cada registro distinto muestra si se agregó (+), se quitó (-) o cambió (~), y qué campos, antes y después. Los
    valores largos se muestran cortados, salvo con --json; contraseñas y otros secretos no se muestran nunca.
    Siempre termina bien si pudo comparar, haya o no diferencias.
    """

    async def work(resources: "Resources") -> None:
        from app.respaldos.comparar_respaldos import comparar_respaldos

        respaldo = await find_respaldo(resources, id_)
        other = await find_respaldo(resources, otro) if otro is not None else None
        size = (respaldo.tamaño_bytes or 0) + ((other.tamaño_bytes or 0) if other is not None else 0)
        async with AsyncExitStack() as stack:
            # The bar is gone before anything is printed.
            with progress_bar("Comparando", total=size) as progress:
                found = await stack.enter_async_context(
                    comparar_respaldos(resources, respaldo, other, progress=progress)
                )
            await (_print_json if as_json else _print)(found, rows=not resumen)

    with_resources(work)


async def _print(found: "Comparacion", *, rows: bool) -> None:
    changed = {name: each for name, each in found.modelos.items() if each.any}
    if not changed:
        done("No hay ninguna diferencia")
        return
    if rows:
        async for model, row in found.rows():
            click.echo(_line(model, row))
    table(
        ("Modelo", "Agregados", "Cambiados", "Quitados"),
        [(name, number(each.inserted), number(each.updated), number(each.deleted)) for name, each in changed.items()],
        right=(1, 2, 3),
    )


def _line(model: str, row: "ChangedRow") -> str:
    key = ", ".join(_text(value) for value in row.key.values())
    changed = "; ".join(f"{name}: {_text(before)} → {_text(after)}" for name, (before, after) in row.fields.items())
    return f"{SIGNS[row.kind]} {model} {key}{f'  {changed}' if changed else ''}"


def _text(value: "Value") -> str:
    return value if isinstance(value, str) else json.dumps(value)


async def _print_json(found: "Comparacion", *, rows: bool) -> None:
    """One document, printed as it is read: it may be longer than memory."""
    models = {
        name: {"agregados": each.inserted, "cambiados": each.updated, "quitados": each.deleted}
        for name, each in found.modelos.items()
    }
    click.echo(f'{{"modelos": {json.dumps(models, ensure_ascii=False)}, "cambios": [', nl=False)
    separator = "\n"
    async for model, row in found.rows(whole=True):
        if not rows:
            break
        document = {
            "modelo": model,
            "cambio": WORDS[row.kind],
            "clave": row.key,
            "campos": {name: {"antes": before, "despues": after} for name, (before, after) in row.fields.items()},
        }
        click.echo(f"{separator}{json.dumps(document, ensure_ascii=False)}", nl=False)
        separator = ",\n"
    click.echo("]}")
