"""What a front end sees of backups: shapes, filters, pages, and what each button does."""

import json
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import urlsplit

import asyncpg
import httpx
import pytest
from fastapi import FastAPI
from pydantic import SecretStr

from app.respaldos.backup.run import crear_respaldo
from app.respaldos.jobs.run import run_next
from app.respaldos.models import TipoRespaldo
from app.settings import Settings
from tests.api.conftest import (
    API,
    OTHER,
    add_backup,
    add_verification,
    application,
    bearer,
    client_of,
    events,
    jobs,
    rows,
)
from tests.respaldos.conftest import LARGE, SMALL
from tests.support.answer_keys import DETAIL, SUMMARY, keys
from tests.support.tcp_proxy import tcp_proxy

METADATA = keys(
    """modelos_respaldados, detalles_registros, tamaño_original_mb, tamaño_comprimido_mb, compresion_porcentaje,
    avisos, hash_sha256, sello, cifrado"""
)
STATISTICS = keys(
    """total_respaldos, completados, fallidos, tamaño_total_mb, ultimo_respaldo, tasa_exito, proximo_respaldo,
    costo_mensual_estimado_usd, serie, situacion, ultimo_bueno, ultima_verificacion, fallos_seguidos,
    tamaño_almacenado_mb, precio_gb_mes_usd"""
)
RESTORATION = keys(
    """id, respaldo_id, clinica_id, estado, simulada, modelos, progreso, resultado, respaldo_previo, error, usuario,
    fecha_creacion, fecha_fin, tipo, profundidad, registro, registros, registros_total, etiquetas,
    modo, motivo, conflictos, destino, con_accesos, con_clinica, avisos,
    comparado_con, copia"""
)
EVENT = {"id", "fecha", "clinica_id", "accion", "respaldo_id", "usuario", "direccion", "detalle", "usuario_nombre"}


async def listed(client: httpx.AsyncClient, **query: str | int) -> list[int]:
    """The ids of the list with that query."""
    answer = await client.get(f"{API}/respaldos/", params=query, headers=bearer())
    assert answer.status_code == 200, answer.text
    return [entry["id"] for entry in answer.json()]


async def test_a_list_is_an_array_of_summaries_newest_first(
    client: httpx.AsyncClient, conn: asyncpg.Connection
) -> None:
    older = await add_backup(conn, fecha_respaldo=datetime(2026, 7, 1, tzinfo=UTC))
    newer = await add_backup(conn, fecha_respaldo=datetime(2026, 7, 2, tzinfo=UTC))
    deleted = await add_backup(conn, fecha_eliminacion=datetime.now(UTC))
    answer = await client.get(f"{API}/respaldos/", headers=bearer())
    assert [entry["id"] for entry in answer.json()] == [newer, older]
    assert deleted not in [entry["id"] for entry in answer.json()]
    entry = answer.json()[0]
    assert set(entry) == SUMMARY
    assert entry["tamaño_mb"] == 1.5
    assert entry["estado_display"] == "Completado"
    assert entry["puede_restaurar"] is True
    assert entry["verificado"] is None
    assert "tamaño_bytes".encode() in answer.content
    assert entry["fecha_respaldo"][:10] == "2026-07-02"
    assert entry["fecha_expiracion"] == "2026-08-01T00:00:00+00:00"


async def test_pages_that_count_with_every_number_survive_a_failed_backup(
    client: httpx.AsyncClient, conn: asyncpg.Connection
) -> None:
    nothing: dict[str, Any] = {"tamaño_bytes": None, "numero_registros": None, "tiempo_ejecucion": None}
    failed = await add_backup(conn, estado="fallido", metadata={"error": "x", "error_type": "x"}, **nothing)
    (entry,) = (await client.get(f"{API}/respaldos/", headers=bearer())).json()
    shown = (await client.get(f"{API}/respaldos/{failed}/", headers=bearer())).json()
    for each in (entry, shown):
        assert (each["tamaño_bytes"], each["tamaño_mb"], each["numero_registros"]) == (0, 0, 0)
        assert each["fecha_expiracion"] is None
    assert shown["tiempo_ejecucion_segundos"] == 0
    assert {value for value in shown["metadata"].values() if isinstance(value, int | float)} == {0}
    statistics = (await client.get(f"{API}/respaldos/estadisticas/", headers=bearer())).json()
    assert statistics["tasa_exito"] == 0
    assert all(day["tamaño_mb"] == day["segundos"] == 0 for day in statistics["serie"])


