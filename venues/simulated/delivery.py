"""The way out: frames to connections in order, and what may happen to a frame on it.

Pure. `deliver` is for frames that faults may strike, `send` for those they spare (greetings, heartbeats, snapshots, pongs);
a stalled connection holds back both. What leaves is collected as `Send` and `Close` for `flush`.
"""

import heapq
from collections.abc import Callable
from dataclasses import dataclass

from .channels import Connection
from .faults import Faults

SECOND_NS = 1_000_000_000
NON_JSON = "CloudFlare WebSocket proxy restarting"
# What a frame held back by a reordering waits for the next one, before it leaves alone.
SWAP_NS = SECOND_NS


@dataclass(frozen=True, slots=True)
class Send:
    """A text frame for a connection."""

    connection: int
    text: str


@dataclass(frozen=True, slots=True)
class Close:
    """End a connection: with a close frame of that code, or by cutting it."""

    connection: int
    code: int
    reason: str
    cut: bool = False


Effect = Send | Close


class Delivery:
    """Frames on their way out of one venue, and the timers of those that are late."""

    def __init__(self, faults: Faults) -> None:
        self._faults = faults
        self._out: list[Effect] = []
        self._later: list[tuple[int, int, Callable[[int], None]]] = []
        self._count = 0

    def send(self, connection: Connection, text: str, now_ns: int) -> None:
        """Send a frame; a stalled connection gets it later, one that is closing never."""
        if connection.closing:
            return
        if connection.stalled_until_ns > now_ns:
            connection.stalled.append(text)
            return
        connection.last_out_ns = max(connection.last_out_ns, now_ns)
        self._out.append(Send(connection.number, text))

    def deliver(self, connection: Connection, text: str, label: str, now_ns: int) -> None:
        """Send a frame along a way on which the faults may do something to it. `label` names it for them."""
        if connection.closing:
            return
        channel = label.partition(":")[0]
        if not self._faults.armed:
            self._send_in_order(connection, text, channel, now_ns)
            return
        take = self._faults.take
        if take("close_mid_stream", label):
            self.close(connection, 1006, "cut", cut=True)
            return
        if stall := take("stall", label):
            self._stall(connection, now_ns + int(stall.seconds * SECOND_NS))
        if take("drop_frame", label):
            return
        if take("non_json", label):
            self.send(connection, NON_JSON, now_ns)
        if delay := take("delay_frame", label):
            connection.late[channel] = max(connection.late.get(channel, 0), now_ns + int(delay.seconds * SECOND_NS))
        for _ in range(2 if take("duplicate_frame", label) else 1):
            if connection.swapped is None and take("reorder_frames", label):
                connection.swapped = text
                self.at(now_ns + SWAP_NS, lambda at_ns: self._unswap(connection, at_ns))
            else:
                self._send_in_order(connection, text, channel, now_ns)

    def close(self, connection: Connection, code: int, reason: str, *, cut: bool = False) -> None:
        """End a connection; nothing is sent to it any more."""
        if not connection.closing:
            connection.closing = True
            self._out.append(Close(connection.number, code, reason, cut))

    def at(self, due_ns: int, action: Callable[[int], None]) -> None:
        """Let `run_next` call `action` at `due_ns`; what is due at one time runs in the order in which it was given."""
        self._count += 1
        heapq.heappush(self._later, (due_ns, self._count, action))

    def next_due_ns(self) -> int | None:
        """Return when the next action is due, None if none waits."""
        return self._later[0][0] if self._later else None

    def run_next(self) -> None:
        """Run the next action, as of when it was due."""
        due_ns, _, action = heapq.heappop(self._later)
        action(due_ns)

    def flush(self) -> list[Effect]:
        """Return what is to leave, in order, and forget it."""
        effects, self._out = self._out, []
        return effects

    def _send_in_order(self, connection: Connection, text: str, channel: str, now_ns: int) -> None:
        """Send now, or behind the late frames of its channel, and then the frame that changed places with this one."""
        due_ns = connection.late.get(channel, 0)
        if due_ns > now_ns:
            self.at(due_ns, lambda at_ns: self.send(connection, text, at_ns))
        else:
            self.send(connection, text, now_ns)
            self._unswap(connection, now_ns)

    def _unswap(self, connection: Connection, now_ns: int) -> None:
        text, connection.swapped = connection.swapped, None
        if text is not None:
            self.send(connection, text, now_ns)

    def _stall(self, connection: Connection, until_ns: int) -> None:
        connection.stalled_until_ns = until_ns
        self.at(until_ns, lambda at_ns: self._resume(connection, at_ns))

    def _resume(self, connection: Connection, now_ns: int) -> None:
        if connection.stalled_until_ns <= now_ns:
            texts, connection.stalled = connection.stalled, []
            for text in texts:
                self.send(connection, text, now_ns)
