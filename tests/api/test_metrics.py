"""What Prometheus is told, and who else is."""

from datetime import UTC, datetime, timedelta

import asyncpg
import httpx
from fastapi import FastAPI
from prometheus_client.parser import text_string_to_metric_families
from pydantic import SecretStr

from app.respaldos.reconcile import reconciliar
from app.settings import Settings
from tests.api.conftest import API, OTHER, add_backup, add_verification, asking, bearer, client_of
from tests.respaldos.conftest import NEW, SMALL
from tests.support.jobs import add_restauracion

Samples = dict[tuple[str, tuple[tuple[str, str], ...]], float]


def samples(answer: httpx.Response) -> Samples:
    """Every number, by name and labels."""
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"].startswith("text/plain")
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(answer.text)
        for sample in family.samples
    }


async def test_the_numbers(app: FastAPI, client: httpx.AsyncClient, conn: asyncpg.Connection) -> None:
    now = datetime.now(UTC)
    newest = await add_backup(conn, SMALL, fecha_respaldo=now - timedelta(hours=30))
    await add_backup(conn, SMALL, fecha_respaldo=now - timedelta(hours=2), sospechoso=True)
    await add_backup(conn, SMALL, estado="fallido")
    await add_backup(conn, OTHER, fecha_respaldo=now - timedelta(hours=1), sospechoso=True, aceptado=now)
    await add_backup(conn, OTHER, fecha_eliminacion=now)
    await add_backup(conn, OTHER, fecha_eliminacion=now, purgado=now)
    await add_backup(conn, OTHER, estado="procesando", intento=1, lease_until=now - timedelta(minutes=1))
    await conn.execute(
        "INSERT INTO respaldos.intento (respaldo_id, numero, archivo_s3)"
        " SELECT respaldo_id, intento, 'backups/otra' FROM respaldos.trabajo WHERE estado = 'procesando'"
    )
    await reconciliar(app.state.service.resources)
    await conn.execute("INSERT INTO respaldos.aviso (clinica_id, tipo) VALUES ($1, 'fallo')", SMALL)
    await client.post(f"{API}/respaldos/crear_respaldo_manual/", headers=bearer())
    # What Redis forgets still waits; what is done is no work, whatever Redis says.
    await add_verification(conn, newest)
    await add_restauracion(conn, newest)
    # Known by its nights, all of which have failed, or gave a suspicious one; and one that had a good backup since.
    await add_backup(conn, NEW, estado="fallido")
    await add_backup(conn, NEW, sospechoso=True)
    for clinic, days in ((NEW, 2), (NEW, 1), (SMALL, 9)):
        await conn.execute(
            "INSERT INTO respaldos.programacion (clinica_id, dia, previsto) VALUES ($1, $2, $3)",
            *(clinic, now.date() - timedelta(days=days), now - timedelta(days=days)),
        )

    await app.state.service.require_queue().record_periodic_health()
    # One trial ended well, a later one did not; the other clinic has had none.
    await conn.execute(
        "UPDATE respaldos.respaldo SET verificado = $2, verificado_profundidad = 'ensayo' WHERE id = $1",
        *(newest, now - timedelta(days=3)),
    )
    await add_backup(
        *(conn, SMALL),
        verificado=now - timedelta(days=1),
        verificado_profundidad="ensayo",
        verificado_error="no se restaura",
    )

    found = samples(await client.get("/metrics"))
    automatic = ("tipo", "automatico")
    assert found["respaldos_total", (("estado", "completado"), automatic)] == 5
    assert found["respaldos_total", (("estado", "fallido"), automatic)] == 2
    assert found["respaldos_total", (("estado", "pendiente"), ("tipo", "por_demanda"))] == 1
    assert found["respaldos_bytes", ()] == 6 * (3 << 19)
    assert found["respaldos_arriendos_vencidos_total", ()] == 1
    assert found["respaldos_avisos_pendientes", ()] == 1
    assert found["respaldos_cola_trabajos", ()] == 3
    assert found["respaldos_redis_disponible", ()] == 1
    assert found["respaldos_trabajador_disponible", (("tarea", "trabajos"),)] == 0
    assert found["respaldos_trabajador_disponible", (("tarea", "periodicas"),)] == 1
    ages = {labels[0][1]: value for (name, labels), value in found.items() if "ultimo_bueno_edad" in name}
    assert set(ages) == {str(SMALL), str(OTHER), str(NEW)}
    assert 48 * 3600 <= ages[str(NEW)] < 49 * 3600
    assert 30 * 3600 <= ages[str(SMALL)] < 31 * 3600
    assert 3600 <= ages[str(OTHER)] < 2 * 3600
    trials = {labels[0][1]: value for (name, labels), value in found.items() if "ultimo_ensayo" in name}
    assert set(trials) == {str(SMALL), str(OTHER)}
    assert 72 * 3600 <= trials[str(SMALL)] < 73 * 3600
    assert 3600 <= trials[str(OTHER)] < 2 * 3600
    assert found["respaldos_ultimo_bueno_duracion_segundos", (("clinica_id", str(SMALL)),)] == 4.381


async def test_without_a_token_only_this_machine_is_told(app: FastAPI, client: httpx.AsyncClient) -> None:
    assert (await client.get("/metrics")).status_code == 200
    proxied = await client.get("/metrics", headers={"X-Forwarded-For": "127.0.0.1"})
    async with client_of(app, "192.0.2.1") as elsewhere:
        refused = await elsewhere.get("/metrics")
    for answer in (proxied, refused):
        assert (answer.status_code, answer.json()["codigo"]) == (403, "sin_permiso")


async def test_with_a_token_whoever_has_it_is_told(settings: Settings) -> None:
    async with asking(settings.model_copy(update={"metrics_token": SecretStr("ñ-secreto")})) as client:
        without = await client.get("/metrics")
        wrong = await client.get("/metrics", headers={"Authorization": "Bearer otro"})
        person = await client.get("/metrics", headers=bearer())
        right = await client.get("/metrics", headers={b"Authorization": "Bearer ñ-secreto".encode()})
    assert [answer.status_code for answer in (without, wrong, person)] == [401] * 3
    assert without.headers["www-authenticate"]
    assert right.status_code == 200


async def test_a_database_that_is_away_is_told(settings: Settings) -> None:
    dead = SecretStr("postgresql+asyncpg://u:c@127.0.0.1:1/d")
    async with asking(settings.model_copy(update={"database_url": dead})) as client:
        answer = await client.get("/metrics")
    assert (answer.status_code, answer.json()["codigo"]) == (503, "base_de_datos_no_disponible")