async def test_a_detail_has_all_that_is_known(client: httpx.AsyncClient, conn: asyncpg.Connection) -> None:
    when = datetime(2026, 7, 5, tzinfo=UTC)
    respaldo_id = await add_backup(conn, verificado=when, verificado_profundidad="completa", usuario_nombre="Ana")
    shown = (await client.get(f"{API}/respaldos/{respaldo_id}/", headers=bearer())).json()
    assert set(shown) == DETAIL
    assert set(shown["metadata"]) == METADATA
    assert shown["tiempo_ejecucion"] == "00:00:04.381000"
    assert shown["tiempo_ejecucion_segundos"] == 4.381
    assert shown["verificado"] == {"fecha": "2026-07-05T00:00:00+00:00", "profundidad": "completa", "error": None}
    assert shown["usuario_nombre"] == "Ana"


async def test_a_failed_backup_says_why(client: httpx.AsyncClient, conn: asyncpg.Connection) -> None:
    said = {"error": "no hay espacio", "error_type": "almacenamiento_lleno"}
    respaldo_id = await add_backup(conn, estado="fallido", metadata=said)
    shown = (await client.get(f"{API}/respaldos/{respaldo_id}", headers=bearer())).json()
    assert {key: shown["metadata"][key] for key in said} == said
    assert set(shown["metadata"]) == METADATA | set(said)


async def test_a_running_backup_shows_how_far_it_is(client: httpx.AsyncClient, conn: asyncpg.Connection) -> None:
    progress = {"etapa": "leyendo", "modelo": "pacientes", "registros": 5, "registros_esperados": None, "bytes": 9}
    respaldo_id = await add_backup(conn, estado="procesando", progreso=progress)
    shown = (await client.get(f"{API}/respaldos/{respaldo_id}/", headers=bearer())).json()
    assert {key: shown["progreso"][key] for key in progress} == progress


@pytest.mark.parametrize("path", ["respaldos", "respaldos/estadisticas", "restauraciones", "eventos", "respaldos/1"])
async def test_a_route_answers_with_a_slash_and_without(
    path: str, client: httpx.AsyncClient, conn: asyncpg.Connection
) -> None:
    await add_backup(conn)
    answers = [await client.get(f"{API}/{path}{end}", headers=bearer()) for end in ("", "/")]
    assert [answer.status_code for answer in answers] == [200, 200]
    assert answers[0].content == answers[1].content


async def test_filters(client: httpx.AsyncClient, conn: asyncpg.Connection) -> None:
    night = await add_backup(conn, fecha_respaldo=datetime(2026, 7, 3, 6, tzinfo=UTC))
    failed = await add_backup(conn, estado="fallido", fecha_respaldo=datetime(2026, 7, 4, 3, 59, tzinfo=UTC))
    asked = await add_backup(conn, tipo_respaldo="por_demanda", fecha_respaldo=datetime(2026, 7, 4, 4, 0, tzinfo=UTC))
    assert await listed(client, estado="fallido") == [failed]
    assert await listed(client, tipo_respaldo="por_demanda") == [asked]
    assert await listed(client, tipo_respaldo="automatico", estado="completado") == [night]
    # La Paz is four hours behind UTC: its fourth of July begins at 04:00.
    assert await listed(client, desde="2026-07-04") == [asked]
    assert await listed(client, hasta="2026-07-03") == [failed, night]
    assert await listed(client, desde="2026-07-03", hasta="2026-07-03") == [failed, night]
    assert await listed(client, desde="2026-07-04T03:59:00Z", hasta="2026-07-04T04:00:00Z") == [failed]
    assert await listed(client, desde="2026-07-04T00:00:00") == [asked]
    assert await listed(client, desde="2026-07-03T23:59:00-04:00") == [asked, failed]
    assert await listed(client, desde="0001-01-01", hasta="9999-12-31") == [asked, failed, night]


