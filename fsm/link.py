"""The venue-link machine: what one connection to a venue may be trusted with, and what is done when it may not be (A22, A24).

Rules
    1. A link only ever halts *entries*. No output stops, delays or withdraws protection or exits (I16).
    2. Truth is what a snapshot, or an unbroken stream since one, has said. When it is doubtful (silence, a gap in the
       sequence, lag, an unanswered question) the ladder is: ask again, degraded mode, a new connection, a person. Each rung
       has a clock; while exposure is unprotected the clocks are shorter. `escalation_bound_ms` is the whole of it.
    3. Doubt ends only by a snapshot that was asked for after the doubt began. Asking again moves neither that moment nor the
       clock of the question that is out, so that a slow venue cannot starve the link of its recovery, nor of its next rung.
    4. Every state but `Closed` owns a clock: `deadline_ns`.

One machine per connection. On a public connection a "snapshot" is the first full book or ticker, and the engine gives the
outputs that speak to positions nobody to speak to. The machine sends nothing itself and reads no clock: the engine feeds
`DeadlineReached` when `deadline_ns` has come, and records that it did.

Deliberately absent: the pacing of reconnects. `connect` and `reconnect` are wishes; the session knows the venue's limits.
"""

# ruff: noqa: E501 -- a row of the table is one line
from collections.abc import Callable, Mapping
from functools import cache
from typing import Any, Literal

import msgspec

from .table import SAME, Classifier, Row, Runner, State, Table

CONNECTING, SYNCING, LIVE, STALE, DEGRADED, CLOSED = "Connecting", "Syncing", "Live", "Stale", "Degraded", "Closed"
MS = 1_000_000

replace = msgspec.structs.replace

# --- facts ----------------------------------------------------------------------------------------------------------


class LinkFact(msgspec.Struct, frozen=True, kw_only=True):
    """Base of the facts about one connection. `ts_recv_ns`: when we knew it, UTC ns."""

    ts_recv_ns: int


class LinkOpened(LinkFact, frozen=True, kw_only=True, tag="link_opened.1"):
    """The handshake is done; the subscriptions are being asked for, and with them a snapshot."""


class SubscriptionAcked(LinkFact, frozen=True, kw_only=True, tag="subscription_acked.1"):
    """The venue accepted a subscription."""

    channel: str


class SubscriptionRefused(LinkFact, frozen=True, kw_only=True, tag="subscription_refused.1"):
    """The venue refused a subscription: a token that ran out, a right that is missing."""

    channel: str
    text: str


class SnapshotArrived(LinkFact, frozen=True, kw_only=True, tag="snapshot_arrived.1"):
    """A whole snapshot came, and was compared with every position. `asked_ns`: when it was asked for."""

    asked_ns: int


class MessageArrived(LinkFact, frozen=True, kw_only=True, tag="message_arrived.1"):
    """Anything came: a heartbeat, an update. `is_truth`: an update in unbroken sequence, which keeps the last snapshot true."""

    is_truth: bool = False


class SilenceNoticed(LinkFact, frozen=True, kw_only=True, tag="silence_noticed.1"):
    """Somebody else found the link silent: a ping without an answer, a price that stands still while others move (X8)."""

    age_ns: int


class SequenceGapSeen(LinkFact, frozen=True, kw_only=True, tag="sequence_gap_seen.1"):
    """Messages are missing: the stream went from `expected` to `got`."""

    expected: int
    got: int


class LagNoticed(LinkFact, frozen=True, kw_only=True, tag="lag_noticed.1"):
    """How late messages are by the venue's own time. Staleness hides in kernel buffers; only this shows it."""

    lag_ns: int


class LinkClosed(LinkFact, frozen=True, kw_only=True, tag="link_closed.1"):
    """The connection ended, or could not be made. `code`: the WebSocket close code or HTTP status, 0 for none."""

    reason: str
    code: int = 0


class DeadlineReached(LinkFact, frozen=True, kw_only=True, tag="link_deadline_reached.1"):
    """The clock of `deadline_ns` ran out; `at_ns` is when it was due."""

    at_ns: int


class Maintenance(LinkFact, frozen=True, kw_only=True, tag="maintenance.1"):
    """The venue says that it does not take every order now (X16)."""

    mode: Literal["maintenance", "cancel_only", "post_only", "limit_only"]


