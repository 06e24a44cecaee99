"""What a person may do, and in which clinic."""

from enum import StrEnum

from app.auth.principal import Principal
from app.clinic.clinic import Clinic
from app.clinic.directory import ClinicDirectory
from app.errors import ClinicNotFound, InvalidRequest, NotAllowed, TokenRefused
from app.respaldos.models import Alcance


class Permiso(StrEnum):
    """What a route asks for. MIRAR is to list and to look; a download is ADMINISTRAR, for it holds everything."""

    MIRAR = "mirar"
    ADMINISTRAR = "administrar"


def require(principal: Principal, permiso: Permiso, alcance: Alcance | None = None) -> None:
    """Raises NotAllowed where the person's role does not give that permission, or a key is not for that.

    `alcance` is what a key has to be for; where none is said, looking is what one may be for, and nothing else.
    """
    if principal.alcances is not None:
        needed = alcance or (Alcance.MIRAR if permiso is Permiso.MIRAR else None)
        if needed is None:
            raise NotAllowed("esto lo hace una persona, y no un programa con una clave")
        if needed not in principal.alcances:
            raise NotAllowed(f"la clave «{principal.nombre}» no es para «{needed}»")
        return
    if principal.superadmin or principal.admin:
        return
    if principal.paciente:
        raise NotAllowed("los pacientes no tienen acceso a los respaldos")
    if permiso is not Permiso.MIRAR:
        raise NotAllowed(f"el rol «{principal.rol}» solo puede ver los respaldos, no descargarlos ni cambiarlos")


async def authorize_clinic(
    directory: ClinicDirectory, principal: Principal, chosen: int | None, *, platform: bool = False
) -> Clinic | None:
    """The clinic whose backups the request is about, None for the platform's.

    `chosen` is its `?clinica_id=`, `platform` its `?plataforma=true`. A person's own clinic has to be active; a
    superadmin chooses one, active or not, or the platform.

    Raises TokenRefused where the person's clinic is inactive or no more, ClinicNotFound where a superadmin
    chooses one that is not there or anybody else one that is not theirs, NotAllowed where anybody else chooses the
    platform, InvalidRequest where a superadmin chooses none, or both, DatabaseError.
    """
    if principal.superadmin:
        if platform and chosen is None:
            return None
        if chosen is None or platform:
            raise InvalidRequest("clinica_id: diga de quién, ?clinica_id=1 por ejemplo, o ?plataforma=true")
        return await directory.clinic(chosen)
    if platform:
        raise NotAllowed("solo un superadministrador ve los respaldos de la plataforma")
    if principal.clinica_id is None:
        raise TokenRefused("el token no dice de qué clínica es")
    try:
        own = await directory.clinic(principal.clinica_id)
    except ClinicNotFound as exc:
        raise TokenRefused("la clínica de este token ya no existe") from exc
    if not own.active:
        raise TokenRefused("la clínica de este token no está activa")
    if chosen is not None and chosen != own.id:
        raise ClinicNotFound(f"no existe la clínica {chosen}")
    return own
