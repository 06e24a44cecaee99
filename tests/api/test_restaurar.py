"""Asking for a restore or a comparison, and reading what became of it."""

import json
from typing import Any

import asyncpg
import httpx
import pytest

from app.respaldos.contract import WHAT, WHO
from app.respaldos.models import Clase
from tests.api.conftest import API, OTHER, add_backup, bearer, jobs
from tests.respaldos.conftest import SMALL
from tests.support.jobs import add_restauracion

STAFF: dict[str, Any] = {"rol": "Recepcionista"}

RESULT: dict[str, Any] = {
    "facturas": {
        "insertados": 0,
        "actualizados": 1,
        "eliminados": 0,
        "ejemplos": {"actualizados": [{"clave": {"id": 1}, "campos": {"nit": {"antes": "1", "despues": "2"}}}]},
    },
    "bitacoras": {"insertados": 0, "actualizados": 0, "eliminados": 2, "ejemplos": {"eliminados": [{"clave": {}}]}},
}
CONFLICT: dict[str, Any] = {
    "modelo": "facturas",
    "clave": {"id": "1"},
    "restriccion": "factura_numero_key",
    "valor": {"numero": "F1"},
    "ocupado_por": None,
    "explicacion": "«facturas» 1 no puede volver",
}


@pytest.mark.parametrize(
    ("body", "row"),
    [
        (None, {"simulada": False, "modelos": None, "registro": None}),
        ({"simular": True}, {"simulada": True, "modelos": None, "registro": None}),
        (
            {"modelos": ["consultas", "pagos"]},
            {"simulada": False, "modelos": ["consultas", "pagos"], "registro": None},
        ),
        (
            {"simular": True, "registro": "pacientes:15"},
            {"simulada": True, "modelos": None, "registro": "pacientes:15", "registros": ["pacientes:15"]},
        ),
        (
            {"registros": ["pacientes:15", "diente:1,ñ", "pacientes:15"], "modo": "faltantes"},
            {"registros": ["pacientes:15", "diente:1,ñ", "pacientes:15"], "modo": "faltantes"},
        ),
        (
            {"modo": "cambiados", "motivo": "  Se borró  sin querer "},
            {"modo": "cambiados", "motivo": "Se borró  sin querer"},
        ),
        ({"modo": None, "motivo": "   "}, {}),
    ],
)
async def test_it_is_asked_for(
    body: dict[str, Any] | None, row: dict[str, Any], client: httpx.AsyncClient, conn: asyncpg.Connection
) -> None:
    respaldo_id = await add_backup(conn)
    answer = await client.post(f"{API}/respaldos/{respaldo_id}/restaurar/", json=body, headers=bearer())
    assert answer.status_code == 202
    asked = answer.json()
    usual: dict[str, Any] = {
        "simulada": False,
        "modelos": None,
        "registro": None,
        "modo": "todo",
        "motivo": None,
        "conflictos": [],
    }
    assert {name: asked[name] for name in usual | row} == usual | row
    assert (asked["tipo"], asked["estado"], asked["respaldo_id"]) == ("restauracion", "pendiente", respaldo_id)
    shown = await client.get(f"{API}/restauraciones/{asked['id']}/", headers=bearer())
    assert shown.json() == asked
    trail = await client.get(f"{API}/eventos/", params={"accion": "restauracion"}, headers=bearer())
    assert [line["detalle"]["restauracion_id"] for line in trail.json()] == [asked["id"]]


async def test_thousands_of_records_may_be_named(client: httpx.AsyncClient, conn: asyncpg.Connection) -> None:
    url = f"{API}/respaldos/{await add_backup(conn)}/restaurar/"
    records = [f"historiales_clinicos:{number:036}" for number in range(5001)]
    many = await client.post(url, json={"registros": records}, headers=bearer())
    assert many.status_code == 422
    assert many.json()["error"] == "«registros» puede tener 5,000 elementos como máximo"
    answer = await client.post(url, json={"registros": records[:5000], "motivo": "Ñandú"}, headers=bearer())
    assert (answer.status_code, answer.json()["registros"]) == (202, records[:5000])
    trail = await client.get(f"{API}/eventos/", params={"accion": "restauracion"}, headers=bearer())
    (line,) = trail.json()
    assert line["detalle"]["registros"] == records[:20]
    assert (line["detalle"]["numero_registros"], line["detalle"]["motivo"]) == (5000, "Ñandú")


