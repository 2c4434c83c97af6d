"""The order machine: what is known of one order at the venue, from evidence only.

    Submitted   sent, nothing known                      Filled     all executed, every execution known
    Unknown     sent, no proof either way (I6)           Canceled   ended by cancel, every execution known
    Live        rests, or its stop is armed              Expired    ended by its time limit, every execution known
    Triggered   a stop that fired: protects nothing      Rejected   refused with evidence
    Ended       the venue says it ended, but executions  Absent     proven absent from a fresh, complete answer,
                are missing: quantity is not known yet              or proven never sent

`Unknown` and `Ended` are not ends: the quantity they stand for is leased until evidence comes. Executions are booked in
every state; the table says only what they prove about the order.
"""

from .table import Classifier, Row, State, Table

SUBMITTED, UNKNOWN, LIVE, TRIGGERED, ENDED = "Submitted", "Unknown", "Live", "Triggered", "Ended"
FILLED, CANCELED, EXPIRED, REJECTED, ABSENT = "Filled", "Canceled", "Expired", "Rejected", "Absent"
OPEN_STATUSES = frozenset({SUBMITTED, UNKNOWN, LIVE, TRIGGERED, ENDED})
END_STATUSES = frozenset({FILLED, CANCELED, EXPIRED, REJECTED, ABSENT})
_IN_FLIGHT = (SUBMITTED, UNKNOWN)
_AT_VENUE = (LIVE, TRIGGERED)
_OPEN = (SUBMITTED, UNKNOWN, LIVE, TRIGGERED)
_ENDS = (FILLED, CANCELED, EXPIRED, REJECTED, ABSENT)

FACTS = (
    "OrderSubmitted", "OrderNotSent", "OrderAccepted", "OrderRejected", "OrderFilled", "OrderCompleted", "OrderTriggered",
    "OrderAmended", "AmendRejected", "OrderCanceled", "CancelRejected", "OrderExpired", "ChildDiscovered", "OrderNotFound",
    "OutcomeUnknown", "StopReported",
)  # fmt: skip

CLASSIFIERS = (
    Classifier("fills", ("COMPLETE", "PARTIAL"), "whether the known executions reach the order's quantity"),
    Classifier("books", ("AGREE", "MISSING"), "whether the known executions reach the total that the venue states"),
    Classifier("operation", ("SUBMIT", "CHANGE"), "whether the fact speaks of placing the order or of changing it"),
    Classifier(
        "absence", ("PROVEN", "DOUBTED", "UNPROVEN"),
        "PROVEN: asked after the order was sent, and no execution can be missing; DOUBTED: lists in a row lack what rested",
    ),
    Classifier("found", ("LISTED", "TOLD"), "whether a snapshot that was asked for after its end lists it, or a message tells of a child"),
)

