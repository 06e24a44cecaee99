"""Commands that make a backup, or fetch it: crear, descargar."""

from pathlib import Path

import click

from app.cli.clinic_option import clinic_number, one_of, whose_option
from app.cli.find import encryption_of, file_name, find_respaldo
from app.cli.object import tell_copy
from app.cli.output import ask_first, done, elapsed, fields, json_option, number, print_json, say, size, warn
from app.cli.parameters import IDENTIFIER
from app.cli.progress import progress_bar
from app.cli.resources import with_resources
from app.connections.full import in_full
from app.respaldos.backup.run import crear_respaldo
from app.respaldos.contract import RespaldoCompleto
from app.respaldos.models import Respaldo, TipoRespaldo
from app.respaldos.reading.download import descargar_respaldo
from app.respaldos.reconcile import reconciliar
from app.respaldos.resources import Resources
from app.settings import settings_of_process


@click.command()
@whose_option
@click.option("--todas", is_flag=True, help="Cada clínica activa; los hacen los trabajadores («respaldos worker»).")
@click.option("--descripcion", default="", metavar="T", help="Para qué es este respaldo.")
@json_option
@click.pass_context
def crear(
    context: click.Context, clinica: str | None, plataforma: bool, todas: bool, descripcion: str, as_json: bool
) -> None:
    """Respalda ahora los datos de una clínica, o los de la plataforma, que no son de ninguna.

    Los respaldos de todas las clínicas y el de la plataforma son la base de datos entera. Termina bien solo cuando
    el archivo se volvió a leer de S3 y es idéntico al enviado.

    Con --todas se piden los de todas las clínicas activas, y se espera a que los trabajadores los hagan; Ctrl-C deja
    de esperar, y ellos siguen. Termina con error si alguno falló, o si a una clínica no se le pidió por tener algo en
    curso.
    """
    if todas:
        if clinica is not None or plataforma:
            raise click.UsageError("--todas no va con --clinica ni con --plataforma")
        # One clinic's does not wait for what talks to Redis.
        from app.cli.all_clinics import create_all

        if not create_all(descripcion, as_json):
            context.exit(1)
        return
    owner = one_of(clinica, plataforma)

    async def work(resources: Resources) -> tuple[Respaldo, RespaldoCompleto]:
        with progress_bar("Respaldando") as progress:
            await reconciliar(resources)
            respaldo = await crear_respaldo(
                resources,
                clinica_id=await clinic_number(resources.clinic, owner) if owner is not None else None,
                tipo=TipoRespaldo.MANUAL,
                descripcion=descripcion,
                progress=progress,
            )
        return respaldo, await in_full(resources, settings_of_process(), respaldo)

    respaldo, shown = with_resources(work)
    if as_json:
        print_json(shown)
    else:
        show_created(respaldo)


def show_created(respaldo: Respaldo) -> None:
    """What a person sees of a backup just made."""
    metadata = respaldo.metadata_
    done("Respaldo creado exitosamente!")
    fields(
        {
            "ID": str(respaldo.id),
            "Archivo S3": respaldo.archivo_s3 or "",
            "Tamaño": size(respaldo.tamaño_bytes),
            "Registros": number(respaldo.numero_registros),
            "Tiempo": elapsed(respaldo.tiempo_ejecucion.total_seconds() if respaldo.tiempo_ejecucion else 0),
            "Hash MD5": respaldo.hash_md5 or "",
            **({"Cifrado": encryption_of(respaldo)} if respaldo.encrypted else {}),
        },
        indent=2,
    )
    say("Detalles de compresión:")
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
@click.argument("id_", metavar="ID", type=IDENTIFIER)
@click.option(
    "-o", "--salida", type=click.Path(dir_okay=False, path_type=Path), metavar="F", help="Archivo en que se guarda."
)
@click.option("--cifrado", is_flag=True, help="Lo baja tal como está en el bucket, sin descifrarlo.")
@click.option("--si", is_flag=True, help="Reemplaza el archivo sin preguntar.")
@json_option
def descargar(id_: int, salida: Path | None, cifrado: bool, si: bool, as_json: bool) -> None:
    """Baja un respaldo a un archivo, y su hash a F.md5 al lado.

    Uno cifrado llega descifrado.
    """
    target = salida or Path(file_name(id_, raw=cifrado))
    confirm_replacing(target, si)

    async def work(resources: Resources) -> None:

        respaldo = await find_respaldo(resources, id_)
        with progress_bar("Descargando", total=respaldo.tamaño_bytes) as progress:
            await descargar_respaldo(resources, respaldo, target, raw=cifrado, progress=progress)
        tell_copy(progress)

    with_resources(work)
    if as_json:
        print_json({"archivo": str(target), "md5": f"{target}.md5", "tamaño_bytes": target.stat().st_size})
    else:
        done(f"{target} ({size(target.stat().st_size)}), con su hash en {target}.md5")


def confirm_replacing(target: Path, si: bool) -> None:
    """Ask before a file, or the one with its hash, is lost; without a terminal and without `--si` it is refused."""
    taken = next((path for path in (target, target.with_name(target.name + ".md5")) if path.exists()), None)
    if taken is not None:
        ask_first(
            f"«{taken}» ya existe. ¿Reemplazarlo?",
            si,
            refusal=f"«{taken}» ya existe; use --si para reemplazarlo",
        )
