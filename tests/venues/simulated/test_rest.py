"""The venue's REST questions: signatures, shapes, pages, lag and faults; pure, and once over the socket."""

import base64
import json
from decimal import Decimal

import pytest

from venues.kraken.codec_rest import holdings_from
from venues.kraken.names import altname_of, asset_id, asset_of, pair_id, symbols_by_name
from venues.kraken.rest import RestClient, errors_in
from venues.simulated import MarketFeed, SimulatedVenue, pair_of
from venues.simulated.faults import Faults
from venues.simulated.rest import PATHS, PRIVATE
from venues.simulated.ticks import Tick

from .conftest import SECRET, Asker, MakeClient, PureClient


def test_a_signature_is_checked_where_the_venue_knows_the_key(client: PureClient) -> None:
    asker = Asker(client, key=SECRET)
    assert asker.result("GetWebSocketsToken")["token"] == "TOKEN"
    wrong = base64.b64encode(b"another secret").decode()
    assert asker.ask("Balance", secret=wrong)["error"] == ["EAPI:Invalid signature"]
    assert asker.ask("Balance", key="other")["error"] == ["EAPI:Invalid key"]
    assert asker.ask("Balance", nonce=2)["error"] == ["EAPI:Invalid nonce"]
    assert asker.desk.answer(PRIVATE + "Balance", "", {}, b"", client.now_ns) is not None


def test_an_order_is_open_then_closed_and_its_trade_is_listed(client: PureClient) -> None:
    asker = Asker(client)
    client.order("market", "buy", "0.1", cl_ord_id="hf1")
    stop = client.placed("stop-loss", "sell", "0.1", triggers={"price": Decimal(59_000)}, cl_ord_id="hf2")
    opened = asker.result("OpenOrders", cl_ord_id="hf2")["open"]
    assert list(opened) == [stop]
    row = opened[stop]
    assert (row["status"], row["vol"], row["vol_exec"], row["descr"]["pair"]) == ("open", "0.10000000", "0.00000000", "XBTUSD")
    assert (row["descr"]["ordertype"], row["stopprice"], row["cl_ord_id"]) == ("stop-loss", "59000.0", "hf2")
    closed = asker.result("ClosedOrders", trades="true")["closed"]
    (entry,) = closed.values()
    assert (entry["status"], entry["vol_exec"], entry["cl_ord_id"]) == ("closed", "0.10000000", "hf1")
    trades = asker.result("TradesHistory")["trades"]
    assert list(trades) == entry["trades"]
    trade = next(iter(trades.values()))
    assert (trade["pair"], trade["type"], trade["vol"], trade["maker"]) == ("XXBTZUSD", "buy", "0.10000000", False)
    assert trade["ordertxid"] in closed
    client.trade("cancel_order", cl_ord_id=["hf2"])
    assert asker.result("QueryOrders", txid=stop)[stop]["status"] == "canceled"
    assert asker.ask("QueryOrders", txid="OAAAAA")["error"] == ["EOrder:Invalid order"]


def test_what_a_stop_holds_shows_in_the_balances(client: PureClient) -> None:
    client.placed("stop-loss", "sell", "2", triggers={"price": Decimal(59_000)})
    balances = Asker(client).result("BalanceEx")
    assert balances["XXBT"] == {"balance": "5.0000000000", "hold_trade": "2.0000000000"}
    assert balances["ZUSD"] == {"balance": "1000000.0000", "hold_trade": "0.0000"}


def test_each_execution_that_opened_on_margin_is_a_position_until_others_have_closed_it(client: PureClient) -> None:
    asker = Asker(client)
    client.order("market", "buy", "1")
    assert asker.result("OpenPositions") == {}
    for qty in ("0.3", "0.2"):
        client.order("market", "sell", qty, margin=True)
    opened = asker.result("OpenPositions")
    rows = list(opened.values())
    assert [(row["pair"], row["type"], row["vol"], row["vol_closed"], row["posstatus"]) for row in rows] == [
        ("XXBTZUSD", "sell", "0.30000000", "0.00000000", "open"),
        ("XXBTZUSD", "sell", "0.20000000", "0.00000000", "open"),
    ]
    assert set(opened) <= set(asker.result("TradesHistory")["trades"])
    assert Decimal(rows[0]["margin"]) * 5 == Decimal(rows[0]["cost"])
    client.order("market", "buy", "0.4", margin=True, reduce_only=True)
    (left,) = asker.result("OpenPositions", docalcs="true").values()
    assert (left["vol"], left["vol_closed"]) == ("0.20000000", "0.10000000")
    assert Decimal(left["value"]) == pytest.approx(Decimal("6000"), abs=10)
    assert asker.result("OpenPositions", txid="TAAAAA-AAAAA-AAAAAA") == {}
    client.order("market", "buy", "0.1", margin=True, reduce_only=True)
    assert asker.result("OpenPositions") == {}


