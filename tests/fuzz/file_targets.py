"""Fuzz targets for what is read from disk and from the user: sessions, anchors, stored events, spools, settings, ticks.

Files are written to memory where the system has such a folder.
"""

import contextlib
from collections.abc import Callable

from events.errors import HoldfastError
from events.record import PositionEvent, bytes_from, command_from, event_from, fact_from
from events.store import open_store, recover_spool
from events.store.mapper import TOPIC, event_from_row
from events.store.spool import Spool
from fsm.desk import Desk
from holdfast.config.load import load_config
from holdfast.config.text import example_toml
from projections.books import Books
from replay.chain import Chain, check_of
from replay.lines import SEAL_START, line_from, parts_of
from replay.replay import replay
from replay.session import read_session, repair, verify_session
from tests.folders import memory_folder
from tests.fuzz.life import fixture, write_session
from venues.simulated.ticks import describe

MAX_SENTENCE = 2_000

Run = Callable[[bytes], None]


# --- files ----------------------------------------------------------------------------------------------------------


def session_seeds() -> list[bytes]:
    folder = memory_folder("fuzz")
    seeds = []
    for number, (key, count) in enumerate(((None, 45), (b"0123456789abcdef", 45), (None, 160))):
        path = folder / f"{number}.session"
        write_session(path, key, count)
        seeds.append(path.read_bytes())
    return seeds


def sessions() -> Run:
    folder = memory_folder("fuzz")
    path, anchor = folder / "a.session", folder / "a.session.anchor"

    def run(data: bytes) -> None:
        path.write_bytes(data)
        whole = 0
        try:
            for _ in read_session(path):
                whole += 1
            verify_session(path, b"0123456789abcdef")
        except HoldfastError:
            pass
        try:
            repair(path)
        except HoldfastError:
            return
        finally:
            anchor.unlink(missing_ok=True)
        assert sum(1 for _ in read_session(path)) >= whole, "a repair lost records that could be read"

    return run


def rechained(data: bytes) -> bytes:
    """Return a session file of these lines whose chain is right: whoever holds no key can still be lied to by who wrote it."""
    first, _, rest = data.partition(b"\n")
    chain = Chain(first + b"\n", None)
    out = [first + b"\n", chain.seal(0)]
    number = 0
    for line in rest.split(b"\n"):
        if not line or line.startswith(SEAL_START):
            continue
        parts = parts_of(line + b"\n")
        body = parts[0] if parts is not None else line.rstrip(b"}")
        whole = line_from(body, check_of(chain.head, body))
        chain.add(whole)
        number += 1
        out += [whole, chain.seal(number)]
    return b"".join(out)


def records() -> Run:
    path = memory_folder("fuzz") / "a.session"

    def run(data: bytes) -> None:
        path.write_bytes(rechained(data))
        try:
            verdict = replay(path)
        except HoldfastError:
            return
        assert verdict.inputs >= 0

    return run


def anchor_seeds() -> list[bytes]:
    folder = memory_folder("fuzz")
    path = folder / "a.session"
    write_session(path, None, 160)
    return [path.with_name("a.session.anchor").read_bytes()]


def anchors() -> Run:
    folder = memory_folder("fuzz")
    path = folder / "a.session"
    write_session(path, None, 160)
    anchor = path.with_name("a.session.anchor")

    def run(data: bytes) -> None:
        anchor.write_bytes(data)
        with contextlib.suppress(HoldfastError):
            verify_session(path)

    return run


def event_seeds() -> list[bytes]:
    lives: dict[str, list[bytes]] = {}
    for kind, _, _, payload in fixture().inputs:
        if kind == "event" and isinstance(payload, bytes):
            lives.setdefault(event_from(payload).position_id, []).append(payload)
    singles = [data for events in lives.values() for data in events]
    return [b"\n".join(events) for events in lives.values()] + singles


def events_and_books() -> Run:
    def run(data: bytes) -> None:
        events: list[PositionEvent] = []
        for line in data.split(b"\n"):
            for decode in (fact_from, command_from):
                with contextlib.suppress(HoldfastError):
                    decode(line)
            try:
                event = event_from(line)
                again = bytes_from(event)
                assert bytes_from(event_from_row(TOPIC, line)) == again
            except HoldfastError:
                continue
            assert bytes_from(event_from(again)) == again, "an event that was read is not written as it was read"
            events.append(event)
        with contextlib.suppress(HoldfastError):
            Desk("hf", "flat").restore(events)
        with contextlib.suppress(HoldfastError):
            books = Books()
            for number, event in enumerate(events, 1):
                books.apply(number, event)

    return run


def spool_seeds() -> list[bytes]:
    folder = memory_folder("fuzz")
    with open_store(str(folder / "events.db")) as store:
        path = folder / "spool.jsonl"
        spool = Spool(path, store)
        spool.append(fixture().history)
        spool.close()
        return [path.read_bytes().replace(store.store_id.encode(), b"STORE-ID")]


