"""What people's programs are shown of records that were found, and of one record's history."""

from enum import StrEnum
from typing import Annotated

from pydantic import Field

from app.respaldos.contract import Answer, Fecha, eg


class EstadoRegistro(StrEnum):
    """What became of a record since the backups in which it was looked for; in the order in which they are told."""

    ELIMINADO = "eliminado"
    CAMBIO = "cambio"
    NUEVO = "nuevo"
    IGUAL = "igual"


class Coincidencia(Answer):
    """Dónde está lo que se buscó: la columna de qué modelo, y lo que dice ahí."""

    modelo: Annotated[str, eg("usuarios")]
    columna: Annotated[str, eg("apellido")]
    extracto: Annotated[str, eg("Muñoz")]


class RegistroEncontrado(Answer):
    """Un registro y qué pasó con él.

    `igual`: está hoy como en todos los respaldos que lo tienen. `cambio`: está hoy, y en `en_respaldo` está como era
    antes de cambiar. `eliminado`: hoy no está; `en_respaldo` es el último respaldo que lo tiene. `nuevo`: ningún
    respaldo lo tiene todavía. Lo que se restaura es el registro `modelo:clave`.
    """

    numero: Annotated[int, eg(1)] = Field(
        description="Cuál es en esta búsqueda. Si se lee por líneas y una lo repite, vale la última: al leer"
        " respaldos más viejos se supo más."
    )
    modelo: Annotated[str, eg("pacientes")]
    modelo_nombre: Annotated[str, eg("Pacientes")]
    clave: Annotated[str | None, eg("15")] = Field(
        description="Los valores de su clave, separados por comas. Vacía si la tabla no tiene clave, o si la clave es"
        " un secreto."
    )
    etiqueta: Annotated[str, eg("Ana María Muñoz")] = Field(description="Cómo lo llama la gente.")
    estado: Annotated[EstadoRegistro, eg("eliminado")]
    en_respaldo: Annotated[int | None, eg(7)] = Field(description="De qué respaldo se puede traer como era.")
    fecha_respaldo: Annotated[Fecha | None, eg("2026-07-03T06:00:12+00:00")]
    visto_hasta: Annotated[Fecha, eg("2026-07-03T06:00:12+00:00")] = Field(
        description="El último momento del que se sabe que estaba."
    )
    eliminado_entre: Annotated[
        tuple[Fecha, Fecha] | None, eg(["2026-07-03T06:00:12+00:00", "2026-07-04T06:00:10+00:00"])
    ] = Field(description="Si está eliminado: la fecha del último respaldo que lo tiene, y la del siguiente, u hoy.")
    coincidencia: Annotated[Coincidencia, eg(Coincidencia.example())]


class FinDeBusqueda(Answer):
    """La última línea de una búsqueda que se lee por líneas."""

    hay_mas: Annotated[bool, eg(False)] = Field(description="Hay más registros de los que se muestran.")
    avisos: Annotated[list[str], eg([])] = Field(description="Qué respaldos no se pudieron leer, y por qué.")


class RegistrosEncontrados(FinDeBusqueda):
    """Los registros que tienen todas las palabras: primero los eliminados, después los que cambiaron."""

    resultados: Annotated[list[RegistroEncontrado], eg([RegistroEncontrado.example()])]


class CambioDeColumna(Answer):
    """Una columna que cambió. Lo largo se muestra cortado, alrededor de lo que es distinto.

    Si la columna apunta a otro registro, las etiquetas dicen a cuál.
    """

    columna: Annotated[str, eg("direccion")]
    modelo: Annotated[str, eg("pacientes")]
    antes: Annotated[str | int | bool | None, eg("Calle 9")]
    despues: Annotated[str | int | bool | None, eg("Av. Busch 1234")]
    etiqueta_antes: Annotated[str | None, eg(None)]
    etiqueta_despues: Annotated[str | None, eg(None)]


class VersionDeRegistro(Answer):
    """Cómo estuvo un registro, desde el primer momento en que se lo vio así hasta el último.

    `existe` es falso mientras no estaba. `cambios` son los que hubo desde la versión anterior.
    """

    desde: Annotated[Fecha, eg("2026-07-01T06:00:09+00:00")]
    hasta: Annotated[Fecha, eg("2026-07-03T06:00:12+00:00")]
    existe: Annotated[bool, eg(True)]
    en_respaldo: Annotated[int | None, eg(7)] = Field(description="El respaldo más nuevo que lo tiene así.")
    hoy: Annotated[bool, eg(False)] = Field(description="Si está así hoy.")
    cambios: Annotated[list[CambioDeColumna], eg([CambioDeColumna.example()])]


class Dependiente(Answer):
    """Un registro que apunta al de la historia."""

    clave: Annotated[str | None, eg("81")]
    etiqueta: Annotated[str, eg("2026-07-02 · Ana María Muñoz · Carla Rojas")]


class Dependientes(Answer):
    """Cuántos registros de un modelo apuntan al de la historia, y algunos de ellos."""

    modelo: Annotated[str, eg("consultas")]
    cantidad: Annotated[int, eg(12)]
    ejemplos: Annotated[list[Dependiente], eg([Dependiente.example()])]


class HistoriaDeRegistro(Answer):
    """Las versiones de un registro, de la más nueva a la más vieja.

    `dependientes` son los que dependen de él hoy o, si ya no está, en el último respaldo que lo tiene.
    """

    modelo: Annotated[str, eg("pacientes")]
    modelo_nombre: Annotated[str, eg("Pacientes")]
    clave: Annotated[str, eg("15")]
    etiqueta: Annotated[str, eg("Ana María Muñoz")]
    versiones: Annotated[list[VersionDeRegistro], eg([VersionDeRegistro.example()])]
    dependientes: Annotated[list[Dependientes], eg([Dependientes.example()])]
    avisos: Annotated[list[str], eg([])]


class CampoDeRegistro(Answer):
    """Lo que dice una columna, entero. Si apunta a otro registro, `etiqueta` dice a cuál."""

    columna: Annotated[str, eg("idestadoconsulta")]
    modelo: Annotated[str, eg("consultas")] = Field(description="El suyo, o el del registro con el que es uno solo.")
    valor: Annotated[str | int | bool | None, eg(3)]
    etiqueta: Annotated[str | None, eg("Confirmada")]


class RegistroEntero(Answer):
    """Todo lo que dice un registro, hoy o en un respaldo, y los registros que dependen de él."""

    modelo: Annotated[str, eg("consultas")]
    modelo_nombre: Annotated[str, eg("Consultas")]
    clave: Annotated[str, eg("81")]
    etiqueta: Annotated[str, eg("2026-07-02 · Ana María Muñoz")]
    en_respaldo: Annotated[int | None, eg(7)] = Field(description="Vacío si es como está hoy.")
    fecha: Annotated[Fecha, eg("2026-07-03T06:00:12+00:00")] = Field(description="De cuándo es.")
    campos: Annotated[list[CampoDeRegistro], eg([CampoDeRegistro.example()])]
    dependientes: Annotated[list[Dependientes], eg([Dependientes.example()])]
    avisos: Annotated[list[str], eg([])]


def model_name(model: str) -> str:
    """A model's name as people write it."""
    name = model.replace("_", " ").strip()
    return name[:1].upper() + name[1:]
