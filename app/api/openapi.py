"""What the OpenAPI document says beside what FastAPI reads off the routes."""

from collections.abc import Iterator, Mapping
from typing import Any, Final

from fastapi import FastAPI
from fastapi.routing import APIRoute

from app.api.middleware import API
from app.api.problems import CHALLENGE, MEDIA_TYPE, RETRY_SECONDS, TITLES
from app.api.schemas import CampoNoValido, Problema
from app.respaldos.contract import Answer, AvisoEnviado

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
    {
        "name": "Exportaciones",
        "description": "Los datos de un respaldo para abrirlos con otros programas, con un enlace que vale una vez.",
    },
    {
        "name": "Constancias",
        "description": "Un respaldo, o lo que se hizo con él, en un papel que cualquiera comprueba.",
    },
    {"name": "Registros", "description": "Buscar un registro hoy y en los respaldos, y ver cómo fue cambiando."},
    {"name": "Auditoría", "description": "Quién hizo qué, cuándo y desde dónde."},
    {"name": "Claves", "description": "Con qué entran los programas de una clínica."},
    {"name": "Clínicas", "description": "Qué clínica es la de quien pregunta, y cómo están todas."},
    {"name": "Avisos", "description": "Lo que el servicio envía a WEBHOOK_URL, firmado."},
    {"name": "Salud", "description": "Para quien opera el servicio. Sin token."},
]

_ENUMERATIONS: Final = {
    "Accion": "Qué se hizo.",
    "Alcance": "Para qué es una clave.",
    "Dia": "Un día de la semana.",
    "EstadoRegistro": "Qué pasó con el registro.",
    "Estado": "Va de pendiente a procesando, y termina en completado, fallido o cancelado.",
    "Formato": "Para qué programas: Excel, cualquiera que lea CSV, SQLite, o Parquet; `json` es el respaldo mismo.",
    "Modo": "Qué se restaura: lo que falta hoy, también lo que cambió, o todo tal como estaba.",
    "EstadoCopia": "Hasta que está hecha, y después hasta que se borra.",
    "Profundidad": "Cuánto se comprueba: que el archivo esté y tenga su tamaño (rapida), o todo (completa).",
    "Orden": "Por qué se ordena; con `-`, de mayor a menor. Lo que no tiene tamaño o registros va al final.",
    "Situacion": "Cómo están los respaldos de una clínica, de lo peor a lo mejor; de una inactiva no se espera nada.",
    "TipoAviso": "Qué pasó.",
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
    413: ("http_413", "El cuerpo de la petición pasa de 1048576 bytes"),
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
    """A FastAPI whose document has the schemas of errors and notices, not FastAPI's own of a 422, and examples.

    FastAPI would leave out what is null in an example, and show the program's own words about its enumerations.
    """

    def openapi(self) -> dict[str, Any]:
        document = super().openapi()
        schemas = document.setdefault("components", {}).setdefault("schemas", {})
        if "Problema" not in schemas:
            _without_null(document)
            for model in (CampoNoValido, Problema, AvisoEnviado):
                found = model.model_json_schema(ref_template="#/components/schemas/{model}", mode="serialization")
                for name, part in found.pop("$defs", {}).items():
                    schemas.setdefault(name, part)
                schemas[model.__name__] = found
            for name in ("HTTPValidationError", "ValidationError"):
                schemas.pop(name, None)
            for answer in _answers(Answer):
                if answer.__name__ in schemas:
                    _show_one_example(schemas[answer.__name__], answer.example())
            for name, said in _ENUMERATIONS.items():
                schemas[name]["description"] = said
        return document


def _answers(kind: type[Answer]) -> Iterator[type[Answer]]:
    for model in kind.__subclasses__():
        yield model
        yield from _answers(model)


def _show_one_example(schema: dict[str, Any], example: dict[str, Any]) -> None:
    """The whole answer's example, in place of one of each key."""
    if example:
        schema["examples"] = [example]
        for shown in schema["properties"].values():
            shown.pop("examples", None)


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
