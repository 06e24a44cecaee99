"""A master key in AWS KMS wraps and unwraps; away or not allowed, it is told so, and nothing goes out in plain."""

import json
from collections.abc import AsyncIterator
from dataclasses import replace

import aioboto3
import asyncpg
import pytest

from app.dump.encryption import ClinicKey
from app.errors import KeyRefused, KmsRefused, KmsUnavailable
from app.masters.keys import MasterKeys, master_keys
from app.masters.kms import KmsOptions
from app.respaldos.jobs.run import run_next
from app.respaldos.keys.rotate import rotar_claves
from app.respaldos.models import TipoRespaldo
from app.respaldos.reading.verification import verificar_respaldo
from app.respaldos.resources import Resources
from tests.respaldos.conftest import ANA, SMALL, ask, assert_failed, back_up
from tests.storage.conftest import Store
from tests.support.encrypting import master, with_masters
from tests.support.fault import FaultyS3
from tests.support.rclone import KEY, SECRET
from tests.support.stored import keys


@pytest.fixture
def options(moto_server: tuple[str, FaultyS3]) -> KmsOptions:
    """moto is KMS, too."""
    return KmsOptions("us-east-1", moto_server[0], KEY, SECRET)


@pytest.fixture
async def arn(options: KmsOptions) -> AsyncIterator[str]:
    """A key there."""
    async with aioboto3.Session().client(
        "kms",
        region_name=options.region,
        endpoint_url=options.endpoint_url,
        aws_access_key_id=KEY,
        aws_secret_access_key=SECRET,
    ) as client:
        made = await client.create_key()
        yield made["KeyMetadata"]["Arn"]


def in_kms(options: KmsOptions, arn: str, *others: str) -> MasterKeys:
    return master_keys(f"nube:aws-kms:{arn}", *(f"{name}:{master(name)}" for name in others), kms=options)


async def test_its_keys_wrap_and_unwrap_and_take_over_from_others(
    resources: Resources, options: KmsOptions, arn: str, conn: asyncpg.Connection
) -> None:
    local = await back_up(with_masters(resources, "2026"))
    both = with_masters(resources, keys=in_kms(options, arn, "2026"))
    assert (await rotar_claves(both)).wrapped == [local.key_id]
    alone = with_masters(resources, keys=in_kms(options, arn))
    assert await verificar_respaldo(alone, local) is not None
    made = await back_up(alone, None)
    assert await verificar_respaldo(alone, made) is not None
    assert {each["maestra"] for each in await conn.fetch("SELECT maestra FROM respaldos.clave")} == {"nube"}
    await in_kms(options, arn).try_out("nube")
    # What says another clinic is another encryption context.
    envelope = await in_kms(options, arn).wrap(ClinicKey.draw(), clinica_id=SMALL)
    moved = replace(envelope, clinica_id=1, line=envelope.line.replace(b'"clinica_id":2', b'"clinica_id":1'))
    with pytest.raises(KeyRefused, match="KMS dice que no es la que la envolvió, o que alguien cambió lo guardado"):
        await in_kms(options, arn).unwrap(moved)


async def test_a_key_that_there_is_not(options: KmsOptions) -> None:
    missing = "arn:aws:kms:us-east-1:123456789012:key/00000000-0000-0000-0000-000000000000"
    with pytest.raises(KmsRefused, match=f"KMS, clave «{missing}»: KMS no lo permite"):
        await in_kms(options, missing).try_out("nube")


async def test_while_kms_is_away_no_backup_is_made_and_it_is_tried_again(
    resources: Resources, store: Store, options: KmsOptions, arn: str, conn: asyncpg.Connection
) -> None:
    away = with_masters(resources, keys=in_kms(replace(options, endpoint_url="http://127.0.0.1:9"), arn))
    with pytest.raises(KmsUnavailable, match="no respondió"):
        await back_up(away)
    await assert_failed(conn, store, "kms_no_disponible", arn)
    respaldo = await ask(resources, tipo=TipoRespaldo.MANUAL, actor=ANA)
    assert await run_next(away)
    state = await conn.fetchrow("SELECT estado, metadata FROM respaldos.respaldo WHERE id = $1", respaldo.id)
    assert state is not None
    assert (state["estado"], json.loads(state["metadata"])["error_type"]) == ("pendiente", "kms_no_disponible")
    assert await keys(resources) == set()
    # It is back.
    assert await run_next(with_masters(resources, keys=in_kms(options, arn)))
    assert await conn.fetchval("SELECT estado FROM respaldos.respaldo WHERE id = $1", respaldo.id) == "completado"
