"""One case: made, backed up, damaged, restored, and held against what was there before."""

import re
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass
from enum import StrEnum
from typing import Self

import asyncpg

from app.clinic.catalogue.secret_columns import SecretColumns
from app.clinic.clinic import Tenancy
from app.clinic.restore.database import RestoreDatabase
from app.clinic.restore.scope import Scope
from app.clinic.restore.session import Plan
from app.errors import DatabaseError, DatabaseUnavailable, RespaldosError, SchemaChanged
from tests.random_restores.damage import MINE, Damage
from tests.random_restores.fingerprint import Ambiguous, Fingerprint, Key, Row, broken_keys, take
from tests.random_restores.promises import Promise, scope_of
from tests.random_restores.schemas import NOBODY, Case, Table, script
from tests.support.clinic_backup import Backup, back_up
from tests.support.clinic_restore import counts, loaded, restore, staged

Counts = tuple[int, int, int]

OWNER, PASSWORD = "propietario", "clave-de-prueba"

# How a refusal tells what to do: again, with another option or right, or after something was changed in the database.
WAY_OUT = re.compile(r"(vuelva a|restaure|grant|alter|cambie|quite|libera\w*) |--[a-z]", re.IGNORECASE)


class Outcome(StrEnum):
    """What became of a case; a finding is raised."""

    EXACT = "exact"
    WAY_OUT = "refused with a way out"
    NO_WAY_OUT = "refused without one"
    NOTHING = "no damage"


class Finding(AssertionError):
    """The restore did what it must not do."""


@dataclass(frozen=True, slots=True)
class Ground:
    """A database whose schema `public` is made anew for each case. `sql` is a superuser's connection.

    `owner` is the role whose tables they are, and that restores; None for the superuser.
    """

    sql: asyncpg.Connection
    superuser_url: str
    url: str
    owner: str | None

    @property
    def clinics(self) -> RestoreDatabase:
        """The service's view of it, that knows nothing of earlier cases."""
        return RestoreDatabase(self.url, Tenancy(), SecretColumns(()))

    @classmethod
    async def of(cls, url: str, sql: asyncpg.Connection, *, ordinary: bool) -> Self:
        """In this database, for its superuser or for a role that owns the tables and switches no trigger off."""
        if not ordinary:
            return cls(sql, url, url, None)
        await sql.execute("RESET ROLE")
        # Other processes have the same server.
        with suppress(asyncpg.DuplicateObjectError, asyncpg.UniqueViolationError):
            await sql.execute(f"CREATE ROLE {OWNER} LOGIN BYPASSRLS PASSWORD '{PASSWORD}'")
        await sql.execute(f'GRANT CREATE, TEMPORARY ON DATABASE "{url.rpartition("/")[2]}" TO {OWNER}')
        return cls(sql, url, f"postgresql://{OWNER}:{PASSWORD}@{url.rpartition('@')[2]}", OWNER)

    async def make(self, case: Case) -> None:
        """Make the tables with their rows."""
        as_owner = f"SET ROLE {self.owner}" if self.owner else "RESET ROLE"
        await self.sql.execute(f"RESET ROLE; DROP SCHEMA public CASCADE; CREATE SCHEMA public; {as_owner}")
        if self.owner is not None:
            await self.sql.execute(f"RESET ROLE; ALTER SCHEMA public OWNER TO {self.owner}; {as_owner}")
        case.statements[:] = script(case, self.sql.get_server_version().major)
        await self.sql.execute(";\n".join(case.statements))


@dataclass(frozen=True, slots=True)
class Result:
    """`why` is the sentence of a refusal."""

    outcome: Outcome
    why: str = ""


