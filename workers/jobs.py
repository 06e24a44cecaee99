"""What a worker does when the queue says so. Each job has only the row's number; the row says the rest."""

import asyncio
from collections.abc import Awaitable
from typing import Any

from app.respaldos.backup.run import ejecutar_respaldo
from app.respaldos.restore.run import ejecutar_restauracion

# Names in arq's context: what the jobs work with; the tasks of those that have not come to their end; what is set
# when the worker is to stop.
RESOURCES = "resources"
RUNNING = "running"
STOPPING = "stopping"

Context = dict[Any, Any]


async def respaldar(context: Context, respaldo_id: int) -> None:
    """Make a pending backup."""
    await _run(context, ejecutar_respaldo(context[RESOURCES], respaldo_id))


async def restaurar(context: Context, restauracion_id: int) -> None:
    """Make a pending restore or verification."""
    await _run(context, ejecutar_restauracion(context[RESOURCES], restauracion_id))


async def _run(context: Context, work: Awaitable[None]) -> None:
    task = asyncio.current_task()
    context[RUNNING].add(task)
    if context[STOPPING].is_set() and task is not None:
        # Heard at the first suspension; arq keeps the job for another worker.
        task.cancel()
    try:
        await work
    finally:
        context[RUNNING].discard(task)
