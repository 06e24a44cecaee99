"""A file whose digests are right and one of whose records is none: PostgreSQL parses it, and the refusal names it."""

import gzip
import hashlib
from collections.abc import Callable

import asyncpg
import pytest

from app.errors import FormatError
from app.respaldos.databases import transaction
from app.respaldos.models import Respaldo
from app.respaldos.resources import Resources
from tests.respaldos.conftest import back_up
from tests.support.clinic_backup import read_backup
from tests.support.edited_files import Lines, edited
from tests.support.restores import assert_refused, conn, everybody, resources, restore
from tests.support.stored import put

__all__ = ["conn", "resources"]


async def _edit(resources: Resources, respaldo: Respaldo, change: Callable[[Lines], None]) -> Respaldo:
    """The backup with its file edited."""
    async with resources.storage.download(respaldo.archivo_s3 or "") as chunks:
        file = edited(read_backup(b"".join([chunk async for chunk in chunks]), []), change)
    return await _put(resources, respaldo, file)


async def _put(resources: Resources, respaldo: Respaldo, file: bytes) -> Respaldo:
    """The backup with that file in place of its own, and everything that is known of it made to fit."""
    await put(resources, respaldo.archivo_s3 or "", file)
    async with transaction(resources) as session:
        found = await session.get(Respaldo, respaldo.id)
        assert found is not None
        found.hash_md5 = hashlib.md5(file, usedforsecurity=False).hexdigest()
        found.tamaño_bytes = len(file)
        found.metadata_ = {
            **found.metadata_,
            "tamaño_original_bytes": len(gzip.decompress(file)),
            "hash_sha256": hashlib.sha256(file).hexdigest(),
        }
    return found


RECORDS: dict[str, tuple[Callable[[str], str], str]] = {
    "cut": (lambda line: line[:-1], "un registro que no es JSON"),
    "no object": (lambda _: "null", "el registro 2 de «bitacoras» no es un objeto"),
    "an array": (lambda line: f"[{line}]", "el registro 2 de «bitacoras» no es un objeto"),
    "two on a line": (lambda line: f"{line},{line}", "no tiene un registro por línea"),
    "a column less": (
        lambda line: line.replace('"user_agent":', '"agente":'),
        "el registro 2 de «bitacoras» no tiene las columnas del esquema",
    ),
    "a column more": (lambda line: line[:-1] + ',"otra":1}', "el registro 2 de «bitacoras» no tiene las columnas"),
    "the last end of CSV": (lambda _: "\\.", "un registro que no es JSON"),
    "what CSV takes for a quote": (lambda line: line.replace(":", ":\x01", 1), "un registro que no es JSON"),
    "two of these": (lambda line: line.replace('"accion"', '\x01"accion"\x01'), "un registro que no es JSON"),
    "what CSV takes for a delimiter": (lambda line: line.replace(":", ":\x02", 1), "un registro que no es JSON"),
    "no text": (lambda line: line.replace(":", ":\udcff", 1), "un registro que no es JSON"),
    "a number that is none": (lambda line: line.replace(":", ":NaN+", 1), "un registro que no es JSON"),
}


async def test_it_is_refused_by_its_name_and_nothing_changes(resources: Resources, conn: asyncpg.Connection) -> None:
    respaldo = await back_up(resources)
    async with resources.storage.download(respaldo.archivo_s3 or "") as chunks:
        sound = read_backup(b"".join([chunk async for chunk in chunks]), [])
    before = await everybody(resources)
    for case, (wrong, message) in RECORDS.items():
        right = sound.lines["bitacoras"][1]
        line = wrong(right)
        assert line != right, case

        def change(lines: Lines, line: str = line) -> None:
            lines["bitacoras"][1] = line

        edited_one = await _put(resources, respaldo, edited(sound, change))
        for simulada in (True, False):
            with pytest.raises(FormatError, match=message):
                await restore(resources, edited_one, simulada=simulada, sin_respaldo_previo=True)
            assert await everybody(resources) == before, case
        await assert_refused(conn, FormatError.code)


async def test_so_it_is_where_a_column_has_another_type_today(resources: Resources, conn: asyncpg.Connection) -> None:
    def change(lines: Lines) -> None:
        lines["bitacoras"] = [line.replace('"user_agent":', '"agente":') for line in lines["bitacoras"]]

    respaldo = await _edit(resources, await back_up(resources), change)
    await conn.execute("ALTER TABLE bitacora ALTER user_agent DROP NOT NULL, ALTER accion TYPE text")
    before = await everybody(resources)
    with pytest.raises(FormatError, match="el registro 1 de «bitacoras» no tiene las columnas"):
        await restore(resources, respaldo, simulada=True)
    assert await everybody(resources) == before
