"""A clinic's key is destroyed by two people, and then nobody reads what was encrypted with it."""

import asyncio
import json
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import asyncpg
import pytest

from app.dump.encryption import ClinicKey
from app.errors import ClinicKeyMissing, DestructionRefused, KeyDestroyed, RespaldosError, StorageError
from app.export.format import Formato
from app.respaldos.audit import COMMAND_LINE
from app.respaldos.backup import queries as backup_queries
from app.respaldos.contract import RespaldoCompleto
from app.respaldos.databases import transaction
from app.respaldos.exports.request import pedir_exportacion
from app.respaldos.keys import queries as key_queries
from app.respaldos.keys.destroy import confirmar_destruccion, pedir_destruccion, retirar_destruccion
from app.respaldos.models import Profundidad
from app.respaldos.reading.comparison import comparar_respaldos, pedir_comparacion
from app.respaldos.reading.download import descargar_respaldo, enlace_descarga
from app.respaldos.reading.verification import pedir_verificacion, verificar_respaldo
from app.respaldos.reconcile import reconciliar
from app.respaldos.resources import Resources
from app.respaldos.restore.request import RestoreRequest, pedir_restauracion
from app.respaldos.retention.clean import limpiar_respaldos_antiguos
from app.respaldos.retention.delete import eliminar_respaldo
from app.respaldos.retention.policy import Policy
from app.respaldos.retention.reindex import reindexar
from app.storage.s3 import S3Storage
from tests.respaldos.conftest import ANA, LARGE, SMALL, back_up
from tests.storage.conftest import Store
from tests.support.encrypting import with_masters
from tests.support.restores import conn, resources, restore
from tests.support.searching import search
from tests.support.stored import keys, put, row, trail

__all__ = ["conn", "resources"]

NAME = "Clínica pequeña"


async def ask(resources: Resources, por: str = "ana", nombre: str = NAME) -> None:
    await pedir_destruccion(resources, clinica_id=SMALL, nombre=nombre, por=por, actor=COMMAND_LINE)


async def confirm(resources: Resources, por: str = "luis", nombre: str = NAME) -> Any:
    return await confirmar_destruccion(resources, clinica_id=SMALL, nombre=nombre, por=por, actor=COMMAND_LINE)


async def destroy(resources: Resources) -> Any:
    await ask(resources)
    return await confirm(resources)


async def test_it_takes_two_people_and_the_clinics_name(resources: Resources, conn: asyncpg.Connection) -> None:
    with pytest.raises(DestructionRefused, match="la clínica 2 no tiene ninguna clave que destruir"):
        await ask(resources)
    made = await back_up(with_masters(resources, "2026"))
    with pytest.raises(
        DestructionRefused, match="nadie ha pedido destruir la clave de la clínica 2 en las últimas 24"
    ):
        await confirm(resources)
    for wrong in ("clínica", "2", "Clínica grande", ""):
        with pytest.raises(DestructionRefused, match="no es el nombre de la clínica 2"):
            await ask(resources, nombre=wrong)
    await ask(resources)
    with pytest.raises(DestructionRefused, match=r"lo pidió la misma persona \(ana\): tiene que confirmarlo otra"):
        await confirm(resources, por="ana")
    with pytest.raises(DestructionRefused, match="no es el nombre"):
        await confirm(resources, nombre="otra")
    await retirar_destruccion(resources, clinica_id=SMALL, por="ana", actor=COMMAND_LINE)
    with pytest.raises(DestructionRefused, match="nadie ha pedido"):
        await confirm(resources)
    await ask(resources)
    await conn.execute("UPDATE respaldos.clave SET destruccion_pedida = now() - interval '25 hours'")
    with pytest.raises(DestructionRefused, match="nadie ha pedido"):
        await confirm(resources)
    assert await verificar_respaldo(with_masters(resources, "2026"), made) is not None
    await ask(resources)
    assert (await confirm(resources)).keys == (made.key_id,)
    lines = [each.detalle for each in await trail(resources, SMALL) if each.accion == "destruccion_clave"]
    assert [(line["etapa"], line["persona"]) for line in lines] == [
        *(("pedida", "ana"), ("retirada", "ana"), ("pedida", "ana"), ("pedida", "ana"), ("hecha", "luis")),
    ]
    assert (lines[-1]["pedida_por"], lines[-1]["claves"]) == ("ana", [made.key_id])


