"""The audit trail. Each function takes part in its caller's transaction, so that what happened and its line agree."""

import hashlib
from collections.abc import Iterable, Sequence
from contextvars import ContextVar
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Self

from sqlalchemy import Text, cast, event, func, select
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import Session, aliased

from app.respaldos.models import Accion, Evento, Trabajo


@dataclass(frozen=True, slots=True)
class RequestKey:
    """What somebody, `quien` in that clinic, named a request for a job; `huella` is of what it asks for."""

    quien: str
    clave: str
    huella: str


# What an operating system calls who used the command line, in the line's `detalle`.
SYSTEM_USER = "usuario_sistema"

_system_user: ContextVar[str | None] = ContextVar("_system_user", default=None)


def at_the_command_line(user: str) -> None:
    """Have what this process does by the command line say which user of the operating system that was."""
    _system_user.set(user)


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


# The hash before the first line.
NONE_BEFORE = "0" * 64

# Lines in memory while the trail is verified.
VERIFIED_AT_ONCE = 5_000

# What a session's transaction is to write, in its `info`.
_LINES = "eventos"

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
    """Have one line written when the transaction ends.

    `clinica_id` is None only where nobody's clinic is known, as with a refused login.
    """
    # A worker that does what was asked for there is another user's process.
    if actor.direccion == COMMAND_LINE.direccion and (user := _system_user.get()) is not None:
        detalle[SYSTEM_USER] = user
    record_all(
        session,
        [
            Evento(
                clinica_id=clinica_id,
                accion=accion,
                respaldo_id=respaldo_id,
                usuario=actor.usuario,
                direccion=actor.direccion,
                detalle=detalle,
            )
        ],
    )
    # What it is about is in the database by then, as callers count on.
    await session.flush()


def record_all(session: AsyncSession, lines: Iterable[Evento]) -> None:
    """Have these lines written when the transaction ends."""
    session.info.setdefault(_LINES, []).extend(lines)


@event.listens_for(Session, "before_commit")
def _write(session: Session) -> None:
    """Write the transaction's lines, as the last thing that it does.

    From here until the transaction has ended nobody else writes any: who did so earlier, and then waited for
    something of somebody who waits to write a line, would wait for ever.
    """
    lines = session.info.pop(_LINES, [])
    if lines:
        session.add_all(lines)
        session.flush()


@event.listens_for(Session, "after_rollback")
def _forget(session: Session) -> None:
    session.info.pop(_LINES, None)


@dataclass(frozen=True, slots=True)
class Proof:
    """What the trail's lines prove: how many there are, and the last one's number and hash.

    `problem` is a Spanish sentence that says what is wrong with the first line that is.
    """

    lines: int
    last: int
    digest: str
    problem: str | None = None


async def verify(session: AsyncSession, *, anchor: tuple[int, str] | None = None) -> Proof:
    """Compute every line's hash anew, in constant memory. `anchor` is the number and hash that a line had once."""
    line = Evento
    content = func.jsonb_build_array(
        line.id,
        func.to_char(func.timezone("UTC", line.fecha), 'YYYY-MM-DD"T"HH24:MI:SS.US'),
        *(line.clinica_id, line.accion, line.respaldo_id, line.usuario, line.direccion, line.detalle),
    )
    wanted = select(line.id, line.anterior, line.huella, cast(content, Text)).order_by(line.id)
    count, last, digest = 0, 0, NONE_BEFORE
    found = await session.stream(wanted.execution_options(yield_per=VERIFIED_AT_ONCE))
    async for number, before, stored, text in found:
        problem = None
        if before != digest:
            problem = f"la línea {number} no sigue a la anterior ({last}): falta alguna, o se cambió"
        elif hashlib.sha256((before + text).encode()).hexdigest() != stored:
            problem = f"la línea {number} no es la que se escribió"
        elif anchor is not None and anchor[0] == number and anchor[1] != stored:
            problem = f"la línea {number} no es la que se anotó"
        if problem is not None:
            return Proof(count, last, digest, problem)
        count, last, digest = count + 1, number, stored
    if anchor is not None and anchor[0] > last:
        return Proof(count, last, digest, f"la línea {anchor[0]}, que se anotó, ya no está: la última es la {last}")
    return Proof(count, last, digest)


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