class MaintenanceOver(LinkFact, frozen=True, kw_only=True, tag="maintenance_over.1"):
    """The venue says that it takes every order again."""


class ExposureChanged(LinkFact, frozen=True, kw_only=True, tag="exposure_changed.1"):
    """How many open positions are unprotected now. While it is above zero the ladder runs on its short clocks."""

    unprotected: int


class CloseAsked(LinkFact, frozen=True, kw_only=True, tag="close_asked.1"):
    """The engine is done with this connection."""


AnyLinkFact = (
    LinkOpened
    | SubscriptionAcked
    | SubscriptionRefused
    | SnapshotArrived
    | MessageArrived
    | SilenceNoticed
    | SequenceGapSeen
    | LagNoticed
    | LinkClosed
    | DeadlineReached
    | Maintenance
    | MaintenanceOver
    | ExposureChanged
    | CloseAsked
)

# --- the table ------------------------------------------------------------------------------------------------------

OUTPUTS: Mapping[str, str] = {
    "connect": "open a connection as soon as the session's pacing allows",
    "reconnect": "drop the connection, then open another",
    "disconnect": "close the connection for good",
    "refresh_truth": "ask for a fresh snapshot of orders and trades",
    "tell_positions_closed": "what was in flight is unknown: ChannelClosed to every position",
    "tell_positions_live": "the channel delivers again: ChannelLive to every position",
    "tell_positions_stale": "TruthStale to every position that is unprotected",
    "halt_entries": "no order that adds risk leaves from here on; protection and exits go on",
    "resume_entries": "entries may leave again",
    "alert_degraded": "raise PRIVATE_STREAM_DEGRADED",
    "page_link": "wake a person",
}

_DOUBT = ("refresh_truth", "halt_entries", "alert_degraded", "tell_positions_stale")
_LOST = ("tell_positions_closed", "halt_entries", "alert_degraded")
_UNFIT = ("RESTRICTED", "LATE")
_OPEN = (SYNCING, LIVE, STALE, DEGRADED)
FACTS = tuple(t.__name__ for t in AnyLinkFact.__args__)

CLASSIFIERS = (
    Classifier("truth", ("HEARD", "OLD", "UNANSWERED", "SILENT"), "what the clock finds: all well, an old truth, no answer, silence"),
    Classifier("answer", ("FRESH", "EARLIER"), "whether a snapshot was asked for after the doubt began"),
    Classifier("health", ("SOUND", "RESTRICTED", "LATE"), "whether the venue takes every order, and messages come in time"),
    Classifier("lag", ("BEARABLE", "LATE"), "whether messages come in time"),
    Classifier("exposure", ("COVERED", "UNPROTECTED"), "whether any open position is unprotected"),
    Classifier("rungs", ("AGAIN", "SPENT"), "whether the questions of this rung are used up"),
    Classifier("page", ("DUE", "NOT_DUE"), "whether the trouble has lasted so long that a person must know, and was not told just now"),
)


def _paging(
    sources: tuple[str, ...], fact: str, when: Mapping[str, str], target: str, outputs: tuple[str, ...], doc: str
) -> tuple[Row, Row]:
    """Return a row and the same row once the trouble has lasted: then a person is told too."""
    return (
        Row(sources, (fact,), {**when, "page": "NOT_DUE"}, target, outputs, doc),
        Row(sources, (fact,), {**when, "page": "DUE"}, target, (*outputs, "page_link"), f"{doc}; for long, so a person is told"),
    )


