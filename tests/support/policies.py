"""What holds for every clinic of which nothing else is said."""

from app.opening_hours import OpeningHours
from app.respaldos.policies.policy import ClinicPolicy
from app.respaldos.retention.policy import Policy
from app.respaldos.schedule.nights import Nightly
from app.respaldos.schedule.points import Points

GENERAL = ClinicPolicy(Nightly(2, 0), Points(0, OpeningHours.parse("08:00-19:00")), Policy(days=30))
