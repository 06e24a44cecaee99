"""The kinds of jobs: all that is said of each of them is said here."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from sqlalchemy.ext.asyncio import AsyncSession

from app.errors import (
    FormatError,
    Interrupted,
    ObjectMismatch,
    ObjectNotFound,
    RespaldosError,
    RestoreDiffers,
    RestoreInterrupted,
)
from app.respaldos.audit import SERVICE, Actor
from app.respaldos.models import Clase, Estado, Trabajo

if TYPE_CHECKING:
    from app.respaldos.jobs.run import Attempt
    from app.respaldos.resources import Resources

# What reading a file raises where the object is not the backup; anything else says nothing about it.
BAD = (FormatError, ObjectMismatch, ObjectNotFound, RestoreDiffers)

# A job whose process dies, or that fails for a reason that may pass, is tried up to this often in all. What a stop of
# the worker interrupts is no such try: otherwise two deployments would leave a backup a single one.
MAX_ATTEMPTS = 3


@dataclass(frozen=True, slots=True)
class Kind:
    """`noun` is in people's words, with its `article`.

    `priority` is that of one which a person asks for, `unattended` that of one which the service itself asks for; the
    least number comes first. `reading`: it changes nothing; of a clinic one runs at a time while others wait.
    `exclusive`: while it runs, no other exclusive job of its clinic does. `retried`: it may be tried again by itself,
    but after one of the `final` errors. `cancellable`: a person may have it stopped. `asks_outcome`: where its
    process died, only the clinics' database knows how it ended. `interrupted` is what a stop of its process is.
    """

    article: str
    noun: str
    priority: int
    unattended: int
    interrupted: RespaldosError
    reading: bool = False
    exclusive: bool = False
    retried: bool = False
    cancellable: bool = False
    asks_outcome: bool = False
    final: tuple[type[RespaldosError], ...] = ()


# Of the points of the day: after every other backup, and before what only reads. One that waits makes way for any
# other backup of its clinic.
POINT_PRIORITY = 35

# After what a person waits for, and before the week's trials, which may take hours.
_COPY_PRIORITY = 45

_UNDONE = RestoreInterrupted("la restauración se interrumpió y no cambió nada")

KINDS = {
    Clase.RESTAURACION: Kind("la", "restauración", 10, 10, _UNDONE, exclusive=True, asks_outcome=True),
    Clase.RESPALDO: Kind(
        *("el", "respaldo", 20, 30),
        Interrupted("el respaldo se interrumpió antes de terminar"),
        exclusive=True,
        retried=True,
        cancellable=True,
    ),
    # It would be the same restore if it were not taken back at the end.
    Clase.SIMULACION: Kind("la", "restauración", 40, 40, _UNDONE, reading=True, exclusive=True, asks_outcome=True),
    Clase.VERIFICACION: Kind(
        *("la", "verificación", 40, 50),
        Interrupted("la verificación se interrumpió"),
        reading=True,
        retried=True,
        final=BAD,
    ),
    Clase.COMPARACION: Kind(
        *("la", "comparación", 40, 40),
        Interrupted("la comparación se interrumpió"),
        reading=True,
        retried=True,
        final=BAD,
    ),
    Clase.EXPORTACION: Kind(
        *("la", "exportación", 40, 40),
        Interrupted("la exportación se interrumpió"),
        reading=True,
        retried=True,
        cancellable=True,
        final=BAD,
    ),
    # No reading to those: a clinic's copies keep nobody from asking for one.
    Clase.COPIA: Kind(
        *("la", "copia", _COPY_PRIORITY, _COPY_PRIORITY), Interrupted("la copia se interrumpió"), retried=True
    ),
}


def those(wanted: Callable[[Kind], bool]) -> list[Clase]:
    """The kinds of which that is true."""
    return [clase for clase, kind in KINDS.items() if wanted(kind)]


def job_values(clase: Clase, *, clinica_id: int | None, actor: Actor, **others: Any) -> dict[str, Any]:
    """The columns of a pending job as its kind says; `others` are columns, too, which come before that."""
    kind = KINDS[clase]
    return {
        "clase": clase,
        "clinica_id": clinica_id,
        "estado": Estado.PENDIENTE,
        "prioridad": kind.unattended if actor == SERVICE else kind.priority,
        "exclusiva": kind.exclusive,
        "reintentable": kind.retried,
        "usuario": actor.usuario,
        "direccion": actor.direccion,
        **others,
    }


def name_of(job: Trabajo) -> str:
    """What the job is called in messages: by the number that people know."""
    where = f" en «{job.destino}»" if job.destino is not None else ""
    return f"{KINDS[Clase(job.clase)].noun} {job.restauracion_id or job.exportacion_id or job.respaldo_id}{where}"


def the(job: Trabajo, *, number: bool = True) -> str:
    """The same with its article, for a sentence; without its `number` where that is said besides."""
    kind = KINDS[Clase(job.clase)]
    return f"{kind.article} {name_of(job) if number else kind.noun}"


async def _nothing(*_: object) -> None:
    """Nothing more is to be done."""


@dataclass(frozen=True, slots=True)
class Handlers:
    """What is done for jobs of a kind.

    `run` does the claimed job and completes it. `ended` takes part in the transaction that ends an attempt, however
    it ended; the seconds that it took are None where its process died. `clean` follows an attempt that failed or was
    taken over; it ends in a bounded time.
    """

    run: "Callable[[Attempt], Awaitable[object]]"
    ended: Callable[[AsyncSession, Trabajo, float | None], Awaitable[None]] = _nothing
    clean: "Callable[[Resources, Trabajo], Awaitable[None]]" = _nothing


def handlers_of(clase: Clase) -> Handlers:
    """What does it. Imported when it is wanted: it stands on this module, and restoring takes long to import."""
    match clase:
        case Clase.RESPALDO:
            from app.respaldos.backup import run as backup

            return backup.HANDLERS
        case Clase.RESTAURACION | Clase.SIMULACION:
            from app.respaldos.restore import run as restore

            return restore.HANDLERS
        case Clase.VERIFICACION:
            from app.respaldos.reading import verification

            return verification.HANDLERS
        case Clase.COMPARACION:
            from app.respaldos.reading import comparison

            return comparison.HANDLERS
        case Clase.EXPORTACION:
            from app.respaldos.exports import run as exports

            return exports.HANDLERS
        case Clase.COPIA:
            from app.respaldos.copies import run as copies

            return copies.HANDLERS
