"""An outbox over the sample clinics, a mail server and a webhook."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from typing import Any
from zoneinfo import ZoneInfo

import asyncpg
import pytest
from sqlalchemy.ext.asyncio import async_sessionmaker

from app.clinic.clinic import Tenancy
from app.clinic.database import ClinicDatabase
from app.clinic.people.recipients import ClinicRecipients
from app.database import service_engine
from app.notify.options import NotifySuccess, SmtpOptions, WebhookOptions
from app.notify.sender import Notifier
from app.respaldos import notices
from app.respaldos.databases import Databases, transaction
from app.respaldos.models import TipoAviso
from tests.respaldos.conftest import SMALL, connected, database, own_database, template
from tests.support.hook import Hook, hook_server
from tests.support.mail_server import MailServer, mail_server

__all__ = ["database", "own_database", "template"]

LA_PAZ = ZoneInfo("America/La_Paz")
ANA, LUIS = "admin@clinica2.example", "luis@clinica2.example"
SECRET = "secreto-del-webhook"

# How long a test of something that hangs waits for it. All others have time enough on a busy machine.
QUICK_SECONDS = 1.0


@dataclass(frozen=True, slots=True)
class Outbox:
    """The avisos of a database, seen from outside of the service by `sql`."""

    url: str
    databases: Databases
    sql: asyncpg.Connection

    async def put(
        self, tipo: TipoAviso, *, clinica_id: int | None = SMALL, respaldo_id: int | None = None, **datos: Any
    ) -> int:
        """Something that people are to be told, as the other parts of the service put it down."""
        async with transaction(self.databases) as session:
            await notices.record(session, tipo, clinica_id=clinica_id, respaldo_id=respaldo_id, **datos)
        number: int = await self.sql.fetchval("SELECT max(id) FROM respaldos.aviso")
        return number

    async def respaldo(self, tipo: str = "automatico", *, estado: str = "completado", **values: Any) -> int:
        """A backup's row, for an aviso to be about."""
        columns = {"clinica_id": SMALL, "tipo_respaldo": tipo, "estado": estado} | values
        number: int = await self.sql.fetchval(
            f"INSERT INTO respaldos.respaldo ({', '.join(columns)})"
            f" VALUES ({', '.join(f'${place}' for place in range(1, len(columns) + 1))}) RETURNING id",
            *columns.values(),
        )
        return number

    async def row(self, aviso_id: int) -> asyncpg.Record:
        """The aviso as PostgreSQL has it."""
        (found,) = await self.sql.fetch("SELECT * FROM respaldos.aviso WHERE id = $1", aviso_id)
        return found

    async def wait_is_over(self) -> None:
        """All that waits is due."""
        await self.sql.execute("UPDATE respaldos.aviso SET proximo = now() WHERE terminado IS NULL")

    def notifier(
        self,
        mail: MailServer | SmtpOptions | None = None,
        hook: Hook | WebhookOptions | None = None,
        success: NotifySuccess = NotifySuccess.ALWAYS,
    ) -> Notifier:
        """A notifier that sends there."""
        if isinstance(mail, MailServer):
            mail = smtp_options(mail.port)
        if isinstance(hook, Hook):
            hook = WebhookOptions(hook.url, SECRET, timeout=30)
        return Notifier(
            self.databases,
            recipients=ClinicRecipients(self.url, Tenancy(), admin_roles=["administrador"]),
            smtp=mail,
            webhook=hook,
            notify_success=success,
            time_zone=LA_PAZ,
        )


def smtp_options(port: int, **changes: Any) -> SmtpOptions:
    """A mail server of the test's, without TLS unless asked for."""
    plain = SmtpOptions(
        host="127.0.0.1",
        port=port,
        tls=False,
        sender="respaldos@example.com",
        connect_timeout=30,
        send_timeout=30,
    )
    return replace(plain, **changes)


@asynccontextmanager
async def opened_outbox(url: str) -> AsyncIterator[Outbox]:
    """The outbox of the database at that address."""
    engine = service_engine(url)
    try:
        async with connected(url) as sql:
            sessions = async_sessionmaker(engine, expire_on_commit=False)
            yield Outbox(url, Databases(sessions, ClinicDatabase(url, Tenancy())), sql)
    finally:
        await engine.dispose()


@pytest.fixture
async def outbox(own_database: str) -> AsyncIterator[Outbox]:
    """An empty outbox, of sample clinics whose small one has two administrators who want mail, ANA and LUIS."""
    async with opened_outbox(own_database) as found:
        await found.sql.execute("UPDATE usuario SET notificaciones_email = true WHERE correoelectronico = $1", ANA)
        await add_person(found.sql, LUIS, "Administrador")
        yield found


async def add_person(
    sql: asyncpg.Connection, email: str, rol: str, *, wants_mail: bool = True, active: bool = True
) -> None:
    """One more person of the small clinic."""
    await sql.execute(
        "INSERT INTO usuario (nombre, apellido, correoelectronico, idtipousuario, activo, notificaciones_email,"
        " notificaciones_push, fecha_registro, clinica_id)"
        " VALUES ('N', 'N', $1, (SELECT id FROM tipodeusuario WHERE rol = $2), $3, $4, false, now(), $5)",
        email,
        rol,
        active,
        wants_mail,
        SMALL,
    )


@pytest.fixture
async def mail() -> AsyncIterator[MailServer]:
    """A mail server without TLS or login."""
    async with mail_server() as server:
        yield server


@pytest.fixture
async def hook() -> AsyncIterator[Hook]:
    """A webhook that takes everything."""
    async with hook_server() as server:
        yield server
