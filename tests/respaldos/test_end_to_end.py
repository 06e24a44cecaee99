"""The whole way, on the oldest and the newest PostgreSQL, with the service's tables beside the clinics'."""

from pathlib import Path
from typing import Literal

import pytest

from app.clinic.clinic import Tenancy
from app.demo import embedded
from app.demo.sample.generate import DEMO_CLINICS, create_schema, create_tenant_schema, fill
from app.migrate import migrate
from app.respaldos.reading.download import descargar_respaldo
from app.respaldos.reading.verification import verificar_respaldo
from app.settings import EmbeddedServer
from tests.respaldos.conftest import assert_consistent, back_up, connected, opened
from tests.storage.conftest import Store


@pytest.mark.parametrize("version", [16, 18])
async def test_a_backup_is_made_checked_and_fetched(version: Literal[16, 18], store: Store, tmp_path: Path) -> None:
    with embedded.running(tmp_path / "casa", [EmbeddedServer.POSTGRES], postgres_version=version) as addresses:
        url = addresses.database_url or ""
        async with connected(url) as conn:
            assert (await conn.fetchval("SHOW server_version")).startswith(str(version))
            await create_schema(conn)
            await fill(conn, DEMO_CLINICS[1:])
            await migrate(url)
            async with opened(store, service=url) as resources:
                clinics = [clinic for clinic in await resources.clinic.clinics() if clinic.active]
                assert [clinic.id for clinic in clinics] == [2, 3], "the closed one is not backed up by itself"
                for clinic in clinics:
                    respaldo = await back_up(resources, clinic.id)
                    verified = await verificar_respaldo(resources, respaldo)
                    assert verified is not None
                    assert verified.header.postgresql.startswith(str(version))
                    target = tmp_path / f"{clinic.id}.json.gz"
                    await descargar_respaldo(resources, respaldo, target)
                    assert target.stat().st_size == respaldo.tamaño_bytes
                    models = respaldo.metadata_["modelos_respaldados"]
                    assert {"usuarios", "pacientes", "bitacoras"} <= set(models)
                    assert not [model for model in models if "respaldo" in model], "the service's own tables"
            await assert_consistent(conn, store)


async def test_a_schema_per_clinic(store: Store, empty_database: str) -> None:
    tenancy = Tenancy(kind="schema")
    async with connected(empty_database) as conn:
        for clinic in DEMO_CLINICS[1:3]:
            await create_tenant_schema(conn, clinic)
        await migrate(empty_database)
        async with opened(store, service=empty_database, tenancy=tenancy) as resources:
            for clinic in DEMO_CLINICS[1:3]:
                respaldo = await back_up(resources, clinic.id)
                assert respaldo.estado == "completado"
                await verificar_respaldo(resources, respaldo)
        await assert_consistent(conn, store)


async def test_a_schema_without_any_row_still_has_its_own_entry(store: Store, empty_database: str) -> None:
    async with connected(empty_database) as conn:
        await create_tenant_schema(conn, DEMO_CLINICS[2])
        names = await conn.fetch(
            "SELECT format('%I.%I', schemaname, tablename) FROM pg_tables WHERE schemaname = 'clinica3'"
        )
        await conn.execute(f"TRUNCATE {', '.join(row[0] for row in names)}")
        await migrate(empty_database)
        async with opened(store, service=empty_database, tenancy=Tenancy(kind="schema")) as resources:
            respaldo = await back_up(resources, 3)
            await verificar_respaldo(resources, respaldo)
        assert (respaldo.numero_registros, respaldo.estado) == (1, "completado")
        assert respaldo.metadata_["detalles_registros"]["clinica"] == 1
