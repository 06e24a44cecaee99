"""One aviso at a time to whom it is for: the clinic's people and the webhook."""

import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

from app.clinic.clinic import Clinic
from app.clinic.people.recipients import ClinicRecipients
from app.dump.whose import whose
from app.errors import LeaseLost, NotifyError, RespaldosError
from app.notify import outbox
from app.notify.mail import Mailer
from app.notify.mail_renderer import MailRenderer, valid_address
from app.notify.notification import Notification
from app.notify.options import SmtpOptions, WebhookOptions
from app.notify.outbox import REFUSALS, SENT_TO, ClaimedAviso
from app.notify.webhook import Webhook
from app.respaldos.cancellation import uninterrupted
from app.respaldos.databases import Databases, transaction

log = logging.getLogger(__name__)

# What the webhook's refusal is kept under, among those of people's addresses.
WEBHOOK = "webhook"


@dataclass(slots=True)
class Outcome:
    """How far an aviso has come: its claim as last renewed, who will never take it, who has not taken it yet."""

    aviso_id: int
    claim: datetime
    refusals: dict[str, str]
    failures: list[str] = field(default_factory=list)

    def __str__(self) -> str:
        refused = [f"«{who}» no lo recibirá: {reason}" for who, reason in self.refusals.items()]
        return "; ".join([*dict.fromkeys(self.failures), *refused])


