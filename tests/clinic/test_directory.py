"""The remembered list of clinics."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass
from urllib.parse import urlsplit

import pytest

from app.clinic import database as database_module
from app.clinic.clinic import Tenancy
from app.clinic.database import ClinicDatabase
from app.clinic.directory import ClinicDirectory
from app.demo.sample.generate import SampleClinic, create_schema, fill
from app.errors import CatalogError, ClinicNotFound, DatabaseUnavailable
from tests.clinic.conftest import Database
from tests.support.tcp_proxy import TcpProxy, tcp_proxy


@dataclass
class Clock:
    """A clock that a test moves; seconds."""

    now: float = 1000.0

    def __call__(self) -> float:
        return self.now


@dataclass(frozen=True, slots=True)
class Ground:
    """Clinics 1 (active) and 2 (closed), and their directory, which reads them through `proxy`."""

    database: Database
    proxy: TcpProxy
    clock: Clock
    directory: ClinicDirectory

    @property
    def readings(self) -> int:
        """How often the database has been read."""
        return self.proxy.connections

    async def add(self, clinica_id: int) -> None:
        await fill(self.database.sql, [SampleClinic(clinica_id, f"Clínica {clinica_id}", 1)])


@pytest.fixture
async def ground(database: Database) -> AsyncIterator[Ground]:
    """See there."""
    await create_schema(database.sql)
    await fill(database.sql, [SampleClinic(1, "Uno", 1), SampleClinic(2, "Dos", 1, activa=False)])
    address = urlsplit(database.url)
    async with tcp_proxy(address.hostname or "", address.port or 0) as proxy:
        through = address._replace(netloc=f"{address.netloc.rpartition('@')[0]}@127.0.0.1:{proxy.port}").geturl()
        clock = Clock()
        yield Ground(database, proxy, clock, ClinicDirectory(ClinicDatabase(through, Tenancy()), 30, clock=clock))


async def test_a_database_that_hangs_without_a_word_holds_nobody_for_ever(
    ground: Ground, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(database_module, "CLINICS_SECONDS", 0.5)
    ground.proxy.hang()
    with pytest.raises(DatabaseUnavailable, match=r"0\.5 segundos"):
        await ground.directory.clinic(1)
    ground.proxy.restore()
    ground.clock.now += 60
    assert (await ground.directory.clinic(1)).id == 1


async def test_the_database_is_read_once_for_many_questions(ground: Ground) -> None:
    for _ in range(5):
        assert [clinic.name for clinic in await ground.directory.clinics()] == ["Uno", "Dos"]
        assert (await ground.directory.clinic(1)).active
        assert not (await ground.directory.clinic(2)).active
    assert ground.readings == 1


async def test_all_who_ask_at_the_same_time_share_one_reading(ground: Ground) -> None:
    found = await asyncio.gather(*(ground.directory.clinic(1) for _ in range(30)))
    assert {clinic.name for clinic in found} == {"Uno"}
    assert ground.readings == 1


async def test_a_change_is_known_after_the_time(ground: Ground) -> None:
    await ground.directory.clinics()
    await ground.database.sql.execute("UPDATE clinica SET activa = false WHERE id = 1")
    ground.clock.now += 29
    assert (await ground.directory.clinic(1)).active
    ground.clock.now += 1
    assert not (await ground.directory.clinic(1)).active


async def test_a_new_clinic_is_known_within_a_second(ground: Ground) -> None:
    await ground.directory.clinics()
    await ground.add(3)
    ground.clock.now += 1
    assert (await ground.directory.clinic(3)).name == "Clínica 3"


async def test_clinics_that_do_not_exist_are_looked_for_once_a_second(ground: Ground) -> None:
    await ground.directory.clinics()
    ground.clock.now += 1
    for clinica_id in (77, 78, 77, 79):
        with pytest.raises(ClinicNotFound, match=str(clinica_id)):
            await ground.directory.clinic(clinica_id)
    assert ground.readings == 2


async def test_who_gives_up_waiting_does_not_stop_the_others(ground: Ground) -> None:
    ground.proxy.hang()
    first = asyncio.create_task(ground.directory.clinic(1))
    while ground.readings < 1:
        await asyncio.sleep(0.01)
    second = asyncio.create_task(ground.directory.clinic(1))
    await asyncio.sleep(0)
    first.cancel()
    ground.proxy.restore()
    assert (await second).name == "Uno"
    assert ground.readings == 1


async def test_a_short_outage_is_not_noticed_by_those_who_are_known(ground: Ground) -> None:
    await ground.directory.clinics()
    await ground.proxy.refuse()
    ground.clock.now += 299
    assert (await ground.directory.clinic(1)).name == "Uno"
    assert len(await ground.directory.clinics()) == 2
    with pytest.raises(DatabaseUnavailable):
        await ground.directory.clinic(77)
    ground.clock.now += 2
    with pytest.raises(DatabaseUnavailable):
        await ground.directory.clinics()
    with pytest.raises(DatabaseUnavailable):
        await ground.directory.clinic(1)
    await ground.proxy.listen()
    assert (await ground.directory.clinic(1)).name == "Uno"


async def test_without_a_list_an_outage_is_told_to_everybody_who_waits(ground: Ground) -> None:
    await ground.proxy.refuse()
    found = await asyncio.gather(*(ground.directory.clinic(1) for _ in range(5)), return_exceptions=True)
    assert all(isinstance(one, DatabaseUnavailable) for one in found)


async def test_a_database_without_clinics_says_so(database: Database) -> None:
    with pytest.raises(CatalogError):
        await ClinicDirectory(database.clinics()).clinics()
