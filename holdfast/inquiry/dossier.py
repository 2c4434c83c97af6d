"""The whole story of one position, from its events alone: what it is, the way that it took and why, orders, fills, money, gaps, pages.

The status (`status.py`) says where it stands or how it ended. The way is one step for each event that changed the state or sent
something to the venue, with the event that led to it (`causes.py`); all others are counted, and each has its own `why`.
"""

from collections.abc import Sequence

import msgspec

from events.commands import AmendOrder, CancelOrder, Page, RaiseAlert, SubmitOrder
from events.record import PositionEvent
from holdfast.words import command_text
from projections.books import VIEWS, Books
from projections.fills import FillRow
from projections.windows import Window

from .books import books_from
from .causes import cause_of
from .protection import CauseLevel, cause_levels, is_over
from .status import Status, status_from
from .why import Step, positions_after, step_of


class Stage(msgspec.Struct, frozen=True, kw_only=True):
    """An event of the way. `led_by` is what led to it, None where it came from outside.

    `until_ns` is when the state ended that it led to, None if that is the last one; for an event that is no change of state
    (`is_change`) too. `others` counts the events up to the next stage.
    """

    at_ns: int
    is_change: bool
    until_ns: int | None
    step: Step
    led_by: Step | None
    exit_reason: str
    commands: tuple[str, ...]
    others: int


class Notice(msgspec.Struct, frozen=True, kw_only=True):
    """An alert, or a page (`is_page`: a person was to be woken), with the event that raised it."""

    version: int
    ts_recv_ns: int
    is_page: bool
    code: str
    text: str


class Gap(msgspec.Struct, frozen=True, kw_only=True):
    """An unprotected window, and whether it is longer than the budget."""

    window: Window
    is_over: bool


class Dossier(msgspec.Struct, frozen=True, kw_only=True):
    """One position's whole story, up to `status.at_ns`. `levels` has the percentiles of its windows for each cause."""

    status: Status
    path: tuple[Stage, ...]
    fills: tuple[FillRow, ...]
    windows: tuple[Gap, ...]
    levels: tuple[CauseLevel, ...]
    notices: tuple[Notice, ...]


def dossier_of(events: Sequence[PositionEvent], at_ns: int, budget_ms: int) -> tuple[Dossier, Books]:
    """Return the dossier of the position whose events are given from the first on, and the books that it was read from."""
    books = books_from(events)
    position_id = events[0].position_id
    windows = list(books.windows.of(position_id))
    fills = VIEWS["fills"].of
    assert fills is not None
    found = Dossier(
        status=status_from(books, events, at_ns, budget_ms),
        path=_path(events),
        fills=tuple(row for row in fills(books, position_id) if isinstance(row, FillRow)),
        windows=tuple(Gap(window=window, is_over=is_over(books, window, budget_ms, at_ns)) for window in windows),
        levels=tuple(cause_levels(books, windows, budget_ms, at_ns)) if windows else (),
        notices=tuple(_notices(events)),
    )
    return found, books


def _path(events: Sequence[PositionEvent]) -> tuple[Stage, ...]:
    positions = positions_after(events)
    changes = [i for i, event in enumerate(events) if i == 0 or event.to != events[i - 1].to]
    kept = [i for i, event in enumerate(events) if i in changes or _sends(event)]
    stages = []
    for index, following in zip(kept, [*kept[1:], len(events)], strict=True):
        event, cause = events[index], cause_of(events, index)
        next_change = next((i for i in changes if i > index), None)
        stages.append(
            Stage(
                at_ns=event.fact.ts_recv_ns,
                is_change=index in changes,
                until_ns=None if next_change is None else events[next_change].fact.ts_recv_ns,
                step=step_of(events, positions, index, ""),
                led_by=None if cause is None else step_of(events, positions, cause.at, cause.how),
                exit_reason=event.exit_reason,
                commands=tuple(command_text(command) for command in event.commands),
                others=following - index - 1,
            )
        )
    return tuple(stages)


def _sends(event: PositionEvent) -> bool:
    return any(isinstance(command, SubmitOrder | AmendOrder | CancelOrder) for command in event.commands)


def _notices(events: Sequence[PositionEvent]) -> list[Notice]:
    return [
        Notice(
            version=event.version,
            ts_recv_ns=event.fact.ts_recv_ns,
            is_page=isinstance(command, Page),
            code=command.code,
            text=command.text,
        )
        for event in events
        for command in event.commands
        if isinstance(command, Page | RaiseAlert)
    ]
