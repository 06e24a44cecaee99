"""Commands on backups: crear, listar, ver, descargar, verificar, estadisticas."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from app.cli.clinic_option import clinic_number, clinic_option
from app.cli.output import (
    ask_first,
    done,
    fields,
    json_option,
    moment,
    number,
    print_json,
    progress_bar,
    size,
    table,
    warn,
)
from app.cli.parameters import IDENTIFIER, WholeNumber
from app.cli.running import with_databases, with_resources, with_settings
from app.dump.whose import named, whose
from app.errors import FormatError, LocalFileError

if TYPE_CHECKING:
    from app.dump.reader import Event
    from app.dump.verifier import VerifiedFile
    from app.respaldos.contract import RespaldoDetalle, Verificado
    from app.respaldos.models import Respaldo
    from app.respaldos.resources import Databases, Resources
    from app.respaldos.status.statistics import Estadisticas
    from app.settings import Settings

F = TypeVar("F", bound=Callable[..., Any])


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


@click.command()
@whose_option
@click.option("--descripcion", default="", metavar="T", help="Para qué es este respaldo.")
@json_option
def crear(clinica: str | None, plataforma: bool, descripcion: str, as_json: bool) -> None:
    """Respalda ahora los datos de una clínica, o los de la plataforma, que no son de ninguna.

    Los respaldos de todas las clínicas y el de la plataforma son la base de datos entera. Termina bien solo cuando
    el archivo se volvió a leer de S3 y es idéntico al enviado.
    """
    owner = one_of(clinica, plataforma)

    async def work(resources: "Resources") -> "Respaldo":
        from app.respaldos.backup.run import crear_respaldo
        from app.respaldos.models import TipoRespaldo
        from app.respaldos.reconcile import reconciliar

        with progress_bar("Respaldando") as progress:
            await reconciliar(resources)
            return await crear_respaldo(
                resources,
                clinica_id=await clinic_number(resources.clinic, owner) if owner is not None else None,
                tipo=TipoRespaldo.MANUAL,
                descripcion=descripcion,
                progress=progress,
            )

    respaldo = with_resources(work)
    if as_json:
        from app.respaldos.contract import detalle

        print_json(detalle(respaldo))
    else:
        show_created(respaldo)


def show_created(respaldo: "Respaldo") -> None:
    """What a person sees of a backup just made."""
    from app.respaldos.contract import clock

    metadata = respaldo.metadata_
    done("Respaldo creado exitosamente!")
    fields(
        {
            "ID": str(respaldo.id),
            "Archivo S3": respaldo.archivo_s3 or "",
            "Tamaño": size(respaldo.tamaño_bytes),
            "Registros": number(respaldo.numero_registros),
            "Tiempo": clock(respaldo.tiempo_ejecucion.total_seconds() if respaldo.tiempo_ejecucion else 0),
            "Hash MD5": respaldo.hash_md5 or "",
        },
        indent=2,
    )
    click.echo("Detalles de compresión:")
    fields(
        {
            "Original": size(metadata["tamaño_original_bytes"]),
            "Comprimido": size(respaldo.tamaño_bytes),
            "Reducción": f"{metadata['compresion_porcentaje']} %",
        },
        indent=2,
    )
    for aviso in metadata["avisos"]:
        warn(aviso)


@click.command()
@clinic_option("Solo los de esta clínica.")
@click.option("--plataforma", is_flag=True, help="Solo los de la plataforma.")
@click.option(
    "--limite", type=WholeNumber(1, 1000), default=20, show_default=True, help="Cuántos, como mucho; hasta 1000."
)
@json_option
def listar(clinica: str | None, plataforma: bool, limite: int, as_json: bool) -> None:
    """Lista los respaldos, del más nuevo al más viejo."""
    everybody = clinica is None and not plataforma
    if not everybody:
        one_of(clinica, plataforma)

    async def work(databases: "Databases") -> "list[Respaldo]":
        from app.respaldos.backup import fleet as backup_fleet
        from app.respaldos.backup import queries as backup_queries
        from app.respaldos.resources import transaction

        if everybody:
            async with transaction(databases) as session:
                return list(await backup_fleet.newest_of_all(session, limit=limite))
        clinica_id = await clinic_number(databases.clinic, clinica) if clinica is not None else None
        async with transaction(databases) as session:
            found = list((await backup_queries.page(session, clinica_id=clinica_id, limit=limite, offset=0))[0])
        if not found and clinica is not None:
            # A mistyped clinic must not look like one without backups; one that is gone has them still.
            await databases.clinic.clinic(clinica)
        return found

    respaldos = with_databases(work)
    from app.respaldos.contract import resumen

    rows = [resumen(respaldo) for respaldo in respaldos]
    if as_json:
        print_json(rows)
    elif not rows:
        click.echo("No hay respaldos todavía. Haga uno con: respaldos crear --clinica N")
    else:
        table(
            ("ID", "Clínica", "Fecha (UTC)", "Estado", "Tipo", "Tamaño", "Registros", "Verificado", "Descripción"),
            [
                (
                    str(row["id"]),
                    named(row["clinica_id"]),
                    moment(row["fecha_respaldo"]),
                    row["estado_display"],
                    row["tipo_respaldo_display"],
                    size(respaldo.tamaño_bytes),
                    number(respaldo.numero_registros),
                    _verified(row["verificado"]),
                    row["descripcion"],
                )
                for respaldo, row in zip(respaldos, rows, strict=True)
            ],
            right=(0, 1, 5, 6),
        )


def _verified(verificado: "Verificado | None") -> str:
    if verificado is None:
        return "—"
    failed = ": falló" if verificado["error"] is not None else ""
    return f"{moment(verificado['fecha'])} ({verificado['profundidad']}{failed})"


@click.command()
@click.argument("id_", metavar="ID", type=IDENTIFIER)
@json_option
def ver(id_: int, as_json: bool) -> None:
    """Muestra todo lo que se sabe de un respaldo."""

    async def work(databases: "Databases") -> "tuple[Respaldo, RespaldoDetalle]":
        from app.respaldos.contract import detalle
        from app.respaldos.jobs.request import progress_of

        respaldo = await find_respaldo(databases, id_)
        return respaldo, detalle(respaldo, await progress_of(databases, respaldo))

    respaldo, shown = with_databases(work)
    if as_json:
        print_json(shown)
        return
    metadata, deleted = shown["metadata"], respaldo.fecha_eliminacion
    fields(
        {
            "ID": str(shown["id"]),
            "Clínica": named(shown["clinica_id"]),
            "Estado": shown["estado_display"],
            "Tipo": shown["tipo_respaldo_display"],
            "Fecha (UTC)": moment(shown["fecha_respaldo"]),
            "Descripción": shown["descripcion"] or "—",
            **({"Eliminado (UTC)": moment(deleted.isoformat())} if deleted is not None else {}),
            "Archivo S3": shown["archivo_s3"] or "—",
            "Tamaño": size(respaldo.tamaño_bytes),
            "Registros": number(respaldo.numero_registros),
            "Tiempo": shown["tiempo_ejecucion"] or "—",
            "Hash MD5": shown["hash_md5"] or "—",
            "Verificado (UTC)": _verified(shown["verificado"]),
            **({"Error": f"{metadata['error']} ({metadata['error_type']})"} if "error" in metadata else {}),
        }
    )
    if counts := metadata.get("detalles_registros"):
        models = metadata["modelos_respaldados"]
        table(("Modelo", "Registros"), [(name, number(counts[name])) for name in models], right=(1,))
    for aviso in metadata.get("avisos", ()):
        warn(aviso)


@click.command()
@click.argument("id_", metavar="ID", type=IDENTIFIER)
@click.option(
    "-o", "--salida", type=click.Path(dir_okay=False, path_type=Path), metavar="F", help="Archivo en que se guarda."
)
@click.option("--si", is_flag=True, help="Reemplaza el archivo sin preguntar.")
@json_option
def descargar(id_: int, salida: Path | None, si: bool, as_json: bool) -> None:
    """Baja un respaldo a un archivo, y su hash a F.md5 al lado."""
    target = salida or Path(file_name(id_))
    confirm_replacing(target, si)

    async def work(resources: "Resources") -> None:
        from app.respaldos.reading.download import descargar_respaldo

        respaldo = await find_respaldo(resources, id_)
        with progress_bar("Descargando", total=respaldo.tamaño_bytes) as progress:
            await descargar_respaldo(resources, respaldo, target, progress=progress)

    with_resources(work)
    if as_json:
        print_json({"archivo": str(target), "md5": f"{target}.md5", "tamaño_bytes": target.stat().st_size})
    else:
        done(f"{target} ({size(target.stat().st_size)}), con su hash en {target}.md5")


def file_name(respaldo_id: int) -> str:
    """What a backup's file is called where nobody has said: the end of its key."""

    async def work(databases: "Databases") -> str:
        respaldo = await find_respaldo(databases, respaldo_id)
        return (respaldo.archivo_s3 or f"respaldo_{respaldo_id}.json.gz").rpartition("/")[2]

    return with_databases(work)


