"""A clinic's backups."""

from dataclasses import replace
from datetime import UTC, datetime
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Query, Request, Response

from app.api.caller import (
    AGAIN_SECONDS,
    AdminAccess,
    Caller,
    DownloadAccess,
    ReadAccess,
    RecentAccess,
    ServiceDep,
    password_is_recent,
    platforms_own,
    require_recent_password,
)
from app.api.once import AskingAccess, CreatingAccess, VerifyingAccess
from app.api.openapi import of_anyone, with_body
from app.api.parameters import PAGE_HEADERS, PageDep, RespaldoId, Timestamp, day_of, time_range
from app.api.people import names_of
from app.api.problems import WithMembers
from app.api.schemas import PedidoComparacion, PedidoRespaldo, PedidoRestauracion, PedidoRetencion, PedidoVerificacion
from app.clinic.restore.mode import Modo
from app.connections.full import in_full
from app.connections.policy import retention_policy
from app.connections.service import Service
from app.connections.storage import storage_price
from app.errors import InvalidRequest, OperationInProgress
from app.respaldos.audit import Actor
from app.respaldos.backup import queries as backup_queries
from app.respaldos.backup.queries import Orden
from app.respaldos.backup.request import cancelar_respaldo, pedir_respaldo
from app.respaldos.contract import (
    Enlace,
    Estadisticas,
    RespaldoCompleto,
    RespaldoConMensaje,
    RespaldoEnLista,
    RestauracionEnLista,
)
from app.respaldos.databases import transaction
from app.respaldos.jobs.request import progress_of
from app.respaldos.models import Estado, Respaldo, TipoRespaldo
from app.respaldos.progress import Progreso
from app.respaldos.reading.comparison import pedir_comparacion
from app.respaldos.reading.download import enlace_descarga
from app.respaldos.reading.verification import pedir_verificacion
from app.respaldos.restore.request import RestoreRequest, pedir_restauracion
from app.respaldos.retention.delete import aceptar_respaldo, eliminar_respaldo, recuperar_respaldo
from app.respaldos.retention.hold import liberar_respaldo, retener_respaldo
from app.respaldos.retention.queries import policy_of
from app.respaldos.status.statistics import obtener_estadisticas

router = APIRouter(prefix="/respaldos", tags=["Respaldos"])


async def _told(
    service: Service, mensaje: str, respaldo: Respaldo, progreso: Progreso | None = None
) -> RespaldoConMensaje:
    shown = await in_full(service.resources, service.settings, respaldo, progreso)
    return RespaldoConMensaje(mensaje=mensaje, respaldo=shown)


@router.get(
    "/",
    response_model=list[RespaldoEnLista],
    summary="Lista los respaldos",
    response_description="Los respaldos, del más nuevo al más antiguo si no se pide otro orden.",
    responses={200: {"headers": PAGE_HEADERS}, **of_anyone()},
)
async def listar(
    request: Request,
    response: Response,
    service: ServiceDep,
    caller: ReadAccess,
    page: PageDep,
    estado: Annotated[Estado | None, Query(description="Solo los que están así.")] = None,
    tipo_respaldo: Annotated[TipoRespaldo | None, Query(description="Solo los que se pidieron así.")] = None,
    desde: Annotated[
        Timestamp | None,
        Query(description="Fecha (ese día entero) o fecha con hora, incluida.", examples=["2026-07-01"]),
    ] = None,
    hasta: Annotated[
        Timestamp | None,
        Query(
            description="Fecha (ese día entero, incluido) o fecha con hora, sin incluirla.", examples=["2026-07-31"]
        ),
    ] = None,
    eliminados: Annotated[
        Literal["true"] | None, Query(description="Solo los eliminados que todavía se pueden recuperar.")
    ] = None,
    orden: Annotated[Orden, Query(description="En qué orden; con `-`, de mayor a menor.")] = Orden.MAS_NUEVO,
) -> Any:
    """Los que no están eliminados, o solo esos. Las fechas sin desfase son de la zona horaria del servicio."""
    wanted = time_range(desde, hasta, service.settings.time_zone)
    async with transaction(service.resources) as session:
        found, total = await backup_queries.page(
            session,
            clinica_id=caller.clinica_id,
            estado=estado,
            tipo=tipo_respaldo,
            desde=wanted.start,
            hasta=wanted.end,
            eliminados=eliminados is not None,
            orden=orden,
            limit=page.limit,
            offset=page.offset,
        )
        policy = await policy_of(session, retention_policy(service.settings), clinica_id=caller.clinica_id)
    page.describe(request, response, total)
    return [RespaldoEnLista.of(respaldo, retention_days=policy.days) for respaldo in found]


