"""Which job comes next: by who asked for what, and so that no clinic keeps the others waiting."""

import asyncio

import asyncpg
import pytest

from app.errors import OperationInProgress, TooManyReadings
from app.export.format import Formato
from app.respaldos.audit import SERVICE, Actor
from app.respaldos.backup.request import pedir_respaldo
from app.respaldos.databases import transaction
from app.respaldos.exports.request import pedir_exportacion
from app.respaldos.jobs import fleet as job_fleet
from app.respaldos.jobs import queries as job_queries
from app.respaldos.jobs.kinds import KINDS
from app.respaldos.jobs.run import run_next
from app.respaldos.models import Clase, Profundidad, TipoRespaldo, Trabajo
from app.respaldos.reading import queries as reading_queries
from app.respaldos.reading.comparison import pedir_comparacion
from app.respaldos.reading.verification import pedir_verificacion
from app.respaldos.reconcile import reconciliar
from app.respaldos.resources import Resources
from app.respaldos.restore.request import RestoreRequest, pedir_restauracion
from tests.respaldos.conftest import ANA, LARGE, SMALL, ask, back_up, opened, row_of
from tests.storage.conftest import Store
from tests.support.jobs import add_job, add_restauracion, with_lease
from tests.support.stored import stored, unused_clinic


async def claim_next(resources: Resources) -> Trabajo | None:
    """Claim the job that a worker would, and do nothing with it."""
    async with transaction(resources) as session:
        job = await job_fleet.best_waiting(session)
        if job is None:
            return None
        return await job_queries.claim(session, job.id, clinica_id=job.clinica_id, lease=resources.lease)


async def asked(resources: Resources, clase: Clase, clinica_id: int, actor: Actor = ANA) -> None:
    """A job of that kind for a clinic that has a backup."""
    if clase == Clase.RESPALDO:
        tipo = TipoRespaldo.AUTOMATICO if actor == SERVICE else TipoRespaldo.POR_DEMANDA
        await pedir_respaldo(resources, None, clinica_id=clinica_id, tipo=tipo, descripcion="", actor=actor)
        return
    id_ = await stored(resources, clinica_id)
    if clase == Clase.COMPARACION:
        await pedir_comparacion(resources, None, id_, clinica_id=clinica_id, desde=id_, actor=actor)
    elif clase == Clase.VERIFICACION:
        depth = Profundidad.ENSAYO
        await pedir_verificacion(resources, None, id_, clinica_id=clinica_id, profundidad=depth, actor=actor)
    elif clase == Clase.EXPORTACION:
        formato = Formato.CSV
        await pedir_exportacion(resources, None, id_, clinica_id=clinica_id, formato=formato, horas=24, actor=actor)
    else:
        request = RestoreRequest(simulada=clase == Clase.SIMULACION)
        await pedir_restauracion(resources, None, id_, clinica_id=clinica_id, request=request, actor=actor)


async def test_what_a_person_waits_for_comes_first(resources: Resources) -> None:
    in_order = [
        (Clase.RESTAURACION, ANA),
        (Clase.RESPALDO, ANA),
        (Clase.RESPALDO, SERVICE),
        (Clase.VERIFICACION, ANA),
        (Clase.VERIFICACION, SERVICE),
    ]
    for clase, actor in reversed(in_order):
        await asked(resources, clase, unused_clinic(), actor)
    came = [await claim_next(resources) for _ in in_order]
    assert [(job.clase, job.usuario) for job in came if job is not None] == [
        (clase, actor.usuario) for clase, actor in in_order
    ]
    assert await claim_next(resources) is None


async def test_of_the_same_priority_the_oldest_comes_first(resources: Resources) -> None:
    kinds = [Clase.COMPARACION, Clase.SIMULACION, Clase.VERIFICACION]
    for clase in kinds:
        await asked(resources, clase, unused_clinic())
    came = [await claim_next(resources) for _ in kinds]
    assert [job.clase for job in came if job is not None] == kinds


