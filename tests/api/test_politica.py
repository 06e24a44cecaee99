"""A superadmin sets a clinic's policy; less is kept only by who has seen what goes."""

from datetime import UTC, datetime, timedelta
from typing import Any

import asyncpg
import httpx

from tests.api.conftest import API, add_backup, bearer
from tests.respaldos.conftest import SMALL

URL = f"{API}/plataforma/clinicas/{SMALL}/politica/"


async def test_a_policy_is_seen_tried_and_set(client: httpx.AsyncClient, conn: asyncpg.Connection) -> None:
    header, now = bearer(None), datetime.now(UTC)
    old = await add_backup(conn, SMALL, fecha_respaldo=now - timedelta(days=20), tamaño_bytes=3 << 19)
    new = await add_backup(conn, SMALL, fecha_respaldo=now)
    assert (await client.get(URL, headers=header)).json()["como_todas"]
    body = {"hora": "22:30", "dias": ["sábado", "domingo"], "retencion_dias": 10, "avisar": ["a@b.example"]}
    tried = (await client.post(URL, json=body | {"simular": True}, headers=header)).json()
    assert (tried["simulada"], tried["se_eliminarian"], tried["se_liberarian_mb"]) == (True, 1, 1.5)
    assert [each["id"] for each in tried["ejemplos"]] == [old]
    assert tried["ejemplos"][0]["razon"] == "hay otros más nuevos y tiene 10 días o más"
    assert tried["politica"]["en_palabras"].startswith("Se respalda los sábados y domingos a las 22:30. ")
    assert (await client.get(URL, headers=header)).json()["como_todas"], "nothing was set"
    for more in ({}, {"huella": "0" * 16}):
        refused = await client.post(URL, json=body | more, headers=header)
        assert (refused.status_code, refused.json()["codigo"]) == (409, "vista_previa_requerida")
    done = await client.post(URL, json=body | {"huella": tried["huella"]}, headers=header)
    assert (done.status_code, done.json()["simulada"]) == (200, False)
    held = (await client.get(URL, headers=header)).json()
    assert {name: held["propia"][name] for name in body} == body
    assert held["vale"]["retencion_minimo"] == 1
    # A backup says until when it is kept, by its clinic's days.
    detail = (await client.get(f"{API}/respaldos/{new}/", headers=bearer())).json()
    kept = datetime.fromisoformat(detail["fecha_expiracion"]) - datetime.fromisoformat(detail["fecha_respaldo"])
    assert kept == timedelta(days=10)
    (listed, _) = (await client.get(f"{API}/respaldos/", headers=bearer())).json()
    assert listed["fecha_expiracion"] == detail["fecha_expiracion"]
    again = await client.post(URL, json={}, headers=header)
    assert (again.status_code, again.json()["politica"]["como_todas"]) == (200, True)


async def test_what_is_no_policy_is_refused(client: httpx.AsyncClient) -> None:
    bodies: list[Any] = [
        *({"minutos": 7}, {"minutos": "60"}, {"minutos": 1441}, {"horario": "22:00-07:00"}, {"horario": 8}),
        *({"dias": []}, {"dias": ["lunes", "monday"]}, {"hora": "25:00"}, {"retencion_dias": 6}),
        *({"retencion_dias": True}, {"avisar": ["ana"]}, {"avisar_administradores": False}, {"avisar": ["a\0@b.c"]}),
    ]
    for body in bodies:
        refused = await client.post(URL, json=body, headers=bearer(None))
        assert (refused.status_code, refused.json()["codigo"]) == (422, "solicitud_invalida"), body
    assert (await client.get(URL.replace(str(SMALL), "999"), headers=bearer(None))).status_code == 404
