"""Points of the day in which nothing had changed: their object is read once, and each of them is told of."""

import asyncpg
import pytest

from app.respaldos.backup.run import crear_respaldo
from app.respaldos.models import TipoRespaldo
from app.respaldos.resources import Resources
from app.respaldos.search.scan import Scan
from app.respaldos.search.sources import BackupFile
from tests.respaldos.conftest import SMALL
from tests.storage.conftest import Store
from tests.support.patients import CARD, add_patient, remove_patient
from tests.support.restores import conn, resources
from tests.support.searching import history, only, search

__all__ = ["conn", "resources"]


async def test_an_object_is_read_once(
    resources: Resources, conn: asyncpg.Connection, monkeypatch: pytest.MonkeyPatch, store: Store
) -> None:
    code = await add_patient(conn)
    points = [await crear_respaldo(resources, clinica_id=SMALL, tipo=TipoRespaldo.PUNTO) for _ in range(3)]
    assert len({point.archivo_s3 for point in points}) == 1
    await remove_patient(conn, code)
    after = await crear_respaldo(resources, clinica_id=SMALL, tipo=TipoRespaldo.PUNTO)
    read: list[int | None] = []
    whole = BackupFile.read

    async def counted(source: BackupFile, scan: Scan) -> None:
        read.append(source.respaldo_id)
        await whole(source, scan)

    monkeypatch.setattr(BackupFile, "read", counted)
    found = only(await search(resources, CARD))
    assert (found.estado, found.en_respaldo) == ("eliminado", points[-1].id)
    assert found.eliminado_entre == (points[-1].fecha_respaldo, after.fecha_respaldo)
    assert set(read) == {points[-1].id, after.id}
    read.clear()
    versions = (await history(resources, "pacientes", code)).versiones
    assert [(each.existe, each.desde, each.hasta) for each in versions[1:]] == [
        (True, points[0].fecha_respaldo, points[-1].fecha_respaldo)
    ]
    assert set(read) == {points[-1].id, after.id}

    # Whether a byte that changed is met depends on where it lies: what is asked for may be read before it.
    await store.storage.delete(points[0].archivo_s3 or "")
    there = await conn.fetchval("SELECT min(codusuario) FROM paciente WHERE clinica_id = $1", SMALL)
    for said in ((await search(resources, CARD)).avisos, (await history(resources, "pacientes", there)).avisos):
        for point in points:
            assert any(aviso.startswith(f"el respaldo {point.id} no se pudo leer") for aviso in said), said
