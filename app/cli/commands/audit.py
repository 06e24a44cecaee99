"""The command auditoria: who did what, and whether every line of it is as it was written."""

import re
from typing import Any

import click

from app.cli.clinic_option import clinic_number, clinic_option
from app.cli.output import dated, done, failed, json_option, number, print_json, say, table, timestamp
from app.cli.parameters import IDENTIFIER, WholeNumber
from app.cli.running import with_databases
from app.dump.whose import named
from app.respaldos import audit
from app.respaldos.audit import Proof
from app.respaldos.contract import EventoEnLista
from app.respaldos.databases import Databases, transaction


class _Anchor(click.ParamType[tuple[int, str]]):
    """The number of a line and its hash, as `--verificar` says them."""

    name = "N:HUELLA"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[int, str]:
        """Both."""
        if isinstance(value, tuple):
            return value
        match = re.fullmatch(r"(\d{1,18}):([0-9a-f]{64})", value.strip())
        if match is None:
            self.fail("debe ser un número de línea, dos puntos y una huella, como los dijo --verificar", param, ctx)
        return int(match[1]), match[2]


@click.command()
@click.option("--verificar", is_flag=True, help="Comprueba que ninguna línea falte ni se haya cambiado.")
@click.option(
    "--contra",
    type=_Anchor(),
    metavar="N:HUELLA",
    help="Con --verificar: que la línea N siga siendo la que era cuando se anotó su huella.",
)
@clinic_option("Solo lo de esta clínica.")
@click.option("--antes", type=IDENTIFIER, metavar="N", help="Solo lo anterior a la línea N.")
@click.option("--limite", type=WholeNumber(1, 10_000), default=50, metavar="N", help="Cuántas líneas: 50.")
@json_option
@click.pass_context
def auditoria(
    context: click.Context,
    verificar: bool,
    contra: tuple[int, str] | None,
    clinica: str | None,
    antes: int | None,
    limite: int,
    as_json: bool,
) -> None:
    """Muestra quién hizo qué, lo más nuevo primero; o comprueba que todo siga como se escribió.

    Cada línea lleva la huella de la anterior. Quien anota fuera de aquí la última, con su número, sabe después si
    alguien rehízo la auditoría entera o le quitó el final.
    """
    if contra is not None and not verificar:
        raise click.UsageError("--contra va con --verificar")

    async def verify(databases: Databases) -> Proof:
        async with transaction(databases) as session:
            return await audit.verify(session, anchor=contra)

    async def look(databases: Databases) -> list[EventoEnLista]:
        clinica_id = await clinic_number(databases.clinic, clinica) if clinica is not None else None
        async with transaction(databases) as session:
            found, _ = await audit.page_of_eventos(session, clinica_id=clinica_id, before=antes, limit=limite)
        if not found and clinica is not None:
            # A mistyped clinic must not look like one of which nothing is on record.
            await databases.clinic.clinic(clinica)
        return [EventoEnLista.model_validate(line) for line in found]

    if verificar:
        _show_proof(with_databases(verify), context, as_json)
        return
    lines = with_databases(look)
    if as_json:
        print_json(lines)
        return
    table(
        ("Línea", dated("Fecha"), "Clínica", "Qué", "Respaldo", "Quién", "Desde"),
        [
            (
                str(line.id),
                timestamp(line.fecha),
                named(line.clinica_id) if line.clinica_id is not None else "",
                line.accion,
                str(line.respaldo_id or ""),
                line.usuario or str(line.detalle.get(audit.SYSTEM_USER, "")),
                line.direccion or "",
            )
            for line in lines
        ],
        right=(0, 2, 4),
    )


def _show_proof(proof: Proof, context: click.Context, as_json: bool) -> None:
    if as_json:
        print_json(
            {
                "correcta": proof.problem is None,
                "lineas": proof.lines,
                "ultima": proof.last,
                "huella": proof.digest,
                "problema": proof.problem,
            }
        )
    elif proof.problem is None:
        done(f"La auditoría está entera y como se escribió: {number(proof.lines)} líneas")
        say(f"Para comprobarlo más adelante: --contra {proof.last}:{proof.digest}")
    else:
        failed(f"La auditoría no está como se escribió: {proof.problem}")
    if proof.problem is not None:
        context.exit(1)
