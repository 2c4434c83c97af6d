"""What an engine knows, and its normalisation: two minds that can never behave differently are one. Docs: docs/proof.md.

    time      now is always `now_ns`; a tick moves everything that is remembered one tick into the past. Within a tick only "before or
              after the latest question" is kept; beyond `HORIZON` ticks, and where a moment is never looked at again, nothing is.
    ids       client order ids become the explorer's numbers, versions and epochs a constant
    counters  stop where no row or policy tells the numbers apart any more
"""

from collections.abc import Callable
from typing import NamedTuple

import msgspec

from events.ids import base36
from events.values import Mark

from ..model import Order, Position
from ..order import END_STATUSES, SUBMITTED, UNKNOWN
from ..position import EXIT_ATTEMPTS, LIVE_STATES, PROTECTED, PROTECTED_PENDING_FILL
from ..timers import LONGEST_PAUSE
from ..trail import SmartTrail

MS = 1_000_000
PID = "hf000001"
VERSION = 100_000  # above every number that an order is given, so that a new id is known by its version
HORIZON = 80
LIVE = frozenset(LIVE_STATES)
_POSITION_TIMES = (
    "requested_ns", "opened_ns", "state_ns", "watch_ns", "entry_expired_ns", "shadow_ns", "trail_activated_ns", "hold_ns",
    "lacks_ns",
)  # fmt: skip
_ORDER_TIMES = ("decided_ns", "deadline_ns", "sent_ns", "accepted_ns", "ended_ns", "pending_ns", "unlisted_ns")
replace = msgspec.structs.replace


class Mind(NamedTuple):
    """What an engine knows. `asked_ns`: when the question was asked whose answer is still to come, 0 for none.

    `wanted`: another question is to follow that answer. `level` is the last price that it has seen, `peak` that of its trail.
    """

    position: Position
    missed: tuple[str, ...] = ()
    asked_ns: int = 0
    wanted: bool = False
    is_up: bool = True
    level: int = 0
    peak: int = 0
    trail: SmartTrail | None = None


