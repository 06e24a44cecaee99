"""A request whose answer was lost is sent again, and not done again."""

import asyncio
from typing import Any

import asyncpg
import httpx
from fastapi import FastAPI

from app.respaldos.jobs.run import run_next
from tests.api.conftest import API, OTHER, add_backup, bearer, rows
from tests.respaldos.conftest import SMALL


async def test_a_request_that_is_sent_again_is_answered_with_the_first_ones_backup(
    app: FastAPI, client: httpx.AsyncClient, conn: asyncpg.Connection
) -> None:
    async def ask(key: str, descripcion: str = "ñ", clinica_id: int | None = SMALL, **query: Any) -> httpx.Response:
        return await client.post(
            f"{API}/respaldos/crear_respaldo_manual/",
            params=query,
            json={"descripcion": descripcion},
            headers=bearer(clinica_id) | {"Idempotency-Key": key},
        )

    first, again = await ask("a"), await ask("a")
    assert (first.status_code, again.status_code) == (202, 202)
    assert again.json()["respaldo"] == first.json()["respaldo"]
    await run_next(app.state.service.resources)
    later = await ask("a")
    assert (later.status_code, later.json()["respaldo"]["estado"]) == (202, "completado")
    assert later.json()["respaldo"]["id"] == first.json()["respaldo"]["id"]
    assert await rows(conn) == 1
    # Something else under the same key; the same key of somebody else, whose number in their clinic is the same.
    other = await ask("a", "otra cosa")
    assert (other.status_code, other.json()["codigo"]) == (422, "solicitud_invalida")
    assert "Idempotency-Key" in other.json()["error"]
    assert (await ask("a", clinica_id=OTHER)).json()["respaldo"]["clinica_id"] == OTHER
    assert [(await ask("a", clinica_id=None, clinica_id_=1)).status_code, (await ask("")).status_code] == [422, 422]
    # A refused one has no answer to be repeated; the next day a key is a new one.
    running = await ask("b")
    assert [(await ask("c")).status_code, (await ask("c")).status_code] == [409, 409]
    await run_next(app.state.service.resources)
    await run_next(app.state.service.resources)
    assert (await ask("c")).json()["respaldo"]["id"] > running.json()["respaldo"]["id"]
    await run_next(app.state.service.resources)
    await conn.execute("UPDATE respaldos.peticion SET fecha = fecha - interval '24 hours 1 second'")
    assert (await ask("a", "otra cosa")).json()["respaldo"]["id"] > running.json()["respaldo"]["id"] + 1
    assert await rows(conn) == 5


async def test_of_two_at_once_one_is_done(client: httpx.AsyncClient, conn: asyncpg.Connection) -> None:
    respaldo, before = await add_backup(conn), await add_backup(conn)
    done = set()
    for path, body in (
        ("restaurar", {"simular": True}),
        ("restaurar", {"simular": False, "motivo": "ñ"}),
        ("verificar", {"profundidad": "ensayo"}),
        ("comparar", {"desde": before}),
    ):
        headers = bearer() | {"Idempotency-Key": f"{path} {body}"[:40].encode().hex()}
        address = f"{API}/respaldos/{respaldo}/{path}/"
        both = await asyncio.gather(*(client.post(address, json=body, headers=headers) for _ in range(2)))
        assert {answer.status_code for answer in both} <= {202, 409}, path
        again = await client.post(address.rstrip("/"), json=body, headers=headers)
        ids = {answer.json()["id"] for answer in (*both, again) if answer.status_code == 202}
        assert len(ids) == 1, path
        done |= ids
    assert await conn.fetchval("SELECT count(*) FROM respaldos.restauracion") == len(done) == 4