def confirm_replacing(target: Path, si: bool) -> None:
    """Ask before a file, or the one with its hash, is lost; without a terminal and without `--si` it is refused."""
    taken = next((path for path in (target, target.with_name(target.name + ".md5")) if path.exists()), None)
    if taken is not None:
        ask_first(
            f"«{taken}» ya existe. ¿Reemplazarlo?",
            si,
            refusal=f"«{taken}» ya existe; use --si para reemplazarlo",
        )


@click.command()
@click.argument("cual", metavar="ID|ARCHIVO")
@click.option(
    "--profundidad",
    type=click.Choice(["rapida", "completa", "ensayo"]),
    default="completa",
    show_default=True,
    help="rapida: el objeto está y tiene su tamaño. completa: todo su contenido. ensayo: además lo restaura de"
    " verdad, en tablas aparte que después se borran.",
)
@json_option
def verificar(cual: str, profundidad: str, as_json: bool) -> None:
    """Comprueba un respaldo de principio a fin.

    Con un ID lee el objeto de S3. Con un ARCHIVO no necesita ningún servicio: comprueba su hash (si está
    ARCHIVO.md5 al lado), que el gzip llegue a su final, la estructura, y los registros y resúmenes de cada modelo.
    """
    id_ = id_of(cual)
    if id_ is None and profundidad != "completa":
        raise click.UsageError("--profundidad vale para un ID: un archivo siempre se comprueba entero")
    verified = verify_object(id_, profundidad) if id_ is not None else verify_file(Path(cual))
    if verified is None:
        if as_json:
            print_json({"correcto": True, "respaldo": id_})
        else:
            done(f"Respaldo {cual}: el objeto está en S3 y tiene su tamaño; no se leyó su contenido")
        return
    if as_json:
        print_json(
            {
                "correcto": True,
                "respaldo": verified.header.origin.id,
                "clinica_id": verified.header.clinica_id,
                "fecha": verified.header.taken_at.isoformat(),
                "numero_registros": verified.records,
                "tamaño_bytes": verified.compressed_size,
                "tamaño_original_bytes": verified.original_size,
                "hash_md5": verified.md5,
                "detalles_registros": {name: total.records for name, total in verified.totals.items()},
            }
        )
    else:
        proven = "está completo y sano" + (
            ", y se pudo restaurar en tablas aparte" if profundidad == "ensayo" else ""
        )
        done(f"Respaldo {verified.header.origin.id} de {whose(verified.header.clinica_id)}: {proven}")
        fields(
            {
                "Fecha (UTC)": f"{verified.header.taken_at:%Y-%m-%d %H:%M:%S}",
                "Registros": number(verified.records),
                "Modelos": number(len(verified.totals)),
                "Tamaño": f"{size(verified.compressed_size)} ({size(verified.original_size)} sin comprimir)",
                "Hash MD5": verified.md5,
            },
            indent=2,
        )


