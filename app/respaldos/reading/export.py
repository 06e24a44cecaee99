"""A backup's records in a format that other programs open, from its object or from a file of it."""

import asyncio
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path

from app.dump.reader import Event
from app.errors import NotCompleted
from app.export.export import Export
from app.export.format import Exported, Formato
from app.respaldos.audit import COMMAND_LINE, Actor
from app.respaldos.cancellation import uninterrupted
from app.respaldos.copies.sources import Source, Sources
from app.respaldos.models import Estado, Profundidad, Respaldo
from app.respaldos.progress import Progress
from app.respaldos.reading.check import check_thoroughly
from app.respaldos.reading.verification import recorded
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

    From a second copy, where it is lost or its store away, as `progress` says. That makes it a thorough verification,
    which is recorded as one. `replace` is as for Export. Raises NotCompleted, AlreadyPurged, StorageError,
    FormatError, LocalFileError, MissingLibrary, ExportError.
    """
    if respaldo.estado != Estado.COMPLETADO:
        raise NotCompleted(
            f"el respaldo {respaldo.id} está {respaldo.estado}; solo se exporta uno completado", respaldo.estado
        )
    progress = progress or Progress()
    with ExitStack() as begun:

        async def read(source: Source) -> Export:
            # What another source had begun.
            begun.close()
            export = begun.enter_context(Export(target, formato, replace=replace))

            def write(events: Sequence[Event]) -> None:
                for event in events:
                    export.take(event)

            async def take(events: Sequence[Event]) -> None:
                await asyncio.to_thread(write, events)

            await check_thoroughly(resources, respaldo, progress, source, take=take, on_plain=export.copy)
            return export

        reading = Sources(resources, respaldo, progress).read(read)
        export = await recorded(resources, respaldo, reading, profundidad=Profundidad.COMPLETA, actor=actor)
        return await uninterrupted(asyncio.to_thread(export.commit))
