"""Pauses between connection attempts."""

from hypothesis import given
from hypothesis import strategies as st

from venues.kraken.pacing import ATTEMPTS_PER_WINDOW, LIMIT_WINDOW_S, PATIENT_S, AttemptBudget, Pacer


def attempts_of(life_s, seconds, budget=None):
    pacer = Pacer(budget or AttemptBudget())
    now_s, made = 0.0, []
    while now_s < seconds:
        now_s += pacer.delay_s(now_s)
        pacer.attempt(now_s)
        made.append(now_s)
        now_s += life_s
        pacer.ended(life_s)
    return made


def test_the_first_attempt_and_the_first_one_after_a_healthy_life_are_instant():
    pacer = Pacer(AttemptBudget())
    assert pacer.delay_s(0) == 0
    pacer.ended(0.0)
    pacer.ended(0.0)
    assert pacer.delay_s(1) > 0
    pacer.ended(60.0)
    assert pacer.delay_s(2) == 0


def test_a_venue_that_accepts_and_drops_is_not_stormed():
    made = attempts_of(life_s=0.01, seconds=600)
    assert len([at for at in made if at < 1]) <= 5
    assert len(made) < 80


@given(st.floats(0, 30))
def test_no_life_that_is_short_or_long_makes_more_attempts_than_the_venue_takes(life_s):
    budget = AttemptBudget()
    made = sorted([*attempts_of(life_s, 1800, budget)])
    for at in made:
        assert len([other for other in made if at - LIMIT_WINDOW_S + 1e-6 < other <= at]) <= ATTEMPTS_PER_WINDOW


def test_two_links_share_one_budget():
    budget = AttemptBudget(attempts=3, window_s=600)
    first, second = Pacer(budget), Pacer(budget)
    for at in (0.0, 1.0):
        first.attempt(at)
    second.attempt(2.0)
    assert first.delay_s(3.0) == 597.0
    assert first.delay_s(600.0) == 0.0


def test_maintenance_asks_for_patience():
    assert Pacer(AttemptBudget()).delay_s(0, is_patient=True) == PATIENT_S
