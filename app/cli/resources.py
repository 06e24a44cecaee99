"""Runs a command's coroutine with all that backups need."""

from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

from app.cli.running import with_settings
from app.connections.resources import open_resources
from app.respaldos.resources import Resources
from app.settings import Settings

T = TypeVar("T")


def with_resources(work: Callable[[Resources], Coroutine[Any, Any, T]]) -> T:
    """Run `work` with everything a backup needs; embedded servers run at least as long."""

    async def opened(settings: Settings) -> T:
        async with open_resources(settings) as resources:
            return await work(resources)

    return with_settings(opened)
