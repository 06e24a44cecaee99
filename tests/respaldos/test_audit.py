"""The audit trail proves that no line of it was changed, left out or put in between."""

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import asyncpg
import pytest

from app.respaldos import audit
from app.respaldos.audit import NONE_BEFORE, Proof
from app.respaldos.databases import transaction
from app.respaldos.models import Accion
from app.respaldos.resources import Resources
from app.respaldos.retention.purge import purgar
from tests.conftest import unique_name
from tests.respaldos.conftest import ANA, LARGE, SMALL
from tests.support.stored import stored, trail


async def put(
    resources: Resources, *, clinica_id: int | None = SMALL, lines: int = 1, fails: bool = False, **detalle: Any
) -> None:
    """Lines of one transaction; with `fails` it is rolled back."""
    async with transaction(resources) as session:
        for number in range(lines):
            await audit.record(session, Accion.INGRESO, ANA, clinica_id=clinica_id, numero=number, **detalle)
        lines //= not fails


async def proof(resources: Resources, anchor: tuple[int, str] | None = None) -> Proof:
    """What the lines prove."""
    async with transaction(resources) as session:
        return await audit.verify(session, anchor=anchor)


@pytest.fixture
async def owner(conn: asyncpg.Connection) -> AsyncIterator[asyncpg.Connection]:
    """Somebody who may switch the triggers off, and does."""
    await conn.execute("ALTER TABLE respaldos.evento DISABLE TRIGGER USER")
    yield conn
    await conn.execute("ALTER TABLE respaldos.evento ENABLE ALWAYS TRIGGER evento_no_cambia")
    await conn.execute("ALTER TABLE respaldos.evento ENABLE ALWAYS TRIGGER evento_espera")
    await conn.execute("ALTER TABLE respaldos.evento ENABLE ALWAYS TRIGGER evento_encadena")


