"""The roles that the documentation has made, with what it grants them and nothing else."""

import re
from collections.abc import Callable
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from app.demo.sample.generate import create_schema, fill
from app.settings import DEMO_RULES
from tests.cli.conftest import addresses_of
from tests.clinic.conftest import SAMPLE, Database
from tests.conftest import unique_name
from tests.storage.conftest import Store
from tests.support.program import Ran, respaldos
from tests.support.roles import sql_of, three_roles

ROOT = Path(__file__).parents[2]

# What everybody may by default is taken away, so that a GRANT that is missing is missed.
HARDENED = """
REVOKE ALL ON DATABASE {0} FROM PUBLIC; REVOKE ALL ON SCHEMA public FROM PUBLIC;
ALTER TABLE bitacora ENABLE ROW LEVEL SECURITY;
"""

# A state that only invoices of the clinic are in, so that it can go: a shared row that a restore has to put back.
OWN_STATE = """
INSERT INTO estadodefactura VALUES (900, 'En disputa');
UPDATE factura SET idestadofactura = 900 WHERE clinica_id = 1 AND id % 3 = 0;
"""
DAMAGE = """
DELETE FROM bitacora WHERE clinica_id = 1;
DELETE FROM pago_en_linea WHERE id % 2 = 0;
UPDATE factura SET idestadofactura = 1 WHERE idestadofactura = 900;
DELETE FROM estadodefactura WHERE id = 900;
"""


def narrow_writer() -> str:
    """The same with the other writer."""
    others, _, _ = three_roles().partition("CREATE ROLE respaldos_escritor")
    return others + sql_of("docs/restore.md", "CREATE ROLE")


def favoured_writer() -> str:
    """The narrow one with all that makes restores faster."""
    return narrow_writer() + sql_of("docs/restore.md", "GRANT SET")


@pytest.mark.parametrize(
    ("any_database", "roles"),
    [(18, three_roles), (16, three_roles), (18, narrow_writer), (16, narrow_writer), (18, favoured_writer)],
    indirect=["any_database"],
    ids=["pg18", "pg16", "pg18-narrow", "pg16-narrow", "pg18-favoured"],
)
async def test_the_documented_roles_can_do_everything(
    any_database: Database, store: Store, tmp_path: Path, roles: Callable[[], str]
) -> None:
    sql = any_database.sql
    await create_schema(sql)
    await fill(sql, SAMPLE)
    await sql.execute(OWN_STATE)
    await sql.execute(HARDENED.format(f'"{any_database.name}"'))
    # Roles belong to the whole server, where other tests make the same ones.
    prefix = unique_name("rol").replace("-", "_")
    given = re.sub(r"\brespaldos(?=\b|_)", prefix, re.sub(r"--.*", "", roles()))
    await sql.execute(given.replace("'…'", "'clave'").replace("DATABASE clinicas", f'DATABASE "{any_database.name}"'))
    place = urlsplit(any_database.url).netloc.rpartition("@")[2] + urlsplit(any_database.url).path
    settings = addresses_of(store, any_database.url) | {
        "DATABASE_URL": f"postgresql://{prefix}:clave@{place}",
        "CLINIC_DATABASE_URL": f"postgresql://{prefix}_lector:clave@{place}",
        "CLINIC_RESTORE_DATABASE_URL": f"postgresql://{prefix}_escritor:clave@{place}",
        "OWNERSHIP_RULES": DEMO_RULES,
        "JWT_SECRET": "s" * 32,
    }

    def run(*arguments: str) -> Ran:
        ran = respaldos(*arguments, cwd=tmp_path, **settings)
        assert ran.code == 0, (arguments, ran)
        return ran

    run("migrar")
    run("catalogo", "--estricto")
    run("clinicas")
    run("token", "--clinica", "1")
    run("crear", "--clinica", "1")
    for depth in ("rapida", "completa", "ensayo"):
        run("verificar", "1", "--profundidad", depth)
    nothing = run("comparar", "1").out
    assert nothing == "✓ No hay ninguna diferencia\n"
    await sql.execute(DAMAGE)
    assert run("comparar", "1").out != nothing
    run("restaurar", "1", "--registro", "facturas:3", "--simular")
    run("restaurar", "1", "--si")
    assert run("comparar", "1").out == nothing
