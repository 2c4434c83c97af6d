from decimal import Decimal

import pytest

from venues.simulated.settings import VenueSettings

D = Decimal


def error(answer: dict) -> str:
    assert not answer["success"], answer
    return answer["error"]


# --- matching -------------------------------------------------------------------------------------------------------


def test_a_market_order_walks_the_book_in_several_fills(client) -> None:
    order_id = client.placed("market", "buy", "4.0")
    fills = client.entries(of=order_id, kind="trade")
    assert len(fills) > 1
    prices = [fill["last_price"] for fill in fills]
    assert prices == sorted(prices)
    assert prices[0] == D("60000.0")
    assert sum(fill["last_qty"] for fill in fills) == D(4)
    assert client.kinds(order_id) == ["pending_new", "new", *["trade"] * len(fills), "filled"]


def test_a_trade_that_completes_an_order_says_partially_filled_and_filled_follows(client) -> None:
    order_id = client.placed("market", "buy", "0.1")
    trade, filled = client.entries(of=order_id)[-2:]
    assert (trade["order_status"], trade["cum_qty"]) == ("partially_filled", D("0.10000000"))
    assert (filled["exec_type"], filled["order_status"], filled["cum_qty"]) == ("filled", "filled", D("0.10000000"))
    assert "last_qty" not in filled
    assert "symbol" not in filled


def test_a_resting_limit_waits_behind_the_depth_at_its_price(client) -> None:
    order_id = client.placed("limit", "buy", "0.5", limit_price=D("59990.0"))
    client.price("59990.0", "0.3")
    assert client.kinds(order_id) == ["pending_new", "new"]
    for _ in range(200):
        client.price("59990.0", "0.3")
        if client.entries(of=order_id, kind="trade"):
            break
    fill = client.entries(of=order_id, kind="trade")[0]
    assert fill["last_price"] == D("59990.0")
    assert fill["liquidity_ind"] == "m"
    assert fill["last_qty"] <= D("0.3")


def test_a_print_through_a_limit_fills_it_whole_at_its_price(client) -> None:
    order_id = client.placed("limit", "buy", "2.0", limit_price=D("59990.0"))
    client.price("59989.9", "0.00000001")
    assert client.kinds(order_id) == ["pending_new", "new", "trade", "filled"]
    assert client.entries(of=order_id, kind="trade")[0]["last_price"] == D("59990.0")


def test_own_orders_at_one_price_fill_in_time_order(client) -> None:
    client.price("60000.0", side="buy")
    first = client.placed("limit", "sell", "0.2", limit_price=D("60005.0"))
    second = client.placed("limit", "sell", "0.2", limit_price=D("60005.0"))
    better = client.placed("limit", "sell", "0.2", limit_price=D("60004.0"))
    client.price("60006.0", side="buy")
    assert [entry["order_id"] for entry in client.entries(kind="trade")] == [better, first, second]


def test_ioc_takes_what_its_limit_reaches_and_cancels_the_rest(client) -> None:
    order_id = client.placed("limit", "buy", "4.0", limit_price=D("60000.0"), time_in_force="ioc")
    kinds = client.kinds(order_id)
    assert kinds[-1] == "canceled"
    assert "trade" in kinds
    assert 0 < client.entries(of=order_id)[-1]["cum_qty"] < 4


def test_fok_fills_whole_or_not_at_all(client) -> None:
    order_id = client.placed("limit", "buy", "4.0", limit_price=D("60000.0"), time_in_force="fok")
    assert client.kinds(order_id) == ["pending_new", "new", "canceled"]
    order_id = client.placed("limit", "buy", "0.01", limit_price=D("60000.0"), time_in_force="fok")
    assert client.kinds(order_id)[-1] == "filled"


def test_gtd_expires_on_time(client) -> None:
    order_id = client.placed("limit", "buy", "0.1", limit_price=D("50000.0"), time_in_force="gtd", expire_time="2023-11-14T22:14:00Z")
    client.wait(30)
    assert client.kinds(order_id) == ["pending_new", "new"]
    client.wait(30)
    assert client.kinds(order_id)[-1] == "expired"


def test_post_only_that_would_take_is_refused(client) -> None:
    assert error(client.order("limit", "buy", "0.1", limit_price=D("60000.0"), post_only=True)) == "EOrder:Post only order"
    assert client.order("limit", "buy", "0.1", limit_price=D("59999.9"), post_only=True)["success"]


