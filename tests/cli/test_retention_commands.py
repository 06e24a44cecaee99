"""Deleting, taking back, accepting, cleaning and rebuilding, as a person does it."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import asyncpg
import pytest

from app.respaldos.resources import Resources
from tests.respaldos.conftest import SMALL, opened
from tests.storage.conftest import Store
from tests.support.program import Ran, on_a_terminal, respaldos
from tests.support.stored import put, row, stored, unused_clinic


@pytest.fixture
async def resources(store: Store, database: str) -> AsyncIterator[Resources]:
    """What the commands work on, for a test to prepare and look at it."""
    async with opened(store, service=database) as found:
        yield found


@pytest.fixture
def run(addresses: dict[str, str], tmp_path: Path) -> Any:
    """Run a command on those servers, without a terminal."""

    def command(*arguments: str, **settings: str) -> Ran:
        return respaldos(*arguments, cwd=tmp_path, **(addresses | settings))

    return command


async def test_eliminar_and_recuperar(resources: Resources, run: Any) -> None:
    clinic = unused_clinic()
    for _ in range(2):
        last = await stored(resources, clinic, content=b"contenido")
    refused = run("eliminar", str(last))
    assert (refused.code, "use --si" in refused.err) == (2, True)
    done = run("eliminar", str(last), "--si")
    assert (done.code, done.out) == (
        0,
        f"✓ Respaldo {last} eliminado; «respaldos recuperar {last}» lo trae de vuelta mientras su archivo exista\n",
    )
    assert run("listar", "--json").json[0]["id"] == last - 1
    assert "Eliminado (America/La_Paz): 20" in run("ver", str(last)).out
    again = run("eliminar", str(last), "--si", "--json")
    assert (again.code, again.json["error_type"]) == (1, "respaldo_inexistente")
    only = run("eliminar", str(last - 1), "--si")
    assert (only.code, only.err.startswith(f"✗ el respaldo {last - 1} es el único bueno")) == (1, True)
    assert run("recuperar", str(last)).out == f"✓ Respaldo {last} recuperado\n"
    assert run("eliminar", str(last), "--si", "--json").json == {"id": last, "eliminado": True}
    assert run("recuperar", str(last), "--json").json["id"] == last
    assert run("recuperar", str(last), "--json").json["error_type"] == "respaldo_no_eliminado"


@pytest.mark.parametrize(("typed", "code"), [(b"s\n", 0), (b"n\n", 130), (b"\n", 130)])
async def test_on_a_terminal_eliminar_asks(
    resources: Resources, addresses: dict[str, str], tmp_path: Path, typed: bytes, code: int
) -> None:
    for _ in range(2):
        last = await stored(resources, SMALL)
    awaited = f"¿Eliminar el respaldo {last} (de la clínica {SMALL}, ".encode()
    ran = on_a_terminal("eliminar", str(last), cwd=tmp_path, typed=typed, awaited=awaited, **addresses)
    assert ran.code == code, ran
    assert ((await row(resources, last)).fecha_eliminacion is not None) is (code == 0)


async def test_aceptar(resources: Resources, run: Any) -> None:
    doubtful = await stored(resources, SMALL, sospechoso=True)
    assert run("aceptar", str(doubtful)).out == f"✓ Respaldo {doubtful} aceptado: desde ahora cuenta como bueno\n"
    again = run("aceptar", str(doubtful), "--json")
    assert (again.code, again.json["error_type"]) == (1, "respaldo_no_sospechoso")


async def test_limpiar_says_what_goes_and_why_before_it_goes(
    resources: Resources, run: Any, conn: asyncpg.Connection
) -> None:
    clinic = unused_clinic()
    new, old = await stored(resources, clinic), await stored(resources, clinic, days=31, content=b"viejo")
    simulated = run("limpiar", "--simular")
    assert simulated.code == 0
    lines = [line.split() for line in simulated.out.splitlines()]
    assert [line[:2] + line[6:7] for line in lines if line[:1] == [str(clinic)]] == [
        [str(clinic), str(new), "bytes"],
        [str(clinic), str(old), "bytes"],
    ]
    assert "conservar   es el último respaldo bueno" in simulated.out
    assert "eliminar    hay otros más nuevos y tiene 30 días o más" in simulated.out
    assert simulated.out.endswith("Respaldos que se eliminarían: 1 de 2\n")
    refused = run("limpiar")
    assert (refused.code, "use --si" in refused.err) == (2, True)
    assert (await row(resources, old)).fecha_eliminacion is None
    kept = run("limpiar", "--simular", "--json", RETENTION_MINIMUM="2").json
    assert [(each["id"], each["conservar"]) for each in kept["respaldos"]] == [(new, True), (old, True)]
    assert kept["respaldos"][1]["razon"] == "es uno de los 2 últimos respaldos buenos"
    done = run("limpiar", "--si", PURGE_DAYS="0")
    assert (done.code, done.out.endswith("✓ Respaldos eliminados: 1; borrados de S3: 1\n")) == (0, True)
    assert (await row(resources, old)).purgado is not None
    event = await conn.fetchrow("SELECT direccion, detalle FROM respaldos.evento ORDER BY id DESC LIMIT 1")
    assert event is not None
    assert event["direccion"] == "línea de comandos"
    nothing = run("limpiar")
    assert nothing.code == 0, "there is nothing to ask about"


async def test_limpiar_asks_on_a_terminal(resources: Resources, addresses: dict[str, str], tmp_path: Path) -> None:
    clinic = unused_clinic()
    await stored(resources, clinic)
    old = await stored(resources, clinic, days=31)
    for typed, code in ((b"n\n", 130), (b"s\n", 0)):
        awaited = "¿Eliminar los respaldos marcados (1)? [s/N]".encode()
        ran = on_a_terminal("limpiar", cwd=tmp_path, typed=typed, awaited=awaited, **addresses)
        assert ran.code == code, ran
        assert ((await row(resources, old)).fecha_eliminacion is not None) is (code == 0)


async def test_limpiar_of_one_clinic_and_of_one_that_is_not_there(resources: Resources, run: Any) -> None:
    gone = 4711
    for clinic in (SMALL, gone):
        await stored(resources, clinic)
    found = run("limpiar", "--clinica", str(gone), "--simular", "--json").json
    assert [each["clinica_id"] for each in found["respaldos"]] == [gone]
    unknown = run("limpiar", "--clinica", "4712", "--simular", "--json")
    assert (unknown.code, unknown.json["error_type"]) == (1, "clinica_inexistente")


async def test_reindexar_tells_what_came_back_and_what_it_does_not_know(
    resources: Resources, run: Any, conn: asyncpg.Connection
) -> None:
    made = run("crear", "--clinica", str(SMALL), "--json").json
    await conn.execute("TRUNCATE respaldos.respaldo RESTART IDENTITY CASCADE")
    await put(resources, "backups/notas.txt", b"hola")
    ran = run("reindexar")
    assert (ran.code, ran.out.endswith("✓ Respaldos reconstruidos: 1; ya registrados: 0\n")) == (0, True)
    assert made["archivo_s3"] in ran.out
    assert "desconocido, no se tocó: «backups/notas.txt»: su nombre no es el de un respaldo" in ran.err
    assert run("verificar", str(made["id"])).code == 0
    again = run("reindexar", "--json").json
    assert (again["reconstruidos"], again["dañados"], again["ya_registrados"]) == ([], [], 1)
    broken = f"backups/{SMALL}/2026/01/backup_20260101_000000.json.gz"
    await put(resources, broken, b"roto")
    damaged = run("reindexar", "--clinica", str(SMALL))
    assert (damaged.code, damaged.out) == (1, "")
    assert f"quedó afuera, no se tocó: «{broken}»" in damaged.err
    assert damaged.err.endswith("ya registrados: 1; respaldos que quedaron afuera: 1\n")
    answer = run("reindexar", "--json")
    assert (answer.code, [each["archivo_s3"] for each in answer.json["dañados"]]) == (1, [broken])


def test_reindexar_shows_progress_on_a_terminal(addresses: dict[str, str], tmp_path: Path) -> None:
    ran = on_a_terminal("reindexar", cwd=tmp_path, typed=b"", awaited=b"", **addresses)
    assert ran.code == 0, ran
    assert "Leyendo el bucket" in ran.out
    assert "Respaldos reconstruidos: 0" in ran.out


async def test_estadisticas_has_every_number(resources: Resources, run: Any) -> None:
    await stored(resources, SMALL, tamaño_bytes=2**30)
    found = run("estadisticas", "--clinica", str(SMALL), "--json", STORAGE_PRICE_GB_MONTH="0.5").json
    assert set(found) == {
        *("total_respaldos", "completados", "fallidos", "tamaño_total_mb", "ultimo_respaldo", "tasa_exito"),
        *("proximo_respaldo", "costo_mensual_estimado_usd", "serie", "situacion", "ultimo_bueno"),
        *("ultima_verificacion", "fallos_seguidos", "tamaño_almacenado_mb", "precio_gb_mes_usd"),
    }
    assert (found["costo_mensual_estimado_usd"], len(found["serie"])) == (0.5, 90)
    shown = run("estadisticas", "--clinica", str(SMALL), BACKUP_HOUR="5", BACKUP_MINUTE="30", TIME_ZONE="UTC").out
    assert "Costo mensual estimado: 0.0125 USD\n" in shown
    assert " 05:30:00 (UTC)\n" in shown
    assert "Últimos 90 días: 1 con respaldo, 0 fallidos, 89 sin ninguno\n" in shown