async def test_pages_are_told_by_headers(client: httpx.AsyncClient, conn: asyncpg.Connection) -> None:
    ids = [await add_backup(conn, fecha_respaldo=datetime(2026, 7, day, tzinfo=UTC)) for day in range(1, 6)]
    query: dict[str, str | int] = {"estado": "completado", "limit": 2, "offset": 2}
    answer = await client.get(f"{API}/respaldos/", params=query, headers=bearer())
    assert [entry["id"] for entry in answer.json()] == [ids[2], ids[1]]
    assert answer.headers["x-total-count"] == "5"
    offsets = {name: link["url"] for name, link in answer.links.items()}
    base = f"{API}/respaldos/?estado=completado&limit=2&offset="
    assert offsets == {"first": f"{base}0", "prev": f"{base}0", "next": f"{base}4", "last": f"{base}4"}
    followed = await client.get(offsets["next"], headers=bearer())
    assert [entry["id"] for entry in followed.json()] == [ids[0]]
    assert set(followed.links) == {"first", "prev", "last"}


async def test_a_list_comes_in_the_order_that_is_asked_for(
    client: httpx.AsyncClient, conn: asyncpg.Connection
) -> None:
    day = datetime(2026, 7, 3, tzinfo=UTC)
    old = await add_backup(conn, fecha_respaldo=day, tamaño_bytes=20, numero_registros=3)
    waiting = await add_backup(conn, estado="procesando", fecha_respaldo=day + timedelta(1), tamaño_bytes=None)
    new = await add_backup(conn, fecha_respaldo=day + timedelta(2), tamaño_bytes=20, numero_registros=1)
    large = await add_backup(conn, fecha_respaldo=day - timedelta(1), tamaño_bytes=30, numero_registros=2)
    await conn.execute("UPDATE respaldos.respaldo SET numero_registros = NULL WHERE id = $1", waiting)
    assert await listed(client) == [new, waiting, old, large]
    assert await listed(client, orden="fecha_respaldo") == [large, old, waiting, new]
    assert await listed(client, orden="-tamaño_bytes") == [large, new, old, waiting]
    assert await listed(client, orden="tamaño_bytes") == [new, old, large, waiting]
    assert await listed(client, orden="-numero_registros") == [old, large, new, waiting]
    assert await listed(client, orden="numero_registros", limit=2) == [new, large]
    refused = await client.get(f"{API}/respaldos/", params={"orden": "usuario"}, headers=bearer())
    assert refused.status_code == 422


async def test_what_was_done_with_one_backup_can_be_listed(
    client: httpx.AsyncClient, conn: asyncpg.Connection
) -> None:
    first, second, theirs = await add_backup(conn), await add_backup(conn), await add_backup(conn, OTHER)
    checks = [await add_verification(conn, first), await add_verification(conn, second)]
    await add_verification(conn, theirs)
    await client.get(f"{API}/respaldos/{second}/descargar/", headers=bearer())

    async def about(path: str, respaldo_id: int) -> list[dict[str, Any]]:
        answer = await client.get(f"{API}/{path}/", params={"respaldo_id": respaldo_id}, headers=bearer())
        assert answer.headers["x-total-count"] == str(len(answer.json()))
        found: list[dict[str, Any]] = answer.json()
        return found

    assert [each["id"] for each in await about("restauraciones", first)] == checks[:1]
    assert await about("restauraciones", theirs) == []
    assert [each["accion"] for each in await about("eventos", second)] == ["enlace_descarga"]
    assert await about("eventos", first) == []


