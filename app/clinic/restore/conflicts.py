"""Why a restore may not be applied, asked before any row changes."""

import asyncpg

from app.clinic.catalogue.entries import ByColumn, TableClass, WholeTable
from app.clinic.catalogue.introspection import TableName
from app.clinic.catalogue.sql import columns, joined, literal, pointed_to_from, points_into, quote
from app.clinic.reading.platform_statements import Statements
from app.clinic.restore.constraints import Constraints, Reference
from app.clinic.restore.difference import Difference
from app.clinic.restore.logins import login_values
from app.clinic.restore.moved import says_the_same
from app.clinic.restore.naming import NAMED
from app.clinic.restore.staged_tables import (
    AT,
    FILE,
    KIND,
    REL,
    TID,
    TODAY,
    Kind,
    StagedTable,
    refuse_required_columns,
)
from app.dump.document import Section
from app.errors import RestoreRefused

# What lets a session work without triggers, rules and foreign keys.
GRANT = "GRANT SET ON PARAMETER session_replication_role"


class ConflictChecks:
    """Looks for what speaks against applying a difference. Each check raises RestoreRefused, which names what.

    `replica`: triggers and foreign keys are switched off while it is applied. `strict`: shared rows have to be there
    as the file has them, or not at all, and the clinic's number has to be the same clinic's, which has its name in
    `name_column`.
    """

    def __init__(
        self,
        connection: asyncpg.Connection,
        difference: Difference,
        constraints: Constraints,
        clinica_id: int | None,
        *,
        replica: bool,
        strict: bool,
        name_column: str,
    ) -> None:
        self._name_column = name_column
        self._connection = connection
        self._difference = difference
        self._constraints = constraints
        self._clinica_id = clinica_id
        self._replica = replica
        self._strict = strict
        self._by_table = {staged.entry.name: staged for staged in difference.data}

    async def check(self) -> None:
        """Everything."""
        for staged in self._difference.data:
            await self._other_clinic(staged)
            await self._taken_key(staged)
            await self._taken_parent(staged)
        for staged in self._difference.staged_tables:
            await self._rewritten(staged)
            await self._new_columns(staged)
        for staged in self._difference.logins:
            await self._other_clinic(staged)
        if self._strict:
            if self._difference.clinics is not None:
                await self._other_number(self._difference.clinics)
            for staged in self._difference.references:
                if staged not in self._difference.logins:
                    await self._other_content(staged)
        for staged in self._difference.data:
            if staged is self._difference.held:
                continue
            for reference in self._constraints.to(staged.entry.name):
                await self._pointed_to(staged, reference)

    async def check_written(self, statements: Statements) -> None:
        """After applying: that what `referencias` brought is nobody's. `statements` are of the rows as they are."""
        for staged in self._difference.staged_tables:
            if staged in self._difference.logins:
                await self._other_login(staged, statements)
            elif staged.entry.kind is TableClass.OWNED:
                await self._somebodys(staged, statements)

    async def _somebodys(self, staged: StagedTable, statements: Statements) -> None:
        # Of the clinic's own models, those that were made nobody's again: they come from `referencias`, too.
        shared = "true" if staged.section is Section.REFERENCES else f"f.{quote(AT)} IS NULL"
        key = staged.key or staged.names
        mine = quote("respaldos$mia")
        written = (
            f"SELECT x.tableoid AS {quote(REL)}, x.ctid::text AS {quote(TID)},"
            f" {statements.is_owned(staged.entry, 'x')} AS {mine}{''.join(f', x.{quote(name)}' for name in key)}"
            f" FROM {staged.real} AS x JOIN {staged.file} AS f ON {same_row(staged)} WHERE {shared}"
        )
        if not await self._connection.fetchval(f"SELECT EXISTS (SELECT FROM {staged.file} AS f WHERE {shared})"):
            return
        nobodys = statements.nobodys(
            staged.entry,
            f"SELECT w.{quote(REL)} AS rel, w.{quote(TID)} AS tid FROM written AS w WHERE NOT w.{mine}",
        )
        if found := await self._keys(
            staged,
            f"WITH written AS MATERIALIZED ({written}) SELECT w.* FROM written AS w"
            f" WHERE (w.{quote(REL)}, w.{quote(TID)}) NOT IN ({nobodys})",
        ):
            raise RestoreRefused(
                f"el archivo trae en «referencias» registros de «{staged.model}» que serían de una clínica: {found}"
            )

    async def _other_login(self, staged: StagedTable, statements: Statements) -> None:
        """What says whose a login is has to say of each that was inserted for its sake that it is the clinic's."""
        if staged not in self._difference.stated or not any(await self._difference.count(staged)):
            return
        if found := await self._keys(
            staged,
            f"SELECT f.* FROM {staged.file} AS f JOIN {staged.real} AS x ON {same_row(staged)}"
            f" WHERE f.{quote(AT)} NOT IN (SELECT {quote(AT)} FROM {staged.reached})"
            f" AND NOT {statements.is_owned(staged.entry, 'x')}",
        ):
            raise RestoreRefused(
                f"el archivo trae en «referencias» registros de «{staged.model}» que no son accesos de la clínica:"
                f" {found}"
            )

    async def _other_clinic(self, staged: StagedTable) -> None:
        for way in staged.entry.candidates:
            if isinstance(way, ByColumn) and staged.has((way.column,)):
                column = f"f.{quote(way.column)}"
                if found := await self._keys(
                    staged, f"SELECT f.* FROM {staged.file} AS f WHERE {column} <> {self._clinica_id}"
                ):
                    raise RestoreRefused(f"el archivo tiene registros de «{staged.model}» de otra clínica: {found}")

    async def _taken_key(self, staged: StagedTable) -> None:
        if not staged.key:
            return
        key = columns("f", staged.key)
        twice = f"SELECT {key} FROM {staged.file} AS f GROUP BY {key} HAVING count(*) > 1"
        if found := await self._keys(staged, twice):
            raise RestoreRefused(f"el archivo repite claves de «{staged.model}»: {found}")
        taken = (
            f"SELECT t.* FROM {staged.file} AS f JOIN {staged.real} AS t ON {staged.same_key('f', 't')}"
            f" WHERE NOT EXISTS (SELECT FROM {staged.pairs} AS p WHERE p.{quote(FILE)} = f.ctid)"
        )
        if found := await self._keys(staged, taken):
            unpaired = f"NOT EXISTS (SELECT FROM {staged.pairs} AS p WHERE p.{quote(FILE)} = f.ctid)"
            mine = (
                f"SELECT FROM {staged.file} AS f JOIN {staged.real} AS r ON {staged.same_key('f', 'r')}"
                f" WHERE {self._difference.statements.is_owned(staged.entry, 'r')} AND {unpaired}"
            )
            # It was compared, and the file has it as it is: it has it twice.
            place = f"k.{quote(REL)} = r.tableoid AND k.{quote(TID)} = r.ctid"
            alike = f"EXISTS (SELECT FROM {staged.current} AS k WHERE {place})"
            if await self._connection.fetchval(f"SELECT EXISTS ({mine} AND {alike})"):
                raise RestoreRefused(f"el archivo repite claves de «{staged.model}»: {found}")
            if await self._connection.fetchval(f"SELECT EXISTS ({mine})"):
                raise RestoreRefused(f"«{staged.model}» cambió mientras se comparaba ({found}); vuelva a intentarlo")
            raise RestoreRefused(
                f"esas claves de «{staged.model}» son hoy de otra clínica, o de ninguna: {found}. Puede liberarlas"
                " quien administra la plataforma; o restaure sin esos registros (--modelos, --registro)"
            )

    async def _taken_parent(self, staged: StagedTable) -> None:
        """Refuse what would point to rows of the clinic's that are somebody else's today, and are not restored."""
        if staged in self._difference.scoped or isinstance(staged.entry.candidates[0], WholeTable):
            return
        statements = self._difference.statements
        for child in self._difference.staged_tables:
            for fk in child.entry.table.foreign_keys:
                if fk.target != staged.entry.name or not child.has(fk.columns) or not staged.has(fk.target_columns):
                    continue
                pointing = columns("f", fk.columns)
                moved = ""
                if staged in self._difference.moved:
                    moved = (
                        f" AND NOT EXISTS (SELECT FROM {staged.moved} AS m"
                        f" WHERE m.{quote(AT)} = d.{quote(AT)} AND {staged.same_key('d', 'r')})"
                    )
                astray = (
                    f"SELECT d.*, r.tableoid AS {quote(REL)}, r.ctid::text AS {quote(TID)} FROM {staged.typed} AS d"
                    f" JOIN {staged.real} AS r ON {joined(fk.target_key, 'r', 'd')}"
                    f" WHERE {pointed_to_from(fk, 'd', f'SELECT {pointing} FROM {child.file} AS f')}"
                    f" AND NOT {statements.is_owned(staged.entry, 'r')}{moved}"
                )
                if not await self._keys(staged, astray):
                    continue
                free = statements.nobodys(
                    staged.entry, f"SELECT s.{quote(REL)} AS rel, s.{quote(TID)} AS tid FROM astray AS s"
                )
                if found := await self._keys(
                    staged,
                    f"WITH astray AS MATERIALIZED ({astray}) SELECT s.* FROM astray AS s"
                    f" WHERE (s.{quote(REL)}, s.{quote(TID)}) NOT IN ({free})",
                ):
                    raise RestoreRefused(
                        f"registros de «{child.model}» apuntarían a registros de «{staged.model}» que hoy son de otra"
                        f" clínica: {found}. Restaure sin los que apuntan a ellos (--modelos, --registro)"
                    )

    async def _rewritten(self, staged: StagedTable) -> None:
        """Refuse what a rule would make something else of: PostgreSQL counts no rows of it, or does not do it."""
        rules = self._constraints.of(staged.entry.name).rewriting(replica=self._replica)
        if not rules or not any(await self._difference.count(staged)):
            return
        raise RestoreRefused(
            f"«{staged.entry.name}» tiene reglas (CREATE RULE) que hacen otra cosa de lo que se restaura:"
            f" {', '.join(rules)}. Deshabilítelas mientras tanto (ALTER TABLE … DISABLE RULE …)"
            f"{'' if self._replica else f'; o, con {GRANT}, no actúan las que no son ALWAYS'}"
        )

    async def _new_columns(self, staged: StagedTable) -> None:
        new = await self._connection.fetchval(
            f"SELECT EXISTS (SELECT FROM {staged.file} AS f"
            f" WHERE NOT EXISTS (SELECT FROM {staged.pairs} AS p WHERE p.{quote(FILE)} = f.ctid))"
        )
        defaults = self._constraints.of(staged.entry.name).defaults
        if new and staged in self._difference.logins:
            login_values(staged, defaults)
        elif new:
            refuse_required_columns(staged, defaults)

    async def _other_number(self, staged: StagedTable) -> None:
        """The clinic's number has to be the same clinic's here: by its name or, without one, by most of its row."""
        name = f"{{}}.{quote(self._name_column)}::text"
        same = says_the_same(staged)
        if staged.has((self._name_column,)):
            same = f"{name.format('f')} IS NOT DISTINCT FROM {name.format('r')}"
        if await self._connection.fetchval(
            f"SELECT EXISTS (SELECT FROM {staged.file} AS f JOIN {staged.real} AS r ON {staged.same_key('f', 'r')}"
            f" WHERE NOT ({same}))"
        ):
            raise RestoreRefused(
                f"la clínica {self._clinica_id} es otra en esa base de datos: su fila de «{staged.model}» no es la"
                " del respaldo. Si es la misma con otro nombre, póngale allí el que tenía"
            )

    async def _other_content(self, staged: StagedTable) -> None:
        if not staged.key:
            return
        if found := await self._keys(staged, self._difference.other_content(staged)):
            raise RestoreRefused(
                f"«{staged.model}», que es de todas las clínicas, tiene otro contenido: {found}. Póngale el que"
                " tenía, o restaure sin --estricto, y se queda como está"
            )

    async def _pointed_to(self, staged: StagedTable, reference: Reference) -> None:
        """Refuse where a row that is not restored points to one that would go, whatever would happen to it then."""
        child = self._by_table.get(reference.child_root)
        going = gone_values(staged, reference, replaced=not self._replica and reference.at_once)
        outside = points_into(reference, "r", going)
        if child is not None:
            outside += (
                f" AND NOT EXISTS (SELECT FROM {child.current} AS c"
                f" WHERE c.{quote(REL)} = r.tableoid AND c.{quote(TID)} = r.ctid)"
            )
        table = child_of(reference)
        found = await self._connection.fetch(
            f"WITH x AS MATERIALIZED (SELECT ({columns('r', reference.columns)})::text AS value FROM {table} AS r"
            f" WHERE {outside}) SELECT DISTINCT value FROM x ORDER BY 1 LIMIT {NAMED}"
        )
        if found:
            gone = gone_values(staged, reference, replaced=False)
            for_good = reference.temporal or await self._connection.fetchval(
                f"SELECT EXISTS (SELECT FROM {table} AS r WHERE {points_into(reference, 'r', gone)} AND {outside})"
            )
            where = "se eliminarían" if for_good else f"se eliminan y se vuelven a agregar (no, con {GRANT})"
            raise RestoreRefused(
                f"registros de «{reference.child}» que no se restauran apuntan, por {', '.join(reference.columns)}, a"
                f" registros de «{staged.model}» que {where}: {', '.join(value for (value,) in found)}"
                f"{' (con --con-accesos se restauran)' if child in self._difference.logins else ''}. Cámbielos antes,"
                " o restaure sin quitar nada (--solo cambiados)"
            )

    async def _keys(self, staged: StagedTable, rows: str) -> str:
        """The first of these rows, in words; empty where there is none."""
        return await self._difference.named_keys(staged, rows)


