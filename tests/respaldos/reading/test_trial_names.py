"""Who is told by name which record keeps a backup from being restored."""

import asyncpg

from app.record_names import without_names
from app.respaldos.jobs.run import run_next
from app.respaldos.models import Profundidad
from app.respaldos.reading.verification import pedir_verificacion
from app.respaldos.resources import Resources
from tests.respaldos.conftest import ANA, SMALL, back_up, told
from tests.support.patients import add_appointment, add_patient
from tests.support.restores import conn, newest, resources

__all__ = ["conn", "resources"]


async def test_a_record_that_points_to_none(resources: Resources, conn: asyncpg.Connection) -> None:
    made = await add_appointment(conn, SMALL, await add_patient(conn), "Control")
    [(name, definition)] = await conn.fetch(
        "SELECT conname, pg_get_constraintdef(oid) FROM pg_constraint"
        " WHERE conrelid = 'consulta'::regclass AND confrelid = 'paciente'::regclass"
    )
    await conn.execute(
        f"ALTER TABLE consulta DROP CONSTRAINT {name}; UPDATE consulta SET codpaciente = 987654 WHERE id = {made}"
    )
    respaldo = await back_up(resources)
    await conn.execute(f"DELETE FROM consulta WHERE id = {made}")
    await conn.execute(f"ALTER TABLE consulta ADD {definition}")
    await pedir_verificacion(
        resources, None, respaldo.id, clinica_id=SMALL, profundidad=Profundidad.ENSAYO, actor=ANA
    )
    await run_next(resources)
    error = (await newest(conn))["error"]
    assert " · " in error
    assert error.endswith(f"” ({made})")
    plain = without_names(error)
    assert plain.endswith(f"en la base de datos: {made}")
    assert await conn.fetchval("SELECT detalle->>'error' FROM respaldos.evento ORDER BY id DESC LIMIT 1") == error
    # The backup's row everybody on the staff sees, and a mail others.
    stored = await conn.fetchval("SELECT verificado_error FROM respaldos.respaldo WHERE id = $1", respaldo.id)
    assert stored == (await told(conn))[-1][1]["error"] == plain
