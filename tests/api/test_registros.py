"""Finding records over HTTP: whole, line by line, and one record's history."""

import json
from collections import Counter
from typing import Any

import asyncpg
import httpx
import pytest
from pydantic import SecretStr

from app.api.routes.registros import SEARCHES
from app.errors import SettingsError
from app.settings import Settings
from tests.api.conftest import API, OTHER, application, asking, bearer, client_of, served
from tests.respaldos.conftest import SMALL, back_up, connected, opened
from tests.storage.conftest import Store
from tests.support.patients import CARD, FAMILY, NAME, add_patient, remove_patient

NDJSON = {"Accept": "application/x-ndjson"}


@pytest.fixture
def settings(settings: Settings, own_database: str) -> Settings:
    """On a database of the test's own, which it may change."""
    return settings.model_copy(update={"database_url": SecretStr(own_database)})


@pytest.fixture
async def conn(own_database: str) -> Any:
    """A connection to it."""
    async with connected(own_database) as connection:
        yield connection


async def deleted_patient(conn: asyncpg.Connection, store: Store, own_database: str) -> tuple[int, int]:
    """The key of a patient who is in one backup, and that backup."""
    code = await add_patient(conn)
    async with opened(store, service=own_database) as resources:
        made = await back_up(resources)
        await remove_patient(conn, code)
        await back_up(resources)
    return code, made.id


async def test_a_page(settings: Settings, conn: asyncpg.Connection, store: Store, own_database: str) -> None:
    code, respaldo_id = await deleted_patient(conn, store, own_database)
    async with asking(settings) as client:
        answer = await client.get(f"{API}/registros/", params={"buscar": "zacarias nanduquispe"}, headers=bearer())
        assert answer.status_code == 200, answer.text
        found = answer.json()
        assert (found["hay_mas"], found["avisos"]) == (False, [])
        (one,) = found["resultados"]
        assert (one["modelo"], one["clave"], one["estado"]) == ("pacientes", str(code), "eliminado")
        assert (one["etiqueta"], one["en_respaldo"]) == (f"{NAME} {FAMILY}", respaldo_id)
        assert one["coincidencia"] == {"modelo": "usuarios", "columna": "apellido", "extracto": FAMILY}
        none = await client.get(
            f"{API}/registros/", params={"buscar": CARD, "modelos": "facturas, consultas"}, headers=bearer()
        )
        assert none.json()["resultados"] == []
        other = await client.get(f"{API}/registros/", params={"buscar": CARD, "clinica_id": OTHER}, headers=bearer())
        assert other.status_code == 404
        superadmin = {"buscar": CARD, "clinica_id": str(SMALL)}
        answer = await client.get(f"{API}/registros/", params=superadmin, headers=bearer(None))
        assert [each["clave"] for each in answer.json()["resultados"]] == [str(code)]
        theirs = await client.get(
            f"{API}/registros/", params={"buscar": CARD, "clinica_id": OTHER}, headers=bearer(None)
        )
        assert theirs.json()["resultados"] == []


async def test_lines(settings: Settings, conn: asyncpg.Connection, store: Store, own_database: str) -> None:
    code, _ = await deleted_patient(conn, store, own_database)
    async with served(settings) as url, httpx.AsyncClient(base_url=url) as client:
        async with client.stream(
            "GET", f"{API}/registros", params={"buscar": CARD}, headers=bearer() | NDJSON
        ) as answer:
            assert answer.status_code == 200
            assert answer.headers["content-type"].startswith("application/x-ndjson")
            lines = [json.loads(line) async for line in answer.aiter_lines()]
        assert lines[-1] == {"hay_mas": False, "avisos": []}
        assert {line["clave"] for line in lines[:-1]} == {str(code)}
        assert lines[-2]["eliminado_entre"] is not None
        wrong = await client.get(f"{API}/registros/", params={"buscar": "x" * 201}, headers=bearer() | NDJSON)
        assert (wrong.status_code, wrong.json()["codigo"]) == (422, "solicitud_invalida")


async def test_the_history(settings: Settings, conn: asyncpg.Connection, store: Store, own_database: str) -> None:
    code, respaldo_id = await deleted_patient(conn, store, own_database)
    async with asking(settings) as client:
        answer = await client.get(f"{API}/registros/pacientes/{code}/historia", headers=bearer())
        assert answer.status_code == 200, answer.text
        found = answer.json()
        assert (found["clave"], found["etiqueta"]) == (str(code), f"{NAME} {FAMILY}")
        assert [(each["existe"], each["en_respaldo"], each["hoy"]) for each in found["versiones"]] == [
            (False, None, True),
            (True, respaldo_id, False),
        ]
        for path in (f"consultas/{code}9999999", "pacientes/abc", "nada/1", "pacientes/1,2", "pacientes/a%2Fb"):
            for what in ("historia", "entero"):
                missing = await client.get(f"{API}/registros/{path}/{what}/", headers=bearer())
                assert (missing.status_code, missing.json()["codigo"]) == (404, "registro_inexistente"), path
        path = f"{API}/registros/pacientes/{code}/entero"
        then = (await client.get(path, params={"respaldo": respaldo_id}, headers=bearer())).json()
        assert (then["en_respaldo"], then["etiqueta"]) == (respaldo_id, f"{NAME} {FAMILY}")
        assert ("usuarios", "nombre", NAME) in [(e["modelo"], e["columna"], e["valor"]) for e in then["campos"]]
        assert (await client.get(path, headers=bearer())).status_code == 404


async def test_too_many_at_once(settings: Settings) -> None:
    async with application(settings) as app, client_of(app) as client:
        app.state.under_way[SEARCHES] = under_way = Counter({SMALL: 2})
        answer = await client.get(f"{API}/registros/", params={"buscar": CARD}, headers=bearer())
        assert (answer.status_code, answer.headers["retry-after"]) == (429, "10")
        under_way.clear()
        for _ in range(5):
            answer = await client.get(f"{API}/registros/", params={"buscar": CARD}, headers=bearer())
            assert answer.status_code == 200


async def test_a_rule_that_names_what_there_is_not_stops_the_start(settings: Settings) -> None:
    wrong = settings.model_copy(update={"record_labels": {"pacientes": "{apellido}"}})
    with pytest.raises(SettingsError, match=r"RECORD_LABELS: la columna «paciente\.apellido» no existe"):
        async with application(wrong):
            pass
    # What cannot be asked just now keeps nobody from starting.
    away = {"clinic_database_url": SecretStr("postgresql+asyncpg://nadie@127.0.0.1:1/nada")}
    async with asking(wrong.model_copy(update=away)) as client:
        assert (await client.get("/salud/viva")).status_code == 200