ROWS: tuple[Row, ...] = (
    # --- a connection is wanted
    Row((CONNECTING,), ("LinkOpened",), {}, SYNCING, (), "its snapshot was asked for with the subscriptions"),
    *_paging((CONNECTING,), "LinkClosed", {}, SAME, ("connect",), "the attempt failed: the next one"),
    *_paging((CONNECTING,), "DeadlineReached", {}, SAME, ("connect",), "no connection in time: the next attempt"),
    # --- the snapshot is awaited
    Row((SYNCING,), ("SnapshotArrived",), {"answer": "FRESH", "health": "SOUND"}, LIVE, ("tell_positions_live", "resume_entries"), "reconciled before any new entry"),
    Row((SYNCING,), ("SnapshotArrived",), {"answer": "FRESH", "health": _UNFIT}, DEGRADED, ("tell_positions_live",), "the truth is known; entries wait for the venue"),
    Row((SYNCING,), ("SnapshotArrived",), {"answer": "EARLIER"}, SAME, (), "asked for on the former connection, or before a gap"),
    *_paging((SYNCING,), "DeadlineReached", {"rungs": "AGAIN"}, SAME, ("refresh_truth",), "no snapshot in time: ask again"),
    *_paging((SYNCING,), "DeadlineReached", {"rungs": "SPENT"}, CONNECTING, ("reconnect",), "it delivers no snapshot: another connection"),
    Row((SYNCING,), ("SequenceGapSeen",), {}, SAME, ("refresh_truth",), "the awaited snapshot may lack what was missed"),
    *_paging((SYNCING,), "SubscriptionRefused", {}, CONNECTING, ("reconnect", "alert_degraded"), "refused: another connection, with a new token"),
    # --- live
    Row((LIVE,), ("DeadlineReached",), {"truth": "HEARD"}, SAME, (), "a message came since: the clock starts again"),
    Row((LIVE,), ("DeadlineReached",), {"truth": "OLD"}, SAME, ("refresh_truth",), "the first rung: ask, before anything is called degraded (A24)"),
    Row((LIVE,), ("DeadlineReached",), {"truth": "UNANSWERED"}, DEGRADED, _DOUBT, "the second rung: it talks, but does not answer"),
    Row((LIVE,), ("DeadlineReached",), {"truth": "SILENT"}, STALE, _DOUBT, "the socket is healthy and nothing comes (X8)"),
    Row((LIVE,), ("SilenceNoticed",), {}, STALE, _DOUBT, "somebody else noticed it first"),
    Row((LIVE,), ("SequenceGapSeen",), {}, DEGRADED, _DOUBT, "a dropped message may be a fill (P17)"),
    Row((LIVE,), ("LagNoticed",), {"lag": "LATE"}, DEGRADED, _DOUBT, "what comes now is what was true then (A22)"),
    Row((LIVE,), ("LagNoticed",), {"lag": "BEARABLE"}, SAME, (), "measured, in time"),
    Row((LIVE,), ("SubscriptionRefused",), {}, DEGRADED, _DOUBT, "a question was refused on a link that seemed well"),
    Row((LIVE,), ("Maintenance",), {}, DEGRADED, ("halt_entries", "alert_degraded"), "truth is fine, but not every order is taken (X16)"),
    # --- stale: silent
    Row((STALE,), ("MessageArrived",), {}, DEGRADED, ("refresh_truth",), "it talks again; what it kept back is asked for"),
    Row((STALE,), ("SequenceGapSeen",), {}, DEGRADED, ("refresh_truth",), "it talks again, and something was lost"),
    Row((STALE,), ("SnapshotArrived",), {"answer": "FRESH", "health": "SOUND"}, LIVE, ("resume_entries",), "the answer itself breaks the silence"),
    Row((STALE,), ("SnapshotArrived",), {"answer": "FRESH", "health": _UNFIT}, DEGRADED, (), "the truth is known; entries wait for the venue"),
    Row((STALE,), ("SnapshotArrived",), {"answer": "EARLIER"}, DEGRADED, ("refresh_truth",), "a word, but not of now"),
    *_paging((STALE,), "DeadlineReached", {}, CONNECTING, ("reconnect", *_LOST), "silent after it was asked, a dead peer: another connection"),
    # --- degraded: it talks, but is not to be trusted with new risk
    Row((DEGRADED,), ("SnapshotArrived",), {"answer": "FRESH", "health": "SOUND"}, LIVE, ("resume_entries",), "doubt ends by evidence"),
    Row((DEGRADED,), ("SnapshotArrived",), {"answer": "FRESH", "health": _UNFIT}, SAME, (), "the truth is known; entries wait for the venue"),
    Row((DEGRADED,), ("SnapshotArrived",), {"answer": "EARLIER"}, SAME, (), "asked for before the doubt began"),
    Row((DEGRADED,), ("SequenceGapSeen",), {}, SAME, ("refresh_truth",), "the doubt begins anew"),
    Row((DEGRADED,), ("SilenceNoticed",), {}, STALE, ("refresh_truth",), "now it does not even talk"),
    *_paging((DEGRADED,), "DeadlineReached", {"truth": "SILENT"}, STALE, ("refresh_truth",), "now it does not even talk"),
    *_paging((DEGRADED,), "DeadlineReached", {"truth": "HEARD"}, SAME, (), "only the venue's own word stands against it"),
    *_paging((DEGRADED,), "DeadlineReached", {"truth": "OLD"}, SAME, ("refresh_truth",), "a fresh look may end it"),
    *_paging((DEGRADED,), "DeadlineReached", {"truth": "UNANSWERED", "rungs": "AGAIN"}, SAME, ("refresh_truth", "alert_degraded"), "ask again, louder"),
    *_paging((DEGRADED,), "DeadlineReached", {"truth": "UNANSWERED", "rungs": "SPENT"}, CONNECTING, ("reconnect", *_LOST), "asked enough: another connection"),
    # --- exposure: it only shortens clocks, and asks at once where truth is in doubt already
    Row((SYNCING, STALE, DEGRADED), ("ExposureChanged",), {"exposure": "UNPROTECTED"}, SAME, ("refresh_truth",), "unprotected while the truth is in doubt: ask now (A24)"),
    Row((SYNCING, STALE, DEGRADED), ("ExposureChanged",), {"exposure": "COVERED"}, SAME, (), "the long clocks again"),
    # --- the end of a connection, and of the link
    *_paging(_OPEN, "LinkClosed", {}, CONNECTING, ("connect", *_LOST), "a closed channel is an error that escalates (A15)"),
    Row(_OPEN, ("LinkOpened",), {}, SYNCING, _LOST, "the session opened another connection without a word of the old one's end"),
    Row((CONNECTING, *_OPEN), ("CloseAsked",), {}, CLOSED, ("halt_entries", "disconnect"), "the engine is done with it"),
    Row((CLOSED,), ("LinkOpened",), {}, SAME, ("disconnect",), "an attempt that came through after all"),
)  # fmt: skip

