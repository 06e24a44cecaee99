"""Requests that are dear, of which each clinic may have some under way in this process, and all of them some more."""

from collections import Counter
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final

from fastapi import Request

from app.api.caller import AdminAccess
from app.errors import TooManyAttempts

# When to come again where there are too many (seconds).
RETRY_SECONDS: Final = 10


@dataclass(frozen=True, slots=True)
class AtOnce:
    """How many there may be of one kind; `said` is why there may be no more.

    As a dependency of a route, it counts the requests of administrators until each is answered.
    """

    said: str
    per_clinic: int
    in_all: int

    async def __call__(self, request: Request, caller: AdminAccess) -> AsyncIterator[None]:
        """One request. Raises TooManyAttempts."""
        with self.one(request, caller.clinica_id):
            yield

    @contextmanager
    def one(self, request: Request, clinica_id: int | None) -> Iterator[None]:
        """The same for as long as the block runs."""
        under_way: Counter[int | None] = request.app.state.under_way.setdefault(self, Counter())
        if under_way[clinica_id] >= self.per_clinic or under_way.total() >= self.in_all:
            raise TooManyAttempts(self.said, RETRY_SECONDS)
        under_way[clinica_id] += 1
        try:
            yield
        finally:
            under_way[clinica_id] -= 1
