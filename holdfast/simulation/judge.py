"""What is judged once a simulated life is over: the log against the venue's own books, and sessions that replay alike.

    I2          no position closes on margin what others hold by two exits, or by two stops, unless one of its orders was found absent
    I5          no order outlives its position
    I9          each execution of ours at the venue is in the log once, and nothing else is; the ledger balances; what an order closed on
                margin of another position, the log has taken off that one
    I10         each session that was recorded replays identical
    I13         every position has ended, and the venue holds nothing of it
"""

import hashlib
from collections import Counter
from collections.abc import Sequence
from decimal import Decimal
from pathlib import Path
from typing import NamedTuple

from events.errors import Tampered
from events.facts import OrderNotFound
from events.record import bytes_from
from events.store import Store, open_store
from fsm.position import HALTED, LIVE_STATES
from projections.books import Books
from projections.catchup import CatchUp
from projections.fills import Fill, Transfer, row_from
from replay.lines import parts_of
from replay.replay import replay
from replay.session import is_begun

from .watch import Watch


class Session(NamedTuple):
    """What one life of the process recorded, and whether the power was lost in it."""

    path: Path
    lost_power: bool


class Judge:
    """Says to the watch what does not hold in the end, and keeps what the log showed. `folder` has the log and the sessions."""

    def __init__(self, folder: Path, watch: Watch) -> None:
        self.folder, self.watch = folder, watch
        self.books = Books()
        self.log_hash = ""
        self.events = 0
        self.ends: Counter[str] = Counter()
        self.replayed = self.unpriced = 0
        # Positions of which an order was found absent: what comes late then, nobody could know.
        self._absent: set[str] = set()

    def judge(self, sessions: Sequence[Session], *, was_paged: bool, with_replay: bool, now_ns: int) -> None:
        """Look at what is left at `now_ns`. `was_paged`: a person was told, so that a halted position may still hold something."""
        self.watch.look_at_books(now_ns)
        if ours := self.watch.books.ours_open():
            self.watch.say(now_ns, "I5", f"orders outlived their positions: {', '.join(ours)}")
        # What the disk refused is told with the folder's name, and that is another one in each run.
        here = str(self.folder).encode()
        digest = hashlib.sha256()
        with open_store(str(self.folder / "events.db"), create=False) as store:
            for event in store.all_events():
                self.events += 1
                digest.update(bytes_from(event).replace(here, b"") + b"\n")
                if isinstance(event.fact, OrderNotFound):
                    self._absent.add(event.position_id)
            self._judge_log(store, was_paged, now_ns)
        for session in sessions:
            digest.update(_bodies(session.path).replace(here, b""))
        digest.update(repr([(f.exec_id, f.qty, f.px, f.fee) for f in self.watch.books.fills.values()]).encode())
        self.log_hash = digest.hexdigest()[:16]
        if with_replay:
            for session in sessions:
                self._replay(session, now_ns)

    def _judge_log(self, store: Store, was_paged: bool, now_ns: int) -> None:
        catch_up = CatchUp(store)
        catch_up.run()
        self.books = catch_up.books
        if not self.books.ledger.is_balanced:
            self.watch.say(now_ns, "I9", "the ledger does not balance")
        self._compare_fills(now_ns)
        for key in sorted(self.books.positions):
            position = self.books.positions[key]
            self.ends[position.state] += 1
            if position.state in LIVE_STATES and position.state != HALTED:
                self.watch.say(now_ns, "I13", f"{key} has not ended: {position.state}")
        halted = {key for key, position in self.books.positions.items() if position.state == HALTED and was_paged}
        for key in sorted(self.watch.books.held):
            if not halted.intersection(self.watch.books.family_of(key)):
                self._compare_held(key, now_ns)

    def _compare_held(self, key: str, now_ns: int) -> None:
        """Nothing is left of a position, and what orders of others closed of it was taken off it."""
        venue = self.watch.books
        least, left = venue.minimum[key], venue.left_of(key)
        if abs(left) >= least:
            self.watch.say(now_ns, "I13", f"{key} has ended, and the venue still holds {left} of it")
        family = venue.family_of(key)
        if venue.has_doubled(key) and not self._absent.intersection(family):
            self.watch.say(now_ns, "I2", f"{key}: {venue.beyond[key]} of other positions closed by two of its orders for the same quantity")
        if venue.pair_of[key] in venue.taken:
            return  # of which position the owner sold, nobody can tell
        entries = [e for e in self.books.fills.entries if e.position_id in family]
        fees = sum((e.base_fee for e in entries if isinstance(e, Fill)), Decimal(0))
        taken_off = [-e.qty * e.position_side.sign for e in entries if isinstance(e, Transfer) and e.kind == "adjustment"]
        # What a fee that was told behind the end had taken is put back there: another position buys it.
        adjusted = sum((qty for qty in taken_off if not -fees <= qty < 0), Decimal(0))
        if venue.by_others[key] - adjusted >= least:
            self.watch.say(now_ns, "I9", f"{key}: orders of others closed {venue.by_others[key]} of it, and the log took {adjusted} off it")

    def _compare_fills(self, now_ns: int) -> None:
        """Every execution of ours at the venue is in the books once, and nothing else is."""
        venue = self.watch.books
        booked: Counter[str] = Counter()
        for key in sorted(self.books.pnl.positions):
            for fill in self.books.pnl.positions[key].fills:
                if fill.source != "order":
                    continue
                booked[fill.trade_id] += 1
                known = venue.fills.get(fill.trade_id)
                row = row_from(fill)
                if known is not None and row.last_px is None:
                    self.unpriced += 1
                elif known is not None and (row.last_qty, row.last_px) != (known.qty, known.px):
                    what = f"{row.last_qty} at {row.last_px} instead of {known.qty} at {known.px}"
                    self.watch.say(now_ns, "I9", f"{key}: execution {fill.trade_id} is booked as {what}")
        for exec_id in sorted(venue.owner_of_fill):
            if booked[exec_id] != 1:
                there = venue.fills[exec_id]
                what = f"{there.order_id} {'buy' if there.buying else 'sell'} {there.qty}"
                owner = venue.owner_of_fill[exec_id]
                self.watch.say(now_ns, "I9", f"{owner}: execution {exec_id} ({what}) is booked {booked[exec_id]} times")
        for exec_id in sorted(booked.keys() - venue.owner_of_fill.keys()):
            self.watch.say(now_ns, "I9", f"execution {exec_id} is booked, and the venue knows nothing of it")

    def _replay(self, session: Session, now_ns: int) -> None:
        if session.lost_power and not is_begun(session.path):
            return  # the power was lost within its first write: nothing was recorded in it
        try:
            verdict = replay(session.path)
        except Tampered as problem:
            # A loss of power may take records that an anchor names; nothing else may.
            if not session.lost_power:
                self.watch.say(now_ns, "I10", str(problem).replace(str(self.folder), ""))
            return
        self.replayed += 1
        if not verdict.identical:
            self.watch.say(now_ns, "I10", f"session {session.path.name} diverged: {verdict.divergence}")


def _bodies(session: Path) -> bytes:
    """Return what was recorded, without what names the machine and its versions."""
    lines = session.read_bytes().split(b"\n")[1:]
    return b"\n".join(parts[0] for line in lines if (parts := parts_of(line + b"\n")) is not None)
