"""Which backups are kept: promises that hold for any history of backups, and the sentences that people read."""

import random
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.respaldos.models import Estado, Respaldo, TipoRespaldo
from app.respaldos.retention.expiry import kept_until
from app.respaldos.retention.policy import Decision, Policy, decide

LA_PAZ = ZoneInfo("America/La_Paz")
SANTIAGO = ZoneInfo("America/Santiago")
NOW = datetime(2026, 11, 23, 7, tzinfo=UTC)
MONTH = Policy(days=30)


def backup(id_: int, age: timedelta, estado: Estado = Estado.COMPLETADO, **more: object) -> Respaldo:
    """A backup of that age, good unless something else is said of it."""
    given_: dict[str, object] = {
        "id": id_,
        "clinica_id": 1,
        "tipo_respaldo": TipoRespaldo.AUTOMATICO,
        "estado": estado,
        "fecha_respaldo": NOW - age,
        "sospechoso": False,
    }
    return Respaldo(**(given_ | more))


def nights(count: int, *, first_id: int = 1, since: int = 0, **more: object) -> list[Respaldo]:
    """Nightly backups, the newest `since` days old."""
    return [backup(first_id + n, timedelta(days=since + n), **more) for n in range(count)]  # type: ignore[arg-type]


def kept(decisions: list[Decision]) -> set[int]:
    return {decision.respaldo_id for decision in decisions if decision.keep}


@st.composite
def histories(draw: st.DrawFn) -> list[Respaldo]:
    """Backups of one clinic, of any state and age; several may be of one moment."""
    drawn = draw(
        st.lists(
            st.tuples(
                st.integers(-3 * 24, 500 * 24),
                st.sampled_from([*Estado, Estado.COMPLETADO, Estado.COMPLETADO]),
                st.booleans(),
                st.sampled_from([None, NOW]),
                st.sampled_from([None, None, "dañado"]),
                st.sampled_from([TipoRespaldo.AUTOMATICO, TipoRespaldo.PUNTO, TipoRespaldo.PUNTO]),
                st.sampled_from([None, None, None, NOW]),
            ),
            max_size=40,
        )
    )
    return [
        backup(
            *(id_, timedelta(hours=hours), estado),
            sospechoso=doubt,
            aceptado=accepted,
            verificado_error=error,
            tipo_respaldo=tipo,
            retenido=held,
        )
        for id_, (hours, estado, doubt, accepted, error, tipo, held) in enumerate(drawn, 1)
    ]


counts = st.integers(0, 12)
policies = st.builds(
    Policy,
    days=st.integers(1, 400),
    point_days=st.integers(1, 30),
    minimum=st.integers(1, 9),
    daily=counts,
    weekly=counts,
    monthly=counts,
)
zones = st.sampled_from([LA_PAZ, SANTIAGO, ZoneInfo("Pacific/Kiritimati"), ZoneInfo("UTC")])


def newest_first(backups: list[Respaldo]) -> list[Respaldo]:
    return sorted(backups, key=lambda found: (found.fecha_respaldo, found.id), reverse=True)


# What holds for any history


@given(histories(), policies, zones)
def test_the_newest_good_one_and_the_minimum_are_never_deleted(
    backups: list[Respaldo], policy: Policy, zone: ZoneInfo
) -> None:
    stay = kept(decide(backups, NOW, policy, zone))
    good = [found.id for found in newest_first(backups) if found.good]
    assert set(good[: policy.minimum]) <= stay
    assert len(stay & set(good)) >= min(policy.minimum, len(good))


@given(histories(), policies, zones)
def test_what_is_held_stays_and_takes_nobodys_place(backups: list[Respaldo], policy: Policy, zone: ZoneInfo) -> None:
    held = {found.id for found in backups if found.held(NOW)}
    stay = kept(decide(backups, NOW, policy, zone))
    for found in backups:
        found.retenido = None
    assert stay == kept(decide(backups, NOW, policy, zone)) | held


