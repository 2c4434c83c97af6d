"""The gateway: connections, subscriptions and frames between clients and the exchange, with the faults of the way.

Pure: texts and the market time come in, `Send` and `Close` come out in the order in which they are to leave. It keeps
Kraken's habits: a status on connect, an answer with its request's `req_id`, a sequence per private subscription, sparse
entries one to a frame, a heartbeat where a second passes without anything else.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from decimal import Decimal
from random import Random
from typing import Any

from . import executions
from .channels import (
    NO_PRIVATE,
    PRIVATE_CHANNELS,
    SHORT_STATUSES,
    Connection,
    Endpoint,
    checked_channel,
    subscribe_private,
    subscribe_symbol,
    symbols_of,
    unsubscribe,
)
from .delivery import SECOND_NS, Delivery, Effect
from .exchange import Exchange
from .faults import Faults
from .pairs import Pair, instrument_data
from .requests import Params, Refused, add_order
from .settings import System, VenueSettings
from .trading import METHODS, Answer, answers, label_of, refusal
from .wire import WireError, decode, encode, time_text

VERSION = "2.0.10"
_TIMING_US = 40


@dataclass(slots=True)
class Token:
    """A token of the account: usable before `expires_ns`, and longer while a connection keeps it subscribed."""

    expires_ns: int
    holders: set[int] = field(default_factory=set)


class Gateway:
    """All connections of one venue."""

    def __init__(self, pairs: Iterable[Pair], settings: VenueSettings, seed: int, faults: Faults, real_second_ns: int = SECOND_NS) -> None:
        self.settings, self.faults = settings, faults
        self._rng = Random(seed)
        self.exchange = Exchange(pairs, settings, Random(self._rng.getrandbits(64)), faults)
        self._real_second_ns = real_second_ns
        # Not more than 20 heartbeats a real second, however fast the market runs.
        second_ns = SECOND_NS if settings.heartbeat_time == "market" else real_second_ns
        self._heartbeat_ns = max(settings.heartbeat_ms * second_ns // 1000, real_second_ns // 20)
        self._idle_ns = settings.idle_close_real_s * real_second_ns
        self._connections: dict[int, Connection] = {}
        self._tokens: dict[str, Token] = {}
        self._way = Delivery(faults)
        self._count = 0

    # --- the world outside --------------------------------------------------------------------------------------------

    def connect(self, endpoint: Endpoint, now_ns: int) -> tuple[int, list[Effect]]:
        """Open a connection; returns its number and the status frame that greets it."""
        self._count += 1
        connection = Connection(self._count, endpoint, now_ns, now_ns)
        self._connections[connection.number] = connection
        if self.faults.take("accept_and_drop", "connect"):
            self._way.close(connection, 1006, "dropped", cut=True)
        else:
            self._way.send(connection, encode(self._status()), now_ns)
        return connection.number, self._way.flush()

    def disconnect(self, number: int) -> None:
        """A connection is gone; its subscriptions end."""
        connection = self._connections.pop(number, None)
        if connection is not None:
            connection.closing = True
        for token in self._tokens.values():
            token.holders.discard(number)

    def receive(self, number: int, text: str | bytes, now_ns: int) -> list[Effect]:
        """Take one frame from a client and return everything that follows from it."""
        connection = self._connections.get(number)
        if connection is None or connection.closing:
            return []
        self.advance_to(now_ns)
        connection.last_in_ns = now_ns
        try:
            request = decode(text)
        except WireError as error:
            self._answer(connection, "", [refusal(str(error))], {}, now_ns, now_ns)
            return self._way.flush()
        self._handle(connection, request, now_ns, now_ns, first=True)
        self._publish(now_ns)
        return self._way.flush()

    def tick(self, symbol: str, px: Decimal, qty: Decimal, taker_buys: bool, now_ns: int) -> list[Effect]:
        """A print of the market, and everything that follows from it."""
        self.advance_to(now_ns)
        market = self.exchange.markets[symbol]
        touch = market.book.bid, market.book.ask
        row = self.exchange.tick(symbol, px, qty, taker_buys, now_ns)
        if row is not None:
            self._publish_market(symbol, row, touch != (market.book.bid, market.book.ask), now_ns)
        self._publish(now_ns)
        return self._way.flush()

    def advance(self, now_ns: int) -> list[Effect]:
        """Do what is due by `now_ns`: late frames, fired triggers, expiries, heartbeats, idle connections."""
        self.advance_to(now_ns)
        for connection in list(self._connections.values()):
            if connection.closing:
                continue
            if connection.subscribed:
                if now_ns - connection.last_out_ns >= self._heartbeat_ns:
                    connection.last_out_ns = now_ns
                    self._way.send(connection, '{"channel":"heartbeat"}', now_ns)
            elif now_ns - max(connection.last_in_ns, connection.last_out_ns) >= self._idle_ns:
                self._way.close(connection, 1000, "inactive")
        return self._way.flush()

    def next_due_ns(self) -> int | None:
        """Return when `advance` has something to do next, None if nothing waits."""
        dues = [due for due in (self.exchange.next_due_ns(), self._way.next_due_ns()) if due is not None]
        for connection in self._connections.values():
            if not connection.closing:
                quiet_since_ns = max(connection.last_in_ns, connection.last_out_ns)
                dues.append(connection.last_out_ns + self._heartbeat_ns if connection.subscribed else quiet_since_ns + self._idle_ns)
        return min(dues, default=None)

    @property
    def is_busy(self) -> bool:
        """Whether anything waits but heartbeats: a late frame, a timer of the exchange."""
        return self._way.next_due_ns() is not None or self.exchange.next_due_ns() is not None

    def advance_to(self, now_ns: int) -> None:
        """Run the gateway's and the exchange's timers up to `now_ns`, in order of time."""
        while True:
            late_ns, timer_ns = self._way.next_due_ns(), self.exchange.next_due_ns()
            if late_ns is not None and late_ns <= now_ns and (timer_ns is None or late_ns <= timer_ns):
                self._way.run_next()
            elif timer_ns is not None and timer_ns <= now_ns:
                self.exchange.advance(timer_ns)
            else:
                return
            self._publish(now_ns)

    def issue_token(self, text: str, now_ns: int) -> None:
        """Make `text` a token of the account, to be used within its time to live."""
        self._tokens[text] = Token(now_ns + self.settings.token_ttl_real_s * self._real_second_ns)

    def change_system(self, system: System, now_ns: int) -> list[Effect]:
        """Change the market's mode and tell every connection."""
        self.exchange.set_system(system, now_ns)
        data = instrument_data(self.exchange.pairs.values(), system)
        for connection in self._connections.values():
            self._way.send(connection, encode(self._status()), now_ns)
            if connection.instrument:
                self._way.send(connection, encode({"channel": "instrument", "type": "update", "data": data}), now_ns)
        self._publish(now_ns)
        return self._way.flush()

    def act(self, action: Callable[[Exchange, int], object], now_ns: int) -> list[Effect]:
        """Let the account's owner do something at the exchange by hand, and tell the streams."""
        self.advance_to(now_ns)
        action(self.exchange, now_ns)
        self._publish(now_ns)
        return self._way.flush()

    # --- requests -----------------------------------------------------------------------------------------------------

    def _handle(self, connection: Connection, request: dict[str, Any], received_ns: int, now_ns: int, *, first: bool) -> None:
        method = request.get("method")
        params = request.get("params", {})
        if method == "ping":
            self._ping(connection, request, now_ns)
            return
        if not isinstance(method, str) or method not in (*METHODS, "subscribe", "unsubscribe") or not isinstance(params, dict):
            self._answer(connection, "", [refusal("Unsupported event")], request, received_ns, now_ns)
        elif method in ("subscribe", "unsubscribe"):
            self._subscription(connection, method, request, params, now_ns)
        else:
            self._trade(connection, method, request, params, received_ns, now_ns, first)

    def _ping(self, connection: Connection, request: dict[str, Any], now_ns: int) -> None:
        if "params" in request:
            error = refusal("Unsupported field: 'params' for the given msg type: ping")
            self._answer(connection, "ping", [error], request, now_ns, now_ns)
            return
        pong = {"method": "pong", **({"req_id": request["req_id"]} if "req_id" in request else {})}
        self._way.send(connection, encode(pong | self._times(now_ns, now_ns)), now_ns)

    def _trade(
        self, connection: Connection, method: str, request: dict[str, Any], params: Params, received_ns: int, now_ns: int, first: bool
    ) -> None:
        """A trading request, with what may befall it on its way in and its answer on the way out."""
        label = label_of(self.exchange, method, params)
        try:
            self._authorize(connection, params, now_ns)
        except Refused as error:
            self._answer(connection, label, [refusal(str(error))], request, received_ns, now_ns)
            return
        if first and (late := self.faults.take("late_request", label)):
            due_ns = now_ns + int(late.seconds * SECOND_NS)
            self._way.at(due_ns, lambda at_ns: self._handle(connection, request, received_ns, at_ns, first=False))
            return
        if self.faults.take("ack_lost_not_applied", label):
            return
        if self.faults.take("close_before_apply", label):
            self._way.close(connection, 1006, "cut", cut=True)
            return
        if rejection := self.faults.take("reject", label):
            self._answer(connection, label, [refusal(rejection.text)], request, received_ns, now_ns)
            return
        given = answers(self.exchange, method, params, received_ns, now_ns)
        if self.faults.take("close_before_reply", label):
            self._way.close(connection, 1006, "cut", cut=True)
        if not self.faults.take("ack_lost_applied", label):
            self._answer(connection, label, given, request, received_ns, now_ns)
        if self.faults.take("close_after_reply", label):
            self._way.close(connection, 1006, "cut", cut=True)
        self._publish(now_ns)

    def _authorize(self, connection: Connection, params: Params, now_ns: int) -> None:
        if connection.endpoint == "public":
            raise Refused(NO_PRIVATE)
        text = params.get("token")
        if text is None:
            raise Refused("Token(s) not found")
        token = self._tokens.get(text) if isinstance(text, str) else None
        if token is None or (now_ns > token.expires_ns and not token.holders):
            raise Refused("ESession:Invalid session")

    def _subscription(self, connection: Connection, method: str, request: dict[str, Any], params: Params, now_ns: int) -> None:
        if params.get("channel") == "status":
            # The one refusal that names neither method nor req_id (`venues.md` §1.3).
            self._way.send(connection, encode(refusal("Symbol(s) not found")), now_ns)
            return
        try:
            channel = checked_channel(connection, params)
            if channel in PRIVATE_CHANNELS:
                self._authorize(connection, params, now_ns)
            symbols: list[str | None] = [*symbols_of(params)] if channel in ("ticker", "trade") else [None]
        except Refused as error:
            answer = refusal(str(error)) | ({"status": "error"} if str(error).startswith("ESession") else {})
            self._answer(connection, method, [answer], request, now_ns, now_ns)
            return
        for symbol in symbols:
            self._subscribe_one(connection, method, channel, symbol, request, params, now_ns)

    def _subscribe_one(
        self, connection: Connection, method: str, channel: str, symbol: str | None, request: dict[str, Any], params: Params, now_ns: int
    ) -> None:
        try:
            if symbol is not None and symbol not in self.exchange.pairs:
                raise Refused(f"Currency pair not supported {symbol}")
            if method == "unsubscribe":
                result = unsubscribe(connection, channel, symbol)
            elif symbol is not None:
                result = subscribe_symbol(connection, channel, symbol, params)
            elif channel == "instrument":
                connection.instrument = True
                warnings = ["tick_size is deprecated, use price_increment"]
                result = {"channel": channel, "snapshot": params.get("snapshot", True), "warnings": warnings}
            else:
                result = subscribe_private(connection, channel, params, self._max_rate_count())
                self._tokens[params["token"]].holders.add(connection.number)
        except Refused as error:
            answer = refusal(str(error)) | ({"symbol": symbol} if symbol is not None else {})
            self._answer(connection, method, [answer], request, now_ns, now_ns)
            return
        self._answer(connection, method, [{"result": result, "success": True}], request, now_ns, now_ns)
        if method == "subscribe" and (result.get("snapshot") or result.get("snap_trades")):
            self._snapshot(connection, channel, symbol, result, now_ns)

    def _snapshot(self, connection: Connection, channel: str, symbol: str | None, result: dict[str, Any], now_ns: int) -> None:
        data: Any
        if channel == "ticker":
            market = self.exchange.markets[str(symbol)]
            data = [market.tape.ticker(market.book)]
        elif channel == "trade":
            data = list(self.exchange.markets[str(symbol)].tape.recent)
        elif channel == "instrument":
            data = instrument_data(self.exchange.pairs.values(), self.exchange.system)
        elif channel == "balances":
            balances, lists_empty = self.exchange.account.balances, self.settings.lists_empty_balances
            data = [executions.balance_row(asset, balances[asset]) for asset in sorted(balances) if balances[asset] or lists_empty]
        else:
            data = self._executions_snapshot(result, now_ns)
        frame = {"channel": channel, "type": "snapshot", "data": data}
        if channel in connection.private:
            subscription = connection.private[channel]
            subscription.sequence += 1
            frame["sequence"] = subscription.sequence
            if channel == "executions" and not subscription.ratecounter:
                frame["data"] = [{name: value for name, value in entry.items() if name != "ratecount"} for entry in data]
        self._way.send(connection, encode(frame), now_ns)

    def _executions_snapshot(self, result: dict[str, Any], now_ns: int) -> list[dict[str, Any]]:
        entries: list[dict[str, Any]] = []
        if result["snap_orders"]:
            entries += [executions.open_order(order, now_ns) for order in self.exchange.open_orders()]
        if result["snap_trades"]:
            past = reversed(self.exchange.account.fills[-self.settings.snapshot_trades :])
            entries += [executions.past_trade(fill, self.settings.snapshot_userref) for fill in past]
        if entries and self.faults.take("truncated_snapshot", "snapshot:executions"):
            entries = entries[: len(entries) // 2]
        return entries

    # --- frames out ---------------------------------------------------------------------------------------------------

    def _answer(
        self, connection: Connection, label: str, given: list[Answer], request: dict[str, Any], received_ns: int, now_ns: int
    ) -> None:
        method, req_id = request.get("method"), request.get("req_id")
        for answer in given:
            frame: dict[str, Any] = {"method": method} if isinstance(method, str) else {}
            if isinstance(req_id, int):
                frame["req_id"] = req_id
            self._way.deliver(connection, encode(frame | answer | self._times(received_ns, now_ns)), f"reply:{label}", now_ns)

    def _publish(self, now_ns: int) -> None:
        """Send what happened at the exchange to the private subscriptions, one entry to a frame."""
        for channel, label, entry in self.exchange.drain():
            for connection in list(self._connections.values()):
                subscription = connection.private.get(channel)
                if subscription is None or connection.closing:
                    continue
                if channel == "executions" and not subscription.order_status and entry["exec_type"] not in SHORT_STATUSES:
                    continue
                told = entry if subscription.ratecounter else {name: value for name, value in entry.items() if name != "ratecount"}
                if self.faults.take("zero_price", label):
                    told = {**told, "last_price": Decimal(0)}
                subscription.sequence += 2 if self.faults.take("sequence_gap", label) else 1
                frame = {"channel": channel, "type": "update", "data": [told], "sequence": subscription.sequence}
                self._way.deliver(connection, encode(frame), label, now_ns)

    def _publish_market(self, symbol: str, row: dict[str, Any], touch_moved: bool, now_ns: int) -> None:
        trade = ticker = ""
        for connection in list(self._connections.values()):
            if symbol in connection.trade:
                trade = trade or encode({"channel": "trade", "type": "update", "data": [row]})
                self._way.deliver(connection, trade, f"trade:{symbol}", now_ns)
            if symbol in connection.ticker and (touch_moved or connection.ticker[symbol] == "trades"):
                if not ticker:
                    market = self.exchange.markets[symbol]
                    ticker = encode({"channel": "ticker", "type": "update", "data": [market.tape.ticker(market.book)]})
                self._way.deliver(connection, ticker, f"ticker:{symbol}", now_ns)

    def _status(self) -> dict[str, Any]:
        row: dict[str, Any] = {"api_version": "v2", "system": self.exchange.system, "version": VERSION}
        if self.exchange.system != "maintenance":
            row["connection_id"] = self._rng.getrandbits(63) | 1 << 63
        return {"channel": "status", "data": [row], "type": "update"}

    def _times(self, received_ns: int, now_ns: int) -> dict[str, str]:
        return {"time_in": time_text(received_ns), "time_out": time_text(now_ns + _TIMING_US * 1000)}

    def _max_rate_count(self) -> int:
        return next(iter(self.exchange.markets.values())).rates.limits.threshold


def owner_order(exchange: Exchange, params: Params, now_ns: int) -> str:
    """Place an order as the account's owner by hand, outside of any rate limit. Returns its id. Raises Refused."""
    order = exchange.add(add_order(params, exchange.pairs, now_ns), now_ns)
    assert order is not None
    return order.order_id
