"""A held backup, and what a clinic's account alone cannot delete."""

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from sqlalchemy import select, update

from app.errors import BackupHeld, HoldOver, NotHeld, ProtectedBackup, RespaldoNotFound
from app.respaldos.databases import transaction
from app.respaldos.models import Aviso, Respaldo, TipoAviso
from app.respaldos.resources import Resources
from app.respaldos.retention import fleet as retention_fleet
from app.respaldos.retention.clean import limpiar_respaldos_antiguos
from app.respaldos.retention.delete import eliminar_respaldo, recuperar_respaldo
from app.respaldos.retention.hold import liberar_respaldo, retener_respaldo
from app.respaldos.retention.policy import Policy
from app.respaldos.retention.purge import purgar
from tests.support.stored import PERSON, keys, live_ids, row, stored, trail, unused_clinic

MONTH = Policy(days=30)
REASON = "Lo pide la auditoría"


async def told(resources: Resources, clinica_id: int) -> list[Aviso]:
    async with transaction(resources) as session:
        wanted = select(Aviso).where(Aviso.clinica_id == clinica_id, Aviso.tipo == TipoAviso.ELIMINACION)
        return list(await session.scalars(wanted.order_by(Aviso.id)))


async def test_neither_a_person_nor_its_age_deletes_what_is_held(resources: Resources) -> None:
    clinic = unused_clinic()
    held = await stored(resources, clinic, days=90, content=b"contenido")
    failed = await stored(resources, clinic, days=90, estado="fallido")
    await stored(resources, clinic)
    for doomed in (held, failed):
        shown = await retener_respaldo(resources, doomed, clinica_id=clinic, motivo=REASON, hasta=None, actor=PERSON)
        assert shown.hold is not None
        assert (shown.retenido_motivo, shown.retenido_por) == (REASON, "Ana Pérez")
    for platform in (False, True):
        with pytest.raises(BackupHeld, match=REASON):
            await eliminar_respaldo(resources, held, clinica_id=clinic, actor=PERSON, platform=platform)
    (decided,) = await limpiar_respaldos_antiguos(resources, MONTH, clinica_id=clinic)
    assert {d.respaldo_id: d.reason for d in decided.decisions}[held] == f"está retenido: {REASON}"
    assert {held, failed} <= set(await live_ids(resources, clinic))
    await purgar(resources, days=0, clinica_id=clinic)
    assert len(await keys(resources)) == 1

    released = await liberar_respaldo(resources, held, clinica_id=clinic, actor=PERSON)
    assert (released.hold, released.retenido_motivo) == (None, None)
    with pytest.raises(NotHeld):
        await liberar_respaldo(resources, held, clinica_id=clinic, actor=PERSON)
    await limpiar_respaldos_antiguos(resources, MONTH, clinica_id=clinic)
    assert held not in await live_ids(resources, clinic)
    assert failed in await live_ids(resources, clinic)
    lines = [(line.accion, line.detalle.get("motivo")) for line in await trail(resources, clinic)]
    assert lines[:3] == [("retencion", REASON), ("retencion", REASON), ("liberacion", REASON)]


async def test_a_hold_ends_by_itself(resources: Resources) -> None:
    clinic = unused_clinic()
    held = await stored(resources, clinic, days=90, content=b"contenido")
    await stored(resources, clinic)
    now = datetime.now(UTC)
    with pytest.raises(HoldOver, match="ya pasó"):
        await retener_respaldo(resources, held, clinica_id=clinic, motivo=REASON, hasta=now, actor=PERSON)
    end = now + timedelta(days=5)
    await retener_respaldo(resources, held, clinica_id=clinic, motivo=REASON, hasta=end, actor=PERSON)
    for when, cleaned in ((now, False), (end - timedelta(seconds=1), False), (end, True)):
        async with transaction(resources) as session:
            looked_at = await retention_fleet.clinics_to_clean(
                session, MONTH, now=when, time_zone=ZoneInfo("America/La_Paz")
            )
        assert (clinic in looked_at) is cleaned
        await limpiar_respaldos_antiguos(resources, MONTH, clinica_id=clinic, now=when)
        assert (held not in await live_ids(resources, clinic)) is cleaned
    # What was held once is no longer, and can be taken back like any other.
    async with transaction(resources) as session:
        await session.execute(update(Respaldo).where(Respaldo.id == held).values(retenido_hasta=now))
    assert (await recuperar_respaldo(resources, held, clinica_id=clinic, actor=PERSON)).hold is None
    with pytest.raises(NotHeld):
        await liberar_respaldo(resources, held, clinica_id=clinic, actor=PERSON)


async def test_what_is_deleted_or_anothers_cannot_be_held(resources: Resources) -> None:
    mine, other = unused_clinic(), unused_clinic()
    deleted = await stored(resources, mine, fecha_eliminacion=datetime.now(UTC))
    theirs = await stored(resources, other)
    for respaldo_id in (deleted, theirs):
        with pytest.raises(RespaldoNotFound, match=f"^no existe el respaldo {respaldo_id}$"):
            await retener_respaldo(resources, respaldo_id, clinica_id=mine, motivo=REASON, hasta=None, actor=PERSON)
        with pytest.raises(RespaldoNotFound):
            await liberar_respaldo(resources, respaldo_id, clinica_id=mine, actor=PERSON)
    assert (await row(resources, theirs)).retenido is None


async def test_a_stolen_account_leaves_the_last_good_one_of_before_the_week(resources: Resources) -> None:
    clinic = unused_clinic()
    ids = [await stored(resources, clinic, days=days) for days in (40, 20, 9, 8, 2, 1, 0)]
    # Neither is good, so neither stands for the one that is.
    await stored(resources, clinic, days=7.5, sospechoso=True)
    last_of_before = ids[3]
    refused = []
    for respaldo_id in ids[:-1]:
        try:
            await eliminar_respaldo(resources, respaldo_id, clinica_id=clinic, actor=PERSON)
        except ProtectedBackup:
            refused.append(respaldo_id)
    assert refused == [last_of_before]
    assert last_of_before in await live_ids(resources, clinic)
    await eliminar_respaldo(resources, last_of_before, clinica_id=clinic, actor=PERSON, platform=True)
    assert last_of_before not in await live_ids(resources, clinic)


async def test_every_deletion_tells_and_those_of_a_thief_tell_everybody(resources: Resources) -> None:
    clinic = unused_clinic()
    await stored(resources, clinic)
    await stored(resources, clinic, days=8)
    old = [await stored(resources, clinic, days=days, estado="fallido") for days in (20, 21, 22, 23)]
    recent = await stored(resources, clinic, days=1)
    await eliminar_respaldo(resources, old[0], clinica_id=clinic, actor=PERSON)
    await eliminar_respaldo(resources, recent, clinica_id=clinic, actor=PERSON)
    for respaldo_id in old[1:]:
        await eliminar_respaldo(resources, respaldo_id, clinica_id=clinic, actor=PERSON)
    notices = await told(resources, clinic)
    assert [(n.respaldo_id, n.datos["todos"]) for n in notices] == [
        (old[0], False),
        (recent, True),
        (old[1], False),
        (old[2], True),
        (old[3], True),
    ]
    assert (notices[0].datos["quien"], notices[0].datos["desde"]) == ("Ana Pérez", "203.0.113.9")
    # Retention tells nobody, and is not counted.
    await stored(resources, clinic, days=60, estado="fallido")
    await limpiar_respaldos_antiguos(resources, MONTH, clinica_id=clinic)
    assert len(await told(resources, clinic)) == len(notices)
