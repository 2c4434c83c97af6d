"""A short life of the real decision code on the real venue, both pure, in made-up time: where fuzzing gets its seeds from.

Nothing here is random or timed, so the seeds are the same on every machine, and the repository needs no files of frames.
"""

import re
from collections import deque
from collections.abc import Iterable
from decimal import Decimal
from functools import cache
from pathlib import Path

import msgspec

from events.facts import Plan
from events.record import PositionEvent, bytes_from, event_from
from events.values import PositionSide
from replay.intents import ExitPosition, Intent, Link, OpenPosition, Restarted, Sent, payload_from
from replay.output import Outgoing, Output
from replay.pipeline import Pipeline, Settings
from replay.session import SessionWriter, manifest_from
from venues.kraken import encode
from venues.simulated.delivery import Effect, Send
from venues.simulated.faults import Faults
from venues.simulated.gateway import Gateway
from venues.simulated.pairs import pair_of
from venues.simulated.settings import VenueSettings

SYMBOL = "BTC/USD"
TOKEN = "fuzz-token"
START_NS = 1_700_000_000_000_000_000
STEP_NS = 50_000_000
SETTINGS = Settings(namespace="hf", symbols=(SYMBOL,))
# The position that is filled in parts, in a working entry, when a hostile frame comes.
RESTING = "hf000003"
ROOT = Path(__file__).resolve().parents[2]
# Sample frames, beside the checkout or beside the folder that its worktrees are in. Where they are not, the seeds are our own.
SHARED = next((found for folder in (ROOT.parent, ROOT.parent.parent) if (found := folder / "shared").is_dir()), ROOT.parent / "shared")


class Life:
    """A gateway, a pipeline, and what passed between them.

    Attributes:
        frames: every text that the venue sent, in order, with the channel it came by.
        requests: every text that was sent to the venue.
        inputs: every input of the pipeline, as a session records it; `events` in between, as (kind, time, source, payload).
    """

    def __init__(self) -> None:
        balances = {"USD": Decimal(1_000_000), "BTC": Decimal(0)}
        self.gateway = Gateway([pair_of(SYMBOL)], VenueSettings(balances=balances, tier="pro"), 1, Faults(1))
        self.pipeline = Pipeline(SETTINGS, "flat")
        self.now_ns = START_NS
        self.frames: list[tuple[str, str]] = []
        self.requests: list[str] = []
        self.inputs: list[tuple[str, int, str, str | bytes]] = []
        self._numbers: dict[int, str] = {}
        self._req_id = 0
        self._waiting: deque[Effect] = deque()
        self._is_taking = False
        self.price("60000.0")
        self.gateway.issue_token(TOKEN, self.now_ns)

    # --- what happens -------------------------------------------------------------------------------------------------

    def connect(self) -> None:
        """Open both channels and ask for the truth, as the session does."""
        self.feed("intent", "", payload_from(Restarted(epoch=1)))
        for channel in ("private", "public"):
            self.feed("link", channel, payload_from(Link(state="connecting")))
            number, effects = self.gateway.connect("private" if channel == "private" else "public", self.now_ns)
            self._numbers[number] = channel
            self.feed("link", channel, payload_from(Link(state="open")))
            self.take(effects)
        self._subscribe("private", "balances")
        self.feed("link", "private", payload_from(Link(state="asked")))
        self._subscribe("private", "executions")
        for name in ("instrument", "ticker", "trade"):
            self._subscribe("public", name)

    def ask(self, intent: Intent) -> None:
        """Feed a wish."""
        self.feed("intent", "", payload_from(intent))

    def price(self, px: str, qty: str = "0.05") -> None:
        """Let the market print."""
        self.now_ns += STEP_NS
        self.take(self.gateway.tick(SYMBOL, Decimal(px), Decimal(qty), False, self.now_ns))

    def wait(self, steps: int = 4) -> None:
        """Let time pass, on both sides."""
        for _ in range(steps):
            self.now_ns += STEP_NS
            self.take(self.gateway.advance(self.now_ns))
            at_ns = self.pipeline.next_deadline_ns()
            if at_ns is not None and at_ns <= self.now_ns:
                self.feed("timer", "", b"{}")

    # --- between the two ----------------------------------------------------------------------------------------------

    def feed(self, kind: str, source: str, payload: str | bytes) -> Output:
        self.inputs.append((kind, self.now_ns, source, payload))
        output = self.pipeline.feed(kind, self.now_ns, source, payload)
        self.inputs += [("event", self.now_ns, "", bytes_from(event)) for event in output.events]
        for outgoing in output.outgoing:
            self._send(outgoing)
        return output

    def take(self, effects: Iterable[Effect]) -> None:
        """Hand on what the venue sends, in order; what that makes us send, and what comes back, goes behind it."""
        self._waiting.extend(effects)
        if self._is_taking:
            return
        self._is_taking = True
        while self._waiting:
            effect = self._waiting.popleft()
            if isinstance(effect, Send):
                channel = self._numbers[effect.connection]
                self.frames.append((channel, effect.text))
                self.feed("frame", channel, effect.text)
        self._is_taking = False

    def _send(self, outgoing: Outgoing) -> None:
        if not outgoing.frame:
            return
        command = outgoing.command
        word = Sent(client_order_id=command.client_order_id, operation=_OPERATIONS[type(command).__name__], ok=True)
        self.feed("sent", "", payload_from(word))
        self._request("private", outgoing.frame.replace(encode.TOKEN_PLACEHOLDER, TOKEN))

    def _subscribe(self, channel: str, name: str) -> None:
        self._req_id += 1
        options = {"snapshot": True} if name != "executions" else {"snap_orders": True, "snap_trades": True, "order_status": True}
        symbols = (SYMBOL,) if name in ("ticker", "trade") else ()
        text = encode.encode_subscribe(name, 1_000_000_000 + self._req_id, symbols, is_private=channel == "private", **options)
        self._request(channel, text.replace(encode.TOKEN_PLACEHOLDER, TOKEN))

    def _request(self, channel: str, text: str) -> None:
        self.requests.append(text)
        number = next(number for number, name in self._numbers.items() if name == channel)
        self.take(self.gateway.receive(number, text, self.now_ns))


