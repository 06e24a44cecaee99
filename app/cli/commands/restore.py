"""Commands that put data back, or say what changed: restaurar, comparar."""

import json
import sys
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import AsyncExitStack
from dataclasses import replace
from datetime import datetime
from itertools import islice
from pathlib import Path
from tempfile import TemporaryFile
from typing import Any, TextIO
from urllib.parse import urlsplit

import click

from app.cli.find import find_respaldo
from app.cli.output import (
    confirm,
    done,
    failed,
    json_option,
    json_text,
    number,
    print_json,
    say,
    table,
    time_zone,
    warn,
)
from app.cli.parameters import IDENTIFIER, UNSEALED_ID, id_of, unsealed_option
from app.cli.progress import progress_bar
from app.cli.resources import with_resources
from app.cli.running import with_settings
from app.clinic.restore.changed_rows import Change, ChangedRow, Value
from app.clinic.restore.database import RestoreDatabase
from app.clinic.restore.mode import Modo
from app.clinic.restore.session import ClinicRestore, Plan
from app.connections.databases import tenancy
from app.connections.resources import open_resources, record_labels, secret_columns
from app.dump.whose import whose
from app.errors import ClinicNotFound
from app.printable import printable
from app.respaldos.backup.object_key import PREFIX
from app.respaldos.contract import RestauracionEnLista
from app.respaldos.models import Respaldo, Restauracion
from app.respaldos.reading.comparison import Comparacion, comparar_respaldos
from app.respaldos.reconcile import reconciliar
from app.respaldos.resources import Resources
from app.respaldos.restore.request import MOST_RECORDS, RestoreRequest
from app.respaldos.restore.run import restaurar_respaldo
from app.respaldos.retention.take_in import take_file, take_object
from app.settings import Settings

# How many rows of each model are shown to whoever has not asked for all of them: about a screen.
ROWS_SHOWN = 20


class _Moment(click.ParamType[datetime]):
    """A day's beginning, or a moment, in TIME_ZONE unless it says its own."""

    name = "FECHA"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> datetime:
        """Aware."""
        try:
            given = datetime.fromisoformat(value)
            return given if given.tzinfo is not None else given.replace(tzinfo=time_zone())
        except ValueError:
            self.fail(f"«{value}» no es una fecha: se escribe AAAA-MM-DD, o AAAA-MM-DDTHH:MM", param, ctx)


