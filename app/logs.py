"""What the processes that stay write to their log: one line for each thing that happened, as text or as JSON.

A line begins with its time, and nothing that comes from data can begin another. What libraries say in English is left
out where ours says the same, and has the library's name before it otherwise.
"""

import json
import logging
import sys
from collections.abc import Iterator, Mapping
from datetime import datetime
from traceback import format_tb
from typing import Any, Literal
from zoneinfo import ZoneInfo

from app.printable import printable

# Ours; all others are libraries.
_OURS = ("app", "workers", "__main__")

_LEVELS = {logging.INFO: "INFO", logging.WARNING: "AVISO", logging.ERROR: "ERROR", logging.CRITICAL: "ERROR"}

# Libraries that say nothing: arq, since the line of each job is ours, and a ticket that it drops is given out again;
# uvicorn, since of a failed request ours says more, and of what is no HTTP nobody has to hear; SQLAlchemy's pool,
# since a lost connection is somebody's, who is told so: it adds a hundred lines of traceback.
_QUIET = ("arq", "uvicorn", "sqlalchemy.pool")

# Where a line of ours has more for programs than its sentence; see `fields`.
_FIELDS = "fields"

# Of what an exception says (characters).
_LONGEST = 500


def configure_logging(form: Literal["text", "json"], time_zone: ZoneInfo) -> None:
    """Write this process's log to standard error in that form, with times in that zone."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonFormatter(time_zone) if form == "json" else TextFormatter(time_zone))
    handler.addFilter(_is_news)
    logging.basicConfig(level=logging.WARNING, handlers=[handler], force=True)
    for name in _OURS:
        logging.getLogger(name).setLevel(logging.INFO)
    for name in _QUIET:
        logging.getLogger(name).setLevel(logging.CRITICAL + 1)


def fields(**values: Any) -> dict[str, Any]:
    """For `extra`: what a line tells programs besides its sentence, under these names in JSON."""
    return {_FIELDS: values}


class PlainFormatter(logging.Formatter):
    """What a command tells a person: the message alone, and a traceback where there is one."""

    def format(self, record: logging.LogRecord) -> str:
        """The line, or lines."""
        return "\n".join([printable(_message(record)), *map(printable, _traceback(record))])


class TextFormatter(logging.Formatter):
    """`2026-07-03T02:00:09-04:00 AVISO  …`; a traceback follows, each of its lines indented."""

    def __init__(self, time_zone: ZoneInfo) -> None:
        super().__init__()
        self._time_zone = time_zone

    def format(self, record: logging.LogRecord) -> str:
        """The line, or lines where there is a traceback."""
        line = f"{_time(record, self._time_zone)} {_level(record):6} {printable(_message(record))}"
        return "\n".join([line, *(f"    {printable(each)}" for each in _traceback(record))])


class JsonFormatter(logging.Formatter):
    """An object a line: `hora`, `nivel`, `origen`, `mensaje`, what `fields` gave, and `excepcion`, a traceback."""

    def __init__(self, time_zone: ZoneInfo) -> None:
        super().__init__()
        self._time_zone = time_zone

    def format(self, record: logging.LogRecord) -> str:
        """The object, in ASCII."""
        given: Mapping[str, Any] = getattr(record, _FIELDS, {})
        said = {
            "hora": _time(record, self._time_zone),
            "nivel": _level(record),
            "origen": record.name,
            "mensaje": _message(record),
            **given,
        }
        if traceback := list(_traceback(record)):
            said["excepcion"] = "\n".join(traceback)
        return json.dumps(said, default=str)


def _time(record: logging.LogRecord, time_zone: ZoneInfo) -> str:
    return datetime.fromtimestamp(record.created, time_zone).isoformat(timespec="seconds")


def _is_news(record: logging.LogRecord) -> bool:
    """Whether it is not what asyncpg leaves behind of a connection that broke: whoever had it says so."""
    exc = record.exc_info[1] if record.exc_info else None
    return record.name != "asyncio" or not type(exc).__module__.startswith("asyncpg.")


def _level(record: logging.LogRecord) -> str:
    return _LEVELS.get(record.levelno, record.levelname)


def _message(record: logging.LogRecord) -> str:
    library = record.name.partition(".")[0]
    said = record.getMessage()
    if library == "asyncio":
        # Below is the task, with the words of its error.
        said = said.partition("\n")[0]
    return said if library in _OURS else f"{library}: {said}"


def _traceback(record: logging.LogRecord) -> Iterator[str]:
    exc = record.exc_info[1] if record.exc_info else None
    if exc is not None:
        yield from _lines(exc, set())


def _lines(exc: BaseException, seen: set[int]) -> Iterator[str]:
    """What it came of, then where it was raised; its words where they quote nothing that people wrote."""
    seen.add(id(exc))
    cause = exc.__cause__ or (None if exc.__suppress_context__ else exc.__context__)
    inner = [
        *([cause] if cause is not None else []),
        *(exc.exceptions if isinstance(exc, BaseExceptionGroup) else ()),
    ]
    for each in inner:
        if id(each) not in seen:
            yield from _lines(each, seen)
    for frame in format_tb(exc.__traceback__):
        yield from frame.rstrip().splitlines()
    said = _words(exc).partition("\n")[0][:_LONGEST]
    yield f"{type(exc).__module__}.{type(exc).__qualname__}{f': {said}' if said else ''}"


def _words(exc: BaseException) -> str:
    """PostgreSQL's and those of a value that does not fit quote it; of our own errors, what a log may have."""
    if isinstance(ours := getattr(exc, "for_log", None), str):
        return ours
    if type(exc).__module__.partition(".")[0] in {"asyncpg", "sqlalchemy"}:
        return getattr(exc, "sqlstate", None) or ""
    return "" if isinstance(exc, ValueError | LookupError) else str(exc)