async def test_a_restore_refuses_another_and_a_preview_does_not(
    client: httpx.AsyncClient, conn: asyncpg.Connection
) -> None:
    url = f"{API}/respaldos/{await add_backup(conn)}/restaurar/"
    answers = [
        await client.post(url, json={"simular": simulated}, headers=bearer()) for simulated in (True, False, False)
    ]
    assert [answer.status_code for answer in answers] == [202, 202, 409]
    assert answers[2].json()["codigo"] == "operacion_en_curso"
    trail = await client.get(f"{API}/eventos/", params={"accion": "restauracion"}, headers=bearer())
    assert len(trail.json()) == 2


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ({"modelos": []}, 422),
        ({"modelos": ["a"], "registro": "a:1"}, 422),
        ({"registro": "pacientes"}, 422),
        ({"registros": []}, 422),
        ({"registros": ["pacientes:1", "pacientes"]}, 422),
        ({"registros": ["a:1"], "registro": "a:1"}, 422),
        ({"registros": ["a:1"], "modelos": ["a"]}, 422),
        ({"modo": "algunos"}, 422),
        ({"motivo": "x" * 501}, 422),
        ({"motivo": "a\0b"}, 422),
        ({"simular": "sí"}, 422),
        ({"modelos": "consultas"}, 422),
    ],
)
async def test_what_cannot_be_meant(
    body: dict[str, Any], status: int, client: httpx.AsyncClient, conn: asyncpg.Connection
) -> None:
    respaldo_id = await add_backup(conn)
    answer = await client.post(f"{API}/respaldos/{respaldo_id}/restaurar/", json=body, headers=bearer())
    assert answer.status_code == status
    assert answer.json()["error"]
    assert await conn.fetchval("SELECT count(*) FROM respaldos.restauracion") == 0


@pytest.mark.parametrize("wanted", ["con_accesos", "con_clinica"])
async def test_only_a_superadmin_asks_for_what_is_the_platforms(
    wanted: str, client: httpx.AsyncClient, conn: asyncpg.Connection
) -> None:
    respaldo_id = await add_backup(conn)
    url = f"{API}/respaldos/{respaldo_id}/restaurar/"
    refused = await client.post(url, json={"simular": True, wanted: True}, headers=bearer())
    assert (refused.status_code, refused.json()["codigo"]) == (403, "sin_permiso")
    assert "son de la plataforma" in refused.json()["error"]
    assert await conn.fetchval("SELECT count(*) FROM respaldos.restauracion") == 0
    trail = await client.get(f"{API}/eventos/", params={"accion": "acceso_rechazado"}, headers=bearer())
    assert "son de la plataforma" in trail.json()[0]["detalle"]["motivo"]
    # To say no is nothing to ask for.
    usual = await client.post(url, json={wanted: False}, headers=bearer())
    assert (usual.status_code, usual.json()[wanted]) == (202, False)
    await conn.execute("DELETE FROM respaldos.restauracion")
    answer = await client.post(f"{url}?clinica_id={SMALL}", json={wanted: True}, headers=bearer(None))
    assert (answer.status_code, answer.json()[wanted]) == (202, True)
    asked = await conn.fetchrow("SELECT con_accesos, con_clinica FROM respaldos.restauracion")
    assert asked is not None
    assert dict(asked) == {"con_accesos": False, "con_clinica": False} | {wanted: True}


@pytest.mark.parametrize("estado", ["pendiente", "procesando", "fallido", "cancelado"])
async def test_only_a_completed_backup(estado: str, client: httpx.AsyncClient, conn: asyncpg.Connection) -> None:
    respaldo_id = await add_backup(conn, estado=estado)
    answer = await client.post(f"{API}/respaldos/{respaldo_id}/restaurar/", headers=bearer())
    assert (answer.status_code, answer.json()["estado"]) == (409, estado)


async def test_not_while_a_backup_is_under_way(client: httpx.AsyncClient, conn: asyncpg.Connection) -> None:
    respaldo_id = await add_backup(conn)
    running = await add_backup(conn, estado="procesando")
    answer = await client.post(f"{API}/respaldos/{respaldo_id}/restaurar/", headers=bearer())
    assert (answer.status_code, answer.json()["codigo"]) == (409, "operacion_en_curso")
    assert str(running) in answer.json()["error"]


