"""What must be true after a campaign, by SQL of its own and by what lies in the store's folder."""

import gzip
import hashlib
import json
from collections.abc import Iterator

import asyncpg

from tests.faults.ground import Ground
from tests.faults.work import Ledger

# No row may come of any of these.
NEVER = {
    "a job that is not over": "SELECT id, clase FROM respaldos.trabajo WHERE estado IN ('pendiente', 'procesando')",
    "an attempt without an end": "SELECT respaldo_id, intento FROM respaldos.intento WHERE fin IS NULL",
    "a backup that its job knows otherwise": (
        "SELECT r.id FROM respaldos.respaldo r JOIN respaldos.trabajo t ON t.respaldo_id = r.id"
        " AND t.clase = 'respaldo' WHERE t.estado <> r.estado"
    ),
    "a night that was made twice": (
        "SELECT clinica_id FROM respaldos.respaldo WHERE tipo_respaldo = 'automatico'"
        " GROUP BY clinica_id HAVING count(*) > 1"
    ),
    "a failure that people are told of twice": (
        "SELECT respaldo_id FROM respaldos.aviso WHERE tipo = 'fallo' GROUP BY respaldo_id HAVING count(*) > 1"
    ),
}


async def check(ground: Ground, ledger: Ledger) -> None:
    """Put down in the ledger whatever is not as it must be."""
    async with ground.connected() as connection:
        for name, query in NEVER.items():
            ledger.violations += [f"{name}: {', '.join(map(str, row))}" for row in await connection.fetch(query)]
        ledger.violations += await _objects(connection, ground)
        ledger.violations += await _rows_of_others(connection, ledger)
        # A restore asks for one itself, and says so.
        asked = "SELECT id FROM respaldos.respaldo WHERE tipo_respaldo = 'por_demanda' AND descripcion = ''"
        ledger.violations += [
            f"a backup that nobody asked for: {id_}"
            for (id_,) in await connection.fetch(asked)
            if id_ not in ledger.asked
        ]
    ledger.violations += _tracebacks(ground)


async def _objects(connection: asyncpg.Connection, ground: Ground) -> list[str]:
    """Each completed backup's object is whole and its own, and the store holds nothing else."""
    completed = "estado = 'completado' AND archivo_s3 IS NOT NULL"
    rows = await connection.fetch(f"SELECT id, archivo_s3, hash_md5 FROM respaldos.respaldo WHERE {completed}")
    said, known = [], set()
    for id_, key, md5 in rows:
        known.add(key)
        path = ground.bucket / key
        if not path.is_file():
            said.append(f"backup {id_} is completed, and its object is not there: {key}")
        elif hashlib.md5(content := path.read_bytes(), usedforsecurity=False).hexdigest() != md5:
            said.append(f"backup {id_} is completed, and its object is another: {key}")
        else:
            json.loads(gzip.decompress(content))
    there = {str(path.relative_to(ground.bucket)) for path in ground.bucket.rglob("*") if path.is_file()}
    return said + [f"an object that no backup has: {key}" for key in sorted(there - known)]


async def _rows_of_others(connection: asyncpg.Connection, ledger: Ledger) -> list[str]:
    """What was written in other clinics meanwhile is there, once, and what was deleted is not."""
    said = []
    for clinica_id, there in ledger.written.items():
        rows = await connection.fetch(
            "SELECT descripcion::bigint FROM bitacora WHERE accion = 'campaña' AND clinica_id = $1", clinica_id
        )
        found = {number for (number,) in rows}
        for what, numbers in (
            ("lost rows that were committed", there - found),
            ("has rows that were deleted", found - there - ledger.unsure[clinica_id]),
        ):
            if numbers:
                said.append(f"clinic {clinica_id} {what}: {sorted(numbers)[:5]}")
        if len(found) != len(rows):
            said.append(f"clinic {clinica_id} has rows twice")
    return said


def _tracebacks(ground: Ground) -> Iterator[str]:
    """The first of each process that logged one."""
    text = ground.log.read_text(errors="replace")
    if (at := text.find("Traceback (most recent call last)")) >= 0:
        yield f"the log has {text.count('Traceback (most')} tracebacks, the first:\n{text[at : at + 3000]}"
