"""A backup as people's programs see it: the keys of the HTTP contract, which the command line's `--json` shares."""

from typing import Any, TypedDict

from app.respaldos.models import Estado, Respaldo, TipoRespaldo

ESTADO_DISPLAY = {
    Estado.PENDIENTE: "Pendiente",
    Estado.PROCESANDO: "Procesando",
    Estado.COMPLETADO: "Completado",
    Estado.FALLIDO: "Fallido",
    Estado.CANCELADO: "Cancelado",
}
TIPO_DISPLAY = {
    TipoRespaldo.MANUAL: "Manual",
    TipoRespaldo.AUTOMATICO: "Automático",
    TipoRespaldo.POR_DEMANDA: "Por demanda",
}

MIB = 1 << 20

# What programs find in `metadata` whatever became of the backup.
EMPTY_METADATA: dict[str, Any] = {
    "modelos_respaldados": [],
    "detalles_registros": {},
    "tamaño_original_mb": None,
    "tamaño_comprimido_mb": None,
    "compresion_porcentaje": None,
    "avisos": [],
}


class RespaldoResumen(TypedDict):
    """A backup in a list. Dates are ISO 8601 in UTC; `tamaño_mb` is in MiB, to two places."""

    id: int
    clinica_id: int
    fecha_respaldo: str
    tamaño_bytes: int | None
    tamaño_mb: float | None
    numero_registros: int | None
    estado: str
    estado_display: str
    tipo_respaldo: str
    tipo_respaldo_display: str
    descripcion: str
    usuario: str | None
    fecha_creacion: str
    puede_restaurar: bool


class RespaldoDetalle(RespaldoResumen):
    """A backup by itself. `tiempo_ejecucion` is `HH:MM:SS.ffffff`."""

    archivo_s3: str | None
    hash_md5: str | None
    tiempo_ejecucion: str | None
    tiempo_ejecucion_segundos: float | None
    metadata: dict[str, Any]
    fecha_actualizacion: str


def resumen(respaldo: Respaldo) -> RespaldoResumen:
    """The backup as lists show it."""
    size = respaldo.tamaño_bytes
    return {
        "id": respaldo.id,
        "clinica_id": respaldo.clinica_id,
        "fecha_respaldo": respaldo.fecha_respaldo.isoformat(),
        "tamaño_bytes": size,
        "tamaño_mb": round(size / MIB, 2) if size is not None else None,
        "numero_registros": respaldo.numero_registros,
        "estado": respaldo.estado,
        "estado_display": ESTADO_DISPLAY[Estado(respaldo.estado)],
        "tipo_respaldo": respaldo.tipo_respaldo,
        "tipo_respaldo_display": TIPO_DISPLAY[TipoRespaldo(respaldo.tipo_respaldo)],
        "descripcion": respaldo.descripcion,
        "usuario": respaldo.usuario,
        "fecha_creacion": respaldo.fecha_creacion.isoformat(),
        "puede_restaurar": respaldo.estado == Estado.COMPLETADO and respaldo.fecha_eliminacion is None,
    }


def detalle(respaldo: Respaldo) -> RespaldoDetalle:
    """The backup with everything that is known of it."""
    elapsed = respaldo.tiempo_ejecucion
    seconds = elapsed.total_seconds() if elapsed is not None else None
    return {
        **resumen(respaldo),
        "archivo_s3": respaldo.archivo_s3,
        "hash_md5": respaldo.hash_md5,
        "tiempo_ejecucion": clock(seconds) if seconds is not None else None,
        "tiempo_ejecucion_segundos": seconds,
        "metadata": EMPTY_METADATA | respaldo.metadata_,
        "fecha_actualizacion": respaldo.fecha_actualizacion.isoformat(),
    }


def clock(seconds: float) -> str:
    """A duration as `HH:MM:SS.ffffff`."""
    micros = round(seconds * 1_000_000)
    minutes, micros = divmod(micros, 60_000_000)
    return f"{minutes // 60:02d}:{minutes % 60:02d}:{micros / 1_000_000:09.6f}"
