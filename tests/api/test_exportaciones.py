"""A person takes a clinic's data away: asks for it, sees it made, and downloads it once."""

import asyncio
import csv
import gzip
import io
import json
import sqlite3
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing, asynccontextmanager, closing
from pathlib import Path
from typing import Any
from zipfile import ZipFile

import asyncpg
import httpx
import pyarrow.parquet as pq
import pytest
from fastapi import FastAPI

from app.errors import LinkEnded
from app.export.format import Formato
from app.respaldos.backup.run import crear_respaldo
from app.respaldos.exports.download import handed_over, linked
from app.respaldos.jobs.run import run_next
from app.respaldos.models import TipoRespaldo
from app.respaldos.reconcile import reconciliar
from app.respaldos.resources import Resources
from app.respaldos.retention.reindex import reindexar
from tests.api.conftest import API, OTHER, bearer, events, listening
from tests.respaldos.conftest import LARGE, SMALL, Held
from tests.storage.conftest import Store
from tests.support.answer_keys import keys

EXPORT = keys(
    """id, respaldo_id, clinica_id, formato, estado, progreso, archivo, tamaño_bytes, tamaño_mb, disponible, vence,
    descargado, error, usuario, fecha_creacion, fecha_fin"""
)


async def backed_up(resources: Resources, clinica_id: int = SMALL) -> int:
    """A backup of the clinic."""
    return (await crear_respaldo(resources, clinica_id=clinica_id, tipo=TipoRespaldo.MANUAL)).id


async def asked(client: httpx.AsyncClient, respaldo_id: int, formato: str = "csv", clinica_id: int = SMALL) -> Any:
    """The export that was asked for."""
    answer = await client.post(
        f"{API}/respaldos/{respaldo_id}/exportaciones/", json={"formato": formato}, headers=bearer(clinica_id)
    )
    assert answer.status_code == 202, answer.text
    assert set(answer.json()) == EXPORT
    return answer.json()


async def shown(client: httpx.AsyncClient, exportacion_id: int) -> Any:
    """The export as it is."""
    return (await client.get(f"{API}/exportaciones/{exportacion_id}/", headers=bearer())).json()


async def link(client: httpx.AsyncClient, exportacion_id: int, clinica_id: int = SMALL) -> Any:
    """A new link to it."""
    answer = await client.post(f"{API}/exportaciones/{exportacion_id}/enlace/", headers=bearer(clinica_id))
    assert answer.status_code == 200, answer.text
    return answer.json()


@asynccontextmanager
async def browsing(app: FastAPI) -> AsyncIterator[httpx.AsyncClient]:
    """Somebody without a token, over a real connection."""
    async with listening(app) as url, httpx.AsyncClient(base_url=url, trust_env=False, timeout=60) as client:
        yield client


def patients(formato: str, content: bytes, folder: Path) -> int:
    """How many there are in the file that was downloaded, by a reader of its format that is not ours."""
    if formato == "sqlite":
        file = folder / "x.sqlite"
        file.write_bytes(content)
        with closing(sqlite3.connect(file)) as connection:
            return int(connection.execute("SELECT count(*) FROM pacientes").fetchone()[0])
    if formato == "json":
        return len(json.loads(gzip.decompress(content))["datos"]["pacientes"])
    with ZipFile(io.BytesIO(content)) as archive:
        assert archive.testzip() is None
        (name,) = [name for name in archive.namelist() if name.rpartition("/")[2].startswith("pacientes.")]
        member = archive.read(name)
        assert any(name.endswith("LEEME.txt") for name in archive.namelist())
    if formato == "parquet":
        return int(pq.read_table(io.BytesIO(member)).num_rows)
    return len(list(csv.reader(io.StringIO(member.decode("utf-8-sig")), delimiter=";"))) - 1


