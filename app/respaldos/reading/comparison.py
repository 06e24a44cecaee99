"""What changed in a clinic between a backup and today, or between two backups."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

from app.clinic.restore.changed_rows import ChangedRow
from app.clinic.restore.comparison import Comparison
from app.clinic.restore.difference import EXAMPLES, Changes
from app.dump.whose import whose
from app.errors import InvalidRequest, NotCompleted
from app.respaldos import audit
from app.respaldos.audit import Actor
from app.respaldos.backup import queries as backup_queries
from app.respaldos.copies.sources import UNREADABLE, Sources, read_from
from app.respaldos.databases import Databases, transaction
from app.respaldos.jobs import queries as job_queries
from app.respaldos.jobs.kinds import Handlers
from app.respaldos.jobs.request import Announcer, requesting
from app.respaldos.jobs.run import Attempt
from app.respaldos.keys.keys import refuse_destroyed
from app.respaldos.models import Accion, Estado, Respaldo, Restauracion
from app.respaldos.progress import Etapa, Expected, Progress
from app.respaldos.reading import queries as reading_queries
from app.respaldos.reading.check import Take, check_thoroughly
from app.respaldos.resources import Resources


class Comparacion:
    """What `comparar_respaldos` found of each model; its rows are read from the database as they are asked for.

    `avisos` name rows that differ today and that a restore would leave as they are, in words; they do not count.
    """

    def __init__(self, modelos: dict[str, Changes], avisos: list[str], comparison: Comparison) -> None:
        self.modelos = modelos
        self.avisos = avisos
        self._comparison = comparison

    async def rows(self, *, limit: int | None = None, whole: bool = False) -> AsyncIterator[tuple[str, ChangedRow]]:
        """Every row that changed, or `limit` of each model and kind, by model and key, in constant memory.

        Long values are cut unless they are wanted `whole`.
        """
        async for model, row in self._comparison.rows(limit=limit, whole=whole):
            # Told as what restoring would do, so the other way round.
            yield model, row.reversed()


@asynccontextmanager
async def comparar_respaldos(
    resources: Resources, respaldo: Respaldo, otro: Respaldo | None = None, *, progress: Progress | None = None
) -> AsyncIterator[Comparacion]:
    """What changed from the backup to the other one, or to today; of use within the block. Nothing is changed.

    Both files are verified first. Raises InvalidRequest where they are two clinics', NotCompleted, FormatError,
    StorageError, RestoreRefused where the tables of today cannot hold what a file has, DatabaseError.
    """
    if otro is not None and otro.clinica_id != respaldo.clinica_id:
        raise InvalidRequest(
            f"el respaldo {respaldo.id} es de {whose(respaldo.clinica_id)},"
            f" y el {otro.id} de {whose(otro.clinica_id)}"
        )
    shown = progress or Progress()
    older = Sources(resources, respaldo, shown)
    newer = Sources(resources, otro, shown) if otro is not None else None
    async with AsyncExitStack() as opened:
        while True:
            comparison = await opened.enter_async_context(
                resources.restore.comparing(respaldo.clinica_id, shown.touch)
            )
            if await _read(resources, respaldo, older, shown, comparison.older.take) and (
                otro is None or newer is None or await _read(resources, otro, newer, shown, comparison.newer.take)
            ):
                break
            await opened.aclose()
        read = [(respaldo, older), *([(otro, newer)] if otro is not None and newer is not None else [])]
        said = []
        for each, sources in read:
            await sources.note()
            if sources.current.copy is not None:
                said.append(f"respaldo {each.id}: {read_from(sources.current.copy)}")
        shown.enter(Etapa.COMPARANDO)
        async with transaction(resources) as session:
            unbroken = await reading_queries.is_unbroken(session, respaldo, clinica_id=respaldo.clinica_id)
        found = await comparison.find(unbroken=unbroken)
        models = {model: Changes(each.deleted, each.updated, each.inserted) for model, each in found.items()}
        for model, rows in (await comparison.only_newer()).items():
            models[model] = Changes(rows, 0, 0)
        yield Comparacion(models, [*said, *comparison.avisos], comparison)


async def _read(resources: Resources, respaldo: Respaldo, sources: Sources, progress: Progress, take: Take) -> bool:
    """Whether it could be read where it was; otherwise the next reading is of another source."""
    try:
        await check_thoroughly(resources, respaldo, progress, sources.current, take=take)
    except UNREADABLE as exc:
        # There are two of them.
        sources.go_on(type(exc)(f"respaldo {respaldo.id}: {exc}"))
        return False
    return True


async def run(attempt: Attempt) -> None:
    """Compare, and complete the job; `resultado` tells what changed, as that of a restore does."""
    job, progress = attempt.job, attempt.progress
    async with transaction(attempt.resources) as session:
        asked = await reading_queries.for_job(session, job, clinica_id=job.clinica_id)
        assert asked.comparado_con is not None  # noqa: S101 (pedir_comparacion's promise)
        older, newer = [
            await backup_queries.get(session, id_, clinica_id=job.clinica_id, deleted=True)
            for id_ in (asked.comparado_con, asked.respaldo_id)
        ]
    for respaldo in (older, newer):
        if respaldo.fecha_eliminacion is not None:
            raise NotCompleted(f"el respaldo {respaldo.id} se eliminó antes de compararlo")
    progress.expected = Expected(None, (older.tamaño_bytes or 0) + (newer.tamaño_bytes or 0))
    async with (
        attempt.leased(),
        comparar_respaldos(attempt.resources, older, newer, progress=progress) as found,
    ):
        async for model, row in found.rows(limit=EXAMPLES):
            found.modelos[model].examples.setdefault(row.kind, []).append(row.shown())
        resultado = {model: changes.shown() for model, changes in found.modelos.items()}
    async with transaction(attempt.resources) as session:
        await reading_queries.note(session, job, clinica_id=job.clinica_id, resultado=resultado, avisos=found.avisos)
        await attempt.complete(session)


HANDLERS = Handlers(run)


async def pedir_comparacion(
    databases: Databases,
    queue: Announcer | None,
    respaldo_id: int,
    *,
    clinica_id: int | None,
    desde: int,
    actor: Actor,
) -> Restauracion:
    """A pending comparison that tells what changed from backup `desde` to this one.

    Where it was asked for before, that one, unless it failed: the files do not change any more. Raises
    RespaldoNotFound, KeyDestroyed, NotCompleted where there is no file to look at, TooManyReadings, and what
    `requesting` raises.
    """
    async with requesting(databases, queue) as session:
        for id_ in (respaldo_id, desde):
            respaldo = await backup_queries.get(session, id_, clinica_id=clinica_id)
            if respaldo.estado != Estado.COMPLETADO:
                raise NotCompleted(
                    f"el respaldo {id_} está {respaldo.estado}; solo se compara uno completado", respaldo.estado
                )
            refuse_destroyed(respaldo)
        restauracion, new = await reading_queries.add_comparison(
            session, respaldo_id, clinica_id=clinica_id, desde=desde, actor=actor
        )
        if new:
            await audit.record(
                session,
                Accion.COMPARACION,
                actor,
                clinica_id=clinica_id,
                respaldo_id=respaldo_id,
                restauracion_id=restauracion.id,
                desde=desde,
            )
        await job_queries.note_asked(session, actor, clinica_id=clinica_id, restauracion_id=restauracion.id)
        return restauracion
