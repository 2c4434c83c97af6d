"""What one input makes: events in order, what is to be sent, and what the process is to do and to know."""

from collections.abc import Iterable
from decimal import Decimal
from typing import Literal, NamedTuple

from events import facts as f
from events.commands import AnyCommand
from events.record import PositionEvent
from events.values import PositionSide
from fsm.notice import Notice
from venues import messages as m


class Outgoing(NamedTuple):
    """A command of an event, and the frame that carries it ("" for notices and questions)."""

    event: PositionEvent
    command: AnyCommand
    frame: str


# HALTED: no entries at all now, of this engine or of this venue. WAIT: time alone makes room, `again_ns` says how much. BUSY: an entry or
# an exit that is under way must end first. FULL: only fewer positions, another pair or a higher tier help. TOO_LATE: an entry that was
# taken could not leave in time.
RefusalCode = Literal["REFUSED", "HALTED", "LINK_IN_DOUBT", "TOO_LATE", "RATE_LIMIT_WAIT", "RATE_LIMIT_BUSY", "RATE_LIMIT_FULL"]


class Refusal(NamedTuple):
    """A wish that was not carried out, and why, in one sentence. `again_ns`: in how long it may be asked again, 0 if that is of no use."""

    position_id: str
    reason: str
    again_ns: int = 0
    code: RefusalCode = "REFUSED"


class Exposure(NamedTuple):
    """What an execution behind the end of position `of` has opened: the process gives it an id and asks for its adoption (A8)."""

    of: str
    side: PositionSide
    qty: Decimal
    px: Decimal | None
    reverses: bool = False


class Output(NamedTuple):
    """What one input made. `frames` belong to no command, and leave before everything else."""

    events: tuple[PositionEvent, ...] = ()
    outgoing: tuple[Outgoing, ...] = ()
    refusals: tuple[Refusal, ...] = ()
    refresh: bool = False
    new_token: bool = False
    reconnect: bool = False
    notices: tuple[Notice, ...] = ()
    exposures: tuple[Exposure, ...] = ()
    questions: tuple[m.Question, ...] = ()
    frames: tuple[str, ...] = ()


NOTHING = Output()


class Made:
    """What one input has made so far: whoever makes something of it adds to this."""

    __slots__ = ("events", "exposures", "new_token", "notices", "reconnect", "refresh", "refusals")

    def __init__(self) -> None:
        self.events: list[PositionEvent] = []
        self.refusals: list[Refusal] = []
        self.notices: list[Notice] = []
        self.exposures: list[Exposure] = []
        self.refresh = self.new_token = self.reconnect = False

    def take_adjusted(self, events: Iterable[PositionEvent], *, page: bool = False) -> None:
        """Take events; an adjustment of what a position holds is told: its profit is not certain any more (P30)."""
        for event in events:
            self.events.append(event)
            if isinstance(event.fact, f.PositionAdjusted) and event.fact.unheard is not True:
                text = f"{event.position_id} is set to {event.fact.open_qty}: {event.fact.reason}, {event.fact.evidence}"
                self.notices.append(Notice(page, "POSITION_ADJUSTED", text))

    @property
    def is_empty(self) -> bool:
        """Whether nothing was made."""
        return not (
            self.events or self.refusals or self.notices or self.exposures or self.refresh or self.new_token or self.reconnect
        )

    def output(self, outgoing: Iterable[Outgoing], questions: Iterable[m.Question], frames: tuple[str, ...]) -> Output:
        """Return it all, with what is to be sent because of it."""
        return Output(
            tuple(self.events),
            tuple(outgoing),
            tuple(self.refusals),
            self.refresh,
            self.new_token,
            self.reconnect,
            tuple(self.notices),
            tuple(self.exposures),
            tuple(questions),
            frames,
        )