@pytest.mark.parametrize("formato", Formato)
async def test_each_format_is_asked_for_made_and_downloaded(
    formato: Formato,
    app: FastAPI,
    client: httpx.AsyncClient,
    conn: asyncpg.Connection,
    store: Store,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "trabajo"))
    (tmp_path / "trabajo").mkdir()
    resources = app.state.service.resources
    respaldo_id = await backed_up(resources)
    before = [item.key async for item in store.storage.list()]
    exportacion = await asked(client, respaldo_id, formato)
    assert (exportacion["estado"], exportacion["disponible"]) == ("pendiente", False)
    early = await client.post(f"{API}/exportaciones/{exportacion['id']}/enlace/", headers=bearer())
    assert (early.status_code, early.json()["estado"]) == (409, "pendiente")
    again = await asked(client, respaldo_id, formato)
    assert again["id"] == exportacion["id"], "one of that format is under way"

    assert await run_next(resources)
    made = await shown(client, exportacion["id"])
    assert (made["estado"], made["disponible"], made["error"]) == ("completado", True, None)
    assert list((tmp_path / "trabajo").iterdir()) == []
    stem = (await conn.fetchval("SELECT archivo_s3 FROM respaldos.respaldo")).rpartition("/")[2].split(".")[0]
    files = {Formato.SQLITE: f"{stem}.sqlite", Formato.JSON: f"{stem}.json.gz"}
    assert made["archivo"] == files.get(formato, f"{stem}_{formato}.zip")
    (added,) = [item async for item in store.storage.list() if item.key not in before]
    assert added.key == f"exportaciones/{SMALL}/{exportacion['id']}_1"
    assert added.size == made["tamaño_bytes"]
    assert (await asked(client, respaldo_id, formato))["id"] == exportacion["id"], "it waits to be downloaded"

    given = await link(client, exportacion["id"])
    assert (given["archivo"], given["url"].startswith("/api/v1/")) == (made["archivo"], True)
    assert 23 * 3600 < given["expira_en_segundos"] <= 24 * 3600
    async with browsing(app) as outside:
        looked = await outside.head(given["url"])
        assert (looked.status_code, looked.headers["content-length"]) == (200, str(made["tamaño_bytes"]))
        taken = await outside.get(given["url"])
        assert taken.status_code == 200
        assert len(taken.content) == made["tamaño_bytes"]
        assert taken.headers["content-disposition"] == f'attachment; filename="{made["archivo"]}"'
        assert taken.headers["cache-control"] == "no-store"
        second = await outside.get(given["url"])
    assert (second.status_code, second.json()["codigo"]) == (404, "enlace_terminado")
    expected = await conn.fetchval("SELECT count(*) FROM paciente WHERE clinica_id = $1", SMALL)
    assert patients(formato, taken.content, tmp_path) == expected

    lines = await events(conn, "exportacion")
    assert [line["detalle"]["estado"] for line in lines] == ["pendiente", "completado", "descargado"]
    assert {(line["usuario"], line["direccion"], line["respaldo_id"]) for line in lines} == {
        ("1", "127.0.0.1", respaldo_id)
    }
    # All of the backup has been read for it.
    assert await conn.fetchval("SELECT verificado_profundidad FROM respaldos.respaldo") == "completa"
    # It stays for whom the end of it did not reach, and then goes.
    await reconciliar(resources)
    assert (await shown(client, exportacion["id"]))["disponible"] is True
    await conn.execute("UPDATE respaldos.exportacion SET vence = vence - interval '15 minutes'")
    await reconciliar(resources)
    over = await shown(client, exportacion["id"])
    assert (over["disponible"], over["descargado"] is None) == (False, False)
    assert [item.key async for item in store.storage.list()] == before
    assert await conn.fetchval("SELECT limpiado IS NOT NULL FROM respaldos.exportacion")


async def test_a_download_that_is_cut_off_goes_on_and_only_one_ends(
    app: FastAPI, client: httpx.AsyncClient, conn: asyncpg.Connection
) -> None:
    resources = app.state.service.resources
    exportacion = await asked(client, await backed_up(resources, LARGE), "sqlite", LARGE)
    await run_next(resources)
    url = (await link(client, exportacion["id"], LARGE))["url"]
    found = await linked(resources, url.partition("=")[2], None)
    size = found.tamaño_bytes or 0
    assert size > 2**20

    # Not over a connection, whose buffers would hold all of it.
    def taking() -> AsyncGenerator[bytes, None]:
        return handed_over(resources, found, "a" * 32, first=0, last=size - 1, direccion="192.0.2.1")

    async with aclosing(taking()) as cut_off, aclosing(taking()) as rival:
        beginning = await anext(cut_off) + await anext(cut_off)
        await cut_off.aclose()
        await anext(rival)
        middle = await client.get(url, headers={"Range": "bytes=1-10"})
        assert (middle.status_code, middle.content) == (206, beginning[1:11])
        assert middle.headers["content-range"] == f"bytes 1-10/{size}"
        etag = middle.headers["etag"]
        for headers in ({"Range": "bytes=5-", "If-Range": '"otro"'}, {"Range": f"bytes={size}-"}, {"Range": "x=1-2"}):
            looked = await client.head(url, headers=headers)
            assert looked.headers["etag"] != etag
            assert (looked.status_code, looked.headers["content-length"]) == (200, str(size))
        assert await conn.fetchval("SELECT descargado FROM respaldos.exportacion") is None

        resumed = {"Range": f"bytes={len(beginning)}-", "If-Range": etag}
        rest = await client.get(url, headers=resumed)
        assert (rest.status_code, len(beginning) + len(rest.content)) == (206, size)
        assert rest.headers["content-range"] == f"bytes {len(beginning)}-{size - 1}/{size}"
        assert rest.headers["etag"] == etag
        # Somebody else who has the link gets all but its end.
        with pytest.raises(LinkEnded, match="ya lo usó otra descarga"):
            async for _ in rival:
                pass
    # What was on its way when the connection broke, who has begun it gets; and nobody else.
    tail = await client.get(url, headers={"Range": f"bytes={size - 9}-", "If-Range": etag})
    assert (tail.status_code, tail.content) == (206, rest.content[-9:])
    for headers in ({}, {"Range": "bytes=1-"}, {"Range": "bytes=1-", "If-Range": looked.headers["etag"]}):
        assert (await client.get(url, headers=headers)).status_code == 404
    whole = (await client.get((await link(client, exportacion["id"], LARGE))["url"])).content
    assert whole == beginning + rest.content
    done = [(line["detalle"]["estado"], line["direccion"]) for line in await events(conn, "exportacion")]
    assert done[1:] == [("completado", "127.0.0.1")] + [("descargado", "127.0.0.1")] * 3


