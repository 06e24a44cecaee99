"""Looks at everything."""

import asyncio
from collections.abc import Awaitable, Callable

from app.diagnostics import databases, servers
from app.diagnostics.finding import Finding, wrong
from app.diagnostics.local import local, seals
from app.errors import RespaldosError
from app.settings import Settings

# What has not answered by then is as good as away (seconds).
TIMEOUT_SECONDS = 60.0

Look = Callable[[Settings], Awaitable[list[Finding]]]

# What is looked at, what that is called where it fails, and where its mending begins.
LOOKS: tuple[tuple[Look, str, str], ...] = (
    (databases.service, "base del servicio", "revise DATABASE_URL"),
    (databases.reader, "rol que lee", "revise CLINIC_DATABASE_URL"),
    (databases.writer, "rol que restaura", "revise CLINIC_RESTORE_DATABASE_URL"),
    (
        servers.bucket,
        "bucket",
        "revise AWS_BACKUP_BUCKET_NAME, AWS_ENDPOINT_URL_S3 y las claves AWS_*",
    ),
    (servers.copies, "copias", "revise COPY_BUCKETS"),
    (servers.encryption, "cifrado", "revise MASTER_KEYS y MASTER_KEYS_FILE; en KMS, la clave y sus permisos"),
    (servers.redis, "Redis", "revise REDIS_URL"),
    (servers.mail, "correo", "revise EMAIL_HOST, EMAIL_PORT, EMAIL_USE_TLS, EMAIL_HOST_USER y EMAIL_HOST_PASSWORD"),
    (servers.webhook, "webhook", "revise WEBHOOK_URL"),
    (servers.clocks, "reloj", "primero, que respondan PostgreSQL y S3"),
)


async def diagnose(settings: Settings) -> list[Finding]:
    """Every finding, by what was looked at; one that fails keeps no other from being looked at."""
    found = await asyncio.gather(*(_looked(settings, *each) for each in LOOKS))
    return [*local(settings), *seals(settings), *(each for some in found for each in some)]


async def _looked(settings: Settings, look: Look, subject: str, remedy: str) -> list[Finding]:
    try:
        return await asyncio.wait_for(look(settings), TIMEOUT_SECONDS)
    except RespaldosError as exc:
        return [wrong(subject, str(exc), remedy)]
    except TimeoutError:
        return [wrong(subject, f"no respondió en {TIMEOUT_SECONDS:g} segundos", remedy)]
