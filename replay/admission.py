"""Whether a new position may be opened now: halts, the venue, the link, the plan, the rate limit. New risk only; all else goes on (I16)."""

from collections.abc import Mapping
from decimal import Decimal
from typing import NamedTuple

import msgspec

from events import commands as c
from events import facts as f
from events.errors import BadInput
from events.values import Capabilities, Instrument
from fsm.desk import Desk
from fsm.plans import check_plan
from fsm.ranges import Ranges
from venues.kraken.capabilities import capabilities_of, without_amend_deadline
from venues.kraken.modes import VenueModes

from .intents import OpenPosition
from .output import Refusal, RefusalCode
from .private_link import PrivateLink
from .reserve import Reserve

# How long after a refusal because of the link it may be asked again.
LINK_LOOK_NS = 1_000_000_000
# How often a waiting entry looks whether link and pair take it again.
LOOK_NS = 100_000_000


class EntryWait(NamedTuple):
    """In how long to look again whether an entry may leave, and what it waits for; 0 and "" if it may."""

    wait_ns: int
    why: str


class Admission:
    """Judges wishes for new positions, and entries that wait.

    `halted` is the reason that the process gave for no new position at all, "" if it gave none.
    """

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
        amends_expire: bool,
    ) -> None:
        self._desk, self._link, self._modes, self._instruments = desk, link, modes, instruments
        self._ranges, self._reserve = ranges, reserve
        self._max_positions, self._taker_fee_bps, self._amends_expire = max_positions, taker_fee_bps, amends_expire
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
            code: RefusalCode = "HALTED" if self._is_halted(plan.symbol) else "LINK_IN_DOUBT" if self._link.entries_halted else "REFUSED"
            is_link = self._link.entries_halted and not self.halted
            return Refusal(wish.position_id, str(refused), LINK_LOOK_NS if is_link else 0, code)
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

    def entry_wait(self, entry: c.SubmitOrder, now_ns: int) -> EntryWait:
        """Return in how long to look again whether an entry that was taken may leave, and what for; 0 if it may now."""
        if self._link.entries_halted:
            return EntryWait(LOOK_NS, f"the private link is {self._link.state}")
        if mode := self._modes.without_entries(entry.symbol):
            return EntryWait(LOOK_NS, f"{entry.symbol} is in {mode}")
        wait_ns = self._reserve.wait_ns(entry, now_ns)
        return EntryWait(wait_ns, f"the venue's rate limit of {entry.symbol} is kept for protection and exits" if wait_ns else "")

    def _is_halted(self, symbol: str) -> bool:
        return bool(self.halted) or self._modes.system not in ("", "online") or self._modes.without_entries(symbol) != ""

    def _may_open(self, wish: OpenPosition) -> tuple[Instrument, Capabilities]:
        place, symbol = f"position {wish.position_id}", wish.plan.symbol
        if self.halted:
            raise BadInput(place, f"entries are halted: {self.halted}", "mend that first; protection and exits go on")
        if self._modes.system not in ("", "online"):
            raise BadInput(place, f"the venue is in {self._modes.system}", "ask again when it is online")
        if mode := self._modes.without_entries(symbol):
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
        capabilities = capabilities_of(wish.plan.margin)
        return instrument, capabilities if self._amends_expire else without_amend_deadline(capabilities)
