"""Tokens: our own, and those of the clinics' own backend."""

import hmac
import time
from collections.abc import Collection
from dataclasses import replace
from datetime import UTC, datetime
from hashlib import sha256
from secrets import token_urlsafe
from typing import Any, Final

import jwt

from app.auth.jwks import KeySet
from app.auth.principal import Principal, Roles, TokenFacts
from app.auth.public_key import PublicKey, read_pem
from app.clinic.people.users import SUPERADMIN
from app.errors import LoginUnavailable, SettingsError, TokenRefused

ISSUER: Final = "respaldos"
ALGORITHM: Final = "HS256"

# How far clocks may be apart (seconds).
LEEWAY: Final = 30

# A longer one is refused before it is parsed (characters).
MAX_LENGTH: Final = 8192

_TIMES: Final = ("exp", "iat", "nbf", "auth_time")
_REQUIRED: Final = ["exp", "iat", "sub"]
_OWN_REQUIRED: Final = [*_REQUIRED, "jti"]

# Of the password that one of our tokens was given for.
_PASSWORD: Final = "pwh"  # noqa: S105 (a claim's name, and no secret)

# When somebody last gave their password (OpenID Connect Core, 2).
_AUTHENTICATED: Final = "auth_time"
_MAX_ID: Final = 2**63 - 1

# What issuers that sign several kinds with one key call the kind that may be shown to a service. Django's SimpleJWT
# puts the same claims into the one that only renews, which lives for days.
_ACCESS: Final = ("access", "sliding", "bearer")

# Where they say it: SimpleJWT in the one claim, Keycloak in the other, RFC 9068 in the header.
_KINDS: Final = ("token_type", "typ")
_ACCESS_HEADERS: Final = ("jwt", "at+jwt", "application/at+jwt")

# How long another issuer's token may be good (hours), where nothing else is said.
MAX_HOURS: Final = 24


