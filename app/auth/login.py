"""Login with e-mail and password against the clinics' own users."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass, field

from app.auth.attempts import LoginAttempts, Origin
from app.auth.passwords import Passwords
from app.auth.people import PeopleCheck
from app.auth.principal import Principal
from app.auth.tokens import Tokens
from app.clinic.clinic import Clinic
from app.clinic.people.users import Account, ClinicUsers, Usuario, pick
from app.errors import LoginRefused, PasswordRefused, RespaldosError

# Whatever was wrong, so that nobody learns which e-mails there are.
_REFUSED = "el correo o la contraseña no son correctos"

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class LoginResult:
    """A login that succeeded; the token is worth `seconds` from now."""

    token: str = field(repr=False)
    seconds: int
    usuario: Usuario
    principal: Principal


class Login:
    """Lets people in, one password at a time; the platform's own only with `superadmins`."""

    def __init__(
        self,
        users: ClinicUsers,
        tokens: Tokens,
        attempts: LoginAttempts,
        people: PeopleCheck | None = None,
        *,
        superadmins: bool = True,
    ) -> None:
        self._users = users
        self._tokens = tokens
        self._attempts = attempts
        self._people = people or PeopleCheck(users, tokens)
        self._superadmins = superadmins
        self._passwords = Passwords()

    async def authenticate(
        self, correo: str, password: str, *, subdominio: str | None, origin: Origin
    ) -> LoginResult:
        """A token for whoever has that e-mail, or user name of Django's, and that password.

        `subdominio` names the clinic where each has a schema, or where the e-mail is of several; elsewhere it is
        not looked at. `origin` is whose failures are counted.

        Raises LoginRefused, in the same words and after as long whatever was wrong, or to ask for the clinic
        when the password was right; TooManyAttempts; LoginUnavailable without a secret or without Django's
        tables; InvalidRequest where a clinic has to be named; QueueUnavailable, DatabaseError.
        """
        self._tokens.require_secret()
        # As the database compares e-mails, so that letters in upper case are no further guesses.
        identifier = correo.strip().lower()
        await self._attempts.count(identifier, origin)
        account: Account | None = None
        try:
            account = await self._users.account(correo.strip(), clinica=subdominio)
            right = await self._passwords.matches(password, None if account is None else account.password)
            if account is None or not right or not account.active:
                raise LoginRefused(_REFUSED)
            admitted = await self._admitted(account)
            if not admitted and not account.clinic_unsaid:
                raise LoginRefused(_REFUSED)
        except LoginRefused as exc:
            if account is not None:
                exc.clinics = sorted({clinic.id for _, clinic in account.people})
            raise
        except RespaldosError:
            await self._attempts.release(identifier, origin)
            raise
        await self._attempts.succeeded(identifier, origin)
        usuario = _chosen(admitted, subdominio)
        principal = self._principal(usuario)
        token = self._tokens.issue(principal, password=account.password)
        return LoginResult(token, self._tokens.seconds, usuario, principal)

    async def confirm(self, principal: Principal, password: str, *, origin: Origin) -> str:
        """A new token for somebody who logged in here and gives their password once more.

        Raises PasswordRefused where it is another one, or where theirs is not known here; TooManyAttempts, counted
        with their logins; TokenRefused where they could not log in any more; QueueUnavailable, DatabaseError.
        """
        if principal.token is None or principal.token.password is None:
            raise PasswordRefused("este token no se obtuvo con una contraseña de aquí, y no hay cuál confirmar")
        correo, stored = await self._people.password_of(principal, principal.token.password)
        identifier = correo.strip().lower()
        await self._attempts.count(identifier, origin)
        if not await self._passwords.matches(password, stored):
            raise PasswordRefused("la contraseña no es correcta")
        await self._attempts.succeeded(identifier, origin)
        return self._tokens.issue(principal, password=stored)

    async def _admitted(self, account: Account) -> list[tuple[Usuario, Clinic | None]]:
        """Whom this login lets in, once for each clinic; a superuser of the platform where no clinic knows them."""
        if account.shared:
            # Nothing else ties a login to a person, so whoever takes another's e-mail, also that of a login that was
            # switched off, would come in as them.
            _log.warning("varios usuarios de auth_user tienen el mismo correo: ninguno puede ingresar")
            raise LoginRefused(_REFUSED)
        if account.people:
            if not self._one_person(account.people):
                _log.warning("varias personas de usuario tienen el mismo correo: ninguna puede ingresar")
                raise LoginRefused(_REFUSED)
            return list(account.people)
        superuser = account.superuser
        if superuser is not None and not self._superadmins:
            _log.warning("un superadministrador quiso ingresar, y SUPERADMIN_LOGIN no lo permite")
            raise LoginRefused(_REFUSED)
        if superuser is None or await self._users.in_any_clinic(superuser.correoelectronico):
            return []
        return [(superuser, None)]

    def _one_person(self, people: Sequence[tuple[Usuario, Clinic]]) -> bool:
        """Whether these can be one: of a name, once in a clinic, and not of the staff here and a patient there.

        Patients write their e-mail and their name themselves.
        """
        names = {tuple(usuario.nombre_completo.casefold().split()) for usuario, _ in people}
        clinics = {clinic.id for _, clinic in people}
        patients = {self._principal(usuario).paciente for usuario, _ in people}
        return len(names) == len(patients) == 1 and len(clinics) == len(people)

    def _principal(self, usuario: Usuario) -> Principal:
        if usuario.clinica_id is None:
            return self._tokens.roles.superadmin(usuario=usuario.correoelectronico, nombre=usuario.nombre_completo)
        return self._tokens.roles.member(
            usuario=str(usuario.codigo),
            nombre=usuario.nombre_completo,
            clinica_id=usuario.clinica_id,
            rol=usuario.rol,
        )


def _chosen(admitted: list[tuple[Usuario, Clinic | None]], named: str | None) -> Usuario:
    """The one person, or the one of the named clinic. Raises LoginRefused that asks for it."""
    if len(admitted) == 1:
        return admitted[0][0]
    clinics = [clinic for _, clinic in admitted if clinic is not None]
    clinic = pick(clinics, named) if named is not None else None
    if clinic is None:
        which = ", ".join(f"{found.id} ({found.name})" if found.name else str(found.id) for found in clinics)
        raise LoginRefused(f"diga a qué clínica ingresa, en «clinica»{f': {which}' if which else ''}")
    return next(usuario for usuario, found in admitted if found == clinic)