async def test_the_clinic_of_who_asks(client: httpx.AsyncClient) -> None:
    url = f"{API}/clinica/"
    own = {
        "clinica_id": SMALL,
        "nombre": "Clínica pequeña",
        "activa": True,
        "zona_horaria": "America/La_Paz",
        "respaldo_diario": "02:00",
        "politica": "Se respalda todos los días a las 2:00. Se guarda cada respaldo 30 días. El último respaldo bueno"
        " no se elimina por su edad. Se avisa por correo a quienes administran la clínica.",
        "puede_administrar": True,
        "puede_programar": False,
    }
    assert (await client.get(url, headers=bearer())).json() == own
    staff = await client.get(url, headers=bearer(rol="Recepcionista"))
    assert staff.json() == own | {"puede_administrar": False}
    chosen = await client.get(url, params={"clinica_id": OTHER}, headers=bearer(None))
    assert (chosen.json()["nombre"], chosen.json()["puede_administrar"]) == ("Clínica grande", True)
    assert chosen.json()["puede_programar"]
    asked = {"hora": "22:30", "dias": ["lunes", "martes", "miércoles"]}
    await client.post(f"{API}/plataforma/clinicas/{SMALL}/politica/", json=asked, headers=bearer(None))
    held = (await client.get(url, headers=staff.request.headers)).json()
    assert held["respaldo_diario"] == "22:30"
    assert held["politica"].startswith("Se respalda de lunes a miércoles a las 22:30. ")


async def test_the_superadmin_sees_all_clinics_the_worst_first(
    client: httpx.AsyncClient, conn: asyncpg.Connection
) -> None:
    await add_backup(conn, OTHER, fecha_respaldo=datetime.now(UTC), verificado=datetime.now(UTC))
    old = await add_backup(conn, SMALL, tamaño_bytes=3 << 19)
    answer = await client.get(f"{API}/plataforma/clinicas/", headers=bearer(None))
    assert answer.headers["x-total-count"] == "3"
    found = answer.json()
    assert [(each["nombre"], each["situacion"]) for each in found] == [
        ("Clínica nueva", "sin_respaldo"),
        ("Clínica pequeña", "atrasada"),
        ("Clínica grande", "sin_verificar"),
    ]
    assert found[1] == {
        "clinica_id": SMALL,
        "nombre": "Clínica pequeña",
        "activa": True,
        "zona_horaria": "America/La_Paz",
        "situacion": "atrasada",
        "ultimo_bueno": {"id": old, "fecha": "2026-07-03T06:00:00+00:00", "tamaño_mb": 1.5},
        "ultima_verificacion": None,
        "en_curso": None,
        "fallos_seguidos": 0,
        "ultimo_error": None,
    }
    late = await client.get(
        f"{API}/plataforma/clinicas/", params={"situacion": "atrasada", "limit": 1}, headers=bearer(None)
    )
    assert (late.json(), late.headers["x-total-count"]) == (found[1:2], "1")
    assert "situacion=atrasada" in late.headers["link"]
    page = await client.get(f"{API}/plataforma/clinicas/", params={"limit": 1, "offset": 1}, headers=bearer(None))
    assert page.json() == found[1:2]
    assert {"first", "prev", "next", "last"} == set(page.links)
    named = await client.get(f"{API}/plataforma/clinicas/", params={"buscar": " PEQUENA "}, headers=bearer(None))
    assert (named.json(), named.headers["x-total-count"]) == (found[1:2], "1")
    for said in (answer, named):
        counts = dict(each.split("=") for each in said.headers["x-situaciones"].split(", "))
        assert {word: int(many) for word, many in counts.items() if many != "0"} == {
            **{"sin_respaldo": 1, "atrasada": 1, "sin_verificar": 1}
        }


async def test_a_page_has_a_hundred_entries_if_nothing_is_said(
    client: httpx.AsyncClient, conn: asyncpg.Connection
) -> None:
    await conn.execute(
        "INSERT INTO respaldos.respaldo (clinica_id, tipo_respaldo, estado) SELECT $1, 'automatico', 'fallido'"
        " FROM generate_series(1, 1001)",
        SMALL,
    )
    assert len(await listed(client)) == 100
    assert len(await listed(client, limit=1000)) == 1000
    assert await listed(client, offset=5000) == []


