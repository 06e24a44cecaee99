"""What the service asks of its own tables with a million backups in them: 10,000 clinics, a hundred nights each.

With `EXPLAIN=1` in the environment, what PostgreSQL does for each question.
"""

import asyncio
import os
import statistics
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import asyncpg
from sqlalchemy import Connection, event
from sqlalchemy.engine import Engine

from app.connections.resources import open_resources
from app.notify import outbox
from app.respaldos.backup import fleet as backup_fleet
from app.respaldos.databases import transaction
from app.respaldos.jobs import fleet as job_fleet
from app.respaldos.models import Clase
from app.respaldos.resources import Resources
from app.respaldos.retention import fleet as retention_fleet
from app.respaldos.retention.clean import limpiar_respaldos_antiguos
from app.respaldos.retention.policy import Policy
from app.respaldos.schedule import fleet as schedule_fleet
from app.respaldos.schedule.nights import BATCH
from app.respaldos.schedule.overdue import OVERDUE
from app.respaldos.status import fleet as status_fleet
from app.settings import Settings
from tests.bench import panel
from tests.bench.databases import MANY_BACKUPS_HOME, database_url
from tests.bench.service import client, service, token
from tests.bench.table import Row, say

DAY = timedelta(days=1)

CLINICS, NIGHTS = 10_000, 100

# Nights that are not deleted, and those that are and whose object is still there.
KEPT, DELETED = 60, 7

# Each is asked this often; the median counts, since others may use the machine.
TIMES = 5

PORT = 8766

EXPLAIN = "EXPLAIN" in os.environ

