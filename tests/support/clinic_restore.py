"""Restores a backup file as the operation does, without S3 and without the service's tables."""

import gzip
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace

from app.clinic.restore.database import RestoreDatabase
from app.clinic.restore.mode import Modo
from app.clinic.restore.scope import Record, Scope
from app.clinic.restore.session import ClinicRestore, Plan
from app.clinic.restore.staging import Staging
from app.dump.reader import Event
from app.dump.seal import NO_SEALS
from app.dump.verifier import FileVerifier, VerifiedFile
from tests.support.clinic_backup import Backup, lines_of

WHOLE = Scope()

# What only the platform may ask for.
EVERYTHING = Scope(access=True, clinic=True)


async def restore(
    clinics: RestoreDatabase,
    file: bytes,
    clinica_id: int | None = 1,
    *,
    scope: Scope = WHOLE,
    simulate: bool = False,
    strict: bool = False,
    update: bool = False,
    unbroken: bool = False,
) -> Plan:
    """What was changed, or would be."""
    options = {"strict": strict, "update": update, "unbroken": unbroken}
    async with loaded(clinics, file, clinica_id, **options) as (session, verified):
        await session.begin(scope)
        plan = await session.compare(lambda _model: None)
        await session.apply(lambda _model: None)
        await session.prove(verified, lambda _model, _size: None)
        if simulate:
            await session.rollback()
        else:
            await session.commit()
        return plan


async def left_to_do(
    clinics: RestoreDatabase, file: bytes, clinica_id: int | None = 1, *, scope: Scope = WHOLE, **options: bool
) -> dict[str, tuple[int, int, int]]:
    """What a restore would change, counted as `counts` does, by the comparison alone: half of the work of one.

    It does not say that the rows could be written; that of a `restore` with `simulate` does. `options` are those of
    `RestoreDatabase.restoring`.
    """
    async with loaded(clinics, file, clinica_id, **options) as (session, _):
        await session.begin(scope)
        return counts(await session.compare(lambda _model: None))


@asynccontextmanager
async def loaded(
    clinics: RestoreDatabase,
    file: bytes,
    clinica_id: int | None = 1,
    **options: bool,
) -> AsyncIterator[tuple[ClinicRestore, VerifiedFile]]:
    """A session with the file in it; `options` are those of `RestoreDatabase.restoring`."""
    async with clinics.restoring(clinica_id, **options) as session:
        yield session, await staged(session.staging, file)


async def staged(staging: Staging, file: bytes) -> VerifiedFile:
    """Verify the file, and stage its lines meanwhile."""
    events: list[Event] = []
    verifier = FileVerifier(NO_SEALS, sealed=False, max_size=len(gzip.decompress(file)), on_event=events.append)
    for start in range(0, len(file), 50_000):
        verifier.feed(file[start : start + 50_000])
        await staging.take(events)
        events.clear()
    return verifier.finish()


def models(*names: str) -> Scope:
    """Some models."""
    return Scope(models=names)


def record(*texts: str) -> Scope:
    """One record with what hangs from it, or several, each with its own."""
    return Scope(records=tuple(map(Record.parse, texts)))


def missing(scope: Scope = WHOLE) -> Scope:
    """Of that, only what is missing."""
    return replace(scope, mode=Modo.FALTANTES)


def changed(scope: Scope = WHOLE) -> Scope:
    """Of that, only what is missing or has changed."""
    return replace(scope, mode=Modo.CAMBIADOS)


def counts(plan: Plan) -> dict[str, tuple[int, int, int]]:
    """Inserted, updated and deleted rows of the models that change."""
    return {name: (c.inserted, c.updated, c.deleted) for name, c in plan.models.items() if c.any}


async def assert_restored(clinics: RestoreDatabase, backup: Backup, clinica_id: int = 1) -> None:
    """The clinic's rows are those of the backup, in each model, to the last digit."""
    assert await lines_of(clinics, clinica_id) == backup.lines
