"""A fixed set of seeded lives: what they break, and the hash of all that they decided.

They meet every trouble that the adversary knows, on every kind of venue, long and short, with every way to trail and to leave.
A hash changes when any event or command does.
"""

import hashlib
from collections.abc import Iterator
from decimal import Decimal

from events import facts as f
from events.record import bytes_from
from events.values import Mark, PositionSide
from fsm.booking import UNLISTED_NS
from fsm.core import Core
from fsm.order import LIVE
from holdfast.simulation.adversary import EVERY, MARGIN, MS, NO_AMEND, SPOT, Life, Troubles
from tests.fsm.timed import TimedLife

QUIET = Troubles()
BOOKED = Troubles(attached=True, base_fee=True, unpriced=True, restarts=True, reported=True)
TROUBLES = (QUIET, EVERY, BOOKED)
STEP = f.TightenStep(profit_bps=20, trail_offset_bps=30)
PLANS: tuple[dict[str, object], ...] = (
    {},
    {"take_profit_price": Decimal(101), "take_profit_style": "maker"},
    {"take_profit_price": Decimal(101)},
    {"trail_offset_bps": None, "stop_price": Decimal(99)},
    {"trail_style": "engine"},
    {"trail_style": "engine", "trail_activation_bps": 20, "breakeven_profit_bps": 30, "tighten": (STEP,)},
    {"tighten": (STEP,), "time_stop_secs": 60},
    {"strategy": "ignition", "trail_activation_bps": 30},
)
VENUES = (SPOT, MARGIN, NO_AMEND)
DUST = Decimal("0.2")


class WishfulLife(Life):
    """A life whose owner also wishes: a narrower trail, a wider one, to leave patiently or at once."""

    def trouble(self) -> None:
        if self.rng.random() < 0.75:
            super().trouble()
            return
        now_ns = self.now_ns
        wish = self.rng.choice(("narrow", "wide", "patient", "foreign", "stale", "reported", "old price", "late no"))
        if wish in ("narrow", "wide"):
            self.deliver(f.PlanTightened(ts_recv_ns=now_ns, trail_offset_bps=20 if wish == "narrow" else 90))
        elif wish == "patient":
            self.deliver(f.ExitRequested(ts_recv_ns=now_ns, reason="signal", patient=True, mark=self.mark()))
        elif wish == "foreign":
            self.deliver(f.ManualOrderSeen(ts_recv_ns=now_ns, venue_order_id="F1", side=self.side.exit_side, qty=Decimal(1)))
        elif wish == "stale":
            self.deliver(f.TruthStale(ts_recv_ns=now_ns, age_ns=1))
        elif wish == "old price":
            mark = Mark(px=self.px, ts_event_ns=0, ts_recv_ns=now_ns, age_ns=3_600_000 * MS)
            self.deliver(f.LevelCrossed(ts_recv_ns=now_ns, level="panic", mark=mark))
        else:
            for order in self.position.open_orders("stop")[:1]:
                self.deliver(self.word_about(order.client_order_id, wish))

    def word_about(self, client_order_id: str, wish: str) -> f.OrderFact:
        ids = {"ts_recv_ns": self.now_ns, "client_order_id": client_order_id}
        if wish == "reported":
            return f.StopReported(effective_stop=self.px, **ids)  # type: ignore[arg-type]
        return f.OrderRejected(reject_class="other", text="a late word of an earlier attempt", **ids)  # type: ignore[arg-type]


class UnlistedLife(WishfulLife):
    """A life in which lists in a row lack a stop that rests, beside more of the same in the account; then it is listed again."""

    def trouble(self) -> None:
        stops = [o for o in self.position.open_orders("stop") if o.status == LIVE]
        if self.rng.random() < 0.7 or not stops:
            super().trouble()
            return
        for _ in range(2):
            ids = {"ts_recv_ns": self.now_ns, "client_order_id": stops[0].client_order_id}
            self.deliver(f.OrderNotFound(asked_ns=self.now_ns, trades_complete=False, shared=True, repeated=True, **ids))  # type: ignore[arg-type]
            self.now_ns += UNLISTED_NS
        self.deliver(f.OrderAccepted(ts_recv_ns=self.now_ns, client_order_id=stops[0].client_order_id))


def lives(core: Core | None = None, rounds: int = 3) -> Iterator[Life]:
    """Yield the lives, not yet lived."""
    seed = 0
    for _ in range(rounds):
        for plan in PLANS:
            for venue in VENUES:
                for troubles in TROUBLES:
                    seed += 1
                    side = PositionSide.SHORT if venue is MARGIN and seed % 2 else PositionSide.LONG
                    fields = _mirrored(plan) if side is PositionSide.SHORT else plan
                    yield WishfulLife(seed, capabilities=venue, side=side, plan_fields=fields, troubles=troubles, core=core)
                side = PositionSide.LONG if venue is not MARGIN else PositionSide.SHORT
                fields = plan if side is PositionSide.LONG else _mirrored(plan)
                yield TimedLife(
                    seed, capabilities=venue, side=side, plan_fields=fields, troubles=BOOKED, core=core, link_life_s=60, leave_after_s=60
                )


    for plan in PLANS:
        seed += 1
        yield UnlistedLife(seed, capabilities=SPOT, side=PositionSide.LONG, plan_fields=plan, troubles=BOOKED, core=core)


def _mirrored(plan: dict[str, object]) -> dict[str, object]:
    return {name: 200 - value if isinstance(value, Decimal) else value for name, value in plan.items()}


def wrong_with(life: Life) -> str:
    """Return the invariant that a life that was lived broke, "" if none: by the venue's books where they can tell."""
    position = life.position
    if life.broken:
        return life.broken[0].invariant
    if life.over_exit:
        return "I2"
    if position.state not in ("Closed", "Abandoned"):
        return "I13"
    if [o for o in life.orders if o.open]:
        return "P08"
    if abs(life.held) >= DUST:
        return "I1"
    held = position.instrument.size_increment * position.open_lots - position.side.sign * position.fee_base
    return "I9" if held * position.side.sign != life.held * position.side.sign else ""


def digest_of(life: Life) -> str:
    """Return a hash over every event of a life, its commands included."""
    digest = hashlib.sha256()
    for event in life.events:
        digest.update(bytes_from(event))
    return digest.hexdigest()[:16]