def same_row(staged: StagedTable) -> str:
    """That the row `x` of the table is the row `f` of the file."""
    if staged.key:
        return staged.same_key("f", "x")
    # As rows are printed, because not every type has an equality.
    return f"ROW({columns('f', staged.names)})::text = ROW({columns('x', staged.names)})::text"


def child_of(reference: Reference) -> str:
    """The table that points, as FROM takes it."""
    name = _qualified(reference.child)
    return name if reference.child_partitioned else f"ONLY {name}"


def parent_of(reference: Reference) -> str:
    """The table that is pointed to, as FROM takes it."""
    name = _qualified(reference.parent)
    return name if reference.parent_partitioned else f"ONLY {name}"


def gone_values(staged: StagedTable, reference: Reference, *, replaced: bool) -> str:
    """What rows could point to by this key in the rows that go, and not in those that come.

    With `replaced`, also what goes for a moment and comes again.
    """
    target = reference.target_columns
    going = (
        f"SELECT {columns('c', target)} FROM {staged.today} AS c WHERE NOT EXISTS"
        f" (SELECT FROM {staged.pairs} AS p WHERE p.{quote(TODAY)} = c.ctid AND p.{quote(KIND)} = '{Kind.UPDATE}')"
    )
    if reference.parent != reference.parent_root:
        going += f" AND c.{quote(REL)} IN ({partitions(reference.parent)})"
    if not replaced and staged.has(target):
        going += f" AND NOT EXISTS (SELECT FROM {staged.file} AS f WHERE {joined(reference.target_key, 'f', 'c')})"
    return going


def partitions(name: TableName) -> str:
    """A query for this table, a partition, and for all that it is divided into."""
    return f"SELECT tree.relid FROM pg_partition_tree({literal(_qualified(name))}) AS tree"


def _qualified(name: TableName) -> str:
    return f"{quote(name.schema)}.{quote(name.name)}"
