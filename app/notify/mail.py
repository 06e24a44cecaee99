"""Mail by SMTP: one connection for as many messages as there are, one message for each person."""

import asyncio
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from email.message import EmailMessage

from aiosmtplib import (
    SMTP,
    SMTPDataError,
    SMTPException,
    SMTPNotSupported,
    SMTPRecipientsRefused,
    SMTPResponseException,
)

from app.errors import NotifyError
from app.notify.options import IMPLICIT_TLS_PORT, SmtpOptions
from app.wording import one_line

log = logging.getLogger(__name__)

# A server's answer in an error (characters).
SAID_LIMIT = 300

# How long the server may take to answer QUIT.
QUIT_TIMEOUT_SECONDS = 5

# RFC 4954 §6: the server refuses us, not the person who is written to.
ABOUT_LOGIN = {530, 534, 535, 538}


class Mailer:
    """One batch of messages; `close` ends the connection.

    Once the server cannot be worked with, it is left alone for the rest of the batch. One that only tires of a
    connection, after some messages, is given another.
    """

    def __init__(self, options: SmtpOptions) -> None:
        self._options = options
        self._smtp: SMTP | None = None
        self._failed: NotifyError | None = None
        self._sent_on_connection = 0

    @property
    def sender(self) -> str:
        """The address that the mail comes from."""
        return self._options.sender

    async def connect(self) -> None:
        """Be ready to send. Raises NotifyError."""
        if self._failed is not None:
            raise self._failed
        if self._smtp is not None and self._smtp.is_connected:
            return
        self._drop()
        options = self._options
        implicit = options.tls and options.port == IMPLICIT_TLS_PORT
        smtp = SMTP(
            hostname=options.host,
            port=options.port,
            username=options.user,
            password=options.password if options.user is not None else None,
            use_tls=implicit,
            start_tls=options.tls and not implicit,
            timeout=options.connect_timeout,
        )
        with self._server_errors():
            # One limit for it all: the client's is for each of its steps.
            async with asyncio.timeout(options.connect_timeout):
                await smtp.connect()
        self._smtp = smtp

    async def send(self, message: EmailMessage, to: str) -> str | None:
        """Hand the message to the server, after `connect`: None once it has it, else why `to` will never get it.

        Raises NotifyError where it may be sent later.
        """
        if self._failed is not None:
            raise self._failed
        if self._smtp is None:
            raise NotifyError("no hay conexión con el servidor de correo")
        with self._server_errors():
            try:
                async with asyncio.timeout(self._options.send_timeout):
                    await self._smtp.send_message(message, sender=self._options.sender, recipients=[to])
            except SMTPRecipientsRefused as exc:
                return self._refused(exc.recipients[0])
            except SMTPDataError as exc:
                return self._refused(exc)
            except (SMTPNotSupported, ValueError):
                return "el servidor de correo no admite esa dirección"
        self._sent_on_connection += 1
        return None

    async def close(self) -> None:
        """Say goodbye to the server, if it is there to hear it."""
        try:
            if self._smtp is not None and self._smtp.is_connected:
                await self._smtp.quit(timeout=QUIT_TIMEOUT_SECONDS)
        except (SMTPException, OSError) as exc:
            # Each message has been taken or not by now: a goodbye that fails changes nothing.
            log.debug("el servidor de correo no se despidió: %s", exc)
        finally:
            self._drop()

    def _refused(self, exc: SMTPResponseException) -> str:
        """What the server said for good; raises NotifyError where it may say something else later."""
        said = f"{exc.code} {one_line(exc.message, SAID_LIMIT)}"
        if exc.code < 500 or exc.code in ABOUT_LOGIN:
            raise NotifyError(f"el servidor de correo {self._server} no tomó un mensaje por ahora: {said}") from exc
        return said

    @property
    def _server(self) -> str:
        return f"«{self._options.host}:{self._options.port}» (EMAIL_HOST)"

    @contextmanager
    def _server_errors(self) -> Iterator[None]:
        """Turn what means that the server cannot be worked with into NotifyError, and remember it."""
        try:
            yield
        except (SMTPException, OSError, ValueError) as exc:
            # TimeoutError and TLS errors are OSErrors; ValueError is an address or a name that SMTP cannot say.
            said = one_line(str(exc), SAID_LIMIT) or "no respondió a tiempo"
            failure = NotifyError(f"el servidor de correo {self._server} falló: {said}")
            if not self._sent_on_connection:
                self._failed = failure
            self._drop()
            raise failure from exc

    def _drop(self) -> None:
        if self._smtp is not None:
            self._smtp.close()
        self._smtp = None
        self._sent_on_connection = 0