class Tokens:
    """Issues tokens, and says whom a token speaks for. `close` closes the connections. For one event loop.

    There are two verifiers at most, each with its own key and one algorithm: ours, for the issuer `respaldos`,
    which needs `secret`; and that of another issuer, with `public_key` or the keys at `jwks_url`. A token's
    issuer says which of the two has to agree; nothing else in it is looked at before one does.

    `unchecked` are those of `iss` and `aud` that need not be told of another issuer: whatever it signed for any other
    service is then good here, too. `max_hours` is how long its tokens may be good.

    Raises SettingsError where a key or secret is of no use, where it is not clear which one counts, and where it is
    not said who the other issuer is, or for whom its tokens are.
    """

    def __init__(
        self,
        *,
        secret: str | None,
        hours: int,
        admin_roles: Collection[str],
        public_key: str | None = None,
        jwks_url: str | None = None,
        algorithm: str = "RS256",
        issuer: str | None = None,
        audience: str | None = None,
        unchecked: Collection[str] = (),
        max_hours: int = MAX_HOURS,
    ) -> None:
        self.roles = Roles(admin_roles)
        self._secret = _checked_secret(secret)
        self._seconds = hours * 3600
        self._algorithm = algorithm
        self._issuer = issuer
        self._audience = audience
        self._max_hours = max_hours
        if public_key is not None and jwks_url is not None:
            raise SettingsError("JWT_PUBLIC_KEY y JWT_JWKS_URL: solo una de las dos puede tener valor")
        if issuer == ISSUER:
            raise SettingsError(f"JWT_ISSUER: no puede ser «{ISSUER}», que es el emisor de los tokens propios")
        self._key: PublicKey | KeySet | None = None
        if public_key is not None:
            try:
                self._key = read_pem(public_key, algorithm)
            except ValueError as exc:
                raise SettingsError(
                    f"JWT_PUBLIC_KEY: el valor dado no es una clave pública en formato PEM para {algorithm}"
                ) from exc
        elif jwks_url is not None:
            self._key = KeySet(jwks_url, algorithm)
        if self._key is not None:
            whose = "JWT_PUBLIC_KEY" if public_key is not None else "JWT_JWKS_URL"
            for setting, claim, value in (("JWT_ISSUER", "iss", issuer), ("JWT_AUDIENCE", "aud", audience)):
                if value is None and claim not in unchecked:
                    raise SettingsError(
                        f"{setting}: falta; con {whose} hay que decir el «{claim}» de sus tokens"
                        f" (para no mirarlo, JWT_UNCHECKED={claim})"
                    )

    @property
    def seconds(self) -> int:
        """How long a token of ours is good."""
        return self._seconds

    def require_secret(self) -> str:
        """The secret that our tokens are signed with. Raises LoginUnavailable where there is none."""
        if self._secret is None:
            raise LoginUnavailable("este servicio no emite tokens: falta JWT_SECRET")
        return self._secret

    def fingerprint(self, password: str) -> str:
        """What tells one stored password from another, and to whoever reads it nothing else.

        Raises LoginUnavailable without a secret.
        """
        return hmac.digest(self.require_secret().encode(), f"password\0{password}".encode(), "sha256").hex()

    def issue(
        self, principal: Principal, *, password: str | None = None, authenticated: datetime | None = None
    ) -> str:
        """A token of ours for that person, who has a `usuario`.

        `password` is the stored one that they gave at `authenticated`, by default now: with another one, the token is
        worth nothing. Without, the token is for a program. Raises LoginUnavailable without a secret.
        """
        secret = self.require_secret()
        if principal.usuario is None:
            raise ValueError("a token needs a subject")
        now = time.time()
        claims: dict[str, Any] = {
            "iss": ISSUER,
            "sub": principal.usuario,
            "jti": token_urlsafe(16),
            # Not in whole seconds: one of the second in which all others were ended is good.
            "iat": now,
            "exp": int(now) + self._seconds,
            "rol": principal.rol,
            "nombre": principal.nombre,
        }
        if not principal.superadmin:
            claims["clinica_id"] = principal.clinica_id
        if password is not None:
            claims[_PASSWORD] = self.fingerprint(password)
            claims[_AUTHENTICATED] = now if authenticated is None else authenticated.timestamp()
        return jwt.encode(claims, secret, ALGORITHM)

    async def verify(self, token: str) -> Principal:
        """Whom the token speaks for. Raises TokenRefused, with the reason in Spanish, and KeysUnavailable.

        Only a token of ours can be a superadmin's: another issuer's always belongs to a clinic, whatever it
        calls its role.
        """
        if len(token) > MAX_LENGTH:
            raise TokenRefused("el token es demasiado largo")
        if not token.isascii():
            raise TokenRefused("el token no es un JWT válido")
        try:
            own = _unverified(token).get("iss") == ISSUER
            claims = self._own_claims(token) if own else await self._foreign_claims(token)
        except jwt.PyJWTError as exc:
            raise TokenRefused(_reason(exc)) from exc
        return replace(self._principal(claims, own=own), token=_facts(token, claims, own=own))

    async def close(self) -> None:
        """Close the connections to where the keys come from."""
        if isinstance(self._key, KeySet):
            await self._key.close()

    def _own_claims(self, token: str) -> dict[str, Any]:
        if self._secret is None:
            raise TokenRefused("este servicio no emite tokens propios: falta JWT_SECRET")
        return _decode(token, self._secret, ALGORITHM, issuer=ISSUER, audience=None, required=_OWN_REQUIRED)

    async def _foreign_claims(self, token: str) -> dict[str, Any]:
        key = self._key
        if key is None:
            raise TokenRefused("el emisor del token no es de confianza")
        header = jwt.get_unverified_header(token)
        if isinstance(key, KeySet):
            # Of the header, only which key; one for another algorithm is not among them.
            key = await key.key(header.get("kid"))
        claims = _decode(token, key, self._algorithm, issuer=self._issuer, audience=self._audience)
        for kind in _KINDS:
            if str(claims.get(kind, _ACCESS[0])).casefold() not in _ACCESS:
                raise TokenRefused(f"el token no es de acceso: su «{kind}» debe ser «access»")
        if str(header.get("typ", _ACCESS_HEADERS[0])).casefold() not in _ACCESS_HEADERS:
            raise TokenRefused("el token no es de acceso: el «typ» de su cabecera debe ser «at+jwt»")
        if claims["exp"] - claims["iat"] > self._max_hours * 3600:
            raise TokenRefused(
                f"el token vale por más de {self._max_hours} horas, y aquí no se admite (JWT_MAX_HOURS)"
            )
        return claims

    def _principal(self, claims: dict[str, Any], *, own: bool) -> Principal:
        usuario = _text(claims, "sub")
        rol = _text(claims, "rol")
        nombre = claims.get("nombre")
        if not isinstance(nombre, str) or not nombre.isprintable():
            nombre = None
        if own and rol == SUPERADMIN and claims.get("clinica_id") is None:
            return self.roles.superadmin(usuario=usuario, nombre=nombre)
        return self.roles.member(usuario=usuario, nombre=nombre, clinica_id=_clinica_id(claims), rol=rol)