def test_prices_that_are_no_prints_change_nothing(client) -> None:
    for px, qty in (("0", "1"), ("-5", "1"), ("60000", "0"), ("0.01", "1")):
        assert client.price(px, qty) == []
    assert client.gateway.exchange.markets["BTC/USD"].tape.last_ticks == 600_000


# --- triggers -------------------------------------------------------------------------------------------------------


def test_a_stop_fires_on_the_last_price_and_executes_after_its_latency(client) -> None:
    order_id = client.placed("stop-loss", "sell", "0.5", triggers={"price": D("59500.0")})
    client.price("59500.1")
    assert client.kinds(order_id) == ["pending_new", "new"]
    client.price("59499.0")
    status = client.entries(of=order_id)[-1]
    assert status["exec_type"] == "status"
    assert status["triggers"]["status"] == "triggered"
    assert status["triggers"]["last_price"] == D("59499.0")
    client.price("59400.0", after_ms=50)
    trade, filled = client.entries(of=order_id)[-2:]
    assert trade["last_price"] <= D("59499.0")
    assert trade["order_type"] == "market"
    assert filled["exec_type"] == "filled"


def test_a_buy_stop_fires_on_the_way_up(client) -> None:
    order_id = client.placed("stop-loss", "buy", "0.5", triggers={"price": D("60500.0")})
    client.price("60500.0", side="buy")
    client.wait(1)
    assert client.kinds(order_id)[-1] == "filled"


def test_a_stop_limit_becomes_a_limit_order(client) -> None:
    order_id = client.placed("stop-loss-limit", "sell", "0.5", triggers={"price": D("59500.0")}, limit_price=D("59490.0"))
    client.price("59400.0")
    client.wait(1)
    assert client.kinds(order_id)[-1] == "status"
    client.price("59495.0", side="buy")
    assert client.kinds(order_id)[-1] == "filled"


def test_a_take_profit_fires_on_the_other_side(client) -> None:
    order_id = client.placed("take-profit", "sell", "0.5", triggers={"price": D("60500.0")})
    client.price("59000.0")
    client.price("60500.0", side="buy")
    client.wait(1)
    assert client.kinds(order_id)[-1] == "filled"


def test_a_trailing_stop_follows_the_peak_and_never_falls_back(client) -> None:
    order_id = client.placed("trailing-stop", "sell", "0.5", triggers={"price": D("1.0"), "price_type": "pct", "reference": "last"})
    pending = client.entries(of=order_id)[0]["triggers"]
    assert (pending["price"], pending["actual_price"], pending["peak_price"]) == (D("1.0"), D("59400.0"), D("60000.0"))
    client.price("61000.0", side="buy")
    client.price("60700.0")
    moved = client.entries(of=order_id)[-1]["triggers"]
    assert (moved["actual_price"], moved["peak_price"], moved["status"]) == (D("60390.0"), D("61000.0"), "untriggered")
    client.price("60390.0")
    client.wait(1)
    assert client.kinds(order_id)[-1] == "filled"


def test_a_trailing_buy_stop_mirrors(client) -> None:
    order_id = client.placed("trailing-stop", "buy", "0.5", triggers={"price": D("100"), "price_type": "quote"})
    client.price("59000.0")
    assert client.entries(of=order_id)[-1]["triggers"]["actual_price"] == D("59100.0")
    client.price("59100.0", side="buy")
    client.wait(1)
    assert client.kinds(order_id)[-1] == "filled"


def test_a_fraction_of_a_tick_goes_away_from_the_market(client) -> None:
    sell = client.placed("trailing-stop", "sell", "0.5", triggers={"price": D("0.3333"), "price_type": "pct"})
    buy = client.placed("trailing-stop", "buy", "0.5", triggers={"price": D("0.3333"), "price_type": "pct"})
    assert client.entries(of=sell)[0]["triggers"]["actual_price"] == D("59800.0")  # 59800.02
    assert client.entries(of=buy)[0]["triggers"]["actual_price"] == D("60200.0")  # 60199.98


