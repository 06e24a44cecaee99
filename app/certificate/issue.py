"""Issue a certificate: the backup's object is read whole for it, so that it says what is true now."""

import asyncio
from collections.abc import Mapping
from contextlib import suppress
from datetime import UTC, datetime

from app.certificate.content import Issue, certificate
from app.certificate.pdf import pdf, require
from app.errors import ClinicNotFound, NotCompleted, RespaldoNotFound
from app.respaldos.audit import Actor
from app.respaldos.models import Estado, Profundidad, Respaldo, Restauracion, TipoRestauracion
from app.respaldos.progress import Progress
from app.respaldos.reading.verification import verificar_respaldo
from app.respaldos.resources import Resources


def file_name(respaldo: Respaldo, restauracion: Restauracion | None = None) -> str:
    """What a certificate's file is called."""
    of = f"respaldo_{respaldo.id}" if restauracion is None else f"{restauracion.tipo}_{restauracion.id}"
    return f"constancia_{of}.pdf"


async def emitir_constancia(
    resources: Resources,
    respaldo: Respaldo,
    restauracion: Restauracion | None = None,
    *,
    actor: Actor,
    names: Mapping[str, str] | None = None,
    progress: Progress | None = None,
) -> bytes:
    """A PDF that certifies the backup or, where it is given, what was done with it.

    The reading is a complete verification by `actor`, and on record as such. `names` are the clinic's people by code.

    Raises MissingLibrary, RespaldoNotFound and NotCompleted before anything is read, and as `verificar_respaldo`.
    """
    require()
    if restauracion is not None:
        _refuse_uncertifiable(restauracion)
    verified = await verificar_respaldo(
        resources, respaldo, profundidad=Profundidad.COMPLETA, actor=actor, progress=progress
    )
    # A complete reading returns what the file says.
    assert verified is not None  # noqa: S101
    clinic_name = None
    if respaldo.clinica_id is not None:
        with suppress(ClinicNotFound):
            clinic_name = (await resources.clinic.clinic(respaldo.clinica_id)).name
    issue = Issue(clinic_name, names or {}, datetime.now(UTC), resources.time_zone, actor.usuario)
    return await asyncio.to_thread(pdf, certificate(issue, respaldo, verified, restauracion))


def _refuse_uncertifiable(restauracion: Restauracion) -> None:
    if restauracion.tipo == TipoRestauracion.COMPARACION:
        raise RespaldoNotFound("de una comparación no hay constancia: no prueba nada ni cambia nada")
    estado = restauracion.trabajo.estado
    if estado not in (Estado.COMPLETADO, Estado.FALLIDO):
        raise NotCompleted(
            f"el número {restauracion.id} está {estado}: su constancia se emite cuando termina", estado
        )
