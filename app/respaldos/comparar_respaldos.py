"""What changed in a clinic between a backup and today, or between two backups."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from app.clinic.restore.changed_rows import ChangedRow
from app.clinic.restore.comparison import Comparison
from app.clinic.restore.difference import Changes
from app.dump.whose import whose
from app.errors import InvalidRequest
from app.respaldos.models import Respaldo
from app.respaldos.object_check import BAD, Take, check_thoroughly
from app.respaldos.progress import Etapa, Progress
from app.respaldos.resources import Resources


class Comparacion:
    """What `comparar_respaldos` found of each model; its rows are read from the database as they are asked for."""

    def __init__(self, modelos: dict[str, Changes], comparison: Comparison) -> None:
        self.modelos = modelos
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
    async with resources.restore.comparing(respaldo.clinica_id) as comparison:
        await _read(resources, respaldo, shown, comparison.older.take)
        if otro is not None:
            await _read(resources, otro, shown, comparison.newer.take)
        shown.enter(Etapa.COMPARANDO)
        found = await comparison.find()
        models = {model: Changes(each.deleted, each.updated, each.inserted) for model, each in found.items()}
        for model, rows in (await comparison.only_newer()).items():
            models[model] = Changes(rows, 0, 0)
        yield Comparacion(models, comparison)


async def _read(resources: Resources, respaldo: Respaldo, progress: Progress, take: Take) -> None:
    try:
        await check_thoroughly(resources, respaldo, progress, take=take)
    except BAD as exc:
        # There are two of them.
        raise type(exc)(f"respaldo {respaldo.id}: {exc}") from exc
