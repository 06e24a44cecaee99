"""Looks for records by their words, today and in the backups, and tells what became of each."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final

from app.clinic.catalogue.entries import Catalogue
from app.clinic.labels import Labels
from app.errors import SettingsError
from app.respaldos.backup import queries as backup_queries
from app.respaldos.databases import transaction
from app.respaldos.models import Estado
from app.respaldos.resources import Resources
from app.respaldos.search.contract import EstadoRegistro, FinDeBusqueda, RegistroEncontrado, RegistrosEncontrados
from app.respaldos.search.hunt import Hunt
from app.respaldos.search.records import Relations, forget_patterns
from app.respaldos.search.sources import BackupFile, Today
from app.respaldos.search.words import Words

DEFAULT_DAYS: Final = 30
LONGEST_DAYS: Final = 366
DEFAULT_LIMIT: Final = 50
LONGEST_LIMIT: Final = 500


@dataclass(frozen=True, slots=True)
class SearchRequest:
    """`texto` in the backups of the last `dias` and today, in `modelos` or in all of them.

    `limite`: how many records at most of those that are there today, and how many of those that are not.
    """

    texto: str
    dias: int = DEFAULT_DAYS
    modelos: tuple[str, ...] = ()
    limite: int = DEFAULT_LIMIT


async def buscar_registros(
    resources: Resources, request: SearchRequest, *, clinica_id: int | None
) -> AsyncGenerator[RegistroEncontrado | FinDeBusqueda]:
    """Each record that is found, as soon as it is; and again, where an older backup tells more of it. Then the end.

    To be closed where it is left early (`contextlib.aclosing`). Raises InvalidRequest, ClinicNotFound, SettingsError,
    DatabaseError; of a backup that cannot be read the end tells.
    """
    words = Words(request.texto)
    if words.pattern is None:
        yield FinDeBusqueda(hay_mas=False, avisos=[])
        return
    async with resources.clinic.snapshot(clinica_id, own=True) as snapshot:
        relations = Relations(snapshot.catalogue)
        hunt = Hunt(
            snapshot.catalogue,
            relations,
            labels_of(resources, snapshot.catalogue),
            words,
            modelos=request.modelos,
            limit=request.limite,
        )
        files = await backup_files(resources, snapshot.catalogue, relations, request.dias, clinica_id=clinica_id)
        task = asyncio.create_task(hunt.run(Today(snapshot, resources.secrets), files))
        task.add_done_callback(lambda _: hunt.told.put_nowait(None))
        try:
            while (found := await hunt.told.get()) is not None:
                yield found
            await task
        finally:
            task.cancel()
            await asyncio.wait([task])
            forget_patterns()
    yield FinDeBusqueda(hay_mas=hunt.more, avisos=hunt.avisos)


async def registros_encontrados(
    resources: Resources, request: SearchRequest, *, clinica_id: int | None
) -> RegistrosEncontrados:
    """The same when all is known, what is gone first. Raises as `buscar_registros`."""
    found: dict[int, RegistroEncontrado] = {}
    end = FinDeBusqueda(hay_mas=False, avisos=[])
    async with aclosing(buscar_registros(resources, request, clinica_id=clinica_id)) as lines:
        async for line in lines:
            if isinstance(line, FinDeBusqueda):
                end = line
            else:
                found[line.numero] = line
    order = list(EstadoRegistro)
    resultados = sorted(found.values(), key=lambda each: (order.index(each.estado), each.numero))
    return RegistrosEncontrados(resultados=resultados, hay_mas=end.hay_mas, avisos=end.avisos)


async def backup_files(
    resources: Resources, catalogue: Catalogue, relations: Relations, dias: int, *, clinica_id: int | None
) -> list[BackupFile]:
    """Those of the clinic's completed backups of the last days, newest first."""
    async with transaction(resources) as session:
        respaldos, _ = await backup_queries.page(
            session,
            clinica_id=clinica_id,
            estado=Estado.COMPLETADO,
            desde=datetime.now(UTC) - timedelta(days=dias),
            limit=1000,
            offset=0,
        )
    return [BackupFile(resources, respaldo, catalogue, relations) for respaldo in respaldos]


def labels_of(resources: Resources, catalogue: Catalogue) -> Labels:
    """What records are called. Raises SettingsError where RECORD_LABELS names what there is not."""
    labels = Labels(catalogue, resources.secrets, resources.labels)
    if labels.problems:
        raise SettingsError("; ".join(labels.problems))
    return labels
