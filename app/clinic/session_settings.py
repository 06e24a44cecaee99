"""What a session in the clinic database is set to, whatever the server, the database or the role is set to.

pg_dump (`setup_connection`) and the files that it writes pin the same, and for the same reasons. Not taken over:
`synchronize_seqscans`, because every file is sorted, and `restrict_nonsystem_relation_kind`, because a rule of
OWNERSHIP_RULES may read a view.
"""

from collections.abc import Iterable
from typing import Final

# How values are printed (docs/format.md). With `search_path`, names of tables, types and functions in values.
_PRINTED: Final = {
    "TimeZone": "UTC",
    "DateStyle": "ISO",
    "IntervalStyle": "postgres",
    "extra_float_digits": "1",
    "bytea_output": "hex",
    "lc_monetary": "C",
    "search_path": "public",
    "quote_all_identifiers": "off",
}

# How they are read again: NULL in an array, an xml that is no whole document, a constant in SQL text.
_READ: Final = {
    "array_nulls": "on",
    "xmloption": "content",
    "standard_conforming_strings": "on",
}

# What a condition finds: the first turns `x = NULL` into `x IS NULL`, the second ends a search in an index early.
# With row_security=off PostgreSQL refuses, instead of hiding rows, where a policy would apply.
_FOUND: Final = {
    "transform_null_equals": "off",
    "gin_fuzzy_search_limit": "0",
    "row_security": "off",
}

# How long a session may live, work, or wait for its client, who may be waiting for S3.
_LIFE: Final = {
    "statement_timeout": "0",
    "lock_timeout": "60s",
    "idle_in_transaction_session_timeout": "0",
}

# What a restore's own transaction says is what counts; and rows are known by their ctid, which other ways to store a
# table need not have. On a hot standby it is the transaction that may not write.
_WRITTEN: Final = {
    "default_transaction_read_only": "off",
    "default_transaction_isolation": "read committed",
    "default_transaction_deferrable": "off",
    "default_table_access_method": "heap",
}

# A plan that is compiled first, or that sorts on disk, is what a small clinic's backup would wait for.
_SPEED: Final = {"jit": "off", "work_mem": "32MB"}

# Since PostgreSQL 14 and 17.
_WHERE_KNOWN: Final = {"idle_session_timeout": "0", "transaction_timeout": "0"}

# Only who may set these: pages that cannot be read would count as empty; foreign keys would not be checked, and a
# restore take it that they are; COMMIT would not mean that what is restored outlives a crash.
_WHERE_OTHERWISE: Final = {
    "ignore_checksum_failure": ("on", "off"),
    "zero_damaged_pages": ("on", "off"),
    "session_replication_role": ("replica", "origin"),
    "synchronous_commit": ("off", "on"),
}


def _set(settings: Iterable[tuple[str, str]]) -> str:
    return "; ".join(f"SET {name} = '{value}'" for name, value in settings)


_known = ", ".join(f"('{name}', '{value}')" for name, value in _WHERE_KNOWN.items())
_otherwise = ", ".join(f"('{name}', '{wrong}', '{right}')" for name, (wrong, right) in _WHERE_OTHERWISE.items())

# The last ends a query whose client has gone before there was anything to send (from 14 on, and not on every system).
SESSION_SQL: Final = f"""
{_set({**_PRINTED, **_READ, **_FOUND, **_LIFE, **_WRITTEN, **_SPEED}.items())};
SELECT set_config(name, value, false) FROM (VALUES {_known}) AS pinned(name, value)
WHERE current_setting(name, true) IS NOT NULL;
SELECT set_config(name, value, false) FROM (VALUES {_otherwise}) AS pinned(name, wrong, value)
WHERE current_setting(name) = wrong;
SELECT set_config(name, '2s', false) FROM (VALUES ('client_connection_check_interval')) AS pinned(name)
WHERE current_setting(name, true) IS NOT NULL AND version() LIKE '%linux%'
"""
