"""Every frame of the venue arrives altered, through the real decoder and pipeline, for a whole life: cut, doubled, with strange members."""

import json
import re
from collections.abc import Callable
from random import Random

import pytest

from events import facts as f
from events.values import PositionSide
from holdfast.scenario.floor import BALANCES, D, Floor, replayed
from venues.simulated.settings import VenueSettings

both_sides = pytest.mark.parametrize("side", PositionSide, ids=lambda side: side.value)
Altered = Callable[[str, Random], str]
NUMBER = re.compile(r'(?<=[a-z]":)-?[0-9.]+(?:e-?[0-9]+)?(?=[,}])')
AMOUNT = re.compile(r'("[a-z_]*(?:qty|price|cost|balance|bid|ask|last|fee|amount)":)(-?[0-9.]+(?:e-?[0-9]+)?)(?=[,}])')
STRANGE = {"unheard_of": {"deep": [1, {"er": None}]}, "type2": "x", "sequence_of": [[]], "liquidity": 1e300}


def with_unknown_members(text: str, rng: Random) -> str:
    """Members that nobody has heard of, at every level."""

    def added(value: object) -> object:
        if isinstance(value, dict):
            return {**STRANGE, **{key: added(each) for key, each in value.items()}}
        return [added(each) for each in value] if isinstance(value, list) else value

    # Numbers stay as they are written.
    whole = json.dumps(added(json.loads(text, parse_float=_Lexeme, parse_int=_Lexeme)))
    return whole.replace('"\\u2063', "").replace('\\u2063"', "")


class _Lexeme(str):
    """A number as it was written, marked so that its quotes can be taken off again."""

    def __new__(cls, text: str) -> "_Lexeme":
        return super().__new__(cls, f"\u2063{text}\u2063")


def cut(text: str, rng: Random) -> str:
    """Every sixth private frame ends too early."""
    return text[: rng.randrange(len(text))] if '"executions"' in text and rng.random() < 1 / 6 else text


def with_texts_for_numbers(text: str, rng: Random) -> str:
    """Every price and quantity as a text, as other interfaces of the venue write them."""
    return AMOUNT.sub(lambda found: f'{found[1]}"{found[2]}"', text)


def with_an_odd_number(odd: str) -> Altered:
    """One number of every sixth private frame is odd."""

    def altered(text: str, rng: Random) -> str:
        found = list(NUMBER.finditer(text))
        if '"channel":"executions"' not in text or not found or rng.random() > 1 / 6:
            return text
        one = rng.choice(found)
        return text[: one.start()] + odd + text[one.end() :]

    return altered


def with_unknown_words(text: str, rng: Random) -> str:
    """Every sixth private frame says something of a kind that nobody has heard of."""
    if '"channel":"executions"' not in text or rng.random() > 1 / 6:
        return text
    name = rng.choice(("exec_type", "order_status", "order_type", "side", "liquidity_ind", "time_in_force"))
    return re.sub(rf'"{name}":"[^"]*"', f'"{name}":"unheard_of"', text)


ODD = ("NaN", "-Infinity", "1e400", "9" * 40, "-1", "0", "null", "true", '"x"', "[]")
WAYS: dict[str, Altered] = {
    "unknown members": with_unknown_members,
    "cut": cut,
    "texts for numbers": with_texts_for_numbers,
    "unknown words": with_unknown_words,
    **{f"a number is {odd}": with_an_odd_number(odd) for odd in ODD},
}
UNDERSTOOD = ("unknown members", "texts for numbers")
FAULTS = {"doubled": ("duplicate_frame/p=1",), "in another order": ("reorder_frames/p=0.5",)}


def refused_in(floor: Floor) -> int:
    return sum(count for name, count in floor.pipeline.counters.items() if name.startswith("refused_"))


def lived(floor: Floor, side: PositionSide) -> None:
    """Let a position live: asked for, protected, narrowed, left; and tell whether the books are the venue's."""
    position_id = floor.open(side, tighten=(f.TightenStep(profit_bps=50, trail_offset_bps=100),))
    floor.wait(20)
    if floor.state(position_id) != "Closed":
        floor.tick(floor.moved(side, 60))
        floor.wait(15)
        floor.leave(position_id)
        floor.wait(30)
    assert floor.state(position_id) in ("Closed", "Abandoned"), floor.states(position_id)
    assert (floor.at_venue(), floor.resting()) == (0, [])
    assert replayed(floor)


@both_sides
@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("way", WAYS)
def test_a27_a_life_whose_frames_are_altered_ends_flat_and_replays_alike(side: PositionSide, way: str, seed: int) -> None:
    rng, floor = Random(f"{way} {seed}"), Floor()
    floor.by_hand("buy", "0.01")
    floor.by_hand("sell", "0.01")
    floor.wait(1)
    refused = refused_in(floor)
    floor.altered = lambda text: WAYS[way](text, rng)
    lived(floor, side)
    assert floor.bare_ns <= 15_000_000_000
    if way in UNDERSTOOD:
        assert "Protected" in floor.states("hf000001")
        assert refused_in(floor) == refused