@router.get(
    "/estadisticas/",
    response_model=Estadisticas,
    summary="Resume cómo han ido los respaldos",
    response_description="Cuántos, cuánto ocupan, cuánto cuestan, y un punto por día.",
    responses=of_anyone(),
)
async def estadisticas(service: ServiceDep, caller: ReadAccess) -> Any:
    """Cuántos hay y cómo terminaron, cuánto ocupan, cuándo es el próximo, y los últimos noventa días."""
    settings = service.settings
    return await obtener_estadisticas(
        service.resources,
        clinic=caller.clinic,
        now=datetime.now(UTC),
        time_zone=settings.time_zone,
        hour=settings.backup_hour,
        minute=settings.backup_minute,
        price=storage_price(settings),
    )


@router.post(
    "/crear_respaldo_manual/",
    response_model=RespaldoConMensaje,
    status_code=202,
    summary="Pide un respaldo ahora",
    response_description="El respaldo, pendiente de que un proceso lo tome.",
    responses=with_body(409, _409="La clínica 1 ya tiene un respaldo en curso"),
)
async def crear(service: ServiceDep, caller: CreatingAccess, body: PedidoRespaldo | None = None) -> Any:
    """Si la clínica ya tiene uno en curso responde 409, y en `respaldo` está ese.

    Cómo avanza se ve en `GET /respaldos/{id}/progreso/`.
    """
    try:
        respaldo = await pedir_respaldo(
            service.resources,
            service.require_queue(),
            clinica_id=caller.clinica_id,
            tipo=TipoRespaldo.POR_DEMANDA,
            descripcion=body.descripcion if body is not None else "",
            actor=await _named(service, caller),
        )
    except OperationInProgress as exc:
        async with transaction(service.resources) as session:
            running = await backup_queries.in_progress(session, clinica_id=caller.clinica_id)
            if running is None:
                raise
            progreso = await progress_of(session, running)
        shown = await in_full(service.resources, service.settings, running, progreso)
        raise WithMembers(exc, respaldo=shown.model_dump(mode="json")) from exc
    return await _told(service, "El respaldo empezará en un momento", respaldo)


@router.get(
    "/{respaldo_id:id}/",
    response_model=RespaldoCompleto,
    summary="Muestra un respaldo",
    response_description="Todo lo que se sabe del respaldo.",
    responses=of_anyone(),
)
async def ver(service: ServiceDep, caller: ReadAccess, respaldo_id: RespaldoId) -> Any:
    """Con lo que contiene, cuánto tardó y, mientras está en curso, hasta dónde ha llegado."""
    async with transaction(service.resources) as session:
        respaldo = await backup_queries.get(session, respaldo_id, clinica_id=caller.clinica_id)
        progreso = await progress_of(session, respaldo)
    return await in_full(service.resources, service.settings, respaldo, progreso)


@router.get(
    "/{respaldo_id:id}/descargar/",
    response_model=Enlace,
    summary="Da una dirección para descargar el archivo",
    response_description="La dirección, cuánto vale, y el nombre y tamaño del archivo.",
    responses=of_anyone(*(409, 410, 502), _409="El respaldo 7 está procesando; solo se descarga uno completado"),
)
async def descargar(service: ServiceDep, caller: DownloadAccess, respaldo_id: RespaldoId) -> Any:
    """Vale una hora. Si el respaldo no está completado responde 409, y en `estado` está cómo está.

    Si está cifrado, `cifrado` es `true` y el archivo llega así: quien no tiene las claves no lo abre. Descifrado se
    pide con `POST /respaldos/{id}/exportaciones/`, en formato `json`.
    """
    require_recent_password(service, caller.principal)
    return await enlace_descarga(service.resources, respaldo_id, clinica_id=caller.clinica_id, actor=caller.actor)


@router.post(
    "/{respaldo_id:id}/cancelar/",
    response_model=RespaldoConMensaje,
    status_code=202,
    summary="Cancela un respaldo en curso",
    response_description="El respaldo, que se detiene en unos segundos.",
    responses=of_anyone(409, _409="El respaldo 7 no está en curso"),
)
async def cancelar(service: ServiceDep, caller: AdminAccess, respaldo_id: RespaldoId) -> Any:
    """Uno pendiente queda cancelado en el acto; uno que se está haciendo, en unos segundos."""
    respaldo = await cancelar_respaldo(
        service.resources, respaldo_id, clinica_id=caller.clinica_id, actor=caller.actor
    )
    said = "El respaldo se canceló" if respaldo.estado == Estado.CANCELADO else "El respaldo se está cancelando"
    async with transaction(service.resources) as session:
        progreso = await progress_of(session, respaldo)
    return await _told(service, said, respaldo, progreso)