def spools() -> Run:
    folder = memory_folder("fuzz")
    path = folder / "spool.jsonl"
    store = open_store(str(folder / "events.db"))
    store.acquire_lease()

    def run(data: bytes) -> None:
        path.write_bytes(data.replace(b"STORE-ID", store.store_id.encode()))
        try:
            recovery = recover_spool(store, path)
        except HoldfastError:
            return
        if recovery.kept_as is not None:
            recovery.kept_as.unlink()

    return run


# --- settings and ticks -----------------------------------------------------------------------------------------------

_TOML = """
[engine]
namespace = "hf"
[venue]
kind = "kraken"
symbols = ["BTC/USD"]
public_url = "ws://127.0.0.1:1/v2"
private_url = "ws://127.0.0.1:1/v2"
rest_url = "http://127.0.0.1:1"
[simulated]
speed = 2.5
faults = ["drop_frame/p=0.1"]
[simulated.settings]
balances = { USD = 1000, BTC = "0.5" }
[[positions]]
symbol = "BTC/USD"
side = "long"
qty = 0.3
trail_offset_bps = 60
tighten = [{ profit_bps = 15, trail_offset_bps = 30 }]
[positions.timing]
ack_timeout_ms = 1000
"""


def toml_seeds() -> list[bytes]:
    return [_TOML.encode(), example_toml().encode()]


def toml_file() -> Run:
    path = memory_folder("fuzz") / "holdfast.toml"

    def run(data: bytes) -> None:
        path.write_bytes(data)
        said = ""
        try:
            load_config(path, environ={})
        except HoldfastError as problem:
            said = str(problem)
        assert len(said) < MAX_SENTENCE, "the sentence about a bad file is a page long"

    return run


def setting_seeds() -> list[bytes]:
    return [
        b"HOLDFAST__SIMULATED__SEED=7\nHOLDFAST__VENUE__SYMBOLS=BTC/USD,ETH/USD\nsimulated.seed=7\nsimulated.speed=0.5",
        b"store.url=postgresql://u@localhost/db\nsimulated.settings.balances.USD=100000\nlog.format=json",
        b'positions=[{symbol="BTC/USD",side="long",qty=1,trail_offset_bps=10}]\nrisk.max_positions=3\nHOLDFAST__SIMULATED__SETTINGS__BALANCES__USD=1',
        b'simulated.faults=["stall/p=0.5/seconds=3"]\nvenue.kind=simulated\nsession.anchor_every=1',
    ]


def settings_texts() -> Run:
    empty = memory_folder("fuzz") / "empty.toml"
    empty.write_bytes(b"")

    def run(data: bytes) -> None:
        texts = data.decode("utf-8", "surrogateescape").split("\n")
        environ = dict(text.partition("=")[::2] for text in texts if text.startswith("HOLDFAST__"))
        with contextlib.suppress(HoldfastError):
            load_config(empty, environ=environ, sets=[text for text in texts if not text.startswith("HOLDFAST__")])

    return run


def tick_seeds() -> list[bytes]:
    own = [
        b"time,price,quantity\n1700000000.0,60000,0.5\n1700000000.5,60000.1,1\n1700000001,59999.9,0.25\n",
        b"1700000000000;60000;0.5;buy\n1700000000001;60000.5;0.5;sell\n",
        b"timestamp\tpx\tsize\tis_buyer_maker\n2024-08-08T23:54:15.030Z\t1.5\t2\ttrue\n2024-08-08T23:54:16Z\t1.6\t2\tfalse\n",
        b'1700000000000000000 {"stream":"btcusdt@trade","data":{"e":"trade",'
        b'"E":1,"s":"BTCUSDT","t":1,"p":"60000.0","q":"0.5","T":1700000000000,"m":true,"X":"MARKET"}}\n'
        b'1700000000000000001 {"e":"trade","s":"BTCUSDT","p":"60000.1","q":"1","T":1700000000005,"m":false}\n',
    ]
    return own + _parquet_seeds()


def _parquet_seeds() -> list[bytes]:
    try:
        import pyarrow
        from pyarrow import parquet
    except ImportError:
        return []
    path = memory_folder("fuzz") / "a.parquet"
    parquet.write_table(
        pyarrow.table({"time": [1_700_000_000, 1_700_000_001], "price": ["1.5", "1.6"], "qty": ["1", "2"], "symbol": ["A", "A"]}), path
    )
    return [path.read_bytes()]


def tick_file() -> Run:
    path = memory_folder("fuzz") / "ticks"

    def run(data: bytes) -> None:
        path.write_bytes(data)
        said = ""
        try:
            found = describe(path)
            assert found.count > 0
            assert found.min_px > 0
        except HoldfastError as problem:
            said = str(problem)
        assert len(said) < MAX_SENTENCE, "the sentence about a bad file is a page long"

    return run
