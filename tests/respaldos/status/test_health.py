"""How safe a clinic is, and all clinics with the worst first."""

import random
from collections import Counter
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import asyncpg
import pytest

from app.clinic.clinic import Clinic
from app.respaldos.contract import ClinicaEnLista
from app.respaldos.databases import transaction
from app.respaldos.models import Estado, Profundidad, TipoOperacion
from app.respaldos.resources import Resources
from app.respaldos.schedule.overdue import OVERDUE
from app.respaldos.status import fleet as status_fleet
from app.respaldos.status import queries as status_queries
from app.respaldos.status.clinics import listar_clinicas
from app.respaldos.status.health import UNVERIFIED, BackupHealth, GoodBackup, LastProof, Situacion, situacion
from tests.support.jobs import add_job
from tests.support.stored import stored, unused_clinic

NOW = datetime(2026, 11, 23, 15, tzinfo=UTC)
SECOND = timedelta(seconds=1)


def health(
    *, good: timedelta | None, proof: timedelta | None, error: str | None = None, failures: int = 0
) -> BackupHealth:
    """A clinic whose newest good backup and last proof are that old."""
    return BackupHealth(
        1,
        GoodBackup(7, NOW - good, 100) if good is not None else None,
        LastProof(7, NOW - proof, Profundidad.ENSAYO, error) if proof is not None else None,
        None,
        failures,
    )


@pytest.mark.parametrize(
    ("found", "word"),
    [
        (health(good=None, proof=SECOND), Situacion.SIN_RESPALDO),
        (health(good=OVERDUE + SECOND, proof=SECOND), Situacion.ATRASADA),
        (health(good=OVERDUE, proof=SECOND, failures=1), Situacion.FALLANDO),
        (health(good=SECOND, proof=None), Situacion.SIN_VERIFICAR),
        (health(good=SECOND, proof=UNVERIFIED + SECOND), Situacion.SIN_VERIFICAR),
        (health(good=SECOND, proof=SECOND, error="cambiado"), Situacion.SIN_VERIFICAR),
        (health(good=OVERDUE, proof=UNVERIFIED), Situacion.AL_DIA),
    ],
)
def test_the_worst_that_is_true_is_said(found: BackupHealth, word: Situacion) -> None:
    assert situacion(found.summary, active=True, now=NOW) is word
    assert situacion(found.summary, active=False, now=NOW) is Situacion.INACTIVA


async def of(resources: Resources, clinica_id: int) -> BackupHealth:
    async with transaction(resources) as session:
        return await status_queries.health_of(session, clinica_id=clinica_id)


async def test_a_clinic_of_which_nothing_is_known(resources: Resources) -> None:
    clinic = unused_clinic()
    assert await of(resources, clinic) == BackupHealth(clinic, None, None, None, 0)


async def test_only_a_good_backup_counts_and_failures_only_since_the_last_completed(resources: Resources) -> None:
    clinic = unused_clinic()
    await stored(resources, clinic, days=9, estado=Estado.FALLIDO)
    good = await stored(resources, clinic, days=8, tamaño_bytes=1234)
    await stored(resources, clinic, days=7, sospechoso=True)
    await stored(resources, clinic, days=6, fecha_eliminacion=NOW)
    await stored(resources, clinic, days=3, estado=Estado.FALLIDO)
    await stored(resources, clinic, days=2, estado=Estado.CANCELADO)
    await stored(resources, clinic, days=1, estado=Estado.FALLIDO)
    await stored(resources, unused_clinic(), days=0)
    found = await of(resources, clinic)
    assert found.newest_good is not None
    assert (found.newest_good.id, found.newest_good.bytes) == (good, 1234)
    assert (found.failures, found.running) == (2, None)


async def test_what_proves_a_backup_has_read_it(resources: Resources) -> None:
    clinic = unused_clinic()
    day = timedelta(days=1)
    proven = await stored(
        resources, clinic, days=20, verificado=NOW - 10 * day, verificado_profundidad=Profundidad.ENSAYO
    )
    await stored(resources, clinic, days=3, verificado=NOW, verificado_profundidad=Profundidad.RAPIDA)
    assert (await of(resources, clinic)).last_proof == LastProof(proven, NOW - 10 * day, Profundidad.ENSAYO, None)
    broken = await stored(
        resources,
        clinic,
        days=2,
        verificado=NOW - day,
        verificado_profundidad=Profundidad.COMPLETA,
        verificado_error="el archivo cambió",
    )
    found = await of(resources, clinic)
    assert found.last_proof == LastProof(broken, NOW - day, Profundidad.COMPLETA, "el archivo cambió")


