"""Every sample frame of Kraken that we have: what it decodes to, or the reason for which it is refused.

The frames themselves are not part of the repository. Origins, and which of them were seen on a wire, are listed beside them.
"""

import json
from decimal import Decimal
from pathlib import Path

import pytest

from events.facts import Fee, OrderAccepted, OrderAmended, OrderCanceled, OrderFilled
from events.values import Side
from venues.kraken.translate import KrakenTranslator
from venues.messages import FrameRefused

_SHARED = Path(__file__).resolve().parents[4] / "shared"
_FRAMES = _SHARED / "frames" / "kraken"
_SESSIONS = _SHARED / "data" / "ws"

pytestmark = pytest.mark.skipif(not _FRAMES.is_dir(), reason="the sample frames are not beside this checkout")

# File without ".json", then what its frame gives. FrameRefused:request are our own side's frames, :rest_reply answers of
# the REST interface, :no_envelope elements of a frame without the frame, :unknown_channel channels that we do not use.
TABLE = """
ccxt-add-order-reject-unsupported-field                                                      UnmatchedReply
docs-add-order-ack                                                                           UnmatchedReply
docs-add-order-reject-insufficient-funds                                                     UnmatchedReply
docs-add-order-request-limit                                                                 FrameRefused:request
docs-add-order-request-oto-conditional                                                       FrameRefused:request
docs-add-order-request-stop-loss-pct                                                         FrameRefused:request
docs-add-order-request-trailing-stop-pct                                                     FrameRefused:request
docs-amend-order-ack                                                                         UnmatchedReply
docs-amend-order-request-basic                                                               FrameRefused:request
docs-amend-order-request-deadline-post-only                                                  FrameRefused:request
docs-amend-order-request-guide                                                               FrameRefused:request
docs-cancel-after-ack                                                                        UnmatchedReply
docs-cancel-after-request                                                                    FrameRefused:request
docs-cancel-order-ack                                                                        UnmatchedReply
docs-cancel-order-request                                                                    FrameRefused:request
docs-edit-order-request                                                                      FrameRefused:request
docs-executions-subscribe-ack                                                                SubscriptionAcked
docs-executions-subscribe-request                                                            FrameRefused:request
docs-executions-unsubscribe-ack                                                              SubscriptionAcked
docs-rest-order-amends                                                                       FrameRefused:no_envelope
gct-add-order-ack-validate-warning                                                           UnmatchedReply
gct-amend-order-ack-both-ids                                                                 UnmatchedReply
gct-balances-snapshot-docs                                                                   BalanceChanged x3, BalancesListed
gct-balances-update-deposit-docs                                                             SequenceGap, BalanceChanged
gct-balances-update-transfer-negative                                                        SequenceGap, BalanceChanged
gct-cancel-all-ack-warning                                                                   UnmatchedReply
gct-cancel-order-ack-warning                                                                 UnmatchedReply
gct-cancel-order-reject-unknown                                                              UnmatchedReply
gct-edit-order-ack                                                                           UnmatchedReply
gct-executions-new-docs                                                                      SequenceGap, ForeignOrder
gct-executions-pending-new-docs                                                              SequenceGap
gct-executions-snapshot-allfields-synthetic                                                  ForeignFill, SnapshotTaken
gct-executions-trade-docs                                                                    SequenceGap, ForeignFill
gct-heartbeat                                                                                Heartbeat
gct-instrument-snapshot-exponent-numbers                                                     InstrumentsListed
gct-status-with-maintenance                                                                  VenueStatus
gct-ticker-snapshot-2026                                                                     QuoteChanged
gct-trade-update-2026                                                                        TradePrinted x2
jkorf-rest-cancelallorders                                                                   FrameRefused:rest_reply
jkorf-rest-cancelallordersafter                                                              FrameRefused:rest_reply
jkorf-rest-cancelorder                                                                       FrameRefused:rest_reply
jkorf-rest-getclosedorders                                                                   FrameRefused:rest_reply
jkorf-rest-getopenorders                                                                     FrameRefused:rest_reply
jkorf-rest-getusertrades                                                                     FrameRefused:rest_reply
jkorf-rest-placemultipleorders                                                               FrameRefused:rest_reply
jkorf-rest-placeorder                                                                        FrameRefused:rest_reply
jkorf-ws-aggbook-ack                                                                         SubscriptionAcked
jkorf-ws-aggbook-update                                                                      FrameRefused:unknown_channel
jkorf-ws-cancelallorders-update                                                              UnmatchedReply
jkorf-ws-cancelallordersafter-update                                                         UnmatchedReply
jkorf-ws-cancelorders-ack                                                                    UnmatchedReply
jkorf-ws-cancelorders-update                                                                 UnmatchedReply
jkorf-ws-concurrent-ack-2                                                                    SubscriptionAcked
jkorf-ws-concurrent-ack                                                                      SubscriptionAcked
jkorf-ws-concurrent-update-2                                                                 FrameRefused:unknown_channel
jkorf-ws-concurrent-update                                                                   FrameRefused:unknown_channel
jkorf-ws-editorder-update                                                                    UnmatchedReply
jkorf-ws-individualbook-ack                                                                  SubscriptionAcked
jkorf-ws-individualbook-update                                                               FrameRefused:unknown_channel
jkorf-ws-kline-ack                                                                           SubscriptionAcked
jkorf-ws-kline-update                                                                        FrameRefused:unknown_channel
jkorf-ws-placemultipleorders-update                                                          UnmatchedReply
jkorf-ws-placeorder-update                                                                   UnmatchedReply
jkorf-ws-replaceorder-update                                                                 UnmatchedReply
jkorf-ws-ticker-ack                                                                          SubscriptionAcked
jkorf-ws-ticker-update                                                                       QuoteChanged
jkorf-ws-trades-ack                                                                          SubscriptionAcked
jkorf-ws-trades-update                                                                       TradePrinted
kar-add-order-ack-add-order                                                                  UnmatchedReply
kar-add-order-reject-error-messages-add-order-failure                                        UnmatchedReply
kar-add-order-reject-error-messages-invalid-arguments                                        UnmatchedReply
kar-add-order-reject-error-messages-permission-denied                                        UnmatchedReply
kar-amend-order-ack-amend-order-string                                                       UnmatchedReply
kar-amend-order-ack-amend-order                                                              UnmatchedReply
kar-amend-order-reject-amend-order-error-response                                            UnmatchedReply
kar-amend-order-request-amend-order-string-expected-request                                  FrameRefused:request
kar-balances-snapshot-balances-snapshot-balances-snapshot                                    BalanceChanged x5, BalancesListed
kar-balances-update-balances-updates-base-update                                             SequenceGap, BalanceChanged
kar-balances-update-balances-updates-usd-update                                              SequenceGap, BalanceChanged
kar-batch-add-ack-batch-add                                                                  UnmatchedReply
kar-batch-cancel-ack-batch-cancel                                                            UnmatchedReply
kar-book-snapshot-book-snapshot-book-snapshot                                                FrameRefused:unknown_channel
kar-book-update-book-update-book-update                                                      FrameRefused:unknown_channel
kar-book-update-deserializing-l2-update                                                      FrameRefused:unknown_channel
kar-cancel-all-ack-cancel-all-orders                                                         UnmatchedReply
kar-cancel-all-orders-after-ack-cancel-on-disconnect                                         UnmatchedReply
kar-cancel-order-ack-cancel-order-by-client-order-id                                         UnmatchedReply
kar-cancel-order-ack-cancel-order                                                            UnmatchedReply
kar-edit-order-ack-edit-order                                                                UnmatchedReply
kar-edit-order-reject-error-messages-no-token                                                TokenRefused, UnmatchedReply
kar-execution-entry-ack-deserializing-execution-new-update                                   FrameRefused:no_envelope
kar-execution-entry-ack-deserializing-execution-trade                                        FrameRefused:no_envelope
kar-executions-snapshot-execution-trades-snapshot-trades-snapshot                            ForeignFill x4, SnapshotTaken
kar-executions-update-execution-limit-order-update-pending-pending-new                       SequenceGap
kar-executions-update-execution-order-amended-amend                                          SequenceGap, ForeignOrder
kar-executions-update-execution-order-update-cancelled-cancel                                SequenceGap, ForeignOrder
kar-executions-update-execution-order-update-new-new                                         SequenceGap, ForeignOrder
kar-executions-update-execution-stop-loss-limit-order-update-pending-pending-new             SequenceGap
kar-heartbeat-ack-admin-messages-heartbeat                                                   Heartbeat
kar-instrument-snapshot-instruments-snapshot-instrument-snapshot                             InstrumentsListed
kar-level3-snapshot-l3-snapshot-l3-snapshot                                                  FrameRefused:unknown_channel
kar-level3-update-l3-update-l3-update                                                        FrameRefused:unknown_channel
kar-ohlc-snapshot-candles-snapshot-candles-snapshot                                          FrameRefused:unknown_channel
kar-ping-reject-error-messages-unsupported-field                                             UnmatchedReply
kar-pong-pong-pong                                                                           Ponged
kar-status-update-admin-messages-status-update                                               VenueStatus
kar-status-update-deserializing-maintenance-status-update                                    VenueStatus
kar-status-update-deserializing-status-update                                                VenueStatus
kar-subscribe-ack-balances-subscription-response                                             SubscriptionAcked
kar-subscribe-ack-book-subscription-response                                                 SubscriptionAcked
kar-subscribe-ack-execution-subscription-response                                            SubscriptionAcked
kar-subscribe-ack-instruments-subscription-response                                          SubscriptionAcked
kar-subscribe-ack-l3-subscription-response                                                   SubscriptionAcked
kar-subscribe-ack-ohlc-subscription-response                                                 SubscriptionAcked
kar-subscribe-ack-ticker-subscription-response                                               SubscriptionAcked
kar-subscribe-ack-trade-subscription-response                                                SubscriptionAcked
kar-subscribe-reject-deserializing-error-message                                             TokenRefused, SubscriptionRefused
kar-subscribe-reject-deserializing-subscribe-error-message                                   SubscriptionRefused
kar-subscribe-reject-error-messages-unsupported-event                                        SubscriptionRefused
kar-ticker-snapshot-ticker-snapshot-ticker-snapshot                                          QuoteChanged
kar-ticker-update-ticker-update-ticker-update                                                QuoteChanged
kar-trade-snapshot-trade-snapshot-trade-snapshot                                             TradePrinted x2
kar-trade-update-trade-update-trade-update                                                   TradePrinted x2
naut-http-add-order-spot                                                                     FrameRefused:rest_reply
naut-http-cancel-order-spot                                                                  FrameRefused:rest_reply
naut-http-closed-orders                                                                      FrameRefused:rest_reply
naut-http-open-orders                                                                        FrameRefused:rest_reply
naut-http-server-time                                                                        FrameRefused:rest_reply
naut-http-spot-balance                                                                       FrameRefused:rest_reply
naut-http-system-status                                                                      FrameRefused:rest_reply
naut-http-trades-history                                                                     FrameRefused:rest_reply
naut-ws-add-order-request                                                                    FrameRefused:request
naut-ws-add-order-response-failure                                                           UnmatchedReply
naut-ws-add-order-response-success                                                           UnmatchedReply
naut-ws-amend-order-request                                                                  FrameRefused:request
naut-ws-batch-add-request                                                                    FrameRefused:request
naut-ws-batch-add-response-partial                                                           UnmatchedReply
naut-ws-book-snapshot                                                                        FrameRefused:unknown_channel
naut-ws-book-update                                                                          FrameRefused:unknown_channel
naut-ws-cancel-order-request                                                                 FrameRefused:request
naut-ws-pong                                                                                 Ponged
naut-ws-subscribe-response                                                                   SubscriptionAcked
naut-ws-ticker-snapshot                                                                      QuoteChanged
naut-ws-trade-update                                                                         TradePrinted x2
ofsdk-balance-entry-update-null-subtype                                                      FrameRefused:no_envelope
ofsdk-exec-entry-canceled                                                                    FrameRefused:no_envelope
ofsdk-exec-entry-new-sparse                                                                  FrameRefused:no_envelope
ofsdk-exec-entry-pending-new                                                                 FrameRefused:no_envelope
ofsdk-exec-entry-unknown-exec-type                                                           FrameRefused:no_envelope
ofsdk-subscribe-status-reject                                                                UnmatchedReply
rest-getwebsocketstoken-ok                                                                   FrameRefused:rest_reply
"""


