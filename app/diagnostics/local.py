"""What can be looked at without asking anybody: API and worker do, when they start."""

import logging

from app.connections.seals import sealing
from app.connections.service import tokens
from app.diagnostics.finding import Finding, Level, good, warning, wrong
from app.dump.seal import public_setting
from app.errors import SettingsError
from app.settings import Settings, unknown_names

log = logging.getLogger(__name__)

_DRAW_ONE = 'JWT_SECRET="$(openssl rand -base64 32)"'

# A secret of fewer different characters was typed, and not drawn.
FEW_CHARACTERS = 10


def log_problems(found: list[Finding]) -> None:
    """Log a warning for each thing that is not as it should be."""
    for each in found:
        if each.level is not Level.GOOD:
            log.warning("%s: %s%s", each.subject, each.detail, f"; {each.remedy}" if each.remedy is not None else "")


def local(settings: Settings) -> list[Finding]:
    """Names that are no settings, the keys of tokens, and proxies."""
    return [*names(), *jwt(settings), *proxies(settings)]


def names() -> list[Finding]:
    """Misspelt settings: they are ignored, and what they were to change is not changed."""
    found = [
        wrong("ajustes", f"{each.name}, en {each.place}, no es ningún ajuste y se ignora", f"¿{each.nearest}?")
        if each.nearest is not None
        else warning("ajustes", f"{each.name}, en {each.place}, no es ningún ajuste y se ignora")
        for each in unknown_names()
    ]
    return found or [good("ajustes", "todos los nombres se conocen")]


def jwt(settings: Settings) -> list[Finding]:
    """Whether anybody can get in, and nobody who should not."""
    try:
        # It reads the public key.
        tokens(settings)
    except SettingsError as exc:
        return [wrong("tokens", str(exc))]
    theirs = "JWT_PUBLIC_KEY" if settings.jwt_public_key is not None else "JWT_JWKS_URL"
    has_theirs = settings.jwt_public_key is not None or settings.jwt_jwks_url is not None
    found = []
    if has_theirs and settings.jwt_unchecked:
        found.append(
            warning(
                "tokens",
                f"con {theirs} vale también un token que su emisor firmó para otro servicio (JWT_UNCHECKED)",
                "dé valor a JWT_ISSUER y JWT_AUDIENCE, y quite JWT_UNCHECKED",
            )
        )
    if settings.jwt_secret is None:
        if has_theirs:
            said = f"sin JWT_SECRET nadie ingresa aquí: solo valen los de {theirs}"
            return [*found, warning("tokens", said, _DRAW_ONE)]
        return [wrong("tokens", "faltan JWT_SECRET y la clave de otro emisor: nadie puede entrar", _DRAW_ONE)]
    secret = settings.jwt_secret.get_secret_value()
    if len(set(secret)) < FEW_CHARACTERS:
        found.append(wrong("tokens", "JWT_SECRET se repite tanto que se adivina", _DRAW_ONE))
    said = f"JWT_SECRET tiene {len(secret.encode())} bytes"
    return found or [good("tokens", f"{said}, y {theirs} se entiende" if has_theirs else said)]


def proxies(settings: Settings) -> list[Finding]:
    """Whether each person has an address of their own."""
    if settings.forwarded_allow_ips or settings.embedded_servers:
        return []
    said = "sin FORWARDED_ALLOW_IPS, a quien llega por un proxy no se lo distingue de los demás"
    return [warning("proxy", said, "si hay un proxy delante, FORWARDED_ALLOW_IPS con su dirección o su red")]


def seals(settings: Settings) -> list[Finding]:
    """Whether this process seals what it makes, and knows the seals of others."""
    subject = "sellos"
    try:
        keys = sealing(settings)
    except SettingsError as exc:
        return [wrong(subject, str(exc))]
    if not keys.public:
        said = "los archivos no se sellan: quien pueda escribir en el bucket puede falsificar uno"
        return [warning(subject, said, 'SEAL_KEYS="2026:$(openssl rand -base64 32)"')]
    known = ", ".join(f"«{name}»" for name in keys.public)
    if keys.signing_id is None:
        return [good(subject, f"se reconocen los de {known}; este proceso no sella")]
    said = f"se sella con «{keys.signing_id}», y se reconocen los de {known}; para los que solo leen:"
    return [good(subject, f"{said} SEAL_PUBLIC_KEYS={public_setting(keys)}")]
