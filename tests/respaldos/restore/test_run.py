"""A clinic put back from its backup, from the object in S3 to the rows, the audit trail and the news."""

import json
import re

import asyncpg
import pytest
from sqlalchemy import select

from app.clinic.restore.mode import Modo
from app.errors import InvalidRequest, RestoreRefused, SchemaDiffers
from app.respaldos.contract import WHAT, RestauracionEnLista
from app.respaldos.models import Respaldo, Restauracion
from app.respaldos.resources import Resources
from tests.respaldos.conftest import LARGE, SMALL, assert_consistent, back_up, told, trail
from tests.storage.conftest import Store
from tests.support.gone import take_away
from tests.support.jobs import running
from tests.support.restores import DAMAGE, RELEASE, RELEASED, conn, everybody, newest, resources, restore

__all__ = ["conn", "resources"]


async def test_the_preview_changes_nothing_and_is_what_then_happens(
    resources: Resources, store: Store, conn: asyncpg.Connection
) -> None:
    before = await everybody(resources)
    respaldo = await back_up(resources)
    await conn.execute(DAMAGE)
    damaged = await everybody(resources)
    shown = await restore(resources, respaldo, simulada=True)
    assert (shown.trabajo.estado, shown.respaldo_previo, shown.trabajo.fecha_fin is not None) == (
        "completado",
        None,
        True,
    )
    assert await everybody(resources) == damaged

    done = await restore(resources, respaldo)
    assert done.resultado == shown.resultado
    assert await everybody(resources) == before
    previous = await conn.fetchrow("SELECT * FROM respaldos.respaldo WHERE id = $1", done.respaldo_previo)
    assert previous is not None
    assert (previous["estado"], previous["tipo_respaldo"]) == ("completado", "por_demanda")
    assert previous["descripcion"] == f"Antes de restaurar el respaldo {respaldo.id}"
    await assert_consistent(conn, store)
    assert await running(conn) == 0
    news = dict(await told(conn))["restauracion"]
    assert {name: news[name] for name in ("insertados", "actualizados", "eliminados")} == {
        name: sum(changes[name] for changes in (done.resultado or {}).values())
        for name in ("insertados", "actualizados", "eliminados")
    }
    assert [detail["estado"] for action, who, detail in await trail(conn) if action == "restauracion"] == [
        *("pendiente", "completado"),
        *("pendiente", "completado"),
    ]


async def test_the_safety_backup_brings_back_what_the_restore_took(
    resources: Resources, conn: asyncpg.Connection
) -> None:
    respaldo = await back_up(resources)
    await conn.execute(DAMAGE)
    damaged = await everybody(resources)
    done = await restore(resources, respaldo)
    previous = await resources_respaldo(resources, done.respaldo_previo or 0)
    await restore(resources, previous)
    assert await everybody(resources) == damaged


async def test_what_came_from_another_clinic_stays_and_undoing_is_exact(
    resources: Resources, conn: asyncpg.Connection
) -> None:
    respaldo = await back_up(resources)
    await conn.execute(DAMAGE)
    key = await conn.fetchval(
        f"UPDATE bitacora SET clinica_id = {SMALL}"
        f" WHERE id = (SELECT min(id) FROM bitacora WHERE clinica_id = {LARGE}) RETURNING id"
    )
    damaged = await everybody(resources)
    done = await restore(resources, respaldo)
    (stays,) = done.avisos
    assert stays.startswith("«bitacoras», registros que el respaldo no tiene y se quedan: 1 ")
    assert await conn.fetchval("SELECT clinica_id FROM bitacora WHERE id = $1", key) == SMALL
    again = await restore(resources, respaldo)
    assert again.avisos == [stays]
    # What the restore brought back has keys before the last one, too.
    undone = await restore(resources, await resources_respaldo(resources, done.respaldo_previo or 0))
    assert [aviso.split(":")[0] for aviso in undone.avisos] == ["«pagos_online»"]
    assert await everybody(resources) == damaged
    # Of a backup that was indexed anew, nobody knows what was restored since.
    await conn.execute(
        "INSERT INTO respaldos.evento (accion, clinica_id, respaldo_id)"
        f" VALUES ('reindexacion', {SMALL}, {respaldo.id})"
    )
    shown = await restore(resources, respaldo, simulada=True)
    assert [aviso.split(",")[0] for aviso in shown.avisos] == ["«bitacoras»: de los registros que se eliminan"]


async def test_a_clinic_that_is_gone_comes_back_without_a_safety_backup(
    resources: Resources, conn: asyncpg.Connection
) -> None:
    before = await everybody(resources)
    respaldo = await back_up(resources)
    await take_away(resources, conn, SMALL)
    # Its people's logins are gone with it.
    gone = await conn.fetch("DELETE FROM auth_user WHERE email LIKE $1 RETURNING email", f"%@clinica{SMALL}.%")
    with pytest.raises(RestoreRefused, match="no está hoy en «clinica»"):
        await restore(resources, respaldo)
    done = await restore(resources, respaldo, con_clinica=True)
    assert (done.trabajo.estado, done.respaldo_previo) == ("completado", None)
    after = await everybody(resources)
    assert {name for name, rows in before.items() if after[name] != rows} == {"auth_user"}
    people = await conn.fetch("SELECT email FROM auth_user WHERE NOT is_active ORDER BY id")
    assert {row["email"] for row in people} == {row["email"] for row in gone}
    assert len(gone) == 3


