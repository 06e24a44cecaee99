"""Whoever goes back to an older version is told of everything that it has no room for; nothing is lost in silence."""

import subprocess
import sys
from pathlib import Path

import asyncpg
import pytest
from alembic import command

import app
from app.migrate import alembic_config, migrate
from tests.conftest import plain_url
from tests.support.jobs import add_exportacion, add_job
from tests.support.migrating import with_connection
from tests.support.program import environment

# A row with something in every column that an older version may lack.
FILLED = """
INSERT INTO respaldos.respaldo (clinica_id, tipo_respaldo, estado, archivo_s3, huella, retenido, retenido_motivo,
    clave_destruida)
VALUES (1, 'manual', 'completado', 'a', 'x', now(), 'auditoría', now());
INSERT INTO respaldos.respaldo (clinica_id, tipo_respaldo, estado, archivo_s3, respaldo_base_id, sin_cambios_desde)
VALUES (1, 'punto', 'completado', 'a', 1, now());
INSERT INTO respaldos.restauracion (respaldo_id, clinica_id, tipo, motivo, etiquetas, con_clinica)
VALUES (1, 1, 'restauracion', 'porque sí', '{"a": "b"}', true);
INSERT INTO respaldos.clave (id, clinica_id, maestra, envoltura) VALUES ('k', 1, 'm', 'x');
INSERT INTO respaldos.clave_api (clinica_id, nombre, alcances, publica, huella, vence)
VALUES (1, 'copia', '{mirar}', 'p', 'h', now());
INSERT INTO respaldos.token_terminado (clave) VALUES ('t');
INSERT INTO respaldos.peticion (quien, clave, huella) VALUES ('q', 'c', 'h');
INSERT INTO respaldos.politica (clinica_id, minutos) VALUES (1, 60);
INSERT INTO respaldos.punto (clinica_id) VALUES (1);
INSERT INTO respaldos.tarea (nombre) VALUES ('limpiar');
INSERT INTO respaldos.programacion (clinica_id, dia, previsto) VALUES (1, '2026-01-01', now());
INSERT INTO respaldos.evento (accion, clinica_id) VALUES ('retencion', 1);
INSERT INTO respaldos.aviso (tipo, clinica_id) VALUES ('eliminacion', 1);
"""


async def rows(connection: asyncpg.Connection) -> dict[str, int]:
    """How many each table has."""
    tables = await connection.fetch(
        "SELECT relname FROM pg_class WHERE relnamespace = to_regnamespace('respaldos') AND relkind = 'r'"
        " AND relname <> 'alembic_version'"
    )
    return {name: await connection.fetchval(f"SELECT count(*) FROM respaldos.{name}") for (name,) in tables}


async def go_back(url: str, target: str) -> None:
    """To that version, or to none ("base")."""
    await with_connection(url, lambda c: command.downgrade(alembic_config(c), target))


async def test_whatever_goes_is_said(empty_database: str, caplog: pytest.LogCaptureFixture) -> None:
    head = await migrate(empty_database)
    connection = await asyncpg.connect(plain_url(empty_database))
    try:
        await connection.execute(FILLED)
        await add_job(connection, 1)
        await add_exportacion(connection, 1)
        kept = await rows(connection)
        assert set(kept) - {table for table, count in kept.items() if count} == {"intento"}, "each table has a row"
        for number in range(int(head) - 1, -1, -1):
            before = await rows(connection)
            caplog.clear()
            target = f"{number:04}" if number else "base"
            await go_back(empty_database, target)
            await connection.reload_schema_state()
            said, left = caplog.text, await rows(connection)
            for table, count in before.items():
                if left.get(table, 0) < count:
                    assert f"la tabla «{table}», con filas" in said or f"«{table}», filas" in said, (target, table)
            for table, column in (("respaldo", "retenido_motivo"), ("restauracion", "etiquetas")):
                if {"retenido_motivo": 13, "etiquetas": 14}[column] == number:
                    assert f"de la tabla «{table}», la columna «{column}», con valores: 1" in said
            # And nothing of what was never filled.
            assert "conflictos" not in said
        assert left == {}
    finally:
        await connection.close()
    # From nothing to nothing, there is nothing to say.
    caplog.clear()
    await migrate(empty_database)
    await go_back(empty_database, "base")
    assert caplog.text == ""


async def test_by_alembics_own_command_line_it_is_refused_first(empty_database: str, tmp_path: Path) -> None:
    await migrate(empty_database)
    connection = await asyncpg.connect(plain_url(empty_database))

    def alembic(*arguments: str) -> subprocess.CompletedProcess[str]:
        (tmp_path / "alembic.ini").write_text(
            f"[alembic]\nscript_location = {Path(app.__file__).parent.parent / 'migrations'}\n"
        )
        return subprocess.run(
            [sys.executable, "-m", "alembic", *arguments],
            cwd=tmp_path,
            env=environment(DATABASE_URL=empty_database, EMBEDDED="redis,s3"),
            capture_output=True,
            text=True,
            check=False,
        )

    try:
        await connection.execute("INSERT INTO respaldos.token_terminado (clave) VALUES ('t')")
        refused = alembic("downgrade", "0015")
        assert refused.returncode != 0
        assert "la tabla «token_terminado», con filas: 1" in refused.stdout + refused.stderr
        assert "-x perder=si" in refused.stdout + refused.stderr
        assert await rows(connection) == await rows(connection) | {"token_terminado": 1}
        agreed = alembic("-x", "perder=si", "downgrade", "0015")
        assert agreed.returncode == 0, agreed
        assert "token_terminado" in agreed.stderr
        assert "token_terminado" not in await rows(connection)
    finally:
        await connection.close()