def test_status_entries_of_a_trail_are_rationed(make_client) -> None:
    client = make_client(trail_status_ms=1_000)
    order_id = client.placed("trailing-stop", "sell", "0.5", triggers={"price": D("1"), "price_type": "pct"})
    for step in range(30):
        client.price(str(60_001 + step), side="buy", after_ms=100)
    assert 2 <= client.kinds(order_id).count("status") <= 4


def test_a_crossed_stop_fires_at_once_or_is_refused_as_the_venue_is_told(make_client) -> None:
    client = make_client()
    order_id = client.placed("stop-loss", "sell", "0.5", triggers={"price": D("60100.0")})
    client.wait(1)
    assert client.kinds(order_id)[-1] == "filled"
    assert "trigger immediately" in error(
        make_client(crossed_stop="reject").order("stop-loss", "sell", "0.5", triggers={"price": D("60100.0")})
    )


def test_a_triggered_stop_can_be_cancelled_before_it_executes_but_not_amended(client) -> None:
    order_id = client.placed("stop-loss", "sell", "0.5", triggers={"price": D("59500.0")})
    client.price("59499.0")
    assert error(client.trade("amend_order", order_id=order_id, trigger_price=D("59000.0"))) == "EOrder:Invalid order"
    assert client.trade("cancel_order", order_id=[order_id])["success"]
    client.wait(1)
    assert client.kinds(order_id)[-1] == "canceled"


# --- funds and margin -----------------------------------------------------------------------------------------------


def test_a_resting_sell_holds_its_balance_stops_included(client) -> None:
    client.placed("stop-loss", "sell", "5", triggers={"price": D("59000.0")})
    assert error(client.order("limit", "sell", "0.1", limit_price=D("61000.0"))) == "EOrder:Insufficient funds"
    assert error(client.order("market", "sell", "0.1")) == "EOrder:Insufficient funds"


def test_a_venue_may_be_told_that_stops_hold_nothing(make_client) -> None:
    client = make_client(stops_hold_funds=False)
    stop = client.placed("stop-loss", "sell", "5", triggers={"price": D("59000.0")})
    client.placed("market", "sell", "4.5")
    client.price("58000.0")
    client.wait(1)
    last = client.entries(of=stop)[-1]
    assert (last["exec_type"], last["reason"], last["cum_qty"]) == ("canceled", "Insufficient funds", D("0.50000000"))


def test_a_buy_holds_cost_and_fee_until_it_is_cancelled(client) -> None:
    order_id = client.placed("limit", "buy", "16", limit_price=D("59000.0"))
    assert error(client.order("limit", "buy", "1", limit_price=D("59000.0"))) == "EOrder:Insufficient funds"
    client.trade("cancel_order", order_id=[order_id])
    assert client.order("limit", "buy", "1", limit_price=D("59000.0"))["success"]


def test_fees_are_taken_in_quote_or_in_base_as_the_order_says(client) -> None:
    client.placed("market", "buy", "0.01")
    quote = client.entries(kind="trade")[-1]
    assert quote["fees"] == [{"asset": "USD", "qty": D("1.56000")}]
    client.placed("market", "buy", "0.01", fee_preference="base")
    base = client.entries(kind="trade")[-1]
    assert base["fees"] == [{"asset": "BTC", "qty": D("0.0000260000")}]
    assert client.entries("balances")[-2]["balance"] == D("5.0199740000")


def test_makers_pay_less(client) -> None:
    client.placed("limit", "buy", "0.01", limit_price=D("59990.0"))
    client.price("59980.0")
    assert client.entries(kind="trade")[-1]["fees"] == [{"asset": "USD", "qty": D("0.95984")}]


def test_a_spot_trade_gives_two_ledger_lines_in_two_frames(client) -> None:
    client.placed("market", "buy", "0.01")
    trade = client.entries(kind="trade")[-1]
    base, quote = client.entries("balances")[-2:]
    assert base["ref_id"] == quote["ref_id"] == trade["exec_id"]
    assert (base["asset"], base["amount"], base["balance"]) == ("BTC", D("0.01"), D("5.01"))
    assert (quote["amount"], quote["fee"], quote["balance"]) == (D("-600"), D("1.56"), D("999398.44"))


