"""Objects that several backups have: whatever is done with these, an object is there for as long as one needs it."""

import random
from dataclasses import dataclass

import pytest

from app.errors import AlreadyPurged, LastGoodBackup
from app.respaldos.backup import queries as backup_queries
from app.respaldos.databases import transaction
from app.respaldos.models import Profundidad, Respaldo, TipoRespaldo
from app.respaldos.resources import Resources
from app.respaldos.retention.delete import eliminar_respaldo, recuperar_respaldo
from app.respaldos.retention.purge import purgar
from tests.support.stored import PERSON, keys, live_ids, row, stored, unused_clinic


@dataclass
class Held:
    """What a plain model knows of a backup; `object` is its key."""

    object: str
    deleted: bool = False
    purged: bool = False
    damaged: bool = False

    @property
    def good(self) -> bool:
        return not self.deleted and not self.damaged


async def point_at(resources: Resources, base: Respaldo) -> int:
    """A point with the object of that backup, or with the one that that one has."""
    return await stored(
        resources,
        base.clinica_id,
        tipo_respaldo=TipoRespaldo.PUNTO,
        archivo_s3=base.archivo_s3,
        respaldo_base_id=base.respaldo_base_id or base.id,
        sin_cambios_desde=base.sin_cambios_desde or base.fecha_respaldo,
    )


@pytest.mark.parametrize("seed", range(3))
async def test_it_goes_with_the_last_that_has_it(resources: Resources, seed: int) -> None:
    chance, clinic = random.Random(seed), unused_clinic()
    model: dict[int, Held] = {}
    purged = 0

    async def full() -> None:
        id_ = await stored(resources, clinic, content=b"x", huella="0" * 64)
        model[id_] = Held((await row(resources, id_)).archivo_s3 or "")

    async def point() -> None:
        async with transaction(resources) as session:
            like = await backup_queries.last_good(session, clinica_id=clinic)
        if like is not None:
            model[await point_at(resources, like)] = Held(like.archivo_s3 or "")

    async def delete() -> None:
        if living := [id_ for id_, held in model.items() if not held.deleted]:
            id_ = chance.choice(living)
            last = model[id_].good and sum(held.good for held in model.values()) == 1
            try:
                await eliminar_respaldo(resources, id_, clinica_id=clinic, actor=PERSON)
                assert not last
                model[id_].deleted = True
            except LastGoodBackup:
                assert last

    async def recover() -> None:
        if gone := [id_ for id_, held in model.items() if held.deleted]:
            id_ = chance.choice(gone)
            try:
                await recuperar_respaldo(resources, id_, clinica_id=clinic, actor=PERSON)
                assert not model[id_].purged
                model[id_].deleted = False
            except AlreadyPurged:
                assert model[id_].purged

    async def damage() -> None:
        if living := [id_ for id_, held in model.items() if not held.deleted]:
            id_, error = chance.choice(living), chance.choice(["dañado", None])
            async with transaction(resources) as session:
                await backup_queries.mark_verified(
                    session, id_, clinica_id=clinic, profundidad=Profundidad.COMPLETA, error=error
                )
            for held in model.values():
                if held.object == model[id_].object:
                    held.damaged = error is not None

    async def purge() -> None:
        nonlocal purged
        # Whose object it is goes after those that have it.
        while found := await purgar(resources, days=0):
            purged += found
        for id_, held in model.items():
            owner = (await row(resources, id_)).respaldo_base_id is None
            sharing = [other for other in model.values() if other.object == held.object and other is not held]
            if held.deleted and (not owner or all(other.deleted for other in sharing)):
                held.purged = True

    await full()
    for _ in range(60):
        await chance.choice([full, point, point, point, delete, delete, delete, recover, damage, purge])()
        needed = {held.object for held in model.values() if not held.purged}
        assert await keys(resources) == needed
        assert await live_ids(resources, clinic) == [id_ for id_, held in sorted(model.items()) if not held.deleted]
        for id_, held in model.items():
            found = await row(resources, id_)
            assert (found.purgado is not None, found.verificado_error is not None) == (held.purged, held.damaged)
    assert purged
    assert any(held.purged for held in model.values())
