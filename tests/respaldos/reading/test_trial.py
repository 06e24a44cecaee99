"""A backup is proven by restoring it into tables of its own, every week, and people hear where that fails."""

import asyncio
from datetime import UTC, datetime, timedelta

import asyncpg
import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.clinic.restore.trial import Trial
from app.errors import FormatError, RestoreDiffers, SchemaDiffers
from app.respaldos.backup import queries as backup_queries
from app.respaldos.databases import transaction
from app.respaldos.jobs.run import run_next
from app.respaldos.models import Profundidad, Respaldo
from app.respaldos.reading.verification import pedir_verificacion, verificar_respaldo
from app.respaldos.resources import Resources
from app.respaldos.schedule.trials import WEEK, last_turn, programar_ensayos
from tests.respaldos.conftest import ANA, LARGE, NEW, SMALL, back_up, told
from tests.storage.conftest import Store
from tests.support.damage import damage
from tests.support.restores import conn, everybody, newest, resources

__all__ = ["conn", "resources"]

ENSAYO = Profundidad.ENSAYO


async def trial_tables(conn: asyncpg.Connection) -> int:
    """How many schemas of trials there are."""
    return int(await conn.fetchval("SELECT count(*) FROM pg_namespace WHERE nspname LIKE 'respaldos_ensayo%'"))


async def reread(resources: Resources, respaldo: Respaldo) -> Respaldo:
    """Its row now."""
    async with transaction(resources) as session:
        return await backup_queries.get(session, respaldo.id, clinica_id=respaldo.clinica_id)


@pytest.mark.parametrize("clinica_id", [LARGE, SMALL, NEW])
async def test_a_sound_backup_passes_and_nothing_stays(
    resources: Resources, conn: asyncpg.Connection, clinica_id: int
) -> None:
    before = await everybody(resources)
    respaldo = await back_up(resources, clinica_id)
    await pedir_verificacion(resources, None, respaldo.id, clinica_id=clinica_id, profundidad=ENSAYO, actor=ANA)
    await run_next(resources)
    row = await newest(conn)
    assert (row["estado"], row["error"]) == ("completado", None)
    found = await reread(resources, respaldo)
    assert (found.verificado_profundidad, found.verificado_error, found.verificado is not None) == (
        ENSAYO,
        None,
        True,
    )
    assert await trial_tables(conn) == 0
    assert await everybody(resources) == before


async def test_a_damaged_object_fails(resources: Resources, store: Store, conn: asyncpg.Connection) -> None:
    respaldo = await back_up(resources)
    damage(store, respaldo)
    with pytest.raises(FormatError):
        await verificar_respaldo(resources, respaldo, profundidad=ENSAYO)
    assert (await reread(resources, respaldo)).verificado_error is not None
    assert [tipo for tipo, _ in await told(conn)][-1] == "verificacion_fallida"
    assert await trial_tables(conn) == 0


