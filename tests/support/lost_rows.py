"""A service that has forgotten its backups, and what else may lie in the bucket under their names."""

from dataclasses import replace
from datetime import datetime
from typing import Any

import asyncpg

from app.dump.document import Origin
from app.dump.seal import NO_SEALS, SealKeys
from tests.respaldos.conftest import SMALL
from tests.support.backup_file import HEAD, RECORDS, compress, document, keys_of

SEALS = keys_of("2026")


async def lose_everything(conn: asyncpg.Connection) -> None:
    """As in a database that has just been made anew."""
    await conn.execute("TRUNCATE respaldos.respaldo RESTART IDENTITY CASCADE")


def key(number: int, clinica_id: int = SMALL) -> str:
    """One of a backup of ours."""
    return f"backups/{clinica_id}/2026/11/backup_20261101_{number:06}.json.gz"


def file(
    id_: int,
    clinica_id: int = SMALL,
    *,
    records: int = 3,
    taken_at: datetime = HEAD.taken_at,
    seals: SealKeys = NO_SEALS,
    **of: Any,
) -> bytes:
    """A whole backup file of that id, with so many records; `of` are other values of its origin."""
    origin = replace(Origin(id_, 1, "automatico", None, ""), **of)
    header = replace(HEAD, clinica_id=clinica_id, origin=origin, taken_at=taken_at, sealed=seals.signing is not None)
    return compress(document(header, (RECORDS * (records // 3 + 1))[:records], seals))
