"""Refusals of one kind do not keep those of another out of the trail."""

import asyncpg
import httpx

from app.api import rejection_log
from tests.api.conftest import API, bearer, events
from tests.respaldos.conftest import SMALL

EVENTS = f"{API}/plataforma/eventos/"


async def test_tokens_that_nobody_signed_silence_no_refusal_of_a_real_one(
    client: httpx.AsyncClient, conn: asyncpg.Connection
) -> None:
    for _ in range(rejection_log.PER_ADDRESS + 3):
        await client.get(EVENTS, headers={"Authorization": "Bearer x"})
    for _ in range(3):
        await client.post(f"{API}/auth/login/", json={"correo": "mi-contraseña", "contraseña": "x"})
    assert (await client.get(EVENTS, headers=bearer())).status_code == 403
    lines = await events(conn, "acceso_rechazado")
    assert [line["clinica_id"] for line in lines] == [None] * rejection_log.PER_ADDRESS + [SMALL]
    assert "omitidos" not in lines[-1]["detalle"], "those are of another kind"
    guesses = await events(conn, "ingreso_rechazado")
    assert [line["detalle"] for line in guesses] == [{"motivo": "credenciales_incorrectas"}] * 3
