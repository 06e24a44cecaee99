"""A line of the log: its time first, one thing a line, nothing that came from data begins another."""

import json
import logging
import re
import sys
from collections.abc import Iterator
from zoneinfo import ZoneInfo

import asyncpg
import pytest
from sqlalchemy.exc import DBAPIError

from app.database import database_errors
from app.errors import DatabaseError, DatabaseUnavailable, FormatError, RestoreDiffers
from app.logs import JsonFormatter, TextFormatter, configure_logging, fields

LA_PAZ = ZoneInfo("America/La_Paz")
LINE = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d-04:00 (INFO|AVISO|ERROR) +"
FORGED = "Ana\n2026-07-03T02:00:00-04:00 INFO   todo va bien\x1b[2K"


@pytest.fixture
def root() -> Iterator[None]:
    """The process's log, left as it was."""
    logger = logging.getLogger()
    before, level = logger.handlers[:], logger.level
    levels = {name: logging.getLogger(name).level for name in ("app", "workers", "__main__", "arq", "uvicorn")}
    yield
    logger.handlers[:] = before
    logger.setLevel(level)
    for name, each in levels.items():
        logging.getLogger(name).setLevel(each)


def record(name: str, said: str, *args: object, exc: Exception | None = None, **more: object) -> logging.LogRecord:
    """A warning of that logger."""
    exc_info = (type(exc), exc, exc.__traceback__) if exc is not None else None
    made = logging.LogRecord(name, logging.WARNING, "f.py", 1, said, args, exc_info)
    made.__dict__.update(more)
    return made


def raised() -> RuntimeError:
    """An error with a cause, whose words would forge a line."""
    try:
        try:
            raise KeyError(FORGED)
        except KeyError as exc:
            raise RuntimeError(f"malo: {FORGED}") from exc
    except RuntimeError as exc:
        return exc


def test_a_line_break_in_data_forges_no_line() -> None:
    said = TextFormatter(LA_PAZ).format(record("app.x", "clínica %s", FORGED))
    assert re.fullmatch(rf"{LINE}clínica Ana\\n2026.*todo va bien\\x1b\[2K", said), said
    (line,) = JsonFormatter(LA_PAZ).format(record("app.x", "clínica %s", FORGED)).splitlines()
    assert json.loads(line)["mensaje"] == f"clínica {FORGED}"
    assert "\x1b" not in line


def test_a_traceback_is_there_and_forges_none_either() -> None:
    first, *others = TextFormatter(LA_PAZ).format(record("app.x", "mal", exc=raised())).splitlines()
    assert re.fullmatch(rf"{LINE}mal", first)
    assert all(line.startswith("    ") for line in others)
    assert "    builtins.KeyError" in others
    assert others[-1] == "    builtins.RuntimeError: malo: Ana"
    found = json.loads(JsonFormatter(LA_PAZ).format(record("app.x", "mal", exc=raised())))
    assert found["excepcion"].endswith("builtins.RuntimeError: malo: Ana")
    assert "in raised" in found["excepcion"]


@pytest.mark.parametrize(
    ("error", "line"),
    [
        (
            asyncpg.InvalidDatetimeFormatError('invalid input: "Ana"'),
            "asyncpg.exceptions.InvalidDatetimeFormatError: 22007",
        ),
        (DBAPIError("INSERT", {"nombre": "Ana"}, ValueError("Ana")), "sqlalchemy.exc.DBAPIError"),
        (FormatError("el registro de Ana"), "app.errors.FormatError: archivo_invalido"),
        (DatabaseUnavailable("no hay conexión"), "app.errors.DatabaseUnavailable: no hay conexión"),
        (ValueError("invalid literal: 'Ana'"), "builtins.ValueError"),
    ],
)
def test_no_traceback_quotes_what_people_wrote(error: Exception, line: str) -> None:
    said = TextFormatter(LA_PAZ).format(record("app.x", "mal", exc=error))
    assert said.splitlines()[-1].strip().startswith(line), said
    assert "Ana" not in said


def test_a_task_that_nobody_awaited_quotes_none_either() -> None:
    said = TextFormatter(LA_PAZ).format(
        record("asyncio", "Task exception was never retrieved\nfuture: exception='Ana'")
    )
    assert said.endswith("asyncio: Task exception was never retrieved")


def test_programs_are_given_the_fields() -> None:
    line = JsonFormatter(LA_PAZ).format(record("app.x", "listo", **fields(clinica_id=3, resultado="completado")))
    found = json.loads(line)
    assert (found["clinica_id"], found["resultado"], found["nivel"]) == (3, "completado", "AVISO")
    assert found["hora"].endswith("-04:00")


def test_only_ours_speak_and_a_library_by_its_name(root: None, capsys: pytest.CaptureFixture[str]) -> None:
    configure_logging("text", LA_PAZ)
    logging.getLogger("app.x").info("uno")
    logging.getLogger("arq.worker").error("job failed")
    logging.getLogger("uvicorn.error").error("Exception in ASGI application")
    logging.getLogger("sqlalchemy.pool.impl").error("Exception terminating connection")
    logging.getLogger("botocore").info("nothing")
    logging.getLogger("asyncio").error("Task exception was never retrieved")
    said = [line.split(maxsplit=2)[2] for line in capsys.readouterr().err.splitlines()]
    assert said == ["uno", "asyncio: Task exception was never retrieved"]


def test_what_is_in_rows_stays_out_of_it() -> None:
    assert RestoreDiffers("pacientes 15: Ana").for_log == "restauracion_distinta"
    assert DatabaseError("clave (correo)=(ana@x) repetida").for_log == "base_de_datos"
    assert DatabaseUnavailable("no hay conexión").for_log == "no hay conexión (base_de_datos_no_disponible)"
    with pytest.raises(DatabaseUnavailable) as caught, database_errors("DATABASE_URL"):
        raise ConnectionRefusedError("rechazada")
    assert "DATABASE_URL" in caught.value.for_log
    assert sys.exc_info() == (None, None, None)


def test_what_the_driver_leaves_of_a_broken_connection_is_no_news(
    root: None, capsys: pytest.CaptureFixture[str]
) -> None:
    configure_logging("text", LA_PAZ)
    log = logging.getLogger("asyncio")
    log.error("Future exception was never retrieved", exc_info=asyncpg.ConnectionDoesNotExistError())
    log.error("Task exception was never retrieved", exc_info=RuntimeError("otra"))
    said = capsys.readouterr().err
    assert "Future" not in said
    assert "otra" in said
