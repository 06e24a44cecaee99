"""How people are told."""

from app.errors import SettingsError
from app.notify.options import SmtpOptions, WebhookOptions
from app.settings import Settings


def smtp_options(settings: Settings) -> SmtpOptions | None:
    """The mail server; None where there is none."""
    if settings.email_host is None:
        return None
    password = settings.email_host_password
    return SmtpOptions(
        host=settings.email_host,
        port=settings.email_port,
        tls=settings.email_use_tls,
        user=settings.email_host_user,
        password=password.get_secret_value() if password is not None else None,
        sender=settings.default_from_email,
    )


def webhook_options(settings: Settings) -> WebhookOptions | None:
    """Where notices are posted; None where that is nowhere."""
    if settings.webhook_url is None:
        return None
    if settings.webhook_secret is None:
        raise SettingsError("WEBHOOK_SECRET: falta, porque WEBHOOK_URL tiene valor")
    return WebhookOptions(settings.webhook_url, settings.webhook_secret.get_secret_value())
