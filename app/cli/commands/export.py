"""The command exportar: a backup's data in formats that other programs open."""

import asyncio
from pathlib import Path
from typing import Any

import click

from app.cli.file import decryption_of_file, verify_file
from app.cli.interrupt import run_alone
from app.cli.output import ask_first, done, json_option, number, print_json, size, table, warn
from app.cli.parameters import UNSEALED_ID, id_of, unsealed_option
from app.dump.document import Section
from app.dump.encryption import Decryptor
from app.dump.whose import whose
from app.export.export import Export, existing_export
from app.export.format import Exported, Formato
from app.export.read_me import description
from app.respaldos.cancellation import uninterrupted


class _FormatoName(click.ParamType[Formato]):
    """One of Formato; click words its own choices in English."""

    name = "F"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Formato:
        try:
            return Formato(str(value).lower())
        except ValueError:
            self.fail(f"«{value}» no es un formato: se exporta a {', '.join(Formato)}", param, ctx)


@click.command()
@click.argument("cual", metavar="ID|ARCHIVO")
@click.option(
    "--formato", type=_FormatoName(), required=True, metavar="|".join(Formato), help="Formato de la exportación."
)
@click.option(
    "-o",
    "--salida",
    type=click.Path(path_type=Path),
    metavar="F",
    help="Carpeta, o archivo (sqlite), que se crea; si no se dice, se llama como el respaldo, en esta carpeta.",
)
@click.option("--si", is_flag=True, help="Reemplaza sin preguntar una exportación que ya está ahí.")
@unsealed_option
@json_option
def exportar(cual: str, formato: Formato, salida: Path | None, si: bool, sin_sello: bool, as_json: bool) -> None:
    """Saca los datos de un respaldo a archivos que abren otros programas.

    csv: una carpeta con un archivo por modelo, los datos tal como son. excel: lo mismo para abrir con doble clic, con
    coma decimal y sin fórmulas. sqlite: un solo archivo con una tabla por
    modelo. parquet: una carpeta con un archivo por modelo, para DuckDB, pandas o Power BI. json: el respaldo mismo,
    descifrado si estaba cifrado.

    Con un ID lee el objeto de S3. Con un ARCHIVO no necesita ningún servicio, salvo las claves
    si está cifrado. El respaldo se verifica mientras se
    lee, y la exportación aparece solo si está completo y sano. Salen los datos de la clínica y los registros
    compartidos a los que apuntan.
    """
    formato.require()
    id_ = id_of(cual)
    if id_ is not None:
        if sin_sello:
            raise click.UsageError(UNSEALED_ID)
        # A file needs no service, and does not wait for what talks to one (0.4 s).
        from app.cli.find import file_name
        from app.cli.object import export_object
    target = salida or Path(formato.name_for(Path(cual).name if id_ is None else file_name(id_)))
    replace = existing_export(target, formato)
    if replace:
        ask_first(
            f"«{target}» ya existe. ¿Reemplazarlo?",
            si,
            refusal=f"«{target}» ya existe; use --si para reemplazarlo",
        )
    if id_ is None:
        decryption = decryption_of_file(Path(cual))
        exported = run_alone(
            _export_file(Path(cual), target, formato, replace, unsealed=sin_sello, decryption=decryption)
        )
    else:
        exported = export_object(id_, target, formato, replace)
    _show(exported, as_json)


async def _export_file(
    path: Path, target: Path, formato: Formato, replace: bool, *, unsealed: bool, decryption: Decryptor | None
) -> Exported:
    with Export(target, formato, replace=replace) as export:
        await asyncio.to_thread(
            verify_file,
            path,
            unsealed=unsealed,
            decryption=decryption,
            title="Exportando",
            on_event=export.take,
            on_plain=export.copy,
        )
        return await uninterrupted(asyncio.to_thread(export.commit))


def _show(exported: "Exported", as_json: bool) -> None:
    header = exported.header
    if as_json:
        print_json(
            {
                "salida": str(exported.target),
                "formato": exported.formato,
                "respaldo": header.origin.id,
                "clinica_id": header.clinica_id,
                "fecha": header.taken_at.isoformat(),
                "numero_registros": exported.records(Section.DATA),
                "registros_de_referencia": exported.records(Section.REFERENCES),
                "tamaño_bytes": exported.size,
                "modelos": [description(model) for model in exported.models],
            }
        )
        return
    table(
        ("Modelo", "Archivo" if exported.formato.is_folder else "Tabla", "Registros"),
        [(model.name, model.place, number(model.records)) for model in exported.models],
        right=(2,),
    )
    for model in exported.models:
        for column in model.as_text:
            warn(f"«{column}» de «{model.name}» salió como texto: tiene valores que su tipo no admite")
    done(
        f"{exported.target} ({size(exported.size)}): {number(exported.records(Section.DATA))} registros de"
        f" {whose(header.clinica_id)} y {number(exported.records(Section.REFERENCES))} compartidos"
    )
