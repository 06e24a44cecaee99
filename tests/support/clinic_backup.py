"""A clinic's backup file, made as `respaldos crear` makes it, and what a reader finds in it."""

import gzip
import json
from collections.abc import Sequence
from contextlib import aclosing
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from app.clinic.catalogue.entries import TableClass
from app.clinic.database import ClinicDatabase
from app.clinic.reading.checks import CrossTenantReference, Lost, Unchecked, Unowned
from app.clinic.reading.snapshot import ClinicSnapshot
from app.dump.document import Origin
from app.dump.gzip_member import Compression
from app.dump.seal import NO_SEALS
from app.dump.verifier import FileVerifier, VerifiedFile
from app.respaldos.backup.stream import ClinicDump
from app.respaldos.progress import Progress

ORIGIN = Origin(id=7, attempt=1, kind="manual", user=None, description="")

Record = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Backup:
    """A backup file with what was reported beside it. `lines` are the records as they stand in the file."""

    file: bytes
    verified: VerifiedFile
    document: dict[str, Any]
    lines: dict[str, list[str]]
    unowned: list[Unowned]
    cross_tenant: list[CrossTenantReference]
    unchecked: list[Unchecked]
    lost: list[Lost]

    def records(self, model: str) -> list[Record]:
        """The clinic's own records of a model."""
        return list(self.document["datos"][model])

    def ids(self, model: str, key: str = "id") -> list[Any]:
        """One column of the clinic's own records of a model."""
        return [record[key] for record in self.records(model)]

    def referenced(self, model: str, key: str = "id") -> list[Any]:
        """One column of the records of a shared model."""
        return [record[key] for record in self.document["referencias"][model]]


async def back_up(clinics: ClinicDatabase, clinica_id: int | None) -> Backup:
    """Back the clinic up, or the platform; verify the file, and read it with the standard library."""
    async with clinics.snapshot(clinica_id) as snapshot:
        file = await file_of(snapshot)
        return read_backup(file, [*snapshot.unowned, *await snapshot.cross_tenant(), *await snapshot.lost()])


async def lines_of(clinics: ClinicDatabase, clinica_id: int | None) -> dict[str, list[str]]:
    """The clinic's records now, by model, as a backup would have them; several times as fast as a `Backup`."""
    return record_lines(gzip.decompress(await clinic_file(clinics, clinica_id)).decode())


async def clinic_file(clinics: ClinicDatabase, clinica_id: int | None) -> bytes:
    """The clinic's backup file; cheaper than a `Backup`, and not every JSON reader need be able to read it."""
    async with clinics.snapshot(clinica_id) as snapshot:
        return await file_of(snapshot)


async def file_of(snapshot: ClinicSnapshot) -> bytes:
    """The backup file of a snapshot."""
    chunks = []
    async with aclosing(ClinicDump(snapshot, ORIGIN, Progress(), Compression.FAST, NO_SEALS).chunks()) as dump:
        async for chunk in dump:
            chunks.append(chunk)
    return b"".join(chunks)


def read_backup(file: bytes, reported: Sequence[Unowned | CrossTenantReference | Unchecked | Lost] = ()) -> Backup:
    """The file, verified and read."""
    text = gzip.decompress(file).decode()
    verifier = FileVerifier(NO_SEALS, sealed=False, max_size=len(text.encode()))
    verifier.feed(file)
    return Backup(
        file=file,
        verified=verifier.finish(),
        document=json.loads(text, parse_float=Decimal),
        lines=record_lines(text),
        unowned=[found for found in reported if isinstance(found, Unowned)],
        cross_tenant=[found for found in reported if isinstance(found, CrossTenantReference)],
        unchecked=[found for found in reported if isinstance(found, Unchecked)],
        lost=[found for found in reported if isinstance(found, Lost)],
    )


def record_lines(text: str) -> dict[str, list[str]]:
    """The record lines of `datos`, by model, cut out by the rules of docs/format.md alone."""
    found: dict[str, list[str]] = {}
    body = text.split('\n"datos":{\n', 1)[1].split('\n"referencias":{\n', 1)[0]
    model = ""
    for line in body.split("\n"):
        if line.endswith(":["):
            model = json.loads(line[:-2])
            found[model] = []
        elif not line.startswith(("]", "}")):
            found[model].append(line.removesuffix(","))
    return found


async def back_up_all(clinics: ClinicDatabase) -> dict[int, Backup]:
    """Every clinic's backup, by id; sees that each row of an owned table is in just one, or counted as nobody's."""
    backups = {clinic.id: await back_up(clinics, clinic.id) for clinic in await clinics.clinics()}
    census = await clinics.census()
    unowned = {count.table: count.rows for count in census.unowned}
    for entry in census.catalogue.of_class(TableClass.OWNED):
        owned = [line for backup in backups.values() for line in backup.lines[entry.model]]
        assert len(owned) + unowned.get(entry.name, 0) == census.rows[entry.name], entry.name
        if entry.table.key:
            assert len(owned) == len(set(owned)), entry.name
    return backups
