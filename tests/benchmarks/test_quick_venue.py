"""The venue of W4 and W5: what it must say so that the engine's own time is what is measured."""

import json
from decimal import Decimal

from benchmarks.quick_venue import SYMBOL, QuickVenue
from benchmarks.w4_wire import POSITIONS
from events import commands as c
from events.values import Side
from venues.kraken.budget import YOUNG
from venues.kraken.translate import KrakenTranslator


def test_no_entry_waits_for_the_rate_limit_of_the_quick_venue() -> None:
    translator = KrakenTranslator("bm", (SYMBOL,))
    request = {"method": "subscribe", "req_id": 1, "params": {"channel": "executions"}}
    translator.decode(QuickVenue().acknowledge(request), 1)
    entry = None
    for number in range(2 * (POSITIONS + 5_000)):
        entry = c.SubmitOrder(
            client_order_id=f"bm{number:012d}", symbol=SYMBOL, side=Side.BUY, order_type="market", qty=Decimal("0.01"), role="entry"
        )
        translator.budget.charge(entry, 1)
    assert entry is not None
    assert translator.budget.entry_wait_ns(SYMBOL, YOUNG * (POSITIONS + 1), (), 1) == 0


def test_only_the_account_channel_tells_a_rate_limit() -> None:
    request = {"method": "subscribe", "req_id": 1, "params": {"channel": "trade"}}
    assert json.loads(QuickVenue().acknowledge(request))["result"] == {"channel": "trade"}
