"""The live engine: takes inputs in order, runs the pipeline, hands events to the writer, and sends what may leave.

One thread decides (the event loop), one writes (`events.store.Writer`), one task sends. Contract 4 in short: an entry waits
until the event that explains it is durable; protection and exits are sent as their event is handed to the writer.

    session inputs, timers, wishes  --record-->  session file
                                    --feed---->  pipeline  --events-->  session file, writer, listeners
                                                           --frames-->  gate  -->  sender  -->  venue
"""

import asyncio
import contextlib
from collections import Counter, deque
from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence
from typing import Literal, Protocol

import structlog

from events import commands as c
from events.errors import StoreProblem
from events.record import PositionEvent, bytes_from
from events.store import OutboxGate, Writer
from events.store import Outgoing as Gated
from fsm.order import OPEN_STATUSES
from fsm.position import RECONCILING
from fsm.ranges import KeptBars
from replay.admission import EntryWait
from replay.intents import AdoptExposure, Answer, BarsRecalled, EntriesHalted, Intent, Link, OpenPosition, Restarted, Sent, payload_from
from replay.output import Exposure, Outgoing, Output, Refusal
from replay.pipeline import Pipeline
from replay.reserve import patience_ns
from replay.session import SessionWriter
from venues.alarm import Alarm
from venues.clock import Clock
from venues.messages import FrameReceived, LinkChanged, Question, SessionInput

log = structlog.get_logger("holdfast.engine")

# Real seconds of the record that a kill -9 may take, and that a loss of power may: the events of that time are in the store.
RECORD_FLUSH_S = 0.05
RECORD_SYNC_S = 1.0
DAMAGED = "the records of {count} positions are damaged"


class VenueSession(Protocol):
    """What the engine needs of a venue's session (`venues.kraken.session`)."""

    async def run(self) -> None: ...
    def inputs(self) -> AsyncIterator[SessionInput]: ...
    async def send(self, frame_text: str) -> bool: ...
    @property
    def is_private_clear(self) -> bool: ...
    def refresh_truth(self) -> None: ...
    def ask(self, question: Question) -> None: ...
    def refresh_token(self) -> None: ...
    def reconnect(self, reason: str) -> None: ...
    async def close(self) -> None: ...


# An order, or a frame that belongs to none.
_Item = Outgoing | str


