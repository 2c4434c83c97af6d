"""Some lives of an engine on one venue and one store, ended by kill -9 at chosen moments, and what venue and log say in the end."""

import random
import sqlite3
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from decimal import Decimal
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import Any

from events.errors import BadInput, NotFound, StoreProblem
from events.facts import OrderFilled
from events.record import PositionEvent, event_from
from events.store import Store, open_store
from fsm import position as states
from projections.books import Books
from replay.pipeline import Pipeline
from replay.replay import INPUTS, Verdict, replay, settings_from
from replay.session import read_session
from tests.e2e.processes import SESSION_KEY, Engine, Venue, config_text, engine, free_addresses, wait_for
from tests.e2e.processes import venue as new_venue

PATIENCE_S = 30.0
# The venue is late with every request, so that the moments between two words of it are long enough to die in.
LATE = "late_request/p=1/seconds=0.25"
# Frames lost, twice and late; requests carried out without an answer, or not at all; fills in parts; fees in what was bought.
FAULTS = (
    "drop_frame/p=0.03", "duplicate_frame/p=0.1", "reorder_frames/p=0.05", "delay_frame/p=0.05/seconds=0.5", "ack_lost_applied/p=0.1",
    "ack_lost_not_applied/p=0.05", "close_before_reply/p=0.05", "split_fill/p=0.5", "base_fee/p=0.5", "fill_during_cancel/p=0.2",
)  # fmt: skip
LEFT = {"Closed", "Abandoned"}
# What may be left uncovered, or in the account in the end: of each position less than the venue's smallest order.
DUST = 9 * Decimal("0.00005")
# What a plan asks for, in the order of their numbers: position n is `hf00000n`.
SHORT = {"side": "short", "margin": True}
TIGHTENED = {"trail_offset_bps": 300, "tighten": [{"profit_bps": 15, "trail_offset_bps": 80}]}
PLANS: tuple[Mapping[str, Any], ...] = (
    {"side": "long", "qty": "0.02", "trail_offset_bps": 900, "time_stop_secs": 2},
    {**SHORT, "qty": "0.03", "trail_offset_bps": 900, "time_stop_secs": 3},
    {"side": "long", "qty": "0.04", "stop_price": "54000", "attach_stop": True, "time_stop_secs": 4},
    {"side": "long", "qty": "0.05", **TIGHTENED, "time_stop_secs": 5},
    {**SHORT, "qty": "0.01", **TIGHTENED, "time_stop_secs": 6},
    {"side": "long", "qty": "0.06", "entry_type": "limit", "entry_price": "59900", "trail_offset_bps": 700, "time_stop_secs": 2},
    {**SHORT, "qty": "0.07", "entry_type": "limit", "entry_price": "70000", "trail_offset_bps": 700, "time_stop_secs": 2},
    {"side": "long", "qty": "0.08", "stop_price": "59850", "time_stop_secs": 7},
    {**SHORT, "qty": "0.09", "stop_price": "60200", "time_stop_secs": 7},
)
TIMING = """[timing]
entry_ttl_ms = 5000
protect_timeout_ms = 1500
cancel_timeout_ms = 1500
market_fill_timeout_ms = 1500
market_deadline_ms = 1500
ack_timeout_ms = 3000
reconcile_timeout_ms = 2000
"""


def plans_text(plans: Sequence[Mapping[str, Any]] = PLANS, symbol: str = "BTC/USD") -> str:
    """Return plans as TOML."""
    return "\n".join(
        "[[positions]]\n" + "\n".join(f"{name} = {_toml(value)}" for name, value in {"symbol": symbol, **plan}.items()) for plan in plans
    )


def _toml(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, list):
        return "[" + ", ".join("{ " + ", ".join(f"{key} = {_toml(one)}" for key, one in each.items()) + " }" for each in value) + "]"
    return f'"{value}"' if isinstance(value, str) else str(value)


# Rests, rises by 0.5 %, falls by 0.9 % and comes back: stops, entries and tightenings all happen.
UP_AND_DOWN = ((0.0, 60_000), (1.2, 60_000), (2.5, 60_300), (4.5, 59_760), (5.5, 60_000), (40.0, 60_000))


def market(path: Path, levels: Sequence[tuple[float, int]] = UP_AND_DOWN) -> Path:
    """Write a market that goes in straight lines from (second, price) to (second, price)."""
    rows = ["time,price,quantity"]
    for (start_s, start_px), (end_s, end_px) in pairwise(levels):
        steps = int((end_s - start_s) * 20)
        rows += [f"{1_700_000_000 + start_s + n / 20:.3f},{start_px + (end_px - start_px) * n // steps},0.5" for n in range(steps)]
    path.write_text("\n".join(rows) + "\n")
    return path


