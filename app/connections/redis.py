"""Where Redis is."""

from app.errors import QueueUnavailable
from app.settings import Settings


def redis_url(settings: Settings) -> str:
    """Where Redis is. Raises QueueUnavailable where the settings do not say."""
    if settings.redis_url is None:
        raise no_redis()
    return settings.redis_url.get_secret_value()


def no_redis() -> QueueUnavailable:
    """The error of what needs Redis where REDIS_URL is not set."""
    return QueueUnavailable("REDIS_URL: falta")
