"""`restaurar` of a file, or of an object that no row has: a backup like any other, and the clinic's row comes too."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

import asyncpg
import pytest

from app.errors import FormatError, LocalFileError, RespaldoNotFound
from app.respaldos.backup.object_key import ENCRYPTED
from app.respaldos.reading.download import descargar_respaldo
from app.respaldos.reading.verification import verificar_respaldo
from app.respaldos.resources import Resources
from app.respaldos.retention.delete import eliminar_respaldo
from app.respaldos.retention.take_in import take_file, take_object
from app.settings import DEMO_RULES
from tests.cli.conftest import addresses_of
from tests.respaldos.conftest import ANA, SMALL, back_up, trail
from tests.storage.conftest import Store
from tests.support.encrypting import with_masters
from tests.support.gone import take_away
from tests.support.lost_rows import SEALS, file, key, lose_everything
from tests.support.program import respaldos
from tests.support.restores import conn, everybody, resources
from tests.support.stored import keys, put, row

__all__ = ["conn", "resources"]


@pytest.fixture
def run(store: Store, own_database: str, tmp_path: Path) -> Any:
    """Run a command on those servers, without a terminal."""
    settings = addresses_of(store, own_database) | {"OWNERSHIP_RULES": DEMO_RULES}
    return partial(respaldos, cwd=tmp_path, **settings)


async def test_of_a_clinic_that_is_gone_with_its_backups(
    resources: Resources, conn: asyncpg.Connection, run: Any, tmp_path: Path
) -> None:
    before = await everybody(resources)
    made = await back_up(resources)
    await descargar_respaldo(resources, made, tmp_path / "bajado.json.gz")
    await lose_everything(conn)
    await take_away(resources, conn, SMALL)
    await resources.storage.delete(made.archivo_s3 or "")
    shown = run("restaurar", "bajado.json.gz", "--simular", "--json").json
    assert (shown["estado"], shown["clinica_id"], shown["resultado"]["clinica"]["insertados"]) == (
        *("completado", SMALL, 1),
    )
    assert await conn.fetchval("SELECT count(*) FROM clinica WHERE id = $1", SMALL) == 0
    done = run("restaurar", "bajado.json.gz", "--si")
    assert done.code == 0, done
    assert done.out.startswith(
        f"«bajado.json.gz» es el respaldo {shown['respaldo_id']} de la clínica {SMALL}\n"
        f"✓ Clínica {SMALL} restaurada desde el respaldo {shown['respaldo_id']}\n"
    )
    assert await everybody(resources) == before
    actions = [action for action, _, _ in await trail(conn)]
    assert (actions.count("reindexacion"), actions[-1]) == (1, "restauracion")
    taken = await row(resources, shown["respaldo_id"])
    assert (taken.hash_md5, taken.sospechoso, await keys(resources)) == (made.hash_md5, False, {taken.archivo_s3})

    await lose_everything(conn)
    for named in (taken.archivo_s3, f"s3://{resources.storage.options.bucket}/{taken.archivo_s3}"):
        again = run("restaurar", named, "--si", "--json").json
        assert (again["estado"], again["respaldo_id"]) == ("completado", made.id)
    for wrong, said in (
        ("nada.json.gz", "no se puede leer «nada.json.gz»"),
        ("backups/nada", "«backups/nada» no es el nombre de un respaldo en el bucket"),
        (key(7), f"no tiene «{key(7)}»"),
    ):
        refused = run("restaurar", wrong, "--si")
        assert (refused.code, said in refused.err) == (1, True), refused
    assert run("restaurar", str(made.id), "--sin-sello", "--si").code == 2
    assert run("restaurar", "bajado.json.gz").code == 2


async def test_where_backups_are_encrypted_so_is_what_is_taken_in(
    resources: Resources, conn: asyncpg.Connection, tmp_path: Path
) -> None:
    encrypting = with_masters(resources, "2026")
    made = await back_up(encrypting)
    plain, raw = tmp_path / "a.json.gz", tmp_path / "b.json.gz.cifrado"
    await descargar_respaldo(encrypting, made, plain)
    await descargar_respaldo(encrypting, made, raw, raw=True)
    for path in (plain, raw):
        assert (await take_file(encrypting, path)).id == made.id, "it is known, and its object is whole"
    assert len(await keys(resources)) == 2
    for path in (plain, raw):
        await lose_everything(conn)
        await resources.storage.delete(made.archivo_s3 or "")
        taken = await take_file(encrypting, path)
        assert taken.key_id == made.key_id
        assert (taken.archivo_s3 or "").endswith(ENCRYPTED)
        await verificar_respaldo(encrypting, taken)
        await resources.storage.delete(taken.archivo_s3 or "")
    # One whose object is gone is no help, and another one is made beside it.
    beside = await take_file(encrypting, plain)
    assert (beside.id, beside.made_as) == (made.id + 1, made.id)


async def test_what_is_refused_is_refused_by_name_and_leaves_nothing(resources: Resources, tmp_path: Path) -> None:
    ours, path = with_masters(resources, "2026"), tmp_path / "archivo.json.gz"
    with pytest.raises(LocalFileError, match="no se puede leer"):
        await take_file(ours, tmp_path)
    for content, said in (
        (b"", "cortado"),
        (b"no es gzip", "encabezado"),
        (file(1)[:-20], "cortado"),
        (file(1, attempt=0), "no dice bien de qué respaldo es"),
        (file(1, taken_at=datetime.now(UTC) + timedelta(days=1)), "que no ha llegado"),
    ):
        path.write_bytes(content)
        with pytest.raises(FormatError, match=said):
            await take_file(ours, path)
    assert {name for name in await keys(resources) if name.startswith("backups/")} == set()


async def test_a_seal_is_missed(resources: Resources, tmp_path: Path) -> None:
    path = tmp_path / "archivo.json.gz"
    path.write_bytes(file(5))
    await put(resources, key(1), file(6))
    ours = replace(resources, seals=SEALS)
    with pytest.raises(FormatError, match="no está sellado"):
        await take_file(ours, path)
    with pytest.raises(FormatError, match="no está sellado"):
        await take_object(ours, key(1))
    assert (await take_file(ours, path, unsealed=True)).id == 5
    taken = await take_object(ours, key(1), unsealed=True)
    assert (taken.id, "se aceptó sin sello" in taken.metadata_["avisos"]) == (6, True)


async def test_an_object_of_a_backup_that_is_no_more(resources: Resources, conn: asyncpg.Connection) -> None:
    made, _ = await back_up(resources), await back_up(resources)
    assert (await take_object(resources, made.archivo_s3 or "")).id == made.id
    await eliminar_respaldo(resources, made.id, clinica_id=SMALL, actor=ANA)
    with pytest.raises(RespaldoNotFound, match=f"se eliminó; «respaldos recuperar {made.id}»"):
        await take_object(resources, made.archivo_s3 or "")
    await conn.execute("UPDATE respaldos.intento SET archivo_s3 = $1 WHERE respaldo_id = $2", key(3), made.id)
    with pytest.raises(RespaldoNotFound, match="no se completó con él"):
        await take_object(resources, key(3))
