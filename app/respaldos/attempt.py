"""One attempt at a backup."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Attempt:
    """Work that this process has claimed: attempt `numero` at the backup, under a key that no other has."""

    respaldo_id: int
    numero: int
    clinica_id: int
    archivo_s3: str