_OPERATIONS = {"SubmitOrder": "submit", "AmendOrder": "amend", "CancelOrder": "cancel"}


def plan(side: PositionSide, **more: object) -> Plan:
    """Return a plan on the one market."""
    usual = {"qty": Decimal("0.2"), "margin": side is PositionSide.SHORT, "trail_offset_bps": 200}
    return Plan(symbol=SYMBOL, side=side, **(usual | more))  # type: ignore[arg-type]


class Fixture:
    """What a fuzz target starts from.

    Attributes:
        inputs: the record of the whole life; `frames` and `requests` of both directions.
        history: the events of an entry that rests at the venue, and the inputs before it that a pipeline needs besides.
        before, after: the venue's frames of two fills of it, and their execution ids.
    """

    def __init__(self) -> None:
        life = Life()
        life.connect()
        life.price("60000.0")
        life.wait()
        life.ask(OpenPosition(position_id="hf000001", epoch=1, plan=plan(PositionSide.LONG)))
        life.ask(OpenPosition(position_id="hf000002", epoch=1, plan=plan(PositionSide.SHORT)))
        life.wait(8)
        resting = plan(PositionSide.LONG, qty=Decimal("0.5"), entry_type="limit", entry_price=Decimal("59900.0"), attach_stop=False)
        life.ask(OpenPosition(position_id=RESTING, epoch=1, plan=resting))
        life.wait(8)
        self.history = [event for event in _events_of(life) if event.position_id == RESTING]
        self.listed = next(text for channel, text in life.frames if '"instrument"' in text and '"pairs"' in text)
        self.before = self._fill(life)
        self.after = self._fill(life)
        self.trade_before, self.trade_after = _trade_id(self.before), _trade_id(self.after)
        life.ask(ExitPosition(position_id="hf000001", reason="operator"))
        life.wait(8)
        for px in ("59700.0", "59500.0", "58000.0", "60500.0", "62000.0"):
            life.price(px)
            life.wait(8)
        life.wait(1_400)
        self.inputs, self.frames, self.requests = life.inputs, life.frames, life.requests

    @staticmethod
    def _fill(life: Life) -> tuple[str, ...]:
        # A print at the entry's own price first fills those who were there before it, then as much of it as was printed.
        for _ in range(200):
            seen = len(life.frames)
            life.price("59900.0", "0.1")
            life.wait(2)
            frames = tuple(text for channel, text in life.frames[seen:] if channel == "private")
            if any('"exec_type":"trade"' in text for text in frames):
                return frames
        raise AssertionError("the resting entry does not fill")


def _events_of(life: Life) -> list[PositionEvent]:
    return [event_from(payload) for kind, _, _, payload in life.inputs if kind == "event" and isinstance(payload, bytes)]


def _trade_id(frames: tuple[str, ...]) -> str:
    (found,) = {match[1] for text in frames for match in re.finditer(r'"exec_id":"([^"]+)"', text)}
    return found


@cache
def fixture() -> Fixture:
    """Return the one fixture of this process."""
    return Fixture()


def write_session(path: Path, key: bytes | None = None, count: int | None = None) -> None:
    """Write the first `count` records of the life, or all, as a session file."""
    manifest = manifest_from(
        configuration={"symbol": SYMBOL}, table_hash="fuzz", started_ns=START_NS, namespace="hf", pipeline=msgspec.to_builtins(SETTINGS)
    )
    writer = SessionWriter.create(path, manifest, key=key, anchor_every=20)
    for kind, now_ns, source, payload in fixture().inputs[:count]:
        writer.append(kind, now_ns, 0, source, payload)
    writer.close()