@router.post(
    "/{respaldo_id:id}/verificar/",
    response_model=RestauracionEnLista,
    status_code=202,
    summary="Pide que se compruebe un respaldo",
    response_description="La verificación, pendiente de que un proceso la tome.",
    responses=with_body(*(409, 410), _409="El respaldo 7 está fallido; solo se verifica uno completado"),
)
async def verificar(
    service: ServiceDep, caller: VerifyingAccess, respaldo_id: RespaldoId, body: PedidoVerificacion | None = None
) -> Any:
    """`rapida` (si no se dice): el archivo está y tiene su tamaño. `completa`: se lee entero y se comprueba todo.
    `ensayo`: se restaura de verdad en tablas aparte, que después se borran."""
    restauracion = await pedir_verificacion(
        service.resources,
        service.require_queue(),
        respaldo_id,
        clinica_id=caller.clinica_id,
        profundidad=(body or PedidoVerificacion()).profundidad,
        actor=caller.actor,
    )
    return RestauracionEnLista.of(restauracion)


@router.post(
    "/{respaldo_id:id}/comparar/",
    response_model=RestauracionEnLista,
    status_code=202,
    summary="Pide que se diga qué cambió desde otro respaldo",
    response_description="La comparación, pendiente de que un proceso la tome, o la que ya se hizo de los dos.",
    responses=with_body(*(409, 410), _409="El respaldo 6 está fallido; solo se compara uno completado"),
)
async def comparar(
    service: ServiceDep, caller: AskingAccess, respaldo_id: RespaldoId, body: PedidoComparacion
) -> Any:
    """`resultado` dirá de cada modelo cuántos registros hay más (`insertados`), distintos y menos que en `desde`, con
    ejemplos. Cómo avanza se ve en `GET /restauraciones/{id}/`. Para comparar con hoy está `restaurar`, con `simular`.
    """
    restauracion = await pedir_comparacion(
        service.resources,
        service.require_queue(),
        respaldo_id,
        clinica_id=caller.clinica_id,
        desde=body.desde,
        actor=caller.actor,
    )
    return RestauracionEnLista.of(restauracion)


@router.post(
    "/{respaldo_id:id}/restaurar/",
    response_model=RestauracionEnLista,
    status_code=202,
    summary="Pide que se restaure un respaldo, o que se muestre qué cambiaría",
    response_description="La restauración, pendiente de que un proceso la tome.",
    responses=with_body(*(409, 410), _409="La clínica 1 tiene un respaldo en curso (número 8, procesando)"),
)
async def restaurar(
    request: Request,
    service: ServiceDep,
    caller: AskingAccess,
    respaldo_id: RespaldoId,
    body: PedidoRestauracion | None = None,
) -> Any:
    """Todo lo de la clínica vuelve a estar como en el respaldo; o solo `modelos`, o unos `registros` con lo que
    depende de ellos. Con `modo`, solo vuelve lo que falta, o también lo que cambió, y nada se elimina. Antes se hace
    un respaldo de cómo está ahora (`respaldo_previo`). Con `simular` no cambia nada, y `resultado` dice exactamente
    qué cambiaría, o `conflictos` por qué no se puede. Los accesos que existen, y la fila de la clínica en la tabla de
    clínicas, se quedan como están si el superadministrador no pide otra cosa. De un respaldo de la plataforma solo se
    agrega lo que falta y, con `actualizar`, se cambia lo que es distinto; no se elimina nada. Cómo avanza se ve en
    `GET /restauraciones/{id}/`.
    """
    wanted = body or PedidoRestauracion()
    if wanted.con_accesos or wanted.con_clinica:
        await platforms_own(request, caller.principal)
    if not wanted.simular:
        require_recent_password(service, caller.principal)
    restauracion = await pedir_restauracion(
        service.resources,
        service.require_queue(),
        respaldo_id,
        clinica_id=caller.clinica_id,
        request=RestoreRequest(
            simulada=wanted.simular,
            modelos=tuple(wanted.modelos) if wanted.modelos is not None else None,
            registros=_chosen_records(wanted),
            modo=wanted.modo or Modo.TODO,
            motivo=(wanted.motivo or "").strip() or None,
            actualizar=bool(wanted.actualizar),
            con_accesos=bool(wanted.con_accesos),
            con_clinica=bool(wanted.con_clinica),
        ),
        actor=caller.actor,
    )
    return RestauracionEnLista.of(restauracion)