async def test_one_clinics_many_comparisons_keep_nobody_waiting(
    resources: Resources, conn: asyncpg.Connection
) -> None:
    busy, other, third = unused_clinic(), unused_clinic(), unused_clinic()
    id_ = await stored(resources, busy)
    for _ in range(81):
        await add_restauracion(conn, id_, Clase.COMPARACION, comparado_con=id_)
    # With nothing else to do, a worker's two places may both be the clinic's.
    assert [job and job.clinica_id for job in (await claim_next(resources), await claim_next(resources))] == [
        busy
    ] * 2
    await asked(resources, Clase.COMPARACION, third)
    await asked(resources, Clase.RESPALDO, other)
    came = [await claim_next(resources) for _ in range(3)]
    assert [job and job.clinica_id for job in came] == [other, third, busy]


async def test_a_backup_begins_within_the_time_of_one_comparison(
    resources: Resources, conn: asyncpg.Connection
) -> None:
    """A worker's two places, and 81 comparisons of one clinic in the database before another one's backup is."""
    id_ = (await back_up(resources, SMALL)).id
    for _ in range(81):
        await add_restauracion(conn, id_, Clase.COMPARACION, comparado_con=id_)

    async def place() -> None:
        while await run_next(resources):
            pass

    compared = "SELECT count(*) FROM respaldos.trabajo WHERE clase = 'comparacion' AND fecha_fin IS NOT NULL"
    places = [asyncio.create_task(place()) for _ in range(2)]
    try:
        async with asyncio.timeout(60):
            while await conn.fetchval(compared) < 2:
                await asyncio.sleep(0.01)
            made = await ask(resources, LARGE)
            while (await row_of(conn, made.id))["estado"] != "completado":
                await asyncio.sleep(0.01)
    finally:
        for each in places:
            each.cancel()
        await asyncio.wait(places)
    began = await conn.fetchval("SELECT inicio FROM respaldos.intento WHERE respaldo_id = $1", made.id)
    meanwhile = await conn.fetchval(f"{compared} AND fecha_fin BETWEEN $1 AND $2", made.fecha_creacion, began)
    assert meanwhile <= len(places), "those that were under way"
    assert await conn.fetchval(compared) < 81


async def test_a_clinics_second_reading_comes_after_all_other_work(resources: Resources) -> None:
    busy = unused_clinic()
    for clase in (Clase.COMPARACION, Clase.VERIFICACION):
        await asked(resources, clase, busy)
    others = [(Clase.VERIFICACION, SERVICE), (Clase.RESPALDO, SERVICE)]
    for clase, actor in others:
        await asked(resources, clase, unused_clinic(), actor)
    came = [await claim_next(resources) for _ in range(4)]
    assert [job and job.clase for job in came] == [
        *(Clase.RESPALDO, Clase.COMPARACION, Clase.VERIFICACION, Clase.VERIFICACION)
    ]
    assert [job and job.clinica_id == busy for job in came] == [False, True, False, True]


async def test_what_has_to_wait_for_its_clinic_is_passed_over(resources: Resources, conn: asyncpg.Connection) -> None:
    clinic, other = unused_clinic(), unused_clinic()
    restoring = await add_job(conn, await stored(resources, clinic), Clase.RESTAURACION, estado="procesando")
    await asked(resources, Clase.RESPALDO, clinic)
    await asked(resources, Clase.VERIFICACION, clinic)
    await asked(resources, Clase.RESPALDO, other)
    came = [await claim_next(resources) for _ in range(3)]
    assert [(job.clase, job.clinica_id) for job in came if job is not None] == [
        (Clase.RESPALDO, other),
        # Reading changes nothing, so it need not wait.
        (Clase.VERIFICACION, clinic),
    ]
    await conn.execute("UPDATE respaldos.trabajo SET estado = 'completado' WHERE id = $1", restoring)
    last = await claim_next(resources)
    assert last is not None
    assert (last.clase, last.clinica_id) == (Clase.RESPALDO, clinic)