def _checked_secret(secret: str | None) -> str | None:
    if secret is None:
        return None
    verifier = jwt.get_algorithm_by_name(ALGORITHM)
    try:
        too_short = verifier.check_key_length(verifier.prepare_key(secret)) is not None
    except jwt.InvalidKeyError as exc:
        raise SettingsError("JWT_SECRET: debe ser un secreto, no una clave pública ni un certificado") from exc
    if too_short:
        raise SettingsError("JWT_SECRET: debe ser un secreto de 32 bytes o más")
    return secret


def _unverified(token: str) -> dict[str, Any]:
    return jwt.decode(token, options={"verify_signature": False})


def _decode(
    token: str,
    key: PublicKey | str,
    algorithm: str,
    *,
    issuer: str | None,
    audience: str | None,
    required: list[str] = _REQUIRED,
) -> dict[str, Any]:
    claims = jwt.decode(
        token,
        key,
        algorithms=[algorithm],
        issuer=issuer,
        audience=audience,
        leeway=LEEWAY,
        # Whether `sub` is text is asked below: of other issuers it is a number as often.
        options={"require": required, "verify_aud": audience is not None, "verify_sub": False},
    )
    for name in _TIMES:
        if name in claims and (isinstance(claims[name], bool) or not isinstance(claims[name], int | float)):
            raise TokenRefused(f"«{name}» del token no es una fecha")
    return claims


def _facts(token: str, claims: dict[str, Any], *, own: bool) -> TokenFacts:
    # Of what is signed, letter by letter: the signature itself can be spelled in several ways.
    signed = token.rpartition(".")[0]
    return TokenFacts(
        digest=sha256(signed.encode()).hexdigest(),
        own=own,
        issued=_moment(claims, "iat"),
        expires=_moment(claims, "exp"),
        authenticated=_moment(claims, _AUTHENTICATED) if _AUTHENTICATED in claims else None,
        password=claims.get(_PASSWORD) if own else None,
    )


def _moment(claims: dict[str, Any], name: str) -> datetime:
    try:
        return datetime.fromtimestamp(claims[name], UTC)
    except (ValueError, OverflowError, OSError) as exc:
        raise TokenRefused(f"«{name}» del token no es una fecha") from exc


def _text(claims: dict[str, Any], name: str) -> str:
    """The claim as text. What cannot be printed could not be stored either."""
    value = claims.get(name)
    if isinstance(value, int) and not isinstance(value, bool):
        value = str(value)
    if value is None or (isinstance(value, str) and not value.strip()):
        raise TokenRefused(f"al token le falta «{name}»")
    if not isinstance(value, str) or not value.isprintable():
        raise TokenRefused(f"«{name}» del token no es un texto válido")
    return value


def _clinica_id(claims: dict[str, Any]) -> int:
    value = claims.get("clinica_id")
    if value is None:
        raise TokenRefused("al token le falta «clinica_id»")
    if isinstance(value, str) and value.isascii() and value.isdigit() and len(value) <= len(str(_MAX_ID)):
        value = int(value)
    if isinstance(value, bool) or not isinstance(value, int) or not 1 <= value <= _MAX_ID:
        raise TokenRefused("«clinica_id» del token no es el número de una clínica")
    return value


def _reason(exc: jwt.PyJWTError) -> str:
    match exc:
        case jwt.ExpiredSignatureError():
            return "el token venció; ingrese de nuevo"
        case jwt.ImmatureSignatureError():
            return "el token todavía no vale"
        case jwt.MissingRequiredClaimError(claim="jti"):
            return "el token es de una versión anterior; ingrese de nuevo"
        case jwt.MissingRequiredClaimError():
            return f"al token le falta «{exc.claim}»"
        case jwt.InvalidIssuerError():
            return "el emisor del token no es de confianza"
        case jwt.InvalidAudienceError():
            return "el token es para otro destinatario"
        case jwt.InvalidAlgorithmError():
            return "el token no está firmado con el algoritmo que corresponde a su emisor"
        case jwt.InvalidSignatureError():
            return "la firma del token no vale"
        case _:
            return "el token no es un JWT válido"
