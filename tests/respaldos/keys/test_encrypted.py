"""An encrypted backup is as good as any other, for whoever has the keys; for whoever has none, it is nothing."""

import gzip
import hashlib
import json
from pathlib import Path

import asyncpg
import pytest

from app.errors import (
    ClinicKeyMissing,
    FormatError,
    KeyRefused,
    MasterKeyMissing,
    ObjectNotFound,
    StorageError,
)
from app.export.format import Formato
from app.respaldos.contract import RespaldoCompleto
from app.respaldos.models import Profundidad, Respaldo, TipoRespaldo
from app.respaldos.reading.comparison import comparar_respaldos
from app.respaldos.reading.download import descargar_respaldo, enlace_descarga
from app.respaldos.reading.export import exportar_respaldo
from app.respaldos.reading.verification import verificar_respaldo
from app.respaldos.resources import Resources
from app.respaldos.retention.reindex import reindexar
from tests.respaldos.conftest import ANA, LARGE, SMALL, assert_failed, back_up
from tests.storage.conftest import Store
from tests.support.encrypting import master, with_masters
from tests.support.exporting import sqlite_rows
from tests.support.patients import add_patient, remove_patient
from tests.support.restores import DAMAGE, conn, everybody, resources, restore
from tests.support.searching import history, only, search
from tests.support.stored import keys, put, row

__all__ = ["conn", "resources"]


async def test_everything_is_done_with_it(
    resources: Resources, store: Store, conn: asyncpg.Connection, tmp_path: Path
) -> None:
    plain = await back_up(resources)
    code = await add_patient(conn)
    encrypting = with_masters(resources, "2026")
    made = await back_up(encrypting)
    (key,) = await conn.fetch("SELECT * FROM respaldos.clave")
    assert (made.metadata_["cifrado"], made.archivo_s3) == (key["id"], f"{(made.archivo_s3 or '')[:-8]}.cifrado")
    assert (key["clinica_id"], key["maestra"], key["destruida"]) == (SMALL, "2026", None)
    # In the bucket there are ciphertext, and the clinic's key as it is kept.
    assert await keys(resources) == {plain.archivo_s3, made.archivo_s3, f"claves/{SMALL}/{key['id']}"}
    assert store.folder is not None
    assert (store.folder / f"claves/{SMALL}/{key['id']}").read_text() == key["envoltura"]
    stored = (store.folder / (made.archivo_s3 or "")).read_bytes()
    assert stored.startswith(b'{"formato":"respaldo-cifrado",')
    assert (len(stored), hashlib.md5(stored).hexdigest(), hashlib.sha256(stored).hexdigest()) == (  # noqa: S324
        *(made.tamaño_bytes, made.hash_md5, made.metadata_["hash_sha256"]),
    )

    reading = with_masters(resources, "2027", "2026", encrypting=False)
    for depth in Profundidad:
        await verificar_respaldo(reading, made, profundidad=depth)
    assert (await verificar_respaldo(reading, plain)) is not None
    assert only(await search(reading, "zacarias")).clave == str(code)
    async with comparar_respaldos(reading, plain, made) as compared:
        assert {name: each.inserted for name, each in compared.modelos.items() if each.any} == {
            "usuarios": 1,
            "pacientes": 1,
        }
    await exportar_respaldo(reading, made, tmp_path / "x.sqlite", Formato.SQLITE)
    assert sqlite_rows(tmp_path / "x.sqlite", f"SELECT nombre FROM usuarios WHERE codigo = {code}") == [("Zacarías",)]
    done = await exportar_respaldo(reading, made, tmp_path / "copia.json.gz", Formato.JSON)
    await descargar_respaldo(reading, made, tmp_path / "bajado.json.gz")
    document = (tmp_path / "bajado.json.gz").read_bytes()
    assert (tmp_path / "copia.json.gz").read_bytes() == document
    assert json.loads(gzip.decompress(document))["respaldo"]["id"] == made.id
    assert {model.name: model.records for model in done.models if model.section == "datos"} == made.metadata_[
        "detalles_registros"
    ]
    assert (tmp_path / "bajado.json.gz.md5").read_text().split()[0] == hashlib.md5(document).hexdigest()  # noqa: S324
    await descargar_respaldo(resources, made, tmp_path / "como_esta", raw=True)
    assert (tmp_path / "como_esta").read_bytes() == stored
    assert (await enlace_descarga(resources, made.id, clinica_id=SMALL, actor=ANA)).cifrado

    before = await everybody(resources)
    await remove_patient(conn, code)
    await conn.execute(DAMAGE)
    assert (await history(reading, "pacientes", code)).versiones[0].existe is False
    await restore(with_masters(resources, "2026"), made)
    assert await everybody(resources) == before
    # The safety backup is encrypted by the same key; what is shown says so.
    previous = await row(resources, made.id + 1)
    shown = RespaldoCompleto.of(previous, retention_days=30)
    assert (shown.cifrado, shown.metadata.cifrado, shown.clave_destruida) == (True, key["id"], None)
    assert not RespaldoCompleto.of(plain, retention_days=30).cifrado


