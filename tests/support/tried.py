"""What a trial says of a backup."""

from app.clinic.restore.database import RestoreDatabase
from tests.support.clinic_backup import Backup
from tests.support.clinic_restore import staged


async def tried(clinics: RestoreDatabase, backup: Backup) -> list[str]:
    """What a trial of clinic 1's backup says."""
    async with clinics.trying(1) as trial:
        verified = await staged(trial.staging, backup.file)
        return await trial.load(verified.totals, lambda _model: None, lambda _model, _size: None)
