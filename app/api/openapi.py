"""What the OpenAPI document says beside what FastAPI reads off the routes."""

from collections.abc import Mapping
from typing import Any, Final

from fastapi import FastAPI
from fastapi.routing import APIRoute

from app.api import openapi
from app.api.middleware import API
from app.api.problems import CHALLENGE, MEDIA_TYPE, RETRY_SECONDS, TITLES
from app.api.schemas import CampoNoValido, Problema

SUMMARY: Final = "Respalda los datos de cada clínica, y demuestra que se pueden recuperar."

DESCRIPTION: Final = """
Cada petición lleva un token en la cabecera `Authorization: Bearer <token>`; lo da `POST /api/v1/auth/login/`, y
el botón **Authorize** de esta página lo pone en todas. Con él se ve solo la clínica de la persona: lo de otra
responde 404, como lo que no existe.

El administrador puede hacerlo todo en su clínica; el resto del personal, mirar; un paciente, nada. El
superadministrador elige la clínica con `?clinica_id=`, o con `?plataforma=true` lo que no es de ninguna.

Toda ruta responde igual con barra final y sin ella. Los errores son documentos `application/problem+json`
(RFC 9457), con una frase que se puede mostrar en `error` y un `codigo` estable para programas.
"""

TAGS: Final = [
    {"name": "Ingreso", "description": "Obtener un token, y saber si todavía vale."},
    {"name": "Respaldos", "description": "Los respaldos de una clínica."},
    {
        "name": "Restauraciones",
        "description": "Las verificaciones, restauraciones y comparaciones, y cómo terminaron.",
    },
    {"name": "Auditoría", "description": "Quién hizo qué, cuándo y desde dónde."},
    {"name": "Clínicas", "description": "Qué clínica es la de quien pregunta, y cómo están todas."},
    {"name": "Salud", "description": "Para quien opera el servicio. Sin token."},
]

_ENUMERATIONS: Final = {
    "Accion": "Qué se hizo.",
    "Estado": "Va de pendiente a procesando, y termina en completado, fallido o cancelado.",
    "Profundidad": "Cuánto se comprueba: que el archivo esté y tenga su tamaño (rapida), o todo (completa).",
    "Orden": "Por qué se ordena; con `-`, de mayor a menor. Lo que no tiene tamaño o registros va al final.",
    "Situacion": "Cómo están los respaldos de una clínica, de lo peor a lo mejor; de una inactiva no se espera nada.",
    "TipoOperacion": "Qué está en curso.",
    "TipoRespaldo": "Quién lo pidió: la línea de comandos, la noche, o una persona en la aplicación.",
    "TipoRestauracion": "Qué se hace con el archivo.",
}

_EXAMPLES: Final[Mapping[int, tuple[str, str]]] = {
    400: ("http_400", "El cuerpo de la petición no se entiende: debe ser JSON en UTF-8"),
    401: ("token_invalido", "El token venció"),
    403: ("sin_permiso", "Solo un administrador de la clínica puede hacer esto"),
    404: ("respaldo_inexistente", "No existe el respaldo 7"),
    409: ("operacion_en_curso", "La clínica 1 ya tiene un respaldo en curso"),
    410: ("respaldo_purgado", "El archivo del respaldo 7 ya se borró"),
    413: ("http_413", "El cuerpo de la petición pasa de 65536 bytes"),
    422: ("solicitud_invalida", "«limit» debe ser 1000 o menos"),
    429: ("demasiados_intentos", "Demasiados intentos fallidos; vuelva a intentarlo en 15 minutos"),
    500: ("error_interno", "Ocurrió un error inesperado"),
    501: ("ingreso_no_configurado", "Este servicio no da tokens: le falta JWT_SECRET"),
    502: ("almacenamiento", "El almacenamiento respondió con un error"),
    503: ("base_de_datos_no_disponible", "La base de datos no responde; vuelva a intentarlo en unos segundos"),
    507: ("almacenamiento_lleno", "El almacenamiento está lleno"),
}

