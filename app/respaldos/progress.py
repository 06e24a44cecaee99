"""How far a running operation has come."""

import time
from collections.abc import Callable


class Progress:
    """Counts what has moved, and remembers when. `on_change` is called after each step."""

    def __init__(self, on_change: "Callable[[Progress], None] | None" = None) -> None:
        self.model = ""
        self.records = 0
        self.bytes = 0
        self._on_change = on_change
        self._moved = time.monotonic()

    @property
    def idle_seconds(self) -> float:
        """Seconds since anything has moved."""
        return time.monotonic() - self._moved

    def advance(self, *, bytes_: int, records: int = 0) -> None:
        """Bytes of the document, and records in them, have passed."""
        self.bytes += bytes_
        self.records += records
        self._moved = time.monotonic()
        if self._on_change is not None:
            self._on_change(self)