async def test_lines_of_many_at_once_make_one_chain(
    resources: Resources, conn: asyncpg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert await proof(resources) == Proof(0, 0, NONE_BEFORE)
    monkeypatch.setattr(audit, "VERIFIED_AT_ONCE", 7)
    texts: dict[str, Any] = {
        "texto": 'ñ «"\\\n\u2028 \U0001f600',
        "vacío": None,
        "numero_grande": 1.5e300,
        "lista": [1.0, True],
    }
    await asyncio.gather(
        *(put(resources, lines=lines, **texts) for lines in (1, 5, 2) * 4),
        *(put(resources, clinica_id=None) for _ in range(6)),
    )
    with pytest.raises(ZeroDivisionError):
        await put(resources, fails=True)
    # Whatever number, hash or setting of the session somebody would give theirs.
    await conn.execute("SET session_replication_role = replica")
    await conn.execute("SET TimeZone = 'Asia/Kathmandu'; SET DateStyle = 'German'")
    await conn.execute(
        "INSERT INTO respaldos.evento (id, accion, anterior, huella) OVERRIDING SYSTEM VALUE "
        " VALUES (9999, 'salida', '', '')"
    )
    for refused in ("UPDATE respaldos.evento SET usuario = 'x'", "DELETE FROM respaldos.evento WHERE id = 0"):
        with pytest.raises(asyncpg.RaiseError, match="solo se agrega"):
            await conn.execute(refused)
    with pytest.raises(asyncpg.RaiseError, match="solo se agrega"):
        await conn.execute("TRUNCATE respaldos.evento")
    found = await proof(resources)
    assert (found.lines, found.last, found.problem) == (39, 39, None)
    assert found.digest == await conn.fetchval("SELECT huella FROM respaldos.evento WHERE id = 39")
    assert (
        await proof(resources, (20, await conn.fetchval("SELECT huella FROM respaldos.evento WHERE id = 20")))
        == found
    )


async def test_a_line_waits_for_nobody_who_waits_for_it(resources: Resources, conn: asyncpg.Connection) -> None:
    """Its transaction does other things after it was recorded, and holds up no other line meanwhile."""
    async with transaction(resources) as session:
        await audit.record(session, Accion.SALIDA, ANA, clinica_id=LARGE)
        await asyncio.wait_for(put(resources), timeout=30)
    assert [tuple(each) for each in await conn.fetch("SELECT id, accion FROM respaldos.evento ORDER BY id")] == [
        (1, "ingreso"),
        (2, "salida"),
    ]


async def test_a_role_that_may_only_insert_and_select_adds_lines_and_changes_none(
    resources: Resources, conn: asyncpg.Connection
) -> None:
    role = f'"{unique_name("auditoria")}"'
    await conn.execute(f"CREATE ROLE {role}; GRANT USAGE ON SCHEMA respaldos TO {role}")
    try:
        await conn.execute(f"GRANT SELECT, INSERT ON respaldos.evento TO {role}; SET ROLE {role}")
        await conn.execute("INSERT INTO respaldos.evento (accion) VALUES ('salida')")
        for refused in (
            *(
                "UPDATE respaldos.evento SET usuario = 'x'",
                "DELETE FROM respaldos.evento",
                "TRUNCATE respaldos.evento",
            ),
            *("ALTER TABLE respaldos.evento DISABLE TRIGGER USER", "SET session_replication_role = replica"),
        ):
            with pytest.raises(asyncpg.InsufficientPrivilegeError):
                await conn.execute(refused)
    finally:
        await conn.execute(f"RESET ROLE; DROP OWNED BY {role}; DROP ROLE {role}")
    assert (await proof(resources)).lines == 1


async def test_what_went_from_the_bucket_is_in_it(resources: Resources) -> None:
    gone = datetime.now(UTC) - timedelta(days=8)
    purged = await stored(resources, SMALL, days=9, content=b"x", fecha_eliminacion=gone)
    assert await purgar(resources, days=7) == 1
    (line,) = await trail(resources, SMALL)
    assert (line.accion, line.respaldo_id, line.direccion) == (Accion.PURGA, purged, "servicio")
    assert line.detalle["archivo_s3"].startswith(f"backups/{SMALL}/")


@pytest.mark.parametrize(
    ("attack", "problem"),
    [
        ("UPDATE respaldos.evento SET usuario = '8' WHERE id = 3", "la línea 3 no es la que se escribió"),
        ("UPDATE respaldos.evento SET fecha = fecha + interval '1 microsecond' WHERE id = 1", "la línea 1 no es"),
        ("UPDATE respaldos.evento SET detalle = detalle || '{\"a\": null}' WHERE id = 5", "la línea 5 no es"),
        ("UPDATE respaldos.evento SET clinica_id = NULL WHERE id = 5", "la línea 5 no es"),
        ("DELETE FROM respaldos.evento WHERE id = 2", "la línea 3 no sigue a la anterior (1)"),
        ("DELETE FROM respaldos.evento WHERE id = 1", "la línea 2 no sigue a la anterior (0)"),
        ("DELETE FROM respaldos.evento WHERE id = 5", "la línea 5, que se anotó, ya no está: la última es la 4"),
        (
            "INSERT INTO respaldos.evento (id, accion, anterior, huella) OVERRIDING SYSTEM VALUE"
            " SELECT 0, 'salida', repeat('0', 64), anterior FROM respaldos.evento WHERE id = 1",
            "la línea 0 no es la que se escribió",
        ),
        ("TRUNCATE respaldos.evento", "la línea 5, que se anotó, ya no está: la última es la 0"),
    ],
)
async def test_what_an_owner_does_to_the_lines_is_noticed(
    resources: Resources, owner: asyncpg.Connection, attack: str, problem: str
) -> None:
    await owner.execute("ALTER TABLE respaldos.evento ENABLE ALWAYS TRIGGER evento_encadena")
    await put(resources, lines=5)
    await owner.execute("ALTER TABLE respaldos.evento DISABLE TRIGGER USER")
    known = await proof(resources)
    await owner.execute(attack)
    found = await proof(resources, (known.last, known.digest))
    assert found.problem is not None
    assert found.problem.startswith(problem)
