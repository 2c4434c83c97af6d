"""The exchange: one account's orders against a tape of prints and a synthetic book, by Kraken's rules.

Pure and deterministic: no clock (every call is told `now_ns`), no randomness but the generator passed in. A call changes
the books and leaves what happened, as channel entries in the order in which it happened, for `drain()`.

- A print moves the book, then fills resting limits in price-time order, then fires triggers (`book.py`, `armed.py`).
- A market order walks the book's depth and fills in parts. Own orders never match each other; own trades are not printed.
- A fired trigger becomes a market (or limit) order `trigger_latency_ms` later.
- Spot orders hold their funds; a margin order needs initial margin for what it opens; reduce-only is checked when it
  executes (and at entry, unless it waits for a trigger).
- Absent: liquidation, rollover fees, self-trade prevention, icebergs, scheduled orders, orders in quote quantity.
"""

import heapq
from collections.abc import Callable, Iterable, Sequence
from decimal import Decimal
from random import Random
from typing import Any

from . import admission, executions
from .account import Account
from .armed import Armed
from .book import Resting, SyntheticBook
from .executions import Entry, Fill, LedgerLine
from .faults import Faults
from .orders import Order
from .pairs import Pair
from .rates import LIMITS, RateCounter, amend_points, cancel_points
from .requests import AddOrder, AmendOrder, Refused, lots_of, make_trigger, ticks_of
from .settings import System, VenueSettings
from .tape import Tape

MS_NS = 1_000_000
MATCHING: tuple[System, ...] = ("online", "limit_only")
_LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"


class Market:
    """One pair's tape, book and waiting orders."""

    def __init__(self, pair: Pair, settings: VenueSettings, rng: Random) -> None:
        self.pair, self.settings, self.rng = pair, settings, rng
        self.tape = Tape(pair, rng.randrange(10_000_000, 90_000_000))
        self.book = SyntheticBook(rng, settings.spread_ticks, 1)
        self.resting = Resting()
        self.armed = Armed()
        self.rates = RateCounter(LIMITS[settings.tier])
        self.open_orders = 0

    def open_book(self, px: Decimal) -> None:
        """Size the book's depth from the first price."""
        depth_lots = int(self.settings.depth_cost / px / self.pair.instrument.size_increment)
        self.book = SyntheticBook(self.rng, self.settings.spread_ticks, depth_lots)


