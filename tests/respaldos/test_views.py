"""What programs are shown of a backup, whatever became of it."""

import json
from datetime import UTC, datetime, timedelta

import pytest

from app.errors import ClinicNotFound
from app.respaldos.models import Estado, Respaldo, TipoRespaldo
from app.respaldos.obtener_estadisticas import obtener_estadisticas
from app.respaldos.resources import Resources
from app.respaldos.views import clock, detalle, resumen
from tests.respaldos.conftest import LARGE, SMALL, back_up

SUMMARY = {
    *("id", "clinica_id", "fecha_respaldo", "tamaño_bytes", "tamaño_mb", "numero_registros", "estado"),
    *("estado_display", "tipo_respaldo", "tipo_respaldo_display", "descripcion", "usuario", "fecha_creacion"),
    "puede_restaurar",
}
DETAIL = SUMMARY | {
    *("archivo_s3", "hash_md5", "tiempo_ejecucion", "tiempo_ejecucion_segundos", "metadata"),
    "fecha_actualizacion",
}
METADATA = {
    *("modelos_respaldados", "detalles_registros", "tamaño_original_mb", "tamaño_comprimido_mb"),
    *("compresion_porcentaje", "avisos"),
}


def respaldo(estado: Estado, tipo: TipoRespaldo, **more: object) -> Respaldo:
    """A backup of which nothing is known but this."""
    moment = datetime(2026, 7, 3, 2, tzinfo=UTC)
    given: dict[str, object] = {
        "id": 1,
        "clinica_id": 2,
        "estado": estado,
        "tipo_respaldo": tipo,
        "fecha_respaldo": moment,
        "fecha_creacion": moment,
        "fecha_actualizacion": moment,
        "descripcion": "",
        "metadata_": {},
    }
    return Respaldo(**(given | more))


@pytest.mark.parametrize("estado", list(Estado))
@pytest.mark.parametrize("tipo", list(TipoRespaldo))
def test_every_state_and_kind_can_be_shown(estado: Estado, tipo: TipoRespaldo) -> None:
    shown = detalle(respaldo(estado, tipo))
    assert set(shown) == DETAIL
    assert set(shown["metadata"]) >= METADATA
    assert set(resumen(respaldo(estado, tipo))) == SUMMARY
    assert shown["estado"] == estado.value
    assert shown["estado_display"][0].isupper()
    assert shown["tipo_respaldo_display"][0].isupper()
    assert shown["puede_restaurar"] is (estado == Estado.COMPLETADO)
    assert shown["fecha_respaldo"] == "2026-07-03T02:00:00+00:00"
    json.dumps(shown)


def test_a_deleted_backup_cannot_be_restored() -> None:
    gone = respaldo(Estado.COMPLETADO, TipoRespaldo.MANUAL, fecha_eliminacion=datetime.now(UTC))
    assert resumen(gone)["puede_restaurar"] is False


def test_what_failed_keeps_its_reason() -> None:
    failed = respaldo(Estado.FALLIDO, TipoRespaldo.MANUAL, metadata_={"error": "no hay disco", "error_type": "x"})
    assert detalle(failed)["metadata"]["error"] == "no hay disco"
    assert detalle(failed)["metadata"]["avisos"] == []


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [
        (0, "00:00:00.000000"),
        (1.5, "00:00:01.500000"),
        (59.9999999, "00:01:00.000000"),
        (3599.999, "00:59:59.999000"),
        (100 * 3600 + 61, "100:01:01.000000"),
    ],
)
def test_durations_are_shown_as_a_clock(seconds: float, shown: str) -> None:
    assert clock(seconds) == shown


def test_sizes_are_in_mebibytes() -> None:
    shown = resumen(respaldo(Estado.COMPLETADO, TipoRespaldo.MANUAL, tamaño_bytes=3 << 19))
    assert (shown["tamaño_mb"], shown["tamaño_bytes"]) == (1.5, 3 << 19)
    assert detalle(respaldo(Estado.COMPLETADO, TipoRespaldo.MANUAL, tiempo_ejecucion=timedelta(minutes=1)))[
        "tiempo_ejecucion"
    ] == ("00:01:00.000000")


async def test_statistics_count_one_clinics_backups(resources: Resources) -> None:
    assert await obtener_estadisticas(resources, clinica_id=SMALL) == {
        "total_respaldos": 0,
        "completados": 0,
        "fallidos": 0,
        "tamaño_total_mb": 0.0,
        "ultimo_respaldo": None,
        "tasa_exito": None,
    }
    await back_up(resources, LARGE)
    first = await back_up(resources, SMALL)
    last = await back_up(resources, SMALL)
    with pytest.raises(ClinicNotFound):
        await back_up(resources, 77)
    found = await obtener_estadisticas(resources, clinica_id=SMALL)
    size = (first.tamaño_bytes or 0) + (last.tamaño_bytes or 0)
    assert found == {
        "total_respaldos": 2,
        "completados": 2,
        "fallidos": 0,
        "tamaño_total_mb": round(size / 2**20, 2),
        "ultimo_respaldo": {
            "id": last.id,
            "fecha": last.fecha_respaldo.isoformat(),
            "tamaño_mb": round((last.tamaño_bytes or 0) / 2**20, 2),
        },
        "tasa_exito": 100.0,
    }


async def test_statistics_of_an_unknown_clinic_are_an_error(resources: Resources) -> None:
    with pytest.raises(ClinicNotFound, match="77"):
        await obtener_estadisticas(resources, clinica_id=77)
