"""Each aviso reaches everybody who is to have it, once, whatever fails in between."""

import asyncio
import os
import signal
import sys
import textwrap
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from app.clinic.clinic import Tenancy
from app.clinic.database import ClinicDatabase
from app.demo.sample.clinics import SUPERUSER_EMAIL
from app.notify.options import NotifySuccess
from app.respaldos.databases import Databases
from app.respaldos.models import TipoAviso
from tests.notify.conftest import ANA, LUIS, QUICK_SECONDS, Outbox, smtp_options
from tests.respaldos.conftest import LARGE, SMALL
from tests.support.hook import Hook
from tests.support.mail_server import MailServer
from tests.support.tcp_proxy import TcpProxy

ROOT = Path(__file__).parents[2]


async def test_each_administrator_gets_a_message_of_their_own_once(
    outbox: Outbox, mail: MailServer, hook: Hook
) -> None:
    respaldo = await outbox.respaldo()
    aviso = await outbox.put(TipoAviso.FALLO, respaldo_id=respaldo, error="S3 no responde", error_type="x")
    notifier = outbox.notifier(mail, hook)
    assert await notifier.send_pending() == 1
    assert mail.recipients() == sorted([ANA, LUIS])
    for received in mail.received:
        assert received.message["To"] == received.to[0]
        others = {ANA, LUIS} - set(received.to)
        assert not any(other in received.message.as_string() for other in others)
    assert [posted.document["id"] for posted in hook.posted] == [aviso]
    row = await outbox.row(aviso)
    assert row["correo"]
    assert row["webhook"]
    assert row["terminado"]
    assert row["error"] is None

    await outbox.wait_is_over()
    assert await notifier.send_pending() == 0
    assert len(mail.received) == 2
    assert len(hook.posted) == 1


async def test_the_superadmins_are_told_what_is_the_platforms(outbox: Outbox, mail: MailServer, hook: Hook) -> None:
    respaldo = await outbox.respaldo(clinica_id=None, estado="fallido")
    await outbox.put(TipoAviso.FALLO, clinica_id=None, respaldo_id=respaldo, error="S3 no responde", error_type="x")
    assert await outbox.notifier(mail, hook).send_pending() == 1
    assert mail.recipients() == [SUPERUSER_EMAIL]
    (received,) = mail.received
    assert received.message["Subject"] == "No se pudo hacer el respaldo de la plataforma"
    body = received.message.get_body(("plain",))
    assert body is not None
    text = " ".join(str(body.get_content()).split())
    assert "La plataforma todavía no tiene ninguna copia que sirva." in text
    assert "Clínica" not in text
    (posted,) = hook.posted
    assert posted.document["clinica_id"] is None
    assert posted.document["respaldo"]["id"] == respaldo


async def test_one_connection_serves_for_many_messages(outbox: Outbox, mail: MailServer) -> None:
    for _ in range(5):
        await outbox.put(TipoAviso.ATRASADO, ultimo=None)
    assert await outbox.notifier(mail).send_pending() == 5
    assert len(mail.received) == 10
    assert mail.connections == 1


async def test_a_refused_recipient_does_not_keep_it_from_the_others(
    outbox: Outbox, mail: MailServer, caplog: pytest.LogCaptureFixture
) -> None:
    mail.refusals[ANA] = "550 5.1.1 no such mailbox"
    aviso = await outbox.put(TipoAviso.ATRASADO, ultimo=None)
    notifier = outbox.notifier(mail)
    await notifier.send_pending()
    assert mail.recipients() == [LUIS]
    row = await outbox.row(aviso)
    assert row["terminado"]
    assert ANA in row["error"]
    assert "550" in row["error"]
    assert "no llegará a uno de sus destinatarios" in caplog.text
    assert ANA not in caplog.text

    mail.refusals.clear()
    await outbox.wait_is_over()
    assert await notifier.send_pending() == 0


async def test_who_cannot_be_reached_now_gets_it_later_and_nobody_twice(outbox: Outbox, mail: MailServer) -> None:
    mail.refusals[ANA] = "451 4.7.1 try again later"
    aviso = await outbox.put(TipoAviso.ATRASADO, ultimo=None)
    notifier = outbox.notifier(mail)
    await notifier.send_pending()
    assert mail.recipients() == [LUIS]
    row = await outbox.row(aviso)
    assert (row["terminado"], row["correo"]) == (None, None)
    assert "451" in row["error"]

    mail.refusals.clear()
    await outbox.wait_is_over()
    await notifier.send_pending()
    assert mail.recipients() == sorted([ANA, LUIS])
    row = await outbox.row(aviso)
    assert row["terminado"]
    assert row["error"] is None


