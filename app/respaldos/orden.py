"""In which order backups are listed."""

from enum import StrEnum


class Orden(StrEnum):
    """What has no size or count yet comes last, whichever way round."""

    MAS_NUEVO = "-fecha_respaldo"
    MAS_ANTIGUO = "fecha_respaldo"
    MAS_GRANDE = "-tamaño_bytes"
    MAS_PEQUEÑO = "tamaño_bytes"
    MAS_REGISTROS = "-numero_registros"
    MENOS_REGISTROS = "numero_registros"
