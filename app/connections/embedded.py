"""The servers of this machine, where the settings ask for them."""

from collections.abc import Iterator
from contextlib import contextmanager

from pydantic import SecretStr

from app.errors import EmbeddedServerError
from app.settings import Settings


@contextmanager
def embedded_servers(settings: Settings) -> Iterator[Settings]:
    """Serve what the settings want embedded while the block runs; give the settings with its addresses filled in.

    Raises EmbeddedServerError, also where this installation has none.
    """
    if not settings.embedded_servers:
        yield settings
        return
    try:
        # Left out of the wheel, and so of what runs in production.
        from app.demo import embedded
    except ModuleNotFoundError as exc:
        if exc.name != "app.demo":
            raise
        raise EmbeddedServerError(
            "esta instalación no trae la demo ni sus servidores: dé las direcciones de los suyos (vea .env.example)"
        ) from exc

    with embedded.running(settings.respaldos_home, settings.embedded_servers) as addresses:
        given = {
            "database_url": addresses.database_url and SecretStr(addresses.database_url),
            "redis_url": addresses.redis_url and SecretStr(addresses.redis_url),
            "aws_endpoint_url_s3": addresses.s3_endpoint_url,
            "aws_access_key_id": addresses.s3_access_key_id,
            "aws_secret_access_key": addresses.s3_secret_access_key and SecretStr(addresses.s3_secret_access_key),
            # With addresses and without this, they would look like servers of somebody else's.
            "embedded": settings.embedded_servers,
        }
        yield settings.model_copy(update={name: value for name, value in given.items() if value is not None})