async def test_nobody_reads_it_and_the_next_one_has_a_key_of_its_own(
    resources: Resources, conn: asyncpg.Connection, tmp_path: Path
) -> None:
    encrypting = with_masters(resources, "2026")
    plain = await back_up(resources)
    gone, other = await back_up(encrypting), await back_up(encrypting, LARGE)
    # This process remembers the key; what it has is not used.
    await verificar_respaldo(encrypting, gone)
    found = await destroy(encrypting)
    assert (found.keys, found.left) == ((gone.key_id,), ())
    assert await keys(resources) == {each.archivo_s3 for each in (plain, gone, other)} | {
        f"claves/{LARGE}/{other.key_id}"
    }
    kept = await conn.fetchrow("SELECT * FROM respaldos.clave WHERE id = $1", gone.key_id)
    assert kept is not None
    assert (kept["envoltura"], kept["maestra"], kept["copiada"], kept["destruida_por"]) == (None, None, None, "luis")

    gone = await row(resources, gone.id)
    shown = RespaldoCompleto.of(gone, retention_days=30)
    assert (shown.cifrado, shown.clave_destruida, shown.puede_restaurar) == (True, gone.clave_destruida, False)
    of: dict[str, Any] = {"clinica_id": SMALL, "actor": ANA}
    asked = RestoreRequest(simulada=True)
    attempts: list[Callable[[], Awaitable[object]]] = [
        *(lambda depth=depth: verificar_respaldo(encrypting, gone, profundidad=depth) for depth in Profundidad),
        lambda: descargar_respaldo(encrypting, gone, tmp_path / "x"),
        lambda: enlace_descarga(encrypting, gone.id, **of),
        lambda: pedir_verificacion(encrypting, None, gone.id, profundidad=Profundidad.RAPIDA, **of),
        lambda: pedir_comparacion(encrypting, None, plain.id, desde=gone.id, **of),
        lambda: pedir_exportacion(encrypting, None, gone.id, formato=Formato.JSON, horas=1, **of),
        lambda: pedir_restauracion(encrypting, None, gone.id, request=asked, **of),
        lambda: restore(encrypting, gone),
        lambda: compared(encrypting, plain, gone),
    ]
    for attempt in attempts:
        with pytest.raises(KeyDestroyed, match=r"clave .*se destruyó"):
            await attempt()
    assert (await search(encrypting, "nadie con este nombre")).avisos == [
        "1 respaldo no se lee: se destruyó la clave con que se cifró"
    ]
    # What is not its own is as it was.
    for each in (plain, other):
        assert await verificar_respaldo(encrypting, each) is not None
    again = await back_up(encrypting)
    assert again.key_id not in (None, gone.key_id)
    assert await verificar_respaldo(encrypting, again) is not None


async def compared(resources: Resources, *of: Any) -> None:
    async with comparar_respaldos(resources, *of):
        pass


async def test_what_nobody_can_read_is_no_good_backup(resources: Resources, conn: asyncpg.Connection) -> None:
    old = await back_up(resources)
    newest = await back_up(with_masters(resources, "2026"))
    await destroy(resources)
    async with transaction(resources) as session:
        good = await backup_queries.last_good(session, clinica_id=SMALL)
    assert good is not None
    assert good.id == old.id
    # It is aged out, and the older one that can be read is not.
    await conn.execute("UPDATE respaldos.respaldo SET fecha_respaldo = fecha_respaldo - interval '40 days'")
    (decided,) = await limpiar_respaldos_antiguos(resources, Policy(days=30), all_decisions=False)
    reasons = {each.respaldo_id: (each.keep, each.reason) for each in decided.decisions}
    assert reasons[old.id] == (True, "es el último respaldo bueno")
    assert reasons[newest.id][0] is False
    assert "se destruyó la clave con que se cifró" in reasons[newest.id][1]


async def test_a_person_may_delete_the_last_one_that_nobody_can_read(resources: Resources) -> None:
    gone = await back_up(with_masters(resources, "2026"))
    await destroy(resources)
    await eliminar_respaldo(resources, gone.id, clinica_id=SMALL, actor=ANA)
    assert (await row(resources, gone.id)).fecha_eliminacion is not None