@router.delete(
    "/{respaldo_id:id}/",
    status_code=204,
    summary="Elimina un respaldo",
    response_description="Ya no está en la lista.",
    responses=of_anyone(409, _409="El respaldo 7 es el último bueno de la clínica y no se puede eliminar"),
)
async def eliminar(service: ServiceDep, caller: RecentAccess, respaldo_id: RespaldoId) -> None:
    """Desaparece en el acto, y su archivo se borra unos días después: hasta entonces se puede recuperar. Se avisa a
    quienes administran la clínica; a todos, si era bueno y de los últimos siete días o si van más de tres en un día.
    No se eliminan uno retenido ni el único bueno; y el último bueno de hace siete días o más, solo lo elimina el
    superadministrador. Si se avisa a todos, hay que haber dado la contraseña hace menos de un minuto."""
    await eliminar_respaldo(
        service.resources,
        respaldo_id,
        clinica_id=caller.clinica_id,
        actor=await _named(service, caller),
        platform=caller.principal.superadmin,
        confirmed=password_is_recent(service, caller.principal, seconds=AGAIN_SECONDS),
    )


@router.post(
    "/{respaldo_id:id}/recuperar/",
    response_model=RespaldoConMensaje,
    summary="Recupera un respaldo eliminado",
    response_description="El respaldo, que vuelve a estar en la lista.",
    responses=of_anyone(409, 410, 502, _409="El respaldo 7 no está eliminado"),
)
async def recuperar(service: ServiceDep, caller: AdminAccess, respaldo_id: RespaldoId) -> Any:
    """Mientras su archivo no se haya borrado."""
    respaldo = await recuperar_respaldo(
        service.resources, respaldo_id, clinica_id=caller.clinica_id, actor=caller.actor
    )
    return await _told(service, "El respaldo se recuperó", respaldo)


@router.post(
    "/{respaldo_id:id}/retener/",
    response_model=RespaldoConMensaje,
    summary="Hace que un respaldo se conserve",
    response_description="El respaldo, que nadie elimina mientras esté retenido.",
    responses=with_body(409, _409="El día 2026-07-05 ya pasó: ponga uno que no haya pasado, o ninguno"),
)
async def retener(service: ServiceDep, caller: AdminAccess, respaldo_id: RespaldoId, body: PedidoRetencion) -> Any:
    """Ni la limpieza ni una persona lo eliminan hasta que se libere o pase el día. El motivo lo ve quien puede ver
    los respaldos. Si ya estaba retenido, valen el motivo y el día de ahora."""
    hasta = body.hasta
    respaldo = await retener_respaldo(
        service.resources,
        respaldo_id,
        clinica_id=caller.clinica_id,
        motivo=body.motivo.strip(),
        hasta=day_of(hasta, service.settings.time_zone)[1] if hasta is not None else None,
        actor=await _named(service, caller),
    )
    return await _told(service, "El respaldo está retenido", respaldo)


@router.post(
    "/{respaldo_id:id}/liberar/",
    response_model=RespaldoConMensaje,
    summary="Libera un respaldo retenido",
    response_description="El respaldo, que se conserva lo que los demás.",
    responses=of_anyone(409, _409="El respaldo 7 no está retenido"),
)
async def liberar(service: ServiceDep, caller: RecentAccess, respaldo_id: RespaldoId) -> Any:
    """Desde ahora se puede eliminar, como cualquier otro."""
    respaldo = await liberar_respaldo(
        service.resources, respaldo_id, clinica_id=caller.clinica_id, actor=await _named(service, caller)
    )
    return await _told(service, "El respaldo se liberó", respaldo)


@router.post(
    "/{respaldo_id:id}/aceptar/",
    response_model=RespaldoConMensaje,
    summary="Acepta un respaldo sospechoso",
    response_description="El respaldo, que desde ahora cuenta como bueno.",
    responses=of_anyone(409, _409="El respaldo 7 no es sospechoso"),
)
async def aceptar(service: ServiceDep, caller: AdminAccess, respaldo_id: RespaldoId) -> Any:
    """Uno sospechoso está vacío, o tiene menos de la mitad que el anterior; `metadata.avisos` lo dice."""
    respaldo = await aceptar_respaldo(
        service.resources, respaldo_id, clinica_id=caller.clinica_id, actor=caller.actor
    )
    return await _told(service, "El respaldo se aceptó", respaldo)


def _chosen_records(wanted: PedidoRestauracion) -> tuple[str, ...] | None:
    if wanted.registro is None:
        return tuple(wanted.registros) if wanted.registros is not None else None
    if wanted.registros is not None:
        raise InvalidRequest("«registro» es lo mismo que «registros» con uno solo: envíe uno de los dos")
    return (wanted.registro,)


async def _named(service: Service, caller: Caller) -> Actor:
    """The actor with a name: a token of the clinic's own system need not have one. A superadmin is nobody of it."""
    if caller.actor.nombre is not None or caller.principal.superadmin:
        return caller.actor
    names = await names_of(service, [caller.actor.usuario], clinica_id=caller.clinica_id)
    return replace(caller.actor, nombre=names.get(caller.actor.usuario or ""))