_HEADERS: Final[Mapping[int, dict[str, Any]]] = {
    401: {"WWW-Authenticate": {"schema": {"type": "string"}, "example": CHALLENGE}},
    429: {"Retry-After": {"schema": {"type": "integer"}, "description": "Segundos.", "example": 900}},
    503: {"Retry-After": {"schema": {"type": "integer"}, "description": "Segundos.", "example": RETRY_SECONDS}},
}


def problems(*statuses: int, **said: str) -> dict[int | str, dict[str, Any]]:
    """The `responses` of a route that may answer with these errors; `said` has better words, as `_409="…"`."""
    return {status: _response(status, said.get(f"_{status}")) for status in sorted(statuses)}


def of_anyone(*more: int, **said: str) -> dict[int | str, dict[str, Any]]:
    """The errors of every route that needs a token, and `more`."""
    return problems(401, 403, 404, 422, 500, 503, *more, **said)


def with_body(*more: int, **said: str) -> dict[int | str, dict[str, Any]]:
    """The errors of every route that needs a token and reads a body, and `more`."""
    return of_anyone(400, 413, *more, **said)


def _response(status: int, sentence: str | None) -> dict[str, Any]:
    code, usual = _EXAMPLES[status]
    sentence = sentence or usual
    example: dict[str, Any] = {
        "type": f"urn:respaldos:error:{code}",
        "title": TITLES[status],
        "status": status,
        "detail": sentence,
        "instance": f"{API}/respaldos/",
        "error": sentence,
        "codigo": code,
    }
    if status == 422:
        example["errores"] = [{"campo": "limit", "mensaje": sentence}]
    found = {
        "description": TITLES[status],
        "content": {MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/Problema"}, "example": example}},
    }
    if status in _HEADERS:
        found["headers"] = _HEADERS[status]
    return found


def operation_id(route: APIRoute) -> str:
    """A name for programs that are made from the document: the route's module and function.

    A route that has moved since keeps its name, by its own `operation_id`.
    """
    return f"{route.endpoint.__module__.rpartition('.')[2]}_{route.name}"


class DocumentedApp(FastAPI):
    """A FastAPI whose document has the schema of its errors, in place of FastAPI's own of a 422, and examples.

    FastAPI would leave out what is null in an example, and show the program's own words about its enumerations.
    """

    def openapi(self) -> dict[str, Any]:
        document = super().openapi()
        schemas = document.setdefault("components", {}).setdefault("schemas", {})
        if "Problema" not in schemas:
            _without_null(document)
            for model in (CampoNoValido, Problema):
                found = model.model_json_schema(ref_template="#/components/schemas/{model}")
                found.pop("$defs", None)
                schemas[model.__name__] = found
            for name in ("HTTPValidationError", "ValidationError"):
                schemas.pop(name, None)
            for name, example in openapi.BY_SCHEMA.items():
                schemas[name]["examples"] = [example]
            for name, said in _ENUMERATIONS.items():
                schemas[name]["description"] = said
        return document


def _without_null(document: dict[str, Any]) -> None:
    """A parameter can be left out, but there is no way to write null in an address."""
    for item in document["paths"].values():
        for operation in item.values():
            for parameter in operation.get("parameters", []):
                schema = parameter["schema"]
                kept = [part for part in schema.pop("anyOf", []) if part != {"type": "null"}]
                if len(kept) == 1:
                    schema |= kept[0]
                elif kept:
                    schema["anyOf"] = kept


RESPALDO_EN_LISTA: Final[dict[str, Any]] = {
    "id": 7,
    "clinica_id": 1,
    "fecha_respaldo": "2026-07-03T06:00:12+00:00",
    "tamaño_bytes": 1572864,
    "tamaño_mb": 1.5,
    "numero_registros": 15000,
    "estado": "completado",
    "estado_display": "Completado",
    "tipo_respaldo": "automatico",
    "tipo_respaldo_display": "Automático",
    "descripcion": "",
    "usuario": None,
    "fecha_creacion": "2026-07-03T06:00:00+00:00",
    "puede_restaurar": True,
    "verificado": {"fecha": "2026-07-05T07:00:00+00:00", "profundidad": "completa", "error": None},
    "sospechoso": False,
    "fecha_expiracion": "2026-08-02T06:00:12+00:00",
}

RESPALDO: Final[dict[str, Any]] = {
    **RESPALDO_EN_LISTA,
    "archivo_s3": "backups/1/2026/07/backup_20260703_020012.json.gz",
    "hash_md5": "9e107d9d372bb6826bd81d3542a419d6",
    "tiempo_ejecucion": "00:00:04.381000",
    "tiempo_ejecucion_segundos": 4.381,
    "metadata": {
        "modelos_respaldados": ["usuarios", "pacientes", "consultas"],
        "detalles_registros": {"usuarios": 40, "pacientes": 2960, "consultas": 12000},
        "tamaño_original_mb": 9.0,
        "tamaño_comprimido_mb": 1.5,
        "compresion_porcentaje": 83.3,
        "avisos": [],
    },
    "usuario_nombre": None,
    "fecha_actualizacion": "2026-07-05T07:00:00+00:00",
    "progreso": None,
}

PENDIENTE: Final[dict[str, Any]] = {
    **RESPALDO,
    "id": 8,
    "tamaño_bytes": 0,
    "tamaño_mb": 0.0,
    "numero_registros": 0,
    "estado": "pendiente",
    "estado_display": "Pendiente",
    "tipo_respaldo": "por_demanda",
    "tipo_respaldo_display": "Por demanda",
    "descripcion": "Antes de la actualización",
    "usuario": "12",
    "puede_restaurar": False,
    "fecha_expiracion": None,
    "verificado": None,
    "archivo_s3": None,
    "hash_md5": None,
    "tiempo_ejecucion": None,
    "tiempo_ejecucion_segundos": 0.0,
    "metadata": {
        "modelos_respaldados": [],
        "detalles_registros": {},
        "tamaño_original_mb": 0.0,
        "tamaño_comprimido_mb": 0.0,
        "compresion_porcentaje": 0.0,
        "avisos": [],
    },
    "usuario_nombre": "Ana María Peñaranda",
}

RESPALDO_CON_MENSAJE: Final[dict[str, Any]] = {
    "mensaje": "El respaldo empezará en un momento",
    "respaldo": PENDIENTE,
}

INGRESADO: Final[dict[str, Any]] = {
    "mensaje": "Inicio de sesión exitoso",
    "token": "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.eyJzdWIiOiIxMiJ9.x2Vq…",
    "expira_en_segundos": 28800,
    "usuario": {
        "codigo": 12,
        "nombre": "Ana María",
        "apellido": "Peñaranda",
        "nombre_completo": "Ana María Peñaranda",
        "correoelectronico": "admin@clinica1.example",
        "idtipousuario": 1,
        "tipo_usuario_nombre": "Administrador",
        "clinica_id": 1,
        "rol": "Administrador",
    },
}

TOKEN_VERIFICADO: Final[dict[str, Any]] = {
    "valido": True,
    "expira_en_segundos": 28740,
    "usuario": INGRESADO["usuario"],
}

ENLACE: Final[dict[str, Any]] = {
    "url": "https://respaldos.s3.us-east-1.amazonaws.com/backups/1/2026/07/backup_20260703_020012.json.gz?X-Amz-…",
    "expira_en_segundos": 3600,
    "archivo": "backup_20260703_020012.json.gz",
    "tamaño_mb": 1.5,
}

ESTADISTICAS: Final[dict[str, Any]] = {
    "total_respaldos": 92,
    "completados": 91,
    "fallidos": 1,
    "tamaño_total_mb": 136.5,
    "ultimo_respaldo": {"id": 7, "fecha": "2026-07-03T06:00:12+00:00", "tamaño_mb": 1.5},
    "tasa_exito": 98.9,
    "proximo_respaldo": "2026-07-04T06:00:00+00:00",
    "costo_mensual_estimado_usd": 0.001667,
    "serie": [
        {"dia": "2026-07-02", "estado": "fallido", "tamaño_mb": 0.0, "segundos": 0.0},
        {"dia": "2026-07-03", "estado": "completado", "tamaño_mb": 1.5, "segundos": 4.381},
    ],
    "situacion": "al_dia",
    "ultimo_bueno": {"id": 7, "fecha": "2026-07-03T06:00:12+00:00", "tamaño_mb": 1.5},
    "ultima_verificacion": {
        "respaldo_id": 5,
        "fecha": "2026-06-30T11:20:41+00:00",
        "profundidad": "ensayo",
        "error": None,
    },
    "fallos_seguidos": 0,
    "tamaño_almacenado_mb": 136.5,
    "precio_gb_mes_usd": 0.0125,
}

CLINICA_PROPIA: Final[dict[str, Any]] = {
    "clinica_id": 1,
    "nombre": "Clínica Dental Illimani — La Paz",
    "activa": True,
    "zona_horaria": "America/La_Paz",
    "respaldo_diario": "02:00",
    "puede_administrar": True,
}

CLINICA_EN_LISTA: Final[dict[str, Any]] = {
    "clinica_id": 3,
    "nombre": "Sonrisas del Tunari — Cochabamba",
    "activa": True,
    "zona_horaria": "America/La_Paz",
    "situacion": "atrasada",
    "ultimo_bueno": {"id": 4, "fecha": "2026-06-30T06:00:09+00:00", "tamaño_mb": 0.4},
    "ultima_verificacion": None,
    "en_curso": None,
    "fallos_seguidos": 3,
}

RESTAURACION: Final[dict[str, Any]] = {
    "id": 3,
    "respaldo_id": 7,
    "clinica_id": 1,
    "tipo": "restauracion",
    "profundidad": None,
    "estado": "completado",
    "simulada": True,
    "modelos": None,
    "registro": "pacientes:15",
    "destino": None,
    "con_accesos": False,
    "con_clinica": False,
    "progreso": None,
    "resultado": {
        "pacientes": {
            "insertados": 0,
            "actualizados": 1,
            "eliminados": 0,
            "ejemplos": {
                "actualizados": [
                    {
                        "clave": {"codusuario": 15},
                        "campos": {"direccion": {"antes": "Calle 9", "despues": "Av. Busch 1234"}},
                    }
                ]
            },
        },
        "consultas": {
            "insertados": 2,
            "actualizados": 0,
            "eliminados": 0,
            "ejemplos": {"insertados": [{"clave": {"id": 81}}, {"clave": {"id": 82}}]},
        },
    },
    "avisos": [],
    "respaldo_previo": None,
    "comparado_con": None,
    "error": None,
    "usuario": "12",
    "fecha_creacion": "2026-07-05T06:59:55+00:00",
    "fecha_fin": "2026-07-05T07:00:00+00:00",
}

EVENTO: Final[dict[str, Any]] = {
    "id": 41,
    "fecha": "2026-07-05T06:59:55.120000+00:00",
    "clinica_id": 1,
    "accion": "enlace_descarga",
    "respaldo_id": 7,
    "usuario": "12",
    "direccion": "203.0.113.9",
    "detalle": {"archivo": "backup_20260703_020012.json.gz", "segundos": 3600},
}

EVENTO_DE_CLINICA: Final[dict[str, Any]] = {**EVENTO, "usuario_nombre": "Ana María Peñaranda"}

BY_SCHEMA: Final = {
    "Ingresado": INGRESADO,
    "TokenVerificado": TOKEN_VERIFICADO,
    "RespaldoEnLista": RESPALDO_EN_LISTA,
    "RespaldoCompleto": RESPALDO,
    "RespaldoConMensaje": RESPALDO_CON_MENSAJE,
    "Enlace": ENLACE,
    "Estadisticas": ESTADISTICAS,
    "ClinicaPropia": CLINICA_PROPIA,
    "ClinicaEnLista": CLINICA_EN_LISTA,
    "RestauracionEnLista": RESTAURACION,
    "EventoEnLista": EVENTO,
    "EventoDeClinica": EVENTO_DE_CLINICA,
}
