"""Deleting by hand, taking it back, and accepting what looked wrong."""

import asyncio
from datetime import UTC, datetime
from typing import Any

import pytest

from app.errors import (
    AlreadyPurged,
    LastGoodBackup,
    NotDeleted,
    NotSuspicious,
    OperationInProgress,
    RespaldoNotFound,
    RespaldosError,
    StorageUnavailable,
)
from app.respaldos.backup import queries as backup_queries
from app.respaldos.databases import transaction
from app.respaldos.models import Estado
from app.respaldos.resources import Resources
from app.respaldos.retention.delete import aceptar_respaldo, eliminar_respaldo, recuperar_respaldo
from app.respaldos.retention.purge import purgar
from tests.respaldos.conftest import SMALL, back_up
from tests.support.fault import FaultyS3
from tests.support.stored import PERSON, keys, live_ids, row, stored, trail, unused_clinic


async def test_a_deleted_backup_is_hidden_at_once_and_comes_back(resources: Resources) -> None:
    clinic = unused_clinic()
    await stored(resources, clinic)
    doomed = await stored(resources, clinic, content=b"contenido")
    await eliminar_respaldo(resources, doomed, clinica_id=clinic, actor=PERSON)
    assert doomed not in await live_ids(resources, clinic)
    assert len(await keys(resources)) == 1, "the object is still there"
    with pytest.raises(RespaldoNotFound, match=f"no existe el respaldo {doomed}"):
        await eliminar_respaldo(resources, doomed, clinica_id=clinic, actor=PERSON)
    back = await recuperar_respaldo(resources, doomed, clinica_id=clinic, actor=PERSON)
    assert (back.id, back.fecha_eliminacion) == (doomed, None)
    assert doomed in await live_ids(resources, clinic)
    events = [
        (event.accion, event.respaldo_id, event.usuario, event.direccion) for event in await trail(resources, clinic)
    ]
    assert events == [(what, doomed, "7", "203.0.113.9") for what in ("eliminacion", "recuperacion")]
    with pytest.raises(NotDeleted):
        await recuperar_respaldo(resources, doomed, clinica_id=clinic, actor=PERSON)


async def test_another_clinics_backup_does_not_exist(resources: Resources) -> None:
    mine, other = unused_clinic(), unused_clinic()
    await stored(resources, other)
    theirs = await stored(resources, other, sospechoso=True)
    for operation in (eliminar_respaldo, recuperar_respaldo, aceptar_respaldo):
        for respaldo_id in (theirs, 2**40):
            with pytest.raises(RespaldoNotFound, match=f"^no existe el respaldo {respaldo_id}$"):
                await operation(resources, respaldo_id, clinica_id=mine, actor=PERSON)
    assert theirs in await live_ids(resources, other)
    assert await trail(resources, mine) == []


@pytest.mark.parametrize("estado", [Estado.PENDIENTE, Estado.PROCESANDO])
async def test_one_that_runs_is_not_deleted(resources: Resources, estado: Estado) -> None:
    clinic = unused_clinic()
    running = await stored(resources, clinic, estado=estado)
    with pytest.raises(OperationInProgress) as refused:
        await eliminar_respaldo(resources, running, clinica_id=clinic, actor=PERSON)
    assert refused.value.respaldo_id == running
    assert await live_ids(resources, clinic) == [running]


async def test_the_only_good_one_is_not_deleted(resources: Resources) -> None:
    clinic = unused_clinic()
    good = await stored(resources, clinic)
    others = [
        await stored(resources, clinic, sospechoso=True),
        await stored(resources, clinic, verificado_error="falta"),
        await stored(resources, clinic, estado=Estado.FALLIDO),
        await stored(resources, clinic, estado=Estado.CANCELADO),
    ]
    with pytest.raises(LastGoodBackup, match=str(good)):
        await eliminar_respaldo(resources, good, clinica_id=clinic, actor=PERSON)
    for other in others:
        await eliminar_respaldo(resources, other, clinica_id=clinic, actor=PERSON)
    newer = await stored(resources, clinic)
    await eliminar_respaldo(resources, newer, clinica_id=clinic, actor=PERSON)
    assert await live_ids(resources, clinic) == [good]


@pytest.mark.parametrize("count", [2, 5])
async def test_of_the_last_good_ones_one_is_left_however_many_are_deleted_at_once(
    resources: Resources, count: int
) -> None:
    clinic = unused_clinic()
    ids = [await stored(resources, clinic) for _ in range(count)]
    answers = await asyncio.gather(
        *(eliminar_respaldo(resources, id_, clinica_id=clinic, actor=PERSON) for id_ in ids), return_exceptions=True
    )
    assert [type(answer) for answer in answers if answer is not None] == [LastGoodBackup]
    assert len(await live_ids(resources, clinic)) == 1