async def test_statistics(client: httpx.AsyncClient, conn: asyncpg.Connection) -> None:
    answer = await client.get(f"{API}/respaldos/estadisticas/", headers=bearer())
    assert answer.status_code == 200
    assert answer.json()["ultimo_respaldo"] is None
    respaldo_id = await add_backup(conn, fecha_respaldo=datetime.now(UTC) - timedelta(days=1))
    found = (await client.get(f"{API}/respaldos/estadisticas/", headers=bearer())).json()
    assert set(found) == STATISTICS
    assert set(found["ultimo_respaldo"]) == {"id", "fecha", "tamaño_mb"}
    assert found["ultimo_respaldo"]["id"] == respaldo_id
    assert found["serie"]
    assert all(set(point) == {"dia", "estado", "tamaño_mb", "segundos"} for point in found["serie"])


@pytest.mark.parametrize("body", [None, {}, {"descripcion": "Antes del cambio «ñ»"}])
async def test_a_backup_is_asked_for_and_made(
    body: dict[str, str] | None, app: FastAPI, client: httpx.AsyncClient, conn: asyncpg.Connection, redis_url: str
) -> None:
    answer = await client.post(f"{API}/respaldos/crear_respaldo_manual/", json=body, headers=bearer())
    assert answer.status_code == 202
    assert set(answer.json()) == {"mensaje", "respaldo"}
    respaldo = answer.json()["respaldo"]
    assert set(respaldo) == DETAIL
    assert (respaldo["estado"], respaldo["tipo_respaldo"]) == ("pendiente", "por_demanda")
    assert respaldo["descripcion"] == (body or {}).get("descripcion", "")
    assert (respaldo["usuario"], respaldo["usuario_nombre"]) == ("1", "Ana Peñaranda")
    assert await jobs(redis_url) == 1
    line = (await events(conn, "creacion"))[-1]
    assert (line["respaldo_id"], line["usuario"], line["direccion"]) == (respaldo["id"], "1", "127.0.0.1")

    await run_next(app.state.service.resources)
    shown = (await client.get(f"{API}/respaldos/{respaldo['id']}/", headers=bearer())).json()
    assert shown["estado"] == "completado"
    assert shown["numero_registros"] == sum(shown["metadata"]["detalles_registros"].values())
    link = (await client.get(f"{API}/respaldos/{respaldo['id']}/descargar/", headers=bearer())).json()
    assert set(link) == {"url", "expira_en_segundos", "archivo", "tamaño_mb", "cifrado", "copia"}
    assert link["cifrado"] is False
    assert link["expira_en_segundos"] == 3600
    async with httpx.AsyncClient() as outside:
        assert len((await outside.get(link["url"])).content) == shown["tamaño_bytes"]


async def test_the_clinics_running_backup_is_shown_to_whoever_wants_another(
    client: httpx.AsyncClient, conn: asyncpg.Connection
) -> None:
    running = await add_backup(conn, estado="procesando")
    answer = await client.post(f"{API}/respaldos/crear_respaldo_manual/", json={}, headers=bearer())
    assert answer.status_code == 409
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json()["codigo"] == "operacion_en_curso"
    assert answer.json()["respaldo"]["id"] == running
    assert set(answer.json()["respaldo"]) == DETAIL
    assert await rows(conn) == 1


@pytest.mark.parametrize("estado", ["pendiente", "procesando", "fallido", "cancelado"])
async def test_only_a_completed_backup_is_downloaded(
    estado: str, client: httpx.AsyncClient, conn: asyncpg.Connection
) -> None:
    respaldo_id = await add_backup(conn, estado=estado)
    answer = await client.get(f"{API}/respaldos/{respaldo_id}/descargar/", headers=bearer())
    assert (answer.status_code, answer.json()["estado"]) == (409, estado)
    assert answer.json()["error"]


