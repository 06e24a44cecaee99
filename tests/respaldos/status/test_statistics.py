"""The numbers of a clinic's backups."""

from datetime import UTC, date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import asyncpg
import pytest

from app.connections.storage import storage_price
from app.respaldos.models import Estado
from app.respaldos.resources import Resources
from app.respaldos.status.statistics import obtener_estadisticas
from app.settings import Settings
from app.storage.options import StoragePrice
from tests.respaldos.conftest import LARGE, SMALL, back_up, connected, opened
from tests.storage.conftest import Store
from tests.support.stored import stored

LA_PAZ = ZoneInfo("America/La_Paz")
NOW = datetime(2026, 11, 23, 15, tzinfo=UTC)
GIB = 2**30
PRICE = StoragePrice(0.0125)


async def statistics(
    resources: Resources,
    clinica_id: int = SMALL,
    *,
    now: datetime = NOW,
    time_zone: ZoneInfo = LA_PAZ,
    price: StoragePrice = PRICE,
) -> dict[str, Any]:
    """As for a night that begins at two."""
    found = await obtener_estadisticas(
        resources,
        clinic=await resources.clinic.clinic(clinica_id),
        now=now,
        time_zone=time_zone,
        hour=2,
        minute=0,
        price=price,
    )
    return found.model_dump(mode="json")


async def at(resources: Resources, taken_at: datetime, estado: Estado = Estado.COMPLETADO, **more: Any) -> int:
    """The small clinic's backup of that taken_at."""
    return await stored(resources, SMALL, estado=estado, **({"fecha_respaldo": taken_at} | more))


async def test_a_clinic_without_any_backup(resources: Resources) -> None:
    found = await statistics(resources)
    assert {name: value for name, value in found.items() if name != "serie"} == {
        "total_respaldos": 0,
        "completados": 0,
        "fallidos": 0,
        "tamaño_total_mb": 0.0,
        "ultimo_respaldo": None,
        "tasa_exito": 0.0,
        "proximo_respaldo": "2026-11-24T06:00:00+00:00",
        "costo_mensual_estimado_usd": 0.0,
        "situacion": "sin_respaldo",
        "ultimo_bueno": None,
        "ultima_verificacion": None,
        "fallos_seguidos": 0,
        "tamaño_almacenado_mb": 0.0,
        "precio_gb_mes_usd": 0.0125,
    }
    assert {(day["estado"], day["tamaño_mb"], day["segundos"]) for day in found["serie"]} == {(None, 0, 0)}


async def test_one_clinics_backups_are_counted(resources: Resources) -> None:
    await back_up(resources, LARGE)
    first = await back_up(resources, SMALL)
    last = await back_up(resources, SMALL)
    await stored(resources, SMALL, estado=Estado.FALLIDO)
    found = await statistics(resources, now=datetime.now(UTC))
    size = (first.tamaño_bytes or 0) + (last.tamaño_bytes or 0)
    assert (found["total_respaldos"], found["completados"], found["fallidos"]) == (3, 2, 1)
    assert found["tasa_exito"] == 66.7
    assert found["tamaño_total_mb"] == round(size / 2**20, 2)
    assert found["ultimo_respaldo"] == {
        "id": last.id,
        "fecha": last.fecha_respaldo.isoformat(),
        "tamaño_mb": round((last.tamaño_bytes or 0) / 2**20, 2),
    }
    assert found["costo_mensual_estimado_usd"] == round(size / GIB * 0.0125, 6)
    today = found["serie"][-1]
    assert (today["estado"], today["tamaño_mb"]) == ("completado", found["ultimo_respaldo"]["tamaño_mb"])
    assert today["segundos"] == (last.tiempo_ejecucion or timedelta()).total_seconds() > 0


async def test_the_cost_is_that_of_what_is_in_s3(resources: Resources) -> None:
    now = datetime.now(UTC)
    await stored(resources, SMALL, tamaño_bytes=3 * GIB)
    await stored(resources, SMALL, tamaño_bytes=GIB, fecha_eliminacion=now)
    await stored(resources, SMALL, days=1, tamaño_bytes=50 * GIB, fecha_eliminacion=now, purgado=now)
    await stored(resources, LARGE, tamaño_bytes=7 * GIB)
    found = await statistics(resources, now=now, price=StoragePrice(0.25))
    assert found["costo_mensual_estimado_usd"] == 1.0
    assert found["tamaño_total_mb"] == 3 * 1024
    assert found["total_respaldos"] == 1


