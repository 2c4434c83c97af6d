from replay.steady import STEP_NS, Steady

SECOND = 1_000_000_000


def test_time_goes_on_where_the_clock_is_set_back() -> None:
    steady = Steady()
    assert steady.of("timer", 100 * SECOND) == 100 * SECOND
    assert steady.of("timer", 70 * SECOND) == 100 * SECOND
    assert [steady.of(kind, 71 * SECOND) for kind in ("frame", "answer", "link")] == [101 * SECOND] * 3
    assert steady.behind_ns == 30 * SECOND
    assert steady.of("intent", 40 * SECOND) == 101 * SECOND
    assert steady.behind_ns == 61 * SECOND


def test_a_clock_that_jumps_ahead_is_followed() -> None:
    steady = Steady()
    assert [steady.of("timer", at * SECOND) for at in (1, 31, 32)] == [1 * SECOND, 31 * SECOND, 32 * SECOND]
    assert steady.behind_ns == 0


def test_a_frame_that_is_handed_on_behind_younger_words_sets_no_clock_back() -> None:
    steady = Steady()
    assert [steady.of("timer", 10 * SECOND), steady.of("frame", 2 * SECOND), steady.of("timer", 11 * SECOND)] == [
        10 * SECOND, 2 * SECOND, 11 * SECOND
    ]  # fmt: skip
    assert steady.behind_ns == 0


def test_a_step_back_of_less_than_a_second_is_no_clock_that_was_set_back() -> None:
    steady = Steady()
    assert [steady.of("timer", 10 * SECOND), steady.of("timer", 10 * SECOND - STEP_NS + 1)] == [10 * SECOND, 9 * SECOND + 1]


def test_a_question_from_before_the_clock_was_set_back_stays_older_than_what_came_after_it() -> None:
    steady = Steady()
    steady.of("timer", 100 * SECOND)
    steady.of("timer", 70 * SECOND)
    assert steady.asked(99 * SECOND, steady.of("answer", 72 * SECOND)) == 99 * SECOND
    assert steady.asked(71 * SECOND, steady.of("answer", 72 * SECOND)) == 101 * SECOND