async def test_an_address_that_is_none_stops_nobody(outbox: Outbox, mail: MailServer) -> None:
    await outbox.sql.execute(
        "UPDATE usuario SET correoelectronico = $2 WHERE correoelectronico = $1", ANA, "a@b.c>\r\nDATA"
    )
    aviso = await outbox.put(TipoAviso.ATRASADO, ultimo=None)
    await outbox.notifier(mail).send_pending()
    assert mail.recipients() == [LUIS]
    assert (await outbox.row(aviso))["terminado"]


async def test_an_address_that_the_server_cannot_write_stops_nobody(outbox: Outbox, mail: MailServer) -> None:
    await outbox.sql.execute(
        "UPDATE usuario SET correoelectronico = 'ana@ñandú.example' WHERE correoelectronico = $1", ANA
    )
    aviso = await outbox.put(TipoAviso.ATRASADO, ultimo=None)
    await outbox.put(TipoAviso.ATRASADO, ultimo=None)
    await outbox.notifier(mail).send_pending()
    assert mail.recipients() == [LUIS, LUIS]
    row = await outbox.row(aviso)
    assert row["terminado"]
    assert "ana@ñandú.example" in row["error"]


async def test_while_the_mail_server_is_down_it_waits_longer_and_longer(
    outbox: Outbox, mail: MailServer, hook: Hook
) -> None:
    proxy = TcpProxy("127.0.0.1", mail.port)
    await proxy.listen()
    await proxy.refuse()
    aviso = await outbox.put(TipoAviso.ATRASADO, ultimo=None)
    notifier = outbox.notifier(smtp_options(proxy.port), hook)
    pauses = []
    for _ in range(9):
        await outbox.wait_is_over()
        await notifier.send_pending()
        pauses.append(
            await outbox.sql.fetchval(
                "SELECT round(extract(epoch FROM proximo - now()) / 60)::int FROM respaldos.aviso WHERE id = $1",
                aviso,
            )
        )
    assert pauses == [1, 2, 4, 8, 16, 32, 60, 60, 60]
    row = await outbox.row(aviso)
    assert row["intentos"] == 9
    assert "EMAIL_HOST" in row["error"]
    assert row["webhook"]
    assert len(hook.posted) == 1

    await proxy.listen()
    await outbox.wait_is_over()
    await notifier.send_pending()
    assert mail.recipients() == sorted([ANA, LUIS])
    assert (await outbox.row(aviso))["terminado"]
    assert len(hook.posted) == 1
    await proxy.close()


async def test_a_server_that_is_down_is_asked_once_and_not_for_every_aviso(outbox: Outbox, mail: MailServer) -> None:
    proxy = TcpProxy("127.0.0.1", mail.port)
    await proxy.listen()
    proxy.hang()
    for _ in range(20):
        await outbox.put(TipoAviso.ATRASADO, ultimo=None)
    notifier = outbox.notifier(smtp_options(proxy.port, connect_timeout=QUICK_SECONDS))
    assert await notifier.send_pending() == 20
    assert proxy.connections == 1
    waiting = await outbox.sql.fetch("SELECT error FROM respaldos.aviso WHERE terminado IS NULL")
    assert len(waiting) == 20
    assert all("no respondió a tiempo" in row["error"] for row in waiting)
    await proxy.close()


async def test_a_server_that_hangs_over_a_message_holds_nobody_for_long(outbox: Outbox, mail: MailServer) -> None:
    released = asyncio.Event()

    async def hang() -> None:
        await released.wait()

    mail.on_data = hang
    aviso = await outbox.put(TipoAviso.ATRASADO, ultimo=None)
    await outbox.notifier(smtp_options(mail.port, send_timeout=QUICK_SECONDS)).send_pending()
    released.set()
    row = await outbox.row(aviso)
    assert row["terminado"] is None
    assert row["intentos"] == 1