def test_a_short_on_margin_realizes_its_profit_when_it_is_bought_back(client) -> None:
    client.placed("market", "sell", "0.5", margin=True)
    assert client.gateway.exchange.account.books()["positions"]["BTC/USD"]["qty"] == D("-0.5")
    client.price("59000.0")
    client.placed("market", "buy", "0.5", margin=True, reduce_only=True)
    books = client.gateway.exchange.account.books()
    assert books["positions"]["BTC/USD"]["qty"] == 0
    assert books["balances"]["BTC"] == 5
    pnl = sum(fill["pnl"] for fill in books["fills"])
    fees = sum(fill["fee"] for fill in books["fills"])
    assert D(499) < pnl <= D(500)
    assert books["balances"]["USD"] == 1_000_000 + pnl - fees


def test_margin_is_needed_for_what_opens_not_for_what_closes(make_client) -> None:
    client = make_client(balances={"USD": D(7_000)})
    assert error(client.order("market", "buy", "0.7", margin=True)) == "EOrder:Insufficient margin"
    client.placed("market", "buy", "0.5", margin=True)
    assert error(client.order("market", "buy", "0.2", margin=True)) == "EOrder:Insufficient margin"
    client.placed("market", "sell", "0.5", margin=True)


def test_reduce_only_is_for_margin_and_refused_without_a_position(client) -> None:
    assert "reduce_only" in error(client.order("market", "sell", "0.1", reduce_only=True))
    refused = error(client.order("market", "sell", "0.1", margin=True, reduce_only=True))
    assert refused == "EOrder:Reduce only:No position exists"
    client.placed("market", "sell", "0.1", margin=True)
    assert error(client.order("market", "sell", "0.1", margin=True, reduce_only=True)) == "EOrder:Reduce only:Non-PC"


def test_reduce_only_is_checked_when_it_executes_and_never_flips(client) -> None:
    stop = client.placed("stop-loss", "sell", "1.0", margin=True, reduce_only=True, triggers={"price": D("59500.0")})
    client.placed("market", "buy", "0.4", margin=True)
    client.price("59400.0")
    client.wait(1)
    last = client.entries(of=stop)[-1]
    assert (last["exec_type"], last["cum_qty"]) == ("canceled", D("0.40000000"))
    assert client.gateway.exchange.account.books()["positions"]["BTC/USD"]["qty"] == 0


def test_without_reduce_only_a_margin_stop_opens_the_opposite_position(client) -> None:
    client.placed("market", "buy", "0.4", margin=True)
    client.placed("stop-loss", "sell", "1.0", margin=True, triggers={"price": D("59500.0")})
    client.price("59400.0")
    client.wait(1)
    assert client.gateway.exchange.account.books()["positions"]["BTC/USD"]["qty"] == D("-0.6")


# --- OTO ------------------------------------------------------------------------------------------------------------


def test_every_fill_of_an_order_with_a_conditional_makes_a_child_of_that_size(client) -> None:
    close = {"order_type": "stop-loss", "trigger_price": D("59000.0"), "trigger_price_type": "static"}
    parent = client.placed("market", "buy", "3.0", order_userref=7, conditional=close)
    fills = [entry["last_qty"] for entry in client.entries(of=parent, kind="trade")]
    children = [entry for entry in client.entries(kind="pending_new") if entry.get("ord_ref_id") == parent]
    assert len(fills) > 1
    assert [child["order_qty"] for child in children] == fills
    assert all(child["side"] == "sell" and "cl_ord_id" not in child for child in children)
    client.price("58990.0")
    client.wait(1)
    assert client.gateway.exchange.account.balances["BTC"] == 5


def test_a_trailing_child_starts_its_peak_at_the_last_price(client) -> None:
    close = {"order_type": "trailing-stop", "trigger_price": D("1.0"), "trigger_price_type": "pct"}
    client.placed("limit", "buy", "0.5", limit_price=D("59900.0"), conditional=close)
    client.price("59890.0")
    assert client.entries(kind="pending_new")[-1]["triggers"]["actual_price"] == D("59291.1")


def test_conditional_and_client_id_exclude_each_other(client) -> None:
    close = {"order_type": "stop-loss", "trigger_price": D("59000.0")}
    refused = error(client.order("market", "buy", "0.1", cl_ord_id="a", conditional=close))
    assert refused == "EOrder:cl_ord_id is not supported on conditional close"


