import pytest
from hypothesis import given
from hypothesis import strategies as st

from events.errors import BadInput
from events.ids import CLIENT_ORDER_ID_LENGTH, EPOCHS, POSITION_ID_LENGTH, base36, client_order_id_from, position_id_from, position_id_of

DIGITS = "0123456789abcdefghijklmnopqrstuvwxyz"
NAMESPACES = st.text(alphabet=DIGITS, min_size=2, max_size=2)
NUMBERS = st.integers(0, 36**6 - 1)
VERSIONS = st.integers(0, 36**4 - 1)
INDEXES = st.integers(0, 35)


@given(st.integers(0, 36**6 - 1))
def test_base36_is_read_back_by_int(number: int) -> None:
    assert int(base36(number, 6), 36) == number


@pytest.mark.parametrize(("number", "length"), [(36, 1), (36**6, 6), (-1, 6)])
def test_number_that_does_not_fit_is_refused(number: int, length: int) -> None:
    with pytest.raises(BadInput, match="does not fit"):
        base36(number, length)


@given(NAMESPACES, NUMBERS, st.integers(0, 10**9), VERSIONS, INDEXES)
def test_position_is_found_again_in_its_order_ids(namespace: str, number: int, epoch: int, version: int, index: int) -> None:
    position_id = position_id_from(namespace, number)
    client_order_id = client_order_id_from(position_id, epoch, version, index)
    assert len(position_id) == POSITION_ID_LENGTH
    assert len(client_order_id) == CLIENT_ORDER_ID_LENGTH <= 18
    assert set(client_order_id) <= set(DIGITS)
    assert position_id_of(client_order_id, namespace) == position_id
    assert position_id_of(client_order_id + "-r1", namespace) == position_id


@given(st.tuples(NUMBERS, VERSIONS, INDEXES), st.tuples(NUMBERS, VERSIONS, INDEXES), st.integers(0, EPOCHS - 1), st.integers(0, EPOCHS - 1))
def test_order_ids_are_equal_only_where_everything_is(
    first: tuple[int, int, int], second: tuple[int, int, int], first_epoch: int, second_epoch: int
) -> None:
    one, two = (
        client_order_id_from(position_id_from("hf", number), epoch, version, index)
        for (number, version, index), epoch in ((first, first_epoch), (second, second_epoch))
    )
    assert (one == two) == (first == second and first_epoch == second_epoch)


@pytest.mark.parametrize("foreign", ["", "hf", "xx00001a2000c0", "hf00001a2000c", "hf00001A2000c0", "hf00001a-000c0", "61d8c2a0-1b3e"])
def test_order_of_somebody_else_has_no_position(foreign: str) -> None:
    assert position_id_of(foreign, "hf") is None


@given(st.text(max_size=20))
def test_any_text_belongs_to_a_position_of_ours_or_to_none(text: str) -> None:
    found = position_id_of(text, "hf")
    assert found is None or text.startswith(found)


@pytest.mark.parametrize("namespace", ["", "h", "hfx", "HF", "h-", "é1"])
def test_namespace_that_venues_would_change_is_refused(namespace: str) -> None:
    with pytest.raises(BadInput, match="two characters"):
        position_id_from(namespace, 1)