async def test_a_server_that_tires_of_a_connection_is_given_another(outbox: Outbox, mail: MailServer) -> None:
    mail.per_connection = 3
    for _ in range(4):
        await outbox.put(TipoAviso.ATRASADO, ultimo=None)
    notifier = outbox.notifier(mail)
    await notifier.send_pending()
    assert len(mail.received) >= 6
    await outbox.wait_is_over()
    await notifier.send_pending()
    assert mail.recipients() == [ANA] * 4 + [LUIS] * 4


async def test_two_notifiers_at_once_send_nothing_twice(outbox: Outbox, mail: MailServer, hook: Hook) -> None:
    for _ in range(20):
        await outbox.put(TipoAviso.ATRASADO, ultimo=None)
    handled = await asyncio.gather(*(outbox.notifier(mail, hook).send_pending() for _ in range(3)))
    assert sum(handled) == 20
    sent = [(received.message["Message-ID"], *received.to) for received in mail.received]
    assert len(sent) == len(set(sent)) == 40
    assert len({posted.headers["X-Respaldos-Entrega"] for posted in hook.posted}) == len(hook.posted) == 20


async def test_stopping_in_mid_message_does_not_have_it_sent_again(outbox: Outbox, mail: MailServer) -> None:
    arrived, released = asyncio.Event(), asyncio.Event()

    async def hold() -> None:
        arrived.set()
        await released.wait()

    mail.on_data = hold
    await outbox.sql.execute("DELETE FROM usuario WHERE correoelectronico = $1", LUIS)
    await outbox.put(TipoAviso.ATRASADO, ultimo=None)
    notifier = outbox.notifier(mail)
    task = asyncio.create_task(notifier.send_pending())
    await arrived.wait()
    task.cancel()
    await asyncio.sleep(0)
    released.set()
    with pytest.raises(asyncio.CancelledError):
        await task
    await outbox.wait_is_over()
    await notifier.send_pending()
    assert mail.recipients() == [ANA]


CRASHING = """
import asyncio, sys
from tests.notify.conftest import opened_outbox, smtp_options

async def main():
    async with opened_outbox(sys.argv[1]) as outbox:
        await outbox.notifier(smtp_options(int(sys.argv[2]))).send_pending()

asyncio.run(main())
"""


async def test_what_a_crash_has_sent_twice_is_known_by_its_message_id(outbox: Outbox, mail: MailServer) -> None:
    """Between the server's OK and the note of it nothing can be known; that the two are one, can."""
    await outbox.sql.execute("DELETE FROM usuario WHERE correoelectronico = $1", LUIS)
    aviso = await outbox.put(TipoAviso.ATRASADO, ultimo=None)
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", textwrap.dedent(CRASHING), outbox.url, str(mail.port), cwd=ROOT
    )

    async def kill() -> None:
        os.kill(process.pid, signal.SIGKILL)
        await process.wait()

    mail.on_data = kill
    async with asyncio.timeout(60):
        assert await process.wait() == -signal.SIGKILL
    mail.on_data = None
    notifier = outbox.notifier(mail)
    assert await notifier.send_pending() == 0, "the dead process's claim holds for a while"
    await outbox.wait_is_over()
    assert await notifier.send_pending() == 1
    assert mail.recipients() == [ANA, ANA]
    assert len({received.message["Message-ID"] for received in mail.received}) == 1
    assert (await outbox.row(aviso))["terminado"]


async def test_a_notifier_that_slept_past_its_claim_leaves_the_rest_to_the_other(
    outbox: Outbox, mail: MailServer
) -> None:
    async def other_takes_over() -> None:
        mail.on_data = None
        await outbox.wait_is_over()
        assert await outbox.notifier(mail).send_pending() == 1

    mail.on_data = other_takes_over
    aviso = await outbox.put(TipoAviso.ATRASADO, ultimo=None)
    await outbox.notifier(mail).send_pending()
    # The first did not know yet that its message had been taken; all the others were sent once.
    assert mail.recipients() == [ANA, ANA, LUIS]
    assert (await outbox.row(aviso))["terminado"]


async def test_without_mail_or_webhook_old_news_is_not_kept_for_later(outbox: Outbox, mail: MailServer) -> None:
    await outbox.put(TipoAviso.ATRASADO, ultimo=None)
    assert await outbox.notifier().send_pending() == 1
    await outbox.put(TipoAviso.FALLO, error="nuevo")
    await outbox.notifier(mail).send_pending()
    assert {received.message["Subject"].split()[0] for received in mail.received} == {"No"}