async def test_a_comparison_is_asked_for_once(
    client: httpx.AsyncClient, conn: asyncpg.Connection, redis_url: str
) -> None:
    older, newer = await add_backup(conn), await add_backup(conn)
    url = f"{API}/respaldos/{newer}/comparar/"
    answer = await client.post(url, json={"desde": older}, headers=bearer())
    assert answer.status_code == 202
    asked = answer.json()
    assert (asked["tipo"], asked["estado"], asked["respaldo_id"]) == ("comparacion", "pendiente", newer)
    assert asked["comparado_con"] == older
    assert await jobs(redis_url) == 1
    await conn.execute("UPDATE respaldos.restauracion SET resultado = '{}'")
    await conn.execute("UPDATE respaldos.trabajo SET estado = 'completado'")
    again = await client.post(url, json={"desde": older}, headers=bearer())
    assert (again.status_code, again.json()["id"], again.json()["estado"]) == (202, asked["id"], "completado")
    trail = await client.get(f"{API}/eventos/", params={"accion": "comparacion"}, headers=bearer())
    assert [line["detalle"]["desde"] for line in trail.json()] == [older]


async def test_a_fourth_reading_has_to_wait_until_it_is_asked_for(
    client: httpx.AsyncClient, conn: asyncpg.Connection
) -> None:
    backups = [await add_backup(conn) for _ in range(4)]
    asked = [
        await client.post(f"{API}/respaldos/{id_}/comparar/", json={"desde": backups[0]}, headers=bearer())
        for id_ in backups
    ]
    assert [answer.status_code for answer in asked] == [202, 202, 202, 409]
    assert asked[3].json()["codigo"] == "demasiadas_lecturas"
    assert "comparaciones, exportaciones o simulaciones en espera" in asked[3].json()["error"]
    for action, body in (("verificar", {}), ("restaurar", {"simular": True})):
        refused = await client.post(f"{API}/respaldos/{backups[3]}/{action}/", json=body, headers=bearer())
        assert (action, refused.status_code) == (action, 409)
    # What changes something is no reading.
    restore = await client.post(f"{API}/respaldos/{backups[3]}/restaurar/", json={}, headers=bearer())
    assert restore.status_code == 202


async def test_a_comparison_that_cannot_be(client: httpx.AsyncClient, conn: asyncpg.Connection) -> None:
    own, theirs, failed = [
        await add_backup(conn, **values) for values in ({}, {"clinica_id": OTHER}, {"estado": "fallido"})
    ]
    url = f"{API}/respaldos/{own}/comparar/"
    for desde, status in ((theirs, 404), (999, 404), (failed, 409), ("1", 422), (0, 422), (None, 422)):
        answer = await client.post(url, json={"desde": desde}, headers=bearer())
        assert (desde, answer.status_code) == (desde, status)
        assert answer.json()["error"]
    assert await conn.fetchval("SELECT count(*) FROM respaldos.restauracion") == 0


@pytest.mark.parametrize("clase", [Clase.SIMULACION, Clase.COMPARACION])
async def test_rows_are_shown_only_to_those_who_may_download_them(
    clase: Clase, client: httpx.AsyncClient, conn: asyncpg.Connection
) -> None:
    respaldo_id = await add_backup(conn)
    id_ = await add_restauracion(
        conn,
        respaldo_id,
        clase,
        job={"estado": "fallido", "error": "«facturas» 1 no puede volver: otra tiene hoy numero = F1"},
        resultado=json.dumps(RESULT),
        avisos=json.dumps(["faltan 1 accesos", f"{WHO}«auth_user»: ana (1)", f"{WHAT}«forma»: 1 (era «qr»)"]),
        conflictos=json.dumps([CONFLICT]),
        registros=json.dumps([f"pacientes:{number}" for number in range(30)]),
        motivo="Se borró la ficha de Ana",
    )
    for path in (f"restauraciones/{id_}/", "restauraciones/"):
        found = [(await client.get(f"{API}/{path}", headers=bearer(**who))).json() for who in ({}, STAFF)]
        admin, staff = (each[0] if isinstance(each, list) else each for each in found)
        assert admin["resultado"] == RESULT
        assert list(admin["resultado"]) == ["facturas", "bitacoras"], "in the order of the backup"
        assert staff["resultado"]["facturas"] == RESULT["facturas"] | {"ejemplos": {}}
        assert (len(admin["avisos"]), staff["avisos"]) == (3, admin["avisos"][:1])
        assert (admin["conflictos"], staff["conflictos"]) == (
            [CONFLICT | {"etiqueta": None, "etiqueta_ocupado_por": None}],
            [],
        )
        assert ("F1" in admin["error"], "F1" in staff["error"]) == (True, False)
        assert (admin["motivo"], staff["motivo"]) == ("Se borró la ficha de Ana", None)
        assert (len(admin["registros"]), admin["registros_total"]) == (20 if path.endswith("s/") else 30, 30)
