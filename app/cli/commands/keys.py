"""The command claves: the keys that backups are encrypted with, wrapped anew and destroyed."""

import sys
from collections.abc import Sequence
from typing import Literal

import click

from app.cli.clinic_option import clinic_number, one_of, whose_option
from app.cli.output import dated, done, failed, json_option, number, print_json, say, table, timestamp, warn
from app.cli.progress import progress_bar
from app.cli.resources import with_resources
from app.cli.running import system_user, with_databases
from app.dump.whose import named, whose
from app.respaldos.audit import COMMAND_LINE
from app.respaldos.contract import DestruccionDeClave
from app.respaldos.databases import Databases, transaction
from app.respaldos.keys import fleet as key_fleet
from app.respaldos.keys.destroy import (
    WITHIN,
    Destroyed,
    confirmar_destruccion,
    pedir_destruccion,
    retirar_destruccion,
    typed_name,
)
from app.respaldos.keys.rotate import Rotated, rotar_claves
from app.respaldos.models import Clave
from app.respaldos.resources import Resources


@click.group(invoke_without_command=True, subcommand_metavar="[ORDEN [ARGUMENTOS]...]")
@json_option
@click.pass_context
def claves(context: click.Context, as_json: bool) -> None:
    """Lista las claves con que se cifran los respaldos, las destruidas también; con una orden, las cambia.

    Hay una por clínica, que una clave maestra envuelve; con ENCRYPTION=on se hacen solas. Quien pierde la clave
    maestra pierde los respaldos cifrados.
    """
    if context.invoked_subcommand is None:
        _list(as_json)


def _list(as_json: bool) -> None:
    async def work(databases: Databases) -> Sequence[Clave]:
        async with transaction(databases) as session:
            return await key_fleet.every(session)

    found = with_databases(work)
    if as_json:
        print_json([_described(key) for key in found])
        return
    if not found:
        say("No hay ninguna clave: la primera se hace con el primer respaldo cifrado (ENCRYPTION=on)")
        return
    table(
        ("Clave", "Clínica", dated("Desde"), "Clave maestra", "Estado"),
        [
            (key.id, named(key.clinica_id), timestamp(key.fecha_creacion), key.maestra or "—", _state(key))
            for key in found
        ],
        right=(1,),
    )


def _described(key: Clave) -> dict[str, object]:
    return {
        "id": key.id,
        "clinica_id": key.clinica_id,
        "fecha_creacion": key.fecha_creacion,
        "clave_maestra": key.maestra,
        "copiada": key.copiada if key.destruida is None else None,
        "destruida": key.destruida,
        "destruccion_pedida": key.destruccion_pedida,
        "destruccion_pedida_por": key.destruccion_pedida_por,
    }


def _state(key: Clave) -> str:
    if key.destruida is not None:
        left = " (queda por borrar del bucket)" if key.copiada is not None else ""
        return f"destruida el {timestamp(key.destruida)}{left}"
    if key.copiada is None:
        return "falta su copia en el bucket"
    if key.destruccion_pedida is not None:
        return f"{key.destruccion_pedida_por} pidió destruirla"
    return "en uso"


@claves.command(options_metavar="[OPCIONES]")
@json_option
@click.pass_context
def rotar(context: click.Context, as_json: bool) -> None:
    """Envuelve todas las claves con la primera clave maestra de MASTER_KEYS.

    Para cambiar de clave maestra: ponga la nueva primero, deje la anterior detrás, y use esta orden; después la
    anterior ya no hace falta. No cambia ningún respaldo. Si se corta, vuelva a usarla: sigue donde quedó.
    """

    async def work(resources: Resources) -> Rotated:
        with progress_bar("Envolviendo claves") as progress:
            return await rotar_claves(resources, progress=progress)

    found = with_resources(work)
    if as_json:
        print_json(
            {
                "clave_maestra": found.master_id,
                "envueltas": found.wrapped,
                "copiadas": found.copied,
                "fallidas": found.failed,
            }
        )
    else:
        for why in found.failed.values():
            warn(why)
        said = f"Claves envueltas con «{found.master_id}»: {number(len(found.wrapped))}"
        (failed if found.failed else done)(
            f"{said}; copiadas al bucket: {number(len(found.copied))}"
            + (f"; no se pudo con {number(len(found.failed))}" if found.failed else "")
        )
    if found.failed:
        context.exit(1)