async def test_points_share_what_is_encrypted_and_nothing_that_is_not(
    resources: Resources, conn: asyncpg.Connection
) -> None:
    plain = await back_up(resources)
    encrypting = with_masters(resources, "2026")
    first = await back_up(encrypting, tipo=TipoRespaldo.PUNTO)
    assert (first.respaldo_base_id, first.encrypted) == (None, True)
    second = await back_up(encrypting, tipo=TipoRespaldo.PUNTO)
    assert (second.respaldo_base_id, second.key_id) == (first.id, first.key_id)
    assert first.archivo_s3 != plain.archivo_s3
    await verificar_respaldo(encrypting, second)
    # The file says whose it was made as.
    assert await conn.fetchval("SELECT count(*) FROM respaldos.clave") == 1


async def test_of_several_parts_and_the_platforms(resources: Resources, conn: asyncpg.Connection) -> None:
    encrypting = with_masters(resources, "2026")
    for clinica_id in (LARGE, None):
        made = await back_up(encrypting, clinica_id)
        assert await verificar_respaldo(encrypting, made) is not None
        assert not {"cifrado"} - made.metadata_.keys()
    owners = await conn.fetch("SELECT clinica_id FROM respaldos.clave ORDER BY 1 NULLS LAST")
    assert [each["clinica_id"] for each in owners] == [LARGE, None]


async def lose_the_database(conn: asyncpg.Connection) -> None:
    await conn.execute("TRUNCATE respaldos.respaldo, respaldos.clave RESTART IDENTITY CASCADE")


async def test_with_the_bucket_and_the_master_key_all_comes_back(
    resources: Resources, conn: asyncpg.Connection
) -> None:
    plain = await back_up(resources)
    made = await back_up(with_masters(resources, "2026"))
    other = await back_up(with_masters(resources, "2026"), LARGE)
    before = await conn.fetch("SELECT id, clinica_id, maestra, envoltura FROM respaldos.clave ORDER BY id")
    await lose_the_database(conn)
    await put(resources, "claves/2/LEEME", b"x")

    without = await reindexar(resources)
    assert [each.id for each in without.rebuilt] == [plain.id]
    assert {each.archivo_s3 for each in without.damaged} == {made.archivo_s3, other.archivo_s3}
    for each in without.damaged:
        assert "está envuelta con la clave maestra «2026», que este proceso no tiene" in each.reason

    found = await reindexar(with_masters(resources, "2026"))
    assert [each.archivo_s3 for each in found.unknown] == ["claves/2/LEEME"]
    assert {each.id: each.key_id for each in found.rebuilt} == {made.id: made.key_id, other.id: other.key_id}
    assert await conn.fetch("SELECT id, clinica_id, maestra, envoltura FROM respaldos.clave ORDER BY id") == before
    again = await row(resources, made.id)
    assert await verificar_respaldo(with_masters(resources, "2026"), again) is not None
    # The next one is encrypted by the key that came back.
    assert (await back_up(with_masters(resources, "2026"))).key_id == made.key_id


async def test_a_key_that_somebody_put_into_the_bucket_is_none(
    resources: Resources, conn: asyncpg.Connection
) -> None:
    encrypting = with_masters(resources, "2026")
    made = await back_up(encrypting)
    envoltura = await conn.fetchval("SELECT envoltura FROM respaldos.clave")
    await lose_the_database(conn)
    # A true one, for another clinic; and one of a thief's master key that only bears the name.
    await put(resources, f"claves/{LARGE}/{made.key_id}", envoltura.encode())
    thief = with_masters(resources, "2026", drawn=1)
    forged = await back_up(thief, LARGE)
    await lose_the_database(conn)
    found = await reindexar(encrypting)
    reasons = {each.archivo_s3: each.reason for each in found.unknown}
    assert reasons[f"claves/{LARGE}/{made.key_id}"] == "lo que hay ahí es la clave de otra clínica, u otra clave"
    assert "no se puede abrir con la clave maestra «2026»" in reasons[f"claves/{LARGE}/{forged.key_id}"]
    assert [each.archivo_s3 for each in found.damaged] == [forged.archivo_s3]
    assert [each.id for each in found.rebuilt] == [made.id]


