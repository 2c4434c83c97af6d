"""A whole log decided again with today's tables, in flat memory, and what it must hold checked on the way.

Each event is decided on the position that the log itself gives, so that one disagreement does not make others. What counts is
the decision: the state, the order's status, the commands, the reason to leave. An event that says the same with another row's
name or other answers of the guards was decided by a table that has been edited since; it is counted, and no disagreement.

Memory: the positions that are open, one number for each position that the log has, and one entry for each execution.
"""

from collections.abc import Callable, Iterable, Iterator
from decimal import Decimal

import msgspec

from events.errors import Tampered
from events.record import PositionEvent, bytes_from
from events.store import Store
from fsm.core import Core, Violation, evolve, violations
from fsm.model import Position
from fsm.timers import WATCH
from projections.exact import ZERO, add
from projections.fills import FillBook
from projections.ledger import Ledger

from .diff import Difference, differences

_AUDIT_ONLY = {"row": "", "guards": ()}
_LEDGER_BATCH = 10_000


class Disagreement(msgspec.Struct, frozen=True, kw_only=True):
    """An event that today's tables decide otherwise: what differs, `recorded` and `decided`."""

    position_id: str
    version: int
    fact: str
    state: str
    differences: tuple[Difference, ...]


class Broken(msgspec.Struct, frozen=True, kw_only=True):
    """An invariant that the step to this event breaks."""

    position_id: str
    version: int
    invariant: str
    text: str


class Audit(msgspec.Struct, kw_only=True):
    """What an audit found. `hole` is the sentence of the first place where the log is not whole, "" if it is.

    `disagreements` and `broken` hold the first `most` of them, `disagreed` and `broken_count` count all. `renamed` counts events
    whose decision is the same under another row's name or other answers.
    """

    store: str
    events: int = 0
    positions: int = 0
    hole: str = ""
    disagreed: int = 0
    disagreements: list[Disagreement] = []
    renamed: int = 0
    broken_count: int = 0
    broken: list[Broken] = []
    totals: dict[str, Decimal] = {}

    @property
    def is_balanced(self) -> bool:
        """Whether the ledger sums to zero in every asset."""
        return not any(self.totals.values())

    @property
    def is_sound(self) -> bool:
        """Whether nothing is wrong."""
        return not (self.hole or self.disagreed or self.broken_count) and self.is_balanced


def audit(store: Store, most: int, on_progress: Callable[[int], object]) -> Audit:
    """Audit every event that a store has.

    Args:
        most: disagreements and broken invariants that are kept with their details.
        on_progress: told now and then how many events are done.

    Raises what reading the store raises, but for a hole or a forged row, which is a finding.
    """
    found = Audit(store=store.name)
    auditor = _Auditor(store, found, most)
    try:
        for event in store.all_events():
            auditor.take(event)
            if found.events % 512 == 0:
                on_progress(found.events)
    except Tampered as problem:
        found.hole = str(problem)
    auditor.end()
    return found


class _Auditor:
    def __init__(self, store: Store, found: Audit, most: int) -> None:
        self._store, self._found, self._most = store, found, most
        self._core = Core("flat")
        self._positions: dict[str, Position] = {}
        self._versions: dict[str, int] = {}
        self._fills = FillBook()
        self._ledger = Ledger()

    def take(self, event: PositionEvent) -> None:
        key, found = event.position_id, self._found
        before = self._positions.get(key)
        if before is None and key in self._versions:
            before = self._ended(key, event.version)
        self._compare(event, self._core.decide(before, event.fact))
        after = evolve(before, event)
        self._check(event, violations(before, after, event))
        for entry in self._fills.apply(found.events + 1, event):
            self._ledger.apply(entry)
        if len(self._ledger.postings) > _LEDGER_BATCH:
            self._sum_up()
        # An ended position is made anew from the store if something comes after its end; that is rare.
        if after.state in WATCH:
            self._positions[key] = after
        else:
            self._positions.pop(key, None)
        self._versions[key] = event.version
        found.events += 1

    def _ended(self, key: str, version: int) -> Position | None:
        position = None
        for event in self._store.events_of(key)[: version - 1]:
            position = evolve(position, event)
        return position

    def _compare(self, recorded: PositionEvent, decided: PositionEvent) -> None:
        if recorded == decided:
            return
        left, right = (bytes_from(msgspec.structs.replace(event, **_AUDIT_ONLY)) for event in (recorded, decided))
        if left == right:
            self._found.renamed += 1
            return
        self._found.disagreed += 1
        if len(self._found.disagreements) < self._most:
            differing = differences(bytes_from(recorded), bytes_from(decided))
            self._found.disagreements.append(
                Disagreement(
                    position_id=recorded.position_id,
                    version=recorded.version,
                    fact=type(recorded.fact).__name__,
                    state=recorded.to,
                    differences=tuple(differing),
                )
            )

    def _check(self, event: PositionEvent, found: Iterable[Violation]) -> None:
        for one in found:
            self._found.broken_count += 1
            if len(self._found.broken) < self._most:
                broken = Broken(position_id=event.position_id, version=event.version, invariant=one.invariant, text=one.text)
                self._found.broken.append(broken)

    def _sum_up(self) -> None:
        """Add the postings so far to the sums, and forget them."""
        for asset, amount in self._ledger.totals().items():
            self._found.totals[asset] = add(self._found.totals.get(asset, ZERO), amount)
        self._ledger = Ledger()

    def end(self) -> None:
        """Take what is left."""
        self._sum_up()
        self._found.positions = len(self._versions)


def lines_of(found: Audit) -> Iterator[str]:
    """Yield what is wrong, one place a line, both sides below it."""
    if found.hole:
        yield f"HOLE  {found.hole}"
    for one in found.disagreements:
        yield f"OTHERWISE  {one.position_id}:{one.version} {one.fact}, led to {one.state}"
        yield from (f"    {d.path}: recorded {d.recorded}, today {d.decided}" for d in one.differences)
    if found.disagreed > len(found.disagreements):
        yield f"    and {found.disagreed - len(found.disagreements)} more events"
    for broken in found.broken:
        yield f"BROKEN  {broken.invariant} at {broken.position_id}:{broken.version}: {broken.text}"
    if found.broken_count > len(found.broken):
        yield f"    and {found.broken_count - len(found.broken)} more"
