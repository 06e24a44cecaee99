"""A backup with all that is known of it, as every route that gives one does."""

from app.connections.policy import retention_policy
from app.connections.service import Service
from app.respaldos.contract import RespaldoCompleto
from app.respaldos.databases import transaction
from app.respaldos.models import Respaldo
from app.respaldos.progress import Progreso
from app.respaldos.retention.queries import policy_of


async def in_full(service: Service, respaldo: Respaldo, progreso: Progreso | None = None) -> RespaldoCompleto:
    """The backup, kept as long as its clinic's policy says; `progreso` is that of its job while it runs."""
    async with transaction(service.resources) as session:
        policy = await policy_of(session, retention_policy(service.settings), clinica_id=respaldo.clinica_id)
    return RespaldoCompleto.of(respaldo, retention_days=policy.days, progreso=progreso)
