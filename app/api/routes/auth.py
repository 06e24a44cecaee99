"""Where a person gets a token, and learns whether one is still good."""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Annotated, Any

from fastapi import APIRouter, Header

from app.api.caller import AddressDep, Known, OriginDep, PrincipalDep, RejectionLogDep, ServiceDep, facts_of
from app.api.openapi import problems
from app.api.schemas import (
    WITHOUT_NUL,
    Confirmacion,
    Ingresado,
    Ingreso,
    Mensaje,
    TokenNuevo,
    TokenVerificado,
    UsuarioIngresado,
)
from app.auth.principal import Principal
from app.clinic.people.users import Usuario
from app.errors import LoginRefused, NotAllowed, PasswordRefused, TooManyAttempts
from app.respaldos import audit
from app.respaldos.access.sessions import terminar_token
from app.respaldos.audit import Actor
from app.respaldos.databases import transaction
from app.respaldos.models import Accion

router = APIRouter(prefix="/auth", tags=["Ingreso"])


@router.post(
    "/login/",
    operation_id="login_login",
    response_model=Ingresado,
    summary="Entra y obtiene un token",
    response_description="El token, cuánto vale y de quién es.",
    responses=problems(
        *(400, 401, 413, 422, 429, 500, 501, 503),
        _401="El correo o la contraseña no son correctos",
        _422="Falta «correo»",
        _503="Redis no responde, y sin él no se puede hacer esto; vuelva a intentarlo en unos segundos",
    ),
)
async def login(
    service: ServiceDep,
    rejection_log: RejectionLogDep,
    origin: OriginDep,
    body: Ingreso,
    subdominio: Annotated[
        str | None,
        Header(
            alias="X-Tenant-Subdomain",
            max_length=63,
            pattern=WITHOUT_NUL,
            description="El esquema de la clínica, donde cada una tiene el suyo.",
        ),
    ] = None,
) -> dict[str, Any]:
    """Con el correo (o nombre de usuario) y la contraseña del sistema de la clínica.

    Tras cinco fallos seguidos de un correo desde una dirección, o cincuenta desde una dirección, hay que esperar
    los segundos que dice `Retry-After`. Tras diez de un correo, desde donde sea, hay que esperar cada vez más, hasta
    un minuto; no desde donde esa persona ya ingresó.
    """
    login = service.require_login()
    try:
        found = await login.authenticate(
            body.correo, body.contraseña, subdominio=subdominio or body.clinica, origin=origin
        )
    except (LoginRefused, TooManyAttempts) as exc:
        known: Sequence[int | None] = exc.clinics if isinstance(exc, LoginRefused) else ()
        for clinica_id in known or (None,):
            await rejection_log.record(
                Accion.INGRESO_RECHAZADO,
                Actor(None, None, origin.direccion),
                clinica_id=clinica_id,
                motivo=exc.code,
            )
        raise
    principal, usuario = found.principal, found.usuario
    async with transaction(service.resources) as session:
        await audit.record(
            session,
            Accion.INGRESO,
            Actor(principal.usuario, principal.nombre, origin.direccion),
            clinica_id=principal.clinica_id,
            rol=principal.rol,
        )
    return {
        "mensaje": "Inicio de sesión exitoso",
        "token": found.token,
        "expira_en_segundos": found.seconds,
        "usuario": _of_person(usuario, rol=usuario.rol),
    }


@router.get(
    "/verificar-token/",
    operation_id="login_verificar_token",
    response_model=TokenVerificado,
    summary="Dice si el token todavía vale",
    response_description="Cuánto vale todavía, y de quién es.",
    responses=problems(401, 500, 503),
)
async def verificar_token(service: ServiceDep, principal: Known) -> dict[str, Any]:
    """Para cualquier token que las demás rutas acepten, también uno del sistema de la clínica; si no vale, 401.

    `rol` y `clinica_id` son los del token, que son los que cuentan.
    """
    usuario = None
    if principal.clinica_id is not None:
        usuario = await service.users.person(principal.usuario, clinica_id=principal.clinica_id)
    return {
        "valido": True,
        "expira_en_segundos": _seconds_left(principal),
        "usuario": _of_token(principal) if usuario is None else _of_person(usuario, rol=principal.rol),
    }


