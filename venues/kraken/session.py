"""Two sockets to Kraken: market data and orders. Receives, stamps and hands on; decides nothing about positions.

Order events wait in a queue of their own, unbounded but counted, and are handed on before market data; market data that
the core has no time for are conflated (`conflation`), so neither can delay the other or stop the reading. Each frame and
each change of a socket comes out of `inputs()` once, in the order in which the core takes it: that order is the record.
Because private inputs overtake, `ts_recv_ns` may step back from one input to the next.

The account's truth is the snapshot of the executions channel, asked for at each connection and by `refresh_truth`. One
request is in flight at a time; what is asked meanwhile is asked once more afterwards, because the answer under way may be
older than the question. A snapshot that does not come within `snapshot_timeout_s` means a dead socket; so does a subscription to
market data that is not answered by then, whatever beats on that socket.
"""

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from typing import Any

import msgspec

from events.errors import HoldfastError

from ..messages import Channel, FrameReceived, LinkChanged, LinkState, Question, QuestionAnswered, SessionInput
from . import codec, encode
from .conflation import MarketQueue
from .link import Link, LinkSettings, NanoClock, now_s
from .pacing import AttemptBudget
from .rest import RestClient
from .times import ns_from_rfc3339
from .translate import SESSION_REQ_ID_BASE

PUBLIC_URL = "wss://ws.kraken.com/v2"
PRIVATE_URL = "wss://ws-auth.kraken.com/v2"

_EXECUTIONS: dict[str, Any] = {"snap_orders": True, "snap_trades": True, "order_status": True, "ratecounter": True}

# How long the core may take inputs in one go, before the loop goes round once.
TURN_S = 0.002

TokenSource = Callable[[], Awaitable[str]]


class ChannelStats(msgspec.Struct):
    """Counters of one socket. `lag_ns` is our time of receipt minus the venue's time of the event, newest and worst."""

    frame_count: int = 0
    last_recv_ns: int = 0
    lag_ns: int = 0
    lag_ns_max: int = 0