_BOOKED = ("Maintenance", "MaintenanceOver", "LagNoticed", "ExposureChanged")

LINK = Table(
    name="link",
    states=(
        State(CONNECTING, "down", "no connection; attempts are paced by the session"),
        State(SYNCING, "down", "connected; the snapshot is awaited, nothing is known yet"),
        State(LIVE, "up", "its word is the truth"),
        State(STALE, "doubt", "connected and silent"),
        State(DEGRADED, "doubt", "it talks, but truth is in doubt or not every order is taken: no new risk"),
        State(CLOSED, "end", "closed because we asked for it", end=True),
    ),
    facts=FACTS,
    classifiers=CLASSIFIERS,
    rows=ROWS,
    ignored={
        # Late words of a connection that is gone; the venue's mode and the exposure are booked in every state.
        CONNECTING: ("SubscriptionAcked", "SubscriptionRefused", "SnapshotArrived", "MessageArrived", "SilenceNoticed", "SequenceGapSeen", *_BOOKED),
        SYNCING: ("SubscriptionAcked", "MessageArrived", "SilenceNoticed", "Maintenance", "MaintenanceOver", "LagNoticed"),
        LIVE: ("SubscriptionAcked", "SnapshotArrived", "MessageArrived", "MaintenanceOver", "ExposureChanged"),
        STALE: ("SubscriptionAcked", "SubscriptionRefused", "SilenceNoticed", "Maintenance", "MaintenanceOver", "LagNoticed"),
        DEGRADED: ("SubscriptionAcked", "SubscriptionRefused", "MessageArrived", "Maintenance", "MaintenanceOver", "LagNoticed"),
        CLOSED: tuple(fact for fact in FACTS if fact != "LinkOpened"),
    },
    initial=CONNECTING,
)  # fmt: skip

# --- what a link is -------------------------------------------------------------------------------------------------


class Thresholds(msgspec.Struct, frozen=True, kw_only=True):
    """When a link is doubted and how long each rung lasts, in milliseconds; `rungs` is a number of questions.

    Defaults: Kraken sends a heartbeat each second, and a dead peer is to be noticed within 4 s, so three missed ones are
    silence. `truth_age_ms` is the routine look of a quiet account; `truth_age_exposed_ms` the same while exposure is
    unprotected.
    """

    connect_timeout_ms: int = 5_000
    refresh_timeout_ms: int = 2_000
    silence_ms: int = 3_000
    truth_age_ms: int = 60_000
    truth_age_exposed_ms: int = 2_000
    lag_ms: int = 1_000
    rungs: int = 3
    page_after_ms: int = 60_000
    page_exposed_ms: int = 5_000
    page_interval_ms: int = 60_000


