"""Every kind of job is declared, can be done, and ends by the same rule."""

import inspect
from datetime import UTC, datetime, timedelta

import asyncpg
import pytest

from app.respaldos.jobs.kinds import KINDS, MAX_ATTEMPTS, handlers_of
from app.respaldos.models import Clase, TipoRespaldo
from app.respaldos.reconcile import reconciliar
from app.respaldos.resources import Resources
from tests.respaldos.conftest import LARGE, SMALL, ask, back_up, row_of, told
from tests.support.jobs import add_exportacion, add_job, add_restauracion, expire, restauracion_row, running


def test_every_kind_is_declared() -> None:
    assert set(KINDS) == set(Clase)


@pytest.mark.parametrize("clase", Clase)
def test_every_kind_can_be_done(clase: Clase) -> None:
    handlers = handlers_of(clase)
    for handler in (handlers.run, handlers.ended, handlers.clean):
        assert inspect.iscoroutinefunction(handler)


@pytest.mark.parametrize("clase", Clase)
def test_a_kind_hangs_together(clase: Clase) -> None:
    kind = KINDS[clase]
    assert kind.noun
    assert kind.article in ("el", "la")
    assert kind.unattended >= kind.priority, "nobody waits for what the service does by itself"
    assert not (kind.retried and kind.asks_outcome), "what may have been committed is not done again by itself"
    # For a copy nobody waits.
    before = [other for name, other in KINDS.items() if not (other.reading or name is Clase.COPIA)]
    assert all(kind.priority > other.unattended for other in before if kind.reading)


async def claimed(resources: Resources, conn: asyncpg.Connection, clase: Clase, attempt: int) -> int:
    """A job of that kind whose process has died in that attempt; its id."""
    if clase == Clase.RESPALDO:
        await ask(resources, SMALL)
        await conn.execute("UPDATE respaldos.respaldo SET estado = 'procesando'")
    elif clase == Clase.EXPORTACION:
        await add_exportacion(conn, (await back_up(resources)).id)
    elif clase == Clase.COPIA:
        await add_job(conn, (await back_up(resources)).id, clase, estado="pendiente", destino="oficina")
    else:
        await add_restauracion(conn, (await back_up(resources)).id, clase)
    id_: int = await conn.fetchval(
        "UPDATE respaldos.trabajo SET estado = 'procesando', intento = $2 WHERE clase = $1 RETURNING id",
        *(clase, attempt),
    )
    await expire(conn)
    return id_


@pytest.mark.parametrize("attempt", [1, MAX_ATTEMPTS])
@pytest.mark.parametrize("clase", Clase)
async def test_what_becomes_of_one_whose_process_died(
    resources: Resources, conn: asyncpg.Connection, clase: Clase, attempt: int
) -> None:
    id_ = await claimed(resources, conn, clase, attempt)
    waiting = await reconciliar(resources)
    row = await conn.fetchrow("SELECT * FROM respaldos.trabajo WHERE id = $1", id_)
    assert row is not None
    again = KINDS[clase].retried and attempt < MAX_ATTEMPTS
    assert row["estado"] == ("pendiente" if again else "fallido")
    assert row["error_type"] == ("restauracion_interrumpida" if KINDS[clase].asks_outcome else "proceso_muerto")
    assert (row["fecha_fin"] is None, waiting) == (again, 1 if again else 0)
    assert await running(conn) == 0
    if clase == Clase.RESPALDO:
        assert (await row_of(conn, row["respaldo_id"]))["estado"] == row["estado"]
    # A preview changes nothing, and nobody is told what became of a comparison.
    silent = again or clase not in (Clase.RESPALDO, Clase.RESTAURACION)
    news = [tipo for tipo, _ in await told(conn) if tipo != "exito"]
    assert news == ([] if silent else ["fallo" if clase == Clase.RESPALDO else "restauracion_fallida"])


@pytest.mark.parametrize("clase", Clase)
async def test_one_whose_lease_runs_is_left_alone(
    resources: Resources, conn: asyncpg.Connection, clase: Clase
) -> None:
    id_ = await claimed(resources, conn, clase, 1)
    await conn.execute(
        "UPDATE respaldos.trabajo SET lease_until = $2 WHERE id = $1",
        *(id_, datetime.now(UTC) + timedelta(minutes=1)),
    )
    await reconciliar(resources)
    assert await conn.fetchval("SELECT estado FROM respaldos.trabajo WHERE id = $1", id_) == "procesando"


async def test_one_made_at_the_command_line_is_not_handed_to_a_worker(
    resources: Resources, conn: asyncpg.Connection
) -> None:
    made = await back_up(resources, LARGE, tipo=TipoRespaldo.MANUAL)
    await conn.execute("UPDATE respaldos.trabajo SET estado = 'procesando'")
    await expire(conn)
    assert await reconciliar(resources) == 0
    assert (await row_of(conn, made.id))["error_type"] == "proceso_muerto"


async def test_who_asked_and_how_it_goes_are_told_with_what_was_asked(
    resources: Resources, conn: asyncpg.Connection
) -> None:
    id_ = await add_restauracion(
        conn, (await back_up(resources)).id, job={"usuario": "7", "progreso": {"etapa": "x"}}
    )
    row = await restauracion_row(conn, id_)
    assert (row["usuario"], row["progreso"], row["estado"]) == ("7", '{"etapa": "x"}', "pendiente")
