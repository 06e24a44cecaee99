"""A backup's data in a format that other programs open: made by a worker, downloaded once."""

import re
import secrets
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing
from typing import Annotated, Any, Final

from fastapi import APIRouter, Header, Query, Request, Response
from fastapi.responses import StreamingResponse

from app.api.caller import AddressDep, ExportAccess, ServiceDep, require_recent_password
from app.api.middleware import API, ASKED
from app.api.openapi import of_anyone, problems, with_body
from app.api.parameters import PAGE_HEADERS, ExportacionId, OfRespaldo, PageDep, RespaldoId
from app.api.schemas import PedidoExportacion
from app.export.format import Formato
from app.respaldos.contract import Enlace, ExportacionEnLista
from app.respaldos.databases import transaction
from app.respaldos.exports import queries as exports_queries
from app.respaldos.exports.download import handed_over, linked
from app.respaldos.exports.request import cancelar_exportacion, enlace_exportacion, pedir_exportacion
from app.respaldos.exports.run import CONTENT_TYPES

router = APIRouter(tags=["Exportaciones"])

# Where a link's secret is put to. In a query, which no log of ours has.
_LINK: Final = f"{API}/exportaciones/archivo/?enlace="

# The MD5 of the file, and the number of the download that it was sent for.
_ETAG: Final = re.compile(r'"([0-9a-f]{32})-([0-9a-f]{32})"')

# What goes on where a download was cut off. Of any other range, all of the file is sent, as RFC 9110 allows.
_RANGE: Final = re.compile(r"bytes=([0-9]{1,18})-([0-9]{1,18})?")

_BINARY: Final[dict[str, Any]] = {
    media_type: {"schema": {"type": "string", "format": "binary"}} for media_type in CONTENT_TYPES.values()
}


@router.post(
    "/respaldos/{respaldo_id:id}/exportaciones/",
    response_model=ExportacionEnLista,
    status_code=202,
    summary="Pide los datos de un respaldo en otro formato",
    response_description="La exportación, pendiente de que un proceso la tome, o la que ya está para descargar.",
    responses=with_body(
        *(409, 410, 501),
        _409="El respaldo 7 está fallido; solo se exporta uno completado",
        _501="Para exportar a Parquet falta la biblioteca pyarrow",
    ),
)
async def pedir(service: ServiceDep, caller: ExportAccess, respaldo_id: RespaldoId, body: PedidoExportacion) -> Any:
    """`excel` y `csv` son un ZIP con un archivo por modelo, `parquet` también, `sqlite` un solo archivo, y `json` el
    respaldo mismo, descifrado si estaba cifrado. Cómo avanza se ve en `GET /exportaciones/{id}/`; terminada,
    `POST /exportaciones/{id}/enlace/` da con qué descargarla.
    """
    require_recent_password(service, caller.principal)
    exportacion = await pedir_exportacion(
        service.resources,
        service.require_queue(),
        respaldo_id,
        clinica_id=caller.clinica_id,
        formato=body.formato,
        horas=service.settings.export_hours,
        actor=caller.actor,
    )
    return ExportacionEnLista.model_validate(exportacion)


@router.get(
    "/exportaciones/",
    response_model=list[ExportacionEnLista],
    summary="Lista las exportaciones",
    response_description="De la más nueva a la más antigua.",
    responses={200: {"headers": PAGE_HEADERS}, **of_anyone()},
)
async def listar(
    request: Request,
    response: Response,
    service: ServiceDep,
    caller: ExportAccess,
    page: PageDep,
    respaldo_id: OfRespaldo = None,
) -> Any:
    """Las pedidas, las que se están haciendo y, durante un mes, las terminadas."""
    async with transaction(service.resources) as session:
        found, total = await exports_queries.page(
            session, clinica_id=caller.clinica_id, respaldo_id=respaldo_id, limit=page.limit, offset=page.offset
        )
    page.describe(request, response, total)
    return [ExportacionEnLista.model_validate(each) for each in found]