@click.command()
@click.argument("cual", metavar="ID|ARCHIVO|CLAVE", required=False)
@click.option(
    "--todas",
    is_flag=True,
    help="La plataforma y cada clínica, del último respaldo bueno de cada una. Si se corta, vuelva a usarla: sigue"
    " donde quedó.",
)
@click.option(
    "--antes-de",
    metavar="FECHA",
    type=_Moment(),
    help="Con --todas: del último respaldo bueno antes de ese momento, AAAA-MM-DD o AAAA-MM-DDTHH:MM.",
)
@click.option("--simular", is_flag=True, help="Solo muestra qué cambiaría, exactamente, sin cambiar nada.")
@click.option("--modelos", metavar="a,b", help="Solo estos modelos, enteros, separados por comas.")
@click.option(
    "--registro",
    "registros",
    metavar="modelo:clave",
    multiple=True,
    help="Solo este registro y lo que depende de él, como pacientes:15; se puede repetir.",
)
@click.option(
    "--registros-de",
    metavar="ARCHIVO",
    type=click.File(encoding="utf-8-sig"),
    help="Solo los registros de un archivo, uno por línea, escritos así; «-» es la entrada estándar.",
)
@click.option(
    "--solo",
    type=click.Choice([modo.value for modo in Modo]),
    default=Modo.TODO.value,
    show_default=True,
    help="faltantes: agrega lo que hoy falta, y no toca nada más. cambiados: además corrige lo que cambió. todo:"
    " además quita lo que se agregó después.",
)
@click.option("--motivo", metavar="TEXTO", help="Por qué se restaura: queda anotado, y va en el correo.")
@click.option(
    "--destino",
    metavar="URL",
    help="En otra base de datos con las mismas tablas, postgresql://usuario:clave@host/base.",
)
@click.option(
    "--actualizar",
    is_flag=True,
    help="Del respaldo de la plataforma: además de agregar lo que falta, cambia los registros que son distintos.",
)
@click.option(
    "--sin-respaldo-previo", is_flag=True, help="Sin guardar antes, en otro respaldo, cómo está todo ahora."
)
@click.option(
    "--con-accesos",
    is_flag=True,
    help="También los accesos y privilegios de la clínica, si son suyos: los que existen dejan de estar como están.",
)
@click.option(
    "--con-clinica",
    is_flag=True,
    help="También la fila de la clínica en la tabla de clínicas: plan, límites, activa.",
)
@click.option(
    "--estricto",
    is_flag=True,
    help="No restaura si un registro es hoy de otra clínica, o si uno compartido dice hoy otra cosa.",
)
@click.option(
    "--sin-disparadores",
    is_flag=True,
    help="Deshabilita mientras tanto los disparadores de las tablas que cambian, si son del usuario que restaura:"
    " nadie más puede escribir en ellas hasta que termine.",
)
@click.option("--detalle", is_flag=True, help=f"Todos los registros, y no los primeros {ROWS_SHOWN} de cada modelo.")
@unsealed_option
@click.option("--si", is_flag=True, help="Restaura sin preguntar.")
@json_option
@click.pass_context
def restaurar(
    context: click.Context,
    cual: str | None,
    todas: bool,
    antes_de: datetime | None,
    simular: bool,
    modelos: str | None,
    registros: tuple[str, ...],
    registros_de: TextIO | None,
    solo: str,
    motivo: str | None,
    destino: str | None,
    actualizar: bool,
    sin_respaldo_previo: bool,
    con_accesos: bool,
    con_clinica: bool,
    estricto: bool,
    sin_disparadores: bool,
    detalle: bool,
    sin_sello: bool,
    si: bool,
    as_json: bool,
) -> None:
    """Deja los datos de una clínica exactamente como están en un respaldo, o solo trae de él lo que falta o cambió.

    Primero comprueba el respaldo entero, y muestra qué cambiaría. Después, en una sola transacción, cambia solo lo
    que es distinto, lo vuelve a leer y lo compara con el respaldo: si algo no coincide, no queda cambiado nada. Las
    demás clínicas no se tocan.

    De un respaldo de la plataforma solo se agrega lo que falta, y con --actualizar se cambia lo que es distinto: no
    se elimina nada.

    Nadie recupera así un acceso o un privilegio: los que existen se quedan como están, y lo mismo la fila de la
    clínica en la tabla de clínicas; si ya no está en ella, vuelve.

    En lugar del ID vale un ARCHIVO bajado antes, cifrado o no, o la CLAVE de un objeto del bucket (backups/…): si la
    base de datos no lo conoce, primero queda anotado, y guardado en el bucket, como un respaldo más.

    Con --todas vuelven la plataforma y todas las clínicas, de a dos. Una que no se puede restaurar no detiene a las
    demás; termina con error si alguna no volvió.
    """
    if (cual is None) is not todas:
        raise click.UsageError("diga qué se restaura: un ID, un archivo o una clave, o --todas")
    id_ = id_of(cual) if cual is not None else None
    if id_ is not None and sin_sello:
        raise click.UsageError(UNSEALED_ID)
    if antes_de is not None and not todas:
        raise click.UsageError("--antes-de vale con --todas")
    request = RestoreRequest(
        simulada=simular,
        modelos=tuple(name.strip() for name in modelos.split(",") if name.strip()) if modelos is not None else None,
        registros=_chosen(registros, registros_de),
        modo=Modo(solo),
        motivo=(motivo or "").strip() or None,
        sin_respaldo_previo=sin_respaldo_previo,
        destino=_place(destino) if destino is not None else None,
        actualizar=actualizar,
        con_accesos=con_accesos,
        con_clinica=con_clinica,
    )
    _ = request.scope
    if cual is None:
        with_all = RestoreRequest(
            motivo=request.motivo, sin_respaldo_previo=sin_respaldo_previo, con_accesos=con_accesos
        )
        if request != with_all or estricto or detalle or sin_sello:
            raise click.UsageError(
                "--todas va solo con --antes-de, --motivo, --sin-respaldo-previo, --con-accesos, --sin-disparadores,"
                " --si y --json"
            )
        # One clinic's restore does not wait for it.
        from app.cli.restore_all import restore_every_clinic

        if not restore_every_clinic(request, antes_de, sin_disparadores, si, as_json):
            context.exit(1)
        return
    if detalle and as_json:
        raise click.UsageError("--detalle es para personas; con --json, «comparar» muestra todos los registros")
    if not (simular or si):
        _need_answer(as_json)
    if id_ is None:
        id_ = _take_in(cual, sin_sello, as_json)
    with TemporaryFile("w+", encoding="utf-8") as file:
        rows = _Rows(file, None if detalle else ROWS_SHOWN)
        if not (simular or si):
            _preview(id_, request, destino, estricto, sin_disparadores, rows)
        restauracion = _restore(
            id_, request, destino, estricto, sin_disparadores, rows if (simular or si) and not as_json else None
        )
        if as_json:
            print_json(RestauracionEnLista.of(restauracion))
        else:
            # Whoever was asked has seen them.
            show_restored(restauracion, rows if simular or si else None)
    if restauracion.conflictos:
        # Done, it would be refused.
        sys.exit(1)