# --- moments --------------------------------------------------------------------------------------------------------


class Log:
    """The store of a running engine, read from outside."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.events: list[PositionEvent] = []
        self._store: Store | None = None
        self._after = 0

    def read(self) -> list[PositionEvent]:
        """Return the events so far."""
        if self._store is None:
            try:
                self._store = open_store(self.url, create=False)
            except (NotFound, StoreProblem):
                return self.events
        while batch := self._store.follow(self._after):
            self._after = batch[-1][0]
            self.events += [event for _, event in batch]
        return self.events

    def close(self) -> None:
        """Let the store go, so that who opens it next finds it as a crash left it."""
        if self._store is not None:
            self._store.close()
            self._store = None

    def states(self) -> dict[str, str]:
        return {event.position_id: event.to for event in self.read()}

    def books(self) -> Books:
        books = Books()
        for number, event in enumerate(self.read(), 1):
            books.apply(number, event)
        return books


Moment = Callable[[Engine, Log, Venue], bool]


def after(seconds: float) -> Moment:
    """Some time after the start of the process."""
    return lambda engine, log, venue: time.monotonic() - engine.started_s >= seconds


def in_state(*names: str) -> Moment:
    """As soon as the log has a position in one of these states."""
    return lambda engine, log, venue: any(state in names for state in log.states().values())


def entries_sent(engine: Engine, log: Log, venue: Venue) -> bool:
    """As soon as the log has a position at all: its entry is on the way."""
    return bool(log.states())


def recovering(engine: Engine, log: Log, venue: Venue) -> bool:
    """As soon as the snapshot of the new life was asked for."""
    return '"state": "asked"' in engine.text


EXITING = in_state(states.CANCEL_PENDING, states.MARKET_EXITING)
PROTECTING = in_state(states.PROTECTION_PENDING)
TIGHTENING = in_state(states.TIGHTENING)


class StoreHangs:
    """From the moment on at which three positions are protected no commit gets through, until exits have filled all the same."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._lock: sqlite3.Connection | None = None
        self._sold = 0

    def __call__(self, engine: Engine, log: Log, venue: Venue) -> bool:
        if self._lock is None:
            if sum(state == states.PROTECTED for state in log.states().values()) < 3:
                return False
            self._lock = sqlite3.connect(self.path, isolation_level=None, check_same_thread=False)
            self._lock.execute("BEGIN IMMEDIATE")
        sold = sum(fill["cl_ord_id"] != "" and fill["side"] == "sell" and not fill["margin"] for fill in venue.books()["fills"])
        return sold > 0

    def release(self) -> None:
        """Let commits through again."""
        if self._lock is not None:
            self._lock.close()


# --- lives ----------------------------------------------------------------------------------------------------------


@dataclass
class Life:
    """One life: when after its start it was killed, what was open in the log then, and when all that was held was covered."""

    killed_after_s: float = 0.0
    open_positions: int = 0
    covered_after_s: float = 0.0


@dataclass
class Outcome:
    """What is left when every position has ended."""

    folder: Path
    log: Log
    venue_books: dict[str, Any] = field(default_factory=dict)
    lives: list[Life] = field(default_factory=list)
    logs: list[list[dict[str, Any]]] = field(default_factory=list)
    last: dict[str, Any] = field(default_factory=dict)

    @property
    def sessions(self) -> list[Path]:
        # One that was killed before the first record was written is empty.
        return sorted(path for path in (self.folder / "sessions").glob("*.session") if path.stat().st_size)


