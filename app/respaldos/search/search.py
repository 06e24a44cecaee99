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
from app.respaldos.search.sources import BackupFile, Today, copies_read
from app.respaldos.search.words import Words

DEFAULT_DAYS: Final = 30
LONGEST_DAYS: Final = 366
DEFAULT_LIMIT: Final = 50
LONGEST_LIMIT: Final = 500

# Each search and history holds a snapshot of the clinics' database, and keeps it from vacuuming and migrating.
LONGEST_SECONDS: Final = 120

# Backups that are looked through.
MOST_BACKUPS: Final = 1_000

CUT: Final = "se dejó de leer a los dos minutos, y puede faltar algo: pida menos días"


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
    told: asyncio.Queue[RegistroEncontrado | None] = asyncio.Queue()
    task = asyncio.create_task(_hunted(resources, request, words, told, clinica_id=clinica_id))
    task.add_done_callback(lambda _: told.put_nowait(None))
    try:
        while (found := await told.get()) is not None:
            yield found
        end = await task
    finally:
        task.cancel()
        await asyncio.wait([task])
        forget_patterns()
    yield end


async def _hunted(
    resources: Resources,
    request: SearchRequest,
    words: Words,
    told: asyncio.Queue[RegistroEncontrado | None],
    *,
    clinica_id: int | None,
) -> FinDeBusqueda:
    """Search, and leave the snapshot at the end, whoever has not yet taken what is told."""
    async with resources.clinic.snapshot(clinica_id, own=True) as snapshot:
        relations = Relations(snapshot.catalogue)
        hunt = Hunt(
            snapshot.catalogue,
            relations,
            labels_of(resources, snapshot.catalogue),
            words,
            told,
            modelos=request.modelos,
            limit=request.limite,
        )
        files, avisos = await backup_files(
            resources, snapshot.catalogue, relations, request.dias, clinica_id=clinica_id
        )
        try:
            async with asyncio.timeout(LONGEST_SECONDS) as deadline:
                await hunt.run(Today(snapshot, resources.secrets), files)
        except TimeoutError:
            if not deadline.expired():
                raise
            hunt.more = True
            avisos = [CUT, *avisos]
    return FinDeBusqueda(hay_mas=hunt.more, avisos=[*avisos, *hunt.avisos, *copies_read(files)])


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
) -> tuple[list[BackupFile], list[str]]:
    """The clinic's completed backups of the last days, newest first; and what there is to be said of the choice."""
    async with transaction(resources) as session:
        respaldos, total = await backup_queries.page(
            session,
            clinica_id=clinica_id,
            estado=Estado.COMPLETADO,
            desde=datetime.now(UTC) - timedelta(days=dias),
            limit=MOST_BACKUPS,
            offset=0,
        )
    avisos = []
    if total > len(respaldos):
        avisos.append(
            f"de esos días hay {total:,} respaldos, y se leyeron los {len(respaldos):,} más nuevos: pida menos días"
        )
    readable = [respaldo for respaldo in respaldos if respaldo.clave_destruida is None]
    if destroyed := len(respaldos) - len(readable):
        which = "1 respaldo no se lee" if destroyed == 1 else f"{destroyed:,} respaldos no se leen"
        avisos.append(f"{which}: se destruyó la clave con que se cifró")
    return [BackupFile(resources, respaldo, catalogue, relations) for respaldo in readable], avisos


def labels_of(resources: Resources, catalogue: Catalogue) -> Labels:
    """What records are called. Raises SettingsError where RECORD_LABELS names what there is not."""
    labels = Labels(catalogue, resources.secrets, resources.labels)
    if labels.problems:
        raise SettingsError("; ".join(labels.problems))
    return labels
