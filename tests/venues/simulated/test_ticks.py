"""Reading trades: what real recordings say, and one sentence for each way in which a file can be wrong."""

import gzip
import sys
from decimal import Decimal
from pathlib import Path

import pytest

from events.errors import BadInput, NotFound
from venues.simulated.ticks import Tick, describe, read_ticks

SHARED = Path(__file__).resolve().parents[4] / "shared" / "data"
needs_recordings = pytest.mark.skipif(not SHARED.exists(), reason="the recorded sessions of ../shared/data are not here")

TRADE = b'1723161255088176367 {"stream":"btcusdt@trade","data":{"e":"trade","T":%d,"s":"BTCUSDT","p":"%s","q":"0.006","X":"%s","m":%s}}\n'
QUOTE = b'1723161255088169167 {"stream":"btcusdt@bookTicker","data":{"e":"bookTicker","b":"61800.20","a":"61800.30"}}\n'


def trade(trade_ms: int = 1723161256322, price: str = "61800.30", x: str = "MARKET", buyer_is_maker: str = "false") -> bytes:
    return TRADE % (trade_ms, price.encode(), x.encode(), buyer_is_maker.encode())


def written(folder: Path, content: bytes, name: str = "trades") -> Path:
    path = folder / name
    path.write_bytes(content)
    return path


def sentence(path: Path) -> str:
    with pytest.raises(BadInput) as caught:
        list(read_ticks(path))
    return str(caught.value)


@needs_recordings
@pytest.mark.parametrize(
    ("name", "symbol", "count", "low", "high", "off_market"),
    [
        ("spot_btcusdt_20230405.dat.gz", "BTCUSDT", 3_144, "28150.44", "28168.76", 0),
        ("spot_btcusdt_20240808.gz", "BTCUSDT", 9_757, "61583.22", "61860.80", 0),
        ("usdm_btcusdt_20230405.dat.gz", "BTCUSDT", 10_737, "28136.00", "28159.20", 1),
        ("usdm_btcusdt_20240808.gz", "BTCUSDT", 21_313, "61590.30", "61839.90", 0),
    ],
)
def test_a_recorded_session_gives_its_market_trades(name: str, symbol: str, count: int, low: str, high: str, off_market: int) -> None:
    summary = describe(SHARED / "ws" / name)
    assert (summary.symbol, summary.count) == (symbol, count)
    assert (summary.min_px, summary.max_px) == (Decimal(low), Decimal(high))
    assert summary.skipped.get("off_market", 0) == off_market


@needs_recordings
def test_parquet_gives_the_same_trades_as_the_session_that_it_was_made_from() -> None:
    pytest.importorskip("pyarrow")
    table = SHARED / "ticks" / "binance_hftbacktest_trades.parquet"
    assert list(read_ticks(table)) == list(read_ticks(SHARED / "ws" / "usdm_btcusdt_20240808.gz"))
    assert describe(table, "NEXOUSDT").count == 12_280


def test_an_insurance_fund_print_is_no_price(tmp_path: Path) -> None:
    path = written(tmp_path, trade() + trade(price="60500.00", x="INSURANCE_FUND") + trade())
    assert [str(tick.px) for tick in read_ticks(path)] == ["61800.30", "61800.30"]
    assert describe(path).skipped == {"off_market": 1}


def test_a_resting_buyer_means_that_the_seller_took(tmp_path: Path) -> None:
    path = written(tmp_path, trade(buyer_is_maker="true") + trade(buyer_is_maker="false"))
    assert [tick.taker_side for tick in read_ticks(path)] == ["sell", "buy"]


def test_frames_of_other_streams_and_texts_that_are_no_json_are_counted(tmp_path: Path) -> None:
    path = written(tmp_path, QUOTE + b"1723161255088169167 pong\n" + b'1723161255088169168 {"result":null,"id":1}\n' + trade())
    assert describe(path).skipped == {"other_stream": 2, "not_json": 1}


def test_a_session_of_two_symbols_gives_the_first_or_the_one_asked_for(tmp_path: Path) -> None:
    path = written(tmp_path, trade() + trade().replace(b"BTCUSDT", b"ETHUSDT").replace(b"61800.30", b"2681.62"))
    assert [str(tick.px) for tick in read_ticks(path)] == ["61800.30"]
    assert [str(tick.px) for tick in read_ticks(path, "ethusdt")] == ["2681.62"]


@pytest.mark.parametrize(
    ("time", "ns"),
    [
        ("1723161255", 1_723_161_255_000_000_000),
        ("1723161255.088", 1_723_161_255_088_000_000),
        ("1723161255088", 1_723_161_255_088_000_000),
        ("1723161255088176", 1_723_161_255_088_176_000),
        ("1723161255088176367", 1_723_161_255_088_176_367),
        ("2024-08-08T23:54:15.088176367Z", 1_723_161_255_088_176_367),
        ("2024-08-08 23:54:15", 1_723_161_255_000_000_000),
        ("2024-08-09T01:54:15.5+02:00", 1_723_161_255_500_000_000),
    ],
)
def test_time_is_read_in_every_unit_and_as_iso(tmp_path: Path, time: str, ns: int) -> None:
    (tick,) = read_ticks(written(tmp_path, f"{time},61800.3,0.5,buy\n".encode()))
    assert tick == Tick(ns, Decimal("61800.3"), Decimal("0.5"), "buy")


