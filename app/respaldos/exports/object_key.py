"""Where in the bucket an export is."""

from app.dump.whose import named
from app.storage.bucket import EXPORTS


def key_of(exportacion_id: int, intento: int, *, clinica_id: int | None) -> str:
    """The key of that attempt at it, which no other has."""
    return f"{EXPORTS}{named(clinica_id)}/{exportacion_id}_{intento}"