async def test_why_it_was_asked_for_is_kept(resources: Resources, conn: asyncpg.Connection) -> None:
    respaldo = await back_up(resources)
    await conn.execute(DAMAGE)
    done = await restore(resources, respaldo, motivo="Se borró «sin querer»", modo=Modo.FALTANTES)
    assert (done.motivo, done.modo) == ("Se borró «sin querer»", "faltantes")
    details = [detail for action, _, detail in await trail(conn) if action == "restauracion"]
    assert [detail["motivo"] for detail in details] == ["Se borró «sin querer»"] * 2
    assert details[0]["modo"] == "faltantes"
    assert dict(await told(conn))["restauracion"]["motivo"] == "Se borró «sin querer»"


async def test_a_preview_of_what_cannot_be_ends_well_and_shows_it(
    resources: Resources, conn: asyncpg.Connection
) -> None:
    await conn.execute(
        "CREATE TABLE caja (id int PRIMARY KEY, clinica_id bigint NOT NULL REFERENCES clinica, turno int UNIQUE,"
        f" titulo text); INSERT INTO caja VALUES (1, {SMALL}, 7, 'La «de” Ana')"
    )
    respaldo = await back_up(resources)
    await conn.execute(f"UPDATE caja SET id = 2, titulo = 'La otra'; {DAMAGE}")
    damaged = await everybody(resources)
    shown = await restore(resources, respaldo, modo=Modo.CAMBIADOS, simulada=True)
    assert shown.conflictos is not None
    (conflict,) = shown.conflictos
    assert (shown.trabajo.estado, conflict["restriccion"], conflict["clave"]) == (
        *("completado", "caja_turno_key"),
        {"id": "1"},
    )
    assert (shown.resultado or {})["caja"]["insertados"] == 1
    # Whoever may not see rows is told, too, and by a program that does not know of conflicts.
    assert RestauracionEnLista.of(shown, examples=False).avisos[0] == (
        "no se puede restaurar así: 1 conflicto: registros de hoy tienen valores que no se pueden repetir y que los"
        " del respaldo necesitan"
    )
    named = '“La «de" Ana” («caja» 1) no puede volver: “La otra” («caja» 2) tiene hoy turno = 7'
    with pytest.raises(RestoreRefused, match=re.escape(named)):
        await restore(resources, respaldo, modo=Modo.CAMBIADOS, registros=("caja:1",))
    row = await newest(conn)
    assert (row["estado"], json.loads(row["conflictos"])) == ("fallido", [conflict])
    assert await everybody(resources) == damaged
    # What it is called is for who may see rows; it is in no mail.
    *_, (_, _, detail) = [line for line in await trail(conn) if line[0] == "restauracion"]
    assert (detail["registros"], detail["etiquetas"]) == (["caja:1"], {"caja:1": "La «de” Ana"})
    assert detail["error"].startswith(named)
    async with resources.sessions() as session:
        failed = (await session.scalars(select(Restauracion).order_by(Restauracion.id.desc()).limit(1))).one()
        others = RestauracionEnLista.of(failed, examples=False)
    news = dict(await told(conn))["restauracion_fallida"]
    assert news["registros"] == ["caja:1"]
    assert news["error"].startswith("«caja» 1 no puede volver: «caja» 2 tiene hoy turno = 7")
    assert (others.etiquetas, "turno" in (others.error or "")) == ({}, False)
    with pytest.raises(RestoreRefused, match=re.escape("no tiene el registro “La otra” («caja:2»)")):
        await restore(resources, respaldo, registros=("caja:2",))


async def test_of_the_platform_there_is_no_mode(resources: Resources) -> None:
    respaldo = await back_up(resources, None)
    with pytest.raises(InvalidRequest, match="no tiene otro modo"):
        await restore(resources, respaldo, modo=Modo.FALTANTES)


async def test_after_a_release_it_says_what_has_come_since(resources: Resources, conn: asyncpg.Connection) -> None:
    respaldo = await back_up(resources)
    assert (await restore(resources, respaldo, simulada=True)).avisos == []
    await conn.execute(RELEASE)
    await conn.execute(DAMAGE)
    shown = await restore(resources, respaldo, simulada=True)
    assert shown.avisos == RELEASED
    assert json.loads((await newest(conn))["avisos"]) == RELEASED
    assert (await restore(resources, respaldo)).avisos == RELEASED
    assert await conn.fetchval("SELECT count(*) FROM receta") == 2


async def test_values_are_said_apart(resources: Resources, conn: asyncpg.Connection) -> None:
    respaldo = await back_up(resources)
    await conn.execute(
        "UPDATE tipodeconsulta SET nombreconsulta = 'Otra' || id;"
        " UPDATE consulta SET motivo = 'x' WHERE codpaciente IN"
        f" (SELECT codusuario FROM paciente WHERE clinica_id = {SMALL})"
    )
    await restore(resources, respaldo)
    values, *others = sorted(json.loads((await newest(conn))["avisos"]), key=lambda aviso: not aviso.startswith(WHAT))
    assert "y hoy es «Otra" in values
    assert not any("«Otra" in aviso for aviso in others)


async def test_a_refused_restore_says_that_the_system_went_back(
    resources: Resources, conn: asyncpg.Connection
) -> None:
    await conn.execute(RELEASE)
    respaldo = await back_up(resources)
    await conn.execute("DROP TABLE receta; DELETE FROM django_migrations WHERE app = 'recetas'")
    with pytest.raises(SchemaDiffers, match="«receta»"):
        await restore(resources, respaldo)
    row = await newest(conn)
    assert row["estado"] == "fallido"
    (aviso,) = json.loads(row["avisos"])
    assert "recetas.0001_initial (hoy no hay ninguna)" in aviso
    assert "volvió a una versión anterior" in aviso


async def resources_respaldo(resources: Resources, respaldo_id: int) -> Respaldo:
    """The row of a backup."""
    async with resources.sessions() as session:
        found = await session.get(Respaldo, respaldo_id)
    assert found is not None
    return found
