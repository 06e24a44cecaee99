"""Every attempt has a key of its own, dated where the clinics are."""

import re
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import asyncpg
import pytest

from app.respaldos.audit import COMMAND_LINE
from app.respaldos.backup import queries as backup_queries
from app.respaldos.backup import run as making
from app.respaldos.backup.object_key import generar_ruta_s3, owner_in
from app.respaldos.databases import transaction
from app.respaldos.models import TipoRespaldo
from app.respaldos.resources import Resources
from tests.respaldos.conftest import SMALL, back_up


@pytest.mark.parametrize(
    ("moment", "zone", "key"),
    [
        ("2026-07-03T06:00:05+00:00", "America/La_Paz", "backups/7/2026/07/backup_20260703_020005.json.gz"),
        ("2026-01-01T03:59:59+00:00", "America/La_Paz", "backups/7/2025/12/backup_20251231_235959.json.gz"),
        ("2026-01-01T00:00:00+00:00", "UTC", "backups/7/2026/01/backup_20260101_000000.json.gz"),
        ("2026-03-08T09:30:00+00:00", "America/New_York", "backups/7/2026/03/backup_20260308_053000.json.gz"),
        ("2026-07-03T02:00:00-04:00", "America/La_Paz", "backups/7/2026/07/backup_20260703_020000.json.gz"),
    ],
)
def test_the_key_is_dated_in_the_clinics_time_zone(moment: str, zone: str, key: str) -> None:
    assert generar_ruta_s3(7, datetime.fromisoformat(moment), ZoneInfo(zone)) == key


@pytest.mark.parametrize("clinica_id", [7, 0, 10**18, None])
def test_whose_it_is_can_be_read_from_the_key(clinica_id: int | None) -> None:
    assert owner_in(generar_ruta_s3(clinica_id, datetime(2026, 7, 3, tzinfo=UTC), ZoneInfo("UTC"))) == clinica_id


@pytest.mark.parametrize(
    "key",
    [
        "backups/07/2026/07/backup_20260703_020005.json.gz",
        "otra/7/2026/07/backup_20260703_020005.json.gz",
        "backups/7/2026/07/backup_20260703_020005.json.gz.tmp",
        "backups/7/../8/2026/07/backup_20260703_020005.json.gz",
    ],
)
def test_other_keys_are_nobodys(key: str) -> None:
    with pytest.raises(ValueError, match="backup_"):
        owner_in(key)


def test_an_hour_that_comes_twice_gives_the_same_key_twice() -> None:
    """So the key alone cannot be what tells two attempts apart."""
    zone = ZoneInfo("America/New_York")
    first = datetime(2026, 11, 1, 5, 30, tzinfo=UTC)
    second = datetime(2026, 11, 1, 6, 30, tzinfo=UTC)
    assert generar_ruta_s3(1, first, zone) == generar_ruta_s3(1, second, zone)


async def keys_of_attempts(resources: Resources, zone: str, *moments: datetime) -> list[str]:
    """The keys that attempts starting at these moments are given, each of a backup of its own."""
    keys = []
    for number, moment in enumerate(moments):
        async with transaction(resources) as session:
            respaldo, _ = await backup_queries.add(
                session, clinica_id=50 + number, tipo=TipoRespaldo.MANUAL, descripcion="", actor=COMMAND_LINE
            )
            keys.append(
                await backup_queries.add_attempt(
                    session, respaldo.id, 1, clinica_id=1, started=moment, time_zone=ZoneInfo(zone)
                )
            )
    return [key.rpartition("_")[2].removesuffix(".json.gz") for key in keys]


async def test_a_taken_second_gives_the_next_free_one(resources: Resources) -> None:
    moment = datetime(2026, 5, 1, 12, 0, 58, 999_999, tzinfo=UTC)
    assert await keys_of_attempts(resources, "UTC", *[moment] * 4) == ["120058", "120059", "120100", "120101"]


async def test_the_second_pass_of_an_hour_takes_the_next_second(resources: Resources) -> None:
    first = datetime(2026, 11, 1, 5, 30, tzinfo=UTC)
    second = datetime(2026, 11, 1, 6, 30, tzinfo=UTC)
    assert await keys_of_attempts(resources, "America/New_York", first, second) == ["013000", "013001"]


async def test_two_backups_within_a_second_have_two_objects(
    resources: Resources, conn: asyncpg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Stopped(datetime):
        @classmethod
        def now(cls, tz: object = None) -> datetime:  # type: ignore[override]  # noqa: ARG003
            return datetime(2026, 5, 1, 12, tzinfo=UTC)

    monkeypatch.setattr("app.respaldos.backup.run.datetime", Stopped)
    keys = [(await back_up(resources, SMALL)).archivo_s3 for _ in range(3)]
    assert keys == [f"backups/2/2026/05/backup_20260501_08000{second}.json.gz" for second in range(3)]
    # What is long over is pruned, and a clock may be set back: their objects are theirs all the same.
    await conn.execute("DELETE FROM respaldos.intento")
    assert (await back_up(resources, SMALL)).archivo_s3 == "backups/2/2026/05/backup_20260501_080003.json.gz"


async def test_the_key_is_recorded_before_the_first_byte_is_sent(
    resources: Resources, conn: asyncpg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    recorded: list[str] = []
    make = making._make

    async def look_first(*given: object) -> object:
        recorded.extend(row[0] for row in await conn.fetch("SELECT archivo_s3 FROM respaldos.intento"))
        return await make(*given)  # type: ignore[arg-type]

    monkeypatch.setattr(making, "_make", look_first)
    respaldo = await back_up(resources, SMALL)
    assert recorded == [respaldo.archivo_s3]
    assert re.fullmatch(r"backups/2/\d{4}/\d\d/backup_\d{8}_\d{6}\.json\.gz", recorded[0])
