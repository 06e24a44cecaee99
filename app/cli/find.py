"""A backup that a command is about: found, and shown."""

from collections import defaultdict
from collections.abc import Iterable, Mapping

from app.cli.output import timestamp
from app.cli.running import with_databases
from app.connections.policy import retention_policy
from app.dump.whose import whose
from app.errors import RespaldoNotFound
from app.respaldos.backup import fleet as backup_fleet
from app.respaldos.backup.object_key import plain_name
from app.respaldos.contract import RespaldoCompleto
from app.respaldos.databases import Databases, transaction
from app.respaldos.models import Respaldo
from app.respaldos.retention import fleet as retention_fleet
from app.settings import settings_of_process


async def find_respaldo(databases: Databases, respaldo_id: int) -> Respaldo:
    """The backup of that id, whichever clinic it is of, deleted or not. Raises RespaldoNotFound."""
    async with transaction(databases) as session:
        respaldo = await backup_fleet.get(session, respaldo_id)
    if respaldo is None:
        raise RespaldoNotFound(f"no existe el respaldo {respaldo_id}")
    return respaldo


async def all_in_full(databases: Databases, respaldos: Iterable[Respaldo]) -> list[RespaldoCompleto]:
    """All that programs are shown of backups of which none runs."""
    days = await kept_days(databases)
    return [RespaldoCompleto.of(respaldo, retention_days=days[respaldo.clinica_id]) for respaldo in respaldos]


async def kept_days(databases: Databases) -> Mapping[int | None, int]:
    """For how many days everything of each clinic is kept."""
    general = retention_policy(settings_of_process())
    async with transaction(databases) as session:
        own = await retention_fleet.own_policies(session, general)
    return defaultdict(lambda: general.days, {clinica_id: policy.days for clinica_id, policy in own.items()})


def encryption_of(respaldo: Respaldo) -> str:
    """With what it is encrypted, in words."""
    if respaldo.clave_destruida is not None:
        return f"su clave («{respaldo.key_id}») se destruyó el {timestamp(respaldo.clave_destruida)}: nadie lo lee"
    return f"con la clave «{respaldo.key_id}» de {whose(respaldo.clinica_id)}" if respaldo.encrypted else "no"


def file_name(respaldo_id: int, *, raw: bool = False) -> str:
    """What a backup's file is called where nobody has said; `raw` is as it is stored, encrypted or not."""

    async def work(databases: Databases) -> str:
        respaldo = await find_respaldo(databases, respaldo_id)
        key = respaldo.archivo_s3 or f"respaldo_{respaldo_id}.json.gz"
        return key.rpartition("/")[2] if raw else plain_name(key)

    return with_databases(work)