async def test_links_end(app: FastAPI, client: httpx.AsyncClient, conn: asyncpg.Connection, store: Store) -> None:
    resources = app.state.service.resources
    # The only good one cannot be deleted.
    respaldo_id, _ = await backed_up(resources), await backed_up(resources)
    exportacion = (await asked(client, respaldo_id))["id"]
    await run_next(resources)
    former, url = [(await link(client, exportacion))["url"] for _ in range(2)]
    stored = await conn.fetchval("SELECT enlace FROM respaldos.exportacion")
    assert stored not in url
    for spent in (former, url[:-1], f"{url.partition('=')[0]}={stored}"):
        assert (await client.get(spent)).status_code == 404, spent
    assert (await client.head(url)).status_code == 200
    # One whose file is gone: nothing is used up by that.
    await store.storage.delete(await conn.fetchval("SELECT archivo_s3 FROM respaldos.exportacion"))
    assert (await client.get(url)).status_code == 404
    assert await conn.fetchval("SELECT enlace FROM respaldos.exportacion") == stored

    await conn.execute("UPDATE respaldos.exportacion SET vence = now() - interval '1 second'")
    assert (await client.get(url)).status_code == 404
    too_late = await client.post(f"{API}/exportaciones/{exportacion}/enlace/", headers=bearer())
    assert (too_late.status_code, too_late.json()["codigo"]) == (410, "exportacion_terminada")
    assert (await asked(client, respaldo_id))["id"] != exportacion

    # Of a backup that is deleted, everything goes at once.
    await run_next(resources)
    newer = (await client.get(f"{API}/exportaciones/", params={"respaldo_id": respaldo_id}, headers=bearer())).json()
    url = (await link(client, newer[0]["id"]))["url"]
    await client.delete(f"{API}/respaldos/{respaldo_id}/", headers=bearer())
    assert (await client.get(url)).status_code == 404
    assert (await client.get(f"{API}/exportaciones/{newer[0]['id']}/", headers=bearer())).status_code == 404
    assert (await client.get(f"{API}/exportaciones/", headers=bearer())).json() == []
    await reconciliar(resources)
    assert [item.key async for item in store.storage.list("exportaciones/")] == []
    refused = await client.post(
        f"{API}/respaldos/{respaldo_id}/exportaciones/", json={"formato": "csv"}, headers=bearer()
    )
    assert refused.status_code == 404


async def test_one_is_cancelled_before_and_while_it_is_made(
    app: FastAPI, client: httpx.AsyncClient, conn: asyncpg.Connection, store: Store, held: Held
) -> None:
    resources = app.state.service.resources
    held.released.set()
    respaldo_id = await backed_up(resources)

    async def cancelled(exportacion_id: int) -> httpx.Response:
        return await client.post(f"{API}/exportaciones/{exportacion_id}/cancelar/", headers=bearer())

    first = (await asked(client, respaldo_id))["id"]
    assert (await cancelled(first)).json()["estado"] == "cancelado"
    assert (await cancelled(first)).status_code == 409
    assert not await run_next(resources)

    second = (await asked(client, respaldo_id))["id"]
    assert second != first
    held.released.clear()
    held.reached.clear()
    working = asyncio.create_task(run_next(resources))
    await held.reached.wait()
    assert (await cancelled(second)).json()["estado"] == "procesando"
    held.released.set()
    await working
    assert (await shown(client, second))["estado"] == "cancelado"
    await reconciliar(resources)
    assert [item.key async for item in store.storage.list("exportaciones/")] == []
    assert await conn.fetchval("SELECT count(*) FROM respaldos.exportacion WHERE limpiado IS NULL") == 0
    lines = await events(conn, "exportacion")
    assert [line["detalle"]["estado"] for line in lines] == ["pendiente", "cancelado"] * 2


async def test_an_export_is_no_backup(
    app: FastAPI, client: httpx.AsyncClient, conn: asyncpg.Connection, store: Store
) -> None:
    resources = app.state.service.resources
    respaldo_id = await backed_up(resources)
    await asked(client, respaldo_id)
    await run_next(resources)
    found = await reindexar(resources)
    assert (found.rebuilt, found.unknown, found.damaged) == ([], [], [])
    theirs = await client.post(
        f"{API}/respaldos/{respaldo_id}/exportaciones/", json={"formato": "csv"}, headers=bearer(OTHER)
    )
    assert theirs.status_code == 404
