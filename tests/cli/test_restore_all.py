"""`restaurar --todas`: everything comes back from the bucket alone, and whoever is interrupted goes on."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path

import asyncpg
import pytest

from app.clinic.clinic import Tenancy
from app.errors import StorageUnavailable
from app.respaldos.models import Respaldo
from app.respaldos.resources import Resources
from app.respaldos.restore.all_clinics import plan_all, restore_all
from app.respaldos.restore.request import RestoreRequest
from tests.cli.conftest import addresses_of
from tests.conftest import plain_url
from tests.respaldos.conftest import back_up, connected, opened
from tests.storage.conftest import Store
from tests.support.gone import take_away
from tests.support.program import Ran, on_a_terminal, respaldos
from tests.support.stored import stored
from tests.support.whole_database import BESIDE, empty, everything, grown, migrated

__all__ = ["migrated"]


@dataclass(frozen=True, slots=True)
class Lost:
    """A platform of which the bucket alone is left; `before` is what its tables had."""

    sql: asyncpg.Connection
    resources: Resources
    settings: dict[str, str]
    folder: Path
    made: dict[int | None, Respaldo]
    before: dict[str, str]

    async def run(self, *arguments: str) -> Ran:
        return await asyncio.to_thread(respaldos, *arguments, cwd=self.folder, **self.settings)


@pytest.fixture
async def lost(migrated: str, store: Store, tmp_path: Path) -> AsyncIterator[Lost]:
    """Three clinics, rows of the second of which point to the first one's, and what is nobody's."""
    async with connected(plain_url(migrated)) as sql, opened(store, service=migrated, tenancy=Tenancy()) as resources:
        await grown(sql)
        await sql.execute(BESIDE)
        before = await everything(sql)
        made = {clinica_id: await back_up(resources, clinica_id) for clinica_id in (1, 2, 3, None)}
        await empty(sql, [*before, "respaldos.respaldo", "respaldos.evento", "respaldos.programacion"])
        yield Lost(sql, resources, addresses_of(store, migrated), tmp_path, made, before)


async def test_all_of_it_comes_back_by_one_command_that_may_be_given_again(lost: Lost) -> None:
    ids = {clinica_id: respaldo.id for clinica_id, respaldo in lost.made.items()}
    assert (await lost.run("reindexar")).code == 0
    # One that had been deleted by the time that the platform was backed up.
    gone = await stored(lost.resources, 9, days=3)
    refused = await lost.run("restaurar", "--todas")
    assert (refused.code, "use --si" in refused.err) == (2, True)
    done = await lost.run("restaurar", "--todas", "--si", "--json")
    assert done.code == 0, done
    found = done.json
    assert {each["clinica_id"]: each["respaldo_id"] for each in found["restaurados"]} == ids
    assert found["restaurados"][0]["clinica_id"] is None
    assert (found["ya_no_existian"], found["fallidos"], found["sin_respaldo"]) == ([9], [], [])
    assert await everything(lost.sql) == lost.before
    # Of what was not there, nothing was saved first.
    assert await lost.sql.fetchval("SELECT count(*) FROM respaldos.respaldo WHERE clinica_id IS NOT NULL") == 4
    assert gone not in {each["respaldo_id"] for each in found["restaurados"]}

    # Again what is not there: the second clinic, and the third, which has nothing.
    await take_away(lost.resources, lost.sql, 2)
    typing = partial(
        on_a_terminal,
        cwd=lost.folder,
        typed=b"TODAS\n",
        awaited="Escriba «TODAS» para seguir".encode(),
        **lost.settings,
    )
    asked = await asyncio.to_thread(typing, "restaurar", "--todas")
    assert asked.code == 0, asked
    assert "se quedan como están: 1 (1)" in asked.out
    assert "Restaurados: 3 de 3; ya lo estaban: 1" in asked.out
    assert await everything(lost.sql) == lost.before


async def test_one_that_cannot_be_restored_keeps_no_other_from_it(lost: Lost) -> None:
    assert (await lost.run("reindexar")).code == 0
    broken = lost.made[1]
    await lost.resources.storage.delete(broken.archivo_s3 or "")
    ran = await lost.run("restaurar", "--todas", "--si", "--json")
    assert ran.code == 1, ran
    assert {each["clinica_id"] for each in ran.json["restaurados"]} == {None, 3}
    # The second clinic's rows point to the first one's.
    assert [(each["clinica_id"], each["error_type"]) for each in ran.json["fallidos"]] == [
        (1, "objeto_inexistente"),
        (2, "restauracion_rechazada"),
    ]
    people = await lost.run("restaurar", "--todas", "--si")
    assert (people.code, "✗ Restaurados: 2 de 4\n" in people.err) == (1, True), people
    # A clinic without any good backup is not done, either.
    earlier = (datetime.now(UTC) - timedelta(days=1)).isoformat()
    none = await lost.run("restaurar", "--todas", "--si", "--json", "--antes-de", earlier)
    assert (none.code, none.json["sin_respaldo"], none.json["antes_de"]) == (1, [1, 2, 3], earlier)


async def test_it_is_refused_where_it_makes_no_sense(tmp_path: Path) -> None:
    for wrong in (
        (),
        ("--todas", "1"),
        ("1", "--antes-de", "2026-01-01"),
        ("--todas", "--simular"),
        ("--todas", "--modelos", "pacientes"),
        ("--todas", "--sin-sello", "--si"),
        ("--todas", "--si", "--antes-de", "martes"),
    ):
        assert respaldos("restaurar", *wrong, cwd=tmp_path).code == 2, wrong


async def test_a_store_that_stays_away_ends_it_and_all_is_as_before(migrated: str, store: Store) -> None:
    async with connected(plain_url(migrated)) as sql, opened(store, service=migrated, tenancy=Tenancy()) as resources:
        await grown(sql)
        before = await everything(sql)
        for clinica_id in range(1, 41):
            await stored(resources, clinica_id)
    # Nobody listens there.
    async with opened(store, service=migrated, tenancy=Tenancy(), endpoint_url="http://127.0.0.1:9") as away:
        found = await plan_all(away, before=datetime.now(UTC))
        assert (len(found.clinics), found.platform) == (40, None)
        tried = 0

        def count() -> None:
            nonlocal tried
            tried += 1

        with pytest.raises(StorageUnavailable):
            await restore_all(away, found, RestoreRequest(), count)
    assert tried < 10
    assert found.restored == []
    async with connected(plain_url(migrated)) as sql:
        assert await everything(sql) == before
