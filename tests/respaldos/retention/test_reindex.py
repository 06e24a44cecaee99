"""The table of backups comes back out of the bucket, and what is not ours to judge is reported and left alone."""

import asyncio
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import asyncpg
import pytest

from app.dump.document import Origin
from app.errors import ClinicNotFound, StorageUnavailable
from app.respaldos.audit import COMMAND_LINE, Actor
from app.respaldos.models import Respaldo, TipoRespaldo
from app.respaldos.progress import Progress
from app.respaldos.reading.download import descargar_respaldo
from app.respaldos.reading.verification import verificar_respaldo
from app.respaldos.reconcile import reconciliar
from app.respaldos.resources import Resources
from app.respaldos.retention.clean import limpiar_respaldos_antiguos
from app.respaldos.retention.delete import eliminar_respaldo
from app.respaldos.retention.policy import Policy
from app.respaldos.retention.reindex import Reindexed, reindexar
from tests.respaldos.conftest import LARGE, NEW, SMALL, back_up
from tests.support.backup_file import HEAD, RECORDS, compress, document
from tests.support.fault import FaultyS3
from tests.support.stored import PERSON, keys, put, row, trail, waiting_for_a_lock

# What the file cannot tell, or what is about the row itself.
LOST = {"tiempo_ejecucion", "usuario_nombre", "fecha_creacion", "fecha_actualizacion", "metadata_"}
LOST_METADATA = {"segundos", "avisos"}


def columns(respaldo: Respaldo) -> dict[str, Any]:
    """All that the row says."""
    return {column.key: getattr(respaldo, column.key) for column in Respaldo.__mapper__.column_attrs}


async def lose_everything(conn: asyncpg.Connection) -> None:
    """As in a database that has just been made anew."""
    await conn.execute("TRUNCATE respaldos.respaldo RESTART IDENTITY CASCADE")


def key(number: int, clinica_id: int = SMALL) -> str:
    """One of a backup of ours."""
    return f"backups/{clinica_id}/2026/11/backup_20261101_{number:06}.json.gz"