# Clinic CLINICS + 1 is the platform, which is no clinic: NULL. In every table the oldest comes first, as it came.
FILL = (
    f"""
CREATE TEMPORARY TABLE night AS
SELECT (night - 1) * {CLINICS + 1}::bigint + clinic AS id, nullif(clinic, {CLINICS + 1})::bigint AS clinica_id,
    now() - make_interval(days => {NIGHTS} - night, mins => 30) - clinic * interval '0.72 s' AS moment,
    (clinic * 7919::bigint + night * 104729) % 1000 AS chance, (night + clinic) % 7 = 0 AS proven,
    clinic % 500 = 0 OR (clinic % 400 = 1 AND night > {NIGHTS} - 3) AS failing,
    night <= {NIGHTS - KEPT} AND (night < last OR clinic % 500 = 0) AS aged,
    night <= {NIGHTS - KEPT - DELETED} AND (night < last OR clinic % 500 = 0) AS purged
FROM generate_series(1, {NIGHTS}) AS night, generate_series(1, {CLINICS + 1}) AS clinic,
    -- Of a hundred clinics one was active in the beginning only.
    LATERAL (SELECT CASE WHEN clinic % 1000 = 3 THEN 30 WHEN clinic % 100 = 3 THEN 60 ELSE {NIGHTS} END AS last) AS l
WHERE night <= last
ORDER BY 1
""",
    f"""
INSERT INTO respaldos.respaldo (id, clinica_id, archivo_s3, fecha_respaldo, fecha_creacion, tamaño_bytes, hash_md5,
    numero_registros, tiempo_ejecucion, estado, tipo_respaldo, descripcion, metadata, sospechoso, verificado,
    verificado_profundidad, verificado_error, fecha_eliminacion, purga_iniciada, purgado)
OVERRIDING SYSTEM VALUE
SELECT id, clinica_id, CASE WHEN good THEN format('bench/%s', id) END, moment, moment, 100000 + id % 50000,
    md5(id::text), 2000, interval '1 second', CASE WHEN good THEN 'completado' ELSE 'fallido' END,
    CASE WHEN chance % 100 = 7 THEN 'por_demanda' WHEN chance % 5 = 0 AND clinica_id > 0 THEN 'punto'
        ELSE 'automatico' END, 'Respaldo automático de la noche',
    CASE WHEN good THEN metadata ELSE '{{"error": "no hay conexión", "error_type": "base_no_disponible"}}' END,
    good AND chance = 900, CASE WHEN proven AND good THEN moment + interval '1 day' END,
    CASE WHEN proven AND good THEN 'ensayo' END, CASE WHEN proven AND chance = 500 THEN 'el archivo está dañado' END,
    CASE WHEN aged THEN moment + interval '{KEPT} days' END,
    CASE WHEN purged THEN moment + interval '{KEPT + DELETED} days' END,
    CASE WHEN purged THEN moment + interval '{KEPT + DELETED} days' END
FROM (SELECT *, NOT failing AND chance >= 5 AS good FROM night) AS n, (
    SELECT jsonb_build_object('modelos_respaldados', jsonb_agg('modelo_' || m),
        'detalles_registros', jsonb_object_agg('modelo_' || m, m), 'avisos', '[]'::jsonb) AS metadata
    FROM generate_series(1, 25) AS m) AS said
ORDER BY id
""",
    """
INSERT INTO respaldos.trabajo (clase, clinica_id, respaldo_id, estado, prioridad, exclusiva, reintentable, intento,
    proximo, fecha_creacion, fecha_fin)
SELECT 'respaldo', clinica_id, id, estado, 30, true, true, 1, fecha_creacion, fecha_creacion,
    fecha_creacion + interval '1 second'
FROM respaldos.respaldo ORDER BY id
""",
    """
INSERT INTO respaldos.intento (respaldo_id, numero, archivo_s3, inicio, fin, vencido, limpiado)
SELECT id, 1, coalesce(archivo_s3, format('bench/%s', id)), fecha_creacion, fecha_creacion + interval '1 second',
    id % 5000 = 0, fecha_creacion + interval '1 hour'
FROM respaldos.respaldo ORDER BY id
""",
    """
INSERT INTO respaldos.restauracion (respaldo_id, clinica_id, tipo, profundidad)
SELECT id, clinica_id, 'verificacion', 'ensayo' FROM respaldos.respaldo WHERE verificado IS NOT NULL ORDER BY id
""",
    """
INSERT INTO respaldos.trabajo (clase, clinica_id, respaldo_id, restauracion_id, estado, prioridad, exclusiva,
    reintentable, intento, fecha_creacion, fecha_fin)
SELECT 'verificacion', r.clinica_id, r.respaldo_id, r.id, 'completado', 50, false, true, 1, b.verificado, b.verificado
FROM respaldos.restauracion r JOIN respaldos.respaldo b ON b.id = r.respaldo_id ORDER BY r.id
""",
    """
INSERT INTO respaldos.programacion (clinica_id, dia, respaldo_id, previsto, intentos)
SELECT clinica_id, (moment AT TIME ZONE 'UTC')::date, id, moment, 1 FROM night ORDER BY id
""",
    f"""
INSERT INTO respaldos.punto (clinica_id, ultimo)
SELECT clinic, now() - interval '1 hour' FROM generate_series(1, {CLINICS}) AS clinic
""",
    f"""
INSERT INTO respaldos.politica (clinica_id, minutos, hora, dias)
SELECT clinic, nullif(clinic % 3 * 30, 0), make_time(clinic % 24, clinic % 60, 0), '{{0,1,2,3,4,5}}'
FROM generate_series(1, {CLINICS}) AS clinic WHERE clinic % 3 > 0
""",
    """
INSERT INTO respaldos.aviso (clinica_id, tipo, respaldo_id, datos, fecha_creacion, correo, webhook, terminado,
    proximo)
SELECT clinica_id, CASE estado WHEN 'completado' THEN 'exito' ELSE 'fallo' END, id,
    '{"enviado_a": ["a@example.com"]}', fecha_creacion, fecha_creacion, fecha_creacion,
    fecha_creacion + interval '1 minute', fecha_creacion
FROM respaldos.respaldo ORDER BY id
""",
    """
INSERT INTO respaldos.evento (fecha, clinica_id, accion, respaldo_id, direccion, detalle)
SELECT fecha, clinica_id, accion, id, 'servicio', '{"tipo_respaldo": "automatico"}' FROM (
    SELECT fecha_creacion AS fecha, clinica_id, 'creacion' AS accion, id FROM respaldos.respaldo
    UNION ALL
    SELECT fecha_eliminacion, clinica_id, 'eliminacion', id FROM respaldos.respaldo
    WHERE fecha_eliminacion IS NOT NULL) AS happened ORDER BY fecha
""",
    "SELECT setval(pg_get_serial_sequence('respaldos.respaldo', 'id'), max(id)) FROM respaldos.respaldo",
)

