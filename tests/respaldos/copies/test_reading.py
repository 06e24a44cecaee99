"""Where the first store has lost a backup, damaged it, or is away, whatever reads it takes the second copy."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import aiohttp
import asyncpg
import pytest

from app.errors import FormatError, ObjectNotFound, StorageUnavailable
from app.export.format import Formato
from app.respaldos.contract import RespaldoEnLista, RestauracionEnLista
from app.respaldos.models import Profundidad, Respaldo
from app.respaldos.progress import Progress
from app.respaldos.reading.comparison import comparar_respaldos
from app.respaldos.reading.download import descargar_respaldo, enlace_descarga
from app.respaldos.reading.export import exportar_respaldo
from app.respaldos.reading.verification import pedir_verificacion, verificar_respaldo
from app.respaldos.resources import Resources
from tests.respaldos.conftest import ANA, SMALL, back_up
from tests.storage.conftest import Store
from tests.support.copies import away, copying, destroy, second, second_server, work
from tests.support.damage import damage
from tests.support.exporting import sqlite_rows
from tests.support.patients import FAMILY, add_patient, remove_patient
from tests.support.restores import DAMAGE, conn, everybody, newest, resources, restore
from tests.support.searching import search
from tests.support.stored import put, row

__all__ = ["conn", "copying", "resources", "second", "second_server"]


@asynccontextmanager
async def without_the_first(
    resources: Resources, store: Store, how: str, *respaldos: Respaldo
) -> AsyncIterator[Resources]:
    """The same when the first store has lost the backups, damaged them, or is away."""
    if how == "away":
        async with away(store) as nobody:
            yield replace(resources, storage=nobody.storage)
        return
    if how == "gone":
        await destroy(store)
    else:
        for respaldo in respaldos:
            damage(store, respaldo)
    yield resources


@pytest.mark.parametrize("how", ["gone", "damaged", "away"])
async def test_everything_is_read_from_the_copy(
    how: str, copying: Resources, store: Store, conn: asyncpg.Connection, tmp_path: Path
) -> None:
    older = await back_up(copying)
    code = await add_patient(conn)
    newer = await back_up(copying)
    await work(copying)
    await remove_patient(conn, code)
    older, newer = await row(copying, older.id), await row(copying, newer.id)
    before = await everybody(copying)
    await conn.execute(DAMAGE)
    async with without_the_first(copying, store, how, older, newer) as lacking:
        progress = Progress()
        await descargar_respaldo(lacking, newer, target := tmp_path / "a.json.gz", progress=progress)
        assert (progress.copy, target.stat().st_size) == ("oficina", newer.tamaño_bytes)

        exported = await exportar_respaldo(lacking, newer, tmp_path / "a.sqlite", Formato.SQLITE)
        assert (
            len(sqlite_rows(exported.target, 'SELECT * FROM "pacientes"'))
            == newer.metadata_["detalles_registros"]["pacientes"]
        )

        async with comparar_respaldos(lacking, older, newer) as compared:
            assert compared.modelos["pacientes"].inserted == 1
            assert [said.partition(":")[0] for said in compared.avisos] == [
                f"respaldo {older.id}",
                f"respaldo {newer.id}",
            ]

        if how != "damaged":
            # A search stops at what it wanted, and so does not see that the rest is damaged.
            found = await search(lacking, FAMILY)
            assert [each.en_respaldo for each in found.resultados] == [newer.id]
            assert found.avisos == [f"se leyeron de su copia en otro almacén los respaldos {newer.id}, {older.id}"]
            link = await enlace_descarga(lacking, newer.id, clinica_id=SMALL, actor=ANA)
            assert link.copia == "oficina"
            async with aiohttp.ClientSession() as session, session.get(link.url) as answer:
                assert len(await answer.read()) == newer.tamaño_bytes

        made = await restore(lacking, older, sin_respaldo_previo=True)
        assert (made.copia, RestauracionEnLista.of(made).copia) == ("oficina", "oficina")
        assert "se leyó de la copia «oficina»" in made.avisos[0]
    assert await everybody(copying) == before
    lost = (await row(copying, newer.id)).solo_en_copia
    assert (lost is None) == (how == "away"), "of a store that is away nobody knows what it has"


@pytest.mark.parametrize("how", ["gone", "damaged"])
async def test_a_verification_looks_at_the_first_and_counts_the_copy(
    how: str, copying: Resources, store: Store, second: Store, conn: asyncpg.Connection
) -> None:
    made = await back_up(copying)
    await work(copying)
    assert store.folder is not None
    content = (store.folder / (made.archivo_s3 or "")).read_bytes()
    async with without_the_first(copying, store, how, made):
        for depth in Profundidad:
            if how == "damaged" and depth == Profundidad.RAPIDA:
                # Of one in parts, its size is all that a glance sees.
                continue
            await pedir_verificacion(copying, None, made.id, clinica_id=SMALL, profundidad=depth, actor=ANA)
            await work(copying)
            asked = await newest(conn)
            assert (asked["estado"], asked["copia"], asked["resultado"]["correcto"]) == (
                *("completado", "oficina", True),
            )
            assert "se leyó de la copia «oficina»" in asked["resultado"]["avisos"][0]
    kept = await row(copying, made.id)
    assert (kept.good, kept.verificado_error) == (True, None)
    since = RespaldoEnLista.of(kept, retention_days=30).solo_en_copia
    assert since is not None

    # Put back by somebody, it is the first again.
    await put(copying, made.archivo_s3 or "", content)
    await verificar_respaldo(copying, await row(copying, made.id), progress=(progress := Progress()))
    assert (progress.copy, (await row(copying, made.id)).solo_en_copia) == (None, None)

    # Without either, it is no backup any more, and the first store's reason is the one that is told.
    async with without_the_first(copying, store, how, made):
        await destroy(second)
        with pytest.raises(ObjectNotFound if how == "gone" else FormatError) as raised:
            await verificar_respaldo(copying, await row(copying, made.id))
        assert "oficina" not in str(raised.value)
    assert not (await row(copying, made.id)).good


async def test_a_store_that_is_away_says_nothing_of_the_backup(copying: Resources, store: Store) -> None:
    made = await back_up(copying)
    await work(copying)
    async with without_the_first(copying, store, "away", made) as lacking:
        with pytest.raises(StorageUnavailable):
            await verificar_respaldo(lacking, await row(copying, made.id))
    assert (await row(copying, made.id)).solo_en_copia is None
