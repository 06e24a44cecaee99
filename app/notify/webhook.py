"""The same news for the platform's own monitoring: signed JSON, posted to one address."""

import asyncio
import hashlib
import hmac
import time
from base64 import b64decode, b64encode
from http import HTTPStatus
from urllib.parse import urlsplit

import aiohttp

from app.errors import NotifyError
from app.notify.options import WebhookOptions
from app.respaldos.contract import AvisoEnviado

# What HTTP means by "not now" among the answers that blame the sender.
NOT_NOW = {408, 425, 429}

# aiohttp reads ahead twice as much as this, and nobody reads the answer's body (bytes).
READ_AHEAD = 1 << 15


class Webhook:
    """One batch of posts; `close` ends its connections.

    Once the other side could not be reached, it is left alone for the rest of the batch.
    """

    def __init__(self, options: WebhookOptions) -> None:
        self._options = options
        self._failed: NotifyError | None = None
        self._session: aiohttp.ClientSession | None = None

    async def post(self, aviso: AvisoEnviado) -> str | None:
        """Post an aviso: None once it was taken, else why it never will be.

        The signature is of the body's exact bytes. Raises NotifyError where it may be taken later.
        """
        if self._failed is not None:
            raise self._failed
        body = aviso.model_dump_json().encode()
        signature = hmac.new(self._options.secret.encode(), body, hashlib.sha256).hexdigest()
        moment = int(time.time())
        headers = {
            "Content-Type": "application/json; charset=utf-8",
            "User-Agent": "respaldos",
            "X-Respaldos-Evento": aviso.tipo,
            "X-Respaldos-Entrega": str(aviso.id),
            "X-Respaldos-Firma": f"sha256={signature}",
            "webhook-id": str(aviso.id),
            "webhook-timestamp": str(moment),
            "webhook-signature": standard_signature(self._options.secret, str(aviso.id), moment, body),
        }
        try:
            async with (
                asyncio.timeout(self._options.timeout),
                self._open().post(self._options.url, data=body, headers=headers, allow_redirects=False) as answer,
            ):
                status = answer.status
                # The connection goes with the body, which may have no end.
                answer.close()
        except (aiohttp.ClientError, OSError, ValueError) as exc:
            # The error's own words may hold the address, which may hold a secret.
            said = "no respondió a tiempo" if isinstance(exc, TimeoutError) else _what_failed(exc)
            self._failed = NotifyError(f"el webhook {self._place} falló: {said}")
            raise self._failed from None
        if 200 <= status < 300:
            return None
        if 400 <= status < 500 and status not in NOT_NOW:
            return f"respondió {status}"
        raise NotifyError(f"el webhook {self._place} respondió {status}")

    async def check(self) -> None:
        """Ask for the address without telling it anything; any answer but an error of the server will do.

        Raises NotifyError.
        """
        try:
            async with (
                asyncio.timeout(self._options.timeout),
                self._open().head(self._options.url, allow_redirects=False) as answer,
            ):
                status = answer.status
        except (aiohttp.ClientError, OSError, ValueError) as exc:
            said = "no respondió a tiempo" if isinstance(exc, TimeoutError) else _what_failed(exc)
            raise NotifyError(f"el webhook {self._place} falló: {said}") from None
        # Whoever takes a POST alone may answer this as it likes.
        if status >= 500 and status != HTTPStatus.NOT_IMPLEMENTED:
            raise NotifyError(f"el webhook {self._place} respondió {status}")

    async def close(self) -> None:
        """Close what is open."""
        if self._session is not None:
            await self._session.close()

    @property
    def _place(self) -> str:
        try:
            return f"de «{urlsplit(self._options.url).hostname}» (WEBHOOK_URL)"
        except ValueError:
            return "(WEBHOOK_URL)"

    def _open(self) -> aiohttp.ClientSession:
        if self._session is None:
            self._session = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(force_close=True),
                cookie_jar=aiohttp.DummyCookieJar(),
                auto_decompress=False,
                read_bufsize=READ_AHEAD,
                timeout=aiohttp.ClientTimeout(total=None),
            )
        return self._session


def standard_signature(secret: str, id_: str, moment: int, body: bytes) -> str:
    """What Standard Webhooks 1.0 has in `webhook-signature`; `moment` is in seconds since 1970.

    A secret that begins with `whsec_` is the rest of it in Base64, any other its own bytes. Raises ValueError where
    that is no Base64.
    """
    prefix, _, encoded = secret.partition("whsec_")
    key = b64decode(encoded, validate=True) if encoded and not prefix else secret.encode()
    signed = hmac.new(key, f"{id_}.{moment}.".encode() + body, hashlib.sha256).digest()
    return f"v1,{b64encode(signed).decode()}"


def _what_failed(exc: Exception) -> str:
    if isinstance(exc, aiohttp.ClientConnectorError):
        return exc.os_error.strerror or type(exc.os_error).__name__
    return type(exc).__name__