async def test_what_the_bucket_does_not_give_up_is_tried_again(
    resources: Resources, conn: asyncpg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = await back_up(with_masters(resources, "2026"))
    kept = f"claves/{SMALL}/{made.key_id}"

    async def refuse(self: S3Storage, key: str, *, but_current: bool = False) -> None:
        raise StorageError("no se puede")

    with monkeypatch.context() as patch:
        patch.setattr(S3Storage, "erase", refuse)
        assert (await destroy(resources)).left == ("no se puede",)
        await reconciliar(resources)
    # Nobody reads it meanwhile: the database has no key, and says so.
    assert kept in await keys(resources)
    with pytest.raises(KeyDestroyed):
        await verificar_respaldo(with_masters(resources, "2026"), await row(resources, made.id))
    await reconciliar(resources)
    assert kept not in await keys(resources)
    assert await conn.fetchval("SELECT count(*) FROM respaldos.clave WHERE copiada IS NOT NULL") == 0


async def test_a_lost_databases_keys_go_as_well_and_never_come_back(
    resources: Resources, conn: asyncpg.Connection
) -> None:
    first = await back_up(with_masters(resources, "2026"))
    envoltura = await conn.fetchval("SELECT envoltura FROM respaldos.clave")
    await conn.execute("DELETE FROM respaldos.clave")
    second = await back_up(with_masters(resources, "2026"))
    assert first.key_id != second.key_id
    assert (await destroy(resources)).keys == (second.key_id,)
    assert not {key for key in await keys(resources) if key.startswith("claves/")}
    # Who has kept a copy may bring back what this database never knew to be destroyed, and nothing else.
    await put(resources, f"claves/{SMALL}/{second.key_id}", envoltura.encode())
    found = await reindexar(with_masters(resources, "2026"))
    assert (found.rebuilt, found.damaged) == ([], [])
    with pytest.raises(ClinicKeyMissing):
        await verificar_respaldo(with_masters(resources, "2026"), first)
    assert await conn.fetchval("SELECT count(*) FROM respaldos.clave WHERE envoltura IS NOT NULL") == 0


async def test_a_backup_under_way_does_not_end_well(
    resources: Resources, store: Store, conn: asyncpg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    encrypting = with_masters(resources, "2026")
    await back_up(encrypting)
    read_back, reached, released = S3Storage.read_back, asyncio.Event(), asyncio.Event()

    async def held(self: S3Storage, stored: Any, **more: Any) -> None:
        await read_back(self, stored, **more)
        reached.set()
        await released.wait()

    monkeypatch.setattr(S3Storage, "read_back", held)
    making = asyncio.create_task(back_up(encrypting))
    await reached.wait()
    monkeypatch.undo()
    found = await destroy(encrypting)
    released.set()
    with pytest.raises(KeyDestroyed, match="se destruyó mientras se hacía el respaldo"):
        await making
    last = await conn.fetchrow("SELECT id, estado, metadata FROM respaldos.respaldo ORDER BY id DESC LIMIT 1")
    assert last is not None
    assert (last["estado"], json.loads(last["metadata"])["error_type"]) == ("fallido", "clave_destruida")
    assert len(found.keys) == 1


async def test_of_a_clinic_that_is_gone_the_number_is_typed(resources: Resources) -> None:
    encrypting = with_masters(resources, "2026")
    envelope = await encrypting.keyring.masters.wrap(ClinicKey.draw(), clinica_id=999)
    async with transaction(resources) as session:
        await key_queries.add(session, envelope, clinica_id=999)
    await pedir_destruccion(resources, clinica_id=999, nombre=" 999 ", por="ana", actor=COMMAND_LINE)
    gone = await confirmar_destruccion(resources, clinica_id=999, nombre="999", por="luis", actor=COMMAND_LINE)
    assert gone.keys == (envelope.key_id,)


async def test_two_who_confirm_at_once_destroy_it_once(resources: Resources) -> None:
    await back_up(with_masters(resources, "2026"))
    await ask(resources)
    both = await asyncio.gather(confirm(resources), confirm(resources, por="eva"), return_exceptions=True)
    refused = [each for each in both if isinstance(each, RespaldosError)]
    assert len(refused) == 1
    assert "nadie ha pedido" in str(refused[0])