# Ten of those with backups are gone since, ten are new and have none.
ADD_CLINICS = f"""
INSERT INTO clinica (id, nombre, ciudad, direccion, telefono, admin_email, activa, fecha_alta, configuracion)
SELECT id, 'Clínica ' || id, 'La Paz', '', '', '', id % 100 <> 3, now(), '{{}}'
FROM generate_series(1, {CLINICS + 20}) AS id WHERE id NOT BETWEEN {CLINICS - 9} AND {CLINICS + 10}
"""


async def make_rows(url: str) -> None:
    """Fill the tables, unless they are."""
    connection = await asyncpg.connect(url)
    try:
        if await connection.fetchval("SELECT count(*) FROM clinica") > CLINICS / 2:
            return
        say(f"making {CLINICS * NIGHTS:,} backups")
        started = time.perf_counter()
        async with connection.transaction():
            await connection.execute(ADD_CLINICS)
            for statement in FILL:
                await connection.execute(statement)
        await connection.execute("VACUUM ANALYZE")
        await connection.execute("CHECKPOINT")
        say(f"made them in {time.perf_counter() - started:.0f} s")
    finally:
        await connection.close()


@dataclass(frozen=True, slots=True)
class Question:
    """Something that the service asks of its tables: how long it may take (seconds)."""

    what: str
    bound: float
    ask: Callable[[Resources], Awaitable[Any]]


def _in_transaction(query: Callable[..., Awaitable[Any]], **arguments: Any) -> Callable[[Resources], Awaitable[Any]]:
    async def ask(resources: Resources) -> None:
        async with transaction(resources) as session:
            await query(session, **arguments)
            # Some change what they find.
            await session.rollback()

    return ask


def _questions(clinics: list[int]) -> list[Question]:
    now = datetime.now(UTC)
    among: dict[str, Any] = {"among": clinics}
    policies = {
        "days alone": Policy(days=KEPT),
        "two months' days, a year's weeks and months": Policy(days=KEPT, daily=60, weekly=52, monthly=12),
    }

    def retention(policy: Policy) -> Callable[[Resources], Awaitable[Any]]:
        return lambda resources: limpiar_respaldos_antiguos(resources, policy, now=now, all_decisions=False)

    return [
        *(
            Question(f"retention with nothing to delete: {name}", 3, retention(policy))
            for name, policy in policies.items()
        ),
        Question(
            "retention with nothing to delete: each clinic's own, of five kinds",
            3,
            _in_transaction(
                retention_fleet.clinics_to_clean,
                policy=policies["days alone"],
                own={id_: Policy(days=KEPT, minimum=1 + id_ % 5, weekly=52, monthly=12) for id_ in clinics},
                now=now,
                time_zone=ZoneInfo("America/La_Paz"),
            ),
        ),
        Question("purge: what is due", 0.2, _in_transaction(retention_fleet.purgeable, days=DELETED)),
        Question("trials: what is due", 0.2, _in_transaction(schedule_fleet.newest_good_and_trial, **among)),
        Question("who is overdue", 0.2, _in_transaction(schedule_fleet.overdue, since=now - OVERDUE, **among)),
        Question("the night: who has none", 0.2, _in_transaction(schedule_fleet.unplanned, dia=now.date(), **among)),
        Question(
            "the night: who is due",
            0.2,
            _in_transaction(
                schedule_fleet.start_due, dia=now.date() - DAY, now=now, retry=True, limit=BATCH, **among
            ),
        ),
        Question("points: which clinics have their own", 0.2, _in_transaction(schedule_fleet.own_points)),
        Question(
            "points: BATCH of them whose turn it is",
            1,
            _in_transaction(schedule_fleet.start_points, turns={id_: now for id_ in clinics}, now=now, limit=BATCH),
        ),
        Question("reconcile: dead jobs", 0.2, _in_transaction(job_fleet.expired, kinds=list(Clase))),
        Question("reconcile: attempts to clean up", 0.2, _in_transaction(backup_fleet.dangling_attempts)),
        Question("reconcile: jobs that wait", 0.2, _in_transaction(job_fleet.waiting)),
        Question("the best job that waits", 0.2, _in_transaction(job_fleet.best_waiting)),
        Question("a notice to send", 0.2, _in_transaction(outbox.claim)),
        Question("metrics: groups", 0.2, _in_transaction(status_fleet.groups)),
        Question("metrics: newest good", 0.2, _in_transaction(status_fleet.newest_good)),
        Question("metrics: clinics without a good one", 0.2, _in_transaction(status_fleet.without_good)),
        Question("metrics: clinics without a trial", 0.2, _in_transaction(status_fleet.unproven)),
        Question("metrics: backlog", 0.2, _in_transaction(status_fleet.backlog)),
        Question("all clinics' health in short", 0.2, _in_transaction(status_fleet.summaries, **among)),
    ]


