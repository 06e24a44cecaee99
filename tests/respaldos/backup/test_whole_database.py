"""The clinics' backups and the platform's are the whole database: all of it comes back from the bucket alone."""

import pytest

from app.respaldos.backup.run import crear_respaldo
from app.respaldos.models import TipoRespaldo
from app.respaldos.retention.reindex import reindexar
from tests.conftest import plain_url
from tests.respaldos.conftest import connected, opened
from tests.storage.conftest import Store
from tests.support.restores import restore
from tests.support.whole_database import BESIDE, Sample, empty, everything, grown, linked, migrated, schemas

__all__ = ["migrated"]


@pytest.mark.parametrize("make", [grown, linked, schemas], ids=["column", "link", "schema"])
async def test_all_of_it_comes_back_from_the_bucket_alone(make: Sample, migrated: str, store: Store) -> None:
    async with connected(plain_url(migrated)) as sql:
        tenancy = await make(sql)
        await sql.execute(BESIDE)
        before = await everything(sql)
        async with opened(store, service=migrated, tenancy=tenancy) as resources:
            for clinica_id in (1, 2, 3, None):
                await crear_respaldo(resources, clinica_id=clinica_id, tipo=TipoRespaldo.MANUAL)
            await empty(sql, [*before, "respaldos.respaldo", "respaldos.evento", "respaldos.programacion"])
            assert await sql.fetchval("SELECT count(*) FROM clinica") == 0
            found = await reindexar(resources)
            assert (found.unknown, found.damaged) == ([], [])
            platform, *clinics = sorted(found.rebuilt, key=lambda respaldo: respaldo.clinica_id or 0)
            assert [respaldo.clinica_id for respaldo in (platform, *clinics)] == [None, 1, 2, 3]
            await restore(resources, platform, sin_respaldo_previo=True)
            # In this order: rows of the second clinic point to the first one's.
            for respaldo in clinics:
                await restore(resources, respaldo, sin_respaldo_previo=True)
        assert await everything(sql) == before
