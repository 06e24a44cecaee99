"""The other servers: S3, Redis, mail, webhook; the worker; the clocks."""

import uuid
from collections.abc import Sequence
from contextlib import suppress
from datetime import UTC, datetime

from sqlalchemy import func

from app.broker.queue import open_queue
from app.connections.databases import open_databases
from app.connections.encryption import keyring
from app.connections.notify import smtp_options, webhook_options
from app.connections.redis import redis_url
from app.connections.storage import copy_options, s3_options
from app.diagnostics.finding import Finding, good, warning, wrong
from app.errors import DatabaseError, SettingsError, StorageError
from app.notify.mail import Mailer
from app.notify.webhook import Webhook
from app.respaldos.databases import transaction
from app.respaldos.keys import fleet as key_fleet
from app.respaldos.keys.object_key import PREFIX as KEYS
from app.settings import CopyBucket, Settings
from app.storage.bucket import ACL, EXPORTS, PREFIX, Outcome, configure_bucket
from app.storage.s3 import open_storage

_DRAW_MASTER = 'MASTER_KEYS="2026:$(openssl rand -base64 32)", y una copia donde no se pierda'

# Apart by more than this, what is shown is confusing, and by more than that, leases, tokens and S3's signatures fail
# (seconds).
NOTICED_SECONDS, FATAL_SECONDS = 5.0, 60.0


async def bucket(settings: Settings) -> list[Finding]:
    """Whether objects can be written, read and deleted, and how the bucket is set up."""
    subject = "bucket"
    async with open_storage(s3_options(settings)) as storage:
        await storage.check()
        # Of each prefix, since a policy may allow one alone; no backup and no export is called so.
        for prefix in (PREFIX, EXPORTS, *((KEYS,) if settings.encryption else ())):
            await storage.probe(f"{prefix}revision/{uuid.uuid4().hex}")
        found = [good(subject, f"en «{settings.aws_backup_bucket_name}» se escribe, se lee y se borra")]
        for setting in await configure_bucket(storage, look=True):
            if setting.outcome is Outcome.WRONG:
                # Other stores say of what they do not know that it was never set; only setting it would tell.
                level = wrong if settings.aws_endpoint_url_s3 is None or setting.name == ACL else warning
                remedy = "respaldos configurar-s3" + ("" if level is wrong else " (si el almacén lo admite)")
                found.append(level(subject, f"{setting.name}: {setting.detail}", remedy))
            elif setting.outcome in (Outcome.UNSUPPORTED, Outcome.UNSEEN):
                found.append(warning(subject, f"{setting.name}: {setting.detail}"))
    return found


async def copies(settings: Settings) -> list[Finding]:
    """Whether second copies can be written to each bucket and read there, and by whom they are removed."""
    return [each for copy in settings.copy_buckets for each in await _copy(settings, copy)]


async def _copy(settings: Settings, copy: CopyBucket) -> list[Finding]:
    subject = f"copia «{copy.name}»"
    try:
        async with open_storage(copy_options(copy)) as storage:
            await storage.check()
            removed = [
                # Of the same name each time: where our keys may not delete, it stays.
                await storage.probe_kept(f"{prefix}revision/prueba")
                for prefix in (PREFIX, *((KEYS,) if settings.encryption else ()))
            ]
            found = [good(subject, f"en «{copy.bucket}» se escribe y se lee")]
            if not all(removed):
                said = "sus claves no dejan borrar: las copias las borra el ciclo de vida de ese bucket, si lo tiene"
                found.append(good(subject, said))
            for setting in await configure_bucket(storage, look=True):
                if setting.outcome is Outcome.WRONG:
                    remedy = f"respaldos configurar-s3 --copia {copy.name} (si el almacén lo admite)"
                    found.append(warning(subject, f"{setting.name}: {setting.detail}", remedy))
            return found
    except (StorageError, SettingsError) as exc:
        return [wrong(subject, str(exc), f"revise «{copy.name}» en COPY_BUCKETS")]