def named(outputs):
    names = [type(item).__name__ + (f":{item.code}" if isinstance(item, FrameRefused) else "") for item in outputs]
    runs: list[list] = []
    for name in names:
        if runs and runs[-1][0] == name:
            runs[-1][1] += 1
        else:
            runs.append([name, 1])
    return ", ".join(name if count == 1 else f"{name} x{count}" for name, count in runs)


def expected_by_file():
    return dict(line.split(maxsplit=1) for line in TABLE.strip().splitlines())


def frame(name):
    return (_FRAMES / f"{name}.json").read_text()


def test_the_table_names_every_file():
    assert sorted(expected_by_file()) == sorted(path.stem for path in _FRAMES.glob("*.json"))


@pytest.mark.parametrize(("name", "expected"), list(expected_by_file().items()))
def test_a_sample_frame_gives_what_the_table_says(name, expected):
    assert named(KrakenTranslator("hf").decode(frame(name), 1)) == expected


def test_every_recorded_private_frame_decodes_or_is_refused_by_channel():
    lines = (_SESSIONS / "kraken_v2_private_frames.jsonl").read_text().splitlines()
    refused = [item for line in lines for item in KrakenTranslator("hf").decode(line, 1) if isinstance(item, FrameRefused)]
    assert len(lines) == 48
    # Two book, two level3 and one ohlc frame, and one request of the client's own.
    assert sorted(item.code for item in refused) == ["request", *["unknown_channel"] * 5]


