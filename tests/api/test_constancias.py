"""Certificates by HTTP."""

from collections import Counter

import asyncpg
import httpx
import pytest

from app.api.routes.constancias import CERTIFICATES
from app.settings import Settings
from tests.api.conftest import API, add_backup, application, bearer, client_of
from tests.respaldos.conftest import SMALL


@pytest.mark.parametrize(("estado", "status"), [("procesando", 409), ("fallido", 409)])
async def test_only_of_what_is_completed(
    estado: str, status: int, client: httpx.AsyncClient, conn: asyncpg.Connection
) -> None:
    answer = await client.get(
        f"{API}/respaldos/{await add_backup(conn, estado=estado)}/constancia/", headers=bearer()
    )
    assert (answer.status_code, answer.json()["estado"]) == (status, estado)


async def test_an_object_that_is_gone_has_none(client: httpx.AsyncClient, conn: asyncpg.Connection) -> None:
    respaldo_id = await add_backup(conn, metadata={"tamaño_original_bytes": 9 << 20, "detalles_registros": {}})
    answer = await client.get(f"{API}/respaldos/{respaldo_id}/constancia/", headers=bearer())
    assert "el objeto no existe" in answer.json()["detail"]
    assert await conn.fetchval("SELECT verificado_error FROM respaldos.respaldo WHERE id = $1", respaldo_id)


async def test_only_for_who_administers(client: httpx.AsyncClient, conn: asyncpg.Connection) -> None:
    respaldo_id = await add_backup(conn, SMALL)
    for path in (f"respaldos/{respaldo_id}", "restauraciones/1"):
        answer = await client.get(f"{API}/{path}/constancia/", headers=bearer(rol="Recepcionista"))
        assert answer.status_code == 403


async def test_a_clinic_has_one_at_a_time(settings: Settings) -> None:
    async with application(settings) as app, client_of(app) as client:
        app.state.under_way[CERTIFICATES] = under_way = Counter({SMALL: 1})
        url = f"{API}/restauraciones/999/constancia/"
        assert (await client.get(url, headers=bearer())).status_code == 429
        under_way.clear()
        for _ in range(2):
            assert (await client.get(url, headers=bearer())).status_code == 404
