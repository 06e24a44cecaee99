"""Sends what waits in the outbox, now and again."""

import logging
import time
from zoneinfo import ZoneInfo

from app.clinic.people.recipients import ClinicRecipients
from app.errors import LeaseLost
from app.notify import outbox
from app.notify.delivery import Delivery, Outcome
from app.notify.mail_renderer import MailRenderer
from app.notify.options import NotifySuccess, SmtpOptions, WebhookOptions
from app.notify.outbox import ClaimedAviso
from app.respaldos.databases import Databases, transaction
from app.respaldos.models import TipoAviso, TipoRespaldo

log = logging.getLogger(__name__)

# After so many, or so long, the rest waits for the next call: a slow server must not hold a worker (seconds).
BATCH = 200
BATCH_SECONDS = 180


class Notifier:
    """Tells people. It holds no connection between calls, and several may work on one database.

    `smtp` None is no mail, `webhook` None no webhook; `notify_success` is for both. `renderer` writes the mail.
    """

    def __init__(
        self,
        databases: Databases,
        *,
        recipients: ClinicRecipients,
        smtp: SmtpOptions | None,
        webhook: WebhookOptions | None,
        notify_success: NotifySuccess,
        time_zone: ZoneInfo,
        renderer: MailRenderer | None = None,
    ) -> None:
        self._databases = databases
        self._recipients = recipients
        self._smtp = smtp
        self._webhook = webhook
        self._notify_success = notify_success
        self._time_zone = time_zone
        self._renderer = renderer or MailRenderer()

    async def send_pending(self) -> int:
        """Try once each aviso that is due; return how many those were, sent or not.

        What could not be sent is noted in its row, logged, and tried again later. With neither mail nor webhook
        all are done with at once, so that old news is not sent once there is one. Raises DatabaseError or one of
        its kinds where the service's own database fails, and nothing else.
        """
        if self._smtp is None and self._webhook is None:
            async with transaction(self._databases) as session:
                return await outbox.finish_all(session)
        handled, until = 0, time.monotonic() + BATCH_SECONDS
        async with Delivery.opened(
            self._databases, self._recipients, self._renderer, self._smtp, self._webhook, self._time_zone
        ) as delivery:
            while handled < BATCH and time.monotonic() < until:
                async with transaction(self._databases) as session:
                    claimed = await outbox.claim(session)
                if claimed is None:
                    break
                await self._handle(delivery, claimed)
                handled += 1
        return handled

    async def _handle(self, delivery: Delivery, claimed: ClaimedAviso) -> None:
        if not self._wanted(claimed):
            await self._end(Outcome(claimed.aviso.id, claimed.claim, {}))
            return
        try:
            await self._end(await delivery.deliver(claimed))
        except LeaseLost as exc:
            log.warning("%s", exc)

    def _wanted(self, claimed: ClaimedAviso) -> bool:
        if claimed.aviso.tipo != TipoAviso.EXITO or self._notify_success is NotifySuccess.ALWAYS:
            return True
        asked_for = claimed.respaldo is not None and claimed.respaldo.tipo_respaldo != TipoRespaldo.AUTOMATICO
        return self._notify_success is NotifySuccess.ON_DEMAND and asked_for

    async def _end(self, outcome: Outcome) -> None:
        async with transaction(self._databases) as session:
            if not outcome.failures:
                await outbox.finish(session, outcome.aviso_id, outcome.claim, error=str(outcome) or None)
                return
            given_up = await outbox.postpone(session, outcome.aviso_id, outcome.claim, error=str(outcome))
        if given_up:
            log.error("el aviso %s no se pudo enviar y ya no se intentará; su fila dice por qué", outcome.aviso_id)
        else:
            log.warning("el aviso %s no se pudo enviar todavía; su fila dice por qué", outcome.aviso_id)