class LinkState(msgspec.Struct, frozen=True, kw_only=True):
    """One connection. All times are UTC ns, 0 for never.

    `watch_ns`: when the state's clock last started. `heard_ns`: when anything last came. `truth_ns`: until when the truth is
    known. `asked_ns`: when it was last asked for. `doubt_ns`: when the present doubt began; only a snapshot that was asked
    for since then ends it. `down_ns`: since when it is not Live, 0 while it is. `rung`: questions without an answer.
    `mode` is "" while the venue takes every order.
    """

    channel: str
    thresholds: Thresholds = Thresholds()
    state: str = CONNECTING
    watch_ns: int
    down_ns: int
    heard_ns: int = 0
    truth_ns: int = 0
    asked_ns: int = 0
    doubt_ns: int = 0
    paged_ns: int = 0
    rung: int = 0
    unprotected: int = 0
    mode: str = ""
    is_late: bool = False
    entries_halted: bool = True

    @property
    def is_waiting(self) -> bool:
        """Whether a question is out that no snapshot has answered."""
        return self.asked_ns > self.truth_ns


def new_link(channel: str, now_ns: int, thresholds: Thresholds | None = None) -> LinkState:
    """Return a link that wants its first connection. Entries are halted until it is Live."""
    thresholds = thresholds or Thresholds()
    return LinkState(channel=channel, thresholds=thresholds, watch_ns=now_ns, down_ns=now_ns)


def step(link: LinkState, fact: AnyLinkFact, runner: Runner | None = None) -> tuple[LinkState, tuple[str, ...]]:
    """Return the link after `fact`, and the names of `OUTPUTS` that follow from it.

    `runner` executes the table: by default with `transitions`; replay may pass `flat()`.
    Raises IllegalTransition where the table has a hole, a bug of ours; `link` is unchanged then, as always.
    """
    booked = _book(link, fact)
    name = type(fact).__name__
    if (link.state, name) in _IGNORED:
        # Each frame that comes is such a fact.
        return booked, ()
    given = tuple(_ANSWERS[question](booked, fact) for question in _CELLS[link.state, name].dimensions)
    row = (runner or _MACHINE).row(link.state, name, given)
    return _moved(booked, fact, row.target, row.commands), row.commands


def deadline_ns(link: LinkState) -> int | None:
    """Return when the state's clock runs out, None once the link is closed for good."""
    limit = link.thresholds
    if link.state == CLOSED:
        return None
    if link.state == CONNECTING:
        return link.watch_ns + limit.connect_timeout_ms * MS
    if link.state in (SYNCING, STALE):
        return link.watch_ns + limit.refresh_timeout_ms * MS
    answer_ns = link.asked_ns + limit.refresh_timeout_ms * MS if link.is_waiting else link.truth_ns + _truth_age_ms(link) * MS
    return max(link.watch_ns, min(link.heard_ns + limit.silence_ms * MS, answer_ns))


def escalation_bound_ms(limit: Thresholds) -> int:
    """Return the longest time from the last truth to a page while exposure is unprotected, whatever the venue does.

    Live is left after the first rungs at the latest; from then on every clock that runs out, and every failed attempt, pages
    as soon as `page_exposed_ms` is over, and the longest stretch without either is a connection that is made at the last
    moment and then delivers nothing.
    """
    leave_live = max(limit.silence_ms, limit.truth_age_exposed_ms + limit.refresh_timeout_ms)
    return leave_live + limit.page_exposed_ms + limit.connect_timeout_ms + limit.refresh_timeout_ms


def _truth_age_ms(link: LinkState) -> int:
    # Once nothing stands against it but an old look, the next look is near: degraded mode ends soon after its cause.
    ending = link.state == DEGRADED and not link.mode and not link.is_late
    return link.thresholds.truth_age_exposed_ms if link.unprotected or ending else link.thresholds.truth_age_ms


# --- booking, answers, moving ---------------------------------------------------------------------------------------

_HEARD = (SubscriptionAcked, SubscriptionRefused, SnapshotArrived, SequenceGapSeen, Maintenance, MaintenanceOver)


