"""The venue's dead-man switch: when it may be on, and when it must be off (K10, X11). Pure; time comes in.

The switch cancels every order of the account, stops included, unless it is set again in time. It is good for one thing: entries that
rest while nothing is held do not outlive a lost connection. So:

Rules
    1. It is on only while each live position holds nothing and has no order but entries, none with an attached stop. It is set
       again only by what is known: while the link's truth is in doubt it is left as it is, for a stop may rest that the log lacks.
    2. As soon as that is not so it is switched off, by a frame that leaves before whatever the same input sends: before the stop.
    3. Off is asked for again until the venue confirms it, or until the time has passed at which a set switch has fired. What it then
       took is seen as any stop that somebody else cancelled is: protection first (I1).
    4. A life before this one may have left it on: a restart counts as if it had, also where it is not to be used any more. Then it is
       switched off, and that is told.
    5. What was sent over a link that is gone may still be on its way, and arrive behind a confirmed "off" of the next link: off is
       asked for once more when it must have arrived.
"""

from collections.abc import Iterable, Mapping

from .link import CLOSED, CONNECTING, LinkState
from .model import Position
from .notice import Notice
from .position import RECONCILING

SECOND_NS = 1_000_000_000
OFF_AGAIN_NS = SECOND_NS
# What a frame may take to the venue, so that "it has fired by now" is true there too.
TRANSIT_NS = 5 * SECOND_NS
# Refreshed this often within its time: two frames may be lost before it fires.
REFRESHES = 3
TELL_AFTER_TRIES = 3


class DeadMan:
    """One account's switch, of `timeout_secs`; 0 is one that is never switched on.

    `left_secs` is the time that the life before this one had set, where that is longer: it may still be on.
    """

    def __init__(self, timeout_secs: int, left_secs: int = 0) -> None:
        self._timeout_secs, self._left_secs = timeout_secs, left_secs
        # What was asked for last, None if nothing that still counts.
        self._asked_secs: int | None = None
        self._next_ns = 0
        self._may_fire_until_ns = 0
        self._off_tries = 0
        self._on_ns: int | None = None
        self._stray_until_ns = 0
        self._wants_on = self._is_linked = self._is_known = False
        self._seen_link: tuple[str, bool] | None = None

    def restarted(self, now_ns: int) -> None:
        """Count with a switch that an earlier life left on."""
        secs = max(self._timeout_secs, self._left_secs)
        if secs:
            self._may_fire_until_ns = now_ns + secs * SECOND_NS + TRANSIT_NS
            self._stray_until_ns = now_ns + TRANSIT_NS

    def look(self, positions: Mapping[str, Position], link: LinkState, has_news: bool, now_ns: int) -> int | None:
        """Return the seconds to set the switch to (0 switches it off), None if nothing is to be sent.

        `has_news`: a position may have changed since the last look. Else none is looked at, as with every tick.
        """
        if not self._timeout_secs and not self._left_secs:
            return None
        seen_link, due_ns = (link.state, link.entries_halted), self.deadline_ns()
        if not has_news and seen_link == self._seen_link and (due_ns is None or now_ns < due_ns):
            return None
        self._seen_link = seen_link
        is_linked = link.state not in (CONNECTING, CLOSED)
        # What the positions say has been compared with the venue since the link was opened, and nothing is in doubt.
        is_known = not link.entries_halted and all(position.state != RECONCILING for position in positions.values())
        wants_on = self._timeout_secs > 0 and _only_entries_rest(positions.values())
        if wants_on != self._wants_on or not is_linked:
            # What was asked for over a link that is gone may never have arrived.
            self._asked_secs, self._next_ns = None, 0
        if not is_linked and self._on_ns is not None:
            self._stray_until_ns, self._on_ns = self._on_ns + TRANSIT_NS, None
        self._wants_on, self._is_linked, self._is_known = wants_on, is_linked, is_known
        due_ns = self.deadline_ns()
        if due_ns is None or now_ns < due_ns:
            return None
        if wants_on:
            self._off_tries, self._on_ns = 0, now_ns
            self._may_fire_until_ns = now_ns + self._timeout_secs * SECOND_NS + TRANSIT_NS
            return self._ask(self._timeout_secs, now_ns + self._timeout_secs * SECOND_NS // REFRESHES)
        if now_ns >= self._may_fire_until_ns:
            self._off()
            return None
        self._off_tries += 1
        return self._ask(0, now_ns + OFF_AGAIN_NS)

    def answered(self, timeout_secs: int, problem: str, now_ns: int) -> Notice | None:
        """Take the venue's answer to a request; `problem`: why it was refused, "" if it was not. Return what is to be told."""
        if problem:
            text = f"the venue refused to set its dead-man switch to {timeout_secs} s: {problem}"
            return Notice(False, "DEAD_MAN_REFUSED", text)
        # Only off is worth noting, and not if on was asked for since.
        if timeout_secs == self._asked_secs == 0:
            if now_ns >= self._stray_until_ns:
                left_secs = self._left_secs
                self._off()
                if left_secs and not self._timeout_secs:
                    text = f"the venue's dead-man switch, which the life before had set to {left_secs} s, is off, as the settings say"
                    return Notice(False, "DEAD_MAN_SWITCHED_OFF", text)
            else:
                self._off_tries, self._next_ns = 0, self._stray_until_ns
        return None

    def deadline_ns(self) -> int | None:
        """Return when `look` has something to do, None if nothing is due. A time that has passed means at once."""
        if not self._is_linked:
            return None
        if self._wants_on:
            return self._next_ns if self._is_known else None
        return min(self._next_ns, self._may_fire_until_ns) if self._may_fire_until_ns else None

    def alarm(self) -> Notice | None:
        """Return what is to be told with a request: that off was asked for in vain just so often that a person should know."""
        if self._off_tries != TELL_AFTER_TRIES:
            return None
        text = "the venue's dead-man switch cannot be switched off; when it fires, every stop is cancelled and put back"
        return Notice(True, "DEAD_MAN_STILL_ON", text)

    def _ask(self, timeout_secs: int, next_ns: int) -> int:
        self._asked_secs, self._next_ns = timeout_secs, next_ns
        return timeout_secs

    def _off(self) -> None:
        self._asked_secs, self._next_ns, self._may_fire_until_ns, self._off_tries = None, 0, 0, 0
        self._left_secs = 0


def _only_entries_rest(positions: Iterable[Position]) -> bool:
    rests = False
    for position in positions:
        if position.held_lots or position.plan.attach_stop:
            return False
        for order in position.open_orders():
            if order.role != "entry":
                return False
            rests = rests or order.order_type == "limit"
    return rests
