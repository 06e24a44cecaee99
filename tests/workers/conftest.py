"""What a worker needs: a database with the sample clinics, a bucket, and a Redis of its own."""

from tests.service.conftest import (
    _one_session_for_s3,
    _redis,
    conn,
    database,
    log,
    rclone_server,
    redis,
    resources,
    settings,
    store,
    template,
)

__all__ = [
    "_one_session_for_s3",
    "_redis",
    "conn",
    "database",
    "log",
    "rclone_server",
    "redis",
    "resources",
    "settings",
    "store",
    "template",
]