async def run(ground: Ground, case: Case) -> Result:
    """See the case through. Raises Finding."""
    await ground.make(case)
    tables = case.tables
    try:
        before = await take(ground.sql, tables)
    except Ambiguous:
        return Result(Outcome.NOTHING)
    clinics = ground.clinics
    backup = await back_up(clinics, MINE)
    await _complete(backup, before, tables)
    damage = Damage(ground.sql, tables, case.statements)
    if case.trial:
        await _try(clinics, backup)
    scope = scope_of(case.part, before, tables, MINE)
    happened = [await damage.do(*act) for act in case.acts]
    if not any(happened):
        plan = await restore(clinics, backup.file, scope=scope)
        if counts(plan):
            raise Finding(f"nada cambió, y se restauraría {counts(plan)}")
        return Result(Outcome.NOTHING)
    damaged = await take(ground.sql, tables)
    foreseen: Plan | RespaldosError | None = None
    if case.preview:
        foreseen = await _attempt(clinics, backup, scope, simulate=True)
        if (await take(ground.sql, tables)).everything() != damaged.everything():
            raise Finding("la simulación cambió algo")
    writer = _Writer(ground, case, damaged)
    try:
        done = await _attempt(clinics, backup, scope, writer=writer)
    finally:
        await writer.close()
    after = await take(ground.sql, tables)
    if isinstance(done, RespaldosError):
        if after.everything() != writer.others.everything():
            raise Finding(f"se rechazó, y algo cambió: {_said(done)}")
        _refused_well(done, writer)
        if foreseen is not None and not writer.wrote and str(foreseen) != str(done):
            raise Finding(f"la simulación dijo: {foreseen}; y la restauración: {done}")
        return Result(Outcome.WAY_OUT if WAY_OUT.search(str(done)) else Outcome.NO_WAY_OUT, str(done))
    if foreseen is not None and not writer.wrote and foreseen != done:
        raise Finding(f"la simulación dijo: {foreseen}; y la restauración: {done}")
    if scope.exact:
        _exact(before, writer.compared, writer.others, after)
    else:
        moved = _moved(before, writer.compared) | _moved(before, writer.others)
        if why := Promise(scope, before, writer.others, MINE).broken(after, moved=moved):
            raise Finding(why)
    if broken := await broken_keys(ground.sql, tables):
        raise Finding(f"claves foráneas que no se cumplen: {broken}")
    if not writer.wrote and (said := counts(done)) != (found := _changes(damaged, after, tables, done)):
        raise Finding(f"dijo {said} e hizo {found}")
    if not (case.preview or _freed(before, writer.compared, after)):
        again = await _attempt(clinics, backup, scope, simulate=True)
        if isinstance(again, RespaldosError) or counts(again):
            raise Finding(f"restaurada, no está como en el respaldo: {again}")
    return Result(Outcome.EXACT)


async def _complete(backup: Backup, before: Fingerprint, tables: tuple[Table, ...]) -> None:
    """The backup has as many rows of each table as the clinic has."""
    expected = Counter(row.table.name for row in before.of(MINE))
    for table in tables:
        found = len(backup.lines.get(table.name, ()))
        if found != expected[table.name]:
            raise Finding(f"el respaldo tiene {found} registros de «{table.name}», y son {expected[table.name]}")


async def _try(clinics: RestoreDatabase, backup: Backup) -> None:
    """What has just been backed up can be restored."""
    try:
        async with clinics.trying(MINE) as trial:
            verified = await staged(trial.staging, backup.file)
            await trial.load(verified.totals, lambda _model: None, lambda _model, _size: None)
    except RespaldosError as exc:
        raise Finding(f"el ensayo falla: {_said(exc)}") from exc


async def _attempt(
    clinics: RestoreDatabase, backup: Backup, scope: Scope, *, simulate: bool = False, writer: "_Writer | None" = None
) -> Plan | RespaldosError:
    """What it did, or why it did not."""
    try:
        async with loaded(clinics, backup.file) as (session, verified):
            await session.begin(scope)
            await _then(writer, 0)
            plan = await session.compare(lambda _model: None)
            await _then(writer, 1)
            await session.apply(lambda _model: None)
            await _then(writer, 2)
            await session.prove(verified, lambda _model, _size: None)
            await _then(writer, 3)
            await (session.rollback() if simulate else session.commit())
            return plan
    except RespaldosError as exc:
        return exc


async def _then(writer: "_Writer | None", step: int) -> None:
    if writer is not None:
        await writer.after(step)


class _Writer:
    """Somebody else, with a connection of their own, who waits for nobody.

    `others` is what is there without us, `compared` what was there when the restore looked.
    """

    def __init__(self, ground: Ground, case: Case, damaged: Fingerprint) -> None:
        self._ground = ground
        self._case = case
        self._sql: asyncpg.Connection | None = None
        self.others = self.compared = damaged
        self.wrote = False

    async def after(self, step: int) -> None:
        """What is to be done after this step of the restore."""
        for at, kind, place, number in self._case.writer:
            if at != step:
                continue
            if self._sql is None:
                self._sql = await asyncpg.connect(self._ground.superuser_url)
                await self._sql.execute("SET lock_timeout = '20ms'")
            if await Damage(self._sql, self._case.tables, self._case.statements).do(kind, place, number):
                self.wrote = True
                self._case.statements[-1] += f" -- tras el paso {step}"
                self.others = await take(self._sql, self._case.tables)
                if step == 0:
                    self.compared = self.others

    async def close(self) -> None:
        """Leave."""
        if self._sql is not None:
            await self._sql.close()