async def test_rows_that_are_not_those_of_the_file_fail(
    resources: Resources, conn: asyncpg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As if PostgreSQL had read a value otherwise than it was written."""
    respaldo = await back_up(resources)
    fill = Trial._fill

    async def spoil(trial: Trial, shape: object) -> None:
        await fill(trial, shape)  # type: ignore[arg-type]
        if shape.model == "facturas":  # type: ignore[attr-defined]
            name = trial._tables[shape.entry.name]  # type: ignore[attr-defined]
            await trial.connection.execute(f"UPDATE {name} SET montototal = montototal + 1")

    monkeypatch.setattr(Trial, "_fill", spoil)
    with pytest.raises(RestoreDiffers, match="«facturas» no vuelve a leerse"):
        await verificar_respaldo(resources, respaldo, profundidad=ENSAYO)
    found = await reread(resources, respaldo)
    assert not found.good
    assert await trial_tables(conn) == 0
    # Only as deep a look clears it.
    monkeypatch.setattr(Trial, "_fill", fill)
    await verificar_respaldo(resources, respaldo, profundidad=Profundidad.COMPLETA)
    assert not (await reread(resources, respaldo)).good
    await verificar_respaldo(resources, respaldo, profundidad=ENSAYO)
    assert (await reread(resources, respaldo)).good


async def test_tables_that_have_changed_since_say_nothing_of_the_backup(
    resources: Resources, conn: asyncpg.Connection
) -> None:
    respaldo = await back_up(resources)
    await conn.execute("ALTER TABLE paciente DROP COLUMN direccion")
    await pedir_verificacion(resources, None, respaldo.id, clinica_id=SMALL, profundidad=ENSAYO, actor=ANA)
    await run_next(resources)
    row = await newest(conn)
    assert (row["estado"], row["error_type"]) == ("fallido", SchemaDiffers.code)
    assert "«direccion»" in row["error"]
    found = await reread(resources, respaldo)
    assert (found.good, found.verificado) == (True, None)
    tipo, datos = (await told(conn))[-1]
    assert (tipo, datos["sin_ensayo"]) == ("verificacion_fallida", True)
    assert await trial_tables(conn) == 0


async def test_what_a_dead_process_left_is_dropped_and_a_running_one_is_not(
    resources: Resources, conn: asyncpg.Connection
) -> None:
    async with resources.restore.trying(SMALL) as running:
        await running.connection.execute(f'CREATE SCHEMA "{running.schema}"; CREATE SCHEMA respaldos_ensayo_77')
        await conn.execute("CREATE TABLE respaldos_ensayo_77.t (id int); CREATE SCHEMA respaldos_ensayo_mio")
        await resources.restore.drop_abandoned_trials()
        left = await conn.fetch("SELECT nspname FROM pg_namespace WHERE nspname LIKE 'respaldos_ensayo%' ORDER BY 1")
        assert {name for (name,) in left} == {running.schema, "respaldos_ensayo_mio"}


async def test_each_clinics_newest_backup_is_tried_once_a_week(
    resources: Resources, conn: asyncpg.Connection
) -> None:
    now = datetime.now(UTC)
    assert await programar_ensayos(resources, now=now) == [], "nothing to try yet"
    await back_up(resources)
    newer = await back_up(resources)
    await back_up(resources, LARGE)
    first = await programar_ensayos(resources, now=now)
    second = await programar_ensayos(resources, now=now)
    assert {each.clinica_id for each in (*first, *second)} == {SMALL, LARGE}, "a few at a time"
    assert next(each for each in (*first, *second) if each.clinica_id == SMALL).respaldo_id == newer.id
    assert await programar_ensayos(resources, now=now) == []
    await conn.execute("UPDATE respaldos.trabajo SET estado = 'completado'")
    week = [await programar_ensayos(resources, now=now + timedelta(hours=hour)) for hour in range(6, 24 * 7 + 1, 6)]
    again = [each.clinica_id for due in week for each in due]
    assert set(again) == {SMALL, LARGE}
    # What is put down is dated by the database's clock, which has not moved.


async def test_two_schedulers_at_once(resources: Resources) -> None:
    await back_up(resources)
    await asyncio.gather(*(programar_ensayos(resources, now=datetime.now(UTC)) for _ in range(4)))
    async with transaction(resources) as session:
        from app.respaldos.reading import queries as reading_queries

        found, total = await reading_queries.page(session, clinica_id=SMALL, limit=10, offset=0)
    assert (total, found[0].profundidad) == (1, ENSAYO)


@given(
    clinica_id=st.integers(1, 10**6),
    now=st.integers(0, 10**9).map(lambda seconds: datetime(2025, 1, 1, tzinfo=UTC) + timedelta(seconds=seconds)),
)
def test_a_clinics_turn_comes_once_a_week(clinica_id: int, now: datetime) -> None:
    turn = last_turn(clinica_id, now)
    assert timedelta(0) <= now - turn < WEEK
    assert last_turn(clinica_id, now + WEEK) == turn + WEEK
    assert last_turn(clinica_id, turn) == turn
