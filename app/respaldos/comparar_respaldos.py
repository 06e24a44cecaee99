"""What changed in a clinic between a backup and today, or between two backups."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, Literal

from app.clinic.restore.comparison import Comparison
from app.errors import InvalidRequest
from app.respaldos.models import Respaldo
from app.respaldos.object_check import check_thoroughly
from app.respaldos.progress import Progress
from app.respaldos.resources import Resources

What = Literal["agregado", "cambiado", "quitado"]


@dataclass(frozen=True, slots=True)
class ModelComparison:
    """How many rows of a model were added, changed and removed since the backup."""

    agregados: int
    cambiados: int
    quitados: int


@dataclass(frozen=True, slots=True)
class RowComparison:
    """One row: `campos` of a changed one, name → its value before and after."""

    modelo: str
    cambio: What
    clave: dict[str, Any]
    campos: dict[str, tuple[Any, Any]]


class Comparacion:
    """What `comparar_respaldos` found; its rows are read from the database as they are asked for."""

    def __init__(self, modelos: dict[str, ModelComparison], comparison: Comparison) -> None:
        self.modelos = modelos
        self._comparison = comparison

    async def rows(self) -> AsyncIterator[RowComparison]:
        """Every row that differs, by model and key, in constant memory."""
        what: dict[str, What] = {"insertados": "quitado", "actualizados": "cambiado", "eliminados": "agregado"}
        async for model, row in self._comparison.rows():
            # Told as what restoring would do, so the other way round.
            fields = {name: (after, before) for name, (before, after) in row.fields.items()}
            yield RowComparison(model, what[row.kind], row.key, fields)


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
            f"el respaldo {respaldo.id} es de la clínica {respaldo.clinica_id},"
            f" y el {otro.id} de la {otro.clinica_id}"
        )
    shown = progress or Progress()
    async with resources.restore.comparing(respaldo.clinica_id) as comparison:
        await check_thoroughly(resources, respaldo, shown, take=comparison.older.take)
        if otro is not None:
            await check_thoroughly(resources, otro, shown, take=comparison.newer.take)
        found = await comparison.find()
        models = {
            model: ModelComparison(changes.deleted, changes.updated, changes.inserted)
            for model, changes in found.items()
        }
        for model, rows in (await comparison.only_newer()).items():
            models[model] = ModelComparison(rows, 0, 0)
        yield Comparacion(models, comparison)
