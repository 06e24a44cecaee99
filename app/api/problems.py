"""Errors as RFC 9457 problem documents, with the two keys that the earlier front end reads: `error` and `detail`."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any, Final
from urllib.parse import quote

from fastapi import FastAPI
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Match

from app.errors import (
    DatabaseError,
    DatabaseNotMigrated,
    DatabaseUnavailable,
    NotCompleted,
    QueueUnavailable,
    RecordNotFound,
    RespaldoNotFound,
    RespaldosError,
    StorageError,
    StorageFull,
    StorageUnavailable,
    TooManyAttempts,
)

MEDIA_TYPE: Final = "application/problem+json"

# A server that was restarted is back by then (seconds).
RETRY_SECONDS: Final = 5

# What the state of a failed request has of it: see `note_failure`.
FAILURE: Final = "failure"

CHALLENGE: Final = 'Bearer realm="respaldos"'

TITLES: Final = {
    400: "Petición incorrecta",
    401: "No autenticado",
    403: "Sin permiso",
    404: "No encontrado",
    405: "Método no admitido",
    409: "No se puede en este momento",
    410: "Ya no existe",
    413: "Petición demasiado grande",
    422: "Datos no válidos",
    429: "Demasiadas peticiones",
    500: "Error interno",
    501: "Sin configurar",
    502: "Falló otro servidor",
    503: "No disponible",
    507: "Sin espacio",
}

# What is wrong where no class of ours says it: the router's and the body parser's own refusals.
_SENTENCES: Final = {
    400: "El cuerpo de la petición no se entiende: debe ser JSON en UTF-8",
    404: "No existe esta ruta",
    405: "Esta ruta no admite ese método",
    413: "El cuerpo de la petición es demasiado grande",
}

# Of these, people are told what fails; addresses, users and names of buckets stay in the log.
_OUTAGES: Final[tuple[tuple[type[RespaldosError], str], ...]] = (
    (QueueUnavailable, "Redis no responde, y sin él no se puede hacer esto; vuelva a intentarlo en unos segundos"),
    (DatabaseNotMigrated, "A la base de datos del servicio le falta una migración"),
    (DatabaseUnavailable, "La base de datos no responde; vuelva a intentarlo en unos segundos"),
    (DatabaseError, "La base de datos respondió con un error"),
    (StorageFull, "El almacenamiento está lleno"),
    (StorageUnavailable, "El almacenamiento no responde; vuelva a intentarlo en unos segundos"),
    (StorageError, "El almacenamiento respondió con un error"),
)


def path_of(request: Request) -> str:
    """What was asked for, in ASCII. Starlette's `request.url` depends on the Host header, and may fail with it."""
    path: str = request.scope["path"]
    return quote(path)


class WithMembers(Exception):
    """An error of this service whose problem document says more, by further members."""

    def __init__(self, error: RespaldosError, **members: Any) -> None:
        super().__init__(str(error))
        self.error = error
        self.members = members


def problem(
    request: Request,
    status: int,
    code: str,
    sentence: str,
    *,
    members: Mapping[str, Any] | None = None,
    headers: Mapping[str, str] | None = None,
) -> Response:
    """The answer that says what is wrong; `sentence` is Spanish and may be shown to people."""
    sentence = sentence[:1].upper() + sentence[1:]
    document = {
        "type": f"urn:respaldos:error:{code}",
        "title": TITLES.get(status, HTTPStatus(status).phrase),
        "status": status,
        "detail": sentence,
        "instance": path_of(request),
        "error": sentence,
        "codigo": code,
    }
    more = dict(headers or {})
    if status == HTTPStatus.UNAUTHORIZED:
        more.setdefault("WWW-Authenticate", CHALLENGE)
    if status == HTTPStatus.SERVICE_UNAVAILABLE:
        more.setdefault("Retry-After", str(RETRY_SECONDS))
    note_failure(request, code)
    return JSONResponse(document | dict(members or {}), status, more, MEDIA_TYPE)


@dataclass(frozen=True, slots=True)
class Failure:
    """Why a request failed, for its line in the log; `exc` where nobody foresaw it."""

    reason: str
    exc: Exception | None = None


def note_failure(request: Request, reason: str, exc: Exception | None = None) -> None:
    """Leave it for who writes the line; the first reason is the nearest."""
    request.scope.setdefault("state", {}).setdefault(FAILURE, Failure(reason, exc))


def unexpected(request: Request, exc: Exception) -> Response:
    """A problem of status 500 that shows nothing of what happened but an id, under which the log has all of it."""
    number = request.state.request_id
    note_failure(request, "error_interno", exc)
    sentence = f"Ocurrió un error inesperado; quien administra el servicio lo encuentra en el registro como {number}"
    return problem(request, 500, "error_interno", sentence, members={"id": number})


