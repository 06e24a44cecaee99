"""What the clinic's people are called."""

import logging
from collections.abc import Iterable

from app.connections.service import Service
from app.errors import DatabaseError

log = logging.getLogger(__name__)


async def names_of(service: Service, usuarios: Iterable[str | None], *, clinica_id: int | None) -> dict[str, str]:
    """First and last names by code; of whom nothing is known, nothing. The platform has no people of its own.

    An answer is not refused because names are missing: where the clinics' database does not say, the log does.
    """
    if clinica_id is None:
        return {}
    try:
        return await service.users.display_names(usuarios, clinica_id=clinica_id)
    except DatabaseError as exc:
        log.warning("no se supieron los nombres de la gente de la clínica %s: %s", clinica_id, exc.for_log)
        return {}
