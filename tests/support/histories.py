"""Backups of many clinics, each with a history of its own kind."""

import random
from datetime import datetime, timedelta

import asyncpg

from app.respaldos.models import Estado
from tests.support.stored import unused_clinic


async def fill_with_histories(
    conn: asyncpg.Connection, chance: random.Random, now: datetime, *, clinics: int = 120
) -> None:
    """Clinics with backups of any age and state, at any hour, and the platform; each history is of its own kind."""
    rows = []
    for clinic in (*(unused_clinic() for _ in range(clinics)), None):
        step, flawed = chance.choice([6, 24, 24, 24, 24 * 7, 24 * 31]), chance.choice([0.0, 0.0, 0.1, 0.6, 1.0])
        points = chance.choice([0.0, 0.0, 0.5, 1.0]) if clinic is not None else 0.0
        age = chance.choice([-2.0, 0.0, 0.0, 0.0, 40.0 * 24])
        for _ in range(chance.randint(1, 40)):
            odd = chance.random() < flawed
            estado = chance.choice(list(Estado)) if odd else Estado.COMPLETADO
            doubtful, broken = odd and chance.random() < 0.4, odd and chance.random() < 0.3
            accepted = now if doubtful and chance.random() < 0.3 else None
            gone = now if estado == Estado.COMPLETADO and chance.random() < flawed / 4 else None
            moment = now - timedelta(hours=age)
            kind = "punto" if chance.random() < points else "automatico"
            rows.append((clinic, estado, moment, doubtful, accepted, "dañado" if broken else None, gone, kind))
            age += step * chance.choice([0, 1, 1, 1, 1, 2])
    await conn.executemany(
        "INSERT INTO respaldos.respaldo (clinica_id, estado, fecha_respaldo, sospechoso, aceptado,"
        " verificado_error, fecha_eliminacion, tipo_respaldo) VALUES ($1, $2, $3, $4, $5, $6, $7, $8)",
        rows,
    )
