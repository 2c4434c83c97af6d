from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from venues.simulated.wire import WireError, decode, encode, encode_with_texts, ns_from_time, time_text, time_text_seconds

D = Decimal


def test_numbers_leave_bare_with_their_own_digits_and_no_exponent() -> None:
    frame = {"a": D("0.00016000"), "b": D("1E-8"), "c": D("0E-8"), "d": D("1E+5"), "e": 12393906104898154338}
    assert encode(frame) == '{"a":0.00016000,"b":0.00000001,"c":0.00000000,"d":100000,"e":12393906104898154338}'


def test_books_write_numbers_as_texts() -> None:
    assert encode_with_texts({"a": D("0.10")}) == '{"a":"0.10"}'


def test_numbers_come_in_exactly() -> None:
    assert decode('{"a":0.1,"b":1e-08,"c":7}') == {"a": D("0.1"), "b": D("1E-8"), "c": 7}


@pytest.mark.parametrize(
    "text", ["[1]", '{"a":1e400}', '{"a":Infinity}', "{" * 10_000, '{"a":' + "1" * 60 + "}", "", '{"a":"\\ud800"}', '{"\\uDFFF":1}']
)
def test_what_no_client_means_is_refused(text: str) -> None:
    with pytest.raises(WireError):
        decode(text)


@given(st.decimals(allow_nan=False, allow_infinity=False, places=8, min_value=-(10**12), max_value=10**12))
def test_a_decimal_survives_the_wire(value: Decimal) -> None:
    back = decode(encode({"a": value}))["a"]
    assert Decimal(back) == value


@given(st.integers(0, 4_000_000_000 * 10**9))
def test_times_survive_the_wire_to_the_microsecond(ns: int) -> None:
    assert ns_from_time(time_text(ns)) == ns // 1000 * 1000
    assert ns_from_time(time_text_seconds(ns)) == ns // 10**9 * 10**9


@pytest.mark.parametrize("text", ["2024-05-18T12:05:50.293682Z", "2024-05-18T14:05:50.293682+02:00", "2024-05-18t12:05:50.293682000z"])
def test_one_moment_in_three_spellings(text: str) -> None:
    assert ns_from_time(text) == 1_716_033_950_293_682_000


@pytest.mark.parametrize("text", ["", "tomorrow", "2024-05-18", "2024-13-18T12:05:50Z", "2024-05-18T12:05:50"])
def test_other_texts_are_no_times(text: str) -> None:
    with pytest.raises(ValueError, match=r"time|month"):
        ns_from_time(text)


def test_a_pair_of_surrogates_is_a_character() -> None:
    assert decode('{"a":"\\ud83d\\ude00"}') == {"a": "😀"}