def id_of(which: str) -> int | None:
    """The backup's id, where a person has given one and not the name of a file."""
    return IDENTIFIER.convert(which, None, None) if which.isdecimal() and not Path(which).exists() else None


def verify_object(respaldo_id: int, profundidad: str) -> "VerifiedFile | None":
    """Check a backup's object in S3; None where its content was not read. Raises RespaldosError."""

    async def work(resources: "Resources") -> "VerifiedFile | None":
        from app.respaldos.models import Profundidad
        from app.respaldos.reading.verification import verificar_respaldo

        respaldo = await find_respaldo(resources, respaldo_id)
        with progress_bar("Verificando", total=respaldo.tamaño_bytes) as progress:
            return await verificar_respaldo(
                resources, respaldo, profundidad=Profundidad(profundidad), progress=progress
            )

    return with_resources(work)


def verify_file(
    path: Path, *, title: str = "Verificando", on_event: "Callable[[Event], None] | None" = None
) -> "VerifiedFile":
    """Check a file on disk, against FILE.md5 where it is there. Raises FormatError or LocalFileError.

    `title` is for the progress bar, `on_event` is FileVerifier's.
    """
    from app.dump.verifier import FileVerifier

    verifier = FileVerifier(on_event=on_event)
    try:
        with path.open("rb") as file, progress_bar(title, total=path.stat().st_size) as progress:
            while chunk := file.read(1 << 20):
                verifier.feed(chunk)
                progress.advance(bytes_=len(chunk))
        md5_file = path.with_name(path.name + ".md5")
        stated = md5_file.read_bytes() if md5_file.exists() else None
    except OSError as exc:
        raise LocalFileError(f"no se puede leer «{exc.filename or path}»: {exc.strerror}") from exc
    if stated is None:
        return verifier.finish()
    # md5sum marks a line whose file name it had to escape.
    if (found := re.match(rb"\\?([0-9a-fA-F]{32})(?![0-9a-zA-Z])", stated)) is None:
        raise FormatError(f"«{md5_file}» no empieza con un hash MD5, y falta con qué comparar")
    return verifier.finish(found[1].decode())


