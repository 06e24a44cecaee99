"""Every route of the OpenAPI document, with a token of one clinic and the ids of another."""

import json
from typing import Any, NamedTuple

import asyncpg
import httpx
import pytest

from app.main import create_app
from app.settings import Settings
from tests.api.conftest import OTHER, add_backup, add_export, add_verification, bearer
from tests.respaldos.conftest import SMALL
from tests.storage.conftest import Store
from tests.support.jobs import add_exportacion

METHODS = {"get", "post", "put", "patch", "delete"}


class Operation(NamedTuple):
    """One route of the document."""

    method: str
    path: str
    body: Any
    path_parameters: tuple[str, ...]
    takes_clinic: bool
    query: dict[str, str]
    template: str

    def __str__(self) -> str:
        return f"{self.method.upper()} {self.path}"

    async def ask(
        self, client: httpx.AsyncClient, ids: dict[str, int], headers: dict[str, str], **params: str | int
    ) -> httpx.Response:
        """The answer where the things in the path are those of `ids`."""
        path = self.path
        for name in self.path_parameters:
            path = path.replace(f"{{{name}}}", str(ids[name]))
        return await client.request(self.method, path, json=self.body, params=params or None, headers=headers)


def operations() -> list[Operation]:
    """All routes that need a token."""
    document = create_app(Settings(_env_file=None)).openapi()
    found = []
    for path, item in document["paths"].items():
        for method, operation in item.items():
            assert method in METHODS, method
            if not operation.get("security"):
                continue
            parameters = operation.get("parameters", [])
            # What is no number is the same of every clinic.
            named = {each["name"]: each["schema"]["examples"][0] for each in parameters if each["name"] == "modelo"}
            content = operation.get("requestBody", {}).get("content", {}).get("application/json")
            found.append(
                Operation(
                    method,
                    path.replace("{modelo}", named.get("modelo", "")),
                    None if content is None else example(document, content["schema"]),
                    tuple(
                        parameter["name"]
                        for parameter in parameters
                        if parameter["in"] == "path" and parameter["name"] not in named
                    ),
                    any(parameter["name"] == "clinica_id" for parameter in parameters),
                    {
                        parameter["name"]: parameter["schema"]["examples"][0]
                        for parameter in parameters
                        if parameter["in"] == "query" and parameter.get("required")
                    },
                    path,
                )
            )
    return found


def example(document: dict[str, Any], schema: dict[str, Any]) -> Any:
    """The first example of a body's schema."""
    for part in schema.get("anyOf", [schema]):
        name = part.get("$ref", "").rpartition("/")[2]
        for found in document["components"]["schemas"].get(name, {}).get("examples", []):
            return found
    raise AssertionError(f"a body without an example: {schema}")


EVERY = operations()

# A superadmin's alone, who chooses no clinic for them.
PLATFORM = [operation for operation in EVERY if operation.path.startswith("/api/v1/plataforma/")]

# It tells of the token itself, of whatever clinic that is.
OF_THE_TOKEN = [operation for operation in EVERY if operation.path.startswith("/api/v1/auth/")]

OPERATIONS = [operation for operation in EVERY if operation not in PLATFORM + OF_THE_TOKEN]

# Everybody may ask for these.
OPEN = {"/api/v1/auth/login/", "/api/v1/exportaciones/archivo/", "/salud/viva", "/salud/lista", "/metrics"}


def test_every_route_but_these_needs_a_token() -> None:
    document = create_app(Settings(_env_file=None)).openapi()
    assert set(document["paths"]) - {operation.template for operation in EVERY} == OPEN
    assert len(OPERATIONS) >= 14


class Theirs(NamedTuple):
    """The other clinic's things, and the platform's: of each kind that a path can name, all ids."""

    ids: dict[str, list[int]]

    @property
    def first(self) -> dict[str, int]:
        """The first of each kind."""
        return {name: numbers[0] for name, numbers in self.ids.items()}

    @property
    def last(self) -> dict[str, int]:
        """The last of each kind: the platform's, where it has any."""
        return {name: numbers[-1] for name, numbers in self.ids.items()}