async def test_objects_that_were_swapped_are_refused_by_name(resources: Resources, store: Store) -> None:
    encrypting = with_masters(resources, "2026")
    mine, again = await back_up(encrypting), await back_up(encrypting)
    other = await back_up(encrypting, LARGE)
    assert store.folder is not None
    for source, said in (
        (again, f"dice ser el respaldo {again.id} de la clínica {SMALL}, y debería ser el {mine.id} de la clínica"),
        (other, f"dice ser el respaldo {other.id} de la clínica {LARGE}, y debería ser el {mine.id} de la clínica"),
    ):
        content = (store.folder / (source.archivo_s3 or "")).read_bytes()
        await put(resources, mine.archivo_s3 or "", content)
        with pytest.raises(FormatError, match=said) as raised:
            await verificar_respaldo(encrypting, mine)
        assert "el archivo cambió: su hash MD5" in str(raised.value)


async def test_without_its_master_key_nothing_is_read_or_made(
    resources: Resources, store: Store, conn: asyncpg.Connection, tmp_path: Path
) -> None:
    made = await back_up(with_masters(resources, "2026"))
    for reading in (resources, with_masters(resources, "2027")):
        with pytest.raises(MasterKeyMissing, match="clave maestra «2026», que este proceso no tiene en MASTER_KEYS"):
            await verificar_respaldo(reading, made)
        with pytest.raises(MasterKeyMissing):
            await descargar_respaldo(reading, made, tmp_path / "x")
        # The object is not known to be bad for that.
        assert (await row(resources, made.id)).good
        (said,) = (await search(reading, "nadie con este nombre")).avisos
        assert said.startswith(f"el respaldo {made.id} no se pudo leer: la clave «{made.key_id}» de la clínica")
    with pytest.raises(KeyRefused, match="no se puede abrir con la clave maestra «2026»"):
        await verificar_respaldo(with_masters(resources, "2026", drawn=1), made)
    before = await keys(resources)
    for encrypting in (with_masters(resources), with_masters(resources, "2027")):
        with pytest.raises(MasterKeyMissing):
            await back_up(encrypting)
        assert await keys(resources) == before
    last = await conn.fetchrow("SELECT estado, metadata FROM respaldos.respaldo ORDER BY id DESC LIMIT 1")
    assert last is not None
    assert (last["estado"], json.loads(last["metadata"])["error_type"]) == ("fallido", "clave_maestra_faltante")


async def test_a_key_that_is_nowhere(resources: Resources, store: Store, conn: asyncpg.Connection) -> None:
    encrypting = with_masters(resources, "2026")
    made = await back_up(encrypting)
    await conn.execute("DELETE FROM respaldos.clave")
    # The bucket's will do.
    assert await verificar_respaldo(encrypting, made) is not None
    await store.storage.delete(f"claves/{SMALL}/{made.key_id}")
    with pytest.raises(ClinicKeyMissing, match=f"ni la base de datos ni el bucket tienen la clave «{made.key_id}»"):
        await verificar_respaldo(encrypting, made)
    other = await back_up(encrypting, LARGE)
    await conn.execute(
        "UPDATE respaldos.clave SET id = $1, clinica_id = $2 WHERE id = $3", made.key_id, SMALL, other.key_id
    )
    with pytest.raises(KeyRefused, match="alguien la cambió de lugar"):
        await verificar_respaldo(encrypting, made)


async def test_no_backup_is_made_before_the_bucket_has_its_key(
    resources: Resources, store: Store, conn: asyncpg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    encrypting = with_masters(resources, "2026")
    upload = type(store.storage).upload

    async def fail(self: object, key: str, *args: object, **more: object) -> object:
        if key.startswith("claves/"):
            raise StorageError("no hay lugar")
        return await upload(store.storage, key, *args, **more)  # type: ignore[arg-type]

    monkeypatch.setattr(type(store.storage), "upload", fail)
    with pytest.raises(StorageError, match="no hay lugar"):
        await back_up(encrypting)
    await assert_failed(conn, store, "almacenamiento", "no hay lugar")
    monkeypatch.undo()
    made = await back_up(encrypting)
    assert await keys(resources) == {made.archivo_s3, f"claves/{SMALL}/{made.key_id}"}
    assert await conn.fetchval("SELECT count(*) FROM respaldos.clave WHERE copiada IS NOT NULL") == 1


async def test_an_object_that_is_gone_is_still_told_as_that(resources: Resources, store: Store) -> None:
    encrypting = with_masters(resources, "2026")
    made: Respaldo = await back_up(encrypting)
    await store.storage.delete(made.archivo_s3 or "")
    with pytest.raises(ObjectNotFound):
        await verificar_respaldo(encrypting, made)


def test_master_keys_are_told_apart() -> None:
    assert master("a") != master("b") != master("b", 1)
