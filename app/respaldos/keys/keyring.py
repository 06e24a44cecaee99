"""The clinics' keys as this process has them: unwrapped by the master keys, and remembered for a short while."""

import time
from dataclasses import dataclass, field

from app.dump.encryption import ClinicKey, KeyEnvelope
from app.errors import FormatError, KeyRefused
from app.masters.keys import NO_MASTERS, MasterKeys

# A search opens hundreds of a clinic's files, and KMS would be asked for each. Whether the key is still kept is known
# by its row each time, so that one that was destroyed is not used (seconds).
REMEMBERED_SECONDS = 300.0
_MOST_REMEMBERED = 256


@dataclass(slots=True)
class Keyring:
    """`encrypting` says that new files are encrypted."""

    masters: MasterKeys = NO_MASTERS
    encrypting: bool = False
    _remembered: dict[str, tuple[float, ClinicKey]] = field(default_factory=dict, repr=False)

    async def open(self, text: str) -> ClinicKey:
        """The key in an envelope. Raises EncryptionError."""
        now = time.monotonic()
        until, key = self._remembered.get(text, (0.0, None))
        if key is not None and now < until:
            return key
        try:
            envelope = KeyEnvelope.parse(text)
        except FormatError as exc:
            raise KeyRefused(str(exc)) from exc
        key = await self.masters.unwrap(envelope)
        if len(self._remembered) >= _MOST_REMEMBERED:
            self._remembered.clear()
        self._remembered[text] = (now + REMEMBERED_SECONDS, key)
        return key
