"""Takes the file's record lines into temporary tables while it is being verified: no clinic's row changes."""

from collections.abc import AsyncIterator, Collection, Sequence

import asyncpg

from app.clinic.catalogue.entries import Catalogue
from app.clinic.catalogue.introspection import TableName
from app.clinic.catalogue.sql import quote
from app.clinic.reading.records import LINE
from app.clinic.restore.converting import convert_lines
from app.clinic.restore.staged_tables import HASH, StagedTable, create_stage, is_left_out, staged_table_of
from app.database import database_errors
from app.dump.document import Header, Section
from app.dump.reader import Event, HeaderRead, ModelBegun, RecordsRead
from app.errors import RestoreRefused, SchemaDiffers


class Staging:
    """One file's lines in one session. `setting` is what an error of its database names, `first` its first table."""

    def __init__(self, connection: asyncpg.Connection, catalogue: Catalogue, setting: str, *, first: int = 0) -> None:
        self._first = first
        self._connection = connection
        self._catalogue = catalogue
        self._setting = setting
        self._shapes: list[StagedTable] = []
        self._unconverted: list[StagedTable] = []
        self._header: Header | None = None
        self._taking: StagedTable | None = None
        self._problems: dict[tuple[Section, str], RestoreRefused] = {}
        self._left_out: list[str] = []

    @property
    def left_out(self) -> tuple[str, ...]:
        """Models of the file with logins that are the platform's: none of their rows is read."""
        return tuple(self._left_out)

    @property
    def header(self) -> Header:
        """The file's first line, once that has been taken."""
        if self._header is None:
            raise RuntimeError("the file comes first")
        return self._header

    @property
    def tenant_table(self) -> TableName:
        """The table of clinics."""
        return self._catalogue.tenant_table

    async def take(self, events: Sequence[Event]) -> None:
        """Keep what the reader has read. Raises DatabaseError.

        What does not fit the tables of today is told by `staged_tables`: of a file that turns out to be damaged, its
        hash says more.
        """
        with database_errors(self._setting):
            for event in events:
                await self._take(event)

    def staged_tables(self, models: Collection[str] | None) -> list[StagedTable]:
        """The file's models that fit; to be asked for when the file is verified, after `convert`.

        Raises RestoreRefused where one does not of those that are wanted: of `models`, or of all.
        """
        for (section, model), problem in self._problems.items():
            if models is None or (section is Section.DATA and model in models):
                raise problem
        return self._shapes

    async def _take(self, event: Event) -> None:
        match event:
            case HeaderRead(header):
                self._header = header
            case ModelBegun(section, name) if self._header is not None:
                self._taking = None
                if is_left_out(section, name, self._header, self._catalogue):
                    self._left_out.append(name)
                    return
                try:
                    staged = staged_table_of(
                        self._first + len(self._shapes), section, name, self._header, self._catalogue
                    )
                except RestoreRefused as exc:
                    self._problems[section, name] = exc
                    return
                self._taking = staged
                self._shapes.append(staged)
                self._unconverted.append(staged)
                await self._connection.execute(create_stage(staged))
            case RecordsRead(lines) if self._taking is not None:
                try:
                    await self._copy(self._taking, lines)
                except asyncpg.DataError as exc:
                    self._problems[self._taking.section, self._taking.model] = RestoreRefused(
                        f"«{self._taking.model}» tiene un registro que la base de datos no lee: {exc}"
                    )
                    self._taking = None

    async def _copy(self, staged: StagedTable, lines: bytes) -> None:
        async def block() -> AsyncIterator[bytes]:
            yield lines

        # As a snapshot reads them: in CSV with these two, JSON stands as it is.
        await self._connection.copy_to_table(
            f"stage_{staged.number}",
            source=block(),
            columns=[LINE],
            format="csv",
            delimiter="\x02",
            quote="\x01",
        )

    async def convert(self) -> None:
        """Make the lines of models whose columns have other types today anew, once.

        What would lose something by it is told by `staged_tables`.
        """
        while self._unconverted:
            staged = self._unconverted[-1]
            try:
                await convert_lines(self._connection, staged)
            except SchemaDiffers as exc:
                self._problems[staged.section, staged.model] = exc
                self._shapes.remove(staged)
            self._unconverted.pop()

    async def analyze(self) -> None:
        """Let PostgreSQL know how many lines there are, so that it plans for them. Raises DatabaseError."""
        with database_errors(self._setting):
            for staged in self._shapes:
                await self._connection.execute(f"ANALYZE {staged.stage} ({quote(HASH)})")