@claves.command(options_metavar="[OPCIONES]")
@whose_option
@click.option("--confirmar", is_flag=True, help="Destruye lo que otra persona pidió.")
@click.option("--retirar", is_flag=True, help="Quita lo que se pidió.")
@click.option(
    "--nombre",
    metavar="T",
    help="El nombre de la clínica, sin que importen acentos ni guiones; si falta, se pregunta.",
)
@json_option
def destruir(
    clinica: str | None, plataforma: bool, confirmar: bool, retirar: bool, nombre: str | None, as_json: bool
) -> None:
    """Destruye la clave de una clínica: nadie podrá leer nunca más sus respaldos cifrados.

    Lo pide una persona y lo confirma otra, en un día: aquí con otro usuario del sistema, o un superadministrador
    por la API. Después los respaldos siguen en la lista, con la fecha en que se destruyó su clave; el próximo
    respaldo de la clínica tiene una clave nueva.

    Copias de la base de datos o del bucket hechas antes todavía tienen la clave, envuelta: rote la clave maestra y
    destruya también la anterior.
    """
    owner = one_of(clinica, plataforma)
    if confirmar and retirar:
        raise click.UsageError("--confirmar no va con --retirar")
    by = f"{system_user()} (línea de comandos)"

    async def found(databases: Databases) -> tuple[int | None, str]:
        clinica_id = await clinic_number(databases.clinic, owner) if owner is not None else None
        return clinica_id, await typed_name(databases, clinica_id=clinica_id)

    clinica_id, expected = with_databases(found)
    if nombre is None and not retirar:
        nombre = _ask_name(clinica_id, expected)
    typed = nombre or ""

    async def ask(databases: Databases) -> None:
        if retirar:
            await retirar_destruccion(databases, clinica_id=clinica_id, por=by, actor=COMMAND_LINE)
        else:
            await pedir_destruccion(databases, clinica_id=clinica_id, nombre=typed, por=by, actor=COMMAND_LINE)

    async def destroy(resources: Resources) -> Destroyed:
        return await confirmar_destruccion(resources, clinica_id=clinica_id, nombre=typed, por=by, actor=COMMAND_LINE)

    if not confirmar:
        with_databases(ask)
        hours = int(WITHIN.total_seconds() // 3600)
        if as_json:
            stage: Literal["retirada", "pedida"] = "retirada" if retirar else "pedida"
            print_json(DestruccionDeClave(clinica_id=clinica_id, etapa=stage, persona=by))
        elif retirar:
            done(f"Ya nadie pide destruir la clave de {whose(clinica_id)}")
        else:
            done(f"Pedido anotado: otra persona tiene {hours} horas para confirmarlo")
        return
    gone = with_resources(destroy)
    if as_json:
        print_json(
            DestruccionDeClave(
                clinica_id=clinica_id, etapa="hecha", persona=by, claves=gone.keys, pendiente=gone.left
            )
        )
        return
    for why in gone.left:
        warn(f"queda por borrar del bucket, y los trabajadores lo seguirán intentando: {why}")
    done(
        f"Clave de {whose(clinica_id)} destruida ({', '.join(gone.keys)}): nadie puede leer lo que se cifró con ella"
    )


def _ask_name(clinica_id: int | None, expected: str) -> str:
    if not sys.stdin.isatty():
        raise click.UsageError("diga con --nombre el nombre de la clínica")
    warn(f"Nadie podrá leer nunca más los respaldos cifrados de {whose(clinica_id)}")
    return str(click.prompt(f"Escriba «{expected}» para seguir", default="", show_default=False))
