"""A backup that is fetched, or checked where it is, is the one that was made; anything else is an error."""

import asyncio
import hashlib
import subprocess
from pathlib import Path

import asyncpg
import pytest

from app.errors import FormatError, LocalFileError, NotCompleted, ObjectNotFound, RespaldosError, StorageUnavailable
from app.respaldos.databases import transaction
from app.respaldos.models import Respaldo
from app.respaldos.progress import Progress
from app.respaldos.reading.download import descargar_respaldo
from app.respaldos.reading.verification import verificar_respaldo
from app.respaldos.resources import Resources
from tests.respaldos.conftest import LARGE, SMALL, back_up, opened
from tests.storage.conftest import Store
from tests.support.fault import FaultyS3


async def test_the_file_is_the_object_and_md5sum_agrees(
    resources: Resources, tmp_path: Path, conn: asyncpg.Connection
) -> None:
    respaldo = await back_up(resources, LARGE)
    target = tmp_path / "Copia de «enero».json.gz"
    progress = Progress()
    await descargar_respaldo(resources, respaldo, target, progress=progress)
    assert hashlib.md5(target.read_bytes(), usedforsecurity=False).hexdigest() == respaldo.hash_md5
    assert progress.bytes == respaldo.tamaño_bytes == target.stat().st_size
    checked = subprocess.run(["md5sum", "-c", f"{target.name}.md5"], cwd=tmp_path, capture_output=True)
    assert checked.returncode == 0, checked
    assert sorted(path.name for path in tmp_path.iterdir()) == [target.name, f"{target.name}.md5"]
    assert target.stat().st_mode & 0o077 == 0, "it holds patients' data"
    line = await conn.fetchrow("SELECT * FROM respaldos.evento WHERE accion = 'descarga'")
    assert line is not None
    assert (line["clinica_id"], line["respaldo_id"], line["direccion"]) == (LARGE, respaldo.id, "línea de comandos")


@pytest.mark.parametrize("fault", ["cut", "damaged", "missing", "cancelled"])
async def test_a_download_that_fails_leaves_the_old_file(
    moto_resources: Resources,
    moto_store: Store,
    faults: FaultyS3,
    conn: asyncpg.Connection,
    tmp_path: Path,
    fault: str,
) -> None:
    respaldo = await back_up(moto_resources, LARGE)
    key = respaldo.archivo_s3 or ""
    target = tmp_path / "copia.json.gz"
    target.write_text("la de antes")
    (tmp_path / "copia.json.gz.md5").write_text("y su hash")
    expected: type[BaseException] = StorageUnavailable
    progress = Progress()
    if fault == "cut":
        faults.fail("get", "short", times=2)
    elif fault == "damaged":
        await moto_store.storage.client.put_object(Bucket=moto_store.options.bucket, Key=key, Body=b"x" * 1000)
        expected = FormatError
    elif fault == "missing":
        await moto_store.storage.delete(key)
        expected = ObjectNotFound
    else:
        expected = asyncio.CancelledError
        task = asyncio.current_task()
        assert task is not None

        def stop(_: Progress) -> None:
            task.cancel()

        progress = Progress(stop)
    with pytest.raises(expected):
        await descargar_respaldo(moto_resources, respaldo, target, progress=progress)
    assert target.read_text() == "la de antes"
    assert (tmp_path / "copia.json.gz.md5").read_text() == "y su hash"
    assert len(list(tmp_path.iterdir())) == 2
    assert await conn.fetchval("SELECT count(*) FROM respaldos.evento WHERE accion = 'descarga'") == 0


async def test_a_folder_that_is_not_there_is_told(resources: Resources, tmp_path: Path) -> None:
    respaldo = await back_up(resources)
    with pytest.raises(LocalFileError, match="no-hay/copia"):
        await descargar_respaldo(resources, respaldo, tmp_path / "no-hay" / "copia")
    (tmp_path / "carpeta").mkdir()
    with pytest.raises(LocalFileError, match="carpeta"):
        await descargar_respaldo(resources, respaldo, tmp_path / "carpeta")
    assert [path.name for path in tmp_path.iterdir()] == ["carpeta"]