@given(histories(), policies, zones)
def test_every_backup_is_decided_once_with_a_reason(backups: list[Respaldo], policy: Policy, zone: ZoneInfo) -> None:
    decisions = decide(backups, NOW, policy, zone)
    assert [decision.respaldo_id for decision in decisions] == [found.id for found in newest_first(backups)]
    assert all(decision.reason for decision in decisions)


@given(histories(), policies, zones, st.randoms(use_true_random=False))
def test_the_order_in_which_they_come_is_nothing_to_it(
    backups: list[Respaldo], policy: Policy, zone: ZoneInfo, chance: random.Random
) -> None:
    shuffled = backups.copy()
    chance.shuffle(shuffled)
    assert decide(shuffled, NOW, policy, zone) == decide(backups, NOW, policy, zone)


@given(
    histories(),
    policies,
    st.sampled_from(["days", "point_days", "minimum", "daily", "weekly", "monthly"]),
    st.integers(1, 50),
)
def test_a_policy_that_keeps_more_deletes_nothing_else(
    backups: list[Respaldo], policy: Policy, part: str, more: int
) -> None:
    larger = replace(policy, **{part: getattr(policy, part) + more})
    assert kept(decide(backups, NOW, policy, LA_PAZ)) <= kept(decide(backups, NOW, larger, LA_PAZ))


@given(histories(), policies, zones)
def test_what_is_kept_is_kept_again(backups: list[Respaldo], policy: Policy, zone: ZoneInfo) -> None:
    stay = kept(decide(backups, NOW, policy, zone))
    left = [found for found in backups if found.id in stay]
    assert kept(decide(left, NOW, policy, zone)) == stay


@given(histories(), policies, st.integers(1, 10_000))
def test_a_clock_in_the_past_deletes_nothing_more(backups: list[Respaldo], policy: Policy, hours: int) -> None:
    earlier = decide(backups, NOW - timedelta(hours=hours), policy, LA_PAZ)
    assert kept(decide(backups, NOW, policy, LA_PAZ)) <= kept(earlier)


@given(histories(), policies)
def test_what_runs_and_what_is_young_stays(backups: list[Respaldo], policy: Policy) -> None:
    stay = kept(decide(backups, NOW, policy, LA_PAZ))
    for found in backups:
        point = found.good and found.tipo_respaldo == TipoRespaldo.PUNTO
        young = min(policy.days, policy.point_days) if point else policy.days
        if found.estado in ("pendiente", "procesando") or NOW - found.fecha_respaldo < timedelta(days=young):
            assert found.id in stay


@given(histories(), policies, zones)
def test_of_each_day_that_is_young_the_last_good_one_stays(
    backups: list[Respaldo], policy: Policy, zone: ZoneInfo
) -> None:
    """And of the points before it none, once they are old enough, but for another rule."""
    plain = replace(policy, daily=0, weekly=0, monthly=0, minimum=1)
    stay = kept(decide(backups, NOW, plain, zone))
    good = [found for found in newest_first(backups) if found.good]
    seen = set()
    for found in good:
        day = found.fecha_respaldo.astimezone(zone).date()
        age = NOW - found.fecha_respaldo
        if age < timedelta(days=plain.days):
            thinned = found.tipo_respaldo == TipoRespaldo.PUNTO and age >= timedelta(days=plain.point_days)
            assert (found.id in stay) == (day not in seen or not thinned or found.held(NOW))
        seen.add(day)


@given(histories(), policies)
def test_some_completed_backup_is_left_where_there_was_one(backups: list[Respaldo], policy: Policy) -> None:
    completed = {found.id for found in backups if found.estado == "completado"}
    assert not completed or completed & kept(decide(backups, NOW, policy, LA_PAZ))


# What people have lost elsewhere


def test_thirty_nights_of_empty_backups_do_not_age_out_the_last_full_one() -> None:
    empty = nights(40, sospechoso=True)
    full = nights(3, first_id=101, since=40)
    decided = {decision.respaldo_id: decision for decision in decide([*empty, *full], NOW, MONTH, LA_PAZ)}
    assert decided[101] == Decision(101, True, "es el último respaldo bueno")
    assert not decided[102].keep
    assert decided[1].keep
    assert decided[31].reason == "no cuenta como bueno (es sospechoso y nadie lo aceptó) y tiene 30 días o más"


