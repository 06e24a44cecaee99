"""A link downloads just what was stored, for an hour, and its making is on record."""

import hashlib
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest

from app.errors import NotCompleted, RespaldoNotFound
from app.respaldos.models import Estado
from app.respaldos.reading.download import enlace_descarga
from app.respaldos.resources import Resources
from tests.respaldos.conftest import SMALL, back_up, opened
from tests.storage.conftest import Store
from tests.support.stored import PERSON, stored, trail, unused_clinic


async def test_the_link_downloads_what_was_stored(resources: Resources) -> None:
    respaldo = await back_up(resources, SMALL)
    before = len(await trail(resources, SMALL))
    link = await enlace_descarga(resources, respaldo.id, clinica_id=SMALL, actor=PERSON)
    name = (respaldo.archivo_s3 or "").rpartition("/")[2]
    assert (link.archivo, link.expira_en_segundos) == (name, 3600)
    assert link.tamaño_mb == round((respaldo.tamaño_bytes or 0) / 2**20, 2)
    async with httpx.AsyncClient(trust_env=False) as client:
        answer = await client.get(link.url)
        forged = await client.get(link.url.replace(name, name.replace("backup_2", "backup_1")))
    assert answer.status_code == 200
    assert hashlib.md5(answer.content, usedforsecurity=False).hexdigest() == respaldo.hash_md5
    assert forged.status_code == 403
    asked = parse_qs(urlsplit(link.url).query)
    assert asked["X-Amz-Expires"] == ["3600"]
    assert asked["response-content-disposition"] == [f"attachment; filename*=UTF-8''{name}"]
    event = (await trail(resources, SMALL))[before:][0]
    assert (event.accion, event.respaldo_id, event.usuario) == ("enlace_descarga", respaldo.id, "7")


async def test_the_link_carries_the_public_address(store: Store, database: str) -> None:
    async with opened(store, service=database, public_endpoint_url="https://s3.clinica.example") as resources:
        clinic = unused_clinic()
        id_ = await stored(resources, clinic)
        link = await enlace_descarga(resources, id_, clinica_id=clinic, actor=PERSON)
    assert link.url.startswith("https://s3.clinica.example/")


@pytest.mark.parametrize("estado", [estado for estado in Estado if estado != Estado.COMPLETADO])
async def test_there_is_a_link_only_to_a_completed_backup(resources: Resources, estado: Estado) -> None:
    clinic = unused_clinic()
    id_ = await stored(resources, clinic, estado=estado)
    with pytest.raises(NotCompleted, match=estado) as refused:
        await enlace_descarga(resources, id_, clinica_id=clinic, actor=PERSON)
    assert refused.value.estado == estado
    assert await trail(resources, clinic) == []


async def test_there_is_none_to_another_clinics_backup(resources: Resources) -> None:
    id_ = await stored(resources, unused_clinic())
    with pytest.raises(RespaldoNotFound):
        await enlace_descarga(resources, id_, clinica_id=unused_clinic(), actor=PERSON)
