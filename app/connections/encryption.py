"""The master keys, and whether new backups are encrypted, as the settings say."""

from app.errors import SettingsError
from app.masters.keys import MasterKeys, master_keys
from app.masters.kms import KmsOptions
from app.respaldos.keys.keyring import Keyring
from app.settings import Settings


def keyring(settings: Settings) -> Keyring:
    """What opens the clinics' keys. Raises SettingsError."""
    return Keyring(masters(settings), settings.encryption)


def masters(settings: Settings) -> MasterKeys:
    """The keys of MASTER_KEYS, and after them those of MASTER_KEYS_FILE. Raises SettingsError."""
    secret = settings.aws_secret_access_key
    kms = KmsOptions(
        region=settings.aws_s3_region_name,
        endpoint_url=settings.aws_endpoint_url_kms,
        access_key_id=settings.aws_access_key_id,
        secret_access_key=secret.get_secret_value() if secret is not None else None,
    )
    given = settings.master_keys.get_secret_value() if settings.master_keys is not None else ""
    try:
        in_file = settings.master_keys_file.read_text() if settings.master_keys_file is not None else ""
    except (OSError, UnicodeDecodeError) as exc:
        reason = exc.strerror if isinstance(exc, OSError) else "no es texto"
        raise SettingsError(f"MASTER_KEYS_FILE: no se puede leer «{settings.master_keys_file}»: {reason}") from exc
    try:
        return master_keys(given, in_file, kms=kms)
    except ValueError as exc:
        raise SettingsError(f"MASTER_KEYS, MASTER_KEYS_FILE: {exc}") from exc
