"""What the adversary's words mean: the fact that each is, and a snapshot read as the pipeline reads it."""

from decimal import Decimal
from typing import Any, NamedTuple

import msgspec

from events import facts as f
from events.record import PositionEvent
from events.values import Instrument, Mark

from ..desk import Desk, SnapshotOrder
from .mind import MS, PID, Time, client_id
from .venue import CHILD, MID, Message, Rules

_WISHES = frozenset({
    "exit", "tighten", "distance", "market", "venue mode", "halt", "protect", "foreign", "stale", "short", "old price", "adjusted",
})  # fmt: skip
_TYPES = {"market": "market", "ioc": "limit", "limit": "limit", "post": "limit", "static": "stop-loss", "trailing": "trailing-stop"}
replace = msgspec.structs.replace


class Reader(NamedTuple):
    """Reads words for the position of a plan."""

    plan: f.Plan
    instrument: Instrument
    rules: Rules
    time: Time

    def mark(self, level: int) -> Mark:
        return Mark(px=Decimal(self.rules.px(level)), ts_event_ns=0, ts_recv_ns=self.time.now_ns)

    def fact(self, message: Message) -> f.AnyFact:
        """Return the fact that a word of the venue, or of anybody else, is."""
        kind: Any = message[0]
        now_ns, qty = self.time.now_ns, self.instrument.qty
        if kind in _WISHES:
            return self._wish(message)
        ref: Any = message[1]
        if kind == "unsent":
            return f.OrderNotSent(ts_recv_ns=now_ns, client_order_id=client_id(ref), operation=message[2])  # type: ignore[arg-type]
        rest: Any = message[2:]
        if kind == "manual":
            enters, lots = rest
            side = self.plan.side.entry_side if enters else self.plan.side.exit_side
            return f.ManualFillSeen(ts_recv_ns=now_ns, trade_id=f"M{ref}", side=side, last_qty=qty(lots), last_px=Decimal(MID))
        ids: dict[str, Any] = {"ts_recv_ns": now_ns, "client_order_id": client_id(ref) if ref < CHILD else "", "venue_order_id": f"V{ref}"}
        if kind == "accepted":
            return f.OrderAccepted(**ids)
        if kind == "rejected":
            return f.OrderRejected(reject_class=rest[0], text="refused", **{**ids, "venue_order_id": ""})
        if kind == "filled":
            enters, lots, cum = rest
            return self._execution(ids, ref, enters, lots, cum)
        if kind == "completed":
            return f.OrderCompleted(cum_qty=qty(rest[0]), **ids)
        if kind == "triggered":
            return f.OrderTriggered(**ids)
        if kind == "amended":
            lots, price, trail = rest
            return f.OrderAmended(
                order_qty=qty(lots), trigger_price=Decimal(price) if price else None, trail_offset_bps=trail or None, **ids
            )
        if kind == "amend-rejected":
            return f.AmendRejected(reject_class=rest[0], text="refused", **ids)
        if kind == "canceled":
            return f.OrderCanceled(cum_qty=qty(rest[0]), **ids)
        if kind == "canceled by hand":
            return f.OrderCanceled(cum_qty=qty(rest[0]), by_hand=True, **ids)
        if kind == "cancel-rejected":
            return f.CancelRejected(reject_class=rest[0], text="refused", **ids)
        if kind == "expired":
            return f.OrderExpired(cum_qty=qty(rest[0]), **ids)
        if kind == "reported":
            return f.StopReported(effective_stop=Decimal(rest[0]), **ids)
        assert kind == "child", kind
        parent, lots, price, trail = rest
        return self._child(ids, parent, lots, price, trail)

    def _wish(self, message: Message) -> f.AnyFact:
        kind, now_ns = message[0], self.time.now_ns
        rest: Any = message[1:]
        if kind == "exit":
            return f.ExitRequested(ts_recv_ns=now_ns, reason="operator", patient=rest[0], mark=self.mark(rest[1]))
        if kind == "tighten":
            return f.PlanTightened(ts_recv_ns=now_ns, trail_offset_bps=rest[0] or None, stop_price=Decimal(rest[1]) if rest[1] else None)
        if kind == "distance":
            return f.TrailDistanceChanged(ts_recv_ns=now_ns, trail_offset_bps=rest[0], basis="proof")
        if kind == "market":
            return f.MarketModeChanged(ts_recv_ns=now_ns, mode=rest[0], basis="proof")
        if kind == "protect":
            return f.ProtectionRequested(ts_recv_ns=now_ns, reason="proof")
        if kind == "halt":
            return f.HaltRequested(ts_recv_ns=now_ns, reason="proof")
        if kind == "venue mode":
            return f.VenueModeChanged(ts_recv_ns=now_ns, mode=rest[0])
        if kind == "foreign":
            return f.ManualOrderSeen(ts_recv_ns=now_ns, venue_order_id="foreign", side=self.plan.side.exit_side, qty=self.instrument.qty(1))
        if kind == "stale":
            return f.TruthStale(ts_recv_ns=now_ns, age_ns=self.time.tick_ns)
        if kind == "short":
            return f.BalanceShort(ts_recv_ns=now_ns, asset="BTC", needed=self.plan.qty, available=Decimal(0))
        if kind == "old price":
            level = rest[0]
            mark = replace(self.mark(level), age_ns=(self.plan.timing.max_price_age_ms + 1) * MS)
            return f.LevelCrossed(ts_recv_ns=now_ns, level="stop", mark=mark)
        assert kind == "adjusted", kind
        return f.PositionAdjusted(ts_recv_ns=now_ns, open_qty=self.instrument.qty(rest[0]), reason="proof", evidence="proof")

    def _execution(self, ids: dict[str, Any], ref: int, enters: bool, lots: int, cum: int) -> f.OrderFilled:
        qty = self.instrument.qty
        fee = self.rules.fee_of(enters, lots, cum)
        return f.OrderFilled(
            trade_id=f"T{ref}.{cum}",
            side=self.plan.side.entry_side if enters else self.plan.side.exit_side,
            last_qty=qty(lots),
            last_px=Decimal(MID),
            cum_qty=qty(cum),
            fees=(f.Fee(asset=self.instrument.base, qty=qty(fee)),) if fee else (),
            **ids,
        )

    def _child(self, ids: dict[str, Any], parent: int, lots: int, price: int, trail: int) -> f.ChildDiscovered:
        return f.ChildDiscovered(
            parent_venue_order_id=f"V{parent}",
            qty=self.instrument.qty(lots),
            order_type="trailing-stop" if trail else "stop-loss",
            trigger_price=Decimal(price) if price else None,
            trail_offset_bps=trail or None,
            **ids,
        )

    def snapshot(self, desk: Desk, message: Message, asked_ns: int) -> list[PositionEvent]:
        """Read a snapshot as the pipeline does: executions, open orders, orders that the log does not know, then the comparison."""
        _, complete, executions, manual, listed = message
        out: list[PositionEvent] = []
        qty, now_ns = self.instrument.qty, self.time.now_ns

        def ids(ref: int) -> dict[str, Any]:
            return {"ts_recv_ns": now_ns, "client_order_id": client_id(ref) if ref < CHILD else "", "venue_order_id": f"V{ref}"}

        for ref, enters, lots, cum, parent, total in executions:  # type: ignore[attr-defined]
            if ref >= CHILD and desk.owner_of("", f"V{ref}") is None:
                out += desk.take(self._child(ids(ref), parent, total, 0, 0))
            out += desk.take(self._execution(ids(ref), ref, enters, lots, cum))
        for trade in manual:  # type: ignore[attr-defined]
            out += desk.take(self.fact(("manual", *trade)), PID)
        rows: list[tuple[Any, ...]] = list(listed)  # type: ignore[call-overload]
        for ref, _role, _kind, total, filled, price, trail, is_armed, parent in rows:
            if ref >= CHILD:
                out += desk.take(self._child(ids(ref), parent, total - filled, price, trail))
            if is_armed:
                out += desk.take(f.OrderAccepted(leaves_qty=qty(total - filled), cum_qty=qty(filled), **ids(ref)))
            else:
                out += desk.take(f.OrderTriggered(**ids(ref)))
        for ref, role, kind, total, filled, price, trail, _armed, _parent in rows:
            position = desk.get(PID)
            known = None if position is None else position.order(client_id(ref) if ref < CHILD else "", f"V{ref}")
            is_new = known is None and ref < CHILD
            if position is not None and (is_new or (known is not None and known.is_belied(total - filled, filled))):
                stopped = kind in ("static", "trailing")
                found = f.ChildDiscovered(
                    parent_venue_order_id="",
                    qty=qty(total - filled),
                    cum_qty=qty(filled) if filled else None,
                    role=_role_shown(role, kind),  # type: ignore[arg-type]
                    order_type=_TYPES[kind],  # type: ignore[arg-type]
                    trigger_price=Decimal(price) if stopped and price else None,
                    trail_offset_bps=trail or None,
                    **ids(ref),
                )
                out += desk.take(found, PID)
        rows_listed = [SnapshotOrder(client_id(r[0]) if r[0] < CHILD else "", f"V{r[0]}") for r in rows]
        return out + desk.snapshot(rows_listed, bool(complete), asked_ns, now_ns, self.shared())

    def shared(self) -> tuple[str, ...]:
        """Return the positions beside which the account holds more: where the venue takes a second order it is because of that."""
        return () if self.rules.holds_funds or self.rules.reduces else (PID,)


def _role_shown(role: str, kind: str) -> str:
    """Return the role that an order shows to a stranger who reads it off a snapshot (`replay.pipeline`)."""
    if role in ("entry", "flatten"):
        return "entry"
    if kind in ("static", "trailing"):
        return "stop"
    return "exit" if kind == "market" else "take_profit"
