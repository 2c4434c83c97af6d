"""The live engine's pipeline against the simulated venue, texts on both sides, in virtual time: a trading floor for a scenario or a test.

What the engine adds to this is a clock, a disk, sockets and threads; here the clock is the caller's, every event is durable at once, and
frames arrive when they are sent. Every input is kept, so that `replayed` can run them again.
"""

from collections import deque
from collections.abc import Callable, Sequence
from decimal import Decimal
from functools import partial
from http import HTTPStatus
from operator import itemgetter
from typing import TypeVar
from urllib.parse import urlencode

from events import commands as c
from events import facts as f
from events.record import PositionEvent, bytes_from
from events.values import PositionSide
from fsm.bars import ATR_INTERVAL_NS
from fsm.coverage import unprotected_lots
from fsm.model import Position
from replay.intents import AdoptExposure, Answer, BarsRecalled, ExitPosition, Link, OpenPosition, Restarted, Sent, payload_from
from replay.output import NOTHING, Output
from replay.pipeline import TODAY, Pipeline, Settings
from venues.kraken import encode
from venues.kraken.rest import CallCounter, api_sign
from venues.kraken.translate import SESSION_REQ_ID_BASE
from venues.messages import Question
from venues.simulated.delivery import Effect, Send
from venues.simulated.exchange import Exchange
from venues.simulated.faults import Faults
from venues.simulated.gateway import Gateway, owner_order
from venues.simulated.pairs import pair_of
from venues.simulated.rest import RestDesk
from venues.simulated.settings import System, VenueSettings

D = Decimal
T = TypeVar("T")
SYMBOL = "BTC/USD"
MS, SECOND = 1_000_000, 1_000_000_000
STEP_NS = 100 * MS
START_NS = 1_700_000_000 * SECOND
TOKEN = "floor"
BALANCES = {"USD": D(1_000_000), "BTC": D(0)}
# The engine asks for the whole truth now and then; here as often as a test needs it.
AUDIT_NS = 10 * SECOND
REST_NS = 200 * MS
# The session's pause between two questions for the whole truth (`LinkSettings.refresh_interval_s`).
REFRESH_NS = 100 * MS


