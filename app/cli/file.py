"""A backup's file on disk, which needs no service."""

import os
import re
from collections.abc import Callable
from pathlib import Path

from app.cli.progress import progress_bar
from app.dump.encryption import MAX_ENVELOPE_BYTES, Decryptor, envelope_of
from app.dump.reader import Event
from app.dump.seal import NO_SEALS, SealKeys
from app.dump.verifier import FileVerifier, VerifiedFile
from app.errors import FormatError, LocalFileError


def verify_file(
    path: Path,
    *,
    unsealed: bool,
    decryption: Decryptor | None,
    title: str = "Verificando",
    on_event: Callable[[Event], None] | None = None,
    on_plain: Callable[[bytes], object] | None = None,
) -> VerifiedFile:
    """Check a file on disk, against FILE.md5 where it is there. Raises FormatError, LocalFileError or SettingsError.

    Where the settings have keys for seals, a file without one is refused, unless `unsealed`. `title` is for the
    progress bar, `decryption`, `on_event` and `on_plain` are FileVerifier's.
    """

    verifier = FileVerifier(
        _seals(), sealed=not unsealed, on_event=on_event, decryption=decryption, on_plain=on_plain
    )
    try:
        with path.open("rb") as file, progress_bar(title, total=path.stat().st_size) as progress:
            while chunk := file.read(1 << 20):
                verifier.feed(chunk)
                progress.advance(bytes_=len(chunk))
        md5_file = path.with_name(path.name + ".md5")
        stated = md5_file.read_bytes() if md5_file.exists() else None
    except OSError as exc:
        raise LocalFileError(f"no se puede leer «{exc.filename or path}»: {exc.strerror}") from exc
    if stated is None:
        return verifier.finish()
    # md5sum marks a line whose file name it had to escape.
    if (found := re.match(rb"\\?([0-9a-fA-F]{32})(?![0-9a-zA-Z])", stated)) is None:
        raise FormatError(f"«{md5_file}» no empieza con un hash MD5, y falta con qué comparar")
    return verifier.finish(found[1].decode())


def decryption_of_file(path: Path) -> Decryptor | None:
    """What decrypts the file, by the clinic's key in the database or the bucket; None where it is not encrypted.

    Raises FormatError, LocalFileError, EncryptionError, and what looking the key up does.
    """
    try:
        with path.open("rb") as file:
            envelope = envelope_of(file.read(MAX_ENVELOPE_BYTES))
    except OSError as exc:
        raise LocalFileError(f"no se puede leer «{path}»: {exc.strerror}") from exc
    if envelope is None:
        return None
    # What is not encrypted needs no service.
    from app.cli.object import decryption_for

    return decryption_for(envelope)


def _seals() -> SealKeys:
    home = Path(os.environ.get("RESPALDOS_HOME") or ".respaldos")
    # A setting's name may be in small letters, too.
    given = {name.upper() for name in os.environ}
    if not (given & {"SEAL_KEYS", "SEAL_PUBLIC_KEYS"} or Path(".env").exists() or home.exists()):
        return NO_SEALS
    # Where there are no settings, nobody waits for what reads them (0.2 s).
    from app.connections.seals import sealing
    from app.settings import settings_of_process

    return sealing(settings_of_process())
