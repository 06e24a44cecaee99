"""Backups on real servers, as the domain's tests have them."""

from tests.respaldos.conftest import (
    _one_session_for_s3,
    database,
    own_database,
    rclone_server,
    store,
    template,
)

__all__ = ["_one_session_for_s3", "database", "own_database", "rclone_server", "store", "template"]
