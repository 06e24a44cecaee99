"""One moment of one clinic, or of the platform, its rows read with COPY."""

from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Sequence
from contextlib import AbstractAsyncContextManager
from datetime import datetime

import asyncpg

from app.clinic.catalogue.entries import Catalogue
from app.clinic.owners.all_clinics import AllOwners
from app.clinic.reading.checks import (
    COUNT_SECONDS,
    Counter,
    CrossTenantReference,
    Lost,
    OnStep,
    Unchecked,
    Unowned,
    count_cross_tenant_references,
    count_lost,
)
from app.clinic.reading.copy import copied_lines
from app.clinic.reading.look_up import Lookup, look_up, pointing
from app.clinic.reading.named_files import FileColumn, NamedFiles, count_files
from app.clinic.reading.platform_statements import PlatformStatements, Statements
from app.database import database_errors


class ClinicSnapshot:
    """One moment of one clinic; without `clinica_id`, of what no clinic owns: the platform's.

    It is of no use after its `ClinicDatabase.snapshot` block. `unowned` is what no clinic owns and this one has not
    either, and the tables that took too long to say so; `taken_at` is UTC, on a hot standby that is behind the moment
    that it has come to; `tables_size` is what all rows of the
    tables that it has take on disk, whoever's they are (bytes). `file_columns` finds the columns that name files, and
    the tables that took too long to say so. `setting` is what an error of its database names.
    """

    def __init__(
        self,
        connection: asyncpg.Connection,
        clinica_id: int | None,
        catalogue: Catalogue,
        statements: Statements,
        migrations: dict[str, list[str]],
        unowned: Sequence[Unowned | Unchecked],
        file_columns: Callable[[OnStep | None], Awaitable[list[FileColumn | Unchecked]]],
        tables_size: int,
        taken_at: datetime,
        setting: str,
    ) -> None:
        self.clinica_id = clinica_id
        self.catalogue = catalogue
        self.statements = statements
        self.migrations = migrations
        self.unowned = unowned
        self.tables_size = tables_size
        self.taken_at = taken_at
        self._connection = connection
        self._setting = setting
        self._file_columns = file_columns

    def record_lines(self, statement: str) -> AbstractAsyncContextManager[AsyncIterator[bytes]]:
        """The lines of a statement that gives one record a row: see `copied_lines`."""
        return copied_lines(self._connection, statement, self._setting)

    async def look_up(self, lookups: Collection[Lookup]) -> dict[Lookup, str]:
        """The lines of these records, of the clinic's own and of shared ones; see `look_up`."""
        with database_errors(self._setting):
            return await look_up(self._connection, self.statements, lookups)

    async def pointing(self, lookups: Sequence[Lookup], *, limit: int) -> tuple[int, list[str]]:
        """How many of the clinic's own records have one of these values, and some lines; see `pointing`."""
        with database_errors(self._setting):
            return await pointing(self._connection, self.statements, lookups, limit=limit)

    async def is_empty(self) -> bool:
        """Whether nothing is the clinic's but its own row in the table of clinics."""
        with database_errors(self._setting):
            for entry in self.statements.own_entries:
                if entry.name != self.catalogue.tenant_table and await self._connection.fetchval(
                    f"SELECT EXISTS ({self.statements.owned(entry, ('ctid',))})"
                ):
                    return False
        return True

    async def cross_tenant(self, on_step: OnStep | None = None) -> list[CrossTenantReference | Unchecked]:
        """The clinic's own rows that point to rows of another clinic, and the tables that took too long to check.

        No count takes longer than COUNT_SECONDS; `on_step` is called after each.
        """
        if isinstance(self.statements, PlatformStatements):
            return []
        with database_errors(self._setting):
            async with Counter(self._connection, seconds=COUNT_SECONDS, on_step=on_step) as counter:
                found = await count_cross_tenant_references(counter, self.statements)
        return [*found, *counter.unchecked]

    async def lost(self, on_step: OnStep | None = None) -> list[Lost | Unchecked]:
        """The rows that should be in the file and are not, and the tables that took too long to say so.

        No count takes longer than COUNT_SECONDS; `on_step` is called after each.
        """
        catalogue = self.statements.catalogue
        statements = self.statements
        with database_errors(self._setting):
            async with Counter(self._connection, seconds=COUNT_SECONDS, on_step=on_step) as counter:
                found = await count_lost(
                    counter,
                    AllOwners(catalogue) if isinstance(statements, PlatformStatements) else statements,
                    catalogue,
                )
        return [*found, *counter.unchecked]

    async def files(self, on_step: OnStep | None = None) -> list[NamedFiles | Unchecked]:
        """The files that the clinic's own rows name, by column, and the tables that took too long to say so.

        No count takes longer than COUNT_SECONDS; `on_step` is called after each.
        """
        with database_errors(self._setting):
            found = await self._file_columns(on_step)
            columns = [column for column in found if isinstance(column, FileColumn)]
            async with Counter(self._connection, seconds=COUNT_SECONDS, on_step=on_step) as counter:
                named = await count_files(counter, columns, self.statements.owned)
        return [*named, *(table for table in found if isinstance(table, Unchecked)), *counter.unchecked]
