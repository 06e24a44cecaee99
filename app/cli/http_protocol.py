"""HTTP as uvicorn speaks it, for whoever sends a request in time."""

import asyncio
from typing import Any, Final

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol

# For a whole request, from when the connection is opened or the first byte after another one arrives (seconds). The
# largest has a megabyte.
REQUEST_SECONDS: Final = 30.0

# While the other side is in one of these, a request has not come or is not complete.
_AWAITED: Final = (h11.IDLE, h11.SEND_BODY)


class TimelyH11Protocol(H11Protocol):
    """Closes connections on which no whole request has come within `request_seconds`.

    uvicorn itself ends those alone that rest after an answer: whoever opens a thousand and says nothing would have
    all the sockets that the process may have.
    """

    def __init__(self, *arguments: Any, request_seconds: float = REQUEST_SECONDS, **more: Any) -> None:
        super().__init__(*arguments, **more)
        self._request_seconds = request_seconds
        self._late: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Begin to wait."""
        super().connection_made(transport)
        self._wait_or_not()

    def connection_lost(self, exc: Exception | None) -> None:
        """Stop waiting."""
        self._stop_waiting()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Take what has come, and wait for the rest of a request that is not whole."""
        super().data_received(data)
        self._wait_or_not()

    def _wait_or_not(self) -> None:
        if self.conn.their_state not in _AWAITED or self.transport.is_closing():
            self._stop_waiting()
        elif self._late is None:
            self._late = self.loop.call_later(self._request_seconds, self.transport.abort)

    def _stop_waiting(self) -> None:
        if self._late is not None:
            self._late.cancel()
            self._late = None
