"""The keys of the files' seals, as the settings say."""

from app.dump.seal import SealKeys, seal_keys
from app.errors import SettingsError
from app.settings import Settings


def sealing(settings: Settings) -> SealKeys:
    """The keys that files are sealed with, and known by. Raises SettingsError."""
    private = settings.seal_keys.get_secret_value() if settings.seal_keys is not None else ""
    try:
        return seal_keys(private, settings.seal_public_keys or "")
    except ValueError as exc:
        raise SettingsError(f"SEAL_KEYS, SEAL_PUBLIC_KEYS: {exc}") from exc
