"""A backup's object that is not what was stored."""

from app.respaldos.models import Respaldo
from tests.storage.conftest import Store


def damage(store: Store, respaldo: Respaldo, *, size: int = 0) -> None:
    """Change a byte in the middle of the object, or its size."""
    assert store.folder is not None
    path = store.folder / (respaldo.archivo_s3 or "")
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(bytes(content) + b"x" * size)