def _refused_well(refusal: RespaldosError, writer: _Writer) -> None:
    """It is a sentence about the clinic's data, not PostgreSQL's answer to what we should not have asked.

    It names the table.
    """
    if type(refusal) is DatabaseError or isinstance(refusal, SchemaChanged):
        raise Finding(_said(refusal)) from refusal
    if isinstance(refusal, DatabaseUnavailable):
        if not writer.wrote:
            raise Finding(_said(refusal)) from refusal
    elif not re.search("«[^»]+»", str(refusal)):
        raise Finding(f"no nombra ninguna tabla: {_said(refusal)}") from refusal


def _exact(before: Fingerprint, compared: Fingerprint, damaged: Fingerprint, after: Fingerprint) -> None:
    """The clinic's rows are those of before, and the others' as they were; what has moved away stays there.

    It has moved where it was another's when it was `compared`, whatever that clinic has done with it since.
    """
    moved = _moved(before, compared) | _moved(before, damaged)
    expected = Counter((row.table.place, row.own) for row in before.of(MINE) if id(row) not in moved)
    # What would be another's by being as before stays as it is.
    keys = {(row.table.place, row.key) for row in before.of(MINE) if id(row) in moved and row.table.key}
    expected.update((row.table.place, row.own) for row in damaged.of(MINE) if (row.table.place, row.key) in keys)
    found = after.mine(MINE)
    if found != expected:
        raise Finding(f"a la clínica le faltan {expected - found} y le sobran {found - expected}")
    others, now = damaged.others(MINE), after.others(MINE)
    shared = {(row.table.place, row.own) for row in before.of(NOBODY)}
    own = {(row.table.place, row.own) for row in after.of(NOBODY)}
    come = {(row.table.place, row.text): (row.table.place, row.own) for row in after.of(NOBODY)}
    if strange := [each for each in now - others if come.get(each) not in shared & own]:
        raise Finding(f"de otros hay de más: {strange}")
    keys = {(row.table.place, row.key) for row in before.of(MINE)}
    adopted = {(row.table.place, row.text) for row in damaged.of(NOBODY) if (row.table.place, row.key) in keys}
    if gone := [each for each in others - now if each not in adopted]:
        raise Finding(f"de otros falta: {gone}")


def _moved(before: Fingerprint, damaged: Fingerprint) -> set[int]:
    """The clinic's rows of before that are another's by now, and those that only such a row made the clinic's."""
    theirs = {(row.table.place, row.key) for row in damaged.rows if row.owner not in {NOBODY, MINE} and row.table.key}
    mine = before.of(MINE)
    moved = {id(row) for row in mine if (row.table.place, row.key) in theirs}

    def hangs(row: Row) -> bool:
        return any(
            (key := row.points(fk)) is not None
            and any(
                id(parent) in moved
                and parent.table.place == fk.target
                and tuple(parent.values[name] for name in fk.target_columns) == key
                for parent in mine
            )
            for fk in row.table.foreign_keys
        )

    while more := {
        id(row)
        for row in mine
        if id(row) not in moved and (not row.table.tenant or row.values["clinica_id"] is None) and hangs(row)
    }:
        moved |= more
    return moved


def _freed(before: Fingerprint, compared: Fingerprint, after: Fingerprint) -> bool:
    """Whether somebody has deleted what had moved away when it was compared: now it is missing."""
    there = {(row.table.place, row.key) for row in after.rows}
    moved = {(row.table.place, row.key) for row in compared.rows if row.owner != MINE and row.table.key}
    return any(place in moved - there for row in before.of(MINE) if (place := (row.table.place, row.key)))


def _changes(damaged: Fingerprint, after: Fingerprint, tables: tuple[Table, ...], plan: Plan) -> dict[str, Counts]:
    """Inserted, updated and deleted rows of each table; shared ones, which the plan has apart, left out."""
    found = {}
    for table in tables:
        was, now = (
            Counter((row.key, row.text) for row in fingerprint.rows if row.table is table)
            for fingerprint in (damaged, after)
        )
        gone, come = was - now, now - was
        changed: Counter[Key] = Counter(key for key, _ in gone) & Counter(key for key, _ in come)
        shared = plan.references[table.name].inserted if table.name in plan.references else 0
        counted = (
            come.total() - changed.total() - shared,
            changed.total(),
            gone.total() - changed.total(),
        )
        if any(counted):
            found[table.name] = counted
    return found


def _said(error: RespaldosError) -> str:
    cause = error.__cause__
    return f"{type(error).__name__}: {error}" + (f" <- {type(cause).__name__}: {cause}" if cause else "")
