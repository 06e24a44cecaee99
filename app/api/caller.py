"""Who asks, for which clinic, and whether they may: what every route of the API depends on."""

import logging
import time
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from typing import Annotated, Any, Final, Literal

from fastapi import Depends, Query, Request
from fastapi.security.http import HTTPBase

from app.api.client_address import claimed_address, client_address
from app.api.problems import path_of
from app.api.rejection_log import RejectionLog
from app.auth.attempts import Origin
from app.auth.authorize import Permiso, authorize_clinic, require
from app.auth.principal import Principal, TokenFacts, of_key
from app.clinic.clinic import Clinic
from app.connections.service import Service
from app.errors import ClinicNotFound, ConfirmationRequired, NotAllowed, TokenRefused
from app.respaldos.access.keys import PREFIX, clave_de
from app.respaldos.access.sessions import token_terminado
from app.respaldos.audit import Actor
from app.respaldos.models import Accion, Alcance

# PostgreSQL's bigint.
LARGEST_ID: Final = 2**63 - 1

# How long somebody who has given their password need not give it again for what takes data away or destroys it
# (seconds).
PASSWORD_SECONDS: Final = 15 * 60

# How often the log tells of the same thing (seconds).
_TELL_SECONDS: Final = 3600

log = logging.getLogger(__name__)

_SCHEMES: Final = ("bearer", "token")


@dataclass(frozen=True, slots=True)
class Caller:
    """Somebody whose token is good and who may do what the route does, for that clinic, or for the platform."""

    token: str
    principal: Principal
    clinic: Clinic | None
    actor: Actor

    @property
    def clinica_id(self) -> int | None:
        """Whose rows the route is about; None are the platform's."""
        return self.clinic.id if self.clinic is not None else None


class TokenHeader(HTTPBase):
    """The token of `Authorization: Bearer …`, or of `Authorization: Token …` as the earlier front end sends it.

    Raises TokenRefused where there is none.
    """

    def __init__(self) -> None:
        super().__init__(
            scheme="bearer",
            scheme_name="token",
            description="El token que da `POST /api/v1/auth/login/`, o uno del sistema de la clínica.",
        )
        self.model.bearerFormat = "JWT"  # type: ignore[attr-defined]

    async def __call__(self, request: Request) -> str:  # type: ignore[override]
        scheme, _, token = request.headers.get("authorization", "").partition(" ")
        if scheme.lower() not in _SCHEMES or not token.strip():
            raise TokenRefused("falta el token: la cabecera debe ser «Authorization: Bearer» y el token")
        return token.strip()


def service_of(request: Request) -> Service:
    """What the application works with, opened by its lifespan."""
    service: Service = request.app.state.service
    return service


def rejection_log_of(request: Request) -> RejectionLog:
    """Where refusals are written down."""
    rejection_log: RejectionLog = request.app.state.rejection_log
    return rejection_log


def address_of(request: Request) -> str:
    """The IP address of who asks."""
    return client_address(request, request.app.state.trusted_proxies)


def origin_of(request: Request, address: Annotated[str, Depends(address_of)]) -> Origin:
    """From where somebody logs in; once an hour the log is told of a proxy that FORWARDED_ALLOW_IPS does not name."""
    claimed = claimed_address(request, request.app.state.trusted_proxies)
    now = time.monotonic()
    if claimed is not None and now - request.app.state.strange_proxy_told >= _TELL_SECONDS:
        request.app.state.strange_proxy_told = now
        log.warning(
            "FORWARDED_ALLOW_IPS no nombra a %s, que dice ser un proxy: los intentos fallidos se cuentan por lo que"
            " dice y por cuenta, y la auditoría tiene su dirección en lugar de la de cada persona",
            address,
        )
    return Origin(address, claimed)


ServiceDep = Annotated[Service, Depends(service_of)]
RejectionLogDep = Annotated[RejectionLog, Depends(rejection_log_of)]
AddressDep = Annotated[str, Depends(address_of)]
OriginDep = Annotated[Origin, Depends(origin_of)]

ChosenClinic = Annotated[
    int | None,
    Query(
        ge=1,
        le=LARGEST_ID,
        description="La clínica. Solo la elige el superadministrador, y debe hacerlo; para los demás es la suya.",
        examples=[1],
    ),
]

ChosenPlatform = Annotated[
    Literal["true"] | None,
    Query(description="Lo de la plataforma, que no es de ninguna clínica. Solo lo elige el superadministrador."),
]


TokenDep = Annotated[str, Depends(TokenHeader())]


async def _principal(
    request: Request, service: ServiceDep, rejection_log: RejectionLogDep, address: AddressDep, token: TokenDep
) -> Principal:
    """Whose token it is. From then on `request.state.refuse` writes a refusal down, in their own clinic's trail."""
    refuse = partial(rejection_log.record, Accion.ACCESO_RECHAZADO, ruta=f"{request.method} {path_of(request)}")
    try:
        principal = await _whose(service, token)
    except TokenRefused as exc:
        await refuse(Actor(None, None, address), clinica_id=None, motivo=str(exc))
        raise
    actor = Actor(principal.usuario, principal.nombre, address)
    request.state.refuse = partial(refuse, actor, clinica_id=principal.clinica_id)
    try:
        await _still_good(service, principal)
    except TokenRefused as exc:
        await request.state.refuse(motivo=str(exc))
        raise
    return principal


async def _whose(service: Service, token: str) -> Principal:
    """Whose token or key it is. Raises TokenRefused, KeysUnavailable, DatabaseError."""
    if token.startswith(PREFIX):
        return of_key(await clave_de(service.resources, token))
    return await service.tokens.verify(token)


