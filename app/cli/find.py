"""A backup that a command is about: found, and shown."""

from app.cli.running import with_databases
from app.errors import RespaldoNotFound
from app.respaldos.backup import fleet as backup_fleet
from app.respaldos.contract import RespaldoCompleto
from app.respaldos.databases import Databases, transaction
from app.respaldos.models import Respaldo
from app.respaldos.progress import Progreso
from app.settings import load_settings


async def find_respaldo(databases: Databases, respaldo_id: int) -> Respaldo:
    """The backup of that id, whichever clinic it is of, deleted or not. Raises RespaldoNotFound."""
    async with transaction(databases) as session:
        respaldo = await backup_fleet.get(session, respaldo_id)
    if respaldo is None:
        raise RespaldoNotFound(f"no existe el respaldo {respaldo_id}")
    return respaldo


def in_full(respaldo: Respaldo, progreso: Progreso | None = None) -> RespaldoCompleto:
    """All that programs are shown of it; `progreso` is that of its job while it runs."""
    return RespaldoCompleto.of(respaldo, retention_days=load_settings().retention_days, progreso=progreso)


def file_name(respaldo_id: int) -> str:
    """What a backup's file is called where nobody has said: the end of its key."""

    async def work(databases: Databases) -> str:
        respaldo = await find_respaldo(databases, respaldo_id)
        return (respaldo.archivo_s3 or f"respaldo_{respaldo_id}.json.gz").rpartition("/")[2]

    return with_databases(work)