def test_a_child_without_funds_is_cancelled_by_the_venue(client) -> None:
    client.placed("limit", "sell", "5", limit_price=D("70000.0"))
    close = {"order_type": "stop-loss", "trigger_price": D("59000.0")}
    client.placed("market", "buy", "0.1", fee_preference="base", conditional=close)
    last = client.entries(kind="canceled")[-1]
    assert last["reason"] == "Insufficient funds"


# --- amend ----------------------------------------------------------------------------------------------------------


def test_an_amended_trail_takes_the_new_offset_from_its_old_peak(client) -> None:
    order_id = client.placed("trailing-stop", "sell", "0.5", triggers={"price": D("1.0"), "price_type": "pct"})
    client.price("61000.0", side="buy")
    client.price("60800.0")
    answer = client.trade("amend_order", order_id=order_id, trigger_price=D("0.5"), trigger_price_type="pct")
    assert answer["result"]["order_id"] == order_id
    assert answer["result"]["amend_id"]
    amended = client.entries(of=order_id, kind="amended")[0]
    assert amended["triggers"]["peak_price"] == D("61000.0")
    assert amended["triggers"]["actual_price"] == D("60695.0")
    assert amended["amended"]
    assert amended["reason"] == "User requested"


def test_a_static_price_on_a_trail_is_refused(client) -> None:
    order_id = client.placed("trailing-stop", "sell", "0.5", triggers={"price": D("1.0"), "price_type": "pct"})
    assert "EGeneral:Invalid arguments" in error(client.trade("amend_order", order_id=order_id, trigger_price=D("59000.0")))
    assert client.kinds(order_id) == ["pending_new", "new"]


def test_a_trail_amended_past_the_last_price_fires(client) -> None:
    order_id = client.placed("trailing-stop", "sell", "0.5", triggers={"price": D("2.0"), "price_type": "pct"})
    client.price("59500.0")
    client.trade("amend_order", order_id=order_id, trigger_price=D("0.5"), trigger_price_type="pct")
    client.wait(1)
    assert client.kinds(order_id)[-1] == "filled"


def test_a_static_stop_moves_in_place_and_keeps_its_hold(client) -> None:
    order_id = client.placed("stop-loss", "sell", "5", triggers={"price": D("59000.0")})
    client.trade("amend_order", order_id=order_id, trigger_price=D("59500.0"))
    client.price("59400.0")
    client.wait(1)
    assert client.kinds(order_id)[-1] == "filled"


def test_a_quantity_below_the_filled_one_cancels_the_rest(client) -> None:
    order_id = client.placed("limit", "buy", "1.0", limit_price=D("60000.0"))
    filled = sum(entry["last_qty"] for entry in client.entries(of=order_id, kind="trade"))
    assert 0 < filled < 1
    assert client.trade("amend_order", order_id=order_id, order_qty=D("0.0001"))["success"]
    last = client.entries(of=order_id)[-1]
    assert (last["exec_type"], last["cum_qty"]) == ("canceled", filled)


def test_growing_a_stop_needs_funds(client) -> None:
    order_id = client.placed("stop-loss", "sell", "4", triggers={"price": D("59000.0")})
    assert error(client.trade("amend_order", order_id=order_id, order_qty=D("5.5"))) == "EOrder:Insufficient funds"
    assert client.trade("amend_order", order_id=order_id, order_qty=D("5"))["success"]
    assert client.gateway.exchange.account.held("BTC") == 5


def test_a_limit_amended_through_the_market_takes_and_a_post_only_one_is_refused(client) -> None:
    plain = client.placed("limit", "buy", "0.1", limit_price=D("59000.0"))
    assert client.trade("amend_order", order_id=plain, limit_price=D("60001.0"))["success"]
    assert client.kinds(plain)[-1] == "filled"
    maker = client.placed("limit", "buy", "0.1", limit_price=D("59000.0"), post_only=True)
    assert error(client.trade("amend_order", order_id=maker, limit_price=D("60001.0"))) == "EOrder:Post only order"


def test_an_amend_without_a_change_or_of_a_closed_order_is_refused(client) -> None:
    order_id = client.placed("market", "buy", "0.1")
    assert error(client.trade("amend_order", order_id=order_id)) == "No amendable parameters"
    assert error(client.trade("amend_order", order_id=order_id, order_qty=D(1))) == "EOrder:Unknown order"
    assert "Invalid arguments" in error(client.trade("amend_order", order_qty=D(1)))


# --- cancels --------------------------------------------------------------------------------------------------------