async def test_a_pending_backup_is_cancelled(client: httpx.AsyncClient, conn: asyncpg.Connection) -> None:
    respaldo_id = await add_backup(conn, estado="pendiente")
    answer = await client.post(f"{API}/respaldos/{respaldo_id}/cancelar/", headers=bearer())
    assert answer.status_code == 202
    assert set(answer.json()) == {"mensaje", "respaldo"}
    assert answer.json()["respaldo"]["estado"] == "cancelado"
    again = await client.post(f"{API}/respaldos/{respaldo_id}/cancelar/", headers=bearer())
    assert (again.status_code, again.json()["codigo"]) == (409, "respaldo_no_en_curso")


async def test_what_can_be_taken_back_is_listed_by_itself(
    client: httpx.AsyncClient, conn: asyncpg.Connection
) -> None:
    now = datetime.now(UTC)
    there = await add_backup(conn)
    deleted = await add_backup(conn, fecha_eliminacion=now)
    await add_backup(conn, fecha_eliminacion=now, purgado=now)
    await add_backup(conn, fecha_eliminacion=now, purga_iniciada=now)
    await add_backup(conn, OTHER, fecha_eliminacion=now)
    assert await listed(client) == [there]
    assert await listed(client, eliminados="true") == [deleted]
    answer = await client.get(f"{API}/respaldos/", params={"eliminados": "true"}, headers=bearer())
    assert (answer.headers["x-total-count"], answer.json()[0]["puede_restaurar"]) == ("1", False)


async def test_a_backup_is_deleted_and_taken_back(app: FastAPI, client: httpx.AsyncClient) -> None:
    resources = app.state.service.resources
    first, last = [(await crear_respaldo(resources, clinica_id=SMALL, tipo=TipoRespaldo.MANUAL)).id for _ in range(2)]
    gone = await client.delete(f"{API}/respaldos/{first}/", headers=bearer())
    assert (gone.status_code, gone.content) == (204, b"")
    assert await listed(client) == [last]
    assert (await client.get(f"{API}/respaldos/{first}/", headers=bearer())).status_code == 404

    kept = await client.delete(f"{API}/respaldos/{last}/", headers=bearer())
    assert (kept.status_code, kept.json()["codigo"]) == (409, "ultimo_respaldo_bueno")

    back = await client.post(f"{API}/respaldos/{first}/recuperar/", headers=bearer())
    assert back.status_code == 200
    assert set(back.json()) == {"mensaje", "respaldo"}
    assert set(await listed(client)) == {first, last}
    twice = await client.post(f"{API}/respaldos/{first}/recuperar/", headers=bearer())
    assert (twice.status_code, twice.json()["codigo"]) == (409, "respaldo_no_eliminado")


async def test_a_backup_is_held_and_released(client: httpx.AsyncClient, conn: asyncpg.Connection) -> None:
    respaldo_id, _ = [await add_backup(conn, fecha_respaldo=datetime.now(UTC)) for _ in range(2)]
    place = f"{API}/respaldos/{respaldo_id}"
    for wrong in ({}, {"motivo": " "}, {"motivo": "x" * 501}, {"motivo": "x", "hasta": "mañana"}):
        assert (await client.post(f"{place}/retener/", headers=bearer(), json=wrong)).status_code == 422
    passed = await client.post(f"{place}/retener/", headers=bearer(), json={"motivo": "x", "hasta": "2020-01-01"})
    assert (passed.status_code, passed.json()["codigo"]) == (409, "retencion_pasada")
    body = {"motivo": " Lo pide el Ministerio ", "hasta": "2999-12-31"}
    held = await client.post(f"{place}/retener/", headers=bearer(), json=body)
    assert held.status_code == 200
    hold = held.json()["respaldo"]["retenido"]
    # That day is in it, where the clinics are.
    assert (hold["motivo"], hold["hasta"]) == ("Lo pide el Ministerio", "3000-01-01T04:00:00+00:00")
    assert [b["retenido"] is not None for b in (await client.get(f"{API}/respaldos/", headers=bearer())).json()] in (
        [True, False],
        [False, True],
    )
    refused = await client.delete(f"{place}/", headers=bearer())
    assert (refused.status_code, refused.json()["codigo"]) == (409, "respaldo_retenido")
    freed = await client.post(f"{place}/liberar/", headers=bearer())
    assert (freed.status_code, freed.json()["respaldo"]["retenido"]) == (200, None)
    assert (await client.delete(f"{place}/", headers=bearer())).status_code == 204