def _chosen(named: tuple[str, ...], file: TextIO | None) -> tuple[str, ...] | None:
    """The records that were named, and those that the file lists; None where nobody asked for any."""
    if file is None:
        return named or None
    try:
        # One more than there may be, so that it is known that they are too many.
        listed = tuple(islice((line for line in map(str.strip, file) if line), MOST_RECORDS + 1))
    except UnicodeDecodeError as exc:
        raise click.BadParameter("el archivo no es texto en UTF-8", param_hint="--registros-de") from exc
    return (*named, *listed)


def _need_answer(as_json: bool) -> None:
    """Raise UsageError without a terminal, since nobody could answer."""
    if not sys.stdin.isatty() or as_json:
        raise click.UsageError("use --si para restaurar sin que se le pregunte, o --simular para ver qué cambiaría")


def _take_in(which: str, unsealed: bool, as_json: bool) -> int:
    """The id of the backup that a file or an object of the bucket is, or is made to be."""

    async def work(settings: Settings) -> Respaldo:
        key = which.removeprefix(f"s3://{settings.aws_backup_bucket_name}/")
        async with open_resources(settings) as resources:
            with progress_bar("Leyendo") as progress:
                if key.startswith(PREFIX) and not Path(which).exists():
                    return await take_object(resources, key, unsealed=unsealed, progress=progress)
                return await take_file(resources, Path(which), unsealed=unsealed, progress=progress)

    respaldo = with_settings(work)
    if not as_json:
        say(f"«{which}» es el respaldo {respaldo.id} de {whose(respaldo.clinica_id)}")
    return respaldo.id


def _preview(
    id_: int,
    request: RestoreRequest,
    destino: str | None,
    estricto: bool,
    sin_disparadores: bool,
    rows: "_Rows",
) -> None:
    """Show what would change and ask."""
    shown = _restore(id_, replace(request, simulada=True), destino, estricto, sin_disparadores, rows)
    show_restored(shown, rows)
    if shown.conflictos:
        sys.exit(1)
    where = f" en {request.destino}" if request.destino is not None else ""
    if not confirm(f"¿Restaurar el respaldo {id_} de {whose(shown.clinica_id)}{where}?"):
        raise click.Abort


def _restore(
    id_: int,
    request: RestoreRequest,
    destino: str | None,
    estricto: bool,
    sin_disparadores: bool,
    rows: "_Rows | None",
) -> Restauracion:
    async def work(settings: Settings) -> Restauracion:
        if sin_disparadores:
            settings = settings.model_copy(update={"restore_disable_triggers": True})
        database = _database(settings, destino) if destino is not None else None
        async with open_resources(settings) as resources:
            respaldo = await find_respaldo(resources, id_)
            title = "Simulando" if request.simulada else "Restaurando"
            with progress_bar(title, total=respaldo.tamaño_bytes) as progress:
                await reconciliar(resources)
                gone = database is None and await _is_gone(resources, respaldo.clinica_id)
                return await restaurar_respaldo(
                    resources,
                    respaldo,
                    replace(request, con_clinica=True) if gone else request,
                    progress=progress,
                    database=database,
                    strict=estricto,
                    look=rows.take if rows is not None else None,
                )

    return with_settings(work)


async def _is_gone(resources: Resources, clinica_id: int | None) -> bool:
    """Whether the table of clinics has lost it: then its row comes back with it."""
    try:
        if clinica_id is not None:
            await resources.restore.clinic(clinica_id)
    except ClinicNotFound:
        return True
    return False


