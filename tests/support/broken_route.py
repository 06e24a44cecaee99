"""An app with a route that fails."""

from collections.abc import Iterator
from contextlib import contextmanager

from fastapi import FastAPI


@contextmanager
def broken(app: FastAPI, error: Exception) -> Iterator[None]:
    """Give the app a route that nobody foresaw, for the time of the block."""

    @app.get("/roto")
    async def roto() -> None:
        raise error

    yield
    app.router.routes.pop()