def test_positions_by_market_are_a_list_of_one_row_a_pair(client: PureClient) -> None:
    asker = Asker(client)
    for qty in ("0.3", "0.2"):
        client.order("market", "sell", qty, margin=True)
    (row,) = asker.result("OpenPositions", consolidation="market", docalcs="true")
    assert (row["pair"], row["positions"], row["type"]) == ("XXBTZUSD", "2", "sell")
    assert (row["vol"], row["vol_closed"], "net" in row) == ("0.50000000", "0.00000000", True)


def test_the_ledger_says_of_which_asset_the_fee_of_an_execution_was_taken(make_client: MakeClient) -> None:
    faults = Faults()
    client = make_client(faults=faults)
    asker = Asker(client)
    client.order("market", "buy", "0.1")
    faults.arm("base_fee")
    client.wait(1)
    client.order("market", "buy", "0.2")
    client.wait(1)
    client.order("market", "sell", "0.1", margin=True)
    answer = asker.result("Ledgers")
    lines = [(x["refid"], x["type"], x["asset"], x["amount"], Decimal(x["fee"]) > 0) for x in answer["ledger"].values()]
    margin, base, quote = asker.result("TradesHistory")["trades"]
    assert lines == [
        (margin, "margin", "ZUSD", "0.0000", True),
        (base, "trade", "ZUSD", lines[1][3], False),
        (base, "trade", "XXBT", "0.2000000000", True),
        (quote, "trade", "ZUSD", lines[3][3], True),
        (quote, "trade", "XXBT", "0.1000000000", False),
    ]
    assert answer["count"] == 5
    trades = asker.result("TradesHistory")["trades"]
    # The trade itself tells what its fee is worth in the quote asset, whatever it was taken of.
    assert Decimal(trades[base]["fee"]) == pytest.approx(2 * Decimal(trades[quote]["fee"]), rel=Decimal("0.01"))
    assert [Decimal(trades[one]["margin"]) > 0 for one in (margin, base, quote)] == [True, False, False]
    assert {x["refid"] for x in asker.result("Ledgers", type="margin")["ledger"].values()} == {margin}
    assert [x["asset"] for x in asker.result("Ledgers", asset="XBT")["ledger"].values()] == ["XXBT", "XXBT"]
    at = str(trades[base]["time"])
    assert {x["refid"] for x in asker.result("Ledgers", start=at)["ledger"].values()} == {margin}
    assert {x["refid"] for x in asker.result("Ledgers", end=at)["ledger"].values()} == {base, quote}
    faults.arm("rest_empty", on="rest:Ledgers")
    assert asker.result("Ledgers") == {"ledger": {}, "count": 5}
    faults.arm("rest_partial", on="rest:Ledgers")
    assert len(asker.result("Ledgers")["ledger"]) == 2
    faults.arm("rest_stale", on="rest:Ledgers", seconds=0.5)
    assert {x["refid"] for x in asker.result("Ledgers")["ledger"].values()} == {base, quote}


def test_the_ledger_needs_a_permission_of_its_own_and_counts_two_calls(make_client: MakeClient) -> None:
    asker = Asker(make_client(key_lacks="query_ledger"))
    assert asker.ask("Ledgers")["error"] == ["EGeneral:Permission denied"]
    asker = Asker(make_client(tier="starter"))
    assert [asker.ask("Ledgers")["error"] for _ in range(8)] == [[]] * 7 + [["EAPI:Rate limit exceeded"]]


def test_positions_lag_as_the_other_lists_do(make_client: MakeClient) -> None:
    client = make_client(rest_lag_ms=60_000)
    asker = Asker(client)
    client.order("market", "sell", "0.3", margin=True)
    assert asker.result("OpenPositions") == {}
    client.wait(61)
    assert len(asker.result("OpenPositions")) == 1


def test_trades_come_in_pages_of_fifty_the_newest_first(make_client: MakeClient) -> None:
    client = make_client(tier="unlimited")
    for _ in range(60):
        client.order("market", "buy", "0.001")
        client.wait(0.5)
    asker = Asker(client)
    first = asker.result("TradesHistory")
    rest = asker.result("TradesHistory", ofs="50")
    assert (first["count"], len(first["trades"]), len(rest["trades"])) == (60, 50, 10)
    times = [trade["time"] for trade in (*first["trades"].values(), *rest["trades"].values())]
    assert times == sorted(times, reverse=True)
    since = next(iter(rest["trades"].values()))["time"]
    assert asker.result("TradesHistory", start=str(since))["count"] in (50, 51)
    assert asker.ask("TradesHistory", start="soon")["error"] == ["EGeneral:Invalid arguments:start"]


def test_lists_may_lag_behind_the_streams(make_client: MakeClient) -> None:
    client = make_client(rest_lag_ms=60_000)
    asker = Asker(client)
    client.order("market", "buy", "0.1", cl_ord_id="hf1")
    assert asker.result("OpenOrders")["open"] == {}
    assert asker.result("ClosedOrders")["closed"] == {}
    assert asker.result("TradesHistory")["trades"] == {}
    client.wait(61)
    assert len(asker.result("TradesHistory")["trades"]) == 1
    stop = client.placed("stop-loss", "sell", "0.1", triggers={"price": Decimal(59_000)})
    client.wait(61)
    client.trade("cancel_order", order_id=[stop])
    assert list(asker.result("OpenOrders")["open"]) == [stop]


