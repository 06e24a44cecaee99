"""Each attempt at a job is one line of the log: whose, what, how it ended, how long it took, and no row."""

import asyncio
import logging
import re
from dataclasses import replace

import pytest

from app.errors import DatabaseError, StorageUnavailable
from app.respaldos.backup import run as backup_run
from app.respaldos.jobs import run
from app.respaldos.jobs.kinds import Handlers
from app.respaldos.jobs.run import Attempt, run_next
from app.respaldos.resources import Resources
from tests.respaldos.conftest import SMALL, ask

FIELDS = {
    *("clase", "clinica_id", "respaldo_id", "restauracion_id", "exportacion_id"),
    *("resultado", "segundos", "intento", "razon"),
}


def failing(monkeypatch: pytest.MonkeyPatch, error: Exception) -> None:
    """Have backups end with that error."""

    async def fail(_: Attempt) -> None:
        raise error

    monkeypatch.setattr(backup_run, "HANDLERS", Handlers(fail))


async def line(resources: Resources, caplog: pytest.LogCaptureFixture) -> logging.LogRecord:
    """That of the next job."""
    caplog.set_level(logging.INFO)
    await run_next(resources)
    (record,) = [each for each in caplog.records if each.name == run.__name__]
    assert set(record.__dict__["fields"]) == FIELDS
    return record


async def test_one_that_is_made(resources: Resources, caplog: pytest.LogCaptureFixture) -> None:
    asked = await ask(resources, SMALL)
    record = await line(resources, caplog)
    assert record.levelno == logging.INFO
    assert record.getMessage().startswith(f"respaldo {asked.id} de la clínica {SMALL}: completado, ")
    found = record.__dict__["fields"]
    assert (found["clase"], found["clinica_id"], found["resultado"], found["razon"]) == (
        "respaldo",
        SMALL,
        "completado",
        None,
    )
    assert found["segundos"] >= 0


async def test_one_that_is_told_to_stop_when_it_is_made(
    resources: Resources, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = backup_run.HANDLERS

    async def stopped(attempt: Attempt) -> None:
        await made.run(attempt)
        raise asyncio.CancelledError

    monkeypatch.setattr(backup_run, "HANDLERS", replace(made, run=stopped))
    asked = await ask(resources, SMALL)
    caplog.set_level(logging.INFO)
    with pytest.raises(asyncio.CancelledError):
        await run_next(resources)
    (said,) = [each.getMessage() for each in caplog.records if each.name == run.__name__]
    assert re.fullmatch(rf"respaldo {asked.id} de la clínica {SMALL}: completado, [\d.]+ s", said), said


async def test_one_that_may_succeed_later(
    resources: Resources, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    failing(monkeypatch, StorageUnavailable("S3 no responde"))
    await ask(resources, SMALL)
    record = await line(resources, caplog)
    assert record.levelno == logging.WARNING
    assert ": se hará de nuevo, " in record.getMessage()
    assert record.getMessage().endswith("intento 1: S3 no responde (almacenamiento_no_disponible)")
    assert record.exc_info is None


async def test_one_whose_reason_holds_a_row(
    resources: Resources, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    failing(monkeypatch, DatabaseError("Key (correo)=(ana@example.com) already exists"))
    await ask(resources, SMALL)
    record = await line(resources, caplog)
    assert ": falló, " in record.getMessage()
    assert "ana@example.com" not in str(record.__dict__)
    assert record.__dict__["fields"]["razon"] == "base_de_datos"


async def test_one_that_nobody_foresaw(
    resources: Resources, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    failing(monkeypatch, ZeroDivisionError("clave de Ana"))
    await ask(resources, SMALL)
    with pytest.raises(ZeroDivisionError):
        await line(resources, caplog)
    (record,) = [each for each in caplog.records if each.name == run.__name__]
    assert ": falló, " in record.getMessage()
    assert "Ana" not in record.getMessage()