def test_an_accepted_one_takes_the_full_ones_place() -> None:
    accepted = backup(1, timedelta(days=31), sospechoso=True, aceptado=NOW)
    full = backup(2, timedelta(days=50))
    assert kept(decide([accepted, full], NOW, MONTH, LA_PAZ)) == {1}


def test_one_whose_verification_failed_does_not_count() -> None:
    broken = backup(1, timedelta(days=31), verificado_error="falta el objeto")
    older = backup(2, timedelta(days=60))
    assert kept(decide([broken, older], NOW, MONTH, LA_PAZ)) == {2}


def test_where_none_is_good_the_newest_completed_one_stays() -> None:
    found = decide(nights(3, since=40, sospechoso=True), NOW, MONTH, LA_PAZ)
    assert found[0] == Decision(1, True, "no hay ninguno bueno, y es el último completado")
    assert kept(found) == {1}


def test_a_deletion_that_was_taken_back_is_not_done_again_the_next_night() -> None:
    history = [*nights(2), backup(9, timedelta(days=45))]
    assert 9 not in kept(decide(history, NOW, MONTH, LA_PAZ))
    again = decide(history, NOW, MONTH, LA_PAZ, recovered={9: NOW - timedelta(days=1)})
    assert again[-1] == Decision(9, True, "se recuperó hace menos de 30 días")
    assert 9 not in kept(decide(history, NOW, MONTH, LA_PAZ, recovered={9: NOW - timedelta(days=31)}))


@pytest.mark.parametrize("estado", [Estado.FALLIDO, Estado.CANCELADO])
def test_failed_ones_go_when_they_are_old(estado: Estado) -> None:
    old, young = backup(1, timedelta(days=31), estado), backup(2, timedelta(days=29), estado)
    assert kept(decide([old, young], NOW, MONTH, LA_PAZ)) == {2}


def test_days_that_reach_back_before_all_dates() -> None:
    assert len(kept(decide(nights(3), NOW, Policy(days=10**12), LA_PAZ))) == 3


@pytest.mark.parametrize("days", [1, 30])
def test_the_day_that_people_are_told_is_the_day_from_which_it_may_go(days: int) -> None:
    older, newer = backup(1, timedelta(days=3)), backup(2, timedelta(days=1))
    told = kept_until(older, days)
    assert told is not None
    moment = timedelta(seconds=1)
    assert 1 in kept(decide([older, newer], told - moment, Policy(days), LA_PAZ))
    assert 1 not in kept(decide([older, newer], told, Policy(days), LA_PAZ))


def test_what_has_no_file_to_lose_has_no_such_day() -> None:
    for estado in set(Estado) - {Estado.COMPLETADO}:
        assert kept_until(backup(1, timedelta(), estado), 30) is None
    assert kept_until(backup(1, timedelta(), fecha_eliminacion=NOW), 30) is None
    assert kept_until(backup(1, timedelta(), tipo_respaldo=TipoRespaldo.PUNTO), 30) is None


def test_days_that_reach_beyond_all_dates_are_a_day_far_away() -> None:
    told = kept_until(backup(1, timedelta()), 10**12)
    assert told is not None
    assert told.year > 3000


# Daily, weekly, monthly


def test_the_newest_of_each_period_is_kept_and_says_which() -> None:
    policy = Policy(days=1, minimum=1, daily=2, weekly=2, monthly=2)
    found = decide(nights(60), NOW, policy, LA_PAZ)
    assert [(decision.respaldo_id, decision.reason) for decision in found if decision.keep] == [
        (1, "es el último respaldo bueno"),
        (2, "se conserva uno por día (el 22 de noviembre de 2026)"),
        (24, "se conserva uno por mes (octubre de 2026)"),
    ], "the Sunday before this Monday is also its week's newest"


