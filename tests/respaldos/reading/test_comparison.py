"""Comparing two backups as a worker does it: what is found, and how it ends where it cannot be."""

import json
from datetime import UTC

import asyncpg
import pytest

from app.errors import NotCompleted, RespaldoNotFound
from app.respaldos.backup import queries as backup_queries
from app.respaldos.databases import transaction
from app.respaldos.jobs.run import run_next
from app.respaldos.models import Respaldo, Restauracion
from app.respaldos.reading.comparison import pedir_comparacion
from app.respaldos.reconcile import reconciliar
from app.respaldos.resources import Resources
from tests.respaldos.conftest import ANA, LARGE, SMALL, ask, back_up, told, trail
from tests.storage.conftest import Store
from tests.support.damage import damage
from tests.support.jobs import restauracion_row
from tests.support.restores import conn, resources

__all__ = ["conn", "resources"]


async def asked(resources: Resources, older: Respaldo, newer: Respaldo, clinica_id: int = SMALL) -> Restauracion:
    return await pedir_comparacion(resources, None, newer.id, clinica_id=clinica_id, desde=older.id, actor=ANA)


async def test_it_says_what_changed_from_one_to_the_other(resources: Resources, conn: asyncpg.Connection) -> None:
    older = await back_up(resources)
    first = await conn.fetchrow(f"SELECT * FROM factura WHERE clinica_id = {SMALL} ORDER BY id LIMIT 1")
    assert first is not None
    lines = await conn.fetch(
        "SELECT id, concat_ws(' · ', to_char(fecha AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI'),"
        " nombre || ' ' || apellido) FROM bitacora AS b LEFT JOIN usuario ON codigo = usuario_id"
        f" WHERE b.clinica_id = {SMALL} ORDER BY id LIMIT 7"
    )
    gone = [id_ for id_, _ in lines]
    issued = f"{first['fechaemision'].astimezone(UTC):%Y-%m-%d %H:%M}"
    await conn.execute(
        f"UPDATE factura SET razon_social = 'Otra' WHERE id = {first['id']};"
        " ALTER TABLE factura ADD pagada bool NOT NULL DEFAULT false; DELETE FROM bitacora"
        f" WHERE id = ANY(ARRAY{gone}); INSERT INTO bitacora (id, accion, modelo, descripcion, ip_address,"
        " user_agent, fecha, clinica_id)"
        f" VALUES (987654, 'x', 'y', 'z', '10.0.0.1', 'w', '2026-11-30 07:00Z', {SMALL})"
    )
    newer = await back_up(resources)
    waiting = await asked(resources, older, newer)
    assert (waiting.trabajo.estado, waiting.tipo, waiting.comparado_con) == ("pendiente", "comparacion", older.id)
    await run_next(resources)
    found = await restauracion_row(conn, waiting.id)
    assert (found["estado"], found["error"], found["lease_until"]) == ("completado", None, None)
    assert json.loads(found["avisos"]) == [
        "«facturas»: columnas que solo uno de los respaldos tiene, y no se comparan: pagada"
    ]
    assert {model: each for model, each in found["resultado"].items() if each["ejemplos"]} == {
        "facturas": {
            "insertados": 0,
            "actualizados": 1,
            "eliminados": 0,
            "ejemplos": {
                "actualizados": [
                    {
                        "clave": {"id": first["id"]},
                        "etiqueta": f"{first['numero']} · Otra · {issued}",
                        "campos": {"razon_social": {"antes": first["razon_social"], "despues": "Otra"}},
                    }
                ]
            },
        },
        "bitacoras": {
            "insertados": 1,
            "actualizados": 0,
            "eliminados": 7,
            "ejemplos": {
                "insertados": [{"clave": {"id": 987654}, "etiqueta": "2026-11-30 07:00"}],
                "eliminados": [{"clave": {"id": id_}, "etiqueta": label} for id_, label in lines[:5]],
            },
        },
    }
    assert set(found["resultado"]) == set(newer.metadata_["detalles_registros"])


