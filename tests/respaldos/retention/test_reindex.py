"""The table of backups comes back out of the bucket, and what is not ours to judge is reported and left alone."""

import asyncio
import hashlib
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import asyncpg
import pytest

from app.errors import ClinicNotFound, FormatError, StorageUnavailable
from app.respaldos.audit import COMMAND_LINE, Actor
from app.respaldos.models import Respaldo, TipoRespaldo
from app.respaldos.progress import Progress
from app.respaldos.reading.download import descargar_respaldo
from app.respaldos.reading.verification import verificar_respaldo
from app.respaldos.reconcile import reconciliar
from app.respaldos.resources import Resources
from app.respaldos.retention import reindex
from app.respaldos.retention.clean import limpiar_respaldos_antiguos
from app.respaldos.retention.delete import eliminar_respaldo
from app.respaldos.retention.policy import Policy
from app.respaldos.retention.reindex import Reindexed, reindexar
from tests.respaldos.conftest import LARGE, NEW, SMALL, back_up
from tests.support.backup_file import HEAD, keys_of
from tests.support.fault import FaultyS3
from tests.support.lost_rows import SEALS, file, key, lose_everything
from tests.support.stored import PERSON, keys, put, row, trail, waiting_for_a_lock

# What the file cannot tell, or what is about the row itself.
LOST = {"tiempo_ejecucion", "usuario_nombre", "fecha_creacion", "fecha_actualizacion", "metadata_"}
LOST_METADATA = {"segundos", "avisos"}


def columns(respaldo: Respaldo) -> dict[str, Any]:
    """All that the row says."""
    return {column.key: getattr(respaldo, column.key) for column in Respaldo.__mapper__.column_attrs}


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
    # Of a clinic that the table of clinics has lost, too.
    assert [respaldo.id for respaldo in (await reindexar(resources, clinica_id=22)).rebuilt] == [3]
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
    found = await reindexar(moto_resources)
    assert [respaldo.id for respaldo in found.rebuilt] == [1, 3]
    assert [item.archivo_s3 for item in found.damaged] == [key(2)]
    for number in (4, 5, 6):
        await put(moto_resources, key(number), file(number))
    faults.fail("get", "500", nth=2, times=9)
    with pytest.raises(StorageUnavailable):
        await reindexar(moto_resources)
    assert await conn.fetchval("SELECT array_agg(id ORDER BY id) FROM respaldos.respaldo") == [1, 2, 3]
    faults.restore()
    found = await reindexar(moto_resources)
    assert ([respaldo.id for respaldo in found.rebuilt], found.known) == ([4, 5, 6], 3)


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


async def test_empty_backups_are_suspicious_again_and_do_not_age_out_the_full_one(
    resources: Resources, monkeypatch: pytest.MonkeyPatch
) -> None:
    # All of these objects are of today.
    monkeypatch.setattr(reindex, "DATES_APART", timedelta(days=100))
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


async def test_of_sealed_files_those_that_somebody_forged_are_left_out(
    resources: Resources, conn: asyncpg.Connection
) -> None:
    """What whoever writes to the bucket can do, and no more: no row is made of it, and it says why."""
    ours = replace(resources, seals=SEALS)
    true = await back_up(ours, SMALL)
    assert true.metadata_["sello"] == "2026"
    bucket = resources.storage
    async with bucket.download(true.archivo_s3 or "") as chunks:
        content = b"".join([chunk async for chunk in chunks])
    await lose_everything(conn)
    await put(resources, key(1), file(8, taken_at=datetime.now(UTC)))
    await put(resources, key(2), file(9, taken_at=datetime.now(UTC), seals=keys_of("2026", drawn=1)))
    await put(resources, key(3), file(10, taken_at=datetime.now(UTC), seals=keys_of("2020")))
    await put(resources, key(4, LARGE), content)
    found = await reindexar(ours)
    assert [respaldo.id for respaldo in found.rebuilt] == [true.id]
    assert found.rebuilt[0].metadata_["sello"] == "2026"
    assert {item.archivo_s3: item.reason.split(":")[0] for item in found.damaged} == {
        key(1): "el archivo no está sellado, y debería estarlo",
        key(2): "el sello del archivo no es de la clave «2026»",
        key(3): "el archivo está sellado con la clave «2020», que no está en SEAL_KEYS ni en SEAL_PUBLIC_KEYS",
        key(4, LARGE): f"el archivo dice ser de la clínica {SMALL}, y está entre los de la clínica {LARGE}",
    }
    again = await reindexar(ours, unsealed=True)
    assert [(respaldo.id, respaldo.archivo_s3) for respaldo in again.rebuilt] == [(8, key(1))]
    assert "se aceptó sin sello" in again.rebuilt[0].metadata_["avisos"]
    assert again.rebuilt[0].metadata_["sello"] is None


async def test_a_seal_that_is_gone_is_missed_whatever_the_hashes_say(
    resources: Resources, conn: asyncpg.Connection
) -> None:
    """As somebody does it who writes to the bucket and to the table, but has no key."""
    ours = replace(resources, seals=SEALS)
    made = await back_up(ours, SMALL)
    forged = file(made.id, taken_at=made.fecha_respaldo or HEAD.taken_at)
    await put(resources, made.archivo_s3 or "", forged)
    await conn.execute(
        "UPDATE respaldos.respaldo SET hash_md5 = $1, tamaño_bytes = $2, numero_registros = 3, metadata = metadata"
        " || jsonb_build_object('hash_sha256', $3::text, 'tamaño_original_bytes', 100000,"
        " 'detalles_registros', '{\"usuarios\": 3, \"vacía\": 0}'::jsonb)",
        hashlib.md5(forged, usedforsecurity=False).hexdigest(),
        len(forged),
        hashlib.sha256(forged).hexdigest(),
    )
    with pytest.raises(FormatError, match="no está sellado, y debería estarlo"):
        await verificar_respaldo(ours, await row(resources, made.id))


async def test_dates_that_cannot_be(resources: Resources) -> None:
    now = datetime.now(UTC)
    await put(resources, key(1), file(1, taken_at=now.replace(year=2999)))
    await put(resources, key(2), file(2, taken_at=now - timedelta(days=2)))
    await put(resources, key(3), file(3, taken_at=now - timedelta(hours=2)))
    found = await reindexar(resources)
    assert {respaldo.id: respaldo.sospechoso for respaldo in found.rebuilt} == {2: True, 3: False}
    assert "y su objeto está en S3 desde el" in found.rebuilt[0].metadata_["avisos"][0]
    (future,) = found.damaged
    assert future.archivo_s3 == key(1)
    assert "que no ha llegado" in future.reason