@pytest.fixture
async def theirs(conn: asyncpg.Connection, store: Store) -> Theirs:
    """Backups of OTHER in every state in which something could be done with one, a verification, and exports."""
    await conn.execute("ALTER SEQUENCE respaldos.respaldo_id_seq RESTART 700001")
    await conn.execute("ALTER SEQUENCE respaldos.restauracion_id_seq RESTART 800001")
    await conn.execute("ALTER SEQUENCE respaldos.exportacion_id_seq RESTART 900001")
    await conn.execute("ALTER SEQUENCE respaldos.clave_api_id_seq RESTART 600001")
    backups = [
        await add_backup(conn, OTHER),
        await add_backup(conn, OTHER),
        await add_backup(conn, OTHER, estado="procesando"),
        await add_backup(conn, OTHER, sospechoso=True),
        await add_backup(conn, OTHER, fecha_eliminacion=await conn.fetchval("SELECT now()")),
        await add_backup(conn, None),
        await add_backup(conn, None, estado="procesando"),
        await add_backup(conn, None, fecha_eliminacion=await conn.fetchval("SELECT now()")),
    ]
    platforms = await add_verification(conn, backups[5])
    await conn.execute("ALTER SEQUENCE respaldos.respaldo_id_seq RESTART 1")
    await add_backup(conn, SMALL)
    verified = [await add_verification(conn, backups[0]), platforms]
    exported = [
        await add_exportacion(conn, backups[0], job={"estado": "procesando"}),
        await add_export(conn, backups[0]),
        await add_export(conn, backups[5]),
    ]
    patients = await conn.fetch(f"SELECT codusuario FROM paciente WHERE clinica_id = {OTHER} ORDER BY 1 DESC LIMIT 2")
    return Theirs(
        {
            "respaldo_id": backups,
            "restauracion_id": verified,
            "exportacion_id": exported,
            "clave_id": [
                await conn.fetchval(
                    "INSERT INTO respaldos.clave_api (clinica_id, nombre, alcances, publica, huella, vence)"
                    " VALUES ($1, 'Suya', '{mirar}', 'a', 'b', now() + interval '1 day') RETURNING id",
                    OTHER,
                )
            ],
            "clave": [code for (code,) in patients],
        },
    )


async def everything(conn: asyncpg.Connection) -> str:
    """All that the service knows, but the audit trail's lines about SMALL's own attempts."""
    tables = [
        await conn.fetch(f"SELECT to_jsonb(t)::text FROM respaldos.{table} AS t ORDER BY 1")
        for table in (
            "respaldo",
            "restauracion",
            "exportacion",
            "intento",
            "trabajo",
            "aviso",
            "programacion",
            "clave_api",
        )
    ]
    tables.append(
        await conn.fetch("SELECT to_jsonb(t)::text FROM respaldos.evento AS t WHERE clinica_id = $1", OTHER)
    )
    return json.dumps([[row[0] for row in table] for table in tables])


# All routes are asked on one set of rows, which none of them may have changed when the next one is asked.


async def test_another_clinics_ids_do_not_exist(
    theirs: Theirs, client: httpx.AsyncClient, conn: asyncpg.Connection
) -> None:
    before = await everything(conn)
    for operation in [each for each in OPERATIONS if each.path_parameters]:
        (parameter,) = operation.path_parameters
        assert parameter in theirs.ids, f"{operation}: say in `theirs` what a «{parameter}» is"
        for number in theirs.ids[parameter]:
            answer = await operation.ask(client, {parameter: number}, bearer())
            assert answer.status_code == 404, (operation, number, answer.text)
            mine = await operation.ask(client, {parameter: 999}, bearer())
            said = mine.json()["detail"].replace("999", str(number))
            assert said == answer.json()["detail"], (operation, number)
        assert await everything(conn) == before, operation


async def test_another_clinic_cannot_be_chosen(
    theirs: Theirs, client: httpx.AsyncClient, conn: asyncpg.Connection
) -> None:
    before = await everything(conn)
    for operation in OPERATIONS:
        assert operation.takes_clinic, operation
        answer = await operation.ask(client, theirs.first, bearer(), clinica_id=OTHER)
        assert answer.status_code == 404, (operation, answer.text)
        assert await everything(conn) == before, operation


@pytest.mark.parametrize("rol", ["Administrador", "superadmin", "Recepcionista", "Paciente"])
async def test_nobody_of_a_clinic_chooses_the_platform(
    rol: str, theirs: Theirs, client: httpx.AsyncClient, conn: asyncpg.Connection
) -> None:
    before = await everything(conn)
    for operation in OPERATIONS:
        for params in ({"plataforma": "true"}, {"plataforma": "true", "clinica_id": str(SMALL)}):
            answer = await operation.ask(client, theirs.last, bearer(rol=rol), **params)
            assert (answer.status_code, answer.json()["codigo"]) == (403, "sin_permiso"), (operation, params)
        assert await everything(conn) == before, operation


async def test_lists_and_statistics_hold_nothing_of_another_clinic(theirs: Theirs, client: httpx.AsyncClient) -> None:
    for operation in [each for each in OPERATIONS if each.method == "get" and not each.path_parameters]:
        answer = await operation.ask(client, {}, bearer(), **operation.query)
        assert answer.status_code == 200, (operation, answer.text)
        for number in theirs.ids["respaldo_id"] + theirs.ids["restauracion_id"] + theirs.ids["exportacion_id"]:
            assert str(number) not in answer.text, operation
        if "X-Total-Count" in answer.headers:
            assert int(answer.headers["X-Total-Count"]) == len(answer.json()), operation
            assert all(entry["clinica_id"] == SMALL for entry in answer.json()), operation


