"""What a start makes of the session files that it finds: the last one is ended and named, and what holds nothing is passed over."""

import asyncio
import time
from pathlib import Path

import pytest

from holdfast.assembly import Parts, assemble, followed
from holdfast.scenario.floor import Floor
from replay.session import read_session, verify_session
from venues.clock import Clock

KEY = b"a key of a test that is long enough"


async def _token() -> str:
    return "a token of a test"


def a_life(folder: Path, *, dead_man_secs: int = 0, clock: Clock | None = None) -> Path:
    """Start an engine and end it; return its session file."""

    async def live() -> Path:
        parts = Parts(
            store_url=str(folder / "events.db"), session_dir=folder, data_dir=folder, namespace="hf", symbols=("BTC/USD",),
            public_url="ws://127.0.0.1:1", private_url="ws://127.0.0.1:1", token_source=_token, clock=clock or Clock(), session_key=KEY,
            dead_man_secs=dead_man_secs,
        )  # fmt: skip
        assembled = assemble(parts)
        assembled.close()
        return assembled.record.path

    return asyncio.run(live())


def previous_of(path: Path) -> object:
    return read_session(path, key=KEY).manifest["previous"]


def named(path: Path) -> dict[str, object]:
    report = verify_session(path, KEY)
    return {"file": path.name, "last_seq": report.records, "head": report.head}


def test_a_start_names_the_session_before_it(tmp_path: Path) -> None:
    first = a_life(tmp_path)
    second = a_life(tmp_path)
    assert previous_of(first) is None
    assert previous_of(second) == named(first)


@pytest.mark.parametrize("left", ["nothing", "one byte", "half", "all but the line break", "a sector lost", "a sector of anything"])
def test_a_session_that_was_killed_within_its_first_write_is_passed_over_and_left_as_it_is(tmp_path: Path, left: str) -> None:
    first = a_life(tmp_path)
    manifest = first.read_bytes().partition(b"\n")[0]
    torn = {
        "nothing": b"",
        "one byte": manifest[:1],
        "half": manifest[: len(manifest) // 2],
        "all but the line break": manifest,
        "a sector lost": bytes(512) + manifest[512:] + b"\n",
        "a sector of anything": manifest[:100] + b"\xe0\n\x17\n" * 8,
    }[left]
    killed = tmp_path / "99991231T235959-zzzz.session"
    killed.write_bytes(torn)
    second = a_life(tmp_path)
    assert previous_of(second) == named(first)
    assert killed.read_bytes() == torn
    assert previous_of(a_life(tmp_path)) == named(second)


def test_a_first_session_that_was_killed_within_its_first_write_leaves_none_to_name(tmp_path: Path) -> None:
    (tmp_path / "20200101T000000-0001.session").touch()
    assert previous_of(a_life(tmp_path)) is None


def test_a_session_that_was_changed_is_left_as_evidence_and_no_older_one_takes_its_place(tmp_path: Path) -> None:
    a_life(tmp_path)
    changed = a_life(tmp_path)
    data = changed.read_bytes().replace(b'"started_ns":1', b'"started_ns":2')
    changed.write_bytes(data)
    third = a_life(tmp_path)
    assert previous_of(third) is None
    assert changed.read_bytes() == data


def left_on(path: Path) -> int:
    return int(read_session(path, key=KEY).manifest["pipeline"]["dead_man_left_secs"])


def test_a_start_knows_that_the_life_before_may_have_left_the_dead_man_switch_on(tmp_path: Path) -> None:
    assert left_on(a_life(tmp_path, dead_man_secs=60)) == 0
    assert left_on(a_life(tmp_path, dead_man_secs=600)) == 0, "what was left is shorter than what is set now"
    assert left_on(a_life(tmp_path, dead_man_secs=60)) == 600
    assert left_on(a_life(tmp_path)) == 600, "the life that was to switch it off may have ended before it could"
    later = Clock(start_ns=time.time_ns() + 700 * 1_000_000_000)
    assert left_on(a_life(tmp_path, clock=later)) == 0, "it has fired by now"


def test_a_pair_of_a_position_is_followed_also_when_the_settings_name_it_no_more() -> None:
    floor = Floor()
    floor.protected()
    assert followed(("ETH/USD",), floor.events) == ("ETH/USD", "BTC/USD")
    assert followed(("BTC/USD", "ETH/USD"), floor.events) == ("BTC/USD", "ETH/USD")