def test_a_period_without_a_backup_is_not_counted() -> None:
    some = [backup(1, timedelta(days=2)), backup(2, timedelta(days=20)), backup(3, timedelta(days=200))]
    assert kept(decide(some, NOW, Policy(days=1, weekly=3), LA_PAZ)) == {1, 2, 3}


def test_a_week_is_named_by_its_monday_and_crosses_the_year() -> None:
    thursday = datetime(2026, 12, 31, 6, tzinfo=UTC)
    friday = datetime(2027, 1, 1, 6, tzinfo=UTC)
    before = datetime(2026, 12, 27, 6, tzinfo=UTC)
    some = [backup(n, timedelta(), fecha_respaldo=moment) for n, moment in enumerate((friday, thursday, before), 1)]
    found = decide(some, datetime(2027, 3, 1, tzinfo=UTC), Policy(days=1, weekly=2), LA_PAZ)
    assert kept(found) == {1, 3}
    assert found[2].reason == "se conserva uno por semana (semana del 21 de diciembre de 2026)"


def test_days_are_those_of_the_clinics_clock() -> None:
    late, early = datetime(2026, 11, 20, 3, 30, tzinfo=UTC), datetime(2026, 11, 20, 4, 30, tzinfo=UTC)
    some = [backup(1, timedelta(), fecha_respaldo=early), backup(2, timedelta(), fecha_respaldo=late)]
    policy = Policy(days=1, daily=2)
    assert kept(decide(some, NOW, policy, LA_PAZ)) == {1, 2}, "23:30 and 00:30 in La Paz"
    assert kept(decide(some, NOW, policy, ZoneInfo("UTC"))) == {1}


@pytest.mark.parametrize(
    "first",
    [
        # Chile's clocks go back on 5 April 2026, so 23:30 comes twice, and forward on 6 September, without 00:30.
        datetime(2026, 4, 5, 2, 30, tzinfo=UTC),
        datetime(2026, 9, 6, 3, 30, tzinfo=UTC),
    ],
)
def test_a_change_of_the_clock_makes_no_day_of_its_own(first: datetime) -> None:
    hourly = [backup(n, timedelta(), fecha_respaldo=first + timedelta(hours=n)) for n in range(1, 49)]
    days = {found.fecha_respaldo.astimezone(SANTIAGO).date() for found in hourly}
    stay = kept(decide(hourly, NOW, Policy(days=1, daily=50), SANTIAGO))
    assert len(stay) == len(days) == 3


# What people read


@pytest.mark.parametrize(
    ("found", "policy", "expected"),
    [
        (backup(1, timedelta(days=90)), MONTH, Decision(1, True, "es el último respaldo bueno")),
        (backup(1, timedelta(0), Estado.PROCESANDO), MONTH, Decision(1, True, "está en curso")),
        (backup(1, timedelta(5), Estado.FALLIDO), MONTH, Decision(1, True, "tiene menos de 30 días")),
        (backup(1, timedelta(0), Estado.FALLIDO), Policy(1), Decision(1, True, "tiene menos de 1 día")),
        (backup(1, timedelta(31), Estado.FALLIDO), MONTH, Decision(1, False, "falló y tiene 30 días o más")),
        (backup(1, timedelta(31), Estado.CANCELADO), MONTH, Decision(1, False, "se canceló y tiene 30 días o más")),
    ],
)
def test_reasons(found: Respaldo, policy: Policy, expected: Decision) -> None:
    assert decide([found], NOW, policy, LA_PAZ) == [expected]


def test_reasons_of_older_ones() -> None:
    found = decide([*nights(2), *nights(2, first_id=8, since=31)], NOW, replace(MONTH, minimum=3), LA_PAZ)
    assert found[1].reason == "es uno de los 3 últimos respaldos buenos"
    assert found[3] == Decision(9, False, "hay otros más nuevos y tiene 30 días o más")
    broken = backup(5, timedelta(40), verificado_error="x")
    reason = decide([*nights(1), broken], NOW, MONTH, LA_PAZ)[-1].reason
    assert reason == "no cuenta como bueno (su última verificación falló) y tiene 30 días o más"
