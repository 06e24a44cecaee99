"""The API's page works with nothing but this service, and its document says all that the routes do."""

import re
from html.parser import HTMLParser
from typing import Any

import httpx
import pytest
from fastapi import FastAPI
from jsonschema import Draft202012Validator

from app.api.problems import MEDIA_TYPE
from tests.api.conftest import API, bearer


class Assets(HTMLParser):
    """What a page loads."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []
        self.inline = False

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        if (tag == "script" and "src" not in given) or tag == "style" or "style" in given:
            self.inline = True
        self.found += [value for name, value in attrs if name in {"src", "href"} and value and tag != "a"]


async def test_the_page_loads_everything_from_here(client: httpx.AsyncClient) -> None:
    page = await client.get("/docs")
    assert page.headers["content-type"].startswith("text/html")
    policy = page.headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    assets = Assets()
    assets.feed(page.text)
    assert not assets.inline
    files = [asset for asset in assets.found if not asset.startswith("data:")]
    assert any(asset.endswith("swagger-ui-bundle.js") for asset in files)
    for asset in files:
        assert not re.match(r"(https?:)?//", asset)
        assert asset.startswith("/")
        answer = await client.get(asset)
        assert answer.status_code == 200
        assert ("css" if asset.endswith("css") else "javascript") in answer.headers["content-type"]
    (own,) = [asset for asset in files if asset.endswith("docs.js")]
    assert f"{API}/openapi.json" in (await client.get(own)).text
    assert (await client.get(f"{API}/openapi.json")).json()["openapi"].startswith("3.1")


async def test_the_beginning_leads_people_to_the_panel_and_tells_programs(client: httpx.AsyncClient) -> None:
    person = await client.get("/", headers={"Accept": "text/html,application/xhtml+xml,*/*;q=0.8"})
    assert (person.status_code, person.headers["location"]) == (307, "/panel/")
    program = await client.get("/")
    assert program.json()["documentacion"] == "/docs"
    for path in (program.json()["openapi"], program.json()["salud"]):
        assert (await client.get(path)).status_code == 200


def operations(app: FastAPI) -> list[tuple[str, dict[str, Any]]]:
    """Every operation of the document."""
    return [
        (f"{method} {path}", operation)
        for path, item in app.openapi()["paths"].items()
        for method, operation in item.items()
    ]


@pytest.mark.parametrize(
    "shape",
    ["RespaldoEnLista", "RespaldoCompleto", "Metadata", "Enlace", "Estadisticas", "PuntoDeSerie", "UltimoBueno"],
)
def test_front_ends_may_count_with_every_number_of_a_backup(shape: str, app: FastAPI) -> None:
    for name, schema in app.openapi()["components"]["schemas"][shape]["properties"].items():
        kinds = {part.get("type") for part in schema.get("anyOf", [])}
        # Names, and nothing to count with; null in those of the platform, and in all that have a file of their own.
        if name not in ("clinica_id", "respaldo_base_id"):
            assert not ("null" in kinds and kinds & {"integer", "number"}), name


def test_every_route_is_described_with_its_errors(app: FastAPI) -> None:
    document = app.openapi()
    names = [operation["operationId"] for _, operation in operations(app)]
    assert len(set(names)) == len(names)
    for name, operation in operations(app):
        assert operation["summary"], name
        assert operation["description"], name
        assert operation["tags"][0] in {tag["name"] for tag in document["tags"]}, name
        assert "Successful Response" not in str(operation["responses"]), name
        statuses = {int(status) for status in operation["responses"]}
        assert 500 in statuses, name
        for parameter in operation.get("parameters", []):
            assert parameter["description"], (name, parameter["name"])
            assert "null" not in str(parameter["schema"]), (name, parameter["name"])
        if operation.get("security"):
            assert {401, 503} <= statuses, name
            # Whoever has a token may ask about it; the platform's routes name nothing that could be missing.
            assert {403, 422} <= statuses or "/auth/" in name, name
            assert 404 in statuses or "/plataforma/" in name or "/auth/" in name, name
        if "requestBody" in operation:
            assert {400, 413, 422} <= statuses, name
            assert "application/json" in operation["requestBody"]["content"], name


def test_every_error_has_an_example_that_fits_its_schema(app: FastAPI) -> None:
    document = app.openapi()
    schema = {**document["components"]["schemas"]["Problema"], "components": document["components"]}
    checked = 0
    for name, operation in operations(app):
        for status, response in operation["responses"].items():
            if int(status) < 400 or (name.endswith("/salud/lista") and status == "503"):
                continue
            content = response["content"][MEDIA_TYPE]
            assert content["schema"] == {"$ref": "#/components/schemas/Problema"}
            Draft202012Validator(schema).validate(content["example"])
            assert content["example"]["status"] == int(status)
            checked += 1
    assert checked > 100
    assert "HTTPValidationError" not in document["components"]["schemas"]


def test_what_people_read_of_a_shape_is_spanish(app: FastAPI) -> None:
    for name, schema in app.openapi()["components"]["schemas"].items():
        if "description" in schema:
            words = set(re.findall(r"[a-zñáéíóú]+", schema["description"].casefold()))
            assert not words & {"the", "is", "what", "of", "and"}, name


def test_every_example_of_a_shape_fits_it(app: FastAPI) -> None:
    document = app.openapi()
    checked = set()
    for name, schema in document["components"]["schemas"].items():
        for example in schema.get("examples", []):
            Draft202012Validator({**schema, "components": document["components"]}).validate(example)
            checked.add(name)
    for _, operation in operations(app):
        for content in operation.get("requestBody", {}).get("content", {}).values():
            assert {part["$ref"].rpartition("/")[2] for part in _references(content["schema"])} <= checked
    assert len(checked) >= 11


def _references(schema: dict[str, Any]) -> list[dict[str, Any]]:
    return [part for part in schema.get("anyOf", [schema]) if "$ref" in part]


def test_every_answer_has_a_schema(app: FastAPI) -> None:
    for name, operation in operations(app):
        for status, response in operation["responses"].items():
            if int(status) < 300 and status != "204" and "text/event-stream" not in response["content"]:
                for content in response["content"].values():
                    assert content["schema"], (name, status)


def test_the_page_can_send_a_token(app: FastAPI) -> None:
    schemes = app.openapi()["components"]["securitySchemes"]
    assert [(scheme["type"], scheme["scheme"]) for scheme in schemes.values()] == [("http", "bearer")]


@pytest.mark.parametrize("path", ["/docs/", "/docs/swagger/../../settings.py", "/docs/propio/%2e%2e/docs.py"])
async def test_only_the_pages_own_files_are_given(path: str, client: httpx.AsyncClient) -> None:
    answer = await client.get(path, headers=bearer())
    assert answer.status_code == (200 if path == "/docs/" else 404)