def test_a_cancel_of_many_answers_one_by_one_with_one_req_id(client) -> None:
    first = client.placed("limit", "buy", "0.1", limit_price=D("50000.0"))
    second = client.placed("limit", "buy", "0.1", limit_price=D("50000.0"), cl_ord_id="mine-2")
    frames = client.send("cancel_order", 77, order_id=[first, "OXXXXX-XXXXX-XXXXXX"], cl_ord_id=["mine-2"], token="token")
    answers = [frame for frame in frames if frame.get("method") == "cancel_order"]
    assert [answer["req_id"] for answer in answers] == [77, 77, 77]
    assert answers[0]["result"] == {"order_id": first}
    assert answers[2]["result"] == {"cl_ord_id": "mine-2"}
    assert answers[1]["error"] == "EOrder:Unknown order"
    assert "result" not in answers[1]
    assert client.kinds(second)[-1] == "canceled"


def test_cancel_by_userref_cancels_the_whole_group(client) -> None:
    for _ in range(3):
        client.placed("limit", "buy", "0.1", limit_price=D("50000.0"), order_userref=9)
    frames = client.send("cancel_order", order_userref=[9], token="token")
    assert sum(frame.get("success", False) for frame in frames) == 3


def test_cancel_all_and_batch_cancel_count(client) -> None:
    ids = [client.placed("limit", "buy", "0.1", limit_price=D("50000.0")) for _ in range(5)]
    answer = client.trade("batch_cancel", orders=ids[:2])
    assert answer["orders_cancelled"] == 2
    assert "result" not in answer
    assert client.trade("cancel_all")["result"] == {"count": 3}


def test_the_dead_man_switch_cancels_everything_once_stops_included(client) -> None:
    stop = client.placed("stop-loss", "sell", "1", triggers={"price": D("59000.0")})
    client.trade("cancel_all_orders_after", timeout=60)
    client.wait(30)
    assert client.trade("cancel_all_orders_after", timeout=60)["result"]["triggerTime"] != "0"
    client.wait(59)
    assert client.kinds(stop)[-1] == "new"
    client.wait(2)
    assert client.kinds(stop)[-1] == "canceled"
    again = client.placed("stop-loss", "sell", "1", triggers={"price": D("59000.0")})
    client.wait(120)
    assert client.kinds(again)[-1] == "new"
    assert client.trade("cancel_all_orders_after", timeout=0)["result"]["triggerTime"] == "0"


