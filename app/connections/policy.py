"""What holds for clinics of which nothing else has been said, as the settings have it."""

from app.respaldos.policies.policy import ClinicPolicy
from app.respaldos.retention.policy import Policy
from app.respaldos.schedule.nights import Nightly
from app.respaldos.schedule.points import Points
from app.settings import Settings


def points(settings: Settings) -> Points:
    """How often clinics are backed up by day."""
    return Points(settings.point_minutes, settings.point_hours)


def retention_policy(settings: Settings) -> Policy:
    """How long backups are kept."""
    return Policy(
        days=settings.retention_days,
        point_days=settings.retention_point_days,
        minimum=settings.retention_minimum,
        daily=settings.retention_daily,
        weekly=settings.retention_weekly,
        monthly=settings.retention_monthly,
        yearly=settings.retention_yearly,
    )


def general_policy(settings: Settings) -> ClinicPolicy:
    """When clinics are backed up, and what is kept."""
    return ClinicPolicy(
        Nightly(settings.backup_hour, settings.backup_minute), points(settings), retention_policy(settings)
    )
