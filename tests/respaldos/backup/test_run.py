"""What a backup that succeeds promises."""

import gzip
import hashlib
import json
from datetime import timedelta

import asyncpg
import pytest

from app.clinic.clinic import Tenancy
from app.respaldos.audit import Actor
from app.respaldos.backup import run as making
from app.respaldos.contract import RespaldoCompleto
from app.respaldos.models import Estado
from app.respaldos.progress import Progress
from app.respaldos.resources import Resources
from tests.respaldos.conftest import (
    CLINICS,
    LARGE,
    NEW,
    SMALL,
    assert_consistent,
    assert_failed,
    back_up,
    connected,
    opened,
)
from tests.storage.conftest import Store
from tests.support.jobs import running


@pytest.mark.parametrize("clinica_id", [LARGE, SMALL])
async def test_the_row_says_what_the_object_is(
    resources: Resources, store: Store, conn: asyncpg.Connection, clinica_id: int
) -> None:
    ana = Actor("ana", "Ana Paz", None)
    respaldo = await back_up(resources, clinica_id, descripcion="Antes de «cambiar»", actor=ana)
    assert store.folder is not None
    assert respaldo.archivo_s3 is not None
    content = (store.folder / respaldo.archivo_s3).read_bytes()
    document = json.loads(gzip.decompress(content))
    records = sum(len(rows) for rows in document["datos"].values())
    assert respaldo.estado == Estado.COMPLETADO
    assert respaldo.hash_md5 == hashlib.md5(content, usedforsecurity=False).hexdigest()
    assert respaldo.tamaño_bytes == len(content)
    assert respaldo.numero_registros == records == CLINICS[clinica_id - 1].records
    assert document["respaldo"] == {
        "id": respaldo.id,
        "attempt": 1,
        "tipo": "manual",
        "usuario": "ana",
        "descripcion": "Antes de «cambiar»",
    }
    assert respaldo.metadata_["modelos_respaldados"] == list(document["datos"])
    assert respaldo.metadata_["detalles_registros"] == {name: len(rows) for name, rows in document["datos"].items()}
    assert respaldo.metadata_["tamaño_original_bytes"] == len(gzip.decompress(content))
    await assert_consistent(conn, store)
    assert await running(conn) == 0


async def test_the_detail_has_every_key_of_the_contract(resources: Resources) -> None:
    shown = RespaldoCompleto.of(await back_up(resources), retention_days=30).model_dump(mode="json")
    assert {
        *("id", "clinica_id", "fecha_respaldo", "tamaño_bytes", "tamaño_mb", "numero_registros", "estado"),
        *("estado_display", "tipo_respaldo", "tipo_respaldo_display", "descripcion", "usuario", "fecha_creacion"),
        *("puede_restaurar", "archivo_s3", "hash_md5", "tiempo_ejecucion", "tiempo_ejecucion_segundos"),
        *("metadata", "fecha_actualizacion", "progreso", "usuario_nombre", "verificado", "sospechoso"),
        *("fecha_expiracion", "respaldo_base_id", "sin_cambios_desde", "retenido", "cifrado", "clave_destruida"),
        *("copias", "solo_en_copia"),
    } == set(shown)
    assert {
        *("modelos_respaldados", "detalles_registros", "tamaño_original_mb", "tamaño_comprimido_mb"),
        *("compresion_porcentaje", "avisos"),
    } <= set(shown["metadata"])
    assert shown["puede_restaurar"] is True
    seconds = shown["tiempo_ejecucion_segundos"]
    assert seconds is not None
    assert 0 < seconds < 30
    hours, minutes, rest = (shown["tiempo_ejecucion"] or "").split(":")
    assert int(hours) * 3600 + int(minutes) * 60 + float(rest) == pytest.approx(seconds)
    json.dumps(shown)


async def test_a_clinic_with_only_its_own_row_is_not_empty(resources: Resources) -> None:
    respaldo = await back_up(resources, NEW)
    assert respaldo.numero_registros == 1
    assert not [aviso for aviso in respaldo.metadata_["avisos"] if "ningún registro" in aviso]


async def test_a_clinic_without_any_row_gives_a_valid_empty_backup_with_a_warning(
    store: Store, database: str, conn: asyncpg.Connection
) -> None:
    # Its own row is left out by name, and there is no other.
    async with opened(store, service=database, tenancy=Tenancy(table="clinica", exclude=("clinica",))) as resources:
        respaldo = await back_up(resources, NEW)
    assert (respaldo.estado, respaldo.numero_registros, respaldo.sospechoso) == (Estado.COMPLETADO, 0, False)
    assert "la clínica 3 no tiene ningún registro" in respaldo.metadata_["avisos"]
    await assert_consistent(conn, store)


async def test_the_clinics_files_that_are_not_in_the_backup_are_told(own_database: str, store: Store) -> None:
    async with connected(own_database) as connection:
        await connection.execute(
            "CREATE TABLE radiografia (id int PRIMARY KEY, clinica_id bigint REFERENCES clinica, ruta text)"
        )
        await connection.executemany(
            "INSERT INTO radiografia VALUES ($1, $2, $3)",
            [(1, SMALL, "rx/1.dcm"), (2, SMALL, "rx/2.dcm"), (3, NEW, "")],
        )
    async with opened(store, service=own_database) as resources:
        told = [(await back_up(resources, clinica_id)).metadata_["avisos"] for clinica_id in (SMALL, NEW)]
    said = "este respaldo no tiene los archivos que sus registros nombran: 2 en radiografia.ruta"
    assert [said in avisos for avisos in told] == [True, False]
    assert not [aviso for aviso in told[1] if "archivos" in aviso]


async def test_progress_tells_what_has_passed(resources: Resources) -> None:
    steps: list[tuple[str, int]] = []
    progress = Progress(lambda now: steps.append((now.model, now.records)))
    respaldo = await back_up(resources, LARGE, progress=progress)
    assert progress.records >= (respaldo.numero_registros or 0)
    assert {"pacientes", "consultas"} <= {model for model, _ in steps}
    assert [count for _, count in steps] == sorted(count for _, count in steps)


async def test_the_time_is_told(resources: Resources) -> None:
    respaldo = await back_up(resources)
    assert respaldo.tiempo_ejecucion is not None
    spent = timedelta(seconds=sum(respaldo.metadata_["segundos"].values()))
    assert spent <= respaldo.tiempo_ejecucion


async def test_a_mistake_of_ours_is_a_failed_backup_too(
    resources: Resources, store: Store, conn: asyncpg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    def mistaken(*_: object) -> None:
        raise ZeroDivisionError("entre cero")

    monkeypatch.setattr(making, "suspicion", mistaken)
    with pytest.raises(ZeroDivisionError):
        await back_up(resources)
    await assert_failed(conn, store, "error_interno", "ZeroDivisionError", "entre cero")