# --- refusals -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("params", "text"),
    [
        ({"limit_price": "60000"}, "Limit_price field must be a number_float"),
        ({"limit_price": D("60000.05")}, "EOrder:Invalid price:BTC/USD price can only be specified up to 1 decimals."),
        ({"limit_price": D(0)}, "EOrder:Invalid price"),
        ({"order_qty": D("0.00001")}, "EOrder:Order minimum not met"),
        ({"order_qty": D("0.000000001")}, "EGeneral:Invalid arguments:order_qty"),
        ({"order_qty": D("0.00005"), "limit_price": D("1000.0")}, "EOrder:Cost minimum not met"),
        ({"order_qty": D(10) ** 18}, "EGeneral:Invalid arguments:order_qty"),
        ({"price": D(1)}, "Unsupported field: 'price' for the given msg type: add order"),
        ({"cash_order_qty": "100"}, "Cash_order_qty field must be a number_float"),
        ({"cash_order_qty": D(100)}, "EGeneral:Invalid arguments:cash_order_qty is not simulated"),
        ({"no_mpp": True}, "EGeneral:Invalid arguments:no_mpp order option is only available when ordertype = market"),
        ({"symbol": "WWW/USD"}, "Currency pair not supported WWW/USD"),
        ({"deadline": "2023-11-14T22:13:10Z"}, "EService:Deadline elapsed"),
        ({"deadline": "2023-11-14T23:13:10Z"}, "EGeneral:Invalid arguments:deadline"),
        ({"deadline": "soon"}, "EGeneral:Invalid arguments:deadline"),
        ({"cl_ord_id": "a client id beyond eighteen"}, "EGeneral:Invalid arguments:cl_ord_id"),
        ({"cl_ord_id": "a", "order_userref": 1}, "EGeneral:Invalid arguments:cl_ord_id and order_userref"),
        ({"post_only": "yes"}, "Post_only field must be a boolean"),
        ({"triggers": {"price": D(1)}}, "EGeneral:Invalid arguments:triggers"),
        ({"side": "up"}, "EGeneral:Invalid arguments:side"),
        ({"time_in_force": "day"}, "EGeneral:Invalid arguments:time_in_force"),
        ({"post_only": True, "time_in_force": "ioc"}, "EGeneral:Invalid arguments:post_only"),
        ({"limit_price_type": "pct"}, "EGeneral:Invalid arguments:limit_price_type is not simulated"),
        ({"order_type": "market"}, "EGeneral:Invalid arguments:limit_price"),
        ({"fee_preference": "beans"}, "EGeneral:Invalid arguments:fee_preference"),
        ({"time_in_force": "gtd"}, "EGeneral:Invalid arguments:expire_time"),
        ({"time_in_force": "gtd", "expire_time": "2020-01-01T00:00:00Z"}, "EGeneral:Invalid arguments:expire_time"),
        ({"order_type": "stop-loss-limit"}, "EGeneral:Invalid arguments:triggers"),
        (
            {"order_type": "stop-loss-limit", "triggers": {"price": D(1), "reference": "mark"}},
            "EGeneral:Invalid arguments:triggers.reference",
        ),
        (
            {"order_type": "stop-loss-limit", "triggers": {"price": D(1), "price_type": "x"}},
            "EGeneral:Invalid arguments:triggers.price_type",
        ),
        ({"conditional": {"order_type": "limit", "trigger_price": D(1)}}, "EGeneral:Invalid arguments:conditional order_type limit"),
        ({"conditional": {"order_type": "trailing-stop", "trigger_price": D(1)}}, "EGeneral:Invalid arguments:trigger price_type"),
        ({"order_type": "iceberg"}, "EGeneral:Invalid arguments:order_type iceberg is not simulated"),
    ],
)
def test_a_request_that_is_wrong_is_refused_in_krakens_words(client, params, text) -> None:
    usual = {"order_type": "limit", "side": "buy", "order_qty": D("0.1"), "symbol": "BTC/USD", "limit_price": D("50000.0")}
    assert error(client.trade("add_order", **usual | params)).startswith(text)
    assert client.entries() == []


def test_a_client_id_is_unique_among_open_orders_only(client) -> None:
    client.placed("limit", "buy", "0.1", limit_price=D("50000.0"), cl_ord_id="one")
    assert "cl_ord_id" in error(client.order("market", "buy", "0.1", cl_ord_id="one"))
    client.trade("cancel_order", cl_ord_id=["one"])
    client.placed("market", "buy", "0.1", cl_ord_id="one")
    client.placed("market", "buy", "0.1", cl_ord_id="one")


def test_validate_checks_and_places_nothing(client) -> None:
    answer = client.order("market", "buy", "0.1", validate=True)
    assert answer["result"]["order_id"] == ""
    assert answer["result"]["warnings"] == ["Order validated but not placed"]
    assert client.entries() == []
    assert error(client.order("market", "sell", "50", validate=True)) == "EOrder:Insufficient funds"


def test_a_batch_is_validated_whole_and_funded_one_by_one(client) -> None:
    good = {"order_type": "limit", "side": "buy", "order_qty": D("0.1"), "limit_price": D("50000.0"), "cl_ord_id": "a"}
    poor = {"order_type": "limit", "side": "buy", "order_qty": D(100), "limit_price": D("50000.0"), "cl_ord_id": "b"}
    answer = client.trade("batch_add", symbol="BTC/USD", orders=[good, poor])
    assert [set(row) for row in answer["result"]] == [{"order_id", "cl_ord_id"}, {"error"}]
    assert answer["success"] is False
    assert answer["result"][1]["error"] == "EOrder:Insufficient funds"
    bad = good | {"cl_ord_id": "c", "side": "up"}
    assert "result" not in client.trade("batch_add", symbol="BTC/USD", orders=[good | {"cl_ord_id": "d"}, bad])
    assert len(client.gateway.exchange.open_orders()) == 1