@pytest.mark.parametrize(
    "content",
    [
        b"time,price,quantity,side\n1,10,2,sell\n",
        b"side;qty;note;price;timestamp\nS;2;x;10;1\n",
        b"\xef\xbb\xbfTIME\tPRICE\tAMOUNT\tis_buyer_maker\r\n1\t10\t2\tTrue\r\n\r\n",
        b'"time","price","qty","side"\n"1","10","2","sell"',
        b"1,10,2,sell\n",
        gzip.compress(b"1,10,2,sell\n", mtime=0),
    ],
)
def test_a_table_is_read_with_and_without_a_header(tmp_path: Path, content: bytes) -> None:
    assert list(read_ticks(written(tmp_path, content))) == [Tick(10**9, Decimal(10), Decimal(2), "sell")]


def test_without_a_side_the_tick_rule_names_the_taker(tmp_path: Path) -> None:
    path = written(tmp_path, b"1,10,1\n2,11,1\n3,11,1\n4,10,1\n5,10,1\n")
    assert [tick.taker_side for tick in read_ticks(path)] == ["buy", "buy", "buy", "sell", "sell"]


@pytest.mark.parametrize(
    ("content", "place", "problem"),
    [
        (b"", "trades", "is empty"),
        (b"time,price,quantity\n", "trades", "holds no trades"),
        (QUOTE, "trades", "holds no trades"),
        (b"time,price\n1,2\n", "trades:1", "no column for quantity"),
        (b"1,2\n", "trades:1", "no quantity"),
        (b"1,10,1\n2,11\n", "trades:2", "no quantity"),
        (b"\xef\xbb\xbf", "trades", "holds no trades"),
        (b"\xef\xbb\xbf\n1,10\n", "trades:2", "no quantity"),
        (b"1,10,1\n2,,1\n", "trades:2", "no price"),
        (b"1,10,1\n2,zehn,1\n", "trades:2 price", "'zehn' is not a finite decimal number"),
        (b"1,10,1\n2,NaN,1\n", "trades:2 price", "'NaN' is not a finite decimal number"),
        (b"1,10,1\n2,1e999,1\n", "trades:2 price", "1E+999"),
        (b"1,10,1\n2,0,1\n", "trades:2 price", "0 is not above zero"),
        (b"1,10,1\n2,10,-1\n", "trades:2 quantity", "-1 is not above zero"),
        (b"1,10,1\n2,10,1,up\n", "trades:2", "'up' is not a side"),
        (b"2,10,1\n1,10,1\n", "trades:2", "time runs backwards by 1.000000 s"),
        (b"2024-13-01T00:00:00Z,10,1\n", "trades:1 time", "is not a time"),
        (b"-5,10,1\n", "trades:1 time", "is not a time after 1970"),
        (b"1,10,1,buy,5\n", "trades:1", "5 columns without a header"),
        (b"1,10,1\n\xff\xfe\n", "trades:2", "is not a line of text"),
        (trade() + b"1723161255088176367\n", "trades:2", "is not '<receive time> <frame>'"),
        (trade() + trade()[:80] + b"\n", "trades:2", "the frame cannot be read"),
        (trade() + QUOTE[:60] + b"\n", "trades:2", "the frame cannot be read"),
        (trade() + trade(price="0.00"), "trades:2 price", "0.00 is not above zero"),
        (trade() + trade(1723161256321), "trades:2", "time runs backwards by 0.001000 s"),
        (trade().replace(b'"p":"61800.30"', b'"p":61800.30'), "trades:1", "the frame cannot be read"),
        (gzip.compress(trade() * 2_000, mtime=0)[:-40], "trades:", "ends in the middle"),
        (gzip.compress(trade() * 2_000, mtime=0)[:-8] + b"\0" * 8, "trades:", "cannot be decompressed"),
    ],
)
def test_bad_input_is_one_sentence_with_the_place_and_the_remedy(tmp_path: Path, content: bytes, place: str, problem: str) -> None:
    said = sentence(written(tmp_path, content))
    assert said.startswith(f"{tmp_path}/{place}")
    assert problem in said
    assert "\n" not in said
    assert len(said.partition("; ")[2]) > 10, "a remedy"


def test_a_broken_parquet_file_is_named(tmp_path: Path) -> None:
    pytest.importorskip("pyarrow")
    assert "cannot be read as Parquet" in sentence(written(tmp_path, b"PAR1 and then nothing"))


def test_parquet_without_pyarrow_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    assert "needs pyarrow, which is not installed; install holdfast[data]" in sentence(written(tmp_path, b"PAR1 and then nothing"))


def test_a_file_that_is_not_there_or_is_a_directory(tmp_path: Path) -> None:
    with pytest.raises(NotFound, match="does not exist; give a recorded session"):
        list(read_ticks(tmp_path / "absent.gz"))
    assert "is a directory" in sentence(tmp_path)


def test_a_symbol_that_the_file_does_not_have_is_answered_with_those_that_it_has(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="holds no trades of DOGEUSDT; it has BTCUSDT"):
        describe(written(tmp_path, trade()), "DOGEUSDT")


def test_a_line_without_an_end_is_not_read_into_memory(tmp_path: Path) -> None:
    path = tmp_path / "bomb.gz"
    with gzip.open(path, "wb", compresslevel=1) as out:
        for _ in range(12):
            out.write(b"1" * (1 << 20))
    assert "a line of more than" in sentence(path)


def test_a_summary_says_what_a_demo_needs_to_set_its_levels(tmp_path: Path) -> None:
    summary = describe(written(tmp_path, b"1,100.0,1\n2,102.00,0.50\n3,99.96,1\n7,101,1\n", "BTCUSDT-trades.csv"))
    assert (summary.symbol, summary.count, summary.duration_ns, summary.longest_silence_ns) == ("BTCUSDT", 4, 6 * 10**9, 4 * 10**9)
    assert (summary.max_rise_bps, summary.max_fall_bps) == (200, 200)
    assert (summary.price_increment, summary.size_increment) == (Decimal("0.01"), Decimal("0.1"))