class _Rows:
    """The lines of the rows that a restore writes, at most so many of each model, until they are shown.

    In a file, since they may be more than memory holds.
    """

    def __init__(self, file: TextIO, most: int | None) -> None:
        self._file = file
        self._most = most

    async def take(self, session: ClinicRestore, plan: Plan) -> None:
        """Read them."""
        shown: Counter[str] = Counter()
        async for model, row in session.rows(limit=self._most + 1 if self._most is not None else None):
            shown[model] += 1
            if self._most is None or shown[model] <= self._most:
                self._file.write(f"{printable(_line(model, row))}\n")
            elif shown[model] == self._most + 1:
                found = [each[model] for each in (plan.models, plan.references) if model in each]
                more = sum(each.inserted + each.updated + each.deleted for each in found) - self._most
                self._file.write(f"{_more(more, model)}\n")

    def __iter__(self) -> Iterator[str]:
        self._file.seek(0)
        return (line.removesuffix("\n") for line in self._file)


def show_restored(restauracion: "Restauracion", rows: Iterable[str] | None) -> None:
    """What a person sees of a restore, or of what one would do: the counts, then these lines of its rows."""
    found = {
        model: changes
        for model, changes in (restauracion.resultado or {}).items()
        if any(changes[what] for what in ("insertados", "actualizados", "eliminados"))
    }
    if restauracion.conflictos:
        say(f"Simulación: {whose(restauracion.clinica_id)} no se puede restaurar así. No se cambió nada.")
    elif restauracion.simulada:
        say(f"Simulación: así quedaría {whose(restauracion.clinica_id)}. No se cambió nada.")
    else:
        whole = whose(restauracion.clinica_id).removeprefix("la ").capitalize()
        done(f"{whole} restaurada desde el respaldo {restauracion.respaldo_id}")
        if restauracion.respaldo_previo is not None:
            say(f"  Cómo estaba antes quedó en el respaldo {restauracion.respaldo_previo}")
    held = [
        line
        for model, each in (restauracion.resultado or {}).items()
        if not each.get("restaurado", True)
        for line in _examples(model, each["ejemplos"])
    ]
    if not found and not held:
        say(f"  {_NOTHING[Modo(restauracion.modo)]}")
    if found:
        table(
            ("Modelo", "Se agregan", "Se corrigen", "Se quitan"),
            [
                (model, number(each["insertados"]), number(each["actualizados"]), number(each["eliminados"]))
                for model, each in found.items()
            ],
            right=(1, 2, 3),
        )
        for model, each in found.items():
            if shared := each.get("compartidos"):
                say(f"  De {model} no son de ninguna clínica: {number(shared)}")
        for line in rows or ():
            say(f"  {line}")
    for line in held:
        say(f"  Se queda como está hoy: {line}")
    for aviso in restauracion.avisos:
        warn(aviso)
    for conflict in restauracion.conflictos or ():
        failed(conflict["explicacion"])


_NOTHING = {
    Modo.FALTANTES: "No falta nada de lo que tiene el respaldo.",
    Modo.CAMBIADOS: "No falta ni cambió nada de lo que tiene el respaldo.",
    Modo.TODO: "Todo estaba ya como en el respaldo.",
}


def _examples(model: str, examples: dict[str, list[dict[str, Any]]]) -> list[str]:
    lines = []
    for kind, sign in SIGNS.items():
        for example in examples.get(kind, ()):
            changed = "; ".join(
                f"{name}: {_labelled(_value(field['antes']), field.get('etiqueta_antes'))}"
                f" → {_labelled(_value(field['despues']), field.get('etiqueta_despues'))}"
                for name, field in example.get("campos", {}).items()
            )
            key = ", ".join(_value(value) for value in example["clave"].values())
            key = _labelled(f"{model} {key}", example.get("etiqueta"))
            lines.append(f"{sign} {key}{f'  {changed}' if changed else ''}")
    return lines


