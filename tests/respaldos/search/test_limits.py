"""A search and a history end in time, and say what they have left out."""

import asyncio
from contextlib import aclosing

import asyncpg
import pytest

from app.errors import RecordNotFound
from app.respaldos.resources import Resources
from app.respaldos.search import history as history_module
from app.respaldos.search import search as search_module
from app.respaldos.search.search import CUT, SearchRequest, buscar_registros
from tests.respaldos.conftest import SMALL, back_up
from tests.support.patients import CARD, add_patient, remove_patient
from tests.support.restores import conn, resources
from tests.support.searching import history, search

__all__ = ["conn", "resources"]


async def test_the_time_is_up(
    resources: Resources, conn: asyncpg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    code = await add_patient(conn)
    await back_up(resources)
    monkeypatch.setattr(search_module, "LONGEST_SECONDS", 0)
    found = await search(resources, CARD)
    assert (found.hay_mas, found.avisos) == (True, [CUT])
    monkeypatch.setattr(search_module, "LONGEST_SECONDS", 120)
    assert (await search(resources, CARD)).avisos == []
    assert (await history(resources, "pacientes", code)).avisos == []


async def test_a_history_is_told_as_far_as_it_was_read(
    resources: Resources, conn: asyncpg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    code = await add_patient(conn)
    await back_up(resources)
    monkeypatch.setattr(history_module, "LONGEST_SECONDS", 0)
    found = await history(resources, "pacientes", code)
    assert ([each.en_respaldo for each in found.versiones], found.avisos) == ([None], [CUT])
    await remove_patient(conn, code)
    with pytest.raises(RecordNotFound, match=CUT):
        await history(resources, "pacientes", code)


async def test_who_does_not_take_the_answer_holds_no_snapshot(resources: Resources, conn: asyncpg.Connection) -> None:
    code = await add_patient(conn)
    await back_up(resources)
    await remove_patient(conn, code)
    async with aclosing(buscar_registros(resources, SearchRequest(CARD), clinica_id=SMALL)) as lines:
        await anext(lines)
        async with asyncio.timeout(20):
            while await conn.fetchval(
                "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()"
                " AND pid <> pg_backend_pid() AND backend_xmin IS NOT NULL AND backend_type = 'client backend'"
            ):
                await asyncio.sleep(0.1)


async def test_older_backups_that_are_left_out_are_said(
    resources: Resources, conn: asyncpg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    code = await add_patient(conn)
    for _ in range(3):
        await back_up(resources)
    monkeypatch.setattr(search_module, "MOST_BACKUPS", 2)
    left_out = ["de esos días hay 3 respaldos, y se leyeron los 2 más nuevos: pida menos días"]
    assert (await search(resources, CARD)).avisos == left_out
    assert (await history(resources, "pacientes", code)).avisos == left_out