async def test_a_restore_is_not_refused_because_of_previews(resources: Resources, conn: asyncpg.Connection) -> None:
    clinic = unused_clinic()
    for clase in (Clase.SIMULACION, Clase.SIMULACION):
        await asked(resources, clase, clinic)
    preview = await claim_next(resources)
    assert preview is not None
    await asked(resources, Clase.RESTAURACION, clinic)
    assert await claim_next(resources) is None, "it waits for the preview that runs"
    await conn.execute("UPDATE respaldos.trabajo SET estado = 'completado' WHERE id = $1", preview.id)
    restoring = await claim_next(resources)
    assert restoring is not None
    assert restoring.clase == Clase.RESTAURACION, "and not for the one that waits"
    with pytest.raises(OperationInProgress, match="ya tiene una restauración en curso"):
        await asked(resources, Clase.SIMULACION, clinic)


@pytest.mark.parametrize("clinica_id", [SMALL, None])
async def test_workers_that_claim_at_once_take_each_job_once_and_one_of_a_clinic(
    resources: Resources, conn: asyncpg.Connection, clinica_id: int | None
) -> None:
    for clase in (Clase.RESPALDO, Clase.RESTAURACION, Clase.SIMULACION):
        await add_job(conn, await stored(resources, clinica_id), clase, estado="pendiente")
    for _ in range(4):
        await asked(resources, Clase.RESPALDO, unused_clinic())
    came = await asyncio.gather(*(claim_next(resources) for _ in range(12)))
    jobs = [job for job in came if job is not None]
    assert len({job.id for job in jobs}) == len(jobs) == 5
    assert [job.clase for job in jobs if job.clinica_id == clinica_id] == [Clase.RESTAURACION]


async def test_the_database_itself_lets_no_two_hold_a_clinic(resources: Resources, conn: asyncpg.Connection) -> None:
    for clinica_id in (SMALL, None):
        id_ = await stored(resources, clinica_id)
        await add_job(conn, id_, estado="procesando")
        with pytest.raises(asyncpg.UniqueViolationError):
            await add_job(conn, id_, Clase.RESTAURACION, estado="procesando")


async def test_a_clinic_may_have_three_readings_waiting(resources: Resources) -> None:
    clinic = unused_clinic()
    for clase in (Clase.COMPARACION, Clase.SIMULACION, Clase.VERIFICACION):
        await asked(resources, clase, clinic)
    for clase in (clase for clase, kind in KINDS.items() if kind.reading):
        with pytest.raises(TooManyReadings) as refused:
            await asked(resources, clase, clinic)
        assert f"clínica {clinic} ya tiene 3 verificaciones, comparaciones, exportaciones o" in str(refused.value)
    await asked(resources, Clase.COMPARACION, unused_clinic())
    # The weekly trial is nobody's impatience.
    async with transaction(resources) as session:
        await reading_queries.add_verification(
            session,
            await stored(resources, clinic),
            clinica_id=clinic,
            profundidad=Profundidad.ENSAYO,
            actor=SERVICE,
        )
    # The other clinic's comes between the two of this one that begin.
    for _ in range(3):
        await claim_next(resources)
    await asked(resources, Clase.COMPARACION, clinic)


async def test_of_many_that_are_asked_for_at_once_three_wait(resources: Resources, conn: asyncpg.Connection) -> None:
    clinic = unused_clinic()
    backups = [await stored(resources, clinic) for _ in range(8)]

    async def compare(id_: int) -> bool:
        try:
            await pedir_comparacion(resources, None, id_, clinica_id=clinic, desde=backups[0], actor=ANA)
        except TooManyReadings:
            return False
        return True

    assert sum(await asyncio.gather(*map(compare, backups))) == 3
    assert await conn.fetchval("SELECT count(*) FROM respaldos.trabajo WHERE clase = 'comparacion'") == 3


async def test_the_same_reading_asked_for_again_is_no_other(resources: Resources) -> None:
    clinic = unused_clinic()
    backups = [await stored(resources, clinic) for _ in range(3)]
    for _ in range(2):
        for id_ in backups:
            await pedir_comparacion(resources, None, id_, clinica_id=clinic, desde=id_, actor=ANA)


async def test_what_failed_is_not_tried_again_at_once(store: Store, database: str, resources: Resources) -> None:
    async with opened(store, service=database, endpoint_url="http://127.0.0.1:9") as cut_off:
        await ask(cut_off)
        assert await run_next(with_lease(cut_off, retry_seconds=3600))
    assert await reconciliar(resources) == 0, "there is nothing to announce yet"
    assert not await run_next(resources)
