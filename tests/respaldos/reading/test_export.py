"""A backup's object leaves S3 as files that other programs open, or as nothing."""

import asyncio
import sqlite3
from contextlib import closing
from pathlib import Path

import asyncpg
import pytest

from app.dump.document import Section
from app.errors import (
    AlreadyPurged,
    FormatError,
    LocalFileError,
    NotCompleted,
    ObjectNotFound,
    StorageUnavailable,
)
from app.export.format import Formato
from app.respaldos.databases import transaction
from app.respaldos.models import Respaldo
from app.respaldos.progress import Progress
from app.respaldos.reading.export import exportar_respaldo
from app.respaldos.resources import Resources
from tests.respaldos.conftest import LARGE, SMALL, back_up
from tests.storage.conftest import Store
from tests.support.fault import FaultyS3


async def _verified(conn: asyncpg.Connection) -> list[tuple[str, bool]]:
    """What the audit trail says of verifications: how deep, and whether the object was right."""
    found = await conn.fetch(
        "SELECT detalle->>'profundidad', (detalle->>'correcto')::bool FROM respaldos.evento"
        " WHERE accion = 'verificacion' ORDER BY id"
    )
    return [(row[0], row[1]) for row in found]


@pytest.mark.parametrize("formato", list(Formato))
async def test_what_is_exported_is_what_was_backed_up(
    resources: Resources, conn: asyncpg.Connection, tmp_path: Path, formato: Formato
) -> None:
    respaldo = await back_up(resources, LARGE)
    progress = Progress()
    done = await exportar_respaldo(resources, respaldo, tmp_path / "x", formato, progress=progress)
    counts = {model.name: model.records for model in done.models if model.section is Section.DATA}
    assert counts == respaldo.metadata_["detalles_registros"]
    assert done.records(Section.DATA) == respaldo.numero_registros
    assert progress.bytes == respaldo.tamaño_bytes
    assert [path.name for path in tmp_path.iterdir()] == ["x"]
    assert await _verified(conn) == [("completa", True)], "all of the object has been read"


async def test_the_values_are_those_of_the_database(
    resources: Resources, conn: asyncpg.Connection, tmp_path: Path
) -> None:
    respaldo = await back_up(resources, SMALL)
    await exportar_respaldo(resources, respaldo, tmp_path / "x", Formato.SQLITE)
    expected = await conn.fetch(
        "SELECT p.codusuario, u.nombre, u.apellido, t.rol FROM paciente p JOIN usuario u ON u.codigo = p.codusuario"
        " JOIN tipodeusuario t ON t.id = u.idtipousuario WHERE p.clinica_id = $1 ORDER BY 1",
        SMALL,
    )
    with closing(sqlite3.connect(tmp_path / "x")) as exported:
        found = exported.execute(
            "SELECT p.codusuario, u.nombre, u.apellido, t.rol FROM pacientes p JOIN usuarios u"
            " ON u.codigo = p.codusuario JOIN tipodeusuario t ON t.id = u.idtipousuario ORDER BY 1"
        ).fetchall()
    assert expected
    assert found == [tuple(row) for row in expected]


@pytest.mark.parametrize(
    ("formato", "fault"),
    [
        *((Formato.CSV, fault) for fault in ("cut", "damaged", "missing", "cancelled", "down", "in the way")),
        *((formato, fault) for formato in (Formato.SQLITE, Formato.PARQUET) for fault in ("damaged", "cancelled")),
    ],
)
async def test_an_export_that_fails_leaves_what_was_there(
    moto_resources: Resources,
    moto_store: Store,
    conn: asyncpg.Connection,
    faults: FaultyS3,
    tmp_path: Path,
    formato: Formato,
    fault: str,
) -> None:
    respaldo = await back_up(moto_resources, LARGE)
    target = tmp_path / "x"
    await exportar_respaldo(moto_resources, respaldo, target, formato)
    before = target.stat().st_ino
    key = respaldo.archivo_s3 or ""
    expected: type[BaseException]
    progress, replace = Progress(), True
    if fault == "cut":
        faults.fail("get", "short", times=2)
        expected = StorageUnavailable
    elif fault == "damaged":
        client = moto_store.storage.client
        body = await (await client.get_object(Bucket=moto_store.options.bucket, Key=key))["Body"].read()
        body = body[:-200] + bytes([body[-200] ^ 1]) + body[-199:]
        await client.put_object(Bucket=moto_store.options.bucket, Key=key, Body=body)
        expected = FormatError
    elif fault == "missing":
        await moto_store.storage.delete(key)
        expected = ObjectNotFound
    elif fault == "cancelled":
        expected = asyncio.CancelledError
        task = asyncio.current_task()
        assert task is not None

        def stop(moved: Progress) -> None:
            if moved.bytes > (respaldo.tamaño_bytes or 0) // 2:
                task.cancel()

        progress = Progress(stop)
    elif fault == "down":
        faults.fail("get", "cut before", times=20)
        expected = StorageUnavailable
    else:
        expected, replace = LocalFileError, False
    with pytest.raises(expected):
        await exportar_respaldo(moto_resources, respaldo, target, formato, replace=replace, progress=progress)
    assert target.stat().st_ino == before
    assert [path.name for path in tmp_path.iterdir()] == ["x"]
    verified = await _verified(conn)
    # What says nothing of the object is not written down as if it did.
    assert verified[1:] == ([("completa", False)] if fault in ("damaged", "missing") else [])


@pytest.mark.parametrize("estado", ["pendiente", "procesando", "fallido", "cancelado"])
async def test_only_a_completed_backup_is_exported(
    resources: Resources, conn: asyncpg.Connection, tmp_path: Path, estado: str
) -> None:
    id_ = await conn.fetchval(
        "INSERT INTO respaldos.respaldo (clinica_id, tipo_respaldo, estado) VALUES (2, 'manual', $1) RETURNING id",
        estado,
    )
    async with transaction(resources) as session:
        respaldo = await session.get_one(Respaldo, id_)
    with pytest.raises(NotCompleted, match=f"está {estado}; solo se exporta uno completado"):
        await exportar_respaldo(resources, respaldo, tmp_path / "x", Formato.CSV)
    assert list(tmp_path.iterdir()) == []


async def test_a_purged_backup_is_not_exported(
    resources: Resources, conn: asyncpg.Connection, tmp_path: Path
) -> None:
    respaldo = await back_up(resources)
    await conn.execute("UPDATE respaldos.respaldo SET fecha_eliminacion = now() - interval '9 days', purgado = now()")
    async with transaction(resources) as session:
        respaldo = await session.get_one(Respaldo, respaldo.id)
    with pytest.raises(AlreadyPurged):
        await exportar_respaldo(resources, respaldo, tmp_path / "x", Formato.CSV)
    assert list(tmp_path.iterdir()) == []