@pytest.mark.parametrize(
    ("success", "told"),
    [
        (NotifySuccess.ALWAYS, {"automatico", "manual", "por_demanda"}),
        (NotifySuccess.ON_DEMAND, {"manual", "por_demanda"}),
        (NotifySuccess.NEVER, set()),
    ],
)
async def test_success_is_told_as_the_setting_says(
    outbox: Outbox, mail: MailServer, hook: Hook, success: NotifySuccess, told: set[str]
) -> None:
    for tipo in ("automatico", "manual", "por_demanda"):
        await outbox.put(TipoAviso.EXITO, respaldo_id=await outbox.respaldo(tipo))
    await outbox.put(TipoAviso.RECUPERACION, respaldo_id=await outbox.respaldo())
    assert await outbox.notifier(mail, hook, success).send_pending() == 4
    successes = [posted.document for posted in hook.posted if posted.document["tipo"] == "exito"]
    assert {document["respaldo"]["tipo_respaldo"] for document in successes} == told
    assert len(hook.posted) == len(told) + 1
    assert len(mail.received) == 2 * (len(told) + 1)
    assert await outbox.sql.fetchval("SELECT count(*) FROM respaldos.aviso WHERE terminado IS NULL") == 0


async def test_after_three_days_it_is_given_up(
    outbox: Outbox, mail: MailServer, caplog: pytest.LogCaptureFixture
) -> None:
    mail.refusals = {ANA: "451 later", LUIS: "451 later"}
    aviso = await outbox.put(TipoAviso.ATRASADO, ultimo=None)
    await outbox.sql.execute("UPDATE respaldos.aviso SET fecha_creacion = now() - interval '71 hours'")
    notifier = outbox.notifier(mail)
    await notifier.send_pending()
    assert (await outbox.row(aviso))["terminado"] is None
    await outbox.sql.execute("UPDATE respaldos.aviso SET fecha_creacion = now() - interval '73 hours'")
    await outbox.wait_is_over()
    await notifier.send_pending()
    row = await outbox.row(aviso)
    assert row["terminado"]
    assert row["correo"] is None
    assert "451" in row["error"]
    assert f"el aviso {aviso} no se pudo enviar y ya no se intentará" in caplog.text


async def test_where_nobody_wants_mail_there_is_none(
    outbox: Outbox, mail: MailServer, caplog: pytest.LogCaptureFixture
) -> None:
    await outbox.sql.execute("UPDATE usuario SET notificaciones_email = false")
    aviso = await outbox.put(TipoAviso.ATRASADO, ultimo=None)
    await outbox.notifier(mail).send_pending()
    assert mail.received == []
    assert (await outbox.row(aviso))["terminado"]
    assert caplog.text.count(f"nadie de la clínica {SMALL} recibe avisos") == 1


async def test_each_clinic_is_told_its_own_news_only(outbox: Outbox, mail: MailServer) -> None:
    await outbox.sql.execute("UPDATE usuario SET notificaciones_email = true")
    await outbox.put(TipoAviso.ATRASADO, clinica_id=LARGE, ultimo=None)
    await outbox.notifier(mail).send_pending()
    assert mail.recipients() == ["admin@clinica1.example"]
    assert "Clínica grande" in str(mail.received[0].message["Subject"])


async def test_the_webhook_is_told_even_where_the_clinic_database_is_down(
    outbox: Outbox, mail: MailServer, hook: Hook
) -> None:
    nowhere = ClinicDatabase("postgresql://nadie@127.0.0.1:1/nada", Tenancy())
    outbox = replace(outbox, databases=Databases(outbox.databases.sessions, nowhere))
    aviso = await outbox.put(TipoAviso.FALLO, error="la base de datos no responde")
    await outbox.notifier(mail, hook).send_pending()
    assert [posted.document["clinica"] for posted in hook.posted] == [None]
    row = await outbox.row(aviso)
    assert row["webhook"]
    assert row["terminado"] is None
    assert "no se sabe a quién escribir" in row["error"]


@pytest.mark.parametrize("datos", [{}, {"error": None}, {"error": ["x"], "ultimo": None}])
async def test_an_aviso_with_less_to_say_is_sent_as_well(
    outbox: Outbox, mail: MailServer, datos: dict[str, Any]
) -> None:
    for tipo in TipoAviso:
        await outbox.put(tipo, **datos)
    await outbox.notifier(mail).send_pending()
    assert len(mail.received) == 2 * len(TipoAviso)
