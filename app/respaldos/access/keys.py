"""Keys for programs: of one clinic, for a few things, until a day."""

import secrets
from collections.abc import Collection, Sequence
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from hmac import compare_digest
from typing import Final

from app.errors import InvalidRequest, NotAllowed, TokenRefused
from app.respaldos import audit
from app.respaldos.access import fleet as access_fleet
from app.respaldos.access import queries
from app.respaldos.audit import Actor
from app.respaldos.databases import Databases, transaction
from app.respaldos.models import Accion, Alcance, ClaveApi

# By which a key is told from a JWT, and found by those who look for secrets where none should be.
PREFIX: Final = "rsp_"

# Days that a key is good for, at most.
MOST_DAYS: Final = 365

# Keys of a clinic that are good at a time.
MOST_KEYS: Final = 50

LONGEST_NAME: Final = 80


async def crear_clave(
    databases: Databases,
    nombre: str,
    alcances: Collection[Alcance],
    *,
    clinica_id: int,
    dias: int,
    actor: Actor,
) -> tuple[str, ClaveApi]:
    """A new key, which is never shown again, and its row.

    Raises InvalidRequest where it has no name or is for nothing, NotAllowed where there are MOST_KEYS, DatabaseError.
    """
    name = nombre.strip()
    if not name or len(name) > LONGEST_NAME or not name.isprintable():
        raise InvalidRequest(f"nombre: debe ser un texto de una línea, de {LONGEST_NAME} letras como mucho")
    if not alcances:
        raise InvalidRequest("permisos: diga para qué es")
    if not 1 <= dias <= MOST_DAYS:
        raise InvalidRequest(f"dias: debe ser de 1 a {MOST_DAYS}")
    public, secret = secrets.token_hex(8), secrets.token_urlsafe(32)
    row = ClaveApi(
        clinica_id=clinica_id,
        nombre=name,
        alcances=sorted(set(alcances)),
        publica=public,
        huella=_digest(secret),
        creada_por=actor.usuario,
        vence=datetime.now(UTC) + timedelta(days=dias),
    )
    async with transaction(databases) as session:
        if await queries.good_keys(session, clinica_id=clinica_id) >= MOST_KEYS:
            raise NotAllowed(f"la clínica tiene {MOST_KEYS} claves que valen; revoque alguna")
        session.add(row)
        await session.flush()
        await audit.record(
            session,
            Accion.CREACION_CLAVE,
            actor,
            clinica_id=clinica_id,
            clave=public,
            nombre=name,
            permisos=row.alcances,
            dias=dias,
        )
    return f"{PREFIX}{public}_{secret}", row


async def listar_claves(databases: Databases, *, clinica_id: int) -> Sequence[ClaveApi]:
    """The clinic's keys, the newest first. Raises DatabaseError."""
    async with transaction(databases) as session:
        return await queries.keys(session, clinica_id=clinica_id)


async def revocar_clave(databases: Databases, clave_id: int, *, clinica_id: int, actor: Actor) -> ClaveApi:
    """Have a key be worth nothing any more; once more changes nothing. Raises KeyNotFound, DatabaseError."""
    async with transaction(databases) as session:
        row = await queries.lock_key(session, clave_id, clinica_id=clinica_id)
        if row.revocada is None:
            row.revocada = datetime.now(UTC)
            await audit.record(
                session,
                Accion.REVOCACION_CLAVE,
                actor,
                clinica_id=clinica_id,
                clave=row.publica,
                nombre=row.nombre,
            )
    return row


async def clave_de(databases: Databases, text: str) -> ClaveApi:
    """The row of a key that is good. Raises TokenRefused, DatabaseError."""
    public, _, secret = text.removeprefix(PREFIX).partition("_")
    async with transaction(databases) as session:
        row = await access_fleet.key_of(session, public) if public.isascii() and public.isalnum() else None
    if row is None or not compare_digest(_digest(secret), row.huella):
        raise TokenRefused("la clave no vale")
    if row.revocada is not None:
        raise TokenRefused(f"la clave «{row.nombre}» se revocó")
    if row.vence <= datetime.now(UTC):
        raise TokenRefused(f"la clave «{row.nombre}» venció")
    return row


def _digest(secret: str) -> str:
    # 256 bits drawn by chance: nobody guesses them, and nothing slower is needed.
    return sha256(secret.encode("utf-8", "surrogatepass")).hexdigest()
