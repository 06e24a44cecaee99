"""The audit trail. Each function takes part in its caller's transaction, so that what happened and its line agree."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Self

from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import aliased

from app.respaldos.models import Accion, Evento, Trabajo


@dataclass(frozen=True, slots=True)
class RequestKey:
    """What somebody, `quien` in that clinic, named a request for a job; `huella` is of what it asks for."""

    quien: str
    clave: str
    huella: str


@dataclass(frozen=True, slots=True)
class Actor:
    """Who asks, and from where: `usuario` is their id in the clinic's own system, `nombre` what people call them.

    `direccion` is an IP address, or which part of this service acted by itself. `key` is that of the request.
    """

    usuario: str | None
    nombre: str | None
    direccion: str | None
    key: RequestKey | None = None

    @classmethod
    def of(cls, job: Trabajo) -> Self:
        """Who asked for the job; what people call them stands in the backup's row alone."""
        return cls(job.usuario, None, job.direccion)


COMMAND_LINE = Actor(None, None, "línea de comandos")
SERVICE = Actor(None, None, "servicio")


async def record(
    session: AsyncSession,
    accion: Accion,
    actor: Actor,
    *,
    clinica_id: int | None,
    respaldo_id: int | None = None,
    **detalle: Any,
) -> None:
    """Add one line. `clinica_id` is None only where nobody's clinic is known, as with a refused login."""
    session.add(
        Evento(
            clinica_id=clinica_id,
            accion=accion,
            respaldo_id=respaldo_id,
            usuario=actor.usuario,
            direccion=actor.direccion,
            detalle=detalle,
        )
    )
    await session.flush()


async def page(
    session: AsyncSession,
    *,
    clinica_id: int | None,
    accion: Accion | None,
    respaldo_id: int | None = None,
    limit: int,
    offset: int,
) -> tuple[Sequence[Evento], int]:
    """Lines of the clinic's trail, or those about one backup, newest first, and how many there are in all."""
    wanted = select(Evento).where(Evento.clinica_id == clinica_id)
    if respaldo_id is not None:
        wanted = wanted.where(Evento.respaldo_id == respaldo_id)
    if accion is not None:
        wanted = wanted.where(Evento.accion == accion)
    total = await session.scalar(wanted.with_only_columns(func.count()))
    found = await session.scalars(wanted.order_by(Evento.id.desc()).limit(limit).offset(offset))
    return found.all(), total or 0


async def page_of_eventos(
    session: AsyncSession,
    *,
    accion: Accion | None = None,
    clinica_id: int | None = None,
    day: tuple[datetime, datetime] | None = None,
    before: int | None = None,
    limit: int,
) -> tuple[Sequence[Evento], bool]:
    """Lines of every clinic's trail and of nobody's, newest first, and whether there are older ones.

    Of one kind, of one clinic, of one `day` from its beginning until right before its end, older than line `before`,
    where that is said. Nothing is counted: a year of 10,000 clinics has millions of lines.
    """
    # By itself PostgreSQL would go back line by line from today, in the hope of one of that day soon.
    of_day = (
        select(Evento).where(Evento.fecha >= day[0], Evento.fecha < day[1]).cte().prefix_with("MATERIALIZED")
        if day is not None
        else None
    )
    lines = aliased(Evento, of_day) if of_day is not None else aliased(Evento)
    wanted = select(lines).order_by(lines.id.desc()).limit(limit + 1)
    if accion is not None:
        wanted = wanted.where(lines.accion == accion)
    if clinica_id is not None:
        wanted = wanted.where(lines.clinica_id == clinica_id)
    if before is not None:
        wanted = wanted.where(lines.id < before)
    found = (await session.scalars(wanted)).all()
    return found[:limit], len(found) > limit
