"""Whether a backup's object is the one that was made: at a glance, or by reading all of it."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from typing import TypeAlias

from app.dump.reader import Event
from app.dump.verifier import FileVerifier, VerifiedFile
from app.dump.whose import whose
from app.errors import AlreadyPurged, FormatError, NotCompleted, ObjectMismatch, ObjectNotFound, StorageUnavailable
from app.respaldos.copies.sources import Source
from app.respaldos.keys.keys import decryption_of, refuse_destroyed
from app.respaldos.models import Estado, Respaldo
from app.respaldos.progress import Etapa, Progress
from app.respaldos.resources import Resources
from app.storage.s3 import StoredObject

Take: TypeAlias = Callable[[Sequence[Event]], Awaitable[None]]


async def check_quickly(respaldo: Respaldo, progress: Progress, source: Source) -> None:
    """See that the object is there, has its size and, where S3 tells its MD5, that.

    Raises NotCompleted, AlreadyPurged, KeyDestroyed, ObjectNotFound, ObjectMismatch, and other StorageErrors that
    say nothing of the object.
    """
    stored = _stored(respaldo)
    progress.enter(Etapa.VERIFICANDO)
    await source.storage.glance(stored, on_bytes=lambda size: progress.advance(bytes_=size))


async def check_thoroughly(
    resources: Resources,
    respaldo: Respaldo,
    progress: Progress,
    source: Source,
    *,
    take: Take | None = None,
    parse_data: bool = True,
    on_plain: Callable[[bytes], object] | None = None,
) -> VerifiedFile:
    """Read the object from that source and check hash, gzip to its end, structure, counts and digests.

    `take` is given what the file holds as it is read, while the next part is being checked: whether all of it is
    true is known only when this returns. `parse_data` and `on_plain` are as for FileVerifier. Where other bytes
    arrive than were stored, the object is read once more before it is called damaged: a bit may have changed on its
    way.

    Raises NotCompleted, AlreadyPurged, ObjectNotFound, StorageError, EncryptionError, what `take` raises, or
    FormatError that says what is wrong.
    """
    key = _key(respaldo)
    progress.enter(Etapa.VERIFICANDO)
    events: list[Event] = []
    verifier = FileVerifier(
        resources.seals,
        # A backup from before there were seals has its MD5 alone.
        sealed=respaldo.metadata_.get("sello") is not None,
        max_size=respaldo.metadata_.get("tamaño_original_bytes"),
        on_event=events.append if take is not None else None,
        parse_data=parse_data,
        decryption=await decryption_of(resources, respaldo),
        on_plain=on_plain,
    )
    async with source.storage.download(key) as chunks, taking(take) as hand_on:
        async for chunk in chunks:
            await asyncio.to_thread(verifier.feed, chunk)
            await hand_on(events)
            events.clear()
            progress.advance(bytes_=len(chunk))
        try:
            verified = await asyncio.to_thread(verifier.finish, respaldo.hash_md5)
        except FormatError as exc:
            if verifier.md5 != respaldo.hash_md5 and await _is_sound(respaldo, progress, source):
                raise StorageUnavailable(
                    f"lo que llegó de S3 no es lo que hay allí ({exc}); vuelva a intentarlo"
                ) from exc
            raise
        # Of an encrypted file the end comes only now.
        await hand_on(events)
    stated = respaldo.metadata_.get("hash_sha256")
    if stated is not None and stated != verified.sha256:
        raise FormatError(f"el archivo cambió: su hash SHA-256 es {verified.sha256} y debería ser {stated}")
    header = verified.header
    if (header.origin.id, header.clinica_id) != (respaldo.made_as, respaldo.clinica_id):
        raise FormatError(
            f"el archivo dice ser el respaldo {header.origin.id} de {whose(header.clinica_id)},"
            f" y debería ser el {respaldo.made_as} de {whose(respaldo.clinica_id)}"
        )
    counts = {name: total.records for name, total in verified.totals.items()}
    if counts != respaldo.metadata_["detalles_registros"] or verified.records != respaldo.numero_registros:
        raise FormatError("el archivo no tiene los registros que se anotaron al crearlo")
    return verified


async def check_by_trial(
    resources: Resources, respaldo: Respaldo, progress: Progress, source: Source
) -> tuple[VerifiedFile, list[str]]:
    """The same, and restore the file into tables of its own, made from the clinic's, which are dropped afterwards.

    Returns also what a person should know. Raises as `check_thoroughly`; RestoreDiffers where what is restored is not
    what the file says; RestoreRefused where the clinic's tables of today do not take it; DatabaseError.
    """

    def step(model: str) -> None:
        progress.model = model
        progress.advance(bytes_=0)

    async with resources.restore.trying(respaldo.clinica_id, progress.touch) as trial:
        verified = await check_thoroughly(resources, respaldo, progress, source, take=trial.staging.take)
        progress.enter(Etapa.ENSAYANDO)
        said = await trial.load(verified.totals, step, lambda model, _size: step(model))
    return verified, said


async def _is_sound(respaldo: Respaldo, progress: Progress, source: Source) -> bool:
    """Whether S3 has what was stored, by reading all of it."""
    try:
        await source.storage.read_back(_stored(respaldo), on_bytes=lambda size: progress.advance(bytes_=size))
    except (ObjectMismatch, ObjectNotFound):
        return False
    return True


@asynccontextmanager
async def taking(take: Take | None) -> AsyncIterator[Take]:
    """What hands events to `take` and returns once it has those before; at the end of the block it has all."""
    under_way: asyncio.Task[None] | None = None

    async def hand_on(events: Sequence[Event]) -> None:
        nonlocal under_way
        if take is None or not events:
            return
        if under_way is not None:
            await under_way
        under_way = asyncio.create_task(_take(take, tuple(events)))

    try:
        yield hand_on
        if under_way is not None:
            await under_way
    finally:
        if under_way is not None and not under_way.done():
            under_way.cancel()
            await asyncio.wait([under_way])


async def _take(take: Take, events: Sequence[Event]) -> None:
    await take(events)


def _stored(respaldo: Respaldo) -> StoredObject:
    return StoredObject(_key(respaldo), respaldo.tamaño_bytes or 0, respaldo.hash_md5 or "")


def _key(respaldo: Respaldo) -> str:
    if respaldo.estado != Estado.COMPLETADO or respaldo.archivo_s3 is None:
        raise NotCompleted(
            f"el respaldo {respaldo.id} está {respaldo.estado}; solo se verifica uno completado", respaldo.estado
        )
    if respaldo.being_purged:
        raise AlreadyPurged(f"el archivo del respaldo {respaldo.id} ya se borró de S3, porque se lo eliminó")
    refuse_destroyed(respaldo)
    return respaldo.archivo_s3
