"""Faults of a venue and of the way to it, by name: seeded and random, or directed at the next matching message.

Pure. The exchange and the gateway ask `take(name, label)` at the place where the fault would strike; it answers with the
fault's options if it strikes now, and counts it. A label names the message: a request as `cancel_order:limit:sell`, a
frame as `executions:trade:trailing-stop:sell`, `balances:trade:USD`, `reply:add_order:market:buy`, `ticker:BTC/USD`. A
fault that is set `on` a prefix of whole parts strikes only there.
"""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from random import Random

from events.errors import Usage

PRIVATE = ("executions", "balances")
REQUESTS = ("add_order", "amend_order", "cancel_order")
REST_LISTS = (
    "rest:OpenOrders", "rest:ClosedOrders", "rest:QueryOrders", "rest:TradesHistory", "rest:Ledgers", "rest:BalanceEx",
    "rest:OpenPositions",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Fault:
    """What a named fault is: where it strikes unless told otherwise, and how often when it is merely switched on."""

    doc: str
    on: tuple[str, ...]
    probability: float


FAULTS: dict[str, Fault] = {
    "drop_frame": Fault("a frame is numbered, then lost", PRIVATE, 0.01),
    "duplicate_frame": Fault("a frame is sent twice", (*PRIVATE, "reply"), 0.01),
    "reorder_frames": Fault("a frame changes places with the next one on its connection", (*PRIVATE, "reply"), 0.01),
    "delay_frame": Fault("a frame, and what follows it on its channel, is late by `seconds`", PRIVATE, 0.01),
    "sequence_gap": Fault("a sequence number is left out, nothing is lost", PRIVATE, 0.005),
    "non_json": Fault("the text `CloudFlare WebSocket proxy restarting` is sent before a frame", ("executions", "ticker", "trade"), 0.005),
    "stall": Fault("the connection goes silent for `seconds`, heartbeats too, then everything comes", PRIVATE, 0.003),
    "zero_price": Fault("a fill is reported with price 0", ("executions:trade",), 0.02),
    "truncated_snapshot": Fault("the later half of an executions snapshot is missing", ("snapshot:executions",), 0.2),
    "close_mid_stream": Fault("the connection is cut where a frame was due", PRIVATE, 0.002),
    "ack_lost_applied": Fault("a request is carried out, its reply never comes", REQUESTS, 0.02),
    "ack_lost_not_applied": Fault("a request vanishes", REQUESTS, 0.02),
    "reject": Fault("a request is refused with `text`", REQUESTS, 0.02),
    "late_request": Fault("a request is carried out only after `seconds`; its deadline may have passed by then", REQUESTS, 0.01),
    "close_before_apply": Fault("the connection is cut on a request that is not carried out", REQUESTS, 0.005),
    "close_before_reply": Fault("a request is carried out, the connection cut before its reply", REQUESTS, 0.005),
    "close_after_reply": Fault("the connection is cut after the reply, before the stream tells", REQUESTS, 0.005),
    "split_fill": Fault("a fill comes as `n` fills", ("fill",), 0.2),
    "base_fee": Fault("the fee of a spot buy is taken in the base asset", ("fill",), 0.1),
    "trigger_during_amend": Fault("a stop fires while its amend is on the way", ("amend_order",), 0.1),
    "trail_rebase": Fault("an amend moves a trailing stop's peak to the last price", ("amend_order:trailing-stop",), 0.1),
    "fill_during_cancel": Fault("an order fills while its cancel is on the way; the cancel is refused", ("cancel_order",), 0.1),
    "partial_fill_during_cancel": Fault("an order half fills while its cancel is on the way", ("cancel_order",), 0.1),
    "fill_after_cancel_ack": Fault("the cancel is acknowledged, and the order fills all the same", ("cancel_order",), 0.05),
    "accept_and_drop": Fault("a connection is accepted and dropped at once", ("connect",), 0.2),
    "handshake_429": Fault("the handshake is answered with HTTP 429", ("connect",), 0.2),
    "rest_429": Fault("a REST question is answered with HTTP 429", ("rest",), 0.1),
    "rest_refused": Fault("a REST question is refused with `text`", ("rest",), 0.1),
    "rest_empty": Fault("a REST list comes empty", REST_LISTS, 0.1),
    "rest_partial": Fault("the later half of a REST list is missing", REST_LISTS, 0.1),
    "rest_stale": Fault("a REST list is as of `seconds` ago", REST_LISTS, 0.2),
}
DEFAULT_REJECTION = "EService:Unavailable"


@dataclass(slots=True)
class ArmedFault:
    """One switched-on fault and its options. `count` None strikes without end; `on` "" strikes where its kind does.

    `after` messages that match pass first; `struck` counts how often it has struck.
    """

    name: str
    probability: float = 1.0
    count: int | None = 1
    on: str = ""
    text: str = DEFAULT_REJECTION
    seconds: float = 6.0
    n: int = 3
    after: int = 0
    struck: int = 0

    def matches(self, label: str) -> bool:
        prefixes = (self.on,) if self.on else FAULTS[self.name].on
        return any(label == prefix or label.startswith(prefix + ":") for prefix in prefixes)


class Faults:
    """The faults of one venue. `counts` says how often each has struck."""

    def __init__(self, seed: int = 0) -> None:
        self.counts: Counter[str] = Counter()
        self._rng = Random(seed)
        self._armed: dict[str, list[ArmedFault]] = {}

    def arm(
        self,
        name: str,
        *,
        probability: float = 1.0,
        count: int | None = 1,
        on: str = "",
        text: str = DEFAULT_REJECTION,
        seconds: float = 6.0,
        n: int = 3,
        after: int = 0,
    ) -> ArmedFault:
        """Switch a fault on; by default it strikes exactly once, at the next message that matches, or the one `after` that many.

        Raises:
            Usage: no fault of that name, or an option out of range.
        """
        if name not in FAULTS:
            raise Usage(f"fault {name!r}", "there is none of that name", f"use one of {', '.join(FAULTS)}")
        if not 0 < probability <= 1 or (count is not None and count < 1) or seconds < 0 or not 1 <= n <= 100 or after < 0:
            raise Usage(
                f"fault {name!r}", "an option is out of range", "give 0 < p <= 1, count >= 1, seconds >= 0, 1 <= n <= 100, after >= 0"
            )
        armed = ArmedFault(name, probability, count, on, text, seconds, n, after)
        self._armed.setdefault(name, []).append(armed)
        return armed

    def switch_on(self, texts: Iterable[str]) -> None:
        """Switch faults on from texts: `name`, `all`, or `name/p=0.1/count=2/on=executions:trade/seconds=3/n=4/text=...`.

        A bare name strikes again and again with the probability of `FAULTS`.

        Raises:
            Usage: a name or an option that does not exist, or a number that is none.
        """
        for text in texts:
            name, *options = text.strip().split("/")
            given = dict(option.partition("=")[::2] for option in options)
            if unknown := given.keys() - {"p", "count", "on", "text", "seconds", "n"}:
                raise Usage(f"fault {text!r}", f"no option {min(unknown)!r}", "use p, count, on, text, seconds, n")
            for one in FAULTS if name == "all" else (name,):
                usual = FAULTS[one].probability if one in FAULTS else 1.0
                try:
                    self.arm(
                        one,
                        probability=float(given.get("p", usual)),
                        count=int(given["count"]) if "count" in given else None,
                        on=given.get("on", ""),
                        text=given.get("text", DEFAULT_REJECTION),
                        seconds=float(given.get("seconds", 6.0)),
                        n=int(given.get("n", 3)),
                    )
                except ValueError as error:
                    raise Usage(f"fault {text!r}", str(error), "write p and seconds as numbers, count and n as whole numbers") from None

    def disarm(self, name: str = "") -> None:
        """Switch one fault off, or all of them."""
        if name:
            self._armed.pop(name, None)
        else:
            self._armed.clear()

    def take(self, name: str, label: str) -> ArmedFault | None:
        """Return the options of the fault if it strikes this message, and count it."""
        armed = self._armed.get(name)
        if not armed:
            return None
        for fault in armed:
            if fault.matches(label) and (fault.probability >= 1 or self._rng.random() < fault.probability):
                if fault.after:
                    fault.after -= 1
                    continue
                fault.struck += 1
                if fault.count is not None:
                    fault.count -= 1
                    if fault.count == 0:
                        armed.remove(fault)
                self.counts[name] += 1
                return fault
        return None

    @property
    def armed(self) -> bool:
        """Whether any fault is switched on."""
        return any(self._armed.values())
