"""Clinic databases whose backups are exported."""

import tempfile
from pathlib import Path

from hypothesis.configuration import set_hypothesis_home_dir

from tests.clinic.conftest import any_database, database, postgres16, sample

__all__ = ["any_database", "database", "postgres16", "sample"]

set_hypothesis_home_dir(Path(tempfile.gettempdir()) / "hypothesis")