def _value(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _labelled(value: str, label: str | None) -> str:
    """What it is called, with its key; where nothing names it, the key alone."""
    return f"{label} ({value})" if label else value


def _place(destino: str) -> str:
    """Host and database of an address, for lists: it may hold a password."""
    parts = urlsplit(destino)
    if parts.scheme not in {"postgresql", "postgres"} or len(parts.path) < 2:
        raise click.BadParameter("debe ser una dirección postgresql://usuario:clave@host:puerto/base")
    return f"{parts.netloc.rpartition('@')[2]}{parts.path}"


def _database(settings: Settings, destino: str) -> RestoreDatabase:
    return RestoreDatabase(
        destino,
        tenancy(settings),
        secret_columns(settings),
        labels=record_labels(settings),
        setting="--destino",
        disable_triggers=settings.restore_disable_triggers,
    )


SIGNS: dict[Change, str] = {"insertados": "+", "actualizados": "~", "eliminados": "-"}
WORDS: dict[Change, str] = {"insertados": "agregado", "actualizados": "cambiado", "eliminados": "quitado"}


@click.command()
@click.argument("id_", metavar="ID", type=IDENTIFIER)
@click.argument("otro", metavar="[ID2]", type=IDENTIFIER, required=False)
@click.option("--resumen", is_flag=True, help="Solo cuántos registros de cada modelo, no cuáles.")
@click.option("--detalle", is_flag=True, help=f"Todos los registros, y no los primeros {ROWS_SHOWN} de cada modelo.")
@json_option
def comparar(id_: int, otro: int | None, resumen: bool, detalle: bool, as_json: bool) -> None:
    """Dice qué cambió entre un respaldo y hoy, o entre dos respaldos.

    Primero cuántos registros de cada modelo; después, de cada uno, si se agregó (+), se quitó (-) o cambió (~), y qué
    campos, antes y después. Los valores largos se muestran cortados, salvo con --json, que trae además todos los
    registros; contraseñas y otros secretos no se muestran nunca.
    Con hoy, lo que una restauración dejaría como está (registros que pasaron a otra clínica o vinieron de una) no se
    cuenta, y se nombra. Siempre termina bien si pudo comparar, haya o no diferencias.
    """

    async def work(resources: Resources) -> None:
        respaldo = await find_respaldo(resources, id_)
        other = await find_respaldo(resources, otro) if otro is not None else None
        size = (respaldo.tamaño_bytes or 0) + ((other.tamaño_bytes or 0) if other is not None else 0)
        async with AsyncExitStack() as stack:
            # The bar is gone before anything is printed.
            with progress_bar("Comparando", total=size) as progress:
                found = await stack.enter_async_context(
                    comparar_respaldos(resources, respaldo, other, progress=progress)
                )
            if as_json:
                await _print_json(found, rows=not resumen)
            else:
                await _print(found, most=0 if resumen else None if detalle else ROWS_SHOWN)

    with_resources(work)


async def _print(found: "Comparacion", *, most: int | None) -> None:
    """The counts first, then at most so many rows of each model."""
    for aviso in found.avisos:
        warn(aviso)
    changed = {name: each for name, each in found.modelos.items() if each.any}
    if not changed:
        done("No hay ninguna diferencia")
        return
    table(
        ("Modelo", "Agregados", "Cambiados", "Quitados"),
        [(name, number(each.inserted), number(each.updated), number(each.deleted)) for name, each in changed.items()],
        right=(1, 2, 3),
    )
    if most == 0:
        return
    shown: Counter[str] = Counter()
    async for model, row in found.rows(limit=most + 1 if most is not None else None):
        shown[model] += 1
        if most is None or shown[model] <= most:
            say(_line(model, row))
        elif shown[model] == most + 1:
            more = changed[model].inserted + changed[model].updated + changed[model].deleted - most
            say(_more(more, model))


def _more(rows: int, model: str) -> str:
    return f"… y {number(rows)} más de {model}: con --detalle se ven todos"


def _line(model: str, row: ChangedRow) -> str:
    key = _labelled(f"{model} {', '.join(_text(value) for value in row.key.values())}", row.label)
    changed = "; ".join(f"{name}: {_change(row, name)}" for name in row.fields)
    return f"{SIGNS[row.kind]} {key}{f'  {changed}' if changed else ''}"


def _change(row: ChangedRow, name: str) -> str:
    labels = row.field_labels.get(name, (None, None))
    return " → ".join(_labelled(_text(value), label) for value, label in zip(row.fields[name], labels, strict=True))


def _text(value: "Value") -> str:
    return value if isinstance(value, str) else json.dumps(value)


async def _print_json(found: "Comparacion", *, rows: bool) -> None:
    """One document, printed as it is read: it may be longer than memory."""
    models = {
        name: {"agregados": each.inserted, "cambiados": each.updated, "quitados": each.deleted}
        for name, each in found.modelos.items()
    }
    said = {"modelos": models, "avisos": found.avisos}
    click.echo(f'{json_text(said)[:-1]}, "cambios": [', nl=False)
    separator = "\n"
    async for model, row in found.rows(whole=True):
        if not rows:
            break
        document = {"modelo": model, "cambio": WORDS[row.kind], "campos": {}, **row.shown()}
        click.echo(f"{separator}{json_text(document)}", nl=False)
        separator = ",\n"
    click.echo("]}")