def add_handlers(app: FastAPI) -> None:
    """Have the app answer every error that is not unexpected with a problem document."""
    app.add_exception_handler(RespaldosError, _ours)
    app.add_exception_handler(WithMembers, _ours)
    app.add_exception_handler(RequestValidationError, _invalid)
    app.add_exception_handler(HTTPException, _of_http)


async def _ours(request: Request, exc: Exception) -> Response:
    error = exc.error if isinstance(exc, WithMembers) else exc
    members = exc.members if isinstance(exc, WithMembers) else {}
    if not isinstance(error, RespaldosError):
        raise exc
    if isinstance(error, RespaldoNotFound | RecordNotFound) and hasattr(request.state, "refuse"):
        # Most such numbers are mistyped, and some are another clinic's: who tries them is to be seen.
        await request.state.refuse(motivo=str(error))
    if isinstance(error, NotCompleted):
        members = {**members, "estado": error.estado}
    headers = {"Retry-After": str(error.retry_after)} if isinstance(error, TooManyAttempts) else None
    if error.status < 500 or error.status == HTTPStatus.NOT_IMPLEMENTED:
        return problem(request, error.status, error.code, str(error), members=members, headers=headers)
    note_failure(request, error.for_log)
    sentence = next((said for kind, said in _OUTAGES if isinstance(error, kind)), "El servicio tuvo un error")
    return problem(request, error.status, error.code, sentence, members={**members, "id": request.state.request_id})


async def _of_http(request: Request, exc: Exception) -> Response:
    if not isinstance(exc, HTTPException):
        raise exc
    sentence = _SENTENCES.get(exc.status_code, TITLES.get(exc.status_code, "No se puede"))
    headers = exc.headers
    if exc.status_code == HTTPStatus.METHOD_NOT_ALLOWED:
        headers = {"Allow": ", ".join(_methods(request))}
    return problem(request, exc.status_code, f"http_{exc.status_code}", sentence, headers=headers)


def _methods(request: Request) -> list[str]:
    """All that the path takes: Starlette names only those of the first route that has it. HEAD is GET's."""
    found = [
        method
        for method in ("GET", "POST", "DELETE")
        if any(route.matches({**request.scope, "method": method})[0] is Match.FULL for route in request.app.routes)
    ]
    return ["GET", "HEAD", *found[1:]] if "GET" in found else found


async def _invalid(request: Request, exc: Exception) -> Response:
    if not isinstance(exc, RequestValidationError):
        raise exc
    found = [(_field(error["loc"]), _sentence(error)) for error in exc.errors()]
    said = [sentence for _, sentence in found]
    return problem(
        request,
        422,
        "solicitud_invalida",
        "; ".join(said),
        members={
            "error": said[0][:1].upper() + said[0][1:],
            "errores": [{"campo": field, "mensaje": sentence} for field, sentence in found],
        },
    )


def _field(location: Iterable[int | str]) -> str:
    """Where in the request: without its first part, which is query, path, header or body."""
    return ".".join(str(part) for part in list(location)[1:] if isinstance(part, str))


def _sentence(error: Mapping[str, Any]) -> str:
    """What is wrong, by the kind of pydantic's error; its own words are English and may repeat the input."""
    kind, limits = str(error["type"]), error.get("ctx", {})
    name = f"«{_field(error['loc'])}»"
    match kind:
        case "json_invalid":
            return "el cuerpo no es JSON válido"
        case "missing" if name == "«»":
            return "falta el cuerpo de la petición, en JSON"
        case "missing":
            return f"falta {name}"
        case "model_attributes_type" | "dict_type" | "model_type":
            return "el cuerpo debe ser un objeto JSON, con Content-Type: application/json"
        case "int_parsing" | "int_type" | "int_from_float" | "int_parsing_size":
            return f"{name} debe ser un número entero"
        case "greater_than_equal":
            return f"{name} debe ser {limits['ge']} o más"
        case "less_than_equal":
            return f"{name} debe ser {limits['le']} o menos"
        case "string_type":
            return f"{name} debe ser un texto"
        case "string_too_long":
            return f"{name} puede tener {limits['max_length']} caracteres como máximo"
        case "too_long":
            return f"{name} puede tener {limits['max_length']:,} elementos como máximo"
        case "string_too_short" | "too_short":
            return f"{name} no puede estar vacío"
        case "string_pattern_mismatch" | "string_unicode":
            return f"{name} tiene caracteres que no se admiten"
        case "enum" | "literal_error":
            return f"{name} debe ser {str(limits['expected']).replace(' or ', ' o ')}"
        case "timestamp":
            return f"{name} debe ser una fecha (2026-07-03) o una fecha con hora (2026-07-03T02:00:00-04:00)"
    return f"{name} no vale"
