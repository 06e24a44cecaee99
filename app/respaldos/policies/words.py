"""A policy as people read it. Pure."""

from collections.abc import Sequence

from babel.lists import format_list

from app.respaldos.models import Dia
from app.respaldos.policies.policy import ClinicPolicy, Told
from app.respaldos.retention.policy import Policy
from app.respaldos.schedule.nights import EVERY_DAY, Nightly
from app.respaldos.schedule.points import Points
from app.wording import LOCALE, count


def in_words(policy: ClinicPolicy) -> str:
    """Spanish sentences: when the clinic is backed up, what is kept, and who is told."""
    sentences = [_scheduled(policy.nightly, policy.points), *_kept(policy.retention)]
    if policy.points.minutes:
        days = _days(policy.retention.point_days)
        sentences.append(f"De los respaldos de día, después de {days} queda el último de cada día")
    return " ".join(f"{sentence}." for sentence in [*sentences, _told(policy.told)])


def _scheduled(nightly: Nightly, points: Points) -> str:
    at = f"a las {_clock(f'{nightly.hour:02d}:{nightly.minute:02d}')}"
    said = f"Se respalda {_week(nightly.days)} {at}"
    if not points.minutes:
        return said
    opening, closing = str(points.hours).split("-")
    hours = "todo el día" if (opening, closing) == ("00:00", "24:00") else f"de {_clock(opening)} a {_clock(closing)}"
    return f"{said}, y además {_often(points.minutes)} {hours}"


def _week(days: frozenset[int]) -> str:
    if days == EVERY_DAY:
        return "todos los días"
    names, chosen = list(Dia), sorted(days)
    if len(chosen) > 2 and chosen == list(range(chosen[0], chosen[-1] + 1)):
        return f"de {names[chosen[0]]} a {names[chosen[-1]]}"
    return f"los {_list([names[day].plural for day in chosen])}"


def _often(minutes: int) -> str:
    if minutes % 60:
        return f"cada {minutes} minutos"
    return "cada hora" if minutes == 60 else f"cada {minutes // 60} horas"


def _kept(retention: Policy) -> list[str]:
    beyond = [
        one if number == 1 else more.format(count(number))
        for number, one, more in (
            (retention.daily, "uno del último día", "uno por día de los últimos {} días"),
            (retention.weekly, "uno de la última semana", "uno por semana de las últimas {} semanas"),
            (retention.monthly, "uno del último mes", "uno por mes de los últimos {} meses"),
            (retention.yearly, "uno del último año", "uno por año de los últimos {} años"),
        )
        if number
    ]
    said = [f"Se guarda cada respaldo {_days(retention.days)}"]
    if beyond:
        said.append(f"También se guarda {_list(beyond)}")
    last = "El último respaldo bueno" if retention.minimum == 1 else f"Los {count(retention.minimum)} últimos buenos"
    return [*said, f"{last} no se {'elimina' if retention.minimum == 1 else 'eliminan'} por su edad"]


def _told(told: Told) -> str:
    number = len(told.addresses)
    addresses = "una dirección más" if number == 1 else f"{count(number)} direcciones más"
    if told.administrators:
        return "Se avisa por correo a quienes administran la clínica" + (f" y a {addresses}" if number else "")
    # What may be a theft is told to them all the same.
    return (
        f"Se avisa por correo a {addresses.removesuffix(' más')} en lugar de quienes administran la clínica;"
        " a ellos, solo lo grave"
    )


def _days(days: int) -> str:
    return "un día" if days == 1 else f"{count(days)} días"


def _clock(time: str) -> str:
    return time.removeprefix("0")


def _list(items: Sequence[str]) -> str:
    return format_list(items, locale=LOCALE)
