"""A venue that refuses the same thing for ever: attempts stay few, a person is woken, and it ends once the venue gives in (I13, I14)."""

from collections.abc import Callable
from dataclasses import dataclass

import pytest

from events import commands as c
from events import facts as f
from events.values import Capabilities
from fsm.core import KEPT_ORDERS
from fsm.desk import SnapshotOrder
from holdfast.simulation.adversary import NO_AMEND, SPOT, OrderCommand, VenueOrder
from tests.fsm.timed import SECOND, TimedLife

MINUTES = 10
# Kraken gives 60 points and takes one back a second; a cancel of a young order costs 8. These are an order of magnitude below.
ORDERS_A_MINUTE, SNAPSHOTS_A_MINUTE, EVENTS_A_MINUTE, PAGES_A_MINUTE = 15, 30, 45, 6


@dataclass
class StubbornLife(TimedLife):
    """A life on a venue that answers some commands always alike. `mood` names which; "" is a venue in its senses."""

    mood: str = ""

    def process(self, command: OrderCommand, faults: bool) -> None:
        answer = MOODS.get(self.mood, _none)(command)
        if answer is None:
            super().process(command, faults)
        elif answer == "fills never":
            assert isinstance(command, c.SubmitOrder)
            self.say(f.OrderAccepted(ts_recv_ns=self.now_ns, **self.place(command, hung=True).ids), False)  # type: ignore[arg-type]
        elif answer == "ends at once":
            assert isinstance(command, c.SubmitOrder)
            self.end(self.place(command), False)
        elif answer != "silence":
            self.say_no(command, answer)

    def place(self, command: c.SubmitOrder, hung: bool = False) -> VenueOrder:
        self.ids += 1
        order = VenueOrder(command.client_order_id, f"V{self.ids}", command, command.qty, hung=hung)
        self.orders.append(order)
        return order

    def say_no(self, command: OrderCommand, reject_class: str) -> None:
        kinds = {c.SubmitOrder: f.OrderRejected, c.AmendOrder: f.AmendRejected, c.CancelOrder: f.CancelRejected}
        fields = {"ts_recv_ns": self.now_ns, "client_order_id": command.client_order_id, "reject_class": reject_class, "text": "no"}
        self.say(kinds[type(command)](**fields), False)

    def answer(self, asked_ns: int, link: int) -> None:
        if self.mood not in ("gives no snapshot", "is silent after the entry"):
            super().answer(asked_ns, link)

    def deliver_snapshot(self, asked_ns: int, said: list[f.AnyFact], listed: list[VenueOrder]) -> None:
        if self.mood != "never lists all trades":
            super().deliver_snapshot(asked_ns, said, listed)
            return
        for fact in said:
            self.deliver(fact)
        rows = [SnapshotOrder(o.client_order_id, o.venue_order_id) for o in listed]
        self.take(self.desk.snapshot(rows, False, asked_ns, self.now_ns))


def _none(command: OrderCommand) -> str | None:
    return None


def _submit(answer: str, *roles: str) -> Callable[[OrderCommand], str | None]:
    return lambda command: answer if isinstance(command, c.SubmitOrder) and command.role in roles else None


def _change(answer: str, kind: type) -> Callable[[OrderCommand], str | None]:
    return lambda command: answer if isinstance(command, kind) else None


def _not_entry(answer: str) -> Callable[[OrderCommand], str | None]:
    return lambda command: None if isinstance(command, c.SubmitOrder) and command.role == "entry" else answer


MOODS: dict[str, Callable[[OrderCommand], str | None]] = {
    "refuses stops": _submit("other", "stop"),
    "finds every stop through the market": _submit("through_market", "stop"),
    "hears no stop": _submit("silence", "stop"),
    "refuses exits": _submit("venue_state", "exit", "take_profit"),
    "hears no exit": _submit("silence", "exit", "take_profit"),
    "never fills an exit": _submit("fills never", "exit"),
    "ends every exit at once": _submit("ends at once", "exit"),
    "refuses amends": _change("other", c.AmendOrder),
    "hears no amend": _change("silence", c.AmendOrder),
    "refuses cancels": _change("other", c.CancelOrder),
    "knows no order to cancel": _change("gone", c.CancelOrder),
    "hears no cancel": _change("silence", c.CancelOrder),
    "refuses everything": _not_entry("venue_state"),
    "is silent after the entry": _not_entry("silence"),
    "gives no snapshot": _none,
    "never lists all trades": _none,
}
# What a lost exit leads to shows only where an exit is lost.
LOSES_THE_EXIT = ("gives no snapshot", "never lists all trades")


@pytest.mark.parametrize("capabilities", [SPOT, NO_AMEND], ids=["amends", "no amends"])
@pytest.mark.parametrize("mood", MOODS)
def test_a_venue_that_never_gives_in_is_asked_seldom_and_a_person_is_woken(mood: str, capabilities: Capabilities) -> None:
    life = StubbornLife(3, fault_rate=0, capabilities=capabilities, tick_bps=0, mood=mood)
    life.start()
    life.after(200, life.tick_price)
    life.run_until(life.now_ns + 20 * SECOND)
    if not life.ended():
        life.fault_rate = 3 if mood in LOSES_THE_EXIT else 0
        life.ask_to_leave()
        life.run_until(life.now_ns + SECOND)
        life.fault_rate = 0
    before = (len(life.sent), len(life.asked), len(life.events), len(life.paged_ns))
    life.run_until(life.now_ns + MINUTES * 60 * SECOND)
    orders, asked, events, pages = (
        (now - then) / MINUTES
        for now, then in zip((len(life.sent), len(life.asked), len(life.events), len(life.paged_ns)), before, strict=True)
    )
    assert orders <= ORDERS_A_MINUTE
    assert asked <= SNAPSHOTS_A_MINUTE
    assert events <= EVENTS_A_MINUTE
    assert pages <= PAGES_A_MINUTE
    assert life.ended() or pages >= 1, life.position.state
    assert len(life.position.orders) <= KEPT_ORDERS
    assert life.broken == []
    # The venue comes to its senses: whatever was tried meanwhile, it ends flat with nothing left behind.
    life.mood = ""
    for order in life.orders:
        order.hung = False
    life.run_until(life.now_ns + 5 * 60 * SECOND)
    assert life.ended()
    assert (life.held, [o for o in life.orders if o.open], life.over_exit) == (0, [], 0)
