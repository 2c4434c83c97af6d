import time

import pytest

from events.errors import Usage
from holdfast.times import iso_text, moment_from, moment_text, time_text

MS, S = 1_000_000, 1_000_000_000
NOON_NS = 1_767_268_800 * S


@pytest.mark.parametrize(
    ("ns", "text"),
    [
        (0, "0 ms"),
        (1_500_000, "1.5 ms"),
        (12 * MS, "12 ms"),
        (999 * MS, "999 ms"),
        (3_250 * MS, "3.250 s"),
        (125 * S, "2 min 05 s"),
        (12_000 * S, "3 h 20 min"),
        (370_800 * S, "4 d 07 h"),
    ],
)
def test_durations_are_written_for_people(ns: int, text: str) -> None:
    assert time_text(ns) == text


def test_a_moment_is_written_relative_as_iso_or_raw() -> None:
    assert moment_text(NOON_NS, NOON_NS + 3_250 * MS) == "3.250 s ago"
    assert moment_text(NOON_NS + 12 * MS, NOON_NS) == "in 12 ms"
    assert moment_text(NOON_NS, 0, "iso") == iso_text(NOON_NS) == "2026-01-01T12:00:00.000Z"
    assert moment_text(NOON_NS, 0, "raw") == str(NOON_NS)
    assert moment_text(0, NOON_NS) == ""


@pytest.mark.parametrize(
    ("text", "ns"),
    [
        ("last", 17),
        (str(NOON_NS + 1), NOON_NS + 1),
        ("2026-01-01T12:00:00Z", NOON_NS),
        ("2026-01-01T12:00:00.000001", NOON_NS + 1_000),
        ("2026-01-01 14:00:00+02:00", NOON_NS),
        ("1969-12-31T23:59:59Z", -S),
    ],
)
def test_a_moment_is_read_as_people_write_it(text: str, ns: int) -> None:
    assert moment_from(text, 17) == ns


def test_without_a_word_it_is_now_but_never_before_the_log() -> None:
    before = time.time_ns()
    assert before <= moment_from(None, 0) <= time.time_ns()
    ahead = time.time_ns() + 3_600 * S
    assert moment_from(None, ahead) == ahead


@pytest.mark.parametrize("text", ["", "yesterday", "2026-13-01", "-5", "9" * 20, "१२"])
def test_what_is_no_moment_is_refused_with_how_to_write_one(text: str) -> None:
    with pytest.raises(Usage, match="write it as"):
        moment_from(text, 0)