class Engine:
    """Runs one pipeline against one venue session, one store and one session file.

    `listeners` get each event after it was handed to the writer; `on_refusal` and `on_page` are told what a person should
    know. `recalled` are bars of an earlier life, taken first of all; `keep_bars` is given those of this one, in a thread, as they change.
    `damaged` says of which positions the record cannot be read: no entry leaves in this life. `counters` counts what was sent, held,
    dropped and refused. `link_problem` is why the private link last ended.
    """

    def __init__(
        self,
        pipeline: Pipeline,
        session: VenueSession,
        writer: Writer,
        record: SessionWriter,
        clock: Clock,
        *,
        epoch: int,
        next_position_id: Callable[[], str],
        audit_interval_s: float = 60.0,
        recalled: Iterable[BarsRecalled] = (),
        damaged: Iterable[str] = (),
        keep_bars: Callable[[Mapping[str, KeptBars]], None] | None = None,
        on_page: Callable[[str, str], None] | None = None,
        on_refusal: Callable[[Refusal], None] | None = None,
    ) -> None:
        self.pipeline = pipeline
        self.gate = OutboxGate()
        self.listeners: list[Callable[[PositionEvent], None]] = []
        self.counters: Counter[str] = Counter()
        self.link_problem = ""
        self._session, self._writer, self._record, self._clock = session, writer, record, clock
        self._epoch, self._next_position_id = epoch, next_position_id
        self._audit_interval_s = audit_interval_s
        self._recalled, self._damaged, self._keep_bars = tuple(recalled), tuple(damaged), keep_bars
        self._kept: Mapping[str, KeptBars] = {}
        self._on_page, self._on_refusal = on_page, on_refusal
        # Exits and protection never stand behind an entry (I14).
        self._urgent: deque[_Item] = deque()
        self._entries: deque[Outgoing] = deque()
        self._frames: dict[tuple[str, int, int], Outgoing] = {}
        self._later: deque[Sent] = deque()
        self._exposures: deque[Exposure] = deque()
        # By which obstacle a wish that is asked for again and again was last refused.
        self._told: dict[str, str] = {}
        self._to_send = asyncio.Event()
        self._clock_changed = Alarm()
        self._synced = asyncio.Event()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._last_ns = 0
        self._broken_count = 0

    # --- life ---------------------------------------------------------------------------------------------------------

    async def run(self, stop: asyncio.Event) -> None:
        """Run until `stop` is set. Positions stay as they are: their protection rests at the venue.

        Raises what the session raises for good (VenueProblem), after everything recorded was written.
        """
        self._loop = asyncio.get_running_loop()
        self._intent(Restarted(epoch=self._epoch))
        for bars in self._recalled:
            self._intent(bars)
        if self._damaged:
            # What is held in all cannot be known: what there is goes on being protected, and nothing new is bought (X14, I16).
            self._intent(EntriesHalted(reason=DAMAGED.format(count=len(self._damaged))))
        for sentence in self._damaged:
            what = "look there, for its stop may be missing, and act by hand; restore the store from a copy (`holdfast verify` checks it)"
            self.page("LOG_DAMAGED", f"{sentence}; {what}")
        tasks = [
            asyncio.create_task(coroutine, name=name)
            for name, coroutine in (
                ("session", self._session.run()),
                ("intake", self._intake()),
                ("timers", self._timers()),
                ("sender", self._sender()),
                ("audit", self._audit()),
                ("record", self._flush_record()),
                ("sync", self._sync_record()),
                ("stop", self._wait(stop)),
            )
        ]
        try:
            done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                task.result()
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            with contextlib.suppress(Exception):
                await self._session.close()

    @staticmethod
    async def _wait(stop: asyncio.Event) -> None:
        await stop.wait()

    @property
    def is_synced(self) -> bool:
        """True once the venue's first snapshot was compared."""
        return self._synced.is_set()

    async def synced(self) -> None:
        """Wait until the first snapshot was compared and no position waits for truth: only then may entries leave."""
        await self._synced.wait()

    def store_failed(self, problem: StoreProblem) -> None:
        """Called in the loop when the writer has given up the store: entries stop, protection and exits go on."""
        self._drop(self.gate.store_failed(problem))
        self._intent(EntriesHalted(reason=str(problem)))

    def page(self, code: str, text: str) -> None:
        """Tell a person."""
        self.counters["pages"] += 1
        log.critical("page", code=code, text=text)
        if self._on_page is not None:
            self._on_page(code, text)

    def open(self, intent: OpenPosition) -> Output:
        """Ask for a position; the refusal, if any, is in the output."""
        return self._intent(intent)

    async def open_in_time(self, intent: OpenPosition) -> Output:
        """Ask for a position, again and again while it is only too early for it; the last word is in the output.

        A person hears of the same obstacle once.
        """
        self._told[intent.position_id] = ""
        try:
            while True:
                output = self._intent(intent)
                again_ns = max((refusal.again_ns for refusal in output.refusals), default=0)
                if not again_ns:
                    return output
                await self._clock.sleep(again_ns / 1e9)
        finally:
            del self._told[intent.position_id]

    def ask(self, intent: Intent) -> Output:
        """Ask for anything else: an exit, a tightening, a halt."""
        return self._intent(intent)

    # --- inputs -------------------------------------------------------------------------------------------------------

    async def _intake(self) -> None:
        async for item in self._session.inputs():
            if isinstance(item, FrameReceived):
                self._feed("frame", item.ts_recv_ns, item.channel, item.text)
            elif not isinstance(item, LinkChanged):
                answer = Answer(number=item.number, asked_ns=item.asked_ns, text=item.text, problem=item.problem)
                self._feed("answer", item.ts_recv_ns, "rest", payload_from(answer))
            else:
                log.info("link", channel=item.channel, state=item.state, reason=item.reason, code=item.code)
                link = Link(state=item.state, code=item.code, reason=item.reason)
                self._feed("link", item.ts_recv_ns, item.channel, payload_from(link))
                if item.channel == "private" and item.state == "closed":
                    self.link_problem = item.reason
                    self._withdraw_held()
            if self._urgent:
                await self._send_urgent()
            self._look_synced()

    def _look_synced(self) -> None:
        if self._synced.is_set() or not self.pipeline.instruments or self.pipeline.link.entries_halted:
            return
        if not any(p.state == RECONCILING for p in self.pipeline.desk.positions.values()):
            self._synced.set()

    def _withdraw_held(self) -> None:
        # An entry that still waits for the disk must not leave over the next link: by then it counts as never sent.
        for key in sorted(self.pipeline.desk.positions):
            self._drop(self.gate.withdraw(key, "the link was closed before it left"))
        while self._later:
            word = self._later.popleft()
            self._feed("sent", self._clock.now_ns(), "", payload_from(word))

    async def _timers(self) -> None:
        while True:
            self._clock_changed.clear()
            at_ns = self.pipeline.next_deadline_ns()
            now_ns = self._clock.now_ns()
            if at_ns is not None and at_ns <= now_ns:
                self._feed("timer", now_ns, "", b"{}")
                await asyncio.sleep(0)
                continue
            pause = None if at_ns is None else (at_ns - now_ns) / 1e9 / self._clock.speed
            await self._clock_changed.wait(pause)

    async def _audit(self) -> None:
        # A frame can be lost on a healthy stream (P17): the whole truth is asked for now and then.
        while True:
            await self._clock.sleep(self._audit_interval_s)
            self._session.refresh_truth()
            kept = self.pipeline.kept_bars()
            if self._keep_bars is not None and kept != self._kept:
                self._kept = kept
                await asyncio.to_thread(self._keep_bars, kept)

    async def _flush_record(self) -> None:
        # What is flushed survives a kill -9. On a tick path of thousands a second one write per tick would cost more than all else.
        while True:
            await asyncio.sleep(RECORD_FLUSH_S)
            self._record.flush()

    async def _sync_record(self) -> None:
        while True:
            await asyncio.sleep(RECORD_SYNC_S)
            await asyncio.to_thread(self._record.sync)

    def _intent(self, intent: Intent) -> Output:
        return self._feed("intent", self._clock.now_ns(), "", payload_from(intent))

    def _feed(self, kind: str, ts_recv_ns: int, source: str, payload: str | bytes) -> Output:
        """Take one input; what it makes us feed in turn is taken after it, so that events reach the writer in their order."""
        output = self._feed_one(kind, ts_recv_ns, source, payload)
        while self._later or self._exposures:
            if self._later:
                self._feed_one("sent", self._clock.now_ns(), "", payload_from(self._later.popleft()))
            else:
                self._adopt(self._exposures.popleft())
        self._clock_changed.ring()
        return output

    def _feed_one(self, kind: str, ts_recv_ns: int, source: str, payload: str | bytes) -> Output:
        # The record's order is the order of time that the core saw: a frame stamped before a timer that was taken first
        # keeps its place, not its stamp.
        ts_recv_ns = self._last_ns = max(self._last_ns, ts_recv_ns)
        # The core gets what was recorded, with secrets taken out: else replay would feed it something else.
        payload = self._record.append(kind, ts_recv_ns, 0, source, payload)
        output = self.pipeline.feed(kind, ts_recv_ns, source, payload)
        for event in output.events:
            self._record.append("event", ts_recv_ns, 0, "", bytes_from(event))
        for frame in output.frames:
            self._urgent.append(frame)
            self._to_send.set()
        if output.events:
            self._admit(output)
            self._look_for_broken()
        for refusal in output.refusals:
            self._refused(refusal)
        for notice in output.notices:
            if notice.page:
                self.page(notice.code, notice.text)
            else:
                self.counters["alerts"] += 1
                log.warning("alert", code=notice.code, text=notice.text)
        self._exposures += output.exposures
        if output.reconnect:
            self._session.reconnect("the link's machine gave it up")
        if output.new_token:
            self._session.refresh_token()
        if output.refresh:
            self._session.refresh_truth()
        for question in output.questions:
            self._session.ask(question)
        return output

    def _refused(self, refusal: Refusal) -> None:
        if self._told.get(refusal.position_id) == refusal.code:
            return
        if refusal.position_id in self._told:
            self._told[refusal.position_id] = refusal.code
        self.counters["refusals"] += 1
        log.warning("refused", position=refusal.position_id, reason=refusal.reason)
        if self._on_refusal is not None:
            self._on_refusal(refusal)

    def _adopt(self, exposure: Exposure) -> None:
        """Give exposure that has no position an id, and let the pipeline protect it (A8)."""
        intent = AdoptExposure(position_id=self._next_position_id(), epoch=self._epoch, **exposure._asdict())
        self._feed_one("intent", self._clock.now_ns(), "", payload_from(intent))

    def _look_for_broken(self) -> None:
        broken = self.pipeline.desk.broken
        while self._broken_count < len(broken):
            violation = broken[self._broken_count]
            self._broken_count += 1
            self.counters["invariant_violations"] += 1
            self.page("INVARIANT_BROKEN", f"{violation.invariant}: {violation.text}; a fault of the program, report it with the session")

    # --- events to the writer, commands to the gate ---------------------------------------------------------------------

    def _admit(self, output: Output) -> None:
        frames = iter(output.outgoing)
        admissions = []
        for event in output.events:
            for index, _ in enumerate(event.commands):
                self._frames[event.position_id, event.version, index] = next(frames)
            admissions.append((event, self.gate.admit(event)))
        waiting = tuple(event for event, admission in admissions if admission.waits)
        # What one input decided for several positions belongs together: of an execution that two have a part in the log has both parts.
        self._writer.submit(output.events, self._durable_callback(waiting) if waiting else None)
        for event, admission in admissions:
            self._release(admission.send)
            self._drop(admission.dropped)
            self.counters["events"] += 1
            for listener in self.listeners:
                listener(event)

    def _durable_callback(self, events: Sequence[PositionEvent]) -> Callable[[], None]:
        def durable() -> None:
            assert self._loop is not None
            self._loop.call_soon_threadsafe(self._durable, events)

        return durable

    def _durable(self, events: Sequence[PositionEvent]) -> None:
        for event in events:
            self._release(self.gate.durable(event))

    def _release(self, gated: Iterable[Gated]) -> None:
        for item in gated:
            outgoing = self._frames.pop((item.event.position_id, item.event.version, item.index))
            command = item.command
            if isinstance(command, c.Page):
                self.page(command.code, command.text)
            elif isinstance(command, c.RaiseAlert):
                self.counters["alerts"] += 1
                log.warning("alert", code=command.code, text=command.text)
            elif outgoing.frame:
                if c.is_risk_increasing(command):
                    self._entries.append(outgoing)
                else:
                    self._urgent.append(outgoing)
                self._to_send.set()

    def _drop(self, gated: Iterable[Gated]) -> None:
        for item in gated:
            self._frames.pop((item.event.position_id, item.event.version, item.index), None)
            self.counters["dropped"] += 1
            log.warning("dropped", command=type(item.command).__name__, position=item.event.position_id, reason=item.reason)
            self._not_sent(item.command)

    # --- sending --------------------------------------------------------------------------------------------------------

    async def _sender(self) -> None:
        while True:
            await self._to_send.wait()
            self._to_send.clear()
            while self._urgent or self._entries:
                if self._urgent:
                    await self._send(self._urgent.popleft())
                elif look_ns := await self._send_entry():
                    assert self._loop is not None
                    self._loop.call_later(self._clock.real_seconds(look_ns / 1e9), self._to_send.set)
                    break

    async def _send_entry(self) -> int:
        """Send the first entry that may leave, or give it up; if all must wait, return in how long to look again, in ns.

        Entries of a pair leave in their order. One that waits for its pair's rate limit holds no other pair up.
        """
        waits: dict[str, int] = {}
        for index, entry in enumerate(self._entries):
            symbol = self._symbol_of(entry)
            if symbol in waits:
                continue
            wait_ns, why = self._entry_wait(entry)
            if wait_ns and self._is_in_time(entry, wait_ns):
                waits[symbol] = wait_ns
                continue
            del self._entries[index]
            if wait_ns:
                self._give_up(entry, why)
            else:
                await self._send(entry)
            return 0
        return min(waits.values())

    @staticmethod
    def _symbol_of(entry: Outgoing) -> str:
        return entry.command.symbol if isinstance(entry.command, c.SubmitOrder) else ""

    async def _send_urgent(self) -> None:
        """Send protection and exits before the next input is taken, and before the loop turns and the writer gets its turn.

        Only while the socket takes them at once: the intake does not wait for a slow one, the sender does.
        """
        while self._urgent and self._session.is_private_clear:
            await self._send(self._urgent.popleft())

    def _entry_wait(self, entry: Outgoing) -> EntryWait:
        """Return how long an entry must wait before the sender looks at it again, and for what; 0 if it may leave, or is void."""
        command = entry.command
        if not isinstance(command, c.SubmitOrder) or self._is_void(entry):
            return EntryWait(0, "")
        wait = self.pipeline.entry_wait(command, self._clock.now_ns())
        self.counters["entries_waited"] += bool(wait.wait_ns)
        return wait

    def _is_in_time(self, entry: Outgoing, wait_ns: int) -> bool:
        position = self.pipeline.desk.get(entry.event.position_id)
        assert position is not None
        return self._clock.now_ns() + wait_ns <= entry.event.fact.ts_recv_ns + patience_ns(position.plan)

    def _give_up(self, entry: Outgoing, why: str) -> None:
        """Refuse an entry that could not leave in time: that it never left is certain, and its position ends at once."""
        self.counters["dropped"] += 1
        position_id = entry.event.position_id
        self._refused(Refusal(position_id, f"position {position_id}: its entry could not leave in time: {why}; ask again", code="TOO_LATE"))
        self._not_sent(entry.command)
        word = self._later.popleft()
        self._feed("sent", self._clock.now_ns(), "", payload_from(word))

    async def _send(self, outgoing: _Item) -> None:
        if isinstance(outgoing, str):
            await self._session.send(outgoing)
            return
        command = outgoing.command
        if self._is_void(outgoing):
            self.counters["void"] += 1
            return
        sent = await self._session.send(outgoing.frame)
        operation = _operation_of(command)
        if operation is None:
            return
        assert isinstance(command, c.SubmitOrder | c.AmendOrder | c.CancelOrder)
        self.counters[f"sent_{operation}" if sent else "not_sent"] += 1
        word = Sent(client_order_id=command.client_order_id, operation=operation, ok=sent)
        self._feed("sent", self._clock.now_ns(), "", payload_from(word))

    def _is_void(self, outgoing: Outgoing) -> bool:
        """Whether the order was declared dead, or its position ended, before the command left: then it must not leave."""
        command = outgoing.command
        if not isinstance(command, c.SubmitOrder):
            return False
        position = self.pipeline.desk.get(outgoing.event.position_id)
        order = None if position is None else position.order(command.client_order_id)
        return order is None or order.status not in OPEN_STATUSES

    def _not_sent(self, command: c.AnyCommand) -> None:
        operation = _operation_of(command)
        if operation is None:
            return
        assert isinstance(command, c.SubmitOrder | c.AmendOrder | c.CancelOrder)
        self._later.append(Sent(client_order_id=command.client_order_id, operation=operation, ok=False))


def _operation_of(command: c.AnyCommand) -> Literal["submit", "amend", "cancel"] | None:
    if isinstance(command, c.SubmitOrder):
        return "submit"
    if isinstance(command, c.AmendOrder):
        return "amend"
    return "cancel" if isinstance(command, c.CancelOrder) else None