def live_and_die(
    folder: Path,
    venue_arguments: Sequence[str],
    moments: Sequence[tuple[Moment, float]],
    *,
    store_url: str = "",
    seed: int = 1,
    covered_within_s: float = 15.0,
) -> Outcome:
    """Run an engine, kill -9 it at each moment (and up to so many seconds later), start it again, and wait for every position's end.

    The venue comes when the first engine waits for it: the market begins when somebody looks.
    """
    at, port = free_addresses()
    config = folder / "holdfast.toml"
    config.write_text(config_text(folder, at, plans_text(), store_url=store_url, extra=TIMING))
    outcome = Outcome(folder, Log(store_url or str(folder / "events.db")))
    chance = random.Random(seed)
    with ExitStack() as stack:
        venue: Venue | None = None
        for number, (moment, up_to_s) in enumerate((*moments, (None, 0.0))):
            living = stack.enter_context(engine(config, folder / f"{number}.log"))
            if venue is None:
                wait_for(lambda: '"event": "started"' in living.text, PATIENCE_S, "the first engine has started")  # noqa: B023, called at once
                venue = stack.enter_context(new_venue(*venue_arguments, "--port", port))
            is_over = partial(_is_over, moment, living, outcome.log, venue)
            life = _begun(living, venue, is_over, covered_within_s) if number else Life()
            try:
                wait_for(is_over, PATIENCE_S, f"the moment to end life {number}", 0.005)
            except AssertionError as late:
                raise AssertionError(f"{late}: {_waited_for(living, outcome.log)}") from None
            time.sleep(chance.random() * up_to_s)
            assert living.is_running, living.text
            if moment is None:
                # Every position may have ended in the life before: then this one is over before it has begun, and knows no SIGTERM yet.
                wait_for(lambda: recovering(living, outcome.log, venue), PATIENCE_S, "the last engine listens")  # noqa: B023, called at once
                time.sleep(0.3)
                outcome.last = living.stop(BadInput.exit_code if _refused(living) else 0)
            else:
                living.kill()
            life.killed_after_s = time.monotonic() - living.started_s
            if isinstance(moment, StoreHangs):
                moment.release()
            life.open_positions = sum(state not in LEFT for state in outcome.log.states().values())
            outcome.log.close()
            outcome.lives.append(life)
            outcome.logs.append(living.log)
        assert venue is not None
        outcome.venue_books = venue.books()
    return outcome


def _is_over(moment: Moment | None, living: Engine, log: Log, venue: Venue) -> bool:
    # On a slow machine every position may have ended before a moment that comes late in their lives.
    return (moment is not None and moment(living, log, venue)) or _all_ended(living, log)


def _all_ended(living: Engine, log: Log) -> bool:
    reached = log.states()
    return len(reached) + _refused(living) >= len(PLANS) and set(reached.values()) <= LEFT and not _open_fees(log.events)


def _waited_for(living: Engine, log: Log) -> str:
    """Return what is not as `_all_ended` asks for."""
    not_left = {key: state for key, state in log.states().items() if state not in LEFT}
    return f"{len(log.states())} positions, {_refused(living)} plans refused; open {not_left}, fees {_open_fees(log.events)}\n{living.text}"


def _open_fees(events: Sequence[PositionEvent]) -> set[str]:
    """Return the executions whose fee the ledger has yet to tell."""
    fills = [event.fact for event in events if isinstance(event.fact, OrderFilled)]
    return {fact.trade_id for fact in fills if fact.is_fee_open} - {fact.trade_id for fact in fills if fact.tells_fee}


def _refused(living: Engine) -> int:
    # On a slow machine the market may have passed a level before the engine was there: then the plan is refused for good. One that has to
    # wait for the rate limit or the link is asked for again.
    return sum(line.get("event") == "refused" and "ask again" not in line["reason"] for line in living.log)


def _begun(living: Engine, venue: Venue, is_over: Callable[[], bool], covered_within_s: float) -> Life:
    """Return a life that follows a kill, once all that is held has a stop or is gone."""

    def is_begun() -> bool:
        return is_over() or ('"state": "asked"' in living.text and is_covered(venue.books()))

    wait_for(is_begun, covered_within_s, "everything that the account holds is covered", 0.01)
    return Life(covered_after_s=time.monotonic() - living.started_s)


def held_at_venue(books: Mapping[str, Any], asset: str = "BTC", symbol: str = "BTC/USD") -> tuple[Decimal, Decimal]:
    """Return what the account is long on spot and what it is short on margin."""
    margin = Decimal(books["positions"].get(symbol, {"qty": "0"})["qty"])
    return Decimal(books["balances"].get(asset, "0")), -margin


def stops_at_venue(books: Mapping[str, Any]) -> tuple[Decimal, Decimal]:
    """Return the quantities of the stops that would sell, and buy."""
    leaves = {"sell": Decimal(0), "buy": Decimal(0)}
    for order in books["open_orders"]:
        if order["order_type"] in ("stop-loss", "trailing-stop"):
            leaves[order["side"]] += Decimal(order["order_qty"]) - Decimal(order["cum_qty"])
    return leaves["sell"], leaves["buy"]


def is_covered(books: Mapping[str, Any]) -> bool:
    """Whether the venue holds stops for the whole of what the account holds. It knows nothing of what we believe."""
    (held_long, held_short), (sells, buys) = held_at_venue(books), stops_at_venue(books)
    return held_long - sells <= DUST and held_short - buys <= DUST


# --- what must hold in the end --------------------------------------------------------------------------------------


