"""Who asks, as their token says, and what each role is."""

import unicodedata
from collections.abc import Collection
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final

from app.clinic.people.users import SUPERADMIN
from app.respaldos.models import Alcance, ClaveApi

_PATIENT: Final = "paciente"


@dataclass(frozen=True, slots=True)
class TokenFacts:
    """What a token that was believed says beside whose it is.

    `digest` tells it from every other one; `own` is one that we issued. `password` is the fingerprint of the password
    that it was given for, which our own logins' alone have; `authenticated` is when the person last gave it, if it
    says so.
    """

    digest: str
    own: bool
    issued: datetime
    expires: datetime
    authenticated: datetime | None
    password: str | None = field(repr=False)


@dataclass(frozen=True, slots=True)
class Principal:
    """A person, or a program with a token.

    `usuario` is their id in the clinic's own system. `clinica_id` is None for a superadmin, and for nobody else.
    `admin` may do everything in its clinic; `paciente` may nothing; a program's key may what `alcances` say, and no
    more. `token` is of the token that said all this.
    """

    usuario: str | None
    nombre: str | None
    clinica_id: int | None
    rol: str
    admin: bool
    superadmin: bool
    paciente: bool
    alcances: frozenset[Alcance] | None = None
    token: TokenFacts | None = field(default=None, compare=False)


def of_key(key: ClaveApi) -> Principal:
    """Who a program is by a key that is good."""
    return Principal(
        usuario=f"clave {key.publica}",
        nombre=key.nombre,
        clinica_id=key.clinica_id,
        rol="clave",
        admin=False,
        superadmin=False,
        paciente=False,
        alcances=frozenset(map(Alcance, key.alcances)),
        token=TokenFacts(
            digest=key.huella,
            own=True,
            issued=key.fecha_creacion,
            expires=key.vence,
            authenticated=None,
            password=None,
        ),
    )


class Roles:
    """What the roles of the clinics' own system mean here; `admin_roles` are compared without case."""

    def __init__(self, admin_roles: Collection[str]) -> None:
        self._admin = frozenset(role.strip().casefold() for role in admin_roles)

    def member(self, *, usuario: str | None, nombre: str | None, clinica_id: int, rol: str) -> Principal:
        """A person of a clinic, whatever their role is called."""
        # Denying is generous, granting is not: an accent too many still is a patient, and no administrator.
        paciente = _without_accents(rol) == _PATIENT
        admin = not paciente and rol.strip().casefold() in self._admin
        return Principal(usuario, nombre, clinica_id, rol, admin=admin, superadmin=False, paciente=paciente)

    def superadmin(self, *, usuario: str | None, nombre: str | None) -> Principal:
        """A person of the platform."""
        return Principal(usuario, nombre, None, SUPERADMIN, admin=False, superadmin=True, paciente=False)


def _without_accents(text: str) -> str:
    letters = unicodedata.normalize("NFKD", text.strip().casefold())
    return "".join(letter for letter in letters if not unicodedata.combining(letter))