def test_every_recorded_book_frame_is_refused_as_a_channel_that_is_not_used():
    recorded = json.loads((_SESSIONS / "kraken_v2_orderbook.json").read_text())
    frames = [recorded["init"], *recorded["updates"]]
    outputs = [KrakenTranslator("hf").decode(json.dumps(each), 1) for each in frames]
    assert len(frames) == 510
    assert {named(output) for output in outputs} == {"FrameRefused:unknown_channel"}


def test_the_instrument_grid_is_exact_also_where_it_comes_with_an_exponent():
    (listed,) = KrakenTranslator("hf").decode(frame("gct-instrument-snapshot-exponent-numbers"), 1)
    (pair,) = listed.instruments
    assert (pair.price_increment, pair.size_increment, pair.min_qty) == (Decimal("0.1"), Decimal("1e-8"), Decimal("5e-5"))
    assert (pair.lots(Decimal("1.00000001")), pair.min_lots, listed.statuses) == (100_000_001, 5000, ("online",))


def test_the_documented_life_of_an_order_of_ours_gives_its_facts():
    translator = KrakenTranslator("hf")
    translator.restore([("hf000001000010", "OK4GJX-KSTLS-7DZZO5")], (), ())
    names = ("gct-executions-pending-new-docs", "gct-executions-new-docs", "gct-executions-trade-docs")
    facts = [item for name in names for item in translator.decode(frame(name), 7) if type(item).__module__ == "events.facts"]
    ids = {"client_order_id": "hf000001000010", "venue_order_id": "OK4GJX-KSTLS-7DZZO5", "ts_recv_ns": 7}
    assert facts == [
        OrderAccepted(leaves_qty=Decimal("0.005"), cum_qty=Decimal(0), ts_event_ns=1695378785709982000, **ids),
        OrderFilled(
            trade_id="TGBB7L-HT5LX-J3BZ4A",
            side=Side.SELL,
            last_qty=Decimal("0.005"),
            last_px=Decimal("26599.9"),
            cum_qty=Decimal("0.005"),
            fees=(Fee(asset="USD", qty=Decimal("0.3458")),),
            liquidity_side="taker",
            behind_gap=True,
            ts_event_ns=1695378785709993000,
            **ids,
        ),
    ]


@pytest.mark.parametrize(
    ("name", "venue_order_id", "kind"),
    [
        ("kar-executions-update-execution-order-amended-amend", "6LYQGW-FH922-U6JTUM", OrderAmended),
        ("kar-executions-update-execution-order-update-cancelled-cancel", "KIUEL4-G3PWU-HOJTYU", OrderCanceled),
        ("kar-executions-update-execution-order-update-new-new", "7J91XK-XMFEL-348VPM", OrderAccepted),
        ("kar-executions-snapshot-execution-trades-snapshot-trades-snapshot", "NG6PUE-C7MXN-CFCAMC", OrderFilled),
    ],
)
def test_a_captured_update_of_an_order_of_ours_is_its_fact(name, venue_order_id, kind):
    translator = KrakenTranslator("hf")
    translator.restore([("hf000001000010", venue_order_id)], (), ())
    (fact,) = [item for item in translator.decode(frame(name), 1) if type(item).__module__ == "events.facts"]
    assert (type(fact), fact.client_order_id) == (kind, "hf000001000010")