def file(
    id_: int, clinica_id: int = SMALL, *, records: int = 3, taken_at: datetime = HEAD.taken_at, **of: Any
) -> bytes:
    """A whole backup file of that id, with so many records; `of` are other values of its origin."""
    origin = replace(Origin(id_, 1, "automatico", None, ""), **of)
    header = replace(HEAD, clinica_id=clinica_id, origin=origin, taken_at=taken_at)
    return compress(document(header, (RECORDS * (records // 3 + 1))[:records]))


async def test_lost_rows_come_back_as_they_were(
    resources: Resources, conn: asyncpg.Connection, tmp_path: Path
) -> None:
    ana = Actor("ana", "Ana Paz", None)
    made = [
        await back_up(resources, SMALL, descripcion="Antes de «todo»", actor=ana),
        await back_up(resources, LARGE, tipo=TipoRespaldo.AUTOMATICO),
        await back_up(resources, SMALL, tipo=TipoRespaldo.POR_DEMANDA),
    ]
    await lose_everything(conn)
    progress = Progress()
    found = await reindexar(resources, progress=progress)
    assert (found.unknown, found.damaged, found.known) == ([], [], 0)
    assert sorted(respaldo.id for respaldo in found.rebuilt) == [1, 2, 3]
    assert progress.bytes == sum(respaldo.tamaño_bytes or 0 for respaldo in made)
    for before in made:
        was, now = columns(before), columns(await row(resources, before.id))
        assert {name for name in was if was[name] != now[name]} <= LOST
        assert now["fecha_creacion"] == before.fecha_respaldo
        known = {name: value for name, value in was["metadata_"].items() if name not in LOST_METADATA}
        assert {name: value for name, value in now["metadata_"].items() if name not in LOST_METADATA} == known
        assert now["metadata_"].keys() == was["metadata_"].keys()
        assert now["metadata_"]["avisos"][-1].startswith("se reconstruyó el ")
        target = tmp_path / f"{before.id}.json.gz"
        await descargar_respaldo(resources, await row(resources, before.id), target)
        await verificar_respaldo(resources, await row(resources, before.id))
    attempts = await conn.fetch("SELECT respaldo_id, numero, archivo_s3 FROM respaldos.intento ORDER BY 1")
    assert [tuple(attempt) for attempt in attempts] == [(before.id, 1, before.archivo_s3) for before in made]


async def test_the_next_backup_takes_neither_an_id_nor_a_key_that_has_come_back(
    resources: Resources, conn: asyncpg.Connection
) -> None:
    old = [await back_up(resources, SMALL) for _ in range(3)]
    await lose_everything(conn)
    await reindexar(resources)
    new = await back_up(resources, SMALL)
    assert new.id == 4
    await reconciliar(resources)
    assert await keys(resources) == {respaldo.archivo_s3 for respaldo in (*old, new)}


async def test_each_rebuilt_row_is_on_record(resources: Resources, conn: asyncpg.Connection) -> None:
    made = await back_up(resources, NEW)
    await lose_everything(conn)
    await reindexar(resources)
    event = (await trail(resources, NEW))[-1]
    assert (event.accion, event.respaldo_id, event.direccion) == ("reindexacion", made.id, COMMAND_LINE.direccion)
    assert event.detalle == {"archivo_s3": made.archivo_s3}


async def test_again_there_is_nothing_to_do(resources: Resources, conn: asyncpg.Connection) -> None:
    await back_up(resources, SMALL)
    assert await reindexar(resources) == Reindexed(known=1)
    await lose_everything(conn)
    assert len((await reindexar(resources)).rebuilt) == 1
    assert await reindexar(resources) == Reindexed(known=1)


async def test_two_at_once_rebuild_each_row_once(resources: Resources, conn: asyncpg.Connection) -> None:
    for number in range(1, 9):
        await put(resources, key(number), file(number))
    found = await asyncio.gather(*(reindexar(resources) for _ in range(3)))
    assert sorted(respaldo.id for each in found for respaldo in each.rebuilt) == list(range(1, 9))
    assert await conn.fetchval("SELECT count(*) FROM respaldos.respaldo") == 8


async def test_one_clinic_alone(resources: Resources) -> None:
    # 2 and 22 begin alike.
    await put(resources, key(1), file(1))
    await put(resources, key(2, LARGE), file(2, LARGE))
    await put(resources, key(3, 22), file(3, 22))
    found = await reindexar(resources, clinica_id=SMALL)
    assert [respaldo.id for respaldo in found.rebuilt] == [1]
    assert found.unknown == []
    with pytest.raises(ClinicNotFound, match="77"):
        await reindexar(resources, clinica_id=77)


# What is reported and left as it is


@pytest.mark.parametrize(
    ("name", "content", "reason"),
    [
        ("backups/notas.txt", b"hola", "su nombre no es el de un respaldo"),
        ("backups/2/2026/11/backup_20261101_020000.json.gz.md5", b"x", "su nombre no es el de un respaldo"),
        ("backups/02/2026/11/backup_20261101_020000.json.gz", file(1), "su nombre no es el de un respaldo"),
        ("backups/9999999999999999999999/2026/11/backup_20261101_020000.json.gz", file(1), "su nombre no es"),
        (key(1, 77), file(1, 77), "no existe la clínica 77"),
    ],
)
async def test_what_is_foreign_is_told(resources: Resources, name: str, content: bytes, reason: str) -> None:
    await put(resources, name, content)
    await put(resources, "otra-cosa/mia.txt", b"de otros")
    found = await reindexar(resources)
    assert [(item.archivo_s3, item.reason.startswith(reason)) for item in found.unknown] == [(name, True)]
    assert (found.rebuilt, found.damaged) == ([], [])
    assert await keys(resources) == {name, "otra-cosa/mia.txt"}


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "cortado"),
        (b"no es gzip", "encabezado"),
        (file(1)[:-20], "cortado"),
        (file(1, LARGE), "dice ser de la clínica 1, y está entre los de la clínica 2"),
        (file(1, attempt=0), "no dice bien de qué respaldo es"),
        (file(1, id=True), "no dice bien de qué respaldo es"),
        (file(1, id="1"), "no dice bien de qué respaldo es"),
        (file(1, description="a\0b"), "no dice bien de qué respaldo es"),
        (file(1, user=7), "no dice bien de qué respaldo es"),
        (file(1, kind="diario"), "diario"),
    ],
)
async def test_what_is_damaged_is_told_and_the_rest_goes_on(
    resources: Resources, content: bytes, reason: str
) -> None:
    await put(resources, key(1), content)
    await put(resources, key(2), file(2))
    found = await reindexar(resources)
    [item] = found.damaged
    assert item.archivo_s3 == key(1)
    assert reason in item.reason
    assert [respaldo.id for respaldo in found.rebuilt] == [2]
    assert await keys(resources) == {key(1), key(2)}


async def test_the_objects_of_attempts_are_left_to_whoever_made_them(
    resources: Resources, conn: asyncpg.Connection
) -> None:
    """One that runs, one that failed and is still to be cleaned up after, and one that was deleted."""
    for number, estado in enumerate(("procesando", "fallido"), 1):
        await conn.execute(
            "INSERT INTO respaldos.respaldo (id, clinica_id, estado, tipo_respaldo)"
            " OVERRIDING SYSTEM VALUE VALUES ($1, $2, $3, 'manual')",
            *(number, SMALL, estado),
        )
        await conn.execute(
            "INSERT INTO respaldos.intento (respaldo_id, numero, archivo_s3) VALUES ($1, 1, $2)", number, key(number)
        )
        await put(resources, key(number), file(number))
    await conn.execute("SELECT setval('respaldos.respaldo_id_seq', 2)")
    kept, deleted = await back_up(resources, LARGE), await back_up(resources, LARGE)
    await eliminar_respaldo(resources, deleted.id, clinica_id=LARGE, actor=PERSON)
    assert await reindexar(resources) == Reindexed(known=4)
    assert (await row(resources, deleted.id)).fecha_eliminacion is not None
    assert [(await row(resources, id_)).estado for id_ in (1, 2, kept.id)] == ["procesando", "fallido", "completado"]


async def test_an_error_of_s3_loses_nothing_that_was_done(
    moto_resources: Resources, faults: FaultyS3, conn: asyncpg.Connection
) -> None:
    for number in (1, 2, 3):
        await put(moto_resources, key(number), file(number))
    faults.fail("get", "500", nth=2)
    with pytest.raises(StorageUnavailable):
        await reindexar(moto_resources)
    assert await conn.fetchval("SELECT array_agg(id) FROM respaldos.respaldo") == [1]
    faults.restore()
    found = await reindexar(moto_resources)
    assert ([respaldo.id for respaldo in found.rebuilt], found.known) == ([2, 3], 1)


# Ids, and what counts as good


async def test_where_the_id_is_taken_a_new_one_is_given_and_verifies(
    resources: Resources, conn: asyncpg.Connection
) -> None:
    taken = await back_up(resources, LARGE)
    await put(resources, key(1), file(taken.id))
    await put(resources, key(2), file(40))
    await put(resources, key(3), file(40))
    found = await reindexar(resources)
    assert [(respaldo.id, respaldo.metadata_.get("id_original")) for respaldo in found.rebuilt] == [
        (2, taken.id),
        (40, None),
        (41, 40),
    ]
    for respaldo in found.rebuilt:
        await verificar_respaldo(resources, respaldo)
    assert (await back_up(resources, LARGE)).id == 42


async def test_an_id_that_no_program_can_hold_is_not_taken(resources: Resources) -> None:
    await put(resources, key(1), file(2**60))
    [respaldo] = (await reindexar(resources)).rebuilt
    assert (respaldo.id, respaldo.metadata_["id_original"]) == (1, 2**60)


async def test_backups_made_meanwhile_do_not_collide(resources: Resources) -> None:
    for number in range(1, 13):
        await put(resources, key(number), file(number))
    backing_up = asyncio.gather(*(back_up(resources, clinic) for clinic in (LARGE, SMALL, NEW)))
    found = await reindexar(resources, clinica_id=SMALL)
    made = await backing_up
    ids = [respaldo.id for respaldo in (*found.rebuilt, *made)]
    assert len(set(ids)) == 15
    assert len(found.rebuilt) == 12


async def test_an_id_that_a_backup_has_just_drawn_is_taken(resources: Resources, conn: asyncpg.Connection) -> None:
    await put(resources, key(1), file(1))
    change = conn.transaction()
    await change.start()
    drawn = await conn.fetchval(
        "INSERT INTO respaldos.respaldo (clinica_id, tipo_respaldo) VALUES ($1, 'manual') RETURNING id", LARGE
    )
    assert drawn == 1
    rebuilding = asyncio.create_task(reindexar(resources))
    await waiting_for_a_lock(conn)
    await change.commit()
    [respaldo] = (await rebuilding).rebuilt
    assert (respaldo.id, respaldo.metadata_["id_original"]) == (2, 1)


async def test_empty_backups_are_suspicious_again_and_do_not_age_out_the_full_one(resources: Resources) -> None:
    first = datetime.now(UTC) - timedelta(days=60)
    for day in range(60):
        records = 300 if day < 20 else 1
        await put(resources, key(day), file(day + 1, records=records, taken_at=first + timedelta(days=day)))
    found = await reindexar(resources)
    assert [respaldo.id for respaldo in found.rebuilt if respaldo.sospechoso] == list(range(21, 61))
    assert "el último respaldo bueno (número 20)" in found.rebuilt[-1].metadata_["avisos"][0]
    await limpiar_respaldos_antiguos(resources, Policy(days=30))
    assert (await row(resources, 20)).fecha_eliminacion is None
    assert (await row(resources, 19)).fecha_eliminacion is not None
