"""The faults of a network, by name: what is done to the way, for how long, and within what time the engine must have noticed.

A fault of the *connection* is over with the next one; a fault of the *path* lasts `seconds`. `notice_ms` None: nothing is to be
noticed, the link stays live throughout. `uncovered_ms` bounds how long the account may hold something without a stop, by the
venue's own books: an entry fills just after the fault began, so that what cannot be told cannot be covered either.
"""

from collections.abc import Callable
from dataclasses import dataclass

from tests.campaign.proxy import Proxy

# The goal for a peer that vanished (reliability.md).
NOTICE_MS = 4_000
# From the end of the fault to a stop at the venue: pause, token, handshake, snapshot, order.
RECOVER_MS = 2_500
# The handshake's time limit, which a path that opens just after it began costs in full.
OPEN_MS = 5_000
# The pause that the venue asks for after 429, 503 and in maintenance.
PATIENT_MS = 5_000
# From the beginning of the fault to the fill of the entry.
FILL_AFTER_MS = 1_000


@dataclass(frozen=True)
class Fault:
    """One fault. `skew_s` is what the engine's clock is ahead of the venue's."""

    name: str
    about: str
    strike: Callable[[Proxy], None]
    heal: Callable[[Proxy], None] = lambda proxy: None
    seconds: float = 0.0
    notice_ms: int | None = NOTICE_MS
    uncovered_ms: int = NOTICE_MS + RECOVER_MS
    skew_s: float = 0.0


def _path(seconds: float, after_ms: int = 0) -> dict[str, float | int]:
    return {"seconds": seconds, "uncovered_ms": int(1_000 * seconds) - FILL_AFTER_MS + after_ms + RECOVER_MS}


def _set(name: str, value: object) -> Callable[[Proxy], None]:
    return lambda proxy: setattr(proxy, name, value)


def _cut_and(then: Callable[[Proxy], None]) -> Callable[[Proxy], None]:
    def strike(proxy: Proxy) -> None:
        then(proxy)
        proxy.reset()

    return strike


def _nothing(proxy: Proxy) -> None:
    pass


FAULTS = {
    fault.name: fault
    for fault in (
        Fault("none", "nothing, for comparison", _nothing, notice_ms=None, uncovered_ms=1_000),
        Fault("short_stall", "nothing moves for 1.5 s, then everything comes", Proxy.stall, Proxy.flow, notice_ms=None, **_path(1.5)),
        Fault("stall", "nothing moves for 6 s, new connections neither", Proxy.stall, Proxy.flow, **_path(6.0, OPEN_MS)),
        Fault("half_open", "the peers vanish without a FIN", Proxy.vanish),
        Fault(
            "blackhole_down",
            "what the venue says is lost for 6 s",
            _set("blackholes", {"down"}),
            _set("blackholes", set()),
            **_path(6.0, OPEN_MS),
        ),
        Fault(
            "blackhole_up",
            "what the engine says is lost for 6 s",
            _set("blackholes", {"up"}),
            _set("blackholes", set()),
            **_path(6.0, OPEN_MS),
        ),
        Fault(
            "late_requests",
            "the peers vanish, and requests of the dead connection arrive 7 s later",
            Proxy.hold_up,
            Proxy.deliver_late,
            **_path(7.0),
        ),
        Fault("reset", "every connection is reset", Proxy.reset, uncovered_ms=RECOVER_MS),
        Fault("reset_mid_frame", "every connection is reset within a frame", Proxy.reset_within, uncovered_ms=RECOVER_MS),
        Fault("garbage", "bytes that are no frame come over every socket", Proxy.garble, uncovered_ms=RECOVER_MS),
        Fault(
            "byte_by_byte",
            "everything comes a byte at a time",
            _set("is_single", True),
            _set("is_single", False),
            seconds=6.0,
            notice_ms=None,
            uncovered_ms=RECOVER_MS,
        ),
        Fault(
            "slow_reader",
            "the venue's end takes 400 bytes a second",
            _set("bytes_per_s", {"up": 400}),
            _set("bytes_per_s", {}),
            notice_ms=None,
            **_path(6.0),
        ),
        Fault(
            "accept_and_drop",
            "cut, and new connections are dropped at once for 3 s",
            _cut_and(_set("drops_new", True)),
            _set("drops_new", False),
            **_path(3.0),
        ),
        Fault("too_many_requests", "cut, and HTTP 429 for 3 s", _cut_and(_set("status", 429)), _set("status", 0), **_path(3.0, PATIENT_MS)),
        Fault("unavailable", "cut, and HTTP 503 for 3 s", _cut_and(_set("status", 503)), _set("status", 0), **_path(3.0, PATIENT_MS)),
        Fault("clock_ahead", "the engine's clock is 20 s ahead", _nothing, notice_ms=None, uncovered_ms=1_000, skew_s=20.0),
        Fault("clock_behind", "the engine's clock is 20 s behind", _nothing, notice_ms=None, uncovered_ms=1_000, skew_s=-20.0),
        Fault(
            "duplicate_connection",
            "another client of the account is there, subscribed, and does not read",
            _nothing,
            notice_ms=None,
            uncovered_ms=1_000,
        ),
    )
}