@click.command()
@whose_option
@json_option
def estadisticas(clinica: str | None, plataforma: bool, as_json: bool) -> None:
    """Resume cómo van los respaldos de una clínica, o de la plataforma, y cuánto cuestan."""
    owner = one_of(clinica, plataforma)

    async def work(settings: "Settings") -> "Estadisticas":
        from datetime import UTC, datetime

        from app.connections import open_databases
        from app.respaldos.status.statistics import obtener_estadisticas

        async with open_databases(settings) as databases:
            return await obtener_estadisticas(
                databases,
                clinic=await databases.clinic.clinic(owner) if owner is not None else None,
                now=datetime.now(UTC),
                time_zone=settings.time_zone,
                hour=settings.backup_hour,
                minute=settings.backup_minute,
                price_gb_month=settings.storage_price_gb_month,
            )

    found = with_settings(work)
    if as_json:
        print_json(found)
        return
    last, rate, upcoming = found["ultimo_respaldo"], found["tasa_exito"], found["proximo_respaldo"]
    days = [day["estado"] for day in found["serie"]]
    fields(
        {
            "Respaldos": number(found["total_respaldos"]),
            "Completados": number(found["completados"]),
            "Fallidos": number(found["fallidos"]),
            "Tasa de éxito": f"{rate} %" if found["completados"] or found["fallidos"] else "—",
            "Espacio usado": f"{found['tamaño_total_mb']:,.2f} MB",
            "Costo mensual estimado": f"{found['costo_mensual_estimado_usd']:,.4f} USD",
            "Último respaldo": "ninguno"
            if last is None
            else f"número {last['id']}, {moment(last['fecha'])} UTC, {last['tamaño_mb']:,.2f} MB",
            "Próximo respaldo": "ninguno: la clínica no está activa"
            if upcoming is None
            else f"{moment(upcoming)} UTC",
            f"Últimos {len(days)} días": f"{days.count('completado')} con respaldo, {days.count('fallido')} fallidos,"
            f" {days.count(None)} sin ninguno",
        }
    )


async def find_respaldo(databases: "Databases", respaldo_id: int) -> "Respaldo":
    """The backup of that id, whichever clinic it is of, deleted or not. Raises RespaldoNotFound."""
    from app.errors import RespaldoNotFound
    from app.respaldos.backup import fleet as backup_fleet
    from app.respaldos.resources import transaction

    async with transaction(databases) as session:
        respaldo = await backup_fleet.get(session, respaldo_id)
    if respaldo is None:
        raise RespaldoNotFound(f"no existe el respaldo {respaldo_id}")
    return respaldo
