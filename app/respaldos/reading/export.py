"""A backup's records in a format that other programs open, from its object or from a file of it."""

import asyncio
from collections.abc import Sequence
from pathlib import Path

from app.dump.reader import Event
from app.errors import NotCompleted
from app.export.export import Export
from app.export.format import Exported, Formato
from app.respaldos.audit import COMMAND_LINE, Actor
from app.respaldos.cancellation import uninterrupted
from app.respaldos.models import Estado, Respaldo
from app.respaldos.progress import Progress
from app.respaldos.reading.verification import verificar_respaldo
from app.respaldos.resources import Resources


async def exportar_respaldo(
    resources: Resources,
    respaldo: Respaldo,
    target: Path,
    formato: Formato,
    *,
    replace: bool = False,
    actor: Actor = COMMAND_LINE,
    progress: Progress | None = None,
) -> Exported:
    """Stream the object from S3 into `target`, which appears only if all of the object is right.

    That makes it a thorough verification, which is recorded as one. `replace` is as for Export. Raises
    NotCompleted, AlreadyPurged, StorageError, FormatError, LocalFileError, MissingLibrary, ExportError.
    """
    if respaldo.estado != Estado.COMPLETADO:
        raise NotCompleted(
            f"el respaldo {respaldo.id} está {respaldo.estado}; solo se exporta uno completado", respaldo.estado
        )
    with Export(target, formato, replace=replace) as export:

        def write(events: Sequence[Event]) -> None:
            for event in events:
                export.take(event)

        async def take(events: Sequence[Event]) -> None:
            await asyncio.to_thread(write, events)

        await verificar_respaldo(resources, respaldo, actor=actor, progress=progress, take=take, on_plain=export.copy)
        return await uninterrupted(asyncio.to_thread(export.commit))
