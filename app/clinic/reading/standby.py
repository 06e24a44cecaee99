"""Of which moment the rows are where they are read from a hot standby, which may be behind."""

from datetime import datetime
from typing import Final

import asyncpg

# A standby that is being streamed to, and has replayed what it received, is as new as its server. Otherwise what it
# replayed last says how old it is at most, and before there was anything to replay, where it began; the clocks are
# the server's. https://www.postgresql.org/docs/current/functions-admin.html#FUNCTIONS-RECOVERY-CONTROL
_MOMENT_SQL: Final = """
SELECT CASE WHEN NOT EXISTS (SELECT FROM pg_stat_wal_receiver WHERE pid IS NOT NULL)
        OR pg_last_wal_receive_lsn() IS DISTINCT FROM pg_last_wal_replay_lsn()
    THEN coalesce(pg_last_xact_replay_timestamp(), (SELECT checkpoint_time FROM pg_control_checkpoint())) END
WHERE pg_is_in_recovery()
"""


async def standby_moment(connection: asyncpg.Connection) -> datetime | None:
    """When what a snapshot that is taken from now on shows was written at the latest, where that is not now (UTC).

    A snapshot of a standby that is behind is of that moment, or a later one.
    """
    moment: datetime | None = await connection.fetchval(_MOMENT_SQL)
    return moment
