"""Contract 4: which commands may leave at once and which wait for the disk.

A command of an event is in one of three places, and never comes back from the last two:

    held      it increases risk (`is_risk_increasing`) and its event is not durable yet
    sent      given out once, to be sent now
    dropped   given out once with a reason; it was never sent and never will be, which the engine reports and, for an order
              command, answers with the fact `OrderNotSent`

Rules:

1. What does not increase risk is sent as its event is handed to the writer. It never waits, also when the store has failed.
2. What increases risk is held until the store has committed its event (the emergency spool does not count), then sent.
3. A later command that names the order of a held command (cancel, amend, query) takes it back, and both are dropped: the
   venue has never seen that order, and an entry must not follow its own cancel.
4. `withdraw` drops what a position holds. The engine calls it when the position ended or its order was declared dead.
5. When the store fails, everything held is dropped, and from then on what increases risk is dropped at once.
6. After `Fenced` everything is dropped: another engine looks after these positions.

One thread (the event loop) calls all methods; nothing here waits, and nothing here sends.
"""

from dataclasses import dataclass, field

from ..commands import AmendOrder, AnyCommand, CancelOrder, NoticeCommand, QueryOrder, SubmitOrder, is_risk_increasing
from ..errors import StoreProblem
from ..record import PositionEvent
from .base import Fenced


@dataclass(frozen=True, slots=True)
class Outgoing:
    """Command `index` of an event. `reason` says why it was dropped, "" if it is to be sent."""

    event: PositionEvent
    index: int
    command: AnyCommand
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Admission:
    """What became of an event's commands. `waits`: some are held, so `durable` must be called for this event."""

    send: tuple[Outgoing, ...] = ()
    dropped: tuple[Outgoing, ...] = ()
    waits: bool = False


@dataclass(slots=True)
class OutboxGate:
    """Holds what increases risk until its event is durable. Its order is the order of the events and their commands."""

    _held: dict[tuple[str, int], list[Outgoing]] = field(default_factory=dict)
    _problem: StoreProblem | None = None

    @property
    def held_count(self) -> int:
        """Number of commands that wait for the disk."""
        return sum(len(group) for group in self._held.values())

    def admit(self, event: PositionEvent) -> Admission:
        """Sort the commands of an event that the core has just decided on. Call it once for each event."""
        send: list[Outgoing] = []
        dropped: list[Outgoing] = []
        wait: list[Outgoing] = []
        for index, command in enumerate(event.commands):
            outgoing = Outgoing(event, index, command)
            if isinstance(command, NoticeCommand):
                send.append(outgoing)
            elif isinstance(self._problem, Fenced):
                dropped.append(_dropped(outgoing, str(self._problem)))
            elif is_risk_increasing(command):
                if self._problem is None:
                    wait.append(outgoing)
                else:
                    dropped.append(_dropped(outgoing, str(self._problem)))
            elif isinstance(command, CancelOrder | AmendOrder | QueryOrder) and (held := self._take(command.client_order_id)):
                dropped += (_dropped(held, "taken back before it was sent"), _dropped(outgoing, "its order was never sent"))
            else:
                send.append(outgoing)
        if wait:
            self._held[event.position_id, event.version] = wait
        return Admission(tuple(send), tuple(dropped), bool(wait))

    def durable(self, event: PositionEvent) -> tuple[Outgoing, ...]:
        """Give out what was held for an event that the store has committed."""
        return tuple(self._held.pop((event.position_id, event.version), ()))

    def withdraw(self, position_id: str, reason: str) -> tuple[Outgoing, ...]:
        """Drop everything that is held for a position."""
        keys = [key for key in self._held if key[0] == position_id]
        return tuple(_dropped(outgoing, reason) for key in keys for outgoing in self._held.pop(key))

    def store_failed(self, problem: StoreProblem) -> tuple[Outgoing, ...]:
        """Drop everything that is held, and from now on what increases risk; after `Fenced` everything."""
        self._problem = problem
        held = tuple(_dropped(outgoing, str(problem)) for group in self._held.values() for outgoing in group)
        self._held.clear()
        return held

    def _take(self, client_order_id: str) -> Outgoing | None:
        """Remove and return the held submission of an order, None if there is none."""
        for key, group in self._held.items():
            for outgoing in group:
                if isinstance(outgoing.command, SubmitOrder) and outgoing.command.client_order_id == client_order_id:
                    group.remove(outgoing)
                    if not group:
                        del self._held[key]
                    return outgoing
        return None


def _dropped(outgoing: Outgoing, reason: str) -> Outgoing:
    return Outgoing(outgoing.event, outgoing.index, outgoing.command, reason)
