"""Whether a new position may be opened now: halts, the venue, the link, the plan, the rate limit. New risk only; all else goes on (I16)."""

from collections.abc import Mapping
from decimal import Decimal

import msgspec

from events import facts as f
from events.errors import BadInput
from events.values import Capabilities, Instrument
from fsm.desk import Desk
from fsm.plans import check_plan
from fsm.ranges import Ranges
from venues.kraken.capabilities import capabilities_of
from venues.kraken.modes import VenueModes

from .intents import OpenPosition
from .output import Refusal
from .private_link import PrivateLink
from .reserve import Reserve

# How long after a refusal because of the link it may be asked again.
LINK_LOOK_NS = 1_000_000_000


class Admission:
    """Judges wishes for new positions. `halted` is the reason that the process gave for none at all, "" if it gave none."""

    def __init__(
        self,
        desk: Desk,
        link: PrivateLink,
        modes: VenueModes,
        instruments: Mapping[str, Instrument],
        ranges: Ranges,
        reserve: Reserve,
        *,
        max_positions: int,
        taker_fee_bps: Decimal,
    ) -> None:
        self._desk, self._link, self._modes, self._instruments = desk, link, modes, instruments
        self._ranges, self._reserve = ranges, reserve
        self._max_positions, self._taker_fee_bps = max_positions, taker_fee_bps
        self.halted = ""

    def judge(self, wish: OpenPosition, now_ns: int) -> f.PositionRequested | Refusal:
        """Return the birth of the position that is wished for, or why there is none."""
        plan = wish.plan
        if plan.trail_auto:
            distance = self._ranges.distance_of(plan, now_ns)
            plan = msgspec.structs.replace(plan, trail_offset_bps=distance.trail_offset_bps)
        try:
            instrument, capabilities = self._may_open(wish)
            mark = self._desk.mark_of(plan.symbol, now_ns)
            check_plan(plan, instrument, capabilities, mark, self._taker_fee_bps)
        except BadInput as refused:
            is_link = self._link.entries_halted and not self.halted
            if is_link:
                return Refusal(wish.position_id, str(refused), LINK_LOOK_NS, "LINK_IN_DOUBT")
            return Refusal(wish.position_id, str(refused))
        refusal = self._reserve.refusal(wish.position_id, plan, now_ns)
        if refusal is not None:
            return refusal
        return f.PositionRequested(
            ts_recv_ns=now_ns,
            position_id=wish.position_id,
            plan=plan,
            instrument=instrument,
            capabilities=capabilities,
            epoch=wish.epoch,
        )

    def _may_open(self, wish: OpenPosition) -> tuple[Instrument, Capabilities]:
        place, symbol = f"position {wish.position_id}", wish.plan.symbol
        if self.halted:
            raise BadInput(place, f"entries are halted: {self.halted}", "mend that first; protection and exits go on")
        if self._modes.system not in ("", "online"):
            raise BadInput(place, f"the venue is in {self._modes.system}", "ask again when it is online")
        if (mode := self._modes.of(symbol)) != "online":
            raise BadInput(place, f"{symbol} is in {mode}", "ask again when it is online")
        if self._link.entries_halted:
            raise BadInput(place, f"the private link is {self._link.state}", "ask again when it is live; protection and exits go on")
        if self._desk.get(wish.position_id) is not None:
            raise BadInput(place, "it exists already", "ask with another id")
        if len(self._desk.positions) >= self._max_positions:
            raise BadInput(place, f"{len(self._desk.positions)} positions are open", "raise risk.max_positions")
        instrument = self._instruments.get(symbol)
        if instrument is None:
            known = ", ".join(sorted(self._instruments)) or "none yet"
            raise BadInput(place, f"symbol {symbol!r} is not listed by the venue", f"use one of: {known}")
        return instrument, capabilities_of(wish.plan.margin)
