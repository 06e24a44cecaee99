"""What an exported folder says of itself: LEEME.txt for people, esquema.json for programs."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

from app.dump.document import Header, Section
from app.dump.whose import whose
from app.export.exporter import create
from app.export.format import ExportedModel, Formato

REFERENCES_FOLDER: Final = "referencias"
SCHEMA_FILE: Final = "esquema.json"
READ_ME_FILE: Final = "LEEME.txt"

# By which a folder that `exportar` made, and may replace, is known.
MARK: Final = "respaldos-exportacion"

_FORMATS: Final = {
    Formato.CSV: """\
Los archivos .csv son texto UTF-8, separado por punto y coma (;). Cada valor está entre comillas, tal como lo
escribe PostgreSQL: los decimales con punto, las fechas como 2026-11-23, las horas en UTC. Lo que no tiene
comillas, ni nada, es NULL (sin valor); "" es un texto vacío.

Excel abre un archivo con doble clic, pero entonces interpreta lo que lee: quita los ceros de adelante (de un
teléfono o un carnet), redondea números de más de 15 cifras, y puede tomar 1.500 por mil quinientos. Para verlo
exacto: Datos > Desde texto/CSV > Transformar datos, y dé a las columnas el tipo Texto. Excel muestra hasta
1,048,576 filas y 32,767 letras por celda; el archivo no tiene ese límite.

Los valores no se cambiaron en nada. Si alguien guardó un texto que empieza con =, +, - o @, Excel lo puede
tomar por una fórmula al abrirlo con doble clic: con Desde texto/CSV no pasa. No acepte ejecutar nada.
""",
    Formato.EXCEL: """\
Los archivos .csv se abren en Excel con doble clic: son texto UTF-8, separado por punto y coma (;), y los números
tienen coma decimal. Un texto que empieza con =, +, - o @, que Excel tomaría por una fórmula, lleva antes un
apóstrofo ('), que no es parte del dato. Excel quita los ceros de adelante (de un teléfono o un carnet), redondea
números de más de 15 cifras, y muestra hasta 1,048,576 filas y 32,767 letras por celda: para los datos exactos,
exporte con el formato csv.
""",
    Formato.PARQUET: """\
Los archivos .parquet tienen el tipo de cada columna. Los abren, por ejemplo, DuckDB, pandas, Power BI y R.
Las fechas y horas con zona están en UTC. Una columna que tenía algún valor que su tipo no admite (infinity,
NaN, años antes de Cristo o después del 9999, 24:00:00) está toda como texto; esquema.json dice cuáles.
""",
}


def facts(header: Header) -> dict[str, str | int | None]:
    """Which backup it is."""
    return {
        "clinica_id": header.clinica_id,
        "respaldo": header.origin.id,
        "fecha": header.taken_at.isoformat(),
        "descripcion": header.origin.description,
        "postgresql": header.postgresql,
        "servicio": header.service,
    }


def description(model: ExportedModel) -> dict[str, Any]:
    """What a program is told of a model's file or table."""
    return {
        "modelo": model.name,
        "seccion": model.section,
        "lugar": model.place,
        "registros": model.records,
        "clave": list(model.key),
        "como_texto": list(model.as_text),
    }


def write_description(folder: Path, formato: Formato, header: Header, models: Sequence[ExportedModel]) -> None:
    """Write both files."""
    schema = {
        "hecho_por": MARK,
        "formato": formato,
        **facts(header),
        "modelos": [
            description(model)
            | {
                "columnas": [
                    {"nombre": column.name, "tipo_postgresql": column.postgresql, "tipo": column.type}
                    for column in model.columns
                ]
            }
            for model in models
        ],
    }
    with create(folder / SCHEMA_FILE) as file:
        file.write(json.dumps(schema, ensure_ascii=False, indent=1).encode())
    with create(folder / READ_ME_FILE) as file:
        # Marked, and with Windows' line ends, for its oldest editors.
        file.write(_read_me(formato, header, models).replace("\n", "\r\n").encode("utf-8-sig"))


def _read_me(formato: Formato, header: Header, models: Sequence[ExportedModel]) -> str:
    lines = [
        f"Datos de {whose(header.clinica_id)}",
        f"Del respaldo {header.origin.id}, {header.taken_at:%Y-%m-%d %H:%M:%S} UTC",
        "",
        "Contiene datos de pacientes, y las contraseñas de los usuarios en su forma cifrada: guárdelo donde solo lo",
        "vea quien deba.",
        "",
        _FORMATS[formato],
        f"En «{REFERENCES_FOLDER}» están los registros que comparten varias clínicas y a los que apuntan los suyos.",
        f"{SCHEMA_FILE} dice de cada archivo qué modelo es, su clave y el tipo de cada columna.",
        "",
    ]
    for section in Section:
        lines += [f"{model.place}: {model.records:,} registros" for model in models if model.section is section]
    return "\n".join([*lines, ""])