@router.get(
    "/exportaciones/archivo/",
    response_class=StreamingResponse,
    summary="Descarga una exportación, con su enlace",
    response_description="El archivo.",
    responses={
        200: {"content": _BINARY},
        206: {"content": _BINARY, "description": "El resto, si se pide desde dónde (`Range`)."},
        **problems(404, 422, 500, 502, 503, _404="El enlace ya se usó o venció"),
    },
)
async def archivo(
    request: Request,
    service: ServiceDep,
    address: AddressDep,
    enlace: Annotated[str, Query(max_length=200, description="Lo que dice la dirección de `url`.", examples=["x"])],
    wanted: Annotated[str | None, Header(alias="Range", description="Desde dónde sigue una que se cortó.")] = None,
    if_range: Annotated[str | None, Header(alias="If-Range", description="El `ETag` de la que se cortó.")] = None,
) -> Response:
    """Sin token: el enlace es el permiso. Vale para una descarga: la que llega al último byte lo gasta. Si se corta,
    sigue con el mismo enlace desde donde quedó, con `Range`, y después del último byte también con `If-Range`.
    """
    begun = _ETAG.fullmatch(if_range or "")
    exportacion = await linked(service.resources, enlace, begun[2] if begun is not None else None)
    same = begun is not None and begun[1] == exportacion.hash_md5
    descarga = begun[2] if begun is not None and same else secrets.token_hex(16)
    size = exportacion.tamaño_bytes or 0
    headers = {
        "Content-Disposition": f'attachment; filename="{exportacion.archivo}"',
        "Accept-Ranges": "bytes",
        "ETag": f'"{exportacion.hash_md5}-{descarga}"',
        # A proxy that took all of it at once would use up the link while the person has but a part.
        "X-Accel-Buffering": "no",
    }
    first, last, status = 0, size - 1, 200
    part = _RANGE.fullmatch(wanted or "") if if_range is None or same else None
    if part is not None and int(part[1]) < size and int(part[1]) <= int(part[2] or size):
        first, last, status = int(part[1]), min(int(part[2] or size), size - 1), 206
        headers["Content-Range"] = f"bytes {first}-{last}/{size}"
    headers["Content-Length"] = str(last + 1 - first)
    media_type = CONTENT_TYPES[Formato(exportacion.formato)]
    if request.scope.get(ASKED) == "HEAD":
        # Whoever only looks has not used it.
        return Response(None, status, headers, media_type)
    found = handed_over(service.resources, exportacion, descarga, first=first, last=last, direccion=address)
    # What is wrong before anything is sent is answered with its status.
    return StreamingResponse(_all(await anext(found), found), status, headers, media_type)


async def _all(beginning: bytes, rest: AsyncGenerator[bytes, None]) -> AsyncIterator[bytes]:
    async with aclosing(rest):
        yield beginning
        async for piece in rest:
            yield piece


@router.get(
    "/exportaciones/{exportacion_id:id}/",
    response_model=ExportacionEnLista,
    summary="Muestra una exportación",
    response_description="Cómo está.",
    responses=of_anyone(),
)
async def ver(service: ServiceDep, caller: ExportAccess, exportacion_id: ExportacionId) -> Any:
    """Si falló, `error` dice por qué. `disponible` dice si se puede descargar, y `vence` hasta cuándo."""
    async with transaction(service.resources) as session:
        found = await exports_queries.get(session, exportacion_id, clinica_id=caller.clinica_id)
    return ExportacionEnLista.model_validate(found)


@router.post(
    "/exportaciones/{exportacion_id:id}/cancelar/",
    response_model=ExportacionEnLista,
    status_code=202,
    summary="Cancela una exportación en curso",
    response_description="La exportación, que se detiene en unos segundos.",
    responses=of_anyone(409, _409="La exportación 3 está completado; solo se cancela una pendiente o en proceso"),
)
async def cancelar(service: ServiceDep, caller: ExportAccess, exportacion_id: ExportacionId) -> Any:
    """Una pendiente queda cancelada en el acto; una que se está haciendo, en unos segundos."""
    found = await cancelar_exportacion(
        service.resources, exportacion_id, clinica_id=caller.clinica_id, actor=caller.actor
    )
    return ExportacionEnLista.model_validate(found)


@router.post(
    "/exportaciones/{exportacion_id:id}/enlace/",
    response_model=Enlace,
    summary="Da un enlace para descargar una exportación",
    response_description="La dirección, cuánto vale, y el nombre y tamaño del archivo.",
    responses=of_anyone(
        *(409, 410),
        _409="La exportación 3 está procesando; todavía no hay qué descargar",
        _410="La exportación 3 ya terminó; pídala de nuevo",
    ),
)
async def enlazar(service: ServiceDep, caller: ExportAccess, exportacion_id: ExportacionId) -> Any:
    """Vale para una descarga, sin token, y el anterior deja de valer. `url` es relativa a la dirección del servicio.

    Descargada, la exportación se borra a los quince minutos: hasta entonces se puede pedir otro enlace, si la
    descarga se cortó al final.
    """
    require_recent_password(service, caller.principal)
    return await enlace_exportacion(
        service.resources, exportacion_id, clinica_id=caller.clinica_id, actor=caller.actor, address=_LINK
    )
