"""A backup with all that is known of it, as programs are given one."""

from app.connections.policy import retention_policy
from app.respaldos.contract import RespaldoCompleto
from app.respaldos.databases import Databases, transaction
from app.respaldos.models import Respaldo
from app.respaldos.progress import Progreso
from app.respaldos.retention.queries import policy_of
from app.settings import Settings


async def in_full(
    databases: Databases, settings: Settings, respaldo: Respaldo, progreso: Progreso | None = None
) -> RespaldoCompleto:
    """The backup, kept as long as its clinic's policy says; `progreso` is that of its job while it runs."""
    async with transaction(databases) as session:
        policy = await policy_of(session, retention_policy(settings), clinica_id=respaldo.clinica_id)
    return RespaldoCompleto.of(respaldo, retention_days=policy.days, progreso=progreso)