async def test_a_backup_that_waits_is_under_way(resources: Resources, conn: asyncpg.Connection) -> None:
    clinic = unused_clinic()
    await add_job(conn, await stored(resources, clinic, estado=Estado.PENDIENTE))
    assert (await of(resources, clinic)).running is TipoOperacion.RESPALDO


async def test_the_worst_clinic_comes_first(resources: Resources) -> None:
    ordered = ["nueva", "más atrasada", "atrasada", "falla", "sin verificar", "al día", "cerrada"]
    clinics = {name: Clinic(unused_clinic(), name, name != "cerrada", None) for name in sorted(ordered)}
    proven: dict[str, Any] = {
        "verificado": datetime.now(UTC),
        "verificado_profundidad": Profundidad.COMPLETA,
    }
    for name, days in (("atrasada", 2), ("más atrasada", 5), ("falla", 1), ("al día", 0)):
        await stored(resources, clinics[name].id, days=days, **proven)
    await stored(resources, clinics["falla"].id, estado=Estado.FALLIDO, metadata_={"error": "no hay conexión"})
    await stored(resources, clinics["sin verificar"].id)

    # Backups of a clinic that is gone from the table of clinics are nobody's line.
    await stored(resources, unused_clinic())

    async def page(limit: int = 100, offset: int = 0, word: Situacion | None = None) -> list[ClinicaEnLista]:
        page = await listar_clinicas(
            resources,
            list(clinics.values()),
            now=datetime.now(UTC),
            time_zone=ZoneInfo("America/La_Paz"),
            words=tuple(Situacion) if word is None else (word,),
            limit=limit,
            offset=offset,
        )
        assert page.counts == Counter(ordered_words)
        return page.shown

    ordered_words = [
        *(Situacion.SIN_RESPALDO, Situacion.ATRASADA, Situacion.ATRASADA, Situacion.FALLANDO),
        *(Situacion.SIN_VERIFICAR, Situacion.AL_DIA, Situacion.INACTIVA),
    ]
    found = await page()
    assert [each.situacion for each in found] == ordered_words
    for word in Situacion:
        assert await page(word=word) == [each for each in found if each.situacion == word]
    assert await page(limit=1, offset=1, word=Situacion.ATRASADA) == found[2:3]
    assert [each.nombre for each in found] == ordered
    assert await page(limit=2, offset=3) == found[3:5]
    assert (found[3].fallos_seguidos, found[3].ultimo_error) == (1, "no hay conexión")
    assert found[4].ultimo_error is None
    assert found[0].ultimo_bueno is None
    assert found[5].ultima_verificacion is not None


async def test_in_short_it_is_the_same(resources: Resources) -> None:
    """For any history of a few clinics, of which some have nothing; the platform's backups are no clinic's."""
    chance = random.Random(7)
    clinics = [unused_clinic() for _ in range(40)]
    for clinic in (*clinics[1:], None):
        for _ in range(chance.randint(1, 6)):
            verified = chance.random() < 0.5
            await stored(
                resources,
                clinic,
                days=chance.randint(0, 4),
                estado=chance.choice([Estado.COMPLETADO, Estado.FALLIDO, Estado.CANCELADO]),
                sospechoso=chance.random() < 0.2,
                fecha_eliminacion=NOW if chance.random() < 0.2 else None,
                verificado=NOW - timedelta(days=chance.randint(0, 20)) if verified else None,
                verificado_profundidad=chance.choice(list(Profundidad)) if verified else None,
                verificado_error="dañado" if verified and chance.random() < 0.3 else None,
            )
    async with transaction(resources) as session:
        short = await status_fleet.summaries(session, among=clinics)
        whole = await status_fleet.health_of_each(session, among=clinics)
        alone = [await status_queries.health_of(session, clinica_id=clinic) for clinic in clinics]
    assert short == [each.summary for each in whole]
    assert whole == alone
    assert len({each.failing for each in short}) == 2
