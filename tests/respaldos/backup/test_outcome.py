"""A backup that holds much less than the last good one is kept, and not taken for good."""

from typing import Any

import asyncpg
import pytest

from app.clinic.clinic import Tenancy
from app.respaldos.backup import queries as backup_queries
from app.respaldos.backup import run as making
from app.respaldos.backup.outcome import suspicion
from app.respaldos.databases import transaction
from app.respaldos.models import Respaldo
from app.respaldos.resources import Resources
from tests.respaldos.conftest import NEW, SMALL, assert_consistent, back_up, connected, opened
from tests.storage.conftest import Store


@pytest.mark.parametrize(
    ("records", "size", "said"),
    [
        (0, 900, "0 registros"),
        (49, 1000, "49 registros"),
        (50, 1000, None),
        (100, 499, "499 bytes"),
        (100, 500, None),
        (1000, 10_000, None),
    ],
)
def test_less_than_half_is_suspicious(records: int, size: int, said: str | None) -> None:
    last = Respaldo(id=4, numero_registros=100, tamaño_bytes=1000)
    found = suspicion(records, size, last)
    assert found is None if said is None else found is not None and said in found and "número 4" in found


def test_the_first_backup_and_one_after_an_empty_one_are_not_suspicious() -> None:
    assert suspicion(0, 10, None) is None
    assert suspicion(0, 10, Respaldo(id=1, numero_registros=0, tamaño_bytes=500)) is None


async def move_rows(conn: asyncpg.Connection, from_: int, to: int) -> None:
    """Give a clinic's rows, all but its own in the tenant table, to another one, as by an accident."""
    for table in ("usuario", "paciente", "factura", "bitacora"):
        await conn.execute(f"UPDATE {table} SET clinica_id = $2 WHERE clinica_id = $1", from_, to)


async def test_the_good_ones_are_what_the_next_is_compared_with(own_database: str, store: Store) -> None:
    async with opened(store, service=own_database) as resources, connected(own_database) as conn:
        good = await back_up(resources, SMALL)
        await move_rows(conn, SMALL, NEW)
        for _ in range(2):
            empty = await back_up(resources, SMALL)
            assert (empty.estado, empty.sospechoso) == ("completado", True)
            [aviso] = [text for text in empty.metadata_["avisos"] if text.startswith("sospechoso")]
            assert f"número {good.id}" in aviso
        await move_rows(conn, NEW, SMALL)
        again = await back_up(resources, SMALL)
        assert (again.sospechoso, again.numero_registros) == (False, good.numero_registros)
        async with transaction(resources) as session:
            last = await backup_queries.last_good(session, clinica_id=SMALL)
            assert last is not None
            assert last.id == again.id
        await assert_consistent(conn, store)


async def test_no_rows_where_there_were_some(store: Store, database: str) -> None:
    async with opened(store, service=database) as resources:
        await back_up(resources, NEW)
    async with opened(store, service=database, tenancy=Tenancy(table="clinica", exclude=("clinica",))) as resources:
        empty = await back_up(resources, NEW)
    assert empty.sospechoso
    assert [text for text in empty.metadata_["avisos"] if "ningún registro" in text]


async def test_fewer_bytes_with_as_many_rows(resources: Resources, monkeypatch: pytest.MonkeyPatch) -> None:
    good = await back_up(resources, SMALL)

    def half_as_large(records: int, size: int, last: Any) -> str | None:
        return suspicion(records, size // 2 - 1, last)

    monkeypatch.setattr(making, "suspicion", half_as_large)
    small = await back_up(resources, SMALL)
    assert small.sospechoso
    assert small.numero_registros == good.numero_registros
