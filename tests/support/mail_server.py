"""A real SMTP server in the test's own loop, which keeps what it is given and refuses what it is told to."""

import asyncio
import ssl
import warnings
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from email import message_from_bytes, policy
from email.message import EmailMessage
from typing import Any

from aiosmtpd.smtp import SMTP, AuthResult, Envelope, LoginPassword, Session

USER, PASSWORD = "correo", "clave-del-correo"


@dataclass(frozen=True, slots=True)
class Received:
    """A message as the server was given it, and for whom."""

    to: list[str]
    message: EmailMessage
    encrypted: bool
    authenticated: bool


# Without slots: aiosmtpd reads every attribute of a handler, and Python 3.11.2 gives a class with slots one that
# cannot be read, `__weakref__` (gh-102069). The connection was then left unclosed.
@dataclass
class MailServer:
    """`refusals` is what RCPT is answered for an address; `on_data` runs before DATA is answered."""

    port: int = 0
    connections: int = 0
    per_connection: int = 1000
    received: list[Received] = field(default_factory=list)
    refusals: dict[str, str] = field(default_factory=dict)
    on_data: Callable[[], Awaitable[None]] | None = None

    def recipients(self) -> list[str]:
        """Everybody who was written to, in alphabetical order, as often as they were."""
        return sorted(address for each in self.received for address in each.to)

    async def handle_MAIL(
        self, _server: SMTP, session: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        taken = getattr(session, "messages", 0)
        if taken >= self.per_connection:
            return "421 4.7.0 too many messages on this connection"
        session.messages = taken + 1  # type: ignore[attr-defined]
        envelope.mail_from = address
        envelope.mail_options.extend(options)
        return "250 OK"

    async def handle_RCPT(
        self, _server: SMTP, _session: Session, envelope: Envelope, address: str, _options: list[str]
    ) -> str:
        if address in self.refusals:
            return self.refusals[address]
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:
        assert isinstance(envelope.content, bytes)
        message = message_from_bytes(envelope.content, policy=policy.default)
        assert isinstance(message, EmailMessage)
        assert server.transport is not None
        encrypted = server.transport.get_extra_info("sslcontext") is not None
        self.received.append(Received(list(envelope.rcpt_tos), message, encrypted, bool(session.authenticated)))
        if self.on_data is not None:
            await self.on_data()
        return "250 OK"


def _authenticate(server: SMTP, session: Session, envelope: Envelope, mechanism: str, data: Any) -> AuthResult:
    right = isinstance(data, LoginPassword) and (data.login, data.password) == (USER.encode(), PASSWORD.encode())
    return AuthResult(success=right, handled=False)


@asynccontextmanager
async def mail_server(
    *, tls: ssl.SSLContext | None = None, implicit_tls: bool = False, login: bool = False
) -> AsyncIterator[MailServer]:
    """A server on 127.0.0.1 for the time of the block: with STARTTLS or TLS from the first byte, and a login."""
    mailbox = MailServer()
    loop = asyncio.get_running_loop()
    open_ones: list[SMTP] = []

    def connected() -> SMTP:
        mailbox.connections += 1
        with warnings.catch_warnings():
            # A login without encryption is what some of the tests are about.
            warnings.simplefilter("ignore", UserWarning)
            made = SMTP(
                mailbox,
                hostname="localhost",
                loop=loop,
                tls_context=None if implicit_tls else tls,
                require_starttls=tls is not None and not implicit_tls,
                auth_required=login,
                auth_require_tls=False,
                authenticator=_authenticate if login else None,
            )
        open_ones.append(made)
        return made

    server = await loop.create_server(connected, "127.0.0.1", 0, ssl=tls if implicit_tls else None)
    mailbox.port = server.sockets[0].getsockname()[1]
    try:
        yield mailbox
    finally:
        server.close()
        for each in open_ones:
            if isinstance(each.transport, asyncio.Transport):
                # Of a transport that was closed twice, TLS has forgotten the connection in Python 3.11.2.
                with suppress(AttributeError):
                    each.transport.abort()
        await asyncio.sleep(0)
