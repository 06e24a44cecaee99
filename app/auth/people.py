"""Whether the person behind a token still is whom the token says."""

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from app.auth.principal import Principal
from app.auth.tokens import Tokens
from app.clinic.directory import OUTAGE_SECONDS
from app.clinic.people.users import Account, ClinicUsers, Standing
from app.errors import ClinicNotFound, DatabaseUnavailable, LoginUnavailable, TokenRefused

# How long what was found of a person is taken for true (seconds), and of how many it is remembered.
PERSON_SECONDS: Final = 30.0
PEOPLE: Final = 10_000


@dataclass(frozen=True, slots=True)
class _Found:
    """What the database said; `superadmin` for one of the platform, who is in no clinic."""

    read_at: float
    standing: Standing | None
    superadmin: Account | None


class PeopleCheck:
    """Looks again at the people behind tokens, at each at most every PERSON_SECONDS. For one event loop.

    While the database does not answer, what it said within OUTAGE_SECONDS counts. Without `superadmins` nobody of the
    platform logs in here.
    """

    def __init__(
        self,
        users: ClinicUsers,
        tokens: Tokens,
        *,
        superadmins: bool = True,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._users = users
        self._tokens = tokens
        self._superadmins = superadmins
        self._clock = clock
        self._found: dict[tuple[int | None, str], _Found] = {}
        self._reading: dict[tuple[int | None, str], asyncio.Task[_Found]] = {}

    async def check(self, principal: Principal) -> None:
        """Raises TokenRefused where the person is not what the token says any more; DatabaseError.

        The person of a login of ours is to be there, active, with the same role and password. Whom another token
        names (the clinics' own backend's, or one for a program) need not be of this database; where they are, they
        are to be active, and the token may not make more of them than their role.
        """
        found = await self._look_at(principal)
        if found is None or principal.token is None:
            return
        if principal.token.password is None:
            self._check_named(principal, found.standing)
        else:
            self._check_login(principal, found, principal.token.password)

    async def _look_at(self, principal: Principal) -> _Found | None:
        """What is known of somebody; None where there is nothing to look at."""
        usuario, token = principal.usuario, principal.token
        if usuario is None or token is None:
            return None
        if token.password is None and (principal.superadmin or not usuario.isdigit()):
            return None
        key = (principal.clinica_id, usuario)
        found = self._found.get(key)
        age = self._clock() - found.read_at if found is not None else OUTAGE_SECONDS
        if found is not None and age < PERSON_SECONDS:
            return found
        try:
            return await self._read_once(key)
        except (LoginUnavailable, ClinicNotFound):
            # Other systems than Django's have other tables; which clinics there are, is asked elsewhere.
            if token.password is not None:
                raise
            return None
        except DatabaseUnavailable:
            if found is None or age >= OUTAGE_SECONDS:
                raise
            return found

    async def password_of(self, principal: Principal, fingerprint: str) -> tuple[str, str]:
        """By what somebody logs in whose login's token has that fingerprint, and their password as it is stored.

        Raises TokenRefused as `check` does, DatabaseError.
        """
        found = await self._look_at(principal)
        assert found is not None  # noqa: S101 (a login's)
        return self._check_login(principal, found, fingerprint)

    def _check_login(self, principal: Principal, found: _Found, fingerprint: str) -> tuple[str, str]:
        if principal.superadmin:
            account = found.superadmin
            if not self._superadmins:
                raise TokenRefused("los superadministradores ya no ingresan por aquí (SUPERADMIN_LOGIN)")
            if account is None or not account.active or account.shared or account.superuser is None:
                raise TokenRefused("quien ingresó con este token ya no es superadministrador")
            correo, stored = principal.usuario or "", account.password
        else:
            standing = found.standing
            if standing is None or not standing.active or not standing.logins:
                raise TokenRefused("quien ingresó con este token ya no está activo")
            if standing.rol != principal.rol:
                raise TokenRefused("el rol de quien ingresó con este token cambió; ingrese de nuevo")
            login = standing.logins[0]
            if len(standing.logins) > 1 or not login.active:
                raise TokenRefused("quien ingresó con este token ya no puede ingresar")
            correo, stored = standing.correo, login.password
        if stored is None or self._tokens.fingerprint(stored) != fingerprint:
            raise TokenRefused("la contraseña cambió después de que se dio este token; ingrese de nuevo")
        return correo, stored

    def _check_named(self, principal: Principal, standing: Standing | None) -> None:
        if standing is None or principal.clinica_id is None:
            return
        disabled = standing.logins and not any(login.active for login in standing.logins)
        if not standing.active or disabled:
            raise TokenRefused("la persona de este token ya no está activa")
        today = self._tokens.roles.member(
            usuario=principal.usuario,
            nombre=None,
            clinica_id=principal.clinica_id,
            rol=standing.rol or "",
        )
        if (principal.admin and not today.admin) or (today.paciente and not principal.paciente):
            raise TokenRefused(f"el token dice «{principal.rol}» de quien ya no tiene ese rol")

    async def _read_once(self, key: tuple[int | None, str]) -> _Found:
        """However many ask for one person at once, there is one reading."""
        reading = self._reading.get(key)
        if reading is None:
            reading = self._reading[key] = asyncio.create_task(self._read(*key))
            reading.add_done_callback(lambda done: self._end_reading(key, done))
        # Whoever stops waiting does not stop the reading for the others.
        return await asyncio.shield(reading)

    async def _read(self, clinica_id: int | None, usuario: str) -> _Found:
        began = self._clock()
        standing = superadmin = None
        if clinica_id is not None:
            standing = await self._users.standing(usuario, clinica_id=clinica_id)
        else:
            superadmin = await self._users.account(usuario, clinica=None)
            superuser = superadmin.superuser if superadmin is not None else None
            if superuser is not None and await self._users.in_any_clinic(superuser.correoelectronico):
                superadmin = None
        if len(self._found) >= PEOPLE:
            self._found.clear()
        found = self._found[clinica_id, usuario] = _Found(began, standing, superadmin)
        return found

    def _end_reading(self, key: tuple[int | None, str], done: asyncio.Task[_Found]) -> None:
        del self._reading[key]
        if not done.cancelled():
            # Where nobody waits any more, asyncio would log that nobody has looked.
            done.exception()
