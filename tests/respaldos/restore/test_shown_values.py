"""Values that hardly anybody can show: whoever looks at what changes still sees it, and no secret."""

import json
from typing import Any

import asyncpg

from app.respaldos.contract import RestauracionEnLista
from app.respaldos.jobs.run import run_next
from app.respaldos.models import Restauracion
from app.respaldos.reading.comparison import pedir_comparacion
from app.respaldos.resources import Resources
from tests.respaldos.conftest import ANA, SMALL, back_up
from tests.support.restores import conn, newest, resources, restore

__all__ = ["conn", "resources"]

# Of a value as it was, and as it is: by name the type, and both as SQL.
VALUES = {
    "digitos": ("jsonb", f"'{'7' * 5000}'", f"'{'8' * 100_000}'"),
    "hondo": ("jsonb", f"'{'[' * 3000}{']' * 3000}'", f"'{'[' * 3001}{']' * 3001}'"),
    "crudo": ("json", '\'{"a":"\\ud800","a":"\\u0000"}\'', f"'{'9' * 5000}'"),
    "nombre": ("jsonb", f"'{{\"{'k' * 100_000}\": 1}}'", "'null'"),
    "numero": ("numeric", "repeat('9', 100000)::numeric", "'NaN'"),
    "bytes": ("bytea", "decode(repeat('ab', 500000), 'hex')", "decode(repeat('ab', 500001), 'hex')"),
    "texto": ("text", "repeat('ñ', 300) || 'uno'", "repeat('ñ', 300) || 'dos'"),
    "api_token": ("text", "'s3cr3t'", "'S3CR3T'"),
}


def row(table: str, place: int, number: int) -> str:
    """SQL that puts into the table the values as they were (1) or are (2)."""
    return f"INSERT INTO {table} VALUES ({place}, {SMALL}, {', '.join(each[number] for each in VALUES.values())});"


async def made(conn: asyncpg.Connection) -> None:
    """A table with a key and one without, for which the whole row is one."""
    columns = ", ".join(f"{name} {each[0]}" for name, each in VALUES.items())
    for table, key in (("raro", " PRIMARY KEY"), ("suelto", "")):
        await conn.execute(
            f"CREATE TABLE {table} (id int{key}, clinica_id bigint NOT NULL REFERENCES clinica, {columns});"
            f"{row(table, 1, 1)}{row(table, 2, 1)}"
        )


async def change(conn: asyncpg.Connection) -> None:
    """Of each table a row that is other, one that is gone and one that is new."""
    for table in ("raro", "suelto"):
        await conn.execute(f"TRUNCATE {table}; {row(table, 1, 2)}{row(table, 3, 2)}")


def assert_shown(found: dict[str, Any], was: str, is_: str) -> None:
    """All rows are there, each value short; `was` and `is_` are the sides on which the old and the new values are."""
    counts = {what: len(found["raro"]["ejemplos"][what]) for what in ("insertados", "actualizados", "eliminados")}
    assert counts == {"insertados": 1, "actualizados": 1, "eliminados": 1}
    assert [len(found["suelto"]["ejemplos"][what]) for what in ("insertados", "eliminados")] == [2, 2]
    (changed,) = found["raro"]["ejemplos"]["actualizados"]
    assert changed["clave"] == {"id": 1}
    assert set(changed["campos"]) == set(VALUES)
    assert (changed["campos"]["texto"][was], changed["campos"]["texto"][is_]) == (
        f"…{'ñ' * 40}uno",
        f"…{'ñ' * 40}dos",
    )
    assert changed["campos"]["digitos"][was] == f"{'7' * 200}…"
    assert changed["campos"]["api_token"] == {"antes": "(no se muestra)", "despues": "(no se muestra)"}
    text = json.dumps(found, ensure_ascii=False)
    assert "s3cr3t" not in text.lower()
    assert len(text) < 20_000


def of_ours(restauracion: Restauracion) -> dict[str, Any]:
    """As the API answers it."""
    found = RestauracionEnLista.of(restauracion).resultado
    assert found is not None
    return {model: found[model] for model in ("raro", "suelto")}


async def test_previewed_and_restored(resources: Resources, conn: asyncpg.Connection) -> None:
    await made(conn)
    respaldo = await back_up(resources)
    await change(conn)
    for simulada in (True, False):
        done = await restore(resources, respaldo, simulada=simulada)
        assert (done.trabajo.estado, done.trabajo.error) == ("completado", None)
        assert_shown(of_ours(done), "despues", "antes")
    assert (await conn.fetchval("SELECT count(*) FROM raro WHERE api_token = 's3cr3t'")) == 2


async def test_compared(resources: Resources, conn: asyncpg.Connection) -> None:
    await made(conn)
    older = await back_up(resources)
    await change(conn)
    newer = await back_up(resources)
    await pedir_comparacion(resources, None, newer.id, clinica_id=SMALL, desde=older.id, actor=ANA)
    await run_next(resources)
    found = await newest(conn)
    assert (found["estado"], found["error"]) == ("completado", None)
    assert_shown(found["resultado"], "antes", "despues")