def facts_of(principal: Principal) -> TokenFacts:
    """What the token of a request says beside whose it is."""
    assert principal.token is not None  # noqa: S101 (they came with one)
    return principal.token


async def _still_good(service: Service, principal: Principal) -> None:
    """Raises TokenRefused where the token was ended, or the person is not what it says any more; DatabaseError."""
    if principal.alcances is not None:
        return
    await service.people.check(principal)
    token, usuario = facts_of(principal), principal.usuario or ""
    if await token_terminado(
        service.resources, token.digest, usuario, clinica_id=principal.clinica_id, emitido=token.issued
    ):
        raise TokenRefused("la sesión de este token se cerró; ingrese de nuevo")


PrincipalDep = Annotated[Principal, Depends(_principal)]


def _caller(permiso: Permiso, alcance: Alcance | None = None) -> Callable[..., Coroutine[Any, Any, Caller]]:
    async def caller(
        request: Request,
        service: ServiceDep,
        address: AddressDep,
        token: TokenDep,
        principal: PrincipalDep,
        clinica_id: ChosenClinic = None,
        plataforma: ChosenPlatform = None,
    ) -> Caller:
        try:
            require(principal, permiso, alcance)
            clinic = await authorize_clinic(service.directory, principal, clinica_id, platform=plataforma is not None)
        except (TokenRefused, NotAllowed, ClinicNotFound) as exc:
            await request.state.refuse(motivo=str(exc))
            raise
        return Caller(token, principal, clinic, Actor(principal.usuario, principal.nombre, address))

    return caller


async def _known(request: Request, service: ServiceDep, principal: PrincipalDep) -> Principal:
    if not principal.superadmin:
        try:
            await authorize_clinic(service.directory, principal, None)
        except TokenRefused as exc:
            await request.state.refuse(motivo=str(exc))
            raise
    return principal


# Anybody whose token is good, and whose clinic is there and active, whatever they may do in it.
Known = Annotated[Principal, Depends(_known)]


async def platform(request: Request, principal: PrincipalDep, address: AddressDep) -> Actor:
    """Let nobody in but a superadmin, without a clinic; who that is. Raises TokenRefused, NotAllowed."""
    if not principal.superadmin:
        exc = NotAllowed("solo un superadministrador puede ver lo de todas las clínicas")
        await request.state.refuse(motivo=str(exc))
        raise exc
    return Actor(principal.usuario, principal.nombre, address)


async def platforms_own(request: Request, principal: Principal) -> None:
    """Let nobody but a superadmin ask for what is the platform's. Raises NotAllowed."""
    if not principal.superadmin:
        exc = NotAllowed(
            "los accesos y la fila de la clínica son de la plataforma: solo los restaura un superadministrador"
        )
        await request.state.refuse(motivo=str(exc))
        raise exc


ReadAccess = Annotated[Caller, Depends(_caller(Permiso.MIRAR))]
AdminAccess = Annotated[Caller, Depends(_caller(Permiso.ADMINISTRAR))]

# The same, and keys that are for it.
CreateAccess = Annotated[Caller, Depends(_caller(Permiso.ADMINISTRAR, Alcance.CREAR))]
VerifyAccess = Annotated[Caller, Depends(_caller(Permiso.ADMINISTRAR, Alcance.VERIFICAR))]
DownloadAccess = Annotated[Caller, Depends(_caller(Permiso.ADMINISTRAR, Alcance.DESCARGAR))]
ExportAccess = Annotated[Caller, Depends(_caller(Permiso.ADMINISTRAR, Alcance.EXPORTAR))]


def password_is_recent(service: Service, principal: Principal, *, seconds: float) -> bool:
    """Whether somebody who logged in here, or with JWT_REQUIRE_AUTH_TIME anywhere, gave their password within that.

    A token for a program has none behind it.
    """
    token = facts_of(principal)
    if token.password is None and not _comes_from_elsewhere(service, principal):
        return True
    given = token.authenticated
    return given is not None and (datetime.now(UTC) - given).total_seconds() < seconds


def require_recent_password(service: Service, principal: Principal) -> None:
    """Have them give their password now and then. Raises ConfirmationRequired."""
    if password_is_recent(service, principal, seconds=PASSWORD_SECONDS):
        return
    said = "hace más de 15 minutos que dio su contraseña, y para esto hay que darla de nuevo"
    elsewhere = _comes_from_elsewhere(service, principal)
    raise ConfirmationRequired(said if not elsewhere else f"{said}: ingrese otra vez en el sistema de la clínica")


def _comes_from_elsewhere(service: Service, principal: Principal) -> bool:
    """Whether the password is one of the clinics' own backend, which tells when it was given."""
    return not facts_of(principal).own and service.settings.jwt_require_auth_time


async def _recent(service: ServiceDep, caller: AdminAccess) -> Caller:
    require_recent_password(service, caller.principal)
    return caller


# How long ago the password may have been given by whoever does what a thief would (seconds).
AGAIN_SECONDS: Final = 60.0

# Who destroys data, or makes a key.
RecentAccess = Annotated[Caller, Depends(_recent)]


def may_see_rows(caller: Caller) -> bool:
    """Whether they may see values of the clinic's rows: those who may download them."""
    return caller.principal.admin or caller.principal.superadmin


async def recheck_access(service: Service, caller: Caller) -> None:
    """Ask again, for an answer that takes its time. Raises TokenRefused, NotAllowed or ClinicNotFound."""
    principal = await _whose(service, caller.token)
    await _still_good(service, principal)
    require(principal, Permiso.MIRAR)
    chosen = caller.clinica_id if principal.superadmin else None
    await authorize_clinic(service.directory, principal, chosen, platform=caller.clinic is None)