ROWS = (
    # in flight
    Row(_IN_FLIGHT, ("OrderSubmitted",), {}, "=", doc="on the wire; no evidence of the venue"),
    Row(_IN_FLIGHT, ("OrderNotSent",), {"operation": "SUBMIT"}, ABSENT, doc="the channel was closed before the frame left"),
    Row(_IN_FLIGHT, ("OrderNotSent",), {"operation": "CHANGE"}, "=", doc="the change never left; the order is as unknown as before"),
    Row(_IN_FLIGHT, ("OrderRejected",), {}, REJECTED, doc="refused with evidence"),
    Row(_IN_FLIGHT, ("OutcomeUnknown",), {"operation": "SUBMIT"}, UNKNOWN, doc="a timeout is not a rejection"),
    Row(_IN_FLIGHT, ("OutcomeUnknown",), {"operation": "CHANGE"}, "=", doc="the order itself is as unknown as before"),
    Row((SUBMITTED, UNKNOWN, LIVE), ("OrderAccepted", "OrderAmended", "ChildDiscovered"), {}, LIVE, doc="positive evidence that it rests"),
    Row((TRIGGERED,), ("OrderAccepted", "OrderAmended", "ChildDiscovered"), {}, "=", doc="listed as open, but fired: still no protection"),
    # evidence for anything that may still be open
    Row(_OPEN, ("OrderFilled",), {"fills": "COMPLETE"}, FILLED, doc="cumulative quantity decides, not the status text (K7)"),
    Row((SUBMITTED, UNKNOWN), ("OrderFilled",), {"fills": "PARTIAL"}, LIVE, doc="a fill seen before its order's `new`"),
    Row((LIVE, TRIGGERED), ("OrderFilled",), {"fills": "PARTIAL"}, "="),
    Row(_OPEN, ("OrderCompleted",), {"books": "AGREE"}, FILLED),
    Row(_OPEN, ("OrderCompleted",), {"books": "MISSING"}, ENDED, doc="an execution frame was lost: ask for trades, book nothing"),
    Row(_OPEN, ("OrderTriggered",), {}, TRIGGERED, doc="from here on it protects nothing"),
    Row(_OPEN, ("OrderCanceled",), {"books": "AGREE"}, CANCELED),
    Row(_OPEN, ("OrderExpired",), {"books": "AGREE"}, EXPIRED),
    Row(_OPEN, ("OrderCanceled", "OrderExpired"), {"books": "MISSING"}, ENDED, doc="it filled more than we know (P09, P10)"),
    Row(_OPEN, ("OrderNotFound",), {"absence": "PROVEN"}, ABSENT, doc="ended unseen, or never arrived; executions are complete"),
    Row(_IN_FLIGHT, ("OrderNotFound",), {"absence": ("DOUBTED", "UNPROVEN")}, UNKNOWN, doc="a missing row is not a fact (P15)"),
    Row((LIVE,), ("OrderNotFound",), {"absence": "DOUBTED"}, UNKNOWN, doc="that it rests is belief: no cover until it is listed again"),
    Row((LIVE,), ("OrderNotFound",), {"absence": "UNPROVEN"}, "=", doc="a missing row is not a fact (P15)"),
    Row((TRIGGERED,), ("OrderNotFound",), {"absence": ("DOUBTED", "UNPROVEN")}, "=", doc="a missing row is not a fact (P15)"),
    Row(_OPEN, ("AmendRejected", "CancelRejected", "StopReported"), {}, "=", doc="the order stands as it was, or a query will tell"),
    Row(_AT_VENUE, ("OrderSubmitted", "OrderNotSent", "OutcomeUnknown"), {}, "=", doc="late word of the sender; the venue knows better"),
    Row(_AT_VENUE, ("OrderRejected",), {}, "=", doc="a reject ends an attempt, not an order that is known to rest"),
    # ended, executions missing
    Row((ENDED,), ("OrderFilled",), {"books": "AGREE"}, FILLED, doc="the missing executions are all there"),
    Row((ENDED,), ("OrderFilled",), {"books": "MISSING"}, "="),
    Row((ENDED,), ("OrderCompleted", "OrderCanceled", "OrderExpired"), {"books": "AGREE"}, FILLED),
    Row((ENDED,), ("OrderCompleted", "OrderCanceled", "OrderExpired"), {"books": "MISSING"}, "="),
    Row((ENDED,), ("OrderNotFound",), {}, "=", doc="known to have ended: absence from open orders says nothing new"),
    # over: late facts are booked, nothing revives (I5)
    Row((ABSENT,), ("OrderAccepted", "ChildDiscovered"), {}, LIVE, doc="the venue lists it after all: positive evidence beats absence"),
    Row((ABSENT,), ("OrderFilled",), {"fills": "COMPLETE"}, FILLED, doc="it existed and filled"),
    Row((ABSENT,), ("OrderFilled",), {"fills": "PARTIAL"}, LIVE, doc="it existed; what is left of it may still rest"),
    Row(_ENDS[:-1], ("OrderFilled",), {}, "=", doc="the venue fills after it confirmed the end: booked, reported"),
    Row((FILLED,), ("ChildDiscovered",), {"found": "LISTED"}, LIVE, doc="it is larger than what filled it: the log lost an amend (I6)"),
    Row((FILLED,), ("ChildDiscovered",), {"found": "TOLD"}, "=", doc="late news of a stop that has filled"),
    Row((CANCELED, EXPIRED, REJECTED), ("ChildDiscovered",), {"found": "LISTED"}, LIVE, doc="called over, and it rests (P08)"),
    Row((CANCELED, EXPIRED, REJECTED), ("ChildDiscovered",), {"found": "TOLD"}, "=", doc="late news of an end that is known"),
)  # fmt: skip

ORDER = Table(
    name="order",
    states=(
        State(SUBMITTED, "in flight", "sent, nothing known"),
        State(UNKNOWN, "in flight", "sent, no proof either way"),
        State(LIVE, "at the venue", "rests, or its stop is armed"),
        State(TRIGGERED, "at the venue", "a stop that fired"),
        State(ENDED, "at the venue", "ended, but executions are missing"),
        State(FILLED, "over", "all executed", end=True),
        State(CANCELED, "over", "ended by cancel", end=True),
        State(EXPIRED, "over", "ended by its time limit", end=True),
        State(REJECTED, "over", "refused", end=True),
        State(ABSENT, "over", "proven absent, or never sent", end=True),
    ),
    facts=FACTS,
    classifiers=CLASSIFIERS,
    rows=ROWS,
    ignored={
        ENDED: (
            "OrderSubmitted", "OrderNotSent", "OrderAccepted", "OrderRejected", "OrderTriggered", "OrderAmended",
            "AmendRejected", "CancelRejected", "ChildDiscovered", "OutcomeUnknown", "StopReported",
        ),
        **{end: tuple(f for f in FACTS) for end in _ENDS},
    },
    initial=SUBMITTED,
)  # fmt: skip
