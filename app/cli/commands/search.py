"""Commands that find records by what people call them: buscar, historia."""

import click

from app.cli.clinic_option import clinic_number, clinic_option
from app.cli.output import json_option, number, print_json, say, table, timestamp, warn
from app.cli.parameters import IDENTIFIER, WholeNumber
from app.cli.resources import with_resources
from app.clinic.restore.changed_rows import Value
from app.clinic.restore.scope import Record
from app.respaldos.resources import Resources
from app.respaldos.search.contract import (
    CambioDeColumna,
    EstadoRegistro,
    HistoriaDeRegistro,
    RegistroEncontrado,
    RegistroEntero,
    RegistrosEncontrados,
    VersionDeRegistro,
)
from app.respaldos.search.history import historia_de_registro, registro_entero
from app.respaldos.search.search import (
    DEFAULT_DAYS,
    DEFAULT_LIMIT,
    LONGEST_DAYS,
    LONGEST_LIMIT,
    SearchRequest,
    registros_encontrados,
)

_days = click.option(
    "--dias",
    type=WholeNumber(1, LONGEST_DAYS),
    default=DEFAULT_DAYS,
    show_default=True,
    help="De cuántos días hacia atrás se miran los respaldos.",
)


@click.command()
@click.argument("texto", metavar="TEXTO...", nargs=-1, required=True)
@clinic_option("La clínica.", required=True)
@_days
@click.option("--modelos", metavar="a,b", default="", help="Solo en estos modelos, separados por comas.")
@click.option(
    "--limite",
    type=WholeNumber(1, LONGEST_LIMIT),
    default=DEFAULT_LIMIT,
    show_default=True,
    help="Cuántos, como mucho, de los que están hoy, y otros tantos de los que ya no están.",
)
@json_option
def buscar(texto: tuple[str, ...], clinica: str, dias: int, modelos: str, limite: int, as_json: bool) -> None:
    """Busca registros de una clínica, hoy y en sus respaldos, y dice qué pasó con cada uno.

    Cada palabra tiene que estar en el registro, en cualquier orden, sin importar mayúsculas ni acentos: un nombre,
    un número, parte de una descripción. Los que ya no están salen primero.
    """
    request = SearchRequest(
        texto=" ".join(texto),
        dias=dias,
        modelos=tuple(name.strip() for name in modelos.split(",") if name.strip()),
        limite=limite,
    )

    async def work(resources: Resources) -> RegistrosEncontrados:
        clinica_id = await clinic_number(resources.clinic, clinica)
        return await registros_encontrados(resources, request, clinica_id=clinica_id)

    found = with_resources(work)
    if as_json:
        print_json(found)
        return
    for aviso in found.avisos:
        warn(aviso)
    if not found.resultados:
        say("No se encontró nada, ni hoy ni en los respaldos de esos días.")
        return
    table(
        ("Registro", "Nombre", "Qué pasó", "Respaldo", "Dónde dice"),
        [
            (
                f"{each.modelo}:{each.clave}" if each.clave is not None else each.modelo,
                each.etiqueta,
                _happened(each),
                str(each.en_respaldo or "—"),
                f"{each.coincidencia.columna}: {each.coincidencia.extracto}",
            )
            for each in found.resultados
        ],
        right=(3,),
    )
    if found.hay_mas:
        say("Hay más: agregue otra palabra, o aumente --limite.")
    first = found.resultados[0]
    if first.clave is not None and first.estado in (EstadoRegistro.ELIMINADO, EstadoRegistro.CAMBIO):
        say(f"Para ver cómo volvería: respaldos restaurar {first.en_respaldo} --simular --registro {_named(first)}")


def _named(found: RegistroEncontrado) -> str:
    return f"{found.modelo}:{found.clave}"


def _happened(found: RegistroEncontrado) -> str:
    match found.estado:
        case EstadoRegistro.ELIMINADO if found.eliminado_entre is not None:
            first, last = found.eliminado_entre
            return f"eliminado entre {timestamp(first)} y {timestamp(last)}"
        case EstadoRegistro.CAMBIO if found.fecha_respaldo is not None:
            return f"cambió después de {timestamp(found.fecha_respaldo)}"
        case EstadoRegistro.NUEVO:
            return "está hoy; ningún respaldo lo tiene"
    return "está igual"


