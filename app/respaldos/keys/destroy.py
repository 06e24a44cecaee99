"""Destroys a clinic's keys for good, so that nobody ever reads its backups again: two people want it."""

import asyncio
from dataclasses import dataclass
from datetime import timedelta

from app.dump.whose import named, whose
from app.errors import ClinicNotFound, DestructionRefused, StorageError
from app.folded import same_name
from app.respaldos import audit
from app.respaldos.audit import Actor
from app.respaldos.databases import Databases, transaction
from app.respaldos.keys import queries as key_queries
from app.respaldos.keys.cleanup import ERASE_SECONDS, erase, erase_from_copy
from app.respaldos.keys.object_key import key_in, prefix_of
from app.respaldos.models import Accion
from app.respaldos.resources import Resources

# What the first person has asked for is not to surprise anybody weeks later.
WITHIN = timedelta(hours=24)


@dataclass(frozen=True, slots=True)
class Destroyed:
    """The ids of the keys that are gone, and what may still be in the bucket: `left` says why, in Spanish."""

    keys: tuple[str, ...]
    left: tuple[str, ...]


async def typed_name(databases: Databases, *, clinica_id: int | None) -> str:
    """What a person types to show that they mean this clinic: its name, or its number where it has none any more."""
    if clinica_id is None:
        return named(None)
    try:
        return (await databases.clinic.clinic(clinica_id)).name or named(clinica_id)
    except ClinicNotFound:
        # That a clinic has left is the commonest reason.
        return named(clinica_id)


async def pedir_destruccion(
    databases: Databases, *, clinica_id: int | None, nombre: str, por: str, actor: Actor
) -> None:
    """Note that this person (`por`) wants the clinic's keys destroyed, which another one has WITHIN to confirm.

    Raises DestructionRefused where `nombre` is not the clinic's, or it has no key.
    """
    await _check_name(databases, clinica_id, nombre)
    async with transaction(databases) as session:
        if not await key_queries.request_destruction(session, clinica_id=clinica_id, by=por):
            raise DestructionRefused(f"{whose(clinica_id)} no tiene ninguna clave que destruir")
        await audit.record(
            session, Accion.DESTRUCCION_CLAVE, actor, clinica_id=clinica_id, etapa="pedida", persona=por
        )


async def retirar_destruccion(databases: Databases, *, clinica_id: int | None, por: str, actor: Actor) -> None:
    """Take the request back, whoever made it. Raises DestructionRefused where there is none."""
    async with transaction(databases) as session:
        if await key_queries.asked_for_destruction(session, clinica_id=clinica_id, within=WITHIN) is None:
            raise DestructionRefused(_nobody_asked(clinica_id))
        await key_queries.request_destruction(session, clinica_id=clinica_id, by=None)
        await audit.record(
            session, Accion.DESTRUCCION_CLAVE, actor, clinica_id=clinica_id, etapa="retirada", persona=por
        )


async def confirmar_destruccion(
    resources: Resources, *, clinica_id: int | None, nombre: str, por: str, actor: Actor
) -> Destroyed:
    """Destroy all of the clinic's keys, in the database and then in the bucket; the worker goes on with what stays.

    Raises DestructionRefused where `nombre` is not the clinic's, nobody has asked for it WITHIN, or the same person.
    """
    await _check_name(resources, clinica_id, nombre)
    async with transaction(resources) as session:
        asked = await key_queries.asked_for_destruction(session, clinica_id=clinica_id, within=WITHIN)
        if asked is None:
            raise DestructionRefused(_nobody_asked(clinica_id))
        if asked == por:
            raise DestructionRefused(f"lo pidió la misma persona ({por}): tiene que confirmarlo otra")
        ids = await key_queries.destroy(session, clinica_id=clinica_id, by=por)
        await audit.record(
            session,
            Accion.DESTRUCCION_CLAVE,
            actor,
            clinica_id=clinica_id,
            etapa="hecha",
            persona=por,
            pedida_por=asked,
            claves=ids,
        )
    return Destroyed(tuple(ids), tuple(await _erase_all(resources, clinica_id)))


async def _erase_all(resources: Resources, clinica_id: int | None) -> list[str]:
    """Erase from the bucket every key of the clinic's that is not in use; return why some may still be there."""
    left = []
    async with transaction(resources) as session:
        keys = await key_queries.of_clinic(session, clinica_id=clinica_id)
    for key in keys:
        if key.destruida is not None and key.copiada is not None and (why := await erase(resources, key)) is not None:
            left.append(why)
    try:
        async with asyncio.timeout(ERASE_SECONDS):
            # Of a database that was lost, there may be keys that this one has never known; of those that it makes
            # meanwhile it knows before they are there.
            there = [item.key async for item in resources.storage.list(prefix_of(clinica_id))]
            async with transaction(resources) as session:
                known = {key.id for key in await key_queries.of_clinic(session, clinica_id=clinica_id)}
            for object_key in there:
                if _id_in(object_key) not in known:
                    await resources.storage.erase(object_key)
            for bucket in resources.copies:
                with bucket.errors():
                    there = [item.key async for item in bucket.storage.list(prefix_of(clinica_id))]
                for object_key in there:
                    if _id_in(object_key) not in known and (why := await erase_from_copy(bucket, object_key)):
                        left.append(why)
    except (StorageError, TimeoutError) as exc:
        left.append(str(exc) or "S3 no responde")
    return left


def _id_in(object_key: str) -> str | None:
    try:
        return key_in(object_key)[1]
    except ValueError:
        return None


async def _check_name(databases: Databases, clinica_id: int | None, nombre: str) -> None:
    if not same_name(nombre, await typed_name(databases, clinica_id=clinica_id)):
        raise DestructionRefused(f"«{nombre}» no es el nombre de {whose(clinica_id)}")


def _nobody_asked(clinica_id: int | None) -> str:
    hours = int(WITHIN.total_seconds() // 3600)
    return f"nadie ha pedido destruir la clave de {whose(clinica_id)} en las últimas {hours} horas"
