"""Records that are not the clinic's own have no history, and change nobody else's."""

import asyncpg
import pytest

from app.errors import RecordNotFound
from app.respaldos.resources import Resources
from tests.respaldos.conftest import SMALL, back_up
from tests.support.patients import add_patient
from tests.support.restores import conn, resources
from tests.support.searching import history, only, search

__all__ = ["conn", "resources"]


async def test_what_is_shared_and_logins_have_no_history(resources: Resources, conn: asyncpg.Connection) -> None:
    await back_up(resources)
    for modelo in ("estadodeconsulta", "auth_user"):
        with pytest.raises(RecordNotFound, match=f"no hay historia de «{modelo}:1»"):
            await history(resources, modelo, 1)


async def test_a_record_that_no_clinic_owns_has_none(resources: Resources, conn: asyncpg.Connection) -> None:
    code = await add_patient(conn)
    await conn.execute("ALTER TABLE usuario ALTER clinica_id DROP NOT NULL")
    await conn.execute("UPDATE usuario SET clinica_id = NULL WHERE codigo = $1", code)
    await back_up(resources)
    with pytest.raises(RecordNotFound):
        await history(resources, "usuarios", code)


async def test_one_with_a_login_it_is_the_same(resources: Resources, conn: asyncpg.Connection) -> None:
    login = await conn.fetchval("SELECT min(id) FROM auth_user")
    await conn.execute(
        "CREATE TABLE perfil (login int PRIMARY KEY REFERENCES auth_user, nombre text,"
        " clinica_id bigint NOT NULL REFERENCES clinica)"
    )
    await conn.execute("INSERT INTO perfil VALUES ($1, 'Estrafalario', $2)", login, SMALL)
    await back_up(resources)
    assert only(await search(resources, "estrafalario")).estado == "igual"
    assert len((await history(resources, "perfil", login)).versiones) == 1
