"""What changed since a backup, or between two, row by row."""

import asyncpg
import pytest

from app.clinic.restore.changed_rows import ChangedRow
from app.clinic.restore.difference import Changes
from app.errors import InvalidRequest
from app.respaldos.models import Respaldo
from app.respaldos.reading.comparison import comparar_respaldos
from app.respaldos.resources import Resources
from tests.respaldos.conftest import LARGE, SMALL, back_up
from tests.support.restores import conn, everybody, resources, restore

__all__ = ["conn", "resources"]

CHANGES = f"""
UPDATE factura SET razon_social = 'Otra', montototal = 7.50 WHERE id = (SELECT min(id) FROM factura
    WHERE clinica_id = {SMALL});
DELETE FROM bitacora WHERE id = (SELECT min(id) FROM bitacora WHERE clinica_id = {SMALL});
INSERT INTO bitacora (id, accion, modelo, descripcion, ip_address, user_agent, fecha, clinica_id)
    VALUES (987654, 'x', 'y', 'z', '10.0.0.1', 'w', now(), {SMALL});
"""


async def compared(
    resources: Resources, respaldo: Respaldo, other: Respaldo | None = None
) -> tuple[dict[str, Changes], list[tuple[str, ChangedRow]]]:
    """The models that differ, and all rows that do."""
    async with comparar_respaldos(resources, respaldo, other) as found:
        rows = [row async for row in found.rows()]
        return {name: each for name, each in found.modelos.items() if each.any}, rows


async def test_nothing_changed(resources: Resources) -> None:
    respaldo = await back_up(resources, LARGE)
    assert await compared(resources, respaldo) == ({}, [])
    assert await compared(resources, respaldo, await back_up(resources, LARGE)) == ({}, [])


@pytest.mark.parametrize("with_today", [True, False])
async def test_what_changed(resources: Resources, conn: asyncpg.Connection, with_today: bool) -> None:
    old = await back_up(resources)
    first = await conn.fetchrow(f"SELECT * FROM factura WHERE clinica_id = {SMALL} ORDER BY id LIMIT 1")
    gone = await conn.fetchval(f"SELECT min(id) FROM bitacora WHERE clinica_id = {SMALL}")
    assert first is not None
    await conn.execute(CHANGES)
    new = None if with_today else await back_up(resources)
    before = await everybody(resources)
    models, rows = await compared(resources, old, new)
    assert models == {"facturas": Changes(0, 1, 0), "bitacoras": Changes(1, 0, 1)}
    assert {(model, row.kind, tuple(row.key.values())) for model, row in rows} == {
        ("facturas", "actualizados", (first["id"],)),
        ("bitacoras", "eliminados", (gone,)),
        ("bitacoras", "insertados", (987654,)),
    }
    fields = next(row.fields for model, row in rows if model == "facturas")
    assert fields == {
        "montototal": (str(first["montototal"]), "7.50"),
        "razon_social": (first["razon_social"], "Otra"),
    }
    assert await everybody(resources) == before


async def test_after_a_restore_there_is_no_difference(resources: Resources, conn: asyncpg.Connection) -> None:
    respaldo = await back_up(resources)
    await conn.execute(CHANGES)
    await restore(resources, respaldo)
    assert await compared(resources, respaldo) == ({}, [])


async def test_what_a_restore_leaves_as_it_is_is_named(resources: Resources, conn: asyncpg.Connection) -> None:
    respaldo = await back_up(resources)
    moved = await conn.fetchval(
        f"UPDATE bitacora SET clinica_id = {LARGE} WHERE id = (SELECT min(id) FROM bitacora"
        f" WHERE clinica_id = {SMALL}) RETURNING id"
    )
    came = await conn.fetchval(
        f"UPDATE bitacora SET clinica_id = {SMALL} WHERE id = (SELECT min(id) FROM bitacora"
        f" WHERE clinica_id = {LARGE} AND id <> {moved}) RETURNING id"
    )
    async with comparar_respaldos(resources, respaldo) as found:
        assert not any(changes.any for changes in found.modelos.values())
        assert [str(key) in aviso for key, aviso in zip((moved, came), found.avisos, strict=True)] == [True, True]


async def test_what_nobody_can_tell_since_an_older_one_was_restored(
    resources: Resources, conn: asyncpg.Connection
) -> None:
    older, newer = await back_up(resources), await back_up(resources)
    await restore(resources, older)
    await conn.execute(
        f"UPDATE bitacora SET clinica_id = {SMALL}"
        f" WHERE id = (SELECT min(id) FROM bitacora WHERE clinica_id = {LARGE})"
    )
    assert (await compared(resources, older))[0] == {}
    assert (await compared(resources, newer))[0] == {"bitacoras": Changes(1, 0, 0)}


async def test_a_table_that_came_later(resources: Resources, conn: asyncpg.Connection) -> None:
    respaldo = await back_up(resources)
    await conn.execute(
        f"CREATE TABLE nota (id int PRIMARY KEY, clinica_id bigint NOT NULL REFERENCES clinica);"
        f"INSERT INTO nota VALUES (1, {SMALL}), (2, {SMALL}), (3, {LARGE})"
    )
    assert (await compared(resources, respaldo))[0] == {"nota": Changes(2, 0, 0)}
    newer = await back_up(resources)
    assert (await compared(resources, respaldo, newer))[0] == {"nota": Changes(2, 0, 0)}


async def test_two_clinics_are_not_compared(resources: Resources) -> None:
    one, other = await back_up(resources), await back_up(resources, LARGE)
    with pytest.raises(InvalidRequest, match=f"el respaldo {one.id} es de la clínica {SMALL}"):
        await compared(resources, one, other)