def fills_of(books: Mapping[str, Any]) -> dict[str, tuple[Any, ...]]:
    """Return the venue's executions by their id."""
    return {
        fill["exec_id"]: (fill["order_id"], fill["side"], Decimal(fill["qty"]), Decimal(fill["price"]), Decimal(fill["fee"]))
        for fill in books["fills"]
    }


def fills_in(events: Sequence[PositionEvent]) -> dict[str, tuple[Any, ...]]:
    """Return the executions of the log by their id; an execution that stands there twice has another one's place.

    But one that only REST told stands there once more as the ledger tells its fee.
    """
    counted = Counter(event.fact.trade_id for event in events if isinstance(event.fact, OrderFilled) and not event.fact.tells_fee)
    found = {}
    for event in events:
        fact = event.fact
        if isinstance(fact, OrderFilled):
            fee = sum((fee.qty for fee in fact.fees), Decimal(0))
            found[fact.trade_id] = (fact.venue_order_id, fact.side.value, fact.last_qty, fact.last_px, fee)
    assert not [trade_id for trade_id, count in counted.items() if count > 1]
    return found


def verdicts(outcome: Outcome) -> list[tuple[Verdict, list[str]]]:
    """Replay every session; return each verdict and the invariants that its decisions broke."""
    return [(replay(path, key=SESSION_KEY.encode()), broken_in(path)) for path in outcome.sessions]


def broken_in(path: Path) -> list[str]:
    """Return the invariants that were broken when the decisions of a session were made again."""
    records = read_session(path, key=SESSION_KEY.encode())
    pipeline = Pipeline(settings_from(records.manifest, str(path)), "flat")
    restored: list[PositionEvent] = []
    for record in records:
        if record.kind == "event" and record.source == "restored":
            restored.append(event_from(record.payload.encode() if isinstance(record.payload, str) else record.payload))
        elif record.kind in INPUTS:
            if restored:
                pipeline.restore(restored)
                restored = []
            pipeline.feed(record.kind, record.ts_recv_ns, record.source, record.payload)
    return [f"{path.name}: {violation.invariant} {violation.text}" for violation in pipeline.desk.broken]


def oversized_in(log: Log) -> list[str]:
    """Return what was ever larger than its plan, or closed by more than was open.

    What is bought back is no entry: an attached stop is as large as its entry and sells what the entry's fee had taken too, where the
    account holds more.
    """
    found = []
    books = Books()
    for number, event in enumerate(log.read(), 1):
        books.apply(number, event)
        position = books.positions[event.position_id]
        entered_lots = position.filled_lots - sum(order.filled_lots for order in position.orders if order.role == "flatten")
        if position.instrument.qty(entered_lots) > position.plan.qty or position.open_lots < 0:
            found.append(f"{event.position_id} version {event.version}: {position.filled_lots} in, {position.exited_lots} out")
    return found


def lost_in(outcome: Outcome) -> list[str]:
    """Return what the kills cost: a page that was none of their matter, an execution, a position's end, the books, the record."""
    found = [str(line) for log in outcome.logs for line in log if line.get("code") in ("LATE_EVIDENCE", "OVER_EXIT")]
    told, booked = fills_of(outcome.venue_books), fills_in(outcome.log.events)
    differ = sorted(key for key in {*told, *booked} if told.get(key) != booked.get(key))
    found += [f"execution {key}: the venue has {told.get(key)}, we {booked.get(key)}" for key in differ]
    found += oversized_in(outcome.log)
    found += [f"it rests in the end: {order}" for order in outcome.venue_books["open_orders"]]
    # What has a time stop is out.
    long, short = held_at_venue(outcome.venue_books)
    found += [f"held in the end: {long} long, {short} short"] if long > DUST or short else []
    books = outcome.log.books()
    found += [] if books.ledger.is_balanced else ["the ledger does not balance"]
    left = sum((books.ledger.balance(f"position:{key}", "BTC") for key in books.positions), Decimal(0))
    found += [f"{left} BTC stay in the accounts of positions"] if left else []
    for verdict, broken in verdicts(outcome):
        found += broken if verdict.identical else [str(verdict.divergence), *broken]
    # A life that was killed within its first breath has no session.
    if not 2 <= len(outcome.sessions) <= len(outcome.lives):
        found.append(f"{len(outcome.sessions)} sessions of {len(outcome.lives)} lives")
    return found


def finds_what_is_planted(outcome: Outcome) -> bool:
    """Whether an execution is missed that the venue's books have lost."""
    books = {**outcome.venue_books, "fills": outcome.venue_books["fills"][:-1]}
    return bool(lost_in(replace(outcome, venue_books=books)))
