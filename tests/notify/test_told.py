"""A clinic's notices go to whom its policy says, and what may be a theft to its administrators besides."""

import asyncpg
import pytest

from app.respaldos.models import TipoAviso
from tests.notify.conftest import ANA, LUIS, Outbox
from tests.respaldos.conftest import SMALL
from tests.support.mail_server import MailServer

SYSTEMS = "sistemas@clinica2.example"


async def told(outbox: Outbox, mail: MailServer, **datos: bool) -> list[str]:
    """Who gets a mail of one more aviso."""
    before = len(mail.received)
    await outbox.put(TipoAviso.ATRASADO, ultimo=None, **datos)
    await outbox.notifier(mail).send_pending()
    return sorted(each.to[0] for each in mail.received[before:])


@pytest.mark.usefixtures("outbox")
async def test_who_is_told(outbox: Outbox, mail: MailServer) -> None:
    sql: asyncpg.Connection = outbox.sql
    # One of them is an administrator, in other letters.
    await sql.execute(
        "INSERT INTO respaldos.politica (clinica_id, avisar) VALUES ($1, $2)", SMALL, [SYSTEMS, LUIS.upper()]
    )
    assert [each.casefold() for each in await told(outbox, mail)] == sorted([ANA, LUIS, SYSTEMS])
    await sql.execute("UPDATE respaldos.politica SET avisar_administradores = false, avisar = $1", [SYSTEMS])
    assert await told(outbox, mail) == [SYSTEMS]
    assert await told(outbox, mail, todos=True) == sorted([ANA, LUIS, SYSTEMS])
    await sql.execute("UPDATE respaldos.politica SET avisar_administradores = NULL, avisar = NULL")
    assert await told(outbox, mail) == sorted([ANA, LUIS])
