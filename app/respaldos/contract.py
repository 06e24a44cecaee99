"""What people's programs see: the keys of the HTTP contract, which the command line's `--json` shares."""

from collections.abc import Mapping
from typing import Any, TypedDict

from app.respaldos.models import Estado, Evento, Respaldo, Restauracion, TipoRespaldo, TipoRestauracion
from app.respaldos.progress import Progreso
from app.respaldos.status.health import Standing

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

# How avisos begin that name people, or say values: they are for those who may see what backups hold.
WHO, WHAT = "Accesos: ", "Valores: "

# What programs find in `metadata` whatever became of the backup: front ends count with these as they come.
EMPTY_METADATA: dict[str, Any] = {
    "modelos_respaldados": [],
    "detalles_registros": {},
    "tamaño_original_mb": 0.0,
    "tamaño_comprimido_mb": 0.0,
    "compresion_porcentaje": 0.0,
    "avisos": [],
}


class Verificado(TypedDict):
    """The last verification: when it ended (ISO 8601 in UTC), how deep it was, and why it failed if it did."""

    fecha: str
    profundidad: str | None
    error: str | None


class RespaldoResumen(TypedDict):
    """A backup in a list. Dates are ISO 8601 in UTC; `tamaño_mb` is in MiB, to two places.

    Every size and count is 0 while there is none, and for ever where the backup failed; `estado` tells that from an
    empty one. `sospechoso`: it has far less in it than the one before, and nobody has accepted it yet.
    """

    id: int
    clinica_id: int | None
    fecha_respaldo: str
    tamaño_bytes: int
    tamaño_mb: float
    numero_registros: int
    estado: str
    estado_display: str
    tipo_respaldo: str
    tipo_respaldo_display: str
    descripcion: str
    usuario: str | None
    fecha_creacion: str
    puede_restaurar: bool
    verificado: Verificado | None
    sospechoso: bool


class RespaldoDetalle(RespaldoResumen):
    """A backup by itself. `tiempo_ejecucion` is `HH:MM:SS.ffffff`, null while it is not known; the seconds are 0."""

    archivo_s3: str | None
    hash_md5: str | None
    tiempo_ejecucion: str | None
    tiempo_ejecucion_segundos: float
    metadata: dict[str, Any]
    usuario_nombre: str | None
    fecha_actualizacion: str
    progreso: Progreso | None


class RestauracionVista(TypedDict):
    """Something done, or to be done, with a backup's file. Dates are ISO 8601 in UTC.

    `resultado` of a restore: model → `insertados`, `actualizados`, `eliminados` and `ejemplos`, where there are any
    `compartidos` (how many of the inserted no clinic owns), and `restaurado`, false where what differs stays; of a
    comparison the same, as what changed since `comparado_con`; of a verification, what was found.
    """

    id: int
    respaldo_id: int
    clinica_id: int | None
    tipo: str
    profundidad: str | None
    estado: str
    simulada: bool
    modelos: list[str] | None
    registro: str | None
    destino: str | None
    con_accesos: bool
    con_clinica: bool
    progreso: dict[str, Any] | None
    resultado: dict[str, Any] | None
    avisos: list[str]
    respaldo_previo: int | None
    comparado_con: int | None
    error: str | None
    usuario: str | None
    fecha_creacion: str
    fecha_fin: str | None


class UltimoBueno(TypedDict):
    """The newest good backup. `fecha` is ISO 8601 in UTC."""

    id: int
    fecha: str
    tamaño_mb: float


class UltimaVerificacion(TypedDict):
    """The last verification that read what is in a backup. `fecha` is ISO 8601 in UTC."""

    respaldo_id: int
    fecha: str
    profundidad: str
    error: str | None


class EventoVista(TypedDict):
    """One line of the audit trail. `fecha` is ISO 8601 in UTC."""

    id: int
    fecha: str
    clinica_id: int | None
    accion: str
    respaldo_id: int | None
    usuario: str | None
    direccion: str | None
    detalle: dict[str, Any]


class EventoDeClinicaVista(EventoVista):
    """The same, with the name of who did it, where the clinic knows them today."""

    usuario_nombre: str | None


