from msgspec.structs import replace

from events.commands import AmendOrder, AnyCommand, CancelOrder, QueryOrder, RaiseAlert, RefreshTruth
from events.errors import StoreFailed
from events.record import PositionEvent
from events.store import Fenced, OutboxGate, Outgoing
from tests.events.samples import ENTRY, STOP, event

FAILED = StoreFailed("events.db", "the write failed: disk I/O error", "see to the disk")
CANCEL_ENTRY = CancelOrder(client_order_id=ENTRY.client_order_id, venue_order_id="", symbol="BTC/EUR")
ALERT = RaiseAlert(code="X", text="y")


def commands_of(outgoing: tuple[Outgoing, ...]) -> list[AnyCommand]:
    return [one.command for one in outgoing]


def entry_event(position_id: str = "hf000001", version: int = 1) -> PositionEvent:
    return event(position_id, version, replace(ENTRY, client_order_id=f"{position_id}2{version:04d}0"))


def test_entry_waits_until_its_event_is_durable() -> None:
    gate = OutboxGate()
    opened = event("hf000001", 1, ENTRY)
    admission = gate.admit(opened)
    assert (admission.send, admission.dropped, admission.waits, gate.held_count) == ((), (), True, 1)
    assert gate.durable(opened) == (Outgoing(opened, 0, ENTRY),)
    assert (gate.durable(opened), gate.held_count) == ((), 0)


def test_protection_exits_queries_and_notices_leave_at_once() -> None:
    exits = (replace(STOP, role="exit"), replace(STOP, role="take_profit"), replace(STOP, role="flatten"))
    commands = (STOP, *exits, RefreshTruth(symbol="BTC/EUR"), ALERT)
    gate = OutboxGate()
    admission = gate.admit(event("hf000001", 1, *commands))
    assert commands_of(admission.send) == list(commands)
    assert [one.index for one in admission.send] == list(range(len(commands)))
    assert not admission.waits


def test_of_one_event_only_the_entry_waits() -> None:
    gate = OutboxGate()
    mixed = event("hf000001", 1, ALERT, ENTRY, STOP)
    admission = gate.admit(mixed)
    assert commands_of(admission.send) == [ALERT, STOP]
    assert gate.durable(mixed) == (Outgoing(mixed, 1, ENTRY),)


def test_event_that_is_durable_releases_its_own_entry_only() -> None:
    gate = OutboxGate()
    first, second = entry_event("hf000001"), entry_event("hf000002")
    gate.admit(first)
    gate.admit(second)
    assert [one.event for one in gate.durable(second)] == [second]
    assert [one.event for one in gate.durable(first)] == [first]
    assert gate.durable(event("hf000009", 1)) == ()


def test_entry_never_follows_its_own_cancel_amend_or_query() -> None:
    order = ENTRY.client_order_id
    for command in (kind(client_order_id=order, venue_order_id="", symbol="BTC/EUR") for kind in (CancelOrder, AmendOrder, QueryOrder)):
        gate = OutboxGate()
        opened = event("hf000001", 1, ENTRY)
        gate.admit(opened)
        admission = gate.admit(event("hf000001", 2, command))
        assert admission.send == ()
        assert [(one.command, one.reason) for one in admission.dropped] == [
            (ENTRY, "taken back before it was sent"),
            (command, "its order was never sent"),
        ]
        assert gate.durable(opened) == ()


def test_of_two_entries_of_one_event_only_the_named_one_is_taken_back() -> None:
    gate = OutboxGate()
    other = replace(ENTRY, client_order_id="hf00000120001z")
    opened = event("hf000001", 1, ENTRY, other)
    gate.admit(opened)
    assert commands_of(gate.admit(event("hf000001", 2, CANCEL_ENTRY)).dropped) == [ENTRY, CANCEL_ENTRY]
    assert gate.held_count == 1
    assert commands_of(gate.durable(opened)) == [other]


def test_cancel_of_an_entry_that_was_sent_is_sent() -> None:
    gate = OutboxGate()
    opened = event("hf000001", 1, ENTRY)
    gate.admit(opened)
    gate.durable(opened)
    assert commands_of(gate.admit(event("hf000001", 2, CANCEL_ENTRY)).send) == [CANCEL_ENTRY]


def test_position_that_ended_takes_its_entries_back() -> None:
    gate = OutboxGate()
    first, second = entry_event("hf000001"), entry_event("hf000002")
    gate.admit(first)
    gate.admit(second)
    assert [(one.event, one.reason) for one in gate.withdraw("hf000001", "the position is closed")] == [(first, "the position is closed")]
    assert gate.durable(first) == ()
    assert len(gate.durable(second)) == 1


def test_failure_of_the_store_drops_entries_and_lets_protection_and_exits_go_on() -> None:
    gate = OutboxGate()
    first, second = entry_event("hf000001"), entry_event("hf000002")
    gate.admit(first)
    gate.admit(second)
    dropped = gate.store_failed(FAILED)
    assert [(one.event, one.reason) for one in dropped] == [(first, str(FAILED)), (second, str(FAILED))]
    assert gate.durable(first) == ()
    admission = gate.admit(event("hf000003", 1, ENTRY, STOP, CANCEL_ENTRY))
    assert commands_of(admission.send) == [STOP, CANCEL_ENTRY]
    assert commands_of(admission.dropped) == [ENTRY]
    assert not admission.waits


def test_fenced_engine_sends_nothing_but_notices() -> None:
    gate = OutboxGate()
    opened = entry_event()
    gate.admit(opened)
    assert len(gate.store_failed(Fenced("events.db", 3, 4))) == 1
    admission = gate.admit(event("hf000001", 2, STOP, CANCEL_ENTRY, ALERT))
    assert commands_of(admission.send) == [ALERT]
    assert commands_of(admission.dropped) == [STOP, CANCEL_ENTRY]