class Exchange:
    """Orders, matching and timers of one account over several pairs."""

    def __init__(self, pairs: Iterable[Pair], settings: VenueSettings, rng: Random, faults: Faults) -> None:
        self.settings, self.rng, self.faults = settings, rng, faults
        self.system: System = "online"
        self.account = Account(settings.balances, settings.taker_fee_bps, settings.maker_fee_bps, settings.stops_hold_funds)
        self.markets = {pair.symbol: Market(pair, settings, rng) for pair in pairs}
        self.pairs = {symbol: market.pair for symbol, market in self.markets.items()}
        self.orders: dict[str, Order] = {}
        self._open: dict[str, Order] = {}
        self._by_client: dict[str, Order] = {}
        self._rank = 0
        self._entries: list[tuple[str, str, Entry]] = []
        self._timers: list[tuple[int, int, Callable[[int], None]]] = []
        self._dead_man_ns: int | None = None
        # Stops that fired before the market shut, and are to execute once it opens.
        self._waiting: list[Order] = []

    # --- time and market ----------------------------------------------------------------------------------------------

    def tick(self, symbol: str, px: Decimal, qty: Decimal, taker_buys: bool, now_ns: int) -> dict[str, Any] | None:
        """A print of somebody else: move the book, fill resting limits, fire triggers.

        Prices and quantities are put on the pair's grid (nearest tick, at least one lot). What is not above zero is no
        print: nothing changes and None is returned, else the row of the trade channel.
        """
        market = self.markets[symbol]
        listed = market.pair.instrument
        px_ticks = int((px / listed.price_increment).to_integral_value())
        if px_ticks <= 0 or qty <= 0:
            return None
        lots = max(1, listed.floor_lots(qty))
        if not market.tape.last_ticks:
            market.open_book(px)
        row = market.tape.print(px_ticks, lots, taker_buys, now_ns)
        market.book.move(px_ticks, taker_buys)
        if self.system in MATCHING:
            for order, filled in market.resting.reached(px_ticks, taker_buys, lots):
                if order.is_open:
                    assert order.limit_ticks is not None
                    self._execute(order, [(order.limit_ticks, filled)], True, now_ns)
            fired, moved = market.armed.price(px_ticks)
            for order in moved:
                self._report_trail(order, now_ns)
            for order in fired:
                self._fire(order, px_ticks, now_ns)
        return row

    def advance(self, now_ns: int) -> None:
        """Do what is due by `now_ns`: fired triggers, expiries, the dead-man switch."""
        while self._timers and self._timers[0][0] <= now_ns:
            due_ns, _, action = heapq.heappop(self._timers)
            action(due_ns)

    def next_due_ns(self) -> int | None:
        """Return when `advance` has something to do, None if nothing waits."""
        return self._timers[0][0] if self._timers else None

    def drain(self) -> list[tuple[str, str, Entry]]:
        """Return (channel, label, entry) of everything since the last call, in order, and forget it."""
        entries, self._entries = self._entries, []
        return entries

    # --- orders -------------------------------------------------------------------------------------------------------

    def charge(self, symbol: str, points_twice: int, now_ns: int) -> None:
        """Charge a pair's rate counter (half points). Raises Refused when it is exceeded."""
        if not self.markets[symbol].rates.charge(points_twice, now_ns):
            raise Refused("EOrder:Rate limit exceeded")

    def add(self, request: AddOrder, now_ns: int) -> Order | None:
        """Place an order; None where it was only to be validated. Raises Refused, and then nothing has changed."""
        order = self._checked(request, now_ns)
        if request.validate:
            return None
        self._place(order, now_ns)
        return order

    def find(self, order_id: str = "", cl_ord_id: str = "") -> Order | None:
        """Return the open order of that id, else None."""
        return self._open.get(order_id) if order_id else self._by_client.get(cl_ord_id)

    def amend(self, request: AmendOrder, now_ns: int) -> tuple[str, Order]:
        """Change an open order in place: quantity, limit price or trigger price. Returns (amend id, order).

        Fills and, where possible, queue place are kept. A quantity at or below the filled one cancels the rest (K2). A
        trailing stop takes a new pct or quote offset and keeps its peak.

        Raises:
            Refused: nothing has changed, except that the rate counter was charged.
        """
        order = self._known(request.order_id, request.cl_ord_id)
        market = self.markets[order.pair.symbol]
        admission.gate(self.system, "amend")
        self.charge(order.pair.symbol, 2 * amend_points(now_ns - order.touched_ns), now_ns)
        if order.is_armed and self.faults.take("trigger_during_amend", f"amend_order:{_kind(order)}"):
            market.armed.remove(order)
            self._fire(order, market.tape.last_ticks, now_ns)
        if order.state == "triggered":
            raise Refused("EOrder:Invalid order")
        if now_ns > request.deadline_ns:
            raise Refused("EService:Deadline elapsed")
        lots = order.lots if request.order_qty is None else self._amended_lots(order, request.order_qty)
        limit_ticks = order.limit_ticks if request.limit_price is None else ticks_of(request.limit_price, order.pair)
        if order.limit_ticks is None and limit_ticks is not None:
            raise Refused("EGeneral:Invalid arguments:limit_price")
        trigger = None
        if request.trigger_price is not None:
            if not order.is_armed:
                raise Refused("EGeneral:Invalid arguments:trigger_price")
            price = Decimal(request.trigger_price)
            trigger = make_trigger(order.order_type, order.buying, price, request.trigger_price_type, order.pair)
        post_only = (order.post_only or request.post_only) and not order.is_armed
        if limit_ticks is not None and post_only and market.book.crosses(order.buying, limit_ticks):
            raise Refused("EOrder:Post only order")
        self._check_amended(order, lots, limit_ticks)

        order.amended, order.touched_ns = True, now_ns
        moved = limit_ticks != order.limit_ticks
        market.resting.remove(order)
        order.lots, order.limit_ticks = lots, limit_ticks
        if trigger is not None:
            self._re_trigger(order, trigger.price, request, market)
        self._emit(order, executions.amended(order, now_ns), now_ns)
        if order.leaves_lots <= 0:
            self._end(order, "canceled", now_ns, "User requested")
        else:
            self.account.hold(order, self._hold_price(order))
            if order.limit_ticks is not None and not order.is_armed:
                self._work_limit(order, now_ns, keep_queue=not moved)
            elif order.is_armed and order.trigger is not None and order.trigger.reached(market.tape.last_ticks):
                market.armed.remove(order)
                self._fire(order, market.tape.last_ticks, now_ns)
        return self._id("1"), order

    def cancel(self, order_id: str, cl_ord_id: str, now_ns: int) -> Order:
        """Cancel an open order. Raises Refused: not open, or the rate counter is exceeded."""
        order = self._known(order_id, cl_ord_id)
        admission.gate(self.system, "cancel")
        self.charge(order.pair.symbol, 2 * cancel_points(now_ns - order.touched_ns), now_ns)
        label = f"cancel_order:{_kind(order)}"
        if self.faults.take("fill_after_cancel_ack", label):
            self._at(now_ns + self.settings.trigger_latency_ms * MS_NS, lambda due_ns: self._force(order, order.leaves_lots, due_ns))
            return order
        if self.faults.take("fill_during_cancel", label):
            self._force(order, order.leaves_lots, now_ns)
        elif self.faults.take("partial_fill_during_cancel", label):
            self._force(order, order.leaves_lots // 2, now_ns)
        if not order.is_open:
            raise Refused("EOrder:Unknown order")
        self._end(order, "canceled", now_ns, "User requested")
        return order

    def cancel_many(self, orders: Sequence[Order], now_ns: int, reason: str = "User requested") -> int:
        """Cancel open orders, charged like a batch: above the limit it is still carried out. Returns how many."""
        for order in orders:
            points = cancel_points(now_ns - order.touched_ns)
            self.markets[order.pair.symbol].rates.charge(2 * points, now_ns, forced=True)
            self._end(order, "canceled", now_ns, reason)
        return len(orders)

    def open_orders(self) -> list[Order]:
        """Return the open orders, oldest first."""
        return list(self._open.values())

    def cancel_all_after(self, timeout_s: int, now_ns: int) -> int | None:
        """Arm the dead-man switch, or disarm it with 0. Returns when it is due: every order is cancelled then, once."""
        due_ns = self._dead_man_ns = now_ns + timeout_s * 1_000_000_000 if timeout_s else None
        if due_ns is not None:
            self._at(due_ns, lambda at_ns: self._dead_man(due_ns, at_ns))
        return due_ns

    # --- what others do to the account --------------------------------------------------------------------------------

    def change_balance(self, asset: str, amount: Decimal, now_ns: int) -> None:
        """A deposit, or a withdrawal of at most what is free. Raises Refused."""
        if amount < 0 and -amount > self.account.free(asset):
            raise Refused("EFunding:Insufficient funds")
        self.account.balances[asset] += amount
        kind = "deposit" if amount >= 0 else "withdrawal"
        self._ledger([(asset, kind, amount, Decimal(0))], self._id("R"), now_ns)

    def execute(self, order: Order, qty: Decimal, now_ns: int) -> None:
        """Let an open order execute `qty` now: a limit at its price, a stop as if its trigger had fired."""
        self._force(order, order.pair.instrument.floor_lots(qty), now_ns)

    def expire(self, order: Order, now_ns: int) -> None:
        """Let an open order expire."""
        self._end(order, "expired", now_ns, "Order expired")

    def tell_again(self, order: Order, exec_type: str, now_ns: int) -> None:
        """Tell `new`, `filled`, `canceled` or `expired` of an order once more, whatever it is."""
        entry = executions.new(order, now_ns) if exec_type == "new" else executions.ended(order, exec_type, now_ns, "User requested")
        self._emit(order, entry, now_ns)

    def set_system(self, system: System, now_ns: int) -> None:
        """Change what the market takes: online, cancel_only, post_only, limit_only or maintenance."""
        self.system = system
        if system in MATCHING:
            fired, self._waiting = self._waiting, []
            for order in fired:
                self._run_triggered(order, now_ns)

    # --- checks -------------------------------------------------------------------------------------------------------

    def _checked(self, request: AddOrder, now_ns: int) -> Order:
        """Build the order if mode, limits, prices and funds allow it. Raises Refused."""
        admission.gate(self.system, "add", request)
        market = self.markets[request.pair.symbol]
        if not market.tape.last_ticks:
            raise Refused("EService:Unavailable")
        if self.find(cl_ord_id=request.cl_ord_id) is not None:
            raise Refused("EGeneral:Invalid arguments:cl_ord_id is already used by an open order")
        if market.open_orders >= market.rates.limits.open_orders:
            raise Refused("EOrder:Orders limit exceeded")
        if now_ns > request.deadline_ns:
            raise Refused("EService:Deadline elapsed")
        self._rank += 1
        order = admission.order_of(request, self._rank, now_ns)
        if order.trigger is not None:
            order.trigger.arm(market.tape.last_ticks, order.pair)
        price_ticks = self._hold_price(order)
        admission.check_price(order, market.tape.last_ticks, price_ticks, market.book, self.settings)
        admission.check_funds(order, price_ticks, self.account)
        return order

    def _known(self, order_id: str, cl_ord_id: str) -> Order:
        order = self.find(order_id, cl_ord_id)
        if order is None:
            raise Refused("EOrder:Unknown order")
        return order

    def _amended_lots(self, order: Order, qty: Decimal) -> int:
        pair = order.pair
        if qty > 0 and pair.instrument.floor_lots(Decimal(qty)) <= order.cum_lots:
            return order.cum_lots
        return lots_of(qty, pair)

    def _check_amended(self, order: Order, lots: int, limit_ticks: int | None) -> None:
        """Raise Refused where the amended order would need more than it finds; leaves the order as it was."""
        before = order.lots, order.limit_ticks
        if before == (lots, limit_ticks):
            return
        order.lots, order.limit_ticks = lots, limit_ticks
        try:
            if order.leaves_lots > 0:
                admission.check_funds(order, self._hold_price(order), self.account)
        except Refused:
            if lots >= before[0]:
                raise
        finally:
            order.lots, order.limit_ticks = before

    def _re_trigger(self, order: Order, price: Decimal, request: AmendOrder, market: Market) -> None:
        assert order.trigger is not None
        # A price relative to the market is so to the last price now; a trail keeps its peak.
        if not order.trigger.trailing or self.faults.take("trail_rebase", f"amend_order:{_kind(order)}"):
            order.trigger.peak_ticks = market.tape.last_ticks
        order.trigger.re_offset(price, request.trigger_price_type, order.pair)
        market.armed.changed()

    # --- life of an order ---------------------------------------------------------------------------------------------

    def _place(self, order: Order, now_ns: int) -> None:
        order.order_id = self._id("O")
        market = self.markets[order.pair.symbol]
        self.orders[order.order_id] = self._open[order.order_id] = order
        market.open_orders += 1
        if order.cl_ord_id:
            self._by_client[order.cl_ord_id] = order
        self.account.hold(order, self._hold_price(order))
        self._emit(order, executions.pending_new(order, now_ns), now_ns)
        self._emit(order, executions.new(order, now_ns), now_ns)
        if order.expire_ns is not None:
            self._at(order.expire_ns, lambda due_ns: self._end(order, "expired", due_ns, "Order expired") if order.is_open else None)
        if order.trigger is not None:
            if not order.trigger.trailing and order.trigger.reached(market.tape.last_ticks):
                self._fire(order, market.tape.last_ticks, now_ns)
            else:
                market.armed.add(order)
        elif order.limit_ticks is not None:
            self._work_limit(order, now_ns)
        else:
            self._take(order, now_ns)

    def _take(self, order: Order, now_ns: int) -> None:
        """Execute a market order: it walks the book until it is full, or its funds or its position are used up."""
        market = self.markets[order.pair.symbol]
        self._execute(order, market.book.take(order.buying, order.leaves_lots, None), False, now_ns)

    def _work_limit(self, order: Order, now_ns: int, *, keep_queue: bool = False) -> None:
        """Take what the limit price takes, then rest (gtc, gtd) or cancel the remainder (ioc, fok)."""
        market = self.markets[order.pair.symbol]
        assert order.limit_ticks is not None
        if order.time_in_force == "fok" and not self._fills_whole(order, market):
            self._end(order, "canceled", now_ns, "Fill or kill")
            return
        if not keep_queue:
            self._execute(order, market.book.take(order.buying, order.leaves_lots, order.limit_ticks), False, now_ns)
        if not order.is_open:
            return
        if order.time_in_force in ("ioc", "fok"):
            self._end(order, "canceled", now_ns, "Immediate or cancel")
            return
        if not keep_queue:
            order.queue_lots = market.book.depth(order.limit_ticks)
        market.resting.add(order)

    def _fills_whole(self, order: Order, market: Market) -> bool:
        assert order.limit_ticks is not None
        prices = range(market.book.ask, order.limit_ticks + 1) if order.buying else range(order.limit_ticks, market.book.bid + 1)
        return len(prices) > 1_000 or sum(market.book.depth(ticks) for ticks in prices) >= order.leaves_lots

    def _fire(self, order: Order, last_ticks: int, now_ns: int) -> None:
        """A trigger price was touched: from here on the order protects nothing; it executes after the latency."""
        assert order.trigger is not None
        order.trigger.fired_ticks, order.trigger.fired_ns = last_ticks, now_ns
        order.state = "triggered"
        self._emit(order, executions.status(order, now_ns), now_ns)
        self._at(now_ns + self.settings.trigger_latency_ms * MS_NS, lambda due_ns: self._run_triggered(order, due_ns))

    def _run_triggered(self, order: Order, now_ns: int) -> None:
        if order.state != "triggered":
            return
        if self.system not in MATCHING:
            self._waiting.append(order)
            return
        order.state = "open"
        self.account.hold(order, self._hold_price(order))
        if order.limit_ticks is not None:
            self._work_limit(order, now_ns)
        else:
            self._take(order, now_ns)

    def _report_trail(self, order: Order, now_ns: int) -> None:
        every_ms = self.settings.trail_status_ms
        if every_ms is not None and now_ns - order.reported_ns >= every_ms * MS_NS:
            order.reported_ns = now_ns
            self._emit(order, executions.status(order, now_ns), now_ns)

    def _end(self, order: Order, state: str, now_ns: int, reason: str = "") -> None:
        assert state in ("filled", "canceled", "expired")
        order.state = state  # type: ignore[assignment]
        order.ended_ns, order.end_reason = now_ns, reason
        market = self.markets[order.pair.symbol]
        market.resting.remove(order)
        market.armed.remove(order)
        self.account.release(order)
        if self._open.pop(order.order_id, None) is not None:
            market.open_orders -= 1
            self._by_client.pop(order.cl_ord_id, None)
        self._emit(order, executions.ended(order, state, now_ns, reason), now_ns)

    def _dead_man(self, armed_ns: int | None, now_ns: int) -> None:
        if self._dead_man_ns == armed_ns:
            self._dead_man_ns = None
            self.cancel_many(self.open_orders(), now_ns, "Cancel all orders after timeout")

    # --- fills --------------------------------------------------------------------------------------------------------

    def _execute(self, order: Order, fills: Iterable[tuple[int, int]], maker: bool, now_ns: int) -> None:
        for px_ticks, lots in fills:
            for part in self._parts(order, lots):
                if order.is_open:
                    self._fill(order, px_ticks, part, maker, now_ns)

    def _parts(self, order: Order, lots: int) -> list[int]:
        fault = self.faults.take("split_fill", f"fill:{_kind(order)}")
        count = min(fault.n, lots) if fault else 1
        return [lots // count + (1 if index < lots % count else 0) for index in range(count)]

    def _fill(self, order: Order, px_ticks: int, wanted_lots: int, maker: bool, now_ns: int) -> None:
        """Book one fill, cut to what the position or the funds allow; an order that is cut ends there."""
        lots, position = min(wanted_lots, order.leaves_lots), self.account.position(order.pair)
        if order.reduce_only:
            lots = min(lots, position.closable(order.buying))
        elif not order.margin:
            lots = self.account.affordable_lots(order, lots, px_ticks)
        if lots:
            fill = self._booked(order, px_ticks, lots, maker, now_ns)
            self._emit(order, executions.trade(order, fill), now_ns)
            if order.leaves_lots == 0:
                self._end(order, "filled", now_ns)
            self._ledger(self._lines(fill), fill.exec_id, now_ns)
            if order.conditional is not None:
                self._spawn(order, fill, now_ns)
        if order.is_open and lots < wanted_lots:
            self._end(order, "canceled", now_ns, "Reduce only:Position is closed" if order.reduce_only else "Insufficient funds")
        elif order.is_open:
            self.account.hold(order, self._hold_price(order))

    def _booked(self, order: Order, px_ticks: int, lots: int, maker: bool, now_ns: int) -> Fill:
        in_base = order.fee_in_base
        if order.buying and not order.margin and self.faults.take("base_fee", f"fill:{_kind(order)}"):
            in_base = True
        fee_asset, fee = self.account.fee(order, lots, px_ticks, maker, in_base)
        pnl = self.account.position(order.pair).book(order.buying, lots, px_ticks) if order.margin else Decimal(0)
        fill = Fill(
            exec_id=self._id("T"),
            trade_id=self.markets[order.pair.symbol].tape.next_trade_id(),
            order_id=order.order_id,
            cl_ord_id=order.cl_ord_id,
            order_userref=order.order_userref,
            pair=order.pair,
            buying=order.buying,
            lots=lots,
            px_ticks=px_ticks,
            fee=fee,
            fee_asset=fee_asset,
            maker=maker,
            margin=order.margin,
            # A triggered stop trades as what it became; nobody may match on the type (`venues.md` §1.9).
            order_type="market" if order.limit_ticks is None else "limit",
            ts_ns=now_ns,
            pnl=pnl,
        )
        order.cum_lots += lots
        order.cum_cost += fill.cost
        order.fee_quote += fill.fee_quote
        return fill

    def _lines(self, fill: Fill) -> list[tuple[str, str, Decimal, Decimal]]:
        return self.account.book_margin(fill) if fill.margin else self.account.book(fill)

    def _spawn(self, parent: Order, fill: Fill, now_ns: int) -> None:
        """The conditional close of one fill: an order of its own, opposite side, that quantity, no client id (K4)."""
        close = parent.conditional
        assert close is not None
        self._rank += 1
        trigger = make_trigger(close.order_type, not parent.buying, close.trigger_price, close.trigger_price_type, parent.pair)
        last_ticks = self.markets[parent.pair.symbol].tape.last_ticks
        trigger.arm(last_ticks if trigger.trailing else fill.px_ticks, parent.pair)
        child = Order(
            order_id="",
            pair=parent.pair,
            buying=not parent.buying,
            order_type=close.order_type,
            lots=fill.lots,
            rank=self._rank,
            created_ns=now_ns,
            touched_ns=now_ns,
            limit_ticks=close.limit_ticks,
            margin=parent.margin,
            trigger=trigger,
            parent_id=parent.order_id,
        )
        if not child.margin and not self.account.affords(child, self._hold_price(child)):
            child.order_id = self._id("O")
            self.orders[child.order_id] = child
            self._emit(child, executions.pending_new(child, now_ns), now_ns)
            self._end(child, "canceled", now_ns, "Insufficient funds")
            return
        self._place(child, now_ns)

    def _force(self, order: Order, lots: int, now_ns: int) -> None:
        """A fault fills an order now: a limit at its price, a stop as if its trigger had fired."""
        if not order.is_open or lots <= 0:
            return
        market = self.markets[order.pair.symbol]
        if order.is_armed:
            market.armed.remove(order)
            assert order.trigger is not None
            order.trigger.fired_ticks, order.trigger.fired_ns = market.tape.last_ticks, now_ns
            self._emit(order, executions.status(order, now_ns), now_ns)
        if order.limit_ticks is not None:
            self._execute(order, [(order.limit_ticks, lots)], True, now_ns)
        else:
            self._execute(order, market.book.take(order.buying, lots, None), False, now_ns)

    # --- small things -------------------------------------------------------------------------------------------------

    def _hold_price(self, order: Order) -> int:
        """The price at which an order's funds are held: its limit, its trigger level, else the touch."""
        if order.limit_ticks is not None:
            return order.limit_ticks
        if order.is_armed and order.trigger is not None:
            return order.trigger.level_ticks
        book = self.markets[order.pair.symbol].book
        return book.ask if order.buying else book.bid

    def _ledger(self, lines: Iterable[tuple[str, str, Decimal, Decimal]], ref_id: str, now_ns: int) -> None:
        for asset, kind, amount, fee in lines:
            line = LedgerLine(self._id("L"), ref_id, kind, asset, amount, fee, self.account.balances[asset], now_ns)
            self.account.ledger.append(line)
            entry = executions.ledger_line(line)
            self._entries.append(("balances", f"balances:{kind}:{asset}", entry))

    def _emit(self, order: Order, entry: Entry, now_ns: int) -> None:
        entry["ratecount"] = self.markets[order.pair.symbol].rates.count(now_ns)
        self._entries.append(("executions", f"executions:{entry['exec_type']}:{_kind(order)}", entry))

    def _at(self, due_ns: int, action: Callable[[int], None]) -> None:
        self._rank += 1
        heapq.heappush(self._timers, (due_ns, self._rank, action))

    def _id(self, first: str) -> str:
        text = first + "".join(self.rng.choices(_LETTERS, k=16))
        return f"{text[:6]}-{text[6:11]}-{text[11:]}"


def _kind(order: Order) -> str:
    return f"{order.order_type}:{order.side}"