@pytest.mark.parametrize("estado", ["pendiente", "procesando", "fallido", "cancelado"])
async def test_only_a_completed_backup_can_be_fetched_or_checked(
    resources: Resources, conn: asyncpg.Connection, tmp_path: Path, estado: str
) -> None:
    id_ = await conn.fetchval(
        "INSERT INTO respaldos.respaldo (clinica_id, tipo_respaldo, estado) VALUES (2, 'manual', $1) RETURNING id",
        estado,
    )
    async with transaction(resources) as session:
        respaldo = await session.get_one(Respaldo, id_)
    with pytest.raises(NotCompleted, match=estado):
        await descargar_respaldo(resources, respaldo, tmp_path / "copia")
    with pytest.raises(NotCompleted, match=estado):
        await verificar_respaldo(resources, respaldo)
    assert list(tmp_path.iterdir()) == []


async def test_a_whole_object_is_verified(resources: Resources) -> None:
    respaldo = await back_up(resources, LARGE)
    progress = Progress()
    verified = await verificar_respaldo(resources, respaldo, progress=progress)
    assert verified is not None
    assert (verified.md5, verified.records) == (respaldo.hash_md5, respaldo.numero_registros)
    assert progress.bytes == respaldo.tamaño_bytes


@pytest.mark.parametrize("where", [0, 3, 9, 0.2, 0.5, 0.9, -9, -5, -1])
async def test_a_changed_byte_is_found(resources: Resources, store: Store, where: float) -> None:
    respaldo = await back_up(resources, SMALL)
    assert store.folder is not None
    path = store.folder / (respaldo.archivo_s3 or "")
    content = bytearray(path.read_bytes())
    content[int(where * len(content)) if isinstance(where, float) else where] ^= 4
    path.write_bytes(content)
    with pytest.raises(FormatError, match=respaldo.hash_md5):
        await verificar_respaldo(resources, respaldo)


async def test_another_backups_object_is_not_this_one(resources: Resources, store: Store) -> None:
    first, second = await back_up(resources, SMALL), await back_up(resources, LARGE)
    assert store.folder is not None
    content = (store.folder / (second.archivo_s3 or "")).read_bytes()
    await store.storage.client.put_object(Bucket=store.options.bucket, Key=first.archivo_s3 or "", Body=content)
    # Even where somebody has made the hash agree.
    first.hash_md5 = second.hash_md5
    first.metadata_ = second.metadata_
    with pytest.raises(
        FormatError, match=r"dice ser el respaldo 2 de la clínica 1.* debería ser el 1 de la clínica 2"
    ):
        await verificar_respaldo(resources, first)


async def test_a_missing_object_is_named(resources: Resources, store: Store) -> None:
    respaldo = await back_up(resources)
    await store.storage.delete(respaldo.archivo_s3 or "")
    with pytest.raises(ObjectNotFound, match=respaldo.archivo_s3):
        await verificar_respaldo(resources, respaldo)


async def test_a_bomb_is_refused_while_it_is_read(resources: Resources, store: Store) -> None:
    respaldo = await back_up(resources)
    assert store.folder is not None
    respaldo.metadata_ = respaldo.metadata_ | {"tamaño_original_bytes": 1000}
    with pytest.raises(FormatError, match=r"más de los 1,000 bytes"):
        await verificar_respaldo(resources, respaldo)


async def test_the_store_going_away_says_nothing_of_the_object(
    store: Store, database: str, resources: Resources
) -> None:
    respaldo = await back_up(resources)
    async with opened(store, service=database, endpoint_url="http://127.0.0.1:9") as broken:
        with pytest.raises(RespaldosError) as raised:
            await verificar_respaldo(broken, respaldo)
    assert isinstance(raised.value, StorageUnavailable)