def _book(link: LinkState, fact: AnyLinkFact) -> LinkState:
    now_ns = fact.ts_recv_ns
    if type(fact) is MessageArrived:
        # An update keeps the truth known, but answers no question.
        if fact.is_truth and link.state == LIVE and not link.is_waiting:
            return replace(link, heard_ns=now_ns, truth_ns=now_ns)
        return replace(link, heard_ns=now_ns)
    fields: dict[str, Any] = {}
    if isinstance(fact, _HEARD):
        fields["heard_ns"] = now_ns
    if isinstance(fact, SnapshotArrived):
        if fact.asked_ns >= link.doubt_ns:
            fields.update(truth_ns=now_ns, rung=0)
    elif isinstance(fact, LinkOpened):
        fields.update(heard_ns=now_ns, asked_ns=now_ns, doubt_ns=now_ns, rung=0)
    elif isinstance(fact, SequenceGapSeen):
        fields["doubt_ns"] = now_ns
    elif isinstance(fact, LagNoticed):
        fields["is_late"] = fact.lag_ns >= link.thresholds.lag_ms * MS
    elif isinstance(fact, Maintenance):
        fields["mode"] = fact.mode
    elif isinstance(fact, MaintenanceOver):
        fields["mode"] = ""
    elif isinstance(fact, ExposureChanged):
        fields["unprotected"] = fact.unprotected
    elif isinstance(fact, DeadlineReached) and link.is_waiting:
        fields["rung"] = link.rung + 1
    return replace(link, **fields)


def _truth(link: LinkState, fact: Any) -> str:
    limit, now_ns = link.thresholds, fact.ts_recv_ns
    if now_ns - link.heard_ns >= limit.silence_ms * MS:
        return "SILENT"
    if link.is_waiting:
        return "UNANSWERED" if now_ns - link.asked_ns >= limit.refresh_timeout_ms * MS else "HEARD"
    return "OLD" if now_ns - link.truth_ns >= _truth_age_ms(link) * MS else "HEARD"


def _health(link: LinkState, fact: Any) -> str:
    return "RESTRICTED" if link.mode else "LATE" if link.is_late else "SOUND"


def _page(link: LinkState, fact: Any) -> str:
    limit, now_ns = link.thresholds, fact.ts_recv_ns
    patience_ms = limit.page_exposed_ms if link.unprotected else limit.page_after_ms
    long = bool(link.down_ns) and now_ns - link.down_ns >= patience_ms * MS
    told = bool(link.paged_ns) and now_ns - link.paged_ns < limit.page_interval_ms * MS
    return "DUE" if long and not told else "NOT_DUE"


_ANSWERS: Mapping[str, Callable[[LinkState, Any], str]] = {
    "truth": _truth,
    "answer": lambda link, fact: "FRESH" if fact.asked_ns >= link.doubt_ns else "EARLIER",
    "health": _health,
    "lag": lambda link, fact: "LATE" if link.is_late else "BEARABLE",
    "exposure": lambda link, fact: "UNPROTECTED" if link.unprotected else "COVERED",
    "rungs": lambda link, fact: "SPENT" if link.rung >= link.thresholds.rungs else "AGAIN",
    "page": _page,
}


def _moved(link: LinkState, fact: AnyLinkFact, target: str, outputs: tuple[str, ...]) -> LinkState:
    if target == link.state and not outputs and not isinstance(fact, DeadlineReached):
        return link
    now_ns = fact.ts_recv_ns
    fields: dict[str, Any] = {"state": target}
    if target != link.state or isinstance(fact, DeadlineReached):
        fields["watch_ns"] = now_ns
    if target != link.state:
        fields["down_ns"] = 0 if target == LIVE else link.down_ns or now_ns
        if link.state == LIVE:
            fields["doubt_ns"] = now_ns
    if "refresh_truth" in outputs and (isinstance(fact, DeadlineReached) or not link.is_waiting):
        # A question that is out keeps its clock: gaps that come faster than answers must not put the next rung off.
        fields["asked_ns"] = now_ns
    if "page_link" in outputs:
        fields["paged_ns"] = now_ns
    if "halt_entries" in outputs or "resume_entries" in outputs:
        fields["entries_halted"] = "halt_entries" in outputs
    return replace(link, **fields)


_CELLS = LINK.cells()
_MACHINE = LINK.machine()
# A deadline always starts the clock again.
_IGNORED = frozenset(key for key, cell in _CELLS.items() if cell.rows[0].kind == "ignored" and key[1] != "DeadlineReached")


@cache
def flat() -> Runner:
    """Return the table as a dictionary for `step`; it keeps nothing between two facts, so that one serves the whole process."""
    return LINK.flat()
