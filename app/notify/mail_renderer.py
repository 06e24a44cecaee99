"""An aviso as a letter: subject, text and HTML out of the templates, and the message around them."""

import re
import textwrap
from datetime import datetime
from email.errors import MessageError
from email.headerregistry import Address
from email.message import EmailMessage
from email.utils import format_datetime

from jinja2 import Environment, PackageLoader, StrictUndefined, TemplateError

from app.errors import NotifyError
from app.notify.notification import Notification
from app.wording import one_line

SENDER_NAME = "Respaldos"

# A name, a telephone number and an address (characters).
CONTACT_LIMIT = 200

# RFC 5322 §2.1.1 wants lines of text no longer than 78 characters.
TEXT_WIDTH = 76

# Quoted local parts are left out: nobody has one, and they are how commands are smuggled into SMTP.
ADDRESS = re.compile(r"[^@\s<>()\[\]\\,;:\"]+@[^@\s<>()\[\]\\,;:\"]+")


def _paragraph(text: str) -> str:
    # An address or a key that is longer than a line must stay whole, to be copied.
    return textwrap.fill(" ".join(text.split()), TEXT_WIDTH, break_long_words=False, break_on_hyphens=False)


def _environment(*, html: bool) -> Environment:
    made = Environment(
        loader=PackageLoader("app.notify"),
        # There is nothing to escape in plain text.
        autoescape=html,  # noqa: S701
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.filters["paragraph"] = _paragraph
    return made


def valid_address(address: str) -> bool:
    """Whether mail can be sent there at all."""
    if ADDRESS.fullmatch(address) is None:
        return False
    try:
        Address(addr_spec=address)
    except (ValueError, MessageError):
        return False
    return True


class MailRenderer:
    """Writes letters; the templates are read once.

    `public_url` is where people reach the panel, `support_contact` whom they ask for help; each None leaves its line
    out.
    """

    def __init__(self, *, public_url: str | None = None, support_contact: str | None = None) -> None:
        self._public_url = public_url.rstrip("/") if public_url is not None else None
        self._support_contact = one_line(support_contact or "", CONTACT_LIMIT)
        # Each kind is one template for both: it fills the blocks of the layout that it is given.
        self._text = _environment(html=False)
        self._html = _environment(html=True)

    def write(self, notification: Notification, *, sender: str, to: str) -> EmailMessage:
        """The message for one person. Written again, it has the same Message-ID, so that a mailbox can tell.

        Raises NotifyError where it cannot be written, ValueError where an address is none.
        """
        aviso = notification.claimed.aviso
        message = EmailMessage()
        # Whatever the clinic's name holds: a line break would begin another header.
        message["Subject"] = one_line(self._render(self._text, "asunto.txt", notification), 200)
        message["From"] = Address(SENDER_NAME, addr_spec=sender)
        message["To"] = Address(addr_spec=to)
        message["Date"] = format_datetime(datetime.now(notification.time_zone))
        # Ids begin at 1 again in a new database, and mailboxes drop a message whose Message-ID they know.
        made = f"aviso-{aviso.id}.{aviso.fecha_creacion:%Y%m%d%H%M%S}"
        message["Message-ID"] = f"<{made}@{sender.rpartition('@')[2]}>"
        # RFC 3834: no out-of-office answers.
        message["Auto-Submitted"] = "auto-generated"
        message.set_content(self._render(self._text, "carta.txt", notification))
        message.add_alternative(self._render(self._html, "carta.html", notification), subtype="html")
        return message

    def _render(self, environment: Environment, layout: str, notification: Notification) -> str:
        try:
            return environment.get_template(f"{notification.tipo}.jinja").render(
                layout=layout,
                notification=notification,
                link=f"{self._public_url}{notification.panel_path}" if self._public_url is not None else None,
                support_contact=self._support_contact,
            )
        except TemplateError as exc:
            raise NotifyError(f"no se puede redactar el aviso «{notification.tipo}»: {exc}") from exc
