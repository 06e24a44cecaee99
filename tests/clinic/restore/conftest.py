"""The databases of tests/clinic."""

from tests.clinic.conftest import any_database, database, postgres16, sample, tenant_sample

__all__ = ["any_database", "database", "postgres16", "sample", "tenant_sample"]
