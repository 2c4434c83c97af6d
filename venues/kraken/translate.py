"""Kraken's text in, facts and messages out; commands in, text out. Pure, stateful, deterministic.

The same frames and commands in the same order give the same output: request ids come from a counter, time from the
arguments. `decode` never raises: what it cannot read comes back as `FrameRefused`. A reply to a request says only that the
venue took or refused it; state comes from the executions channel.
"""

import zlib
from collections import deque
from collections.abc import Callable, Collection, Iterable
from decimal import Decimal
from typing import Any

import msgspec

from events.commands import AmendOrder, OrderCommand, SubmitOrder, is_risk_increasing
from events.errors import BadInput
from events.facts import AmendRejected, CancelRejected, OrderFilled, OrderRejected, OutcomeUnknown
from events.values import Instrument, Side, positive_decimal_from

from ..messages import (
    BalanceChanged,
    BalancesListed,
    Channel,
    DeadManAnswered,
    FrameRefused,
    Heartbeat,
    InstrumentsListed,
    Operation,
    Ponged,
    QuoteChanged,
    RequestAccepted,
    SequenceGap,
    SubscriptionAcked,
    SubscriptionRefused,
    TokenRefused,
    TradePrinted,
    UnmatchedReply,
    VenueStatus,
)
from . import codec, encode, executions
from .budget import RateBudget
from .errors import is_token_refused, refusal_from
from .executions import Output
from .fitting import fitted_from
from .lookups import Lookups
from .orders import Orders
from .times import ns_from_rfc3339

# Requests that wait for a reply at once: far above any rate limit of the venue; beyond it the oldest is given up.
PENDING_KEPT = 4096
# Requests of the session itself (subscriptions, pings) are numbered from here, so that the two never meet.
SESSION_REQ_ID_BASE = 1_000_000_000

# Far above any tier's limit: more than that is no count.
MAX_COUNT = 1_000_000_000

_PRIVATE_CHANNELS = ("executions", "balances")
# Replies whose times tell how far the venue's clock is from ours; less than `SKEW_NOTED_NS` is how long they took.
REPLIES_TIMED = 5
SKEW_NOTED_NS = 500_000_000


class Outbound(msgspec.Struct, frozen=True, kw_only=True):
    """A request to send: its number, and its text with `encode.TOKEN_PLACEHOLDER` where the token goes."""

    req_id: int
    frame_text: str


class _Pending(msgspec.Struct, frozen=True):
    operation: Operation
    client_order_id: str
    venue_order_id: str
    # False: the request names the order in a way that Kraken cannot know (an amend takes no `order_userref`).
    is_named: bool


