"""Wraps the clinics' keys anew with the first master key, so that an old one can be done without; no file changes."""

from dataclasses import dataclass, field

from app.dump.encryption import KeyEnvelope
from app.dump.whose import whose
from app.errors import EncryptionError, KeyDestroyed, StorageError
from app.respaldos import audit
from app.respaldos.audit import COMMAND_LINE, Actor
from app.respaldos.copies.keys import copy_key
from app.respaldos.databases import transaction
from app.respaldos.keys import fleet as key_fleet
from app.respaldos.keys import queries as key_queries
from app.respaldos.keys.keys import copy
from app.respaldos.keys.object_key import PREFIX, object_key_of
from app.respaldos.models import Accion, Clave
from app.respaldos.progress import Progress
from app.respaldos.resources import Resources

# Keys that are read at once.
_BATCH = 500


@dataclass(frozen=True, slots=True)
class Rotated:
    """How many keys were wrapped anew, how many the bucket has got a copy of, and which could not be, and why."""

    master_id: str
    wrapped: list[str] = field(default_factory=list)
    copied: list[str] = field(default_factory=list)
    failed: dict[str, str] = field(default_factory=dict)


async def rotar_claves(
    resources: Resources, *, actor: Actor = COMMAND_LINE, progress: Progress | None = None
) -> Rotated:
    """Wrap every key that another master key has wrapped, and put it so beside the backups; those, too, that are not
    there, since the bucket is another one or has lost them.

    Each is done by itself: after an error the next call goes on from there, and files can be read all the while by
    whoever has both master keys. Raises MasterKeyMissing, StorageError, DatabaseError, and EncryptionError where it
    may pass.
    """
    masters, progress = resources.keyring.masters, progress or Progress()
    done = Rotated(masters.wrapping)
    there = {item.key async for item in resources.storage.list(PREFIX)}
    after = ""
    while True:
        async with transaction(resources) as session:
            batch = await key_fleet.to_wrap(session, master_id=done.master_id, after=after, limit=_BATCH)
        if not batch:
            break
        for kept in batch:
            after = kept.id
            progress.advance(bytes_=0)
            try:
                await _rotate(resources, kept, done, actor)
            except EncryptionError as exc:
                if exc.transient:
                    raise
                # One that was destroyed meanwhile needs no other wrapping.
                if not isinstance(exc, KeyDestroyed):
                    done.failed[kept.id] = f"{whose(kept.clinica_id)}: {exc}"

    async with transaction(resources) as session:
        every = await key_fleet.every(session)
    for kept in every:
        if (
            (kept.destruida, kept.maestra) == (None, done.master_id)
            and kept.id not in done.copied
            and object_key_of(kept.id, clinica_id=kept.clinica_id) not in there
        ):
            progress.advance(bytes_=0)
            await _rotate(resources, kept, done, actor)
    await _renew_copies(resources, done)
    return done


async def _renew_copies(resources: Resources, done: Rotated) -> None:
    """Have the second copies' buckets have each key, that they have, as it is wrapped now."""
    async with transaction(resources) as session:
        keys = {
            object_key_of(key.id, clinica_id=key.clinica_id): key
            for key in await key_fleet.every(session)
            if key.destruida is None
        }
    for bucket in resources.copies:
        try:
            with bucket.errors():
                there = [item.key async for item in bucket.storage.list(PREFIX)]
            for object_key in there:
                if (key := keys.get(object_key)) is not None:
                    await copy_key(resources, key.id, bucket, clinica_id=key.clinica_id)
        except StorageError as exc:
            done.failed[f"copia {bucket.name}"] = str(exc)


async def _rotate(resources: Resources, kept: Clave, done: Rotated, actor: Actor) -> None:
    assert kept.envoltura is not None  # noqa: S101 (it is not destroyed)
    masters, text = resources.keyring.masters, kept.envoltura
    if kept.maestra != done.master_id:
        key = await masters.unwrap(KeyEnvelope.parse(text))
        envelope = await masters.wrap(key, clinica_id=kept.clinica_id)
        # Before the old one is given up.
        await masters.unwrap(envelope)
        async with transaction(resources) as session:
            if not await key_queries.replace(session, envelope, clinica_id=kept.clinica_id, before=text):
                # Somebody else has just done so, or destroyed it.
                return
            await audit.record(
                session,
                Accion.ROTACION_CLAVES,
                actor,
                clinica_id=kept.clinica_id,
                clave=kept.id,
                antes=kept.maestra,
                ahora=envelope.master_id,
            )
        text = envelope.text()
        done.wrapped.append(kept.id)
    await copy(resources, kept.id, text, clinica_id=kept.clinica_id)
    done.copied.append(kept.id)