class Delivery:
    """One batch of avisos. The clinics are read once, and connections serve for all; `opened` closes them."""

    def __init__(
        self,
        databases: Databases,
        recipients: ClinicRecipients,
        renderer: MailRenderer,
        mailer: Mailer | None,
        webhook: Webhook | None,
        time_zone: ZoneInfo,
    ) -> None:
        self._databases = databases
        self._recipients = recipients
        self._renderer = renderer
        self._mailer = mailer
        self._webhook = webhook
        self._time_zone = time_zone
        self._clinics: dict[int, Clinic] | None = None
        self._clinics_error: RespaldosError | None = None

    @classmethod
    @asynccontextmanager
    async def opened(
        cls,
        databases: Databases,
        recipients: ClinicRecipients,
        renderer: MailRenderer,
        smtp: SmtpOptions | None,
        webhook: WebhookOptions | None,
        time_zone: ZoneInfo,
    ) -> AsyncIterator["Delivery"]:
        """A batch for the time of the block. Nothing is connected before it is used."""
        mailer = Mailer(smtp) if smtp is not None else None
        poster = Webhook(webhook) if webhook is not None else None
        try:
            yield cls(databases, recipients, renderer, mailer, poster, time_zone)
        finally:
            if mailer is not None:
                await mailer.close()
            if poster is not None:
                await poster.close()

    async def deliver(self, claimed: ClaimedAviso) -> Outcome:
        """Give it to everybody who does not have it yet, noting each as soon as they do.

        Raises LeaseLost where another process has taken the aviso over, DatabaseError or one of its kinds where the
        service's own database fails; any other failure is in the outcome.
        """
        aviso = claimed.aviso
        outcome = Outcome(aviso.id, claimed.claim, dict(aviso.datos.get(REFUSALS, {})))
        clinic = await self._clinic(aviso.clinica_id) if aviso.clinica_id is not None else None
        notification = Notification(claimed, clinic.name if clinic is not None else None, self._time_zone)
        if self._webhook is not None and aviso.webhook is None:
            await self._post(self._webhook, notification, outcome)
        if self._mailer is not None and aviso.correo is None:
            await self._mail(self._mailer, notification, clinic, outcome)
        return outcome

    async def _clinic(self, clinica_id: int) -> Clinic | None:
        """None where the clinics cannot be read, or where there is no such clinic any more."""
        if self._clinics is None and self._clinics_error is None:
            try:
                self._clinics = {clinic.id: clinic for clinic in await self._databases.clinic.clinics()}
            except RespaldosError as exc:
                self._clinics_error = exc
        return (self._clinics or {}).get(clinica_id)

    async def _post(self, webhook: Webhook, notification: Notification, outcome: Outcome) -> None:
        async def post_and_note() -> None:
            refusal = await webhook.post(notification.document(datetime.now(UTC)))
            await self._note(outcome, WEBHOOK, refusal)

        try:
            # Stopped between their OK and the note of it, it would be sent twice.
            await uninterrupted(post_and_note())
        except NotifyError as exc:
            outcome.failures.append(str(exc))

    async def _mail(
        self, mailer: Mailer, notification: Notification, clinic: Clinic | None, outcome: Outcome
    ) -> None:
        aviso = notification.claimed.aviso
        try:
            addresses = await self._addresses(notification, clinic)
        except NotifyError as exc:
            outcome.failures.append(str(exc))
            return
        if not addresses:
            log.warning("nadie de %s recibe avisos por correo", whose(aviso.clinica_id))
        settled = {*aviso.datos.get(SENT_TO, ()), *outcome.refusals}
        everybody = True
        for address in addresses:
            if address in settled:
                continue
            try:
                await self._mail_to(mailer, address, notification, outcome)
            except NotifyError as exc:
                # The next may get theirs; where the server is down, the mailer knows and does not ask it again.
                outcome.failures.append(str(exc))
                everybody = False
        if everybody:
            async with transaction(self._databases) as session:
                await outbox.settle_mail(session, aviso.id)

    async def _mail_to(self, mailer: Mailer, address: str, notification: Notification, outcome: Outcome) -> None:
        if not valid_address(address):
            await self._note(outcome, address, "no es una dirección de correo")
            return
        message = self._renderer.write(notification, sender=mailer.sender, to=address)

        async def send_and_note() -> None:
            refusal = await mailer.send(message, address)
            await self._note(outcome, address, refusal)

        await mailer.connect()
        await uninterrupted(send_and_note())

    async def _note(self, outcome: Outcome, who: str, refusal: str | None) -> None:
        """Write down that they have it, or why they never will; keep the aviso for the next."""
        async with transaction(self._databases) as session:
            if refusal is not None:
                await outbox.note_refusal(session, outcome.aviso_id, who, refusal)
            elif who != WEBHOOK:
                await outbox.note_sent(session, outcome.aviso_id, who)
            if who == WEBHOOK:
                await outbox.settle_webhook(session, outcome.aviso_id)
            renewed = await outbox.renew(session, outcome.aviso_id, outcome.claim)
        if refusal is not None:
            outcome.refusals[who] = refusal
            # A person's address, and what a mail server said of it, is in the notice's own row.
            whom = f"«{WEBHOOK}»: {refusal}" if who == WEBHOOK else "uno de sus destinatarios"
            log.error("el aviso %s no llegará a %s", outcome.aviso_id, whom)
        if renewed is None:
            raise LeaseLost(f"otro proceso tomó el aviso {outcome.aviso_id}")
        outcome.claim = renewed

    async def _addresses(self, notification: Notification, clinic: Clinic | None) -> list[str]:
        clinica_id = notification.claimed.aviso.clinica_id
        if self._clinics_error is not None and clinica_id is not None:
            raise NotifyError(f"no se sabe a quién escribir: {self._clinics_error}")
        try:
            if clinica_id is None:
                return await self._recipients.superadministrators()
            if clinic is None:
                return []
            async with transaction(self._databases) as session:
                told = await outbox.told(session, clinic.id)
            everybody = notification.for_everybody
            # What may be a theft is told to the administrators, whoever else is told of the rest.
            administrators = (
                await self._recipients.administrators(clinic, everybody=everybody)
                if told.administrators or everybody
                else ()
            )
            return list({each.casefold(): each for each in (*told.addresses, *administrators)}.values())
        except RespaldosError as exc:
            raise NotifyError(f"no se sabe a quién escribir: {exc}") from exc
