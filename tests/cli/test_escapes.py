"""Whatever a clinic's data and names hold, no command lets a terminal heed it."""

from pathlib import Path

import asyncpg

from app.cli.main import LINES
from tests.cli.conftest import addresses_of
from tests.respaldos.conftest import LARGE, SMALL
from tests.storage.conftest import Store
from tests.support.program import Ran, on_a_terminal, respaldos
from tests.support.restores import conn

__all__ = ["conn"]

# Puts something into the clipboard, and turns the writing around.
EVIL = "Ana\x1b]52;c;ZXZpbA==\x07\u202e\x9b2J"
SHOWN = r"Ana\x1b]52;c;ZXZpbA==\x07\u202e\x9b2J"

# Those that print nothing of what is in a database.
SILENT = {"demo", "migrar", "configurar-s3", "serve", "worker"}

TABLES = f"""
CREATE TABLE "{EVIL}" (id int PRIMARY KEY, clinica_id bigint NOT NULL REFERENCES clinica, "columna{EVIL}" text,
    "único{EVIL}" text UNIQUE);
CREATE TABLE "suelta{EVIL}" (dato text);
CREATE TABLE "hija{EVIL}" (clave text PRIMARY KEY, padre int REFERENCES "{EVIL}", nota jsonb);
UPDATE clinica SET nombre = '{EVIL}';
INSERT INTO "{EVIL}" SELECT n, 1 + n % 2, '{EVIL}' || n, '{EVIL}' || n FROM generate_series(1, 60) AS n;
INSERT INTO "hija{EVIL}" SELECT '{EVIL}' || id, id, jsonb_build_object('{EVIL}', 1) FROM "{EVIL}";
"""
DAMAGE = f"""
DELETE FROM "hija{EVIL}"; UPDATE "{EVIL}" SET "columna{EVIL}" = '{EVIL}?' WHERE id < 30;
DELETE FROM "{EVIL}" WHERE id > 50; INSERT INTO "{EVIL}" SELECT id + 100, clinica_id, 'x', '{EVIL}' || id + 10
    FROM "{EVIL}" WHERE id BETWEEN 41 AND 50;
"""


async def test_no_command_lets_a_terminal_heed_data(
    store: Store, own_database: str, conn: asyncpg.Connection, tmp_path: Path
) -> None:
    addresses = addresses_of(store, own_database) | {"JWT_SECRET": "s" * 32}
    seen: dict[str, str] = {}

    def run(*arguments: str, codes: tuple[int, ...] = (0,)) -> Ran:
        ran = respaldos(*arguments, cwd=tmp_path, **addresses)
        said = ran.out + ran.err
        assert ran.code in codes, ran
        assert not {char for char in said if char != "\n" and not char.isprintable()}, (arguments, said)
        seen[arguments[0]] = seen.get(arguments[0], "") + said
        return ran

    await conn.execute(TABLES)
    clinic = str(SMALL)
    made = str(run("crear", "--clinica", clinic, "--descripcion", EVIL, "--json").json["id"])
    run("crear", "--clinica", str(LARGE))
    run("crear", "--plataforma")
    run("listar")
    run("ver", made)
    run("estadisticas", "--clinica", clinic)
    run("clinicas")
    run("situacion")
    run("politica", "--clinica", clinic)
    run("politica", "--clinica", clinic, "--horario", EVIL, codes=(1,))
    run("politica", "--clinica", clinic, "--avisar", EVIL, codes=(1,))
    run("auditoria")
    run("claves")
    run("claves", "destruir", "--clinica", clinic, "--nombre", EVIL, codes=(1,))
    run("catalogo", codes=(0, 1))
    run("revisar", codes=(0, 1))
    run("token", "--clinica", clinic, "--usuario", EVIL, codes=(0, 1, 2))
    run("acceso", "cerrar-sesiones", "--clinica", clinic, "--usuario", EVIL, codes=(2,))
    run("acceso", "crear-clave", "--clinica", clinic, "--nombre", EVIL, "--para", "mirar", codes=(1,))
    run("acceso", "revocar-clave", "1", "--clinica", clinic, codes=(1,))
    run("acceso", "claves", "--clinica", clinic)
    run("acceso", "cerrar-sesiones", "--clinica", EVIL, "--usuario", "1", codes=(1, 2))
    run("verificar", made)
    run("descargar", made, "-o", f"copia{EVIL}.gz")
    run("verificar", f"copia{EVIL}.gz")
    run("verificar", f"nada{EVIL}.gz", codes=(1, 2))
    run("exportar", made, "--formato", "csv", "-o", f"tablas{EVIL}")
    run("constancia", made, "-o", f"papel{EVIL}.pdf")
    run("buscar", "--clinica", clinic, "2j", codes=(0, 1))
    run("buscar", "--clinica", clinic, EVIL, "--modelos", EVIL, codes=(0, 1, 2))
    run("historia", "--clinica", clinic, f"{EVIL}:2", codes=(0, 1, 2))
    run("comparar", made)
    await conn.execute(DAMAGE)
    run("comparar", made)
    run("comparar", made, "--detalle")
    for scope in (
        *((), ("--modelos", EVIL), ("--modelos", f"nada{EVIL}"), ("--registro", f"hija{EVIL}:{EVIL}1")),
        *(("--registro", f"{EVIL}:{EVIL}"), ("--registro", EVIL), ("--registros-de", f"nada{EVIL}")),
        *(("--solo", "faltantes"), ("--solo", "cambiados", "--motivo", EVIL), ("--solo", EVIL), ("--destino", EVIL)),
    ):
        run("restaurar", made, "--simular", *scope, codes=(0, 1, 2))
    asked = on_a_terminal("restaurar", made, cwd=tmp_path, typed=b"s\n", awaited="¿Restaurar".encode(), **addresses)
    assert asked.code == 0, asked
    assert SHOWN in asked.out
    assert not any(part in asked.out for part in ("\x1b]", "\x07", "\u202e", "\x9b"))
    run("limpiar", "--simular")
    run("retener", made, "--motivo", EVIL)
    run("ver", made)
    run("eliminar", made, "--si", codes=(1,))
    run("limpiar", "--simular")
    run("retener", made, "--liberar")
    run("eliminar", made, "--si", codes=(0, 1))
    run("recuperar", made, codes=(0, 1))
    run("aceptar", made, codes=(0, 1))
    run("reindexar")
    run("listar", "--clinica", EVIL, codes=(1, 2))
    run(EVIL, codes=(2,))
    run("listar", f"--{EVIL}", codes=(2,))
    assert set(LINES) - SILENT <= seen.keys()
    for command in ("listar", "ver", "clinicas", "catalogo", "comparar", "restaurar", "exportar", "descargar"):
        assert SHOWN in seen[command], (command, seen[command])
