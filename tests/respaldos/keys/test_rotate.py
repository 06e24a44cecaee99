"""Another master key: the clinics' keys are wrapped anew, one by one, and no file is touched."""

from pathlib import Path

import asyncpg
import pytest

from app.dump.encryption import KeyEnvelope
from app.errors import MasterKeyMissing, StorageUnavailable
from app.respaldos.keys.rotate import rotar_claves
from app.respaldos.reading.verification import verificar_respaldo
from app.respaldos.resources import Resources
from app.storage.s3 import S3Storage, StoredObject
from tests.respaldos.conftest import LARGE, SMALL, back_up, trail
from tests.storage.conftest import Store
from tests.support.encrypting import with_masters
from tests.support.stored import put


def files(store: Store) -> dict[str, bytes]:
    """What is in the bucket."""
    assert store.folder is not None
    folder: Path = store.folder
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


async def test_keys_are_wrapped_anew_and_files_stay(
    resources: Resources, store: Store, conn: asyncpg.Connection
) -> None:
    old = with_masters(resources, "2025")
    made = [await back_up(old, clinica_id) for clinica_id in (SMALL, LARGE, None)]
    before = files(store)
    # For as long as it is known, the old one is as good.
    assert (await rotar_claves(old)).wrapped == []
    both = with_masters(resources, "2026", "2025")
    assert await verificar_respaldo(both, made[0]) is not None
    done = await rotar_claves(both)
    assert (done.master_id, sorted(done.wrapped), done.failed) == (
        "2026",
        sorted(each.key_id or "" for each in made),
        {},
    )
    new = with_masters(resources, "2026")
    for each in made:
        assert await verificar_respaldo(new, each) is not None
    with pytest.raises(MasterKeyMissing, match="clave maestra «2026»"):
        await verificar_respaldo(with_masters(resources, "2025"), made[0])
    after = files(store)
    assert after.keys() == before.keys()
    changed = {name for name in after if after[name] != before[name]}
    assert changed == {name for name in after if name.startswith("claves/")}
    rows = await conn.fetch("SELECT id, clinica_id, envoltura FROM respaldos.clave")
    for row in rows:
        envelope = KeyEnvelope.parse(row["envoltura"])
        assert (envelope.clinica_id, envelope.key_id, envelope.master_id) == (row["clinica_id"], row["id"], "2026")
        assert row["envoltura"].encode() in after.values()
    lines = [detail for action, _, detail in await trail(conn) if action == "rotacion_claves"]
    assert {(line["antes"], line["ahora"]) for line in lines} == {("2025", "2026")}
    assert len(lines) == 3
    assert (await rotar_claves(both)).wrapped == []
    # The next backup is encrypted by the same key.
    assert (await back_up(new)).key_id == made[0].key_id


async def test_what_the_bucket_has_lost_is_put_there_again(resources: Resources) -> None:
    encrypting = with_masters(resources, "2026")
    made = [await back_up(encrypting, clinica_id) for clinica_id in (SMALL, None)]
    lost = f"claves/{SMALL}/{made[0].key_id}"
    await resources.storage.delete(lost)
    done = await rotar_claves(encrypting)
    assert (done.wrapped, done.copied, done.failed) == ([], [made[0].key_id], {})
    assert await resources.storage.head(lost) is not None
    assert (await rotar_claves(encrypting)).copied == []


async def test_what_was_cut_off_goes_on(
    resources: Resources, conn: asyncpg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    old, both = with_masters(resources, "2025"), with_masters(resources, "2026", "2025")
    made = [await back_up(old, clinica_id) for clinica_id in (SMALL, LARGE)]
    first, second = sorted(each.key_id or "" for each in made)
    read_back = S3Storage.read_back

    async def fail(self: S3Storage, stored: StoredObject, **more: object) -> None:
        if stored.key.endswith(second):
            raise StorageUnavailable("se cortó")
        await read_back(self, stored)

    with monkeypatch.context() as patch:
        patch.setattr(S3Storage, "read_back", fail)
        with pytest.raises(StorageUnavailable):
            await rotar_claves(both)
    # Of the second, the row is new, and the bucket's copy is not known to be.
    states = await conn.fetch("SELECT id, maestra, copiada IS NOT NULL AS copied FROM respaldos.clave ORDER BY id")
    assert [tuple(each) for each in states] == [(first, "2026", True), (second, "2026", False)]
    for each in made:
        assert await verificar_respaldo(both, each) is not None
    done = await rotar_claves(both)
    assert (done.wrapped, done.copied) == ([], [second])


async def test_one_that_cannot_be_opened_keeps_no_other(resources: Resources, conn: asyncpg.Connection) -> None:
    mine, other = (
        await back_up(with_masters(resources, "2025")),
        await back_up(with_masters(resources, "2024"), LARGE),
    )
    done = await rotar_claves(with_masters(resources, "2026", "2025"))
    assert done.wrapped == [mine.key_id]
    assert "la clínica 1: la clave" in done.failed[other.key_id or ""]
    assert "«2024», que este proceso no tiene" in done.failed[other.key_id or ""]
    assert await conn.fetchval("SELECT maestra FROM respaldos.clave WHERE id = $1", other.key_id) == "2024"


async def test_no_earlier_version_of_a_key_stays_in_the_bucket(moto_resources: Resources, moto_store: Store) -> None:
    storage = moto_resources.storage
    client, bucket = storage.client, storage.options.bucket
    await client.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
    made = await back_up(with_masters(moto_resources, "2025"))
    # One whose name begins alike is another's.
    await put(moto_resources, f"claves/{SMALL}/{made.key_id}0", b"x")
    await rotar_claves(with_masters(moto_resources, "2026", "2025"))
    kept = f"claves/{SMALL}/{made.key_id}"

    async def versions() -> list[tuple[str, bool]]:
        answer = await client.list_object_versions(Bucket=bucket, Prefix=kept)
        found = (*answer.get("Versions", ()), *answer.get("DeleteMarkers", ()))
        return [(each["Key"], each["IsLatest"]) for each in found]

    assert sorted(await versions()) == [(kept, True), (f"{kept}0", True)]
    await storage.erase(kept)
    assert await versions() == [(f"{kept}0", True)]
    await storage.erase(kept)