async def test_it_is_asked_for_once(resources: Resources, conn: asyncpg.Connection) -> None:
    older, newer = await back_up(resources), await back_up(resources)
    waiting = await asked(resources, older, newer)
    assert (await asked(resources, older, newer)).id == waiting.id
    await run_next(resources)
    done = await asked(resources, older, newer)
    assert (done.id, done.trabajo.estado) == (waiting.id, "completado")
    back = await asked(resources, newer, older)
    assert (back.id, back.trabajo.estado) != (waiting.id, "completado")
    lines = [(usuario, detalle) for accion, usuario, detalle in await trail(conn) if accion == "comparacion"]
    assert lines == [
        ("7", {"restauracion_id": waiting.id, "desde": older.id}),
        ("7", {"restauracion_id": back.id, "desde": newer.id}),
    ]


async def test_a_damaged_file_is_named_and_it_can_be_asked_for_again(
    resources: Resources, conn: asyncpg.Connection, store: Store
) -> None:
    older, newer = await back_up(resources), await back_up(resources)
    damage(store, older)
    waiting = await asked(resources, older, newer)
    await run_next(resources)
    found = await restauracion_row(conn, waiting.id)
    assert (found["estado"], found["resultado"]) == ("fallido", None)
    assert found["error"].startswith(f"respaldo {older.id}: ")
    assert (await asked(resources, older, newer)).id != waiting.id


async def test_one_with_itself_has_no_difference(resources: Resources, conn: asyncpg.Connection) -> None:
    own = await back_up(resources)
    waiting = await asked(resources, own, own)
    await run_next(resources)
    found = await restauracion_row(conn, waiting.id)
    assert found["estado"] == "completado"
    nothing = {"insertados": 0, "actualizados": 0, "eliminados": 0, "ejemplos": {}}
    assert set(map(str, found["resultado"].values())) == {str(nothing)}


async def test_what_there_is_no_file_of_is_not_compared(resources: Resources) -> None:
    own, others = await back_up(resources), await back_up(resources, LARGE)
    for one, other in ((own, others), (others, own)):
        with pytest.raises(RespaldoNotFound, match=str(others.id)):
            await asked(resources, one, other)
    pending = await ask(resources, SMALL)
    for one, other in ((own, pending), (pending, own)):
        with pytest.raises(NotCompleted, match=f"el respaldo {pending.id} está pendiente"):
            await asked(resources, one, other)


async def test_one_that_was_deleted_meanwhile(resources: Resources, conn: asyncpg.Connection) -> None:
    older, newer = await back_up(resources), await back_up(resources)
    waiting = await asked(resources, older, newer)
    await conn.execute("UPDATE respaldos.respaldo SET fecha_eliminacion = now() WHERE id = $1", older.id)
    await run_next(resources)
    found = await restauracion_row(conn, waiting.id)
    assert (found["estado"], found["error_type"]) == ("fallido", "respaldo_no_completado")
    assert f"el respaldo {older.id} se eliminó antes de compararlo" in found["error"]


async def test_one_whose_worker_died(resources: Resources, conn: asyncpg.Connection) -> None:
    older, newer = await back_up(resources), await back_up(resources)
    waiting = await asked(resources, older, newer)
    before = await told(conn)
    for estado in ("pendiente", "pendiente", "fallido"):
        await conn.execute(
            "UPDATE respaldos.trabajo SET estado = 'procesando', intento = intento + 1,"
            " lease_until = now() - interval '1 s' WHERE restauracion_id = $1",
            waiting.id,
        )
        waiting_jobs = await reconciliar(resources)
        assert (await restauracion_row(conn, waiting.id))["estado"] == estado
        assert waiting_jobs == (1 if estado == "pendiente" else 0)
    assert await told(conn) == before
    async with transaction(resources) as session:
        unharmed = await backup_queries.get(session, newer.id, clinica_id=SMALL)
    assert unharmed.good