@pytest.mark.parametrize("rol", ["Administrador", "superadmin", "Recepcionista", "Paciente"])
async def test_what_is_the_platforms_is_no_clinics(
    rol: str, theirs: Theirs, client: httpx.AsyncClient, conn: asyncpg.Connection
) -> None:
    before = await everything(conn)
    for operation in PLATFORM:
        assert set(operation.path_parameters) <= {"clinica_id"}, operation
        for params in ({}, {"clinica_id": SMALL}, {"clinica_id": OTHER}):
            answer = await operation.ask(client, {"clinica_id": SMALL}, bearer(rol=rol), **params)
            assert (answer.status_code, answer.json()["codigo"]) == (403, "sin_permiso"), (operation, params)
        assert await everything(conn) == before, operation


@pytest.mark.parametrize("operation", PLATFORM, ids=str)
async def test_what_is_the_platforms_is_the_superadmins(
    operation: Operation, theirs: Theirs, client: httpx.AsyncClient
) -> None:
    answer = await operation.ask(client, {"clinica_id": SMALL}, bearer(None))
    # The clinic is not called as the example has it.
    assert answer.status_code == (409 if operation.path.endswith("/destruir-clave/") else 200)


async def test_the_superadmin_must_choose_a_clinic(theirs: Theirs, client: httpx.AsyncClient) -> None:
    for operation in OPERATIONS:
        without = await operation.ask(client, theirs.first, bearer(None))
        assert (without.status_code, without.json()["codigo"]) == (422, "solicitud_invalida"), operation
        nowhere = await operation.ask(client, theirs.first, bearer(None), clinica_id=999)
        assert nowhere.status_code == 404, operation
        both = await operation.ask(client, theirs.first, bearer(None), clinica_id=SMALL, plataforma="true")
        assert (both.status_code, both.json()["codigo"]) == (422, "solicitud_invalida"), operation


async def test_the_superadmin_sees_the_chosen_clinic(theirs: Theirs, client: httpx.AsyncClient) -> None:
    for clinic in (SMALL, OTHER):
        answer = await client.get("/api/v1/respaldos/", params={"clinica_id": clinic}, headers=bearer(None))
        assert {entry["clinica_id"] for entry in answer.json()} == {clinic}


async def test_the_superadmin_sees_the_platforms(theirs: Theirs, client: httpx.AsyncClient) -> None:
    mine: dict[str, Any] = {"params": {"plataforma": "true"}, "headers": bearer(None)}
    answer = await client.get("/api/v1/respaldos/", **mine)
    assert [entry["clinica_id"] for entry in answer.json()] == [None, None]
    whole, running = theirs.ids["respaldo_id"][5:7]
    assert {entry["id"] for entry in answer.json()} == {whole, running}
    assert (await client.get(f"/api/v1/respaldos/{whole}/", **mine)).json()["clinica_id"] is None
    # Of a clinic that they choose instead, it is none.
    chosen: dict[str, Any] = {"params": {"clinica_id": SMALL}, "headers": bearer(None)}
    assert (await client.get(f"/api/v1/respaldos/{whole}/", **chosen)).status_code == 404
    statistics = await client.get("/api/v1/respaldos/estadisticas/", **mine)
    assert statistics.json()["total_respaldos"] == 2
    done = await client.get("/api/v1/restauraciones/", **mine)
    assert [entry["id"] for entry in done.json()] == theirs.ids["restauracion_id"][1:]
    assert (await client.get("/api/v1/clinica/", **mine)).status_code == 422
    busy = await client.post("/api/v1/respaldos/crear_respaldo_manual/", **mine)
    assert busy.status_code == 409, "one is under way"
    assert busy.json()["respaldo"]["id"] == running


async def test_the_superadmin_asks_for_one_of_the_platform(
    client: httpx.AsyncClient, conn: asyncpg.Connection
) -> None:
    mine: dict[str, Any] = {"params": {"plataforma": "true"}, "headers": bearer(None)}
    made = await client.post("/api/v1/respaldos/crear_respaldo_manual/", **mine)
    assert made.status_code == 202
    assert made.json()["respaldo"]["clinica_id"] is None
    id_ = made.json()["respaldo"]["id"]
    stopped = await client.post(f"/api/v1/respaldos/{id_}/cancelar/", **mine)
    assert stopped.json()["respaldo"]["estado"] == "cancelado"
    whole = await add_backup(conn, None)
    await add_backup(conn, None)
    asked = await client.post(f"/api/v1/respaldos/{whole}/restaurar/", json={"actualizar": True}, **mine)
    assert asked.status_code == 202
    assert await conn.fetchval("SELECT actualizar FROM respaldos.restauracion WHERE id = $1", asked.json()["id"])
    await conn.execute("UPDATE respaldos.trabajo SET estado = 'cancelado'")
    assert (await client.delete(f"/api/v1/respaldos/{whole}/", **mine)).status_code == 204
    lines = await client.get("/api/v1/eventos/", params={"plataforma": "true", "limit": 3}, headers=bearer(None))
    assert [line["accion"] for line in lines.json()] == ["eliminacion", "restauracion", "cancelacion"]
