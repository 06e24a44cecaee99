"""What is said of a backup that is completed, whether it was just made or found in the bucket."""

from collections.abc import Mapping, Sequence
from typing import Any

from app.dump.document import ModelTotal
from app.respaldos.contract import MIB
from app.respaldos.models import Respaldo

# A backup of less than this share of the last good one's rows or bytes is suspicious.
SUSPICIOUS_SHARE = 0.5


def completed_metadata(
    totals: Mapping[str, ModelTotal],
    *,
    original_size: int,
    size: int,
    seconds: Mapping[str, float],
    avisos: Sequence[str],
    sha256: str | None,
    seal: str | None,
    key: str | None,
) -> dict[str, Any]:
    """The column `metadata`: sizes in bytes, before and after compression; `seconds` by stage.

    `sha256` is the file's, if it is known, `seal` the id of the key that it is sealed with, and `key` that of the
    clinic's which it is encrypted with.
    """
    return {
        "modelos_respaldados": list(totals),
        "detalles_registros": {name: total.records for name, total in totals.items()},
        "tamaño_original_bytes": original_size,
        "tamaño_original_mb": round(original_size / MIB, 2),
        "tamaño_comprimido_mb": round(size / MIB, 2),
        "compresion_porcentaje": round(100 * (1 - size / original_size), 1),
        "segundos": {stage: round(elapsed, 3) for stage, elapsed in seconds.items()},
        "avisos": list(avisos),
        "hash_sha256": sha256,
        "sello": seal,
        "cifrado": key,
    }


def suspicion(records: int, size: int, last: Respaldo | None) -> str | None:
    """Why a backup should not count as good before a person has looked at it, if it should not.

    `last` is the good one before it; `size` is in bytes.
    """
    if last is None or not last.numero_registros or not last.tamaño_bytes:
        return None
    if records < last.numero_registros * SUSPICIOUS_SHARE:
        return (
            f"sospechoso: tiene {records:,} registros, y el último respaldo bueno (número {last.id})"
            f" {last.numero_registros:,}"
        )
    if size < last.tamaño_bytes * SUSPICIOUS_SHARE:
        return (
            f"sospechoso: tiene {size:,} bytes, y el último respaldo bueno (número {last.id}) {last.tamaño_bytes:,}"
        )
    return None
