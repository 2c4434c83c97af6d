"""The private connection: inputs become facts of its machine (`fsm/link.py`), and what that asks for is carried out."""

from collections.abc import Sequence

from events import facts as f
from fsm import link as links
from fsm.desk import Desk
from fsm.lag import Lag
from fsm.notice import Notice
from fsm.position import RECONCILING
from venues import messages as m

from .intents import Link
from .output import Made

PRIVATE = "private"
# What speaks of old times.
_OF_OLD = (m.SnapshotTaken, m.BalanceChanged, m.BalancesListed)


class PrivateLink:
    """One account's link. `known` is what its machine knows; `asked_ns`: when the latest snapshot was asked for."""

    def __init__(self, desk: Desk, thresholds: links.Thresholds, executor: str) -> None:
        self._desk, self._thresholds = desk, thresholds
        self._rows = links.flat() if executor == "flat" else None
        self._lag, self._lag_ns = Lag(), thresholds.lag_ms * 1_000_000
        # Before the session's first word there is no connection to have a clock.
        self._is_connecting = False
        self.known = links.new_link(PRIVATE, 0, thresholds)
        self.asked_ns = 0

    @property
    def state(self) -> str:
        """The state of its machine."""
        return self.known.state

    @property
    def entries_halted(self) -> bool:
        """Whether it may not be trusted with new risk."""
        return self.known.entries_halted

    def take(self, made: Made, word: Link, now_ns: int) -> None:
        """Take the session's word about the connection."""
        if word.state == "connecting" and not self._is_connecting:
            self._is_connecting = True
            self.known = links.new_link(PRIVATE, now_ns, self._thresholds)
        elif word.state == "asked":
            self.asked_ns = now_ns
        elif word.state == "open":
            self.step(made, links.LinkOpened(ts_recv_ns=now_ns))
        elif word.state == "closed":
            self.step(made, links.LinkClosed(ts_recv_ns=now_ns, reason=word.reason, code=word.code))

    def heard(self, made: Made, items: Sequence[f.Fact | m.VenueMessage], now_ns: int) -> None:
        """Take it that a frame came, and how late its words are where that is worth telling (A22); a snapshot speaks of old times."""
        times: list[int] = []
        is_truth = is_old = False
        for item in items:
            if item.ts_event_ns:
                times.append(item.ts_event_ns)
            if isinstance(item, f.Fact):
                is_truth = True
            elif type(item) in _OF_OLD:
                is_old = True
        if times and not is_old:
            lag_ns = min([self._lag.of(at_ns, now_ns) for at_ns in times])
            if self.known.is_late or lag_ns >= self._lag_ns:
                self.step(made, links.LagNoticed(ts_recv_ns=now_ns, lag_ns=lag_ns))
        self.step(made, links.MessageArrived(ts_recv_ns=now_ns, is_truth=is_truth))

    def deadline_ns(self) -> int | None:
        """Return when `due` has something to do."""
        return links.deadline_ns(self.known) if self._is_connecting else None

    def due(self, made: Made, now_ns: int) -> None:
        """Let the machine's clock run out, if it has at `now_ns`."""
        at_ns = self.deadline_ns()
        if at_ns is not None and at_ns <= now_ns:
            self.step(made, links.DeadlineReached(ts_recv_ns=now_ns, at_ns=at_ns))

    def step(self, made: Made, fact: links.AnyLinkFact) -> None:
        """Feed the machine and carry out what it asks for; positions hear of their channel through it."""
        self.known, outputs = links.step(self.known, fact, self._rows)
        now_ns = fact.ts_recv_ns
        for output in outputs:
            if output == "tell_positions_closed":
                made.events += self._desk.take_all(f.ChannelClosed(ts_recv_ns=now_ns, reason=getattr(fact, "reason", "") or self.state))
            elif output == "tell_positions_live":
                for key in sorted(self._desk.positions):
                    if self._desk.positions[key].state == RECONCILING:
                        made.events += self._desk.take(f.ChannelLive(ts_recv_ns=now_ns), key)
            elif output == "tell_positions_stale":
                # A covered position has nothing to do about it, and its log nothing to gain: the link itself raises the alert.
                for key in sorted(self._desk.unprotected):
                    stale = f.TruthStale(ts_recv_ns=now_ns, age_ns=max(0, now_ns - self.known.truth_ns))
                    made.events += self._desk.take(stale, key)
            elif output == "refresh_truth":
                made.refresh = True
            elif output == "reconnect":
                made.reconnect = True
            elif output in ("alert_degraded", "page_link"):
                code = "PRIVATE_STREAM_DEGRADED" if output == "alert_degraded" else "LINK_DOWN"
                text = f"the private link is {self.state} after {type(fact).__name__}; protection rests at the venue, entries wait"
                made.notices.append(Notice(output == "page_link", code, text))
