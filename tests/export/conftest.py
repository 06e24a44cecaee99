"""Clinic databases whose backups are exported."""

from tests.clinic.conftest import any_database, database, postgres16, sample

__all__ = ["any_database", "database", "postgres16", "sample"]
