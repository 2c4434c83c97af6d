"""Times of the wire, against the standard library."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from venues.kraken.times import ns_from_rfc3339, rfc3339_ms_from

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MOMENTS = st.integers(0, 230 * 366 * 86_400 * 10**6).map(lambda micros: _EPOCH + timedelta(microseconds=micros))


@given(_MOMENTS)
def test_a_time_is_read_as_the_standard_library_reads_it(moment):
    text = moment.strftime("%Y-%m-%dT%H:%M:%S.%fZ")
    assert ns_from_rfc3339(text) == (moment - _EPOCH) // timedelta(microseconds=1) * 1000


@given(_MOMENTS)
def test_a_time_that_was_written_is_read_back_to_the_millisecond(moment):
    ns = int(moment.timestamp()) * 10**9 + 987_654_321
    assert ns_from_rfc3339(rfc3339_ms_from(ns)) == ns // 10**6 * 10**6


def test_nanoseconds_and_whole_seconds_are_read():
    assert ns_from_rfc3339("1970-01-01T00:00:01.000000001Z") == 1_000_000_001
    assert ns_from_rfc3339("1970-01-02T00:00:00Z") == 86_400_000_000_000


@pytest.mark.parametrize(
    "text",
    [
        None,
        5,
        "",
        "yesterday",
        "2024-13-01T00:00:00Z",
        "2024-01-01 00:00:00Z",
        "2024-01-01T00:00:00+01:00",
        "2024-01-01T0a:00:00Z",
        "٢٠٢٤-01-01T00:00:00Z",
    ],
)
def test_what_is_no_such_time_is_zero(text):
    assert ns_from_rfc3339(text) == 0