@pytest.mark.parametrize(
    ("system", "taken", "refused"),
    [
        ("cancel_only", [], ["market", "limit", "post", "stop"]),
        ("post_only", ["post"], ["market", "limit", "stop"]),
        ("limit_only", ["limit", "post"], ["market", "stop"]),
        ("maintenance", [], ["market", "limit", "post", "stop"]),
    ],
)
def test_a_market_mode_takes_what_it_says_and_always_cancels_but_in_maintenance(client, system, taken, refused) -> None:
    resting = client.placed("limit", "buy", "0.1", limit_price=D("50000.0"))
    client.take(client.gateway.change_system(system, client.now_ns))
    assert client.frames[-1]["data"][0]["system"] == system
    orders = {
        "market": lambda: client.order("market", "buy", "0.1"),
        "limit": lambda: client.order("limit", "buy", "0.1", limit_price=D("50000.0")),
        "post": lambda: client.order("limit", "buy", "0.1", limit_price=D("50000.0"), post_only=True),
        "stop": lambda: client.order("stop-loss", "sell", "0.1", triggers={"price": D("50000.0")}),
    }
    for name in taken:
        assert orders[name]()["success"]
    for name in refused:
        text = error(orders[name]())
        assert text == ("EService:Unavailable" if system == "maintenance" else f"EService:Market in {system} mode")
    assert client.trade("cancel_order", order_id=[resting])["success"] is (system != "maintenance")


def test_a_stop_that_fired_before_the_market_shut_executes_when_it_opens(client) -> None:
    client.take(client.gateway.change_system("online", client.now_ns))
    client.placed("market", "buy", "0.1")
    stop = client.placed("stop-loss", "sell", "0.1", triggers={"price": D("50000.0")})
    client.price("49999.0")
    client.take(client.gateway.change_system("cancel_only", client.now_ns))
    client.price("49999.0", after_ms=5_000)
    assert "trade" not in client.kinds(stop)
    client.take(client.gateway.change_system("online", client.now_ns))
    assert client.kinds(stop)[-2:] == ["trade", "filled"]


def test_edit_order_is_refused_with_a_reason(client) -> None:
    assert "use amend_order" in error(client.trade("edit_order", order_id="x", symbol="BTC/USD"))


# --- rates ----------------------------------------------------------------------------------------------------------


def test_the_rate_counter_counts_adds_amends_and_young_cancels_and_decays(make_client) -> None:
    client = make_client(tier="starter")
    order_id = client.placed("limit", "buy", "0.1", limit_price=D("50000.0"))
    assert client.entries(of=order_id)[-1]["ratecount"] == 1
    client.trade("amend_order", order_id=order_id, limit_price=D("50001.0"))
    assert client.entries(of=order_id)[-1]["ratecount"] == 5
    client.trade("cancel_order", order_id=[order_id])
    assert client.entries(of=order_id)[-1]["ratecount"] == 13
    client.wait(10)
    order_id = client.placed("limit", "buy", "0.1", limit_price=D("50000.0"))
    assert client.entries(of=order_id)[-1]["ratecount"] == 4


def test_beyond_the_threshold_the_venue_refuses_until_it_decays(make_client) -> None:
    client = make_client(tier="starter")
    refused = [client.order("limit", "buy", "1000", limit_price=D("50000.0"))["error"] for _ in range(61)]
    assert refused[:60] == ["EOrder:Insufficient funds"] * 60
    assert refused[60] == "EOrder:Rate limit exceeded"
    assert client.order("limit", "buy", "0.1", limit_price=D("50000.0"))["success"] is False
    client.wait(5)
    assert client.order("limit", "buy", "0.1", limit_price=D("50000.0"))["success"]


def test_pairs_have_counters_of_their_own(make_client) -> None:
    client = make_client(tier="starter")
    for _ in range(61):
        client.order("limit", "buy", "1000", limit_price=D("50000.0"))
    eth = {"order_type": "limit", "side": "buy", "order_qty": D(1), "symbol": "ETH/USD", "limit_price": D("2000.00")}
    assert client.trade("add_order", **eth)["success"]


def test_open_orders_per_pair_are_limited(make_client) -> None:
    client = make_client(tier="starter")
    for _ in range(60):
        client.placed("limit", "buy", "0.0001", limit_price=D("50000.0"))
        client.wait(2)
    assert error(client.order("limit", "buy", "0.0001", limit_price=D("50000.0"))) == "EOrder:Orders limit exceeded"


def test_settings_have_a_default_for_everything() -> None:
    assert VenueSettings().tier == "intermediate"