@router.post(
    "/logout/",
    operation_id="login_logout",
    response_model=Mensaje,
    summary="Termina la sesión",
    response_description="El token ya no vale.",
    responses=problems(401, 403, 500, 503),
)
async def logout(service: ServiceDep, principal: PrincipalDep, address: AddressDep) -> dict[str, str]:
    """Para cualquier token que las demás rutas acepten: desde ahora ninguna lo acepta, ni en otros procesos."""
    if principal.alcances is not None:
        raise NotAllowed("una clave no tiene sesión: un administrador la revoca")
    token = facts_of(principal)
    await terminar_token(
        service.resources,
        token.digest,
        clinica_id=principal.clinica_id,
        vence=token.expires,
        actor=Actor(principal.usuario, principal.nombre, address),
    )
    return {"mensaje": "La sesión terminó"}


@router.post(
    "/confirmar/",
    operation_id="login_confirmar",
    response_model=TokenNuevo,
    summary="Vuelve a dar la contraseña",
    response_description="Un token con el que se puede todo otra vez.",
    responses=problems(
        *(400, 401, 403, 413, 422, 429, 500, 501, 503),
        _403="La contraseña no es correcta",
        _422="Falta «contraseña»",
        _503="Redis no responde, y sin él no se puede hacer esto; vuelva a intentarlo en unos segundos",
    ),
)
async def confirmar(
    service: ServiceDep,
    rejection_log: RejectionLogDep,
    origin: OriginDep,
    principal: Known,
    body: Confirmacion,
) -> dict[str, Any]:
    """Para descargar, exportar, restaurar y eliminar hay que haber dado la contraseña hace menos de 15 minutos; si
    no, responden 403 con el código `confirmacion_requerida`. Con el token de aquí se pide lo mismo otra vez.
    """
    login, actor = service.require_login(), Actor(principal.usuario, principal.nombre, origin.direccion)
    try:
        token = await login.confirm(principal, body.contraseña, origin=origin)
    except (PasswordRefused, TooManyAttempts) as exc:
        await rejection_log.record(
            Accion.INGRESO_RECHAZADO, actor, clinica_id=principal.clinica_id, motivo=exc.code, confirmacion=True
        )
        raise
    async with transaction(service.resources) as session:
        await audit.record(
            session,
            Accion.INGRESO,
            actor,
            clinica_id=principal.clinica_id,
            rol=principal.rol,
            confirmacion=True,
        )
    return {"token": token, "expira_en_segundos": service.tokens.seconds}


def _seconds_left(principal: Principal) -> int:
    """How long the token is good, by its own word; 0 while clocks that are a little apart still believe it."""
    return max(int((facts_of(principal).expires - datetime.now(UTC)).total_seconds()), 0)


def _of_person(usuario: Usuario, *, rol: str) -> UsuarioIngresado:
    return UsuarioIngresado(
        codigo=usuario.codigo,
        nombre=usuario.nombre,
        apellido=usuario.apellido,
        nombre_completo=usuario.nombre_completo,
        correoelectronico=usuario.correoelectronico,
        idtipousuario=usuario.idtipousuario,
        tipo_usuario_nombre=usuario.tipo_usuario_nombre,
        clinica_id=usuario.clinica_id,
        rol=rol,
    )


def _of_token(principal: Principal) -> UsuarioIngresado:
    """Somebody whom no clinic's table has; a superadmin's token names them by their e-mail."""
    return UsuarioIngresado(
        codigo=None if principal.superadmin else principal.usuario,
        nombre=principal.nombre or "",
        apellido="",
        nombre_completo=principal.nombre or "",
        correoelectronico=principal.usuario if principal.superadmin else None,
        idtipousuario=None,
        tipo_usuario_nombre=principal.rol,
        clinica_id=principal.clinica_id,
        rol=principal.rol,
    )
