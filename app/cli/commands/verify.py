"""The command verificar: a backup's object, or a file on disk, from end to end."""

from datetime import datetime
from pathlib import Path

import click

from app.cli.file import decryption_of_file, verify_file
from app.cli.output import dated, done, fields, json_option, number, print_json, size, timestamp, warn
from app.cli.parameters import UNSEALED_ID, id_of, unsealed_option
from app.dump.verifier import VerifiedFile
from app.dump.whose import whose


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
@unsealed_option
@json_option
def verificar(cual: str, profundidad: str, sin_sello: bool, as_json: bool) -> None:
    """Comprueba un respaldo de principio a fin.

    Con un ID lee el objeto de S3. Con un ARCHIVO no necesita ningún servicio, salvo las claves si está cifrado:
    comprueba su hash (si está ARCHIVO.md5 al lado), que el gzip llegue a su final, la estructura, y los registros y
    resúmenes de cada modelo.
    """
    id_ = id_of(cual)
    if id_ is None and profundidad != "completa":
        raise click.UsageError("--profundidad vale para un ID: un archivo siempre se comprueba entero")
    if id_ is not None and sin_sello:
        raise click.UsageError(UNSEALED_ID)
    verified: VerifiedFile | None
    copy = None
    if id_ is None:
        path = Path(cual)
        verified = verify_file(path, unsealed=sin_sello, decryption=decryption_of_file(path))
    else:
        # A file needs no service, and does not wait for what talks to one (0.4 s).
        from app.cli.object import verify_object

        verified, copy = verify_object(id_, profundidad)
    if verified is None:
        if as_json:
            print_json({"correcto": True, "respaldo": id_, "copia": copy})
        else:
            _warn_of(copy)
            done(f"Respaldo {cual}: el objeto está en S3 y tiene su tamaño; no se leyó su contenido")
        return
    said = verified.header.origin.id
    named = said if id_ is None else id_
    if as_json:
        print_json(
            {
                "correcto": True,
                "respaldo": named,
                "clinica_id": verified.header.clinica_id,
                "fecha": verified.header.taken_at.isoformat(),
                "numero_registros": verified.records,
                "tamaño_bytes": verified.compressed_size,
                "tamaño_original_bytes": verified.original_size,
                "hash_md5": verified.md5,
                "hash_sha256": verified.sha256,
                "sello": verified.seal,
                "sello_comprobado": verified.seal_checked,
                "cifrado": verified.key,
                "copia": copy,
                "detalles_registros": {name: total.records for name, total in verified.totals.items()},
            }
        )
    else:
        proven = "está completo y sano" + (
            ", y se pudo restaurar en tablas aparte" if profundidad == "ensayo" else ""
        )
        _warn_of(copy)
        other = "" if named == said else f" (su archivo es el del {said})"
        done(f"Respaldo {named}{other} de {whose(verified.header.clinica_id)}: {proven}")
        fields(
            {
                **_taken(verified.header.taken_at, of_file=id_ is None),
                "Registros": number(verified.records),
                "Modelos": number(len(verified.totals)),
                "Tamaño": f"{size(verified.compressed_size)} ({size(verified.original_size)} sin comprimir)",
                "Hash MD5": verified.md5,
                "Hash SHA-256": verified.sha256,
                "Sello": _seal(verified),
                "Cifrado": f"con la clave «{verified.key}»" if verified.key is not None else "no",
            },
            indent=2,
        )


def _warn_of(copy: str | None) -> None:
    if copy is not None:
        # What a file needs does not wait for what talks to S3.
        from app.respaldos.copies.sources import read_from

        warn(read_from(copy))


def _seal(verified: VerifiedFile) -> str:
    if verified.seal is None:
        return "no tiene"
    return f"de «{verified.seal}»" + ("" if verified.seal_checked else ", sin comprobar: aquí no hay claves")


def _taken(at: datetime, *, of_file: bool) -> dict[str, str]:
    # A file is verified where no settings are.
    return {"Fecha (UTC)": f"{at:%Y-%m-%d %H:%M:%S}"} if of_file else {dated("Fecha"): timestamp(at)}