class KrakenTranslator:
    """Translates for one account and one engine, whose client order ids start with `namespace`.

    `lookups` asks by REST about orders of `symbols`, and with `asks_ledgers` about the fees of executions; `budget` counts what orders
    cost of the venue's rate limit.
    """

    def __init__(self, namespace: str, symbols: Iterable[str] = (), *, asks_ledgers: bool = False) -> None:
        self._orders = Orders(namespace, asks_ledgers)
        self.lookups = Lookups(self._orders, symbols)
        self.budget = RateBudget()
        self._pending: dict[int, _Pending] = {}
        self._switches: dict[int, int] = {}
        self._next_req_id = 1
        self._next_sequence: dict[str, int] = {}
        self._balances_asked_ns = 0
        self._ahead_ns: deque[int] = deque(maxlen=REPLIES_TIMED)
        self._handlers: dict[type[Any], Callable[[Any, int, str], list[Output]]] = {
            codec.ExecutionsFrame: self._from_executions,
            codec.BalancesFrame: self._from_balances,
            codec.TickerFrame: self._from_ticker,
            codec.TradeFrame: self._from_trades,
            codec.InstrumentFrame: self._from_instruments,
            codec.StatusFrame: self._from_status,
            codec.HeartbeatFrame: self._from_heartbeat,
            codec.Reply: self._from_reply,
        }

    # --- in ---------------------------------------------------------------------------------------------------------

    def decode(self, text: str, ts_recv_ns: int) -> tuple[Output, ...]:
        """Return the facts and messages of one frame, in the order in which they are to be taken. Never raises."""
        output: list[Output] = []
        if self._orders.is_holding:
            output += executions.release(self._orders, ts_recv_ns)
        elif text == codec.HEARTBEAT_TEXT:
            return (Heartbeat(ts_recv_ns=ts_recv_ns),)
        oddities: tuple[str, ...] = ()
        try:
            frame = codec.frame_from(text)
        except codec.Unreadable as problem:
            fitted = fitted_from(text) if problem.code == "bad_body" else None
            if fitted is None:
                output.append(FrameRefused(code=problem.code, reason=problem.problem, raw=text, ts_recv_ns=ts_recv_ns))
                return tuple(output)
            frame, oddities = fitted
        output += self._handlers[type(frame)](frame, ts_recv_ns, text)
        output += [FrameRefused(code="bad_entry", reason=odd, raw=text, ts_recv_ns=ts_recv_ns) for odd in oddities]
        if self._orders.is_holding:
            output += executions.release(self._orders, ts_recv_ns)
        return tuple(output)

    def reset_link(self, channel: Channel) -> None:
        """Note that a socket was closed: its numbering starts anew, and what was sent over it is not answered any more."""
        if channel == "private":
            self._next_sequence.clear()
            self._pending.clear()
            self._switches.clear()

    def restore(
        self,
        orders: Iterable[tuple[str, str]],
        attached: Iterable[SubmitOrder],
        trade_ids: Iterable[str],
        behind_gap: Iterable[str] = (),
        over: Collection[str] = (),
        feeless: Iterable[tuple[str, OrderFilled]] = (),
    ) -> None:
        """Note what the log knows, before the first frame.

        Args:
            orders: (client order id, venue order id) of the orders that the log knows by both.
            attached: entries with an attached stop, which the venue knows by a number only.
            trade_ids: execution ids that are booked, the oldest first.
            behind_gap: those of them before which executions may be missing.
            over: client order ids of those of `attached` that have ended and of which every attached stop is known.
            feeless: (symbol, execution) of which it is not known yet in which asset the fee was taken.

        Without it children of earlier entries and executions of earlier orders would look foreign after a restart, and a
        snapshot could not prove that it is complete.
        """
        for entry in attached:
            is_over = entry.client_order_id in over
            self._orders.tag(order_userref_of(entry.client_order_id), entry, is_new=False, is_over=is_over)
        for client_order_id, venue_order_id in orders:
            self._orders.bind(client_order_id, venue_order_id)
        self._orders.restore_trades(trade_ids, behind_gap)
        self._orders.feeless.update((fact.trade_id, (symbol, fact)) for symbol, fact in feeless)

    @property
    def is_settled(self) -> bool:
        """True while nothing that the venue said is held back until it is known whose it is."""
        return not self._orders.is_holding

    def open_gap(self) -> None:
        """Note that the last list may lack executions although it looks whole: something else belies it."""
        self._orders.open_gap()

    @property
    def has_gap(self) -> bool:
        """True while executions may be missing among those that were told."""
        return self._orders.has_gap

    def known_client_id(self, venue_order_id: str) -> str:
        """Return our client id of a venue's order, "" if it is not ours or has none."""
        return self._orders.client_order_id_of(venue_order_id)

    def known_venue_id(self, client_order_id: str) -> str:
        """Return the venue's id of an order of ours, "" until it is known."""
        return self._orders.venue_order_id_of(client_order_id)

    # --- out --------------------------------------------------------------------------------------------------------

    def encode(self, command: OrderCommand, now_ns: int) -> Outbound:
        """Return the request of a command, and remember whose reply to expect under its number."""
        req_id = self._next_req_id
        if isinstance(command, SubmitOrder):
            operation: Operation = "submit"
            venue_order_id = ""
            userref = 0
            if command.attached is not None:
                userref = order_userref_of(command.client_order_id)
                self._orders.tag(userref, command)
            text = encode.encode_submit(command, req_id, now_ns, userref, self._venue_ahead_ns())
            self._orders.expect(command.client_order_id, now_ns)
        else:
            venue_order_id = command.venue_order_id or self._orders.venue_order_id_of(command.client_order_id)
            userref = self._orders.tag_of(order_userref_of(command.client_order_id), command.client_order_id)
            if isinstance(command, AmendOrder):
                operation = "amend"
                text = encode.encode_amend(command, req_id, venue_order_id, now_ns, self._venue_ahead_ns())
            else:
                operation = "cancel"
                text = encode.encode_cancel(command, req_id, venue_order_id, userref)
        if not is_risk_increasing(command):
            # An entry may wait: it is counted as it leaves.
            self.budget.charge(command, now_ns)
        is_named = operation != "amend" or bool(venue_order_id) or not userref
        self._pending[req_id] = _Pending(operation, command.client_order_id, venue_order_id, is_named)
        if len(self._pending) > PENDING_KEPT:
            del self._pending[next(iter(self._pending))]
        self._next_req_id += 1
        return Outbound(req_id=req_id, frame_text=text)

    def encode_dead_man(self, timeout_secs: int) -> str:
        """Return the frame that sets the account's dead-man switch (0 switches it off), and remember to expect its reply."""
        req_id = self._next_req_id
        self._next_req_id += 1
        self._switches[req_id] = timeout_secs
        return encode.encode_cancel_all_after(timeout_secs, req_id)

    def _venue_ahead_ns(self) -> int:
        # Deadlines are compared with the venue's clock: by one of ours that is seconds behind no exit would ever be taken.
        # The middle one, so that neither a single late reply nor a single wrong time decides.
        ahead_ns = sorted(self._ahead_ns)[len(self._ahead_ns) // 2] if self._ahead_ns else 0
        return ahead_ns if abs(ahead_ns) >= SKEW_NOTED_NS else 0

    # --- account ----------------------------------------------------------------------------------------------------

    def _from_executions(self, frame: codec.ExecutionsFrame, ts_recv_ns: int, text: str) -> list[Output]:
        output = self._gap("executions", frame.type, frame.sequence, ts_recv_ns)
        if output:
            self._orders.open_gap()
        read = executions.snapshot if frame.type == "snapshot" else executions.update
        if frame.type == "update":
            # A snapshot repeats the counts of old.
            self._count(frame.data, ts_recv_ns)
        return output + read(self._orders, frame.data, ts_recv_ns, text)

    def _count(self, entries: Iterable[codec.ExecEntry], ts_recv_ns: int) -> None:
        for entry in entries:
            symbol = entry.symbol or self._orders.symbol_of(entry.order_id)
            if symbol and type(entry.ratecount) is int and 0 <= entry.ratecount < MAX_COUNT:
                self.budget.learn_count(symbol, entry.ratecount, ts_recv_ns)

    def _from_balances(self, frame: codec.BalancesFrame, ts_recv_ns: int, text: str) -> list[Output]:
        output = self._gap("balances", frame.type, frame.sequence, ts_recv_ns)
        is_list = frame.type == "snapshot"
        for entry in frame.data:
            try:
                balance = codec.number(entry.balance, "balances.balance")
            except BadInput as problem:
                output.append(_bad_entry(problem, text, ts_recv_ns))
            else:
                output.append(
                    BalanceChanged(
                        asset=entry.asset,
                        balance=balance,
                        # That `ref_id` is the execution's id is not verified [NV]; without one that fits, only later lines count.
                        of_trade=None if is_list else entry.ref_id or "",
                        ts_event_ns=self._balances_asked_ns if is_list else ns_from_rfc3339(entry.timestamp),
                        ts_recv_ns=ts_recv_ns,
                    )
                )
        if is_list:
            assets = frozenset(entry.asset for entry in frame.data)
            output.append(BalancesListed(assets=assets, ts_event_ns=self._balances_asked_ns, ts_recv_ns=ts_recv_ns))
        return output

    def _gap(self, channel: str, frame_type: str, sequence: int | None, ts_recv_ns: int) -> list[Output]:
        # Numbers start at 1 with the snapshot of each subscription and rise by one. A lower one than expected is a frame
        # that came twice or late: nothing is missing, and its facts are taken like any other.
        if sequence is None:
            return []
        expected = 1 if frame_type == "snapshot" else self._next_sequence.get(channel, 1)
        if frame_type == "snapshot":
            self._next_sequence[channel] = sequence + 1
            return []
        self._next_sequence[channel] = max(sequence + 1, expected)
        if sequence <= expected:
            return []
        return [SequenceGap(channel=channel, expected=expected, got=sequence, ts_recv_ns=ts_recv_ns)]

    # --- replies ----------------------------------------------------------------------------------------------------

    def _from_reply(self, reply: codec.Reply, ts_recv_ns: int, text: str) -> list[Output]:
        ts_event_ns = ns_from_rfc3339(reply.time_in)
        if ts_event_ns:
            self._ahead_ns.append(ts_event_ns - ts_recv_ns)
        if reply.method == "pong":
            return [Ponged(req_id=reply.req_id, ts_event_ns=ts_event_ns, ts_recv_ns=ts_recv_ns)]
        pending = self._pending.pop(reply.req_id, None) if reply.req_id is not None else None
        refused = "" if reply.success else reply.error or "refused without a reason"
        output: list[Output] = []
        if refused and is_token_refused(refused):
            output.append(TokenRefused(text=refused, ts_event_ns=ts_event_ns, ts_recv_ns=ts_recv_ns))
        if pending is not None:
            output.append(self._from_order_reply(pending, reply, refused, ts_event_ns, ts_recv_ns))
        elif reply.req_id is not None and reply.req_id in self._switches:
            timeout_secs = self._switches.pop(reply.req_id)
            output.append(DeadManAnswered(timeout_secs=timeout_secs, text=refused, ts_event_ns=ts_event_ns, ts_recv_ns=ts_recv_ns))
        elif reply.method in ("subscribe", "unsubscribe"):
            output.append(self._from_subscription(reply, refused, ts_event_ns, ts_recv_ns))
        else:
            output.append(
                UnmatchedReply(method=reply.method, req_id=reply.req_id, text=refused, ts_event_ns=ts_event_ns, ts_recv_ns=ts_recv_ns)
            )
        return output

    def _from_order_reply(self, pending: _Pending, reply: codec.Reply, refused: str, ts_event_ns: int, ts_recv_ns: int) -> Output:
        client_order_id = pending.client_order_id
        venue_order_id = reply.result_text("order_id") or pending.venue_order_id
        if not refused:
            if pending.operation == "submit" and venue_order_id:
                self._orders.bind(client_order_id, venue_order_id)
            return RequestAccepted(
                operation=pending.operation,
                client_order_id=client_order_id,
                venue_order_id=venue_order_id,
                ts_event_ns=ts_event_ns,
                ts_recv_ns=ts_recv_ns,
            )
        refusal = refusal_from(refused)
        ids: dict[str, Any] = {
            "client_order_id": client_order_id,
            "venue_order_id": venue_order_id,
            "ts_event_ns": ts_event_ns,
            "ts_recv_ns": ts_recv_ns,
        }
        if not refusal.is_outcome_known:
            return OutcomeUnknown(operation=pending.operation, reason=refused, **ids)
        if pending.operation == "amend":
            # "Unknown order" is no news of an order that the venue could not have found.
            return AmendRejected(reject_class=refusal.reject_class if pending.is_named else "other", text=refused, **ids)
        if pending.operation == "cancel":
            return CancelRejected(reject_class=refusal.reject_class, text=refused, **ids)
        self._orders.refuse(client_order_id)
        return OrderRejected(reject_class=refusal.reject_class, text=refused, **ids)

    def _from_subscription(self, reply: codec.Reply, refused: str, ts_event_ns: int, ts_recv_ns: int) -> Output:
        symbol = reply.result_text("symbol") or reply.symbol or ""
        if refused:
            refusal = refusal_from(refused)
            return SubscriptionRefused(
                symbol=symbol, reject_class=refusal.reject_class, text=refused, ts_event_ns=ts_event_ns, ts_recv_ns=ts_recv_ns
            )
        channel = reply.result_text("channel")
        limit = reply.result.get("maxratecount") if isinstance(reply.result, dict) else None
        if type(limit) is int and 0 < limit <= MAX_COUNT:
            self.budget.learn_limit(limit)
        is_ended = reply.method == "unsubscribe"
        if channel == "balances" and not is_ended:
            # Its list, which has no time, comes behind this on the same connection.
            self._balances_asked_ns = ts_event_ns
        if is_ended and channel in _PRIVATE_CHANNELS:
            # The next subscription counts from 1 again, also if its snapshot is lost on the way.
            self._next_sequence.pop(channel, None)
        return SubscriptionAcked(channel=channel, symbol=symbol, ended=is_ended, ts_event_ns=ts_event_ns, ts_recv_ns=ts_recv_ns)

    # --- market -----------------------------------------------------------------------------------------------------

    def _from_ticker(self, frame: codec.TickerFrame, ts_recv_ns: int, text: str) -> list[Output]:
        output: list[Output] = []
        for entry in frame.data:
            # One bad price costs its entry, not its frame.
            try:
                quote = QuoteChanged(
                    symbol=entry.symbol,
                    bid=_price(entry.bid, "ticker.bid"),
                    ask=_price(entry.ask, "ticker.ask"),
                    last=_price(entry.last, "ticker.last"),
                    ts_event_ns=ns_from_rfc3339(entry.timestamp),
                    ts_recv_ns=ts_recv_ns,
                )
            except BadInput as problem:
                output.append(_bad_entry(problem, text, ts_recv_ns))
            else:
                output.append(quote)
        return output

    def _from_trades(self, frame: codec.TradeFrame, ts_recv_ns: int, text: str) -> list[Output]:
        output: list[Output] = []
        for entry in frame.data:
            try:
                trade = TradePrinted(
                    symbol=entry.symbol,
                    px=_price(entry.price, "trade.price"),
                    qty=_price(entry.qty, "trade.qty"),
                    taker_side=_TAKER_SIDES.get(entry.side or ""),
                    trade_id=str(entry.trade_id)[:40],
                    ts_event_ns=ns_from_rfc3339(entry.timestamp),
                    ts_recv_ns=ts_recv_ns,
                )
            except BadInput as problem:
                output.append(_bad_entry(problem, text, ts_recv_ns))
            else:
                output.append(trade)
        return output

    def _from_instruments(self, frame: codec.InstrumentFrame, ts_recv_ns: int, text: str) -> list[Output]:
        output: list[Output] = []
        instruments: list[Instrument] = []
        statuses: list[str] = []
        for pair in frame.data.pairs:
            try:
                instruments.append(_instrument_from(pair))
                statuses.append(pair.status)
            except BadInput as problem:
                output.append(_bad_entry(problem, text, ts_recv_ns))
        return [InstrumentsListed(instruments=tuple(instruments), statuses=tuple(statuses), ts_recv_ns=ts_recv_ns), *output]

    def _from_status(self, frame: codec.StatusFrame, ts_recv_ns: int, text: str) -> list[Output]:
        return [VenueStatus(system=entry.system, ts_recv_ns=ts_recv_ns) for entry in frame.data]

    def _from_heartbeat(self, frame: codec.HeartbeatFrame, ts_recv_ns: int, text: str) -> list[Output]:
        return [Heartbeat(ts_recv_ns=ts_recv_ns)]


_TAKER_SIDES = {"buy": Side.BUY, "sell": Side.SELL}


def order_userref_of(client_order_id: str) -> int:
    """Return the number that stands for a client id where Kraken takes none: 31 bits, never 0 (which means unset)."""
    return zlib.crc32(client_order_id.encode()) & 0x7FFF_FFFF or 1


def _price(value: Any, place: str) -> Decimal:
    price = codec.number(value, place)
    # A price of 0 triggers nothing (I15).
    return price if price > 0 else positive_decimal_from(price, place)


def _instrument_from(pair: codec.PairEntry) -> Instrument:
    increment = pair.price_increment if pair.price_increment is not None else pair.tick_size
    place = f"instrument {pair.symbol}"
    return Instrument(
        symbol=pair.symbol,
        base=pair.base,
        quote=pair.quote,
        price_increment=_price(increment, f"{place} price_increment"),
        size_increment=_price(pair.qty_increment, f"{place} qty_increment"),
        min_qty=codec.number(pair.qty_min, f"{place} qty_min"),
        min_cost=codec.number(pair.cost_min, f"{place} cost_min") if pair.cost_min is not None else Decimal(0),
        marginable=pair.marginable,
    )


def _bad_entry(problem: BadInput, text: str, ts_recv_ns: int) -> FrameRefused:
    return FrameRefused(code="bad_entry", reason=str(problem), raw=text, ts_recv_ns=ts_recv_ns)
