"""Properties of the books under any sequence of requests, prints and faults."""

from collections import defaultdict
from decimal import Decimal

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, initialize, invariant, rule

from venues.simulated.faults import Faults
from venues.simulated.gateway import Gateway
from venues.simulated.pairs import pair_of
from venues.simulated.settings import VenueSettings
from venues.simulated.wire import encode

D = Decimal
START = {"USD": D(100_000), "BTC": D(2)}
sides = st.sampled_from(["buy", "sell"])
quantities = st.integers(5_000, 150_000_000).map(lambda lots: D(lots) / 10**8)
prices = st.integers(590_000, 610_000).map(lambda ticks: D(ticks) / 10)


class Books(RuleBasedStateMachine):
    """One account; whatever is done to it, the venue's books agree with each other after every step."""

    orders = Bundle("orders")

    @initialize(seed=st.integers(0, 1000), hold=st.booleans(), faulty=st.booleans(), bps=st.sampled_from([0, 16, 26]))
    def open(self, seed: int, hold: bool, faulty: bool, bps: int) -> None:
        faults = Faults(seed)
        if faulty:
            faults.switch_on(["split_fill/p=0.5", "base_fee/p=0.3", "fill_during_cancel/p=0.2", "partial_fill_during_cancel/p=0.3"])
            faults.switch_on(["fill_after_cancel_ack/p=0.2", "trigger_during_amend/p=0.3", "trail_rebase/p=0.5"])
        venue = VenueSettings(
            balances=dict(START), tier="unlimited", stops_hold_funds=hold, depth_cost=D(30_000), taker_fee_bps=D(bps), maker_fee_bps=D(bps)
        )
        self.gateway = Gateway([pair_of("BTC/USD")], venue, seed, faults)
        self.exchange = self.gateway.exchange
        self.moved: defaultdict[str, Decimal] = defaultdict(Decimal)
        self.now_ns = 10**18
        self.number, _ = self.gateway.connect("both", self.now_ns)
        self.gateway.issue_token("token", self.now_ns)
        self.request("subscribe", channel="executions")
        self.tick(D("60000.0"), D(1), True)

    def request(self, method: str, **params: object) -> None:
        text = encode({"method": method, "params": {"token": "token", **params}, "req_id": 1})
        self.gateway.receive(self.number, text, self.now_ns)

    def tick(self, px: Decimal, qty: Decimal, taker_buys: bool) -> None:
        self.now_ns += 200_000_000
        self.gateway.tick("BTC/USD", px, qty, taker_buys, self.now_ns)

    def last(self) -> str:
        return next(reversed(self.exchange.orders), "none")

    @rule(
        target=orders, kind=st.sampled_from(["market", "limit", "post", "ioc"]), side=sides, qty=quantities, px=prices, margin=st.booleans()
    )
    def simple(self, kind: str, side: str, qty: Decimal, px: Decimal, margin: bool) -> str:
        params: dict[str, object] = {
            "order_type": "market" if kind == "market" else "limit",
            "side": side,
            "order_qty": qty,
            "margin": margin,
        }
        if kind != "market":
            params |= {"limit_price": px, "post_only": kind == "post", "time_in_force": "ioc" if kind == "ioc" else "gtc"}
        self.request("add_order", symbol="BTC/USD", **params)
        return self.last()

    @rule(target=orders, side=sides, qty=quantities, px=prices, trail=st.booleans(), reduce=st.booleans())
    def stop(self, side: str, qty: Decimal, px: Decimal, trail: bool, reduce: bool) -> str:
        triggers = {"price": D("0.4"), "price_type": "pct"} if trail else {"price": px}
        kind = "trailing-stop" if trail else "stop-loss"
        margin = {"margin": True, "reduce_only": True} if reduce else {}
        self.request("add_order", order_type=kind, side=side, order_qty=qty, symbol="BTC/USD", triggers=triggers, **margin)
        return self.last()

    @rule(target=orders, side=sides, qty=quantities, in_base=st.booleans(), margin=st.booleans())
    def with_child(self, side: str, qty: Decimal, in_base: bool, margin: bool) -> str:
        close = {"order_type": "trailing-stop", "trigger_price": D("0.3"), "trigger_price_type": "pct"}
        fee = {"fee_preference": "base" if in_base else "quote", "margin": margin}
        self.request("add_order", order_type="market", side=side, order_qty=qty, symbol="BTC/USD", conditional=close, **fee)
        return self.last()

    @rule(order_id=orders)
    def cancel(self, order_id: str) -> None:
        self.request("cancel_order", order_id=[order_id])

    @rule(order_id=orders, qty=quantities)
    def amend_qty(self, order_id: str, qty: Decimal) -> None:
        self.request("amend_order", order_id=order_id, order_qty=qty)

    @rule(order_id=orders, px=prices, pct=st.booleans())
    def amend_price(self, order_id: str, px: Decimal, pct: bool) -> None:
        if pct:
            self.request("amend_order", order_id=order_id, trigger_price=D("0.2"), trigger_price_type="pct")
        else:
            self.request("amend_order", order_id=order_id, trigger_price=px)
            self.request("amend_order", order_id=order_id, limit_price=px)

    @rule(px=prices, qty=quantities, taker_buys=st.booleans())
    def print(self, px: Decimal, qty: Decimal, taker_buys: bool) -> None:
        self.tick(px, qty, taker_buys)

    @rule(asset=st.sampled_from(["BTC", "USD"]), share=st.integers(-3, 3))
    def outside(self, asset: str, share: int) -> None:
        amount = self.exchange.account.free(asset) * share / 4
        amount = amount.quantize(D("0.00000001"), rounding="ROUND_DOWN") if share < 0 else D(share)
        if amount > 0 or (amount < 0 and self.exchange.account.free(asset) > 0):
            self.exchange.change_balance(asset, amount, self.now_ns)
            self.moved[asset] += amount

    @invariant()
    def balances_and_fills_agree(self) -> None:
        if not hasattr(self, "gateway"):
            return
        expected = {asset: amount + self.moved[asset] for asset, amount in START.items()}
        net_margin, margin_cash = D(0), D(0)
        for fill in self.exchange.account.fills:
            sign = 1 if fill.buying else -1
            expected[fill.fee_asset] -= fill.fee
            if fill.margin:
                expected["USD"] += fill.pnl
                net_margin += sign * fill.qty
                margin_cash -= sign * fill.cost
            else:
                expected["BTC"] += sign * fill.qty
                expected["USD"] -= sign * fill.cost
        account = self.exchange.account
        assert {asset: account.balances[asset] for asset in START} == expected
        position = account.books()["positions"].get("BTC/USD", {"qty": D(0), "cost": D(0)})
        assert position["qty"] == net_margin
        # What margin trades moved in cash is the profit they realized, less what the open part cost.
        realized = sum((fill.pnl for fill in account.fills if fill.margin), D(0))
        assert margin_cash == realized - (position["cost"] if net_margin >= 0 else -position["cost"])

    @invariant()
    def holds_never_exceed_the_balance(self) -> None:
        if not hasattr(self, "gateway"):
            return
        account = self.exchange.account
        assert account.held("BTC") >= 0
        assert account.held("USD") >= 0
        assert account.held("BTC") <= account.balances["BTC"]
        # Margin losses are taken from the quote balance whatever is held of it: there is no liquidation here.
        if not any(fill.margin for fill in account.fills):
            assert account.held("USD") <= account.balances["USD"]

    @invariant()
    def no_order_overfills_and_its_fills_add_up(self) -> None:
        if not hasattr(self, "gateway"):
            return
        filled: defaultdict[str, int] = defaultdict(int)
        for fill in self.exchange.account.fills:
            assert fill.lots > 0
            filled[fill.order_id] += fill.lots
        for order in self.exchange.orders.values():
            assert filled[order.order_id] == order.cum_lots <= order.lots
            if order.state == "filled":
                assert order.cum_lots == order.lots
        assert {order.order_id for order in self.exchange.open_orders()} == {o.order_id for o in self.exchange.orders.values() if o.is_open}

    @invariant()
    def armed_trails_are_behind_their_peaks(self) -> None:
        if not hasattr(self, "gateway"):
            return
        last = self.exchange.markets["BTC/USD"].tape.last_ticks
        for order in self.exchange.open_orders():
            trigger = order.trigger
            if order.is_armed and trigger is not None:
                assert not trigger.reached(last)
                if trigger.trailing:
                    assert trigger.peak_ticks <= last if trigger.rising else trigger.peak_ticks >= last


TestBooks = Books.TestCase
TestBooks.settings = settings(max_examples=100, stateful_step_count=30, deadline=None, suppress_health_check=[HealthCheck.too_slow])