class Floor:
    """One pipeline, one venue. `events` is the log, `alerts` and `pages` their codes, `refusals` the sentences of refused wishes.

    `lag_ns` is how far our clock is behind the venue's (above zero: behind). `bare_ns` is the longest unprotected time so far.
    `listener` hears every request, `holds_back` tells which requests get lost on their way, `altered` what becomes of the venue's frames,
    `altered_answer` what becomes of its answers by REST, of which it hears the path.
    `watcher` sees every input that made something, and what it made, before anything of it is sent; it may end the process by `die`;
    `looker` is called whenever something may have changed, and at each step while it says that a clock of its own runs;
    `recalled` tells what the next life finds of the log.
    """

    def __init__(
        self,
        *,
        px: object = 60_000,
        symbol: str = SYMBOL,
        faults: tuple[str, ...] = (),
        lag_ns: int = 0,
        venue: VenueSettings | None = None,
        settings: Settings | None = None,
        fault_book: Faults | None = None,
        start: bool = True,
    ) -> None:
        self.symbol = symbol
        self.now_ns, self.lag_ns = START_NS, lag_ns
        self.settings = settings or Settings(
            namespace="hf", symbols=(symbol,), asks_rest=True, asks_ledgers=True, asks_missing=True, **TODAY
        )
        self.faults = fault_book or Faults(1)
        self.faults.switch_on(faults)
        self.gateway = Gateway([pair_of(symbol)], venue or VenueSettings(balances=dict(BALANCES)), 1, self.faults)
        self._rest = RestDesk(self.gateway.exchange, self.gateway.settings, self.faults, lambda _: TOKEN, {})
        self.pipeline = Pipeline(self.settings, "flat")
        self.px = D(str(px))
        self.epoch = 1
        self.events: list[PositionEvent] = []
        self.inputs: list[tuple[str, int, str, str | bytes]] = []
        self.alerts: list[str] = []
        self.pages: list[str] = []
        self.refusals: list[str] = []
        self.bare_ns = 0
        self._bare_since: dict[str, int] = {}
        self._watched: tuple[Pipeline, int] | None = None
        self._next_audit_ns = self.now_ns + AUDIT_NS
        self._req_id = SESSION_REQ_ID_BASE
        self._connections: dict[int, str] = {}
        self._private = 0
        self._count = 0
        self._is_asked = self._is_wanted = False
        self._asked_ns = 0
        self._later_on: list[tuple[int, Callable[[], object]]] = []
        self._nonce = 0
        self._calls = CallCounter()
        self._todo: deque[Callable[[], object]] = deque()
        self._is_busy = self._is_watched = False
        self.altered: Callable[[str], str] = lambda text: text
        self.altered_answer: Callable[[str, str], str] = lambda path, text: text
        self.listener: Callable[[str], None] = lambda text: None
        self.holds_back: Callable[[str], bool] = lambda text: False
        self.watcher: Callable[[str, Output], None] = lambda kind, output: None
        self.looker: Callable[[], bool] = lambda: False
        self.recalled: Callable[[list[PositionEvent]], list[PositionEvent]] = lambda events: events
        self.is_dead, self.is_back_at_once = False, True
        self.lived_from = 0
        self.lived_with: list[PositionEvent] = []
        if start:
            self.start()

    def start(self) -> None:
        """Begin the first life of the process, and the market."""
        self.intent(Restarted(epoch=self.epoch))
        self.connect()
        self.tick(self.px)

    # --- the process --------------------------------------------------------------------------------------------------

    def feed(self, kind: str, source: str, payload: str | bytes) -> Output:
        if self.is_dead:
            return Output()
        now_ns = self.now_ns - self.lag_ns
        self.inputs.append((kind, now_ns, source, payload))
        output = self.pipeline.feed(kind, now_ns, source, payload)
        assert not self.pipeline.desk.broken
        if output is NOTHING:
            if self._is_watched:
                self._watch()
            return output
        self.watcher(kind, output)
        if self._died():
            return Output()
        self.events += output.events
        self.refusals += [refusal.reason for refusal in output.refusals]
        for notice in output.notices:
            (self.pages if notice.page else self.alerts).append(notice.code)
        for event in output.events:
            self.alerts += [x.code for x in event.commands if isinstance(x, c.RaiseAlert)]
            self.pages += [x.code for x in event.commands if isinstance(x, c.Page)]
        if output.events or self._is_watched:
            self._watch()
        for frame in output.frames:
            self.soon(partial(self._send_frame, frame))
        for outgoing in output.outgoing:
            if outgoing.frame:
                self.soon(partial(self._send, outgoing.command, outgoing.frame))
        for exposure in output.exposures:
            self._count += 1
            intent = AdoptExposure(position_id=f"hf{self._count:06d}", epoch=self.epoch, **exposure._asdict())
            self.soon(partial(self.intent, intent))
        if output.reconnect:
            self.soon(partial(self.cut, back=True))
        elif output.refresh:
            self.soon(self._ask)
        for question in output.questions:
            # Paced as the session's client paces them: one that asks faster is refused.
            now_s = self.now_ns / SECOND
            wait_s = self._calls.wait_s(question.cost, now_s)
            self._calls.note(question.cost, now_s + wait_s)
            self.after(REST_NS + int(wait_s * SECOND), partial(self._answer, question, self.epoch))
        return output

    def after(self, delay_ns: int, work: Callable[[], object]) -> None:
        """Do `work` once that much time has passed."""
        self._later_on.append((self.now_ns + delay_ns, work))

    def _answer(self, question: Question, epoch: int) -> None:
        """Ask by REST as the session does; who asked may be dead by now."""
        if epoch != self.epoch:
            return
        self._nonce += 1
        path, nonce = question.path, str(self._nonce)
        body = urlencode({"nonce": nonce, **question.params}).encode()
        headers = {"API-Key": TOKEN, "API-Sign": api_sign(b"floor", path, nonce, body), "Content-Type": "application/x-www-form-urlencoded"}
        reply = self._rest.answer(path, "", headers, body, self.now_ns)
        assert reply is not None, path
        text, problem = (reply.text, "") if reply.status is HTTPStatus.OK else ("", f"HTTP {reply.status}")
        text = self.altered_answer(path, text)
        answer = Answer(number=question.number, asked_ns=self.now_ns - self.lag_ns, text=text, problem=problem)
        self.feed("answer", "rest", payload_from(answer))

    def _died(self) -> bool:
        """Whether the watcher has just ended the process."""
        return self.is_dead

    def queue(self, *work: Callable[[], object]) -> None:
        """Do `work` before anything that is not yet under way; what a watcher does goes this way."""
        self._todo += work

    def soon(self, *work: Callable[[], object]) -> None:
        """Do `work` behind what is already under way: a frame is never overtaken by what an earlier one causes."""
        self.queue(*work)
        if not self._is_busy:
            self._is_busy = True
            try:
                while self._todo:
                    self._todo.popleft()()
            finally:
                self._is_busy = False

    def _send(self, command: c.AnyCommand, frame: str) -> None:
        assert isinstance(command, c.SubmitOrder | c.AmendOrder | c.CancelOrder)
        operation = "submit" if isinstance(command, c.SubmitOrder) else "amend" if isinstance(command, c.AmendOrder) else "cancel"
        ok = bool(self._private)
        self.feed("sent", "", payload_from(Sent(client_order_id=command.client_order_id, operation=operation, ok=ok)))  # type: ignore[arg-type]
        self.listener(frame)
        if ok and not self.holds_back(frame):
            self._out(self._private, frame)

    def _send_frame(self, frame: str) -> None:
        """Send what belongs to no order."""
        self.listener(frame)
        if self._private and not self.holds_back(frame):
            self._out(self._private, frame)

    def _out(self, number: int, frame: str) -> None:
        if self.is_dead:
            return
        self._deliver(self.gateway.receive(number, frame.replace(encode.TOKEN_PLACEHOLDER, TOKEN), self.now_ns))

    def _deliver(self, effects: Sequence[Effect]) -> None:
        # The venue may have changed, and no frame may tell of it.
        self._is_watched = True
        if effects or self._todo:
            self.soon(*[partial(self._hear, effect) for effect in effects])

    def _hear(self, effect: Effect) -> None:
        channel = self._connections.get(effect.connection)
        if channel is None:
            return
        if not isinstance(effect, Send):
            self.cut(back=True)
            return
        self.feed("frame", channel, self.altered(effect.text))
        if channel == "private" and '"channel":"executions"' in effect.text and '"type":"snapshot"' in effect.text:
            self._is_asked = False
            if self._is_wanted:
                self._is_wanted = False
                self._ask()

    def _ask(self) -> None:
        if self._is_asked or not self._private:
            self._is_wanted = True
            return
        if self.now_ns < self._asked_ns + REFRESH_NS:
            if not self._is_wanted:
                self._is_wanted = True
                self.after(self._asked_ns + REFRESH_NS - self.now_ns, self._ask_if_wanted)
            return
        self._is_asked, self._is_wanted = True, False
        self._out(self._private, encode.encode_unsubscribe("balances", self._request(), is_private=True))
        self._subscribe_balances()
        self._out(self._private, encode.encode_unsubscribe("executions", self._request(), is_private=True))
        self._subscribe_executions()

    def _ask_if_wanted(self) -> None:
        if self._is_wanted:
            self._is_wanted = False
            self._ask()

    def _subscribe_balances(self) -> None:
        self._out(self._private, encode.encode_subscribe("balances", self._request(), is_private=True, snapshot=True))

    def _subscribe_executions(self) -> None:
        self._is_asked, self._asked_ns = True, self.now_ns
        self.feed("link", "private", payload_from(Link(state="asked")))
        options = {"snap_orders": True, "snap_trades": True, "order_status": True, "ratecounter": True}
        self._out(self._private, encode.encode_subscribe("executions", self._request(), is_private=True, **options))  # type: ignore[arg-type]

    def _request(self) -> int:
        self._req_id += 1
        return self._req_id

    def connect(self) -> None:
        """Open both sockets as the session does."""
        if self.is_dead:
            return
        self.gateway.issue_token(TOKEN, self.now_ns)
        self.feed("link", "private", payload_from(Link(state="connecting")))
        private, effects = self.gateway.connect("private", self.now_ns)
        self._connections[private] = "private"
        self._private = private
        self.feed("link", "private", payload_from(Link(state="open")))
        self._deliver(effects)
        public, effects = self.gateway.connect("public", self.now_ns)
        self._connections[public] = "public"
        self.feed("link", "public", payload_from(Link(state="open")))
        self._deliver(effects)
        for channel, symbols, options in (
            ("instrument", (), {"snapshot": True}),
            ("ticker", (self.symbol,), {"event_trigger": "bbo", "snapshot": True}),
            ("trade", (self.symbol,), {"snapshot": False}),
        ):
            self._out(public, encode.encode_subscribe(channel, self._request(), symbols, **options))
        self._subscribe_balances()
        self._subscribe_executions()

    def drop(self) -> None:
        """End both connections; the engine does not hear of it until `cut`."""
        for number in list(self._connections):
            self.gateway.disconnect(number)
        self._connections.clear()
        self._private, self._is_asked = 0, False

    def cut(self, *, back: bool = False) -> None:
        """Cut both sockets; with `back` they are opened again at once."""
        self.drop()
        self.feed("link", "private", payload_from(Link(state="closed", reason="cut")))
        self.feed("link", "public", payload_from(Link(state="closed", reason="cut")))
        if back:
            self.connect()

    def die(self, *, keeping: Output | None = None, sending: Output | None = None) -> None:
        """End the process as kill -9 does. `keeping` has reached the log all the same, `sending` the venue; `kill` begins it again."""
        if keeping is not None:
            self.events += keeping.events
        number, self.is_dead, self._is_watched = self._private, True, True
        self._todo.clear()
        for outgoing in sending.outgoing if sending is not None and number else ():
            if outgoing.frame:
                self.gateway.receive(number, outgoing.frame.replace(encode.TOKEN_PLACEHOLDER, TOKEN), self.now_ns)
        for connection in list(self._connections):
            self.gateway.disconnect(connection)
        self._connections.clear()
        self._private, self._is_asked, self._is_wanted = 0, False, False

    def kill(self, meanwhile: Callable[[], None] = lambda: None) -> None:
        """End the process as kill -9 does, and begin again from the log with the next epoch; `meanwhile` happens in between."""
        self.die()
        meanwhile()
        self.is_dead = False
        self.epoch += 1
        self.inputs.clear()
        recalled = self.recalled(self.events)
        kept = self.pipeline.kept_bars()
        self.lived_from, self.lived_with = len(self.events), list(recalled)
        self.pipeline, self._is_watched = Pipeline(self.settings, "flat"), True
        # As the process does: the live ones, and those that have just ended.
        self.pipeline.restore(recalled)
        self.intent(Restarted(epoch=self.epoch))
        for symbol, (price_increment, bars) in kept.items():
            # As the process does, which finds them in a file of its own.
            intent = BarsRecalled(
                symbol=symbol, price_increment=price_increment, interval_ns=ATR_INTERVAL_NS, bars=bars, source="the life before"
            )
            self.intent(intent)
        self.connect()

    def lose(self, count: int) -> None:
        """Forget the last events of the log, as a torn tail does; none that an entry waited for, which was durable before that left."""
        while count and self.events and not any(map(c.is_risk_increasing, self.events[-1].commands)):
            self.events.pop()
            count -= 1

    # --- wishes -------------------------------------------------------------------------------------------------------

    def intent(self, intent: object) -> Output:
        return self.feed("intent", "", payload_from(intent))  # type: ignore[arg-type]

    def next_position_id(self) -> str:
        """Return the id of the next position that is asked for."""
        return f"hf{self._count + 1:06d}"

    def open(self, side: PositionSide = PositionSide.LONG, qty: object = "0.5", **plan: object) -> str:
        """Ask for a position; a short is on margin."""
        position_id = self.next_position_id()
        self._count += 1
        fields: dict[str, object] = {"margin": side is PositionSide.SHORT, **plan}
        if not plan.keys() & {"trail_auto", "trail_offset_bps", "stop_price"}:
            fields["trail_offset_bps"] = 200
        plan_ = f.Plan(symbol=self.symbol, side=side, qty=D(str(qty)), **fields)  # type: ignore[arg-type]
        self.intent(OpenPosition(position_id=position_id, epoch=self.epoch, plan=plan_))
        return position_id

    def protected(self, side: PositionSide = PositionSide.LONG, qty: object = "0.5", **plan: object) -> str:
        """Ask for a position and wait until it is protected."""
        position_id = self.open(side, qty, **plan)
        self.wait(1)
        assert self.state(position_id) == "Protected", (self.state(position_id), self.refusals)
        return position_id

    def leave(self, position_id: str, reason: f.ExitReason = "operator") -> None:
        self.intent(ExitPosition(position_id=position_id, reason=reason))

    # --- the market, time, the owner ------------------------------------------------------------------------------------

    def tick(self, px: object, qty: object = "0.01") -> None:
        """A trade of the market."""
        self.px = D(str(px))
        self._deliver(self.gateway.tick(self.symbol, self.px, D(str(qty)), True, self.now_ns))

    def moved(self, side: PositionSide, bps: int) -> Decimal:
        """Return a price that is `bps` better (above zero) or worse for a position of `side` than the last one."""
        return (self.px * (10_000 + side.sign * bps) / 10_000).quantize(D("0.1"))

    def wait(self, seconds: float, *, trades: bool = True) -> None:
        """Let time pass in steps of 100 ms; with `trades` the market prints its last price each second.

        A step at which nothing is due is left out, but for a look where something is bare.
        """
        until_ns = self.now_ns + int(seconds * SECOND)
        self._is_watched = True
        while self.now_ns < until_ns:
            self._idle(self._last_idle_ns(until_ns, trades))
            self.now_ns = min(self.now_ns + STEP_NS, until_ns)
            self._deliver(self.gateway.advance(self.now_ns))
            if self._later_on:
                due = sorted((x for x in self._later_on if x[0] <= self.now_ns), key=itemgetter(0))
                self._later_on = [x for x in self._later_on if x[0] > self.now_ns]
                for _, work in due:
                    work()
            if self.is_dead:
                self._watch()
                if self.is_back_at_once:
                    self.kill()
                continue
            at_ns = self.pipeline.next_deadline_ns()
            if at_ns is not None and at_ns <= self.now_ns - self.lag_ns:
                self.feed("timer", "", b"{}")
            if trades and self.now_ns % SECOND == 0:
                self.tick(self.px)
            if self.now_ns >= self._next_audit_ns:
                self._next_audit_ns = self.now_ns + AUDIT_NS
                self._ask()
            if self._is_watched:
                self._watch()

    def _last_idle_ns(self, until_ns: int, trades: bool) -> int:
        """Return the last step before the one at which something is due."""
        now_ns = self.now_ns
        if self.is_dead and self.is_back_at_once:
            return now_ns
        due_ns = until_ns
        if not self.is_dead:
            due_ns = min(due_ns, self._next_audit_ns, now_ns - now_ns % SECOND + SECOND if trades else due_ns)
            at_ns = self.pipeline.next_deadline_ns()
            if at_ns is not None:
                due_ns = min(due_ns, at_ns + self.lag_ns)
        for at_ns, _ in self._later_on:
            due_ns = min(due_ns, at_ns)
        if due_ns > now_ns + STEP_NS:
            gateway_ns = self.gateway.next_due_ns()
            due_ns = due_ns if gateway_ns is None else min(due_ns, gateway_ns)
        return now_ns + max(0, (due_ns - now_ns - 1) // STEP_NS) * STEP_NS

    def _idle(self, until_ns: int) -> None:
        """Let steps pass at which nothing is due."""
        while self.now_ns < until_ns:
            if not self._is_watched:
                self.now_ns = until_ns
                return
            self.now_ns += STEP_NS
            self._watch()

    def by_hand(self, side: str, qty: object, *, margin: bool = False) -> None:
        """The account's owner trades at market."""
        params = {"symbol": self.symbol, "side": side, "order_type": "market", "order_qty": D(str(qty)), "margin": margin}
        self.owner(lambda exchange, now_ns: owner_order(exchange, params, now_ns))

    def rest_by_hand(self, side: str, qty: object, px: object) -> None:
        """The account's owner lets a limit order rest."""
        params = {"symbol": self.symbol, "side": side, "order_type": "limit", "order_qty": D(str(qty)), "limit_price": D(str(px))}
        self.owner(lambda exchange, now_ns: owner_order(exchange, params, now_ns))

    def owner(self, action: Callable[[Exchange, int], object]) -> None:
        self._deliver(self.gateway.act(action, self.now_ns))

    def mode(self, system: System) -> None:
        """The venue changes its mode."""
        self._deliver(self.gateway.change_system(system, self.now_ns))

    # --- what is known ------------------------------------------------------------------------------------------------

    @property
    def is_connected(self) -> bool:
        """Whether the private link is open."""
        return bool(self._private)

    @property
    def is_busy(self) -> bool:
        """Whether something is under way: a late message, a timer of the venue, an answer by REST, a question that is due."""
        return bool(self._later_on) or self.gateway.is_busy or self.pipeline.translator.lookups.next_due_ns() is not None

    def _watch(self) -> None:
        self._is_watched = self.looker()
        if self.is_dead:
            return
        watched = (self.pipeline, len(self.events))
        if watched == self._watched and not self._bare_since:
            return
        self._watched = watched
        positions = self.pipeline.desk.positions
        for position_id, position in positions.items():
            if unprotected_lots(position):
                since_ns = self._bare_since.setdefault(position_id, self.now_ns)
                self.bare_ns = max(self.bare_ns, self.now_ns - since_ns)
            else:
                self._bare_since.pop(position_id, None)
        for position_id in set(self._bare_since) - set(positions) if self._bare_since else ():
            del self._bare_since[position_id]
        self._is_watched = self._is_watched or bool(self._bare_since)

    def position(self, position_id: str) -> Position:
        found = self.pipeline.desk.get(position_id)
        assert found is not None
        return found

    def state(self, position_id: str) -> str:
        return self.position(position_id).state

    def states(self, position_id: str) -> list[str]:
        """Return the states that a position went through, each once as it was entered."""
        out: list[str] = []
        for event in self.events:
            if event.position_id == position_id and (not out or out[-1] != event.to):
                out.append(event.to)
        return out

    def reasons(self, position_id: str) -> list[str]:
        return [event.exit_reason for event in self.events if event.position_id == position_id and event.exit_reason]

    def facts(self, kind: type[T], position_id: str = "") -> list[T]:
        return [e.fact for e in self.events if isinstance(e.fact, kind) and (not position_id or e.position_id == position_id)]

    def at_venue(self) -> Decimal:
        """Return what the account holds of the base asset, margin included (below zero: short)."""
        exchange = self.gateway.exchange
        margin = exchange.account.position(pair_of(self.symbol))
        return exchange.account.balances.get(margin.pair.instrument.base, D(0)) + margin.pair.instrument.qty(margin.lots)

    def resting(self) -> list[str]:
        """Return the venue's open orders as `type side leaves`."""
        return [
            f"{o.order_type} {'buy' if o.buying else 'sell'} {o.pair.instrument.qty(o.leaves_lots).normalize():f}"
            for o in self.gateway.exchange.open_orders()
        ]


def replayed(floor: Floor) -> bool:
    """Run the inputs since the last start again; tell whether they make the same events, byte for byte."""
    pipeline = Pipeline(floor.settings, "machine")
    pipeline.restore(floor.lived_with)
    events = [event for kind, at_ns, source, payload in floor.inputs for event in pipeline.feed(kind, at_ns, source, payload).events]
    return [bytes_from(event) for event in events] == [bytes_from(event) for event in floor.events[floor.lived_from :]]


def commands_of(floor: Floor, position_id: str, kind: type[T]) -> list[T]:
    """Return the commands of a kind that a position has sent."""
    return [x for event in floor.events if event.position_id == position_id for x in event.commands if isinstance(x, kind)]


__all__ = ["MS", "SECOND", "START_NS", "SYMBOL", "D", "Floor", "commands_of", "replayed"]
