"""The `aviso` rows on their way to people. Crosses clinics: for the worker's notifier, and nobody else.

An aviso is claimed by moving its `proximo` forward; that time is the claim, and whoever else claims it later
has another. What is kept in `datos` while it is on its way: `enviado_a`, the addresses that have it, and
`rechazos`, which address or channel will never take it, and why.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import ColumnElement, Text, case, cast, func, literal, select, update
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.ext.asyncio import AsyncSession

from app.respaldos.models import Aviso, Politica, Respaldo
from app.respaldos.policies.policy import Told

# How long an aviso is its claimer's from each sign of life on (seconds): more than one message can take.
CLAIM_SECONDS = 300

# The pause after a failure doubles from the first to the longest (seconds).
FIRST_PAUSE_SECONDS = 60
LONGEST_PAUSE_SECONDS = 3600

# Older news helps nobody.
GIVE_UP_AFTER = timedelta(days=3)

SENT_TO = "enviado_a"
REFUSALS = "rechazos"


@dataclass(frozen=True, slots=True)
class ClaimedAviso:
    """An aviso that is ours to deliver until `claim`.

    `respaldo` is what it is about; `last_good` is when the clinic's newest good backup was taken.
    """

    aviso: Aviso
    respaldo: Respaldo | None
    last_good: datetime | None
    claim: datetime


async def claim(session: AsyncSession) -> ClaimedAviso | None:
    """Take the aviso that has been due for longest; None where none is."""
    due = (
        select(Aviso.id)
        .where(Aviso.terminado.is_(None), Aviso.proximo <= func.clock_timestamp())
        .order_by(Aviso.proximo, Aviso.id)
        .limit(1)
        .with_for_update(skip_locked=True)
        .scalar_subquery()
    )
    aviso = await session.scalar(update(Aviso).where(Aviso.id == due).values(proximo=_claim_end()).returning(Aviso))
    if aviso is None:
        return None
    respaldo = await session.get(Respaldo, aviso.respaldo_id) if aviso.respaldo_id is not None else None
    last_good = await session.scalar(
        select(func.max(Respaldo.fecha_respaldo)).where(Respaldo.clinica_id == aviso.clinica_id, Respaldo.good)
    )
    return ClaimedAviso(aviso, respaldo, last_good, aviso.proximo)


async def told(session: AsyncSession, clinica_id: int) -> Told:
    """Who of the clinic is told by e-mail; unless something else has been said of it, its administrators."""
    row = await session.execute(
        select(Politica.avisar, Politica.avisar_administradores).where(Politica.clinica_id == clinica_id)
    )
    addresses, administrators = row.one_or_none() or (None, None)
    return Told(administrators is not False, tuple(addresses or ()))


async def renew(session: AsyncSession, aviso_id: int, claim: datetime) -> datetime | None:
    """A later claim in the place of this one; None where the aviso is another's by now."""
    return await session.scalar(
        update(Aviso).where(*_mine(aviso_id, claim)).values(proximo=_claim_end()).returning(Aviso.proximo)
    )


async def note_sent(session: AsyncSession, aviso_id: int, address: str) -> None:
    """This address has it. That is so whoever's the aviso is by now."""
    sent = func.coalesce(Aviso.datos[SENT_TO], literal([], JSONB)).op("||")(func.to_jsonb(cast(address, Text)))
    await session.execute(
        update(Aviso)
        .where(Aviso.id == aviso_id)
        .values(datos=Aviso.datos.op("||")(func.jsonb_build_object(SENT_TO, sent)))
    )


async def note_refusal(session: AsyncSession, aviso_id: int, who: str, reason: str) -> None:
    """This address or channel will never take it. That is so whoever's the aviso is by now."""
    refusals = func.coalesce(Aviso.datos[REFUSALS], literal({}, JSONB)).op("||")(literal({who: reason}, JSONB))
    await session.execute(
        update(Aviso)
        .where(Aviso.id == aviso_id)
        .values(datos=Aviso.datos.op("||")(func.jsonb_build_object(REFUSALS, refusals)))
    )


async def settle_mail(session: AsyncSession, aviso_id: int) -> None:
    """Nobody is to be written to about it any more."""
    await session.execute(update(Aviso).where(Aviso.id == aviso_id).values(correo=func.clock_timestamp()))


async def settle_webhook(session: AsyncSession, aviso_id: int) -> None:
    """The webhook has it, or will never take it."""
    await session.execute(update(Aviso).where(Aviso.id == aviso_id).values(webhook=func.clock_timestamp()))


async def finish(session: AsyncSession, aviso_id: int, claim: datetime, *, error: str | None) -> None:
    """Done with; `error` says who would not take it. Changes nothing where the aviso is another's by now."""
    await session.execute(
        update(Aviso)
        .where(*_mine(aviso_id, claim))
        .values(terminado=func.clock_timestamp(), intentos=Aviso.intentos + 1, error=error)
    )


async def postpone(session: AsyncSession, aviso_id: int, claim: datetime, *, error: str) -> bool:
    """Have it tried again after a pause, or given up where it is too old; True where it was given up.

    Changes nothing where the aviso is another's by now.
    """
    now = func.clock_timestamp()
    # 2^6 minutes are more than the longest pause, and 2^intentos would overflow in the end.
    pause = func.least(FIRST_PAUSE_SECONDS * func.power(2, func.least(Aviso.intentos, 6)), LONGEST_PAUSE_SECONDS)
    ended: datetime | None = await session.scalar(
        update(Aviso)
        .where(*_mine(aviso_id, claim))
        .values(
            intentos=Aviso.intentos + 1,
            error=error,
            proximo=now + pause * timedelta(seconds=1),
            terminado=case((Aviso.fecha_creacion < now - GIVE_UP_AFTER, now)),
        )
        .returning(Aviso.terminado)
    )
    return ended is not None


async def finish_all(session: AsyncSession) -> int:
    """Be done with whatever waits, since there is no way to tell anybody; return how many those were."""
    ended = await session.scalars(
        update(Aviso).where(Aviso.terminado.is_(None)).values(terminado=func.clock_timestamp()).returning(Aviso.id)
    )
    return len(ended.all())


def _claim_end() -> ColumnElement[datetime]:
    # By the database's clock: several machines' workers claim.
    return func.clock_timestamp() + timedelta(seconds=CLAIM_SECONDS)


def _mine(aviso_id: int, claim: datetime) -> tuple[ColumnElement[bool], ...]:
    return Aviso.id == aviso_id, Aviso.proximo == claim, Aviso.terminado.is_(None)