async def test_what_only_the_platform_deletes(client: httpx.AsyncClient, conn: asyncpg.Connection) -> None:
    await add_backup(conn, fecha_respaldo=datetime.now(UTC))
    old = await add_backup(conn, fecha_respaldo=datetime.now(UTC) - timedelta(days=8))
    refused = await client.delete(f"{API}/respaldos/{old}/", headers=bearer())
    assert (refused.status_code, refused.json()["codigo"]) == (409, "respaldo_protegido")
    gone = await client.delete(f"{API}/respaldos/{old}/?clinica_id={SMALL}", headers=bearer(None))
    assert gone.status_code == 204


async def test_a_running_backup_is_not_deleted(client: httpx.AsyncClient, conn: asyncpg.Connection) -> None:
    respaldo_id = await add_backup(conn, estado="procesando")
    answer = await client.delete(f"{API}/respaldos/{respaldo_id}/", headers=bearer())
    assert (answer.status_code, answer.json()["codigo"]) == (409, "operacion_en_curso")


async def test_a_suspicious_backup_is_accepted_once(client: httpx.AsyncClient, conn: asyncpg.Connection) -> None:
    respaldo_id = await add_backup(conn, sospechoso=True)
    answer = await client.post(f"{API}/respaldos/{respaldo_id}/aceptar/", headers=bearer())
    assert answer.status_code == 200
    assert answer.json()["respaldo"]["id"] == respaldo_id
    again = await client.post(f"{API}/respaldos/{respaldo_id}/aceptar/", headers=bearer())
    assert (again.status_code, again.json()["codigo"]) == (409, "respaldo_no_sospechoso")


@pytest.mark.parametrize(("body", "depth"), [(None, "rapida"), ({"profundidad": "completa"}, "completa")])
async def test_a_verification_is_asked_for(
    body: dict[str, str] | None, depth: str, client: httpx.AsyncClient, conn: asyncpg.Connection, redis_url: str
) -> None:
    respaldo_id = await add_backup(conn)
    answer = await client.post(f"{API}/respaldos/{respaldo_id}/verificar/", json=body, headers=bearer())
    assert answer.status_code == 202
    asked = answer.json()
    assert set(asked) == RESTORATION
    assert (asked["estado"], asked["tipo"], asked["profundidad"]) == ("pendiente", "verificacion", depth)
    assert asked["respaldo_id"] == respaldo_id
    assert await jobs(redis_url) == 1
    shown = await client.get(f"{API}/restauraciones/{asked['id']}/", headers=bearer(rol="Recepcionista"))
    assert shown.json() == asked


async def test_what_redis_did_not_hear_of_any_more_is_done_all_the_same(
    settings: Settings, redis_url: str, conn: asyncpg.Connection
) -> None:
    respaldo_id = await add_backup(conn)
    address = urlsplit(redis_url)
    ping = b"*1\r\n$4\r\nPING\r\n"
    async with tcp_proxy("127.0.0.1", address.port or 0) as proxy:
        through = SecretStr(redis_url.replace(f":{address.port}", f":{proxy.port}"))
        async with application(settings.model_copy(update={"redis_url": through})) as app, client_of(app) as client:
            asked = []
            for path in ("crear_respaldo_manual/", f"{respaldo_id}/verificar/"):
                proxy.restore()
                await app.state.service.queue.check()
                # It still answers that it is there, and is gone before it is told.
                proxy.cut(len(ping), times=100)
                asked.append(await client.post(f"{API}/respaldos/{path}", headers=bearer()))
            assert proxy.cuts >= 2
            proxy.restore()
    assert [answer.status_code for answer in asked] == [202, 202]
    assert await jobs(redis_url) == 0
    assert await conn.fetchval("SELECT count(*) FROM respaldos.respaldo WHERE estado = 'pendiente'") == 1
    assert (
        await conn.fetchval(
            "SELECT count(*) FROM respaldos.trabajo WHERE clase = 'verificacion' AND estado = 'pendiente'"
        )
        == 1
    )