def test_the_faults_of_lists_strike(make_client: MakeClient) -> None:
    faults = Faults()
    client = make_client(faults=faults)
    asker = Asker(client)
    for _ in range(4):
        client.order("market", "buy", "0.01")
    client.wait(10)
    faults.arm("rest_empty")
    assert asker.result("ClosedOrders")["closed"] == {}
    faults.arm("rest_partial")
    assert len(asker.result("ClosedOrders")["closed"]) == 2
    faults.arm("rest_stale", seconds=60)
    assert asker.result("ClosedOrders")["closed"] == {}
    faults.arm("rest_refused", text="EGeneral:Internal error")
    assert asker.ask("ClosedOrders")["error"] == ["EGeneral:Internal error"]
    faults.arm("rest_429")
    assert asker.ask("ClosedOrders") == {"status": 429}
    assert len(asker.result("ClosedOrders")["closed"]) == 4
    assert {name: faults.counts[name] for name in faults.counts} == dict.fromkeys(
        ("rest_empty", "rest_partial", "rest_stale", "rest_refused", "rest_429"), 1
    )


def test_calls_are_counted_by_tier(make_client: MakeClient) -> None:
    client = make_client(tier="starter")
    asker = Asker(client)
    refused = [asker.ask("Balance")["error"] for _ in range(16)]
    assert refused == [[]] * 15 + [["EAPI:Rate limit exceeded"]]
    client.wait(4)
    assert asker.ask("Balance")["error"] == []


@pytest.mark.parametrize("body", [b"\xff", b"nonce=" + b"9" * 5_000, b"nonce=1&" * 200, b"{" * 1000])
def test_a_body_that_is_nonsense_is_refused(client: PureClient, body: bytes) -> None:
    asker = Asker(client)
    for kind in ("application/json", "application/x-www-form-urlencoded"):
        headers = {"API-Key": "key", "API-Sign": base64.b64encode(bytes(64)).decode(), "Content-Type": kind}
        reply = asker.desk.answer(PRIVATE + "Balance", "", headers, body, client.now_ns)
        assert reply is not None
        assert json.loads(reply.text)["error"]


async def test_the_client_that_talks_to_kraken_gets_its_answers_over_the_socket() -> None:
    feed = MarketFeed(pair_of("BTC/USD"), [Tick(0, Decimal(60_000), Decimal(1), "buy")])
    venue = SimulatedVenue([feed], goes_on=False, keys={"key": SECRET})
    await venue.start()
    try:
        client = RestClient("key", SECRET, venue.http_url)
        answers = {path: json.loads(await client.post(path, {"txid": "O"})) for path in PATHS if path.startswith(PRIVATE)}
        assert {path: answer["error"] for path, answer in answers.items() if answer["error"]} == {
            PRIVATE + "QueryOrders": ["EOrder:Invalid order"],
            PRIVATE + "AddOrder": ["EGeneral:Invalid arguments:validate"],
            PRIVATE + "CancelOrder": ["EOrder:Unknown order"],
        }
        other = RestClient("key", base64.b64encode(b"no").decode(), venue.http_url)
        assert errors_in(await other.post(PRIVATE + "Balance")) == ["EAPI:Invalid signature"]
    finally:
        await venue.stop()


@pytest.mark.parametrize(
    ("symbol", "name", "altname", "base"),
    [
        ("BTC/USD", "XXBTZUSD", "XBTUSD", "XXBT"),
        ("ETH/EUR", "XETHZEUR", "ETHEUR", "XETH"),
        ("BTC/USDT", "XBTUSDT", "XBTUSDT", "XXBT"),
        ("SOL/USD", "SOLUSD", "SOLUSD", "SOL"),
        ("DOGE/USD", "XXDGZUSD", "XDGUSD", "XXDG"),
    ],
)
def test_a_pair_has_its_names_by_rest(symbol: str, name: str, altname: str, base: str) -> None:
    assert (pair_id(symbol), altname_of(symbol), asset_id(symbol.split("/")[0])) == (name, altname, base)
    assert asset_of(base) == symbol.split("/")[0]
    assert symbols_by_name([symbol])[name] == symbols_by_name([symbol])[altname] == symbol


def test_a_pair_is_known_by_an_id_of_one_old_and_one_new_asset_too() -> None:
    names = symbols_by_name(["USDT/USD", "BTC/USDT"])
    assert {names[x] for x in ("USDT/USD", "USDTZUSD", "USDTUSD")} == {"USDT/USD"}
    held = '{"error":[],"result":{"T1":{"pair":"USDTZUSD","type":"buy","vol":"100","vol_closed":"25"}}}'
    assert holdings_from(held, names) == (("USDT/USD", Decimal(75)),)
    assert asset_of("XBT.M") == ""