async def encryption(settings: Settings) -> list[Finding]:
    """Whether new backups are encrypted, and whether this process can read those that are."""
    subject = "cifrado"
    ring = keyring(settings)
    masters = ring.masters
    known = ", ".join(f"«{name}»" for name in masters.keys)
    found: list[Finding] = []
    wrapped: Sequence[key_fleet.Wrapped] = ()
    # What is wrong with that database has a line of its own.
    with suppress(DatabaseError, SettingsError):
        async with open_databases(settings) as databases, transaction(databases) as session:
            wrapped = await key_fleet.wrapped_by(session)
    for each in wrapped:
        many = "1 clave de una clínica está envuelta" if each.keys == 1 else f"{each.keys:,} claves están envueltas"
        if each.master_id not in masters.keys:
            found.append(
                wrong(
                    subject,
                    f"{many} con «{each.master_id}», que aquí falta: este proceso no lee lo que se cifró así",
                    f"ponga «{each.master_id}» en MASTER_KEYS, salvo en un proceso que no deba leerlo",
                )
            )
        elif each.master_id != masters.wrapping:
            said = f"{many} con «{each.master_id}», que ya no es la primera"
            found.append(warning(subject, said, "respaldos claves rotar"))
        if each.uncopied:
            said = f"{each.uncopied:,} claves sin copia en el bucket: si se pierde la base, se pierden"
            found.append(wrong(subject, said, "respaldos claves rotar"))
    if not masters.keys:
        if settings.encryption:
            found.append(
                wrong(subject, "ENCRYPTION=on y falta la clave maestra: no se hace ningún respaldo", _DRAW_MASTER)
            )
        return found or [good(subject, "los respaldos no se cifran (ENCRYPTION); los cifra S3 si S3_SSE lo dice")]
    for name in masters.keys:
        # Of one in KMS, that it may be used is known by using it.
        await masters.try_out(name)
    said = (
        f"se cifra, con claves que «{masters.wrapping}» envuelve" if settings.encryption else "no se cifra lo nuevo"
    )
    return [*found, good(subject, f"{said}; se conocen las claves maestras {known}")]


async def redis(settings: Settings) -> list[Finding]:
    """Whether it answers, throws nothing away, and remembers; whether it has heard of a worker."""
    async with open_queue(redis_url(settings)) as queue:
        server = await queue.server()
        silent = await queue.silent_workers()
    found = []
    if server.policy.startswith("allkeys"):
        said = f"cuando se llena olvida cualquier cosa ({server.policy}): trabajos por hacer e intentos de ingreso"
        found.append(wrong("Redis", said, "redis-cli CONFIG SET maxmemory-policy noeviction"))
    if not server.appends:
        said = "olvida todo al reiniciarse, también los ingresos fallidos que cuentan contra quien adivina claves"
        found.append(warning("Redis", said, "redis-cli CONFIG SET appendonly yes"))
    found = found or [good("Redis", f"responde, y conserva lo que se le da ({server.policy})")]
    if silent is not None:
        return [*found, wrong("trabajador", silent, "respaldos worker")]
    return [*found, good("trabajador", "hay noticias suyas")]


async def mail(settings: Settings) -> list[Finding]:
    """Whether the mail server lets us in, by STARTTLS or TLS where that is asked for."""
    options = smtp_options(settings)
    if options is None:
        return [warning("correo", "sin EMAIL_HOST nadie recibe avisos por correo")]
    mailer = Mailer(options)
    try:
        await mailer.connect()
    finally:
        await mailer.close()
    how = "con TLS" if options.tls else "sin TLS: todo va a la vista"
    who = f", como «{options.user}»" if options.user is not None else ""
    said = f"«{options.host}:{options.port}» atiende {how}{who}"
    return [good("correo", said) if options.tls else warning("correo", said, "EMAIL_USE_TLS=true")]


async def webhook(settings: Settings) -> list[Finding]:
    """Whether its address answers; it is told nothing."""
    options = webhook_options(settings)
    if options is None:
        return [good("webhook", "no se usa (WEBHOOK_URL)")]
    target = Webhook(options)
    try:
        await target.check()
    finally:
        await target.close()
    return [good("webhook", "su dirección responde")]


async def clocks(settings: Settings) -> list[Finding]:
    """How far ours is from PostgreSQL's and from S3's."""
    async with open_databases(settings) as databases, transaction(databases) as session:
        await session.connection()
        before = datetime.now(UTC)
        theirs = await session.scalar(func.clock_timestamp())
        ours = before + (datetime.now(UTC) - before) / 2
    found = [_clock("PostgreSQL", (theirs - ours).total_seconds())] if theirs is not None else []
    async with open_storage(s3_options(settings)) as storage:
        ahead = await storage.ahead()
    return [*found, *([_clock("S3", ahead)] if ahead is not None else [])]


def _clock(whose: str, ahead: float) -> Finding:
    said = f"el de {whose} y el de esta máquina difieren en {abs(ahead):.1f} s"
    if abs(ahead) <= NOTICED_SECONDS:
        return good("reloj", said)
    which = "adelanta" if ahead > 0 else "atrasa"
    remedy = "timedatectl set-ntp true (en la máquina cuyo reloj esté mal)"
    return (wrong if abs(ahead) > FATAL_SECONDS else warning)("reloj", f"{said}; {which} el de {whose}", remedy)