ROUTES = {
    "GET /metrics": ("/metrics", 0.5),
    "GET /plataforma/clinicas/": ("/api/v1/plataforma/clinicas/", 0.3),
    "GET /plataforma/clinicas/, page 50": ("/api/v1/plataforma/clinicas/?offset=4900", 0.3),
    "GET /plataforma/eventos/": ("/api/v1/plataforma/eventos/", 0.3),
    "GET /respaldos/": ("/api/v1/respaldos/?clinica_id=5", 0.3),
    "GET /respaldos/estadisticas/": ("/api/v1/respaldos/estadisticas/?clinica_id=5", 0.3),
}


async def _seconds(ask: Callable[[], Awaitable[Any]]) -> float:
    """The median, after a first one that finds the caches cold."""
    times = []
    for _ in range(TIMES + 1):
        started = time.perf_counter()
        await ask()
        times.append(time.perf_counter() - started)
    return statistics.median(times[1:])


@contextmanager
def _explained() -> Iterator[None]:
    """Have PostgreSQL say of each SELECT what it does for it, before it is done."""

    def explain(connection: Connection, _: Any, statement: str, parameters: Any, *__: Any) -> None:
        if statement.startswith(("SELECT", "WITH")):
            plan = connection.exec_driver_sql(f"EXPLAIN (ANALYZE, BUFFERS) {statement}", parameters)
            say("\n".join(line for (line,) in plan))

    event.listen(Engine, "before_cursor_execute", explain)
    try:
        yield
    finally:
        event.remove(Engine, "before_cursor_execute", explain)


async def _ask_all(settings: Settings) -> dict[str, tuple[float, float]]:
    """What each question takes, and may."""
    found = {}
    async with open_resources(settings) as resources:
        clinics = [clinic.id for clinic in await resources.clinic.clinics() if clinic.active]
        for question in _questions(clinics):
            say(question.what)
            if EXPLAIN:
                with _explained():
                    await question.ask(resources)

            async def ask(question: Question = question) -> None:
                await question.ask(resources)

            found[question.what] = await _seconds(ask), question.bound
    return found


async def _get_all() -> dict[str, tuple[float, float]]:
    """What each route takes, and may."""
    found = {}
    async with client(PORT, token(MANY_BACKUPS_HOME, None)) as session:
        for what, (path, bound) in ROUTES.items():
            say(what)

            async def get(path: str = path) -> None:
                async with session.get(path) as answer:
                    if answer.status != 200 or not await answer.read():
                        raise SystemExit(f"GET {path} answered {answer.status}: {await answer.text()}")

            found[what] = await _seconds(get), bound
    return found


def measure(settings: Settings) -> tuple[list[Row], dict[str, Any]]:
    """Run everything; return the lines of the table and the raw numbers behind them."""
    asyncio.run(make_rows(database_url(settings)))
    found = asyncio.run(_ask_all(settings))
    with service(MANY_BACKUPS_HOME, "serve", "--puerto", str(PORT)):
        found |= asyncio.run(_get_all())
        pages = asyncio.run(panel.of_all_clinics(PORT, token(MANY_BACKUPS_HOME, None)))
    rows = [Row(what, "", seconds, bound, "s") for what, (seconds, bound) in found.items()]
    for what, (opened, filtered, elements, most) in pages.items():
        rows += [
            Row(f"{what}: the first row", "", opened, 1, "s"),
            Row(f"{what}: the first row, filtered", "", filtered, 0.5, "s"),
            Row(f"{what}: elements of the page", "", elements, 3_000, ""),
            Row(f"{what}: elements with a thousand rows", "", most, None, ""),
        ]
    return rows, found | pages