async def test_verifications_are_listed_newest_first(client: httpx.AsyncClient, conn: asyncpg.Connection) -> None:
    respaldo_id = await add_backup(conn)
    ids = [await add_verification(conn, respaldo_id) for _ in range(3)]
    answer = await client.get(f"{API}/restauraciones/", params={"limit": 2}, headers=bearer())
    assert [entry["id"] for entry in answer.json()] == [ids[2], ids[1]]
    assert answer.headers["x-total-count"] == "3"
    assert "next" in answer.links
    missing = await client.get(f"{API}/restauraciones/999/", headers=bearer())
    assert missing.status_code == 404


async def test_the_audit_trail_of_a_clinic(client: httpx.AsyncClient, conn: asyncpg.Connection) -> None:
    respaldo_id = await add_backup(conn)
    await client.get(f"{API}/respaldos/{respaldo_id}/descargar/", headers=bearer())
    await client.post(f"{API}/respaldos/{respaldo_id}/aceptar/", headers=bearer())
    answer = await client.get(f"{API}/eventos/", headers=bearer())
    assert [entry["accion"] for entry in answer.json()] == ["enlace_descarga"]
    assert answer.headers["x-total-count"] == "1"
    entry = answer.json()[0]
    assert set(entry) == EVENT
    assert (entry["respaldo_id"], entry["usuario"], entry["direccion"]) == (respaldo_id, "1", "127.0.0.1")
    filtered = await client.get(f"{API}/eventos/", params={"accion": "creacion"}, headers=bearer())
    assert filtered.json() == []


async def test_the_trail_names_who_did_it(client: httpx.AsyncClient, conn: asyncpg.Connection) -> None:
    [own] = await conn.fetch(
        "SELECT codigo::text, concat_ws(' ', nombre, apellido) FROM usuario WHERE clinica_id = $1 LIMIT 1", SMALL
    )
    others = await conn.fetchval("SELECT codigo::text FROM usuario WHERE clinica_id = $1 LIMIT 1", LARGE)
    for usuario in (own[0], others, "superadmin@respaldos.example", None):
        await conn.execute(
            "INSERT INTO respaldos.evento (clinica_id, accion, usuario) VALUES ($1, 'ingreso', $2)", SMALL, usuario
        )
    answer = await client.get(f"{API}/eventos/", headers=bearer())
    assert [(line["usuario"], line["usuario_nombre"]) for line in reversed(answer.json())] == [
        tuple(own),
        (others, None),
        ("superadmin@respaldos.example", None),
        (None, None),
    ]


async def test_the_trail_is_shown_where_nobodys_name_can_be_read(
    client: httpx.AsyncClient, conn: asyncpg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("app.clinic.people.users.QUERY_SECONDS", 1)
    respaldo_id = await add_backup(conn)
    await client.get(f"{API}/respaldos/{respaldo_id}/descargar/", headers=bearer())
    async with conn.transaction():
        await conn.execute("LOCK usuario")
        answer = await client.get(f"{API}/eventos/", headers=bearer())
    assert [(line["usuario"], line["usuario_nombre"]) for line in answer.json()] == [("1", None)]


async def test_ids_that_are_no_ids(client: httpx.AsyncClient) -> None:
    for path, status in [("999", 404), ("0", 422), (str(2**63), 422), ("9" * 5000, 404), ("-1", 404), ("uno", 404)]:
        answer = await client.get(f"{API}/respaldos/{path}/", headers=bearer())
        assert (answer.status_code, path[:10]) == (status, path[:10])
        assert answer.headers["content-type"] == "application/problem+json"
    json.loads(answer.content)