class Time:
    """What time it is, always, for an engine whose ticks last `tick_ms`."""

    def __init__(self, tick_ms: int) -> None:
        self.tick_ns = tick_ms * MS
        self.base_ns = 1_000 * HORIZON * self.tick_ns
        self.now_ns = self.base_ns + 1
        self.floor_ns = self.base_ns - HORIZON * self.tick_ns

    def aged(self, mind: Mind) -> Mind:
        """Move everything that is remembered one tick into the past."""
        position = mind.position
        tick = self.tick_ns

        def older(at_ns: int) -> int:
            return at_ns - tick if at_ns else 0

        fields = {name: older(getattr(position, name)) for name in _POSITION_TIMES}
        orders = tuple([replace(o, **{name: older(getattr(o, name)) for name in _ORDER_TIMES}) for o in position.orders])
        trail = mind.trail
        if trail is not None:
            spec = replace(trail.spec, opened_ns=older(trail.spec.opened_ns))
            trail = replace(trail, spec=spec, activated_ns=older(trail.activated_ns), placed_ns=older(trail.placed_ns))
        return mind._replace(position=replace(position, orders=orders, **fields), asked_ns=older(mind.asked_ns), trail=trail)

    def normal(self, mind: Mind, renamed: dict[str, int] | None = None) -> Mind:
        """Return the mind that stands for all that behave like this one; `renamed` gives new orders their numbers."""
        position, asked_ns = mind.position, mind.asked_ns
        is_live = position.state in LIVE
        if not is_live:
            asked_ns = 0

        def moment(at_ns: int) -> int:
            if not at_ns:
                return 0
            if asked_ns and asked_ns <= at_ns < asked_ns + self.tick_ns - 1:
                return asked_ns
            return max(self.floor_ns, at_ns - (at_ns - self.base_ns) % self.tick_ns)

        def past(at_ns: int) -> int:
            """Keep only whether it was, and on which side of the question."""
            return 0 if not at_ns else moment(at_ns) if asked_ns and at_ns >= asked_ns else self.floor_ns

        names = renamed or {}
        orders = tuple([self._normal_order(o, names, is_live, moment, past) for o in position.orders])
        entering = any(o.role == "entry" and o.is_open for o in orders)
        timed = position.plan.time_stop_secs is not None and not position.exit_reason and not position.time_stop_passed
        kept = position.plan.trail_style == "engine"
        covered = position.state in (PROTECTED, PROTECTED_PENDING_FILL)
        rungs = EXIT_ATTEMPTS * (LONGEST_PAUSE + 2)
        exits = position.exit_attempts
        position = replace(
            position,
            version=VERSION,
            epoch=0,
            adjusted=False,  # only who looks at an ended position asks for it
            orders=orders,
            requested_ns=moment(position.requested_ns) if entering and not position.entry_expired_ns and is_live else self.floor_ns,
            opened_ns=moment(position.opened_ns) if timed and is_live else past(position.opened_ns),
            state_ns=moment(position.state_ns) if kept and is_live else self.floor_ns,
            watch_ns=moment(position.watch_ns) if is_live else self.floor_ns,
            entry_expired_ns=moment(position.entry_expired_ns) if entering and is_live else past(position.entry_expired_ns),
            shadow_ns=moment(position.shadow_ns) if is_live else 0,
            shadow_px=position.shadow_px if is_live else None,
            trail_activated_ns=past(position.trail_activated_ns),
            mark=None if position.mark is None or not is_live else Mark(px=position.mark.px, ts_event_ns=0, ts_recv_ns=self.floor_ns),
            best_px=position.best_px if is_live else None,
            watch_count=0 if covered or not is_live else min(position.watch_count, 4),
            protect_attempts=min(position.protect_attempts, 4) if is_live else 0,
            tighten_attempts=min(position.tighten_attempts, 6) if is_live else 0,
            maker_attempts=min(position.maker_attempts, 1) if is_live else 0,
            stops_lost=min(position.stops_lost, 2) if is_live else 0,
            # That it is long ago is what never to have happened is: only "lately" is told apart.
            stop_taken_ns=self.base_ns if position.stop_taken_ns and is_live else 0,
            hold_ns=moment(position.hold_ns) if is_live and not position.exit_reason else 0,
            lacks_ns=moment(position.lacks_ns) if is_live else 0,
            venue_mode_ns=moment(position.venue_mode_ns) if is_live and position.venue_mode == "maintenance" else 0,
            exit_attempts=(exits if exits < rungs else rungs + (exits - rungs) % EXIT_ATTEMPTS) if is_live else 0,
        )
        trail = mind.trail
        if trail is not None:
            spec = replace(trail.spec, opened_ns=self.floor_ns)
            trail = replace(trail, spec=spec, activated_ns=past(trail.activated_ns), placed_ns=moment(trail.placed_ns), update_count=0)
        if not is_live:
            return Mind(position, is_up=mind.is_up, level=mind.level)
        return mind._replace(position=position, asked_ns=asked_ns, trail=trail)

    def _normal_order(
        self, order: Order, names: dict[str, int], is_live: bool, moment: Callable[[int], int], past: Callable[[int], int]
    ) -> Order:
        ref = names.get(order.client_order_id)
        new_id = order.client_order_id if ref is None else client_id(ref)
        if order.status in END_STATUSES or not is_live:
            return replace(
                order, client_order_id=new_id, decided_ns=self.floor_ns, sent_ns=self.floor_ns, accepted_ns=self.floor_ns,
                ended_ns=0, pending_ns=0 if not order.pending else self.floor_ns, deadline_ns=0, reject_class="", cancel_refused=False,
                listed_lots=None, unlisted_ns=self.floor_ns if order.unlisted_ns else 0,
            )  # fmt: skip
        waits = order.status in (SUBMITTED, UNKNOWN)
        at = moment if waits or order.role == "take_profit" else past
        return replace(
            order,
            client_order_id=new_id,
            decided_ns=at(order.decided_ns),
            sent_ns=at(order.sent_ns),
            accepted_ns=past(order.accepted_ns),
            unlisted_ns=moment(order.unlisted_ns) if not order.given_up else self.floor_ns,
            pending_ns=moment(order.pending_ns),
            deadline_ns=moment(order.deadline_ns) if waits else 0,
            reject_class="",
        )


def renumbered(known: Mind, numbers: dict[int, int]) -> Mind:
    """Return the mind in which orders have other numbers; those that `numbers` lacks are forgotten."""
    position = known.position
    orders = []
    for order in position.orders:
        new = numbers.get(number_of(order.client_order_id))
        if new is not None:
            venue_id = f"V{new}" if order.venue_order_id else ""
            orders.append(replace(order, client_order_id=client_id(new), venue_order_id=venue_id))
    trades = set()
    for trade in position.trade_ids:
        if trade[0] == "M":
            trades.add(trade)
            continue
        old, cum = trade[1:].split(".")
        if int(old) in numbers:
            trades.add(f"T{numbers[int(old)]}.{cum}")
    strays = []
    for name, lots in position.strays:
        number = int(name[1:]) if name[0] == "V" else number_of(name)
        if number in numbers:
            strays.append((f"V{numbers[number]}" if name[0] == "V" else client_id(numbers[number]), lots))
    position = replace(position, orders=tuple(orders), trade_ids=frozenset(trades), strays=tuple(strays))
    missed = tuple(sorted(client_id(numbers[number_of(x)]) for x in known.missed if number_of(x) in numbers))
    return known._replace(position=position, missed=missed)


def client_id(ref: int) -> str:
    """Return the client order id that stands for an order's number."""
    return PID + "0" + base36(ref, 4) + "0"


def number_of(client_order_id: str) -> int:
    """Return the number that a client order id stands for; above `VERSION` it is one that the core has just derived."""
    return int(client_order_id[9:13], 36)
