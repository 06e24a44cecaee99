"""What commands do with a backup's object in S3: what `verificar` and `exportar` need for an id, not for a file."""

from pathlib import Path

from app.cli.find import find_respaldo
from app.cli.output import warn
from app.cli.progress import progress_bar
from app.cli.resources import with_resources
from app.dump.encryption import Decryptor, FileEnvelope
from app.dump.verifier import VerifiedFile
from app.export.format import Exported, Formato
from app.respaldos.copies.sources import read_from
from app.respaldos.keys.keys import decryption_by
from app.respaldos.models import Profundidad
from app.respaldos.progress import Progress
from app.respaldos.reading.export import exportar_respaldo
from app.respaldos.reading.verification import verificar_respaldo
from app.respaldos.resources import Resources


def verify_object(respaldo_id: int, profundidad: str) -> tuple[VerifiedFile | None, str | None]:
    """Check a backup's object in S3: what it says, None where its content was not read, and which copy was looked at.

    Raises RespaldosError.
    """

    async def work(resources: Resources) -> tuple[VerifiedFile | None, str | None]:

        respaldo = await find_respaldo(resources, respaldo_id)
        with progress_bar("Verificando", total=respaldo.tamaño_bytes) as progress:
            verified = await verificar_respaldo(
                resources, respaldo, profundidad=Profundidad(profundidad), progress=progress
            )
        return verified, progress.copy

    return with_resources(work)


def tell_copy(progress: Progress) -> None:
    """Say so where a second copy was read."""
    if progress.copy is not None:
        warn(read_from(progress.copy))


def decryption_for(envelope: FileEnvelope) -> Decryptor:
    """What decrypts a file that begins so. Raises RespaldosError."""

    async def work(resources: Resources) -> Decryptor:
        return await decryption_by(resources, envelope)

    return with_resources(work)


def export_object(respaldo_id: int, target: Path, formato: Formato, replace: bool) -> Exported:
    """Export a backup's object in S3. Raises RespaldosError."""

    async def work(resources: Resources) -> Exported:

        respaldo = await find_respaldo(resources, respaldo_id)
        with progress_bar("Exportando", total=respaldo.tamaño_bytes) as progress:
            exported = await exportar_respaldo(
                resources, respaldo, target, formato, replace=replace, progress=progress
            )
        tell_copy(progress)
        return exported

    return with_resources(work)
