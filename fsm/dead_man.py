"""The venue's dead-man switch: when it may be on, and when it must be off (K10, X11). Pure; time comes in.

The switch cancels every order of the account, stops included, unless it is set again in time. It is good for one thing: entries that
rest while nothing is held do not outlive a lost connection. So:

Rules
    1. It is on only while each live position holds nothing and has no order but entries, none with an attached stop. It is set
       again only by what is known: while the link's truth is in doubt it is left as it is, for a stop may rest that the log lacks.
    2. As soon as that is not so it is switched off, by a frame that leaves before whatever the same input sends: before the stop.
    3. Off is asked for again until the venue confirms it, or until the time has passed at which a set switch has fired. What it then
       took is seen as any stop that somebody else cancelled is: protection first (I1).
    4. A life before this one may have left it on: a restart counts as if it had.
    5. What was sent over a link that is gone may still be on its way, and arrive behind a confirmed "off" of the next link: off is
       asked for once more when it must have arrived.
"""

from collections.abc import Iterable

from .model import Position

SECOND_NS = 1_000_000_000
OFF_AGAIN_NS = SECOND_NS
# What a frame may take to the venue, so that "it has fired by now" is true there too.
TRANSIT_NS = 5 * SECOND_NS
# Refreshed this often within its time: two frames may be lost before it fires.
REFRESHES = 3
TELL_AFTER_TRIES = 3


class DeadMan:
    """One account's switch, of `timeout_secs`; 0 is one that is never touched."""

    def __init__(self, timeout_secs: int) -> None:
        self._timeout_secs = timeout_secs
        # What was asked for last, None if nothing that still counts.
        self._asked_secs: int | None = None
        self._next_ns = 0
        self._may_fire_until_ns = 0
        self._off_tries = 0
        self._on_ns: int | None = None
        self._stray_until_ns = 0
        self._wants_on = self._is_linked = self._is_known = False

    def restarted(self, now_ns: int) -> None:
        """Count with a switch that an earlier life left on."""
        if self._timeout_secs:
            self._may_fire_until_ns = now_ns + self._timeout_secs * SECOND_NS + TRANSIT_NS
            self._stray_until_ns = now_ns + TRANSIT_NS

    def look(self, positions: Iterable[Position], is_linked: bool, is_known: bool, now_ns: int) -> int | None:
        """Return the seconds to set the switch to (0 switches it off), None if nothing is to be sent.

        `is_known`: what the positions say has been compared with the venue since the link was opened, and nothing is in doubt.
        """
        if not self._timeout_secs:
            return None
        wants_on = _only_entries_rest(positions)
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

    def confirmed(self, timeout_secs: int, now_ns: int) -> None:
        """Take the venue's word that a request was carried out; only off is worth noting, and not if on was asked for since."""
        if not timeout_secs == self._asked_secs == 0:
            return
        if now_ns >= self._stray_until_ns:
            self._off()
        else:
            self._off_tries, self._next_ns = 0, self._stray_until_ns

    def deadline_ns(self) -> int | None:
        """Return when `look` has something to do, None if nothing is due. A time that has passed means at once."""
        if not self._is_linked:
            return None
        if self._wants_on:
            return self._next_ns if self._is_known else None
        return min(self._next_ns, self._may_fire_until_ns) if self._may_fire_until_ns else None

    @property
    def is_stuck(self) -> bool:
        """Whether off was asked for in vain just so often that a person should know."""
        return self._off_tries == TELL_AFTER_TRIES

    def _ask(self, timeout_secs: int, next_ns: int) -> int:
        self._asked_secs, self._next_ns = timeout_secs, next_ns
        return timeout_secs

    def _off(self) -> None:
        self._asked_secs, self._next_ns, self._may_fire_until_ns, self._off_tries = None, 0, 0, 0


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
