"""How often clinics are backed up by day, as the settings have it."""

from app.respaldos.schedule.points import Points
from app.settings import Settings


def points(settings: Settings) -> Points:
    """Of all clinics of which nothing else has been said."""
    return Points(settings.point_minutes, settings.point_hours)
