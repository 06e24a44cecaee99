"""Resources that encrypt, with master keys that are the same each time."""

from base64 import b64encode
from dataclasses import replace

from app.masters.keys import MasterKeys, master_keys
from app.masters.kms import KmsOptions
from app.respaldos.keys.keyring import Keyring
from app.respaldos.resources import Resources


def master(name: str, drawn: int = 0) -> str:
    """One in base64."""
    return b64encode(name.encode().rjust(31) + bytes([drawn])).decode()


def masters(*names: str, drawn: int = 0) -> MasterKeys:
    """Keys of these ids, the first of which wraps; others of the same ids for another `drawn`."""
    return master_keys(*(f"{name}:{master(name, drawn)}" for name in names), kms=KmsOptions())


def with_masters(
    resources: Resources, *names: str, drawn: int = 0, encrypting: bool = True, **others: MasterKeys
) -> Resources:
    """The same as another process has them, with these master keys and nothing remembered."""
    return replace(resources, keyring=Keyring(others.get("keys") or masters(*names, drawn=drawn), encrypting))