def _source(ctx: click.Context, param: click.Parameter, value: str | None) -> str | int | None:
    return value if value in (None, _TODAY) else int(IDENTIFIER.convert(value, param, ctx))


_TODAY = "hoy"


@click.command()
@click.argument("registro", metavar="modelo:clave")
@clinic_option("La clínica.", required=True)
@_days
@click.option(
    "--entero",
    metavar="RESPALDO",
    type=click.UNPROCESSED,
    callback=_source,
    help="En lugar de los cambios, todo lo que dice en ese respaldo, o «hoy».",
)
@json_option
def historia(registro: str, clinica: str, dias: int, entero: str | int | None, as_json: bool) -> None:
    """Muestra cómo fue cambiando un registro: cada versión, desde cuándo y hasta cuándo, y qué cambió.

    Con --entero, cómo está hoy o cómo estaba en un respaldo: todos sus campos, y qué depende de él.
    """
    record = Record.parse(registro)
    if entero is not None:
        _show_whole(record, clinica, entero if isinstance(entero, int) else None, as_json)
        return

    async def work(resources: Resources) -> HistoriaDeRegistro:
        clinica_id = await clinic_number(resources.clinic, clinica)
        return await historia_de_registro(
            resources, record.model, ",".join(record.key), dias=dias, clinica_id=clinica_id
        )

    found = with_resources(work)
    if as_json:
        print_json(found)
        return
    say(_called(found))
    for version in found.versiones:
        say(f"  {_when(version)}: {_state(version)}")
        for cambio in version.cambios:
            say(f"      {cambio.columna}: {_side(cambio, before=True)} → {_side(cambio, before=False)}")
    _say_dependents(found)
    for aviso in found.avisos:
        warn(aviso)


def _show_whole(record: Record, clinica: str, respaldo_id: int | None, as_json: bool) -> None:
    async def work(resources: Resources) -> RegistroEntero:
        clinica_id = await clinic_number(resources.clinic, clinica)
        return await registro_entero(
            resources, record.model, ",".join(record.key), respaldo_id=respaldo_id, clinica_id=clinica_id
        )

    found = with_resources(work)
    if as_json:
        print_json(found)
        return
    where = f"en el respaldo {found.en_respaldo}" if found.en_respaldo is not None else "hoy"
    say(f"{_called(found)}, {where}, {timestamp(found.fecha)}")
    for campo in found.campos:
        name = campo.columna if campo.modelo == found.modelo else f"{campo.modelo}.{campo.columna}"
        say(f"  {name}: {_labelled(campo.valor, campo.etiqueta)}")
    _say_dependents(found)
    for aviso in found.avisos:
        warn(aviso)


def _called(found: HistoriaDeRegistro | RegistroEntero) -> str:
    return f"{found.etiqueta} ({found.modelo}:{found.clave})"


def _say_dependents(found: HistoriaDeRegistro | RegistroEntero) -> None:
    for each in found.dependientes:
        some = "; ".join(
            example.etiqueta if example.clave is None else f"{example.etiqueta} ({example.clave})"
            for example in each.ejemplos
        )
        say(f"  {each.modelo}, {number(each.cantidad)}: {some}")


def _when(version: VersionDeRegistro) -> str:
    if version.hoy:
        return f"desde {timestamp(version.desde)} hasta hoy"
    return f"desde {timestamp(version.desde)} hasta {timestamp(version.hasta)}"


def _state(version: VersionDeRegistro) -> str:
    if not version.existe:
        return "no está"
    kept = f"respaldo {version.en_respaldo}" if version.en_respaldo is not None else "sin respaldo todavía"
    return f"así, {kept}" if not version.cambios else kept


def _side(cambio: CambioDeColumna, *, before: bool) -> str:
    value, label = (cambio.antes, cambio.etiqueta_antes) if before else (cambio.despues, cambio.etiqueta_despues)
    return _labelled(value, label)


def _labelled(value: Value, label: str | None) -> str:
    return f"{label} ({_text(value)})" if label else _text(value)


def _text(value: Value) -> str:
    if value is None:
        return "—"
    if isinstance(value, bool):
        return "sí" if value else "no"
    return str(value)
