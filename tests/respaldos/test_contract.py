"""What programs are shown of a backup, whatever became of it."""

import json
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from app.clinic.restore.mode import Modo
from app.respaldos.contract import (
    EventoEnLista,
    RespaldoCompleto,
    RespaldoEnLista,
    RestauracionEnLista,
    clock,
)
from app.respaldos.models import (
    Accion,
    Estado,
    Evento,
    Profundidad,
    Respaldo,
    Restauracion,
    TipoRespaldo,
    TipoRestauracion,
    Trabajo,
)

SUMMARY = {
    *("id", "clinica_id", "fecha_respaldo", "tamaño_bytes", "tamaño_mb", "numero_registros", "estado"),
    *("estado_display", "tipo_respaldo", "tipo_respaldo_display", "descripcion", "usuario", "fecha_creacion"),
    *("puede_restaurar", "verificado", "sospechoso", "fecha_expiracion", "respaldo_base_id", "sin_cambios_desde"),
    *("retenido", "cifrado", "clave_destruida", "copias", "solo_en_copia"),
}
DETAIL = SUMMARY | {
    *("archivo_s3", "hash_md5", "tiempo_ejecucion", "tiempo_ejecucion_segundos", "metadata"),
    *("usuario_nombre", "fecha_actualizacion", "progreso"),
}
METADATA = {
    *("modelos_respaldados", "detalles_registros", "tamaño_original_mb", "tamaño_comprimido_mb"),
    *("compresion_porcentaje", "avisos"),
}
RESTORATION = {
    *("id", "respaldo_id", "clinica_id", "tipo", "profundidad", "estado", "simulada", "modelos", "progreso"),
    *("resultado", "respaldo_previo", "error", "usuario", "fecha_creacion", "fecha_fin"),
    *("registro", "registros", "registros_total", "etiquetas", "modo", "motivo", "destino", "con_accesos"),
    "con_clinica",
    *("avisos", "conflictos"),
    *("comparado_con", "copia"),
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
        "sospechoso": False,
        "copias": {},
    }
    return Respaldo(**(given | more))


def resumen(respaldo: Respaldo) -> dict[str, Any]:
    return RespaldoEnLista.of(respaldo, retention_days=30).model_dump(mode="json")


def detalle(respaldo: Respaldo, progreso: Mapping[str, Any] | None = None) -> dict[str, Any]:
    return RespaldoCompleto.of(respaldo, retention_days=30, progreso=progreso).model_dump(mode="json")


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


def test_what_is_not_there_yet_is_counted_as_nothing() -> None:
    shown = detalle(respaldo(Estado.FALLIDO, TipoRespaldo.MANUAL))
    assert (shown["tamaño_bytes"], shown["tamaño_mb"], shown["numero_registros"]) == (0, 0, 0)
    assert (shown["tiempo_ejecucion_segundos"], shown["tiempo_ejecucion"]) == (0, None)
    metadata = shown["metadata"]
    assert (metadata["tamaño_original_mb"], metadata["tamaño_comprimido_mb"]) == (0, 0)
    assert metadata["compresion_porcentaje"] == 0


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


def test_the_last_verification_is_shown_with_its_outcome() -> None:
    moment = datetime(2026, 7, 4, 2, tzinfo=UTC)
    proven = respaldo(
        Estado.COMPLETADO, TipoRespaldo.MANUAL, verificado=moment, verificado_profundidad=Profundidad.COMPLETA
    )
    assert resumen(proven)["verificado"] == {
        "fecha": "2026-07-04T02:00:00+00:00",
        "profundidad": "completa",
        "error": None,
    }
    broken = respaldo(
        Estado.COMPLETADO,
        TipoRespaldo.MANUAL,
        verificado=moment,
        verificado_profundidad=Profundidad.RAPIDA,
        verificado_error="el archivo no está",
    )
    shown = resumen(broken)["verificado"]
    assert shown is not None
    assert shown["error"] == "el archivo no está"
    assert resumen(respaldo(Estado.COMPLETADO, TipoRespaldo.MANUAL))["verificado"] is None


def test_a_running_backup_shows_how_far_it_is() -> None:
    progress = {"etapa": "leyendo", "registros": 7}
    running = respaldo(Estado.PROCESANDO, TipoRespaldo.MANUAL)
    assert progress.items() <= detalle(running, progress)["progreso"].items()


@pytest.mark.parametrize("ended", [None, datetime(2026, 7, 4, 3, tzinfo=UTC)])
def test_a_verification_can_be_shown_before_and_after_its_end(ended: datetime | None) -> None:
    shown = RestauracionEnLista.of(
        Restauracion(
            id=3,
            respaldo_id=1,
            clinica_id=2,
            tipo=TipoRestauracion.VERIFICACION,
            profundidad=Profundidad.RAPIDA,
            simulada=False,
            con_accesos=False,
            con_clinica=False,
            modo=Modo.TODO,
            avisos=[],
            trabajo=Trabajo(
                estado=Estado.PENDIENTE,
                fecha_creacion=datetime(2026, 7, 4, 2, tzinfo=UTC),
                fecha_fin=ended,
            ),
        )
    ).model_dump(mode="json")
    assert set(shown) == RESTORATION
    assert shown["fecha_fin"] == ("2026-07-04T03:00:00+00:00" if ended else None)
    json.dumps(shown)


@pytest.mark.parametrize("accion", list(Accion))
def test_every_line_of_the_audit_trail_can_be_shown(accion: Accion) -> None:
    evento = Evento(id=1, fecha=datetime(2026, 7, 4, 2, tzinfo=UTC), accion=accion, detalle={"año": 1})
    shown = EventoEnLista.model_validate(evento).model_dump(mode="json")
    assert set(shown) == {
        *("id", "fecha", "clinica_id", "accion", "respaldo_id", "usuario", "direccion", "detalle"),
    }
    assert (shown["accion"], shown["detalle"]) == (accion.value, {"año": 1})
    json.dumps(shown)