class KrakenSession:
    """The link to the venue, for one account and some symbols. `token_source` gives a fresh token; see `auth`."""

    def __init__(
        self,
        *,
        public_url: str,
        private_url: str,
        symbols: Sequence[str],
        token_source: TokenSource,
        clock: NanoClock,
        settings: LinkSettings | None = None,
        rest: RestClient | None = None,
    ) -> None:
        self._symbols, self._token_source, self._clock = tuple(symbols), token_source, clock
        self._settings = settings or LinkSettings()
        self._token = ""
        self._token_s = 0.0
        self._req_id = SESSION_REQ_ID_BASE
        self._private_inputs: deque[SessionInput] = deque()
        self._market = MarketQueue(self._symbols)
        self._ready = asyncio.Event()
        self._is_done = False
        self._is_asked = self._is_wanted = False
        self._asked_s = 0.0
        self._truth = asyncio.Event()
        # Numbers of the subscriptions to market data that the venue has not answered.
        self._unanswered: set[int] = set()
        self._subscribing = asyncio.Event()
        self._rest = rest
        self._questions: asyncio.Queue[Question] = asyncio.Queue()
        self.stats: dict[Channel, ChannelStats] = {"private": ChannelStats(), "public": ChannelStats()}
        budget = AttemptBudget()
        common: dict[str, Any] = {"clock": clock, "settings": self._settings, "budget": budget, "ping_text": self._ping_text}
        self._private = Link(
            "private",
            private_url,
            prepare=self._fetch_token,
            greet=self._subscribe_private,
            on_frame=self._on_private_frame,
            on_state=self._on_private_state,
            **common,
        )
        self._public = Link(
            "public",
            public_url,
            prepare=_nothing,
            greet=self._subscribe_public,
            on_frame=self._on_public_frame,
            on_state=self._on_public_state,
            **common,
        )

    # --- for the engine ---------------------------------------------------------------------------------------------

    async def run(self) -> None:
        """Keep both sockets open until `close` or cancellation; `inputs` ends afterwards.

        Raises:
            BadInput, VenueProblem: the venue will not have us; trying again does not help.
        """
        works = (self._private.run(), self._public.run(), self._keep_truth(), self._keep_subscribed(), self._answer_questions())
        tasks = [asyncio.create_task(work) for work in works]
        try:
            done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                task.result()
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            self._is_done = True
            self._ready.set()

    async def close(self) -> None:
        """Close both sockets; `run` returns."""
        await asyncio.gather(self._private.stop(), self._public.stop())

    async def inputs(self) -> AsyncIterator[SessionInput]:
        """Yield frames and link changes in the order in which they are to be taken, until the session has ended."""
        turn_s = now_s()
        while True:
            item = self.next_input()
            if item is not None:
                yield item
                if now_s() - turn_s >= TURN_S:
                    # What waits in the private socket is read before more of the market is handed on.
                    await asyncio.sleep(0)
                    turn_s = now_s()
            elif self._is_done:
                return
            else:
                self._ready.clear()
                await self._ready.wait()
                turn_s = now_s()

    def next_input(self) -> SessionInput | None:
        """Return the next input that waits, private ones first; None if none does."""
        if self._private_inputs:
            return self._private_inputs.popleft()
        return self._market.pop()

    async def send(self, frame_text: str) -> bool:
        """Send a request over the private socket, with the token in it.

        False: the channel was closed before it left, so the venue never saw it. True: it was handed to the socket; only
        the stream says what became of it.
        """
        return await self._private.send(frame_text.replace(encode.TOKEN_PLACEHOLDER, self._token))

    def refresh_truth(self) -> None:
        """Ask for a fresh list of balances, and for a fresh snapshot of orders and executions.

        Answered by a `LinkChanged` "asked" and the snapshot frame.
        """
        self._is_wanted = True
        self._truth.set()

    def ask(self, question: Question) -> None:
        """Ask beside the stream; answered by one `QuestionAnswered`, whatever comes of it."""
        self._questions.put_nowait(question)

    def refresh_token(self) -> None:
        """Begin the private socket again with a fresh token: the session behind the old one has ended.

        Ignored just after a token was fetched, because the refusal was then of the one before; if it was not, the snapshot
        that does not come ends the socket too.
        """
        if now_s() - self._token_s > self._settings.snapshot_timeout_s:
            self._private.fail("the token was refused")

    def reconnect(self, reason: str) -> None:
        """Drop the private socket, for one that talks but is not to be trusted any more; the next one begins by itself."""
        self._private.fail(reason)

    @property
    def is_private_open(self) -> bool:
        """True while orders can be sent."""
        return self._private.is_open

    @property
    def is_private_clear(self) -> bool:
        """True while a request would leave at once, so that `send` need not wait."""
        return self._private.is_clear

    @property
    def waiting_count(self) -> dict[Channel, int]:
        """Inputs that the core has not taken yet."""
        return {"private": len(self._private_inputs), "public": len(self._market)}

    @property
    def conflated_count(self) -> int:
        """Market frames that were left out because the core was slow."""
        return self._market.conflated_count + self._market.dropped_count

    @property
    def connect_count(self) -> dict[Channel, int]:
        """Connection attempts so far."""
        return {"private": self._private.connect_count, "public": self._public.connect_count}

    # --- private ----------------------------------------------------------------------------------------------------

    async def _fetch_token(self) -> None:
        # As it stands in JSON, so that it can be put into a text.
        self._token = msgspec.json.encode(await self._token_source()).decode()[1:-1]
        self._token_s = now_s()

    async def _subscribe_private(self) -> None:
        # Balances first: the socket is closed when it holds no private subscription, as during a refresh of executions.
        await self._subscribe_balances()
        await self._ask()

    async def _subscribe_balances(self) -> None:
        await self.send(encode.encode_subscribe("balances", self._next_req_id(), is_private=True, snapshot=True))

    async def _ask(self) -> None:
        self._is_asked, self._is_wanted = True, False
        self._asked_s = now_s()
        self._put_private(LinkChanged(channel="private", state="asked", ts_recv_ns=self._clock.now_ns()))
        self._truth.set()
        await self.send(encode.encode_subscribe("executions", self._next_req_id(), is_private=True, **_EXECUTIONS))

    async def _keep_truth(self) -> None:
        # Asks again when that is wanted, one request at a time, and gives up a socket that does not answer.
        while True:
            await self._truth.wait()
            self._truth.clear()
            if self._is_asked:
                await self._await_snapshot()
            # Whoever asks because of what an answer holds would otherwise ask for ever, as fast as the venue answers.
            await asyncio.sleep(self._asked_s + self._settings.refresh_interval_s - now_s())
            if self._is_wanted and self._private.is_open and not self._is_asked:
                # Balances are part of the truth: of one whose frame was lost nothing else would tell until it changes again.
                await self.send(encode.encode_unsubscribe("balances", self._next_req_id(), is_private=True))
                await self._subscribe_balances()
                await self.send(encode.encode_unsubscribe("executions", self._next_req_id(), is_private=True))
                await self._ask()

    async def _answer_questions(self) -> None:
        # A task of its own: REST may be slow or silent, and nothing else waits for it (A21).
        while True:
            question = await self._questions.get()
            asked_ns = self._clock.now_ns()
            text = problem = ""
            try:
                if self._rest is not None:
                    text = await self._rest.post(question.path, question.params, cost=question.cost)
                else:
                    problem = "this session has no REST client"
            except HoldfastError as failed:
                problem = str(failed)
            self._put_private(
                QuestionAnswered(
                    number=question.number, asked_ns=asked_ns, ts_recv_ns=self._clock.now_ns(), text=text, problem=problem
                )
            )

    async def _await_snapshot(self) -> None:
        while self._is_asked:
            left_s = self._asked_s + self._settings.snapshot_timeout_s - now_s()
            try:
                async with asyncio.timeout(left_s):
                    await self._truth.wait()
            except TimeoutError:
                self._private.fail(f"no snapshot within {self._settings.snapshot_timeout_s} s")
                return
            self._truth.clear()

    def _on_private_frame(self, text: str, ts_recv_ns: int) -> bool | None:
        self._put_private(FrameReceived(channel="private", text=text, ts_recv_ns=ts_recv_ns))
        outline = self._look_at("private", text, ts_recv_ns)
        if outline is None:
            return None
        if outline.channel == "executions" and outline.type == "snapshot" and self._is_asked:
            self._is_asked = False
            self._truth.set()
        return outline.channel == "heartbeat"

    def _on_private_state(self, state: LinkState, code: int, reason: str) -> None:
        if state == "closed":
            self._is_asked = False
            self._truth.set()
        self._put_private(LinkChanged(channel="private", state=state, code=code, reason=reason, ts_recv_ns=self._clock.now_ns()))

    def _put_private(self, item: SessionInput) -> None:
        self._private_inputs.append(item)
        self._ready.set()

    # --- public -----------------------------------------------------------------------------------------------------

    async def _subscribe_public(self) -> None:
        self._unanswered = {self._next_req_id() for _ in range(3)}
        instrument, ticker, trade = sorted(self._unanswered)
        self._subscribing.set()
        for text in (
            encode.encode_subscribe("instrument", instrument, snapshot=True),
            encode.encode_subscribe("ticker", ticker, self._symbols, event_trigger="bbo", snapshot=True),
            # Old trades are no news, and a level that one of them crossed was crossed before we looked.
            encode.encode_subscribe("trade", trade, self._symbols, snapshot=False),
        ):
            await self._public.send(text)

    async def _keep_subscribed(self) -> None:
        while True:
            await self._subscribing.wait()
            self._subscribing.clear()
            asked = self._unanswered
            await asyncio.sleep(self._settings.snapshot_timeout_s)
            if self._unanswered is asked and asked and self._public.is_open:
                self._public.fail(f"{len(asked)} subscriptions were not answered within {self._settings.snapshot_timeout_s} s")

    def _on_public_frame(self, text: str, ts_recv_ns: int) -> bool | None:
        outline = self._look_at("public", text, ts_recv_ns)
        if outline is None and self._unanswered:
            self._unanswered.discard(codec.answered_req_id(text) or 0)
        self._market.put(FrameReceived(channel="public", text=text, ts_recv_ns=ts_recv_ns), outline)
        self._ready.set()
        return outline.channel == "heartbeat" if outline is not None else None

    def _on_public_state(self, state: LinkState, code: int, reason: str) -> None:
        self._market.put(LinkChanged(channel="public", state=state, code=code, reason=reason, ts_recv_ns=self._clock.now_ns()), None)
        self._ready.set()

    # --- both -------------------------------------------------------------------------------------------------------

    def _look_at(self, channel: Channel, text: str, ts_recv_ns: int) -> codec.Outline | None:
        stats = self.stats[channel]
        stats.frame_count += 1
        stats.last_recv_ns = ts_recv_ns
        outline = codec.outline_from(text)
        if outline is None:
            return None
        ts_event_ns = ns_from_rfc3339(outline.timestamp)
        if ts_event_ns:
            stats.lag_ns = ts_recv_ns - ts_event_ns
            stats.lag_ns_max = max(stats.lag_ns_max, stats.lag_ns)
        if outline.channel == "status":
            # In maintenance the venue asks for patience between attempts; both sockets are of one system.
            is_maintenance = any(entry.system == "maintenance" for entry in outline.data)
            self._private.is_patient = self._public.is_patient = is_maintenance
        return outline

    def _ping_text(self) -> str:
        return encode.encode_request("ping", self._next_req_id())

    def _next_req_id(self) -> int:
        self._req_id += 1
        return self._req_id


async def _nothing() -> None:
    pass