async def test_the_cost_counts_what_the_store_charges_at_least(resources: Resources) -> None:
    now = datetime.now(UTC)
    await stored(resources, SMALL, days=40, tamaño_bytes=GIB)
    await stored(resources, SMALL, days=1, tamaño_bytes=GIB // 4)
    for days in (29, 31):
        await stored(resources, SMALL, days=days, tamaño_bytes=GIB, fecha_eliminacion=now, purgado=now)
    await stored(resources, SMALL, estado=Estado.FALLIDO)
    found = await statistics(resources, now=now, price=StoragePrice(1.0, least_bytes=GIB // 2, least_days=30))
    assert found["costo_mensual_estimado_usd"] == 2.5
    assert found["tamaño_almacenado_mb"] == 1280


@pytest.mark.parametrize(
    ("settings", "least"),
    [
        ({}, (128 << 10, 30)),
        ({"s3_storage_class": "GLACIER_IR"}, (128 << 10, 90)),
        ({"s3_storage_class": "STANDARD"}, (0, 0)),
        ({"aws_endpoint_url_s3": "https://s3.example.com"}, (0, 0)),
    ],
)
def test_only_aws_has_the_minimums_of_its_classes(settings: dict[str, str], least: tuple[int, int]) -> None:
    price = storage_price(Settings(_env_file=None).model_copy(update={"aws_endpoint_url_s3": None, **settings}))
    assert (price.least_bytes, price.least_days) == least


async def test_deleted_ones_are_not_the_last(resources: Resources) -> None:
    older = await stored(resources, SMALL, days=2)
    await stored(resources, SMALL, days=1, fecha_eliminacion=NOW)
    await stored(resources, SMALL, estado=Estado.FALLIDO)
    last = (await statistics(resources))["ultimo_respaldo"]
    assert last is not None
    assert last["id"] == older


async def test_the_series_has_a_point_for_each_of_ninety_local_days(resources: Resources) -> None:
    await at(resources, datetime(2026, 11, 23, 3, 59, tzinfo=UTC), tamaño_bytes=2**20)
    await at(resources, datetime(2026, 11, 23, 4, 1, tzinfo=UTC), tamaño_bytes=2**21)
    await at(resources, datetime(2026, 8, 26, 4, tzinfo=UTC), tamaño_bytes=2**22)
    await at(resources, datetime(2026, 8, 26, 3, 59, tzinfo=UTC))
    series = (await statistics(resources))["serie"]
    assert [day["dia"] for day in series] == [
        (date(2026, 8, 26) + timedelta(days=n)).isoformat() for n in range(90)
    ], "oldest first, and today last"
    assert [(day["dia"], day["tamaño_mb"]) for day in series if day["estado"]] == [
        ("2026-08-26", 4.0),
        ("2026-11-22", 1.0),
        ("2026-11-23", 2.0),
    ]


async def test_a_day_is_what_came_of_it(resources: Resources) -> None:
    def day(number: int, hour: int = 12) -> datetime:
        return datetime(2026, 11, number, hour, tzinfo=UTC)

    await at(resources, day(1), tamaño_bytes=2**20, tiempo_ejecucion=timedelta(seconds=4))
    await at(resources, day(1, 13), tamaño_bytes=2**21, tiempo_ejecucion=timedelta(seconds=5.5))
    await at(resources, day(1, 14), Estado.FALLIDO, tiempo_ejecucion=timedelta(seconds=9))
    await at(resources, day(2), Estado.FALLIDO, tamaño_bytes=None, tiempo_ejecucion=timedelta(seconds=7))
    await at(resources, day(3), Estado.CANCELADO)
    await at(resources, day(4), fecha_eliminacion=NOW, purgado=NOW, tamaño_bytes=2**20)
    points = {
        point["dia"][-2:]: point for point in (await statistics(resources))["serie"] if "2026-11" in point["dia"]
    }
    assert points["01"] == {"dia": "2026-11-01", "estado": "completado", "tamaño_mb": 2.0, "segundos": 5.5}
    assert points["02"] == {"dia": "2026-11-02", "estado": "fallido", "tamaño_mb": 0.0, "segundos": 7.0}
    assert points["03"]["estado"] is None
    assert points["04"]["estado"] == "completado", "what was deleted later did happen"


@pytest.mark.parametrize("now", [datetime(2026, 4, 5, 12, tzinfo=UTC), datetime(2026, 9, 6, 12, tzinfo=UTC)])
async def test_a_change_of_the_clock_neither_repeats_nor_skips_a_day(resources: Resources, now: datetime) -> None:
    found = await statistics(resources, now=now, time_zone=ZoneInfo("America/Santiago"))
    days = [day["dia"] for day in found["serie"]]
    assert len(set(days)) == 90
    assert days[-1] == now.date().isoformat()


async def test_an_inactive_clinic_has_no_next_backup(own_database: str, store: Store) -> None:
    async with connected(own_database) as conn, opened(store, service=own_database) as resources:
        await deactivate(conn)
        assert (await statistics(resources))["proximo_respaldo"] is None
        assert (await statistics(resources, LARGE))["proximo_respaldo"] is not None


async def deactivate(conn: asyncpg.Connection) -> None:
    """Close the small clinic."""
    await conn.execute("UPDATE clinica SET activa = false WHERE id = $1", SMALL)
