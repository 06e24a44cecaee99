"""Where in the bucket a clinic's key is."""

import re

from app.dump.whose import PLATFORM, named

# Every key's object begins with it.
PREFIX = "claves/"

_KEY = re.compile(rf"{PREFIX}(0|[1-9]\d{{0,18}}|{PLATFORM})/([0-9a-f]{{16}})")


def prefix_of(clinica_id: int | None) -> str:
    """How the objects of one clinic's keys begin, or the platform's."""
    return f"{PREFIX}{named(clinica_id)}/"


def object_key_of(key_id: str, *, clinica_id: int | None) -> str:
    """The object of that key."""
    return f"{prefix_of(clinica_id)}{key_id}"


def key_in(object_key: str) -> tuple[int | None, str]:
    """Whose key the object is of, and its id. Raises ValueError for what is no key's object."""
    match = _KEY.fullmatch(object_key)
    if match is None:
        raise ValueError(object_key)
    return (int(match[1]) if match[1] != PLATFORM else None), match[2]
