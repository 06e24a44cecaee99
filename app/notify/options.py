"""What telling people takes; it costs nothing to import."""

from dataclasses import dataclass, field
from enum import StrEnum

# Where TLS begins with the first byte (RFC 8314 §3.3); at any other port it begins with STARTTLS.
IMPLICIT_TLS_PORT = 465


class NotifySuccess(StrEnum):
    """After which completed backups people are told so: all, those that a person asked for, or none."""

    ALWAYS = "always"
    ON_DEMAND = "on_demand"
    NEVER = "never"


@dataclass(frozen=True, slots=True)
class SmtpOptions:
    """A mail server, and the address that its mail comes from.

    With `tls`, nothing is ever sent in the clear: a server that cannot do it gets no mail. Without `user`, nobody
    logs in. `connect_timeout` is for all that comes before the first message, `send_timeout` for one message
    (seconds).
    """

    host: str
    port: int = 587
    tls: bool = True
    user: str | None = None
    password: str | None = field(default=None, repr=False)
    sender: str = "respaldos@localhost"
    connect_timeout: float = 20.0
    send_timeout: float = 30.0


@dataclass(frozen=True, slots=True)
class WebhookOptions:
    """Where each aviso is posted, the secret that it is signed with, and how long that may take (seconds).

    Whoever knows `url` may be able to post there, so it is shown nowhere but for its host.
    """

    url: str = field(repr=False)
    secret: str = field(repr=False)
    timeout: float = 10.0
