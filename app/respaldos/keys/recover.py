"""Takes the clinics' keys from the bucket into the database, where that has lost them."""

from dataclasses import dataclass

from app.dump.encryption import KeyEnvelope
from app.errors import EncryptionError
from app.respaldos.databases import transaction
from app.respaldos.keys import fleet as key_fleet
from app.respaldos.keys import queries as key_queries
from app.respaldos.keys.keys import read_text
from app.respaldos.keys.object_key import PREFIX, key_in, prefix_of
from app.respaldos.resources import Resources
from app.storage.s3 import S3Storage


@dataclass(frozen=True, slots=True)
class NotTaken:
    """An object that was left as it is; `reason` is Spanish."""

    object_key: str
    reason: str


async def recover_keys(resources: Resources, storage: S3Storage, *, clinica_id: int | None = None) -> list[NotTaken]:
    """Add every key of that bucket, or of one clinic, that the database has never known; tell which could not be.

    One that no master key of this process opens is left out: whoever may write to the bucket may have made it. Raises
    StorageError, DatabaseError, and EncryptionError where it may pass.
    """
    found: list[NotTaken] = []
    objects = [item.key async for item in storage.list(PREFIX if clinica_id is None else prefix_of(clinica_id))]
    named = {}
    for object_key in objects:
        try:
            named[object_key] = key_in(object_key)
        except ValueError:
            found.append(NotTaken(object_key, "su nombre no es el de una clave"))
    async with transaction(resources) as session:
        known = await key_fleet.known(session, [key_id for _, key_id in named.values()])
    for object_key, (owner, key_id) in named.items():
        if key_id in known:
            continue
        try:
            async with storage.download(object_key) as chunks:
                text = await read_text(chunks)
            envelope = KeyEnvelope.parse(text)
            if (envelope.clinica_id, envelope.key_id) != (owner, key_id):
                found.append(NotTaken(object_key, "lo que hay ahí es la clave de otra clínica, u otra clave"))
                continue
            await resources.keyring.open(text)
        except EncryptionError as exc:
            if exc.transient:
                raise
            found.append(NotTaken(object_key, str(exc)))
            continue
        async with transaction(resources) as session:
            await key_queries.add(session, envelope, clinica_id=owner, copied=storage is resources.storage)
    return found