@both_sides
@pytest.mark.parametrize("way", FAULTS)
def test_a27_a_life_whose_frames_come_twice_or_in_another_order_ends_flat(side: PositionSide, way: str) -> None:
    floor = Floor(faults=FAULTS[way])
    lived(floor, side)


def test_a27_a_frame_cut_anywhere_is_refused_or_understood_and_never_more_than_one_frame() -> None:
    """Each prefix of each kind of frame of a life, given once beside the whole frame."""
    frames: list[str] = []
    floor = Floor()
    floor.altered = lambda text: frames.append(text) or text  # type: ignore[func-returns-value]
    position_id = floor.protected()
    floor.altered = lambda text: text
    kinds = {re.sub(r'[0-9]+|"[A-Z0-9-]{19}"', "", text)[:120]: text for text in frames if '"executions"' in text or '"balances"' in text}
    for text in kinds.values():
        for end in range(0, len(text), 7):
            floor.feed("frame", "private", text[:end])
    floor.wait(5)
    assert floor.state(position_id) == "Protected"
    assert len(floor.resting()) == 1
    assert replayed(floor)


@both_sides
@pytest.mark.parametrize("rest_lag_ms", [0, 60_000])
def test_a27_a_snapshot_with_an_execution_that_cannot_be_read_proves_no_absence(side: PositionSide, rest_lag_ms: int) -> None:
    # The entry fills while nobody listens. What it bought stands in the snapshot, in a number that is none.
    floor = Floor(venue=VenueSettings(balances=dict(BALANCES), rest_lag_ms=rest_lag_ms))
    # Executions of another position are known: the list reaches back to them.
    floor.leave(floor.protected(side))
    floor.wait(2)
    px = floor.moved(side, -50)
    position_id = floor.open(side, entry_type="limit", entry_price=px, timing=f.Timing(entry_ttl_ms=600_000))
    floor.wait(1)
    floor.cut()
    floor.altered = lambda text: text.replace('"last_qty":', '"last_qty":"NaN","was":') if '"executions"' in text else text
    floor.tick(floor.moved(side, -60))
    floor.wait(1)
    floor.connect()
    floor.wait(90)
    assert (floor.state(position_id), abs(floor.at_venue())) == ("Protected", D("0.5"))
    assert replayed(floor)


@both_sides
@pytest.mark.parametrize("vol", ['"NaN"', '"-1"', "null", '"one"'])
def test_a27_an_answer_with_a_trade_that_cannot_be_booked_proves_no_absence(side: PositionSide, vol: str) -> None:
    # The entry fills while nobody listens, and more was traded than a snapshot lists: only REST tells of it, in a number that is none.
    floor = Floor(venue=VenueSettings(balances=dict(BALANCES), snapshot_trades=2))
    floor.leave(floor.protected(side))
    floor.wait(2)
    px = floor.moved(side, -50)
    position_id = floor.open(side, entry_type="limit", entry_price=px, timing=f.Timing(entry_ttl_ms=600_000))
    floor.wait(1)
    floor.cut()
    floor.tick(floor.moved(side, -60))
    floor.wait(1)
    assert abs(floor.at_venue()) == D("0.5")
    for each in ("buy", "sell"):
        floor.by_hand(each, "0.1")
    spoiled = re.compile(r'"vol":"0\.50*"')
    floor.altered_answer = lambda path, text: spoiled.sub(f'"vol":{vol}', text) if path.endswith("/TradesHistory") else text
    floor.connect()
    floor.wait(30)
    assert floor.state(position_id) != "Abandoned"
    floor.wait(90)
    assert floor.state(position_id) not in ("Abandoned", "Closed")
    floor.altered_answer = lambda path, text: text
    floor.wait(90)
    assert (floor.state(position_id), abs(floor.at_venue())) == ("Protected", D("0.5"))
    assert len(floor.resting()) == 1
    assert replayed(floor)


@both_sides
@pytest.mark.parametrize("entry", ["market", "limit"])
@pytest.mark.parametrize("kind", ["traded", ""])
@pytest.mark.parametrize("is_first", [True, False])
def test_a27_an_order_that_ended_with_more_than_is_booked_is_asked_for_at_once(
    side: PositionSide, entry: str, kind: str, is_first: bool
) -> None:
    # The execution is told by a word that nobody knows, and so are all that a snapshot lists. The end of the order says how much it was.
    floor = Floor()
    if not is_first:
        floor.leave(floor.protected(side))
        floor.wait(2)
    floor.altered = lambda text: text.replace('"exec_type":"trade"', f'"exec_type":"{kind}"') if '"executions"' in text else text
    if entry == "market":
        position_id = floor.open(side)
    else:
        px = floor.moved(side, -50)
        position_id = floor.open(side, entry_type="limit", entry_price=px, timing=f.Timing(entry_ttl_ms=600_000))
        floor.wait(1)
        floor.tick(floor.moved(side, -60))
    assert abs(floor.at_venue()) == D("0.5")
    floor.wait(2)
    assert floor.state(position_id) == "Protected"
    assert len(floor.resting()) == 1
    assert replayed(floor)