async def test_the_same_one_twice_at_once_is_one_deletion(resources: Resources) -> None:
    clinic = unused_clinic()
    await stored(resources, clinic)
    failed = await stored(resources, clinic, estado=Estado.FALLIDO)
    answers = await asyncio.gather(
        *(eliminar_respaldo(resources, failed, clinica_id=clinic, actor=PERSON) for _ in range(3)),
        return_exceptions=True,
    )
    assert sorted(type(answer).__name__ for answer in answers) == ["NoneType", "RespaldoNotFound", "RespaldoNotFound"]
    assert len(await trail(resources, clinic)) == 1


async def test_one_whose_file_is_gone_does_not_come_back(resources: Resources) -> None:
    clinic = unused_clinic()
    await stored(resources, clinic)
    now = datetime.now(UTC)
    purged = await stored(resources, clinic, content=b"x", fecha_eliminacion=now)
    await purgar(resources, days=0)
    lost = await stored(resources, clinic, fecha_eliminacion=now)
    for respaldo_id in (purged, lost):
        with pytest.raises(AlreadyPurged, match=str(respaldo_id)):
            await recuperar_respaldo(resources, respaldo_id, clinica_id=clinic, actor=PERSON)
        assert (await row(resources, respaldo_id)).fecha_eliminacion is not None


async def test_a_failed_one_comes_back_without_any_file(resources: Resources) -> None:
    clinic = unused_clinic()
    failed = await stored(resources, clinic, estado=Estado.FALLIDO, fecha_eliminacion=datetime.now(UTC))
    assert (await recuperar_respaldo(resources, failed, clinica_id=clinic, actor=PERSON)).estado == "fallido"


async def test_where_s3_does_not_answer_nothing_is_taken_back(moto_resources: Resources, faults: FaultyS3) -> None:
    clinic = unused_clinic()
    doomed = await stored(moto_resources, clinic, content=b"x", fecha_eliminacion=datetime.now(UTC))
    faults.fail("head", "503", times=9)
    with pytest.raises(StorageUnavailable):
        await recuperar_respaldo(moto_resources, doomed, clinica_id=clinic, actor=PERSON)
    assert await live_ids(moto_resources, clinic) == []
    faults.restore()
    assert (await recuperar_respaldo(moto_resources, doomed, clinica_id=clinic, actor=PERSON)).id == doomed


async def test_a_suspicious_backup_counts_once_it_is_accepted(resources: Resources) -> None:
    clinic = unused_clinic()
    doubtful = await stored(resources, clinic, sospechoso=True)
    accepted = await aceptar_respaldo(resources, doubtful, clinica_id=clinic, actor=PERSON)
    assert (accepted.good, accepted.aceptado is not None) == (True, True)
    async with transaction(resources) as session:
        last = await backup_queries.last_good(session, clinica_id=clinic)
    assert last is not None
    assert last.id == doubtful
    assert [event.accion for event in await trail(resources, clinic)] == ["aceptacion"]
    with pytest.raises(NotSuspicious, match="ya se aceptó"):
        await aceptar_respaldo(resources, doubtful, clinica_id=clinic, actor=PERSON)


@pytest.mark.parametrize(
    ("values", "kind"),
    [
        ({}, NotSuspicious),
        ({"estado": Estado.FALLIDO}, NotSuspicious),
        ({"sospechoso": True, "fecha_eliminacion": datetime(2026, 1, 1, tzinfo=UTC)}, RespaldoNotFound),
    ],
)
async def test_there_is_nothing_to_accept(
    resources: Resources, values: dict[str, Any], kind: type[RespaldosError]
) -> None:
    clinic = unused_clinic()
    respaldo_id = await stored(resources, clinic, **values)
    with pytest.raises(kind):
        await aceptar_respaldo(resources, respaldo_id, clinica_id=clinic, actor=PERSON)
    assert await trail(resources, clinic) == []


async def test_a_real_backup_goes_with_its_object(resources: Resources) -> None:
    first, second = await back_up(resources, SMALL), await back_up(resources, SMALL)
    await eliminar_respaldo(resources, second.id, clinica_id=SMALL, actor=PERSON)
    assert await purgar(resources, days=0) == 1
    assert await keys(resources) == {first.archivo_s3}