def resumen(respaldo: Respaldo) -> RespaldoResumen:
    """The backup as lists show it."""
    size = respaldo.tamaño_bytes or 0
    return {
        "id": respaldo.id,
        "clinica_id": respaldo.clinica_id,
        "fecha_respaldo": respaldo.fecha_respaldo.isoformat(),
        "tamaño_bytes": size,
        "tamaño_mb": round(size / MIB, 2),
        "numero_registros": respaldo.numero_registros or 0,
        "estado": respaldo.estado,
        "estado_display": ESTADO_DISPLAY[Estado(respaldo.estado)],
        "tipo_respaldo": respaldo.tipo_respaldo,
        "tipo_respaldo_display": TIPO_DISPLAY[TipoRespaldo(respaldo.tipo_respaldo)],
        "descripcion": respaldo.descripcion,
        "usuario": respaldo.usuario,
        "fecha_creacion": respaldo.fecha_creacion.isoformat(),
        "puede_restaurar": respaldo.estado == Estado.COMPLETADO and respaldo.fecha_eliminacion is None,
        "verificado": {
            "fecha": respaldo.verificado.isoformat(),
            "profundidad": respaldo.verificado_profundidad,
            "error": respaldo.verificado_error,
        }
        if respaldo.verificado is not None
        else None,
        "sospechoso": respaldo.sospechoso and respaldo.aceptado is None,
    }


def detalle(respaldo: Respaldo, progreso: Progreso | None = None) -> RespaldoDetalle:
    """The backup with everything that is known of it; `progreso` is its job's while it runs."""
    elapsed = respaldo.tiempo_ejecucion
    seconds = elapsed.total_seconds() if elapsed is not None else 0.0
    return {
        **resumen(respaldo),
        "archivo_s3": respaldo.archivo_s3,
        "hash_md5": respaldo.hash_md5,
        "tiempo_ejecucion": clock(seconds) if elapsed is not None else None,
        "tiempo_ejecucion_segundos": seconds,
        "metadata": EMPTY_METADATA | respaldo.metadata_,
        "usuario_nombre": respaldo.usuario_nombre,
        "fecha_actualizacion": respaldo.fecha_actualizacion.isoformat(),
        "progreso": progreso,
    }


def restauracion_vista(restauracion: Restauracion, *, examples: bool = True) -> RestauracionVista:
    """What was done with a file; without `examples` of rows, or names, for who may not see what backups hold."""
    job, found = restauracion.trabajo, restauracion.resultado
    if found is not None and not examples and restauracion.tipo != TipoRestauracion.VERIFICACION:
        found = {model: {**changes, "ejemplos": {}} for model, changes in found.items()}
    return {
        "id": restauracion.id,
        "respaldo_id": restauracion.respaldo_id,
        "clinica_id": restauracion.clinica_id,
        "tipo": restauracion.tipo,
        "profundidad": restauracion.profundidad,
        "estado": job.estado,
        "simulada": restauracion.simulada,
        "modelos": restauracion.modelos,
        "registro": restauracion.registro,
        "destino": restauracion.destino,
        "con_accesos": restauracion.con_accesos,
        "con_clinica": restauracion.con_clinica,
        "progreso": job.progreso,
        "resultado": found,
        "avisos": [aviso for aviso in restauracion.avisos or () if examples or not aviso.startswith((WHO, WHAT))],
        "respaldo_previo": restauracion.respaldo_previo,
        "comparado_con": restauracion.comparado_con,
        "error": job.error,
        "usuario": job.usuario,
        "fecha_creacion": job.fecha_creacion.isoformat(),
        "fecha_fin": job.fecha_fin.isoformat() if job.fecha_fin is not None else None,
    }


def ultimo_bueno(standing: Standing) -> UltimoBueno | None:
    """As people's programs see it."""
    good = standing.newest_good
    if good is None:
        return None
    return {"id": good.id, "fecha": good.moment.isoformat(), "tamaño_mb": round(good.bytes / MIB, 2)}


def ultima_verificacion(standing: Standing) -> UltimaVerificacion | None:
    """As people's programs see it."""
    proof = standing.last_proof
    if proof is None:
        return None
    return {
        "respaldo_id": proof.respaldo_id,
        "fecha": proof.moment.isoformat(),
        "profundidad": proof.profundidad,
        "error": proof.error,
    }


def evento_vista(evento: Evento) -> EventoVista:
    """One line of the audit trail."""
    return {
        "id": evento.id,
        "fecha": evento.fecha.isoformat(),
        "clinica_id": evento.clinica_id,
        "accion": evento.accion,
        "respaldo_id": evento.respaldo_id,
        "usuario": evento.usuario,
        "direccion": evento.direccion,
        "detalle": evento.detalle,
    }


def evento_de_clinica_vista(evento: Evento, names: Mapping[str, str]) -> EventoDeClinicaVista:
    """One line of a clinic's own trail; `names` are those of its people."""
    return {**evento_vista(evento), "usuario_nombre": names.get(evento.usuario or "")}


def clock(seconds: float) -> str:
    """A duration as `HH:MM:SS.ffffff`."""
    micros = round(seconds * 1_000_000)
    minutes, micros = divmod(micros, 60_000_000)
    return f"{minutes // 60:02d}:{minutes % 60:02d}:{micros / 1_000_000:09.6f}"
