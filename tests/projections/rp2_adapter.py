"""Maps the rows of the independent tool rp2 to our acquisitions and disposals, and our matches back to its report.

What its rows mean (facts read from its documentation and behaviour; no code of it is used):
    IN     acquires lots. Earn types (interest, mining, ...) are income at once, without a cost basis; the lot stays.
           Cost is "USD In (With Fee)", else quantity * spot + fee. A fee in crypto is a disposal of type FEE of its own.
    OUT    disposes of quantity and crypto fee together; proceeds are for the quantity alone. FEE: proceeds are the fee's value.
    INTRA  moves between wallets; only the fee (sent - received) is disposed of, as MOVE, at spot.
One queue of lots per asset over all wallets. Of equal times, lots may be consumed by disposals. Long term: 365 days or more.
Sums are per year, term and type, unrounded.
"""

import csv
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from decimal import Decimal
from fractions import Fraction
from pathlib import Path

from events.values import decimal_from
from projections.lots import Disposal, Lot, LotQueue, Method

EARN_TYPES = {"AIRDROP", "HARDFORK", "INCOME", "INTEREST", "MINING", "STAKING", "WAGES"}
LONG_TERM_DAYS = 365


@dataclass
class Taxable:
    """One event that rp2 taxes: an income, or a disposal."""

    kind: str
    qty: Decimal
    proceeds: Fraction
    time: datetime
    is_income: bool = False


@dataclass
class Asset:
    """The rows of one asset: its lots, its taxable events, and what each wallet acquired, sent and received."""

    lots: list[tuple[datetime, Lot]] = field(default_factory=list)
    incomes: list[Taxable] = field(default_factory=list)
    outs: list[Taxable] = field(default_factory=list)
    crypto_fees: list[Taxable] = field(default_factory=list)
    moves: list[Taxable] = field(default_factory=list)
    wallets: dict[tuple[str, str], list[Decimal]] = field(default_factory=dict)

    def wallet(self, exchange: str, holder: str) -> list[Decimal]:
        return self.wallets.setdefault((exchange, holder), [Decimal(0), Decimal(0), Decimal(0)])

    def taxables(self) -> list[Taxable]:
        """Return the taxable events in the order of time; of equal times incomes, then disposals, then moves."""
        groups = [self.incomes, self.outs + self.crypto_fees, self.moves]
        return sorted((t for group in groups for t in sorted(group, key=lambda t: t.time)), key=lambda t: t.time)


@dataclass(frozen=True)
class Gain:
    """One line of rp2's gain and loss detail."""

    kind: str
    time: datetime
    qty: Decimal
    proceeds: Fraction
    cost: Fraction
    is_long_term: bool


def assets_from_csv(path: Path) -> dict[str, Asset]:
    """Return the rows of a file of rp2, by asset."""
    assets: dict[str, Asset] = {}
    table, header = "", []
    with path.open(newline="") as file:
        for name, *cells in csv.reader(file):
            asset = assets.setdefault(name, Asset())
            if cells[0] in ("IN", "OUT", "INTRA"):
                table = cells[0]
            elif cells[0] == "Timestamp":
                header = cells
            elif cells[0] != "TABLE END":
                row = dict(zip(header, cells, strict=True))
                {"IN": _add_in, "OUT": _add_out, "INTRA": _add_intra}[table](asset, row)
    return assets


def _number(row: dict[str, str], column: str) -> Decimal | None:
    text = row.get(column, "")
    return decimal_from(text, column) if text else None


def _time(row: dict[str, str]) -> datetime:
    return datetime.fromisoformat(row["Timestamp"].replace(" +", "+"))


def _ns(time: datetime) -> int:
    delta = time - datetime(1970, 1, 1, tzinfo=UTC)
    return ((delta.days * 86_400 + delta.seconds) * 1_000_000 + delta.microseconds) * 1_000


def _add_in(asset: Asset, row: dict[str, str]) -> None:
    qty, spot = _number(row, "Crypto In"), _number(row, "Spot Price")
    crypto_fee, fee = _number(row, "Crypto Fee"), _number(row, "USD Fee")
    assert qty is not None
    assert spot is not None
    kind, time = row["Transaction Type"].upper(), _time(row)
    fee_value = Fraction(fee or 0) + Fraction(crypto_fee or 0) * Fraction(spot)
    without, with_fee = _number(row, "USD In (No Fee)"), _number(row, "USD In (With Fee)")
    cost = (Fraction(qty) * Fraction(spot) if without is None else Fraction(without)) + fee_value
    cost = cost if with_fee is None else Fraction(with_fee)
    lot_id = f"{row['Asset']}/{len(asset.lots)}"
    asset.lots.append((time, Lot(lot_id=lot_id, qty=qty, px=spot, cost=cost, ts_ns=_ns(time), left=qty)))
    asset.wallet(row["Exchange"], row["Owner"])[0] += qty
    if kind in EARN_TYPES:
        asset.incomes.append(Taxable(kind, qty, cost, time, is_income=True))
    if crypto_fee:
        asset.crypto_fees.append(Taxable("FEE", crypto_fee, Fraction(crypto_fee) * Fraction(spot), time))
        asset.wallet(row["Exchange"], row["Owner"])[1] += crypto_fee


def _add_out(asset: Asset, row: dict[str, str]) -> None:
    qty, spot, fee = _number(row, "Crypto Out"), _number(row, "Spot Price"), _number(row, "Crypto Fee") or Decimal(0)
    assert qty is not None
    assert spot is not None
    kind = row["Transaction Type"].upper()
    proceeds = Fraction(fee if kind == "FEE" else qty) * Fraction(spot)
    asset.outs.append(Taxable(kind, qty + fee, proceeds, _time(row)))
    asset.wallet(row["Exchange"], row["Holder"])[1] += qty + fee


def _add_intra(asset: Asset, row: dict[str, str]) -> None:
    sent, received, spot = _number(row, "Crypto Sent"), _number(row, "Crypto Received"), _number(row, "Spot Price")
    assert sent is not None
    assert received is not None
    asset.wallet(row["From Exchange"], row["From Holder"])[1] += sent
    asset.wallet(row["To Exchange"], row["To Holder"])[2] += received
    if spot and sent > received:
        asset.moves.append(Taxable("MOVE", sent - received, Fraction(sent - received) * Fraction(spot), _time(row)))


def gains_from(asset: Asset, method: Method) -> list[Gain]:
    """Match the asset's disposals with `LotQueue` and return rp2's detail lines."""
    queue = LotQueue(method)
    lots = sorted(asset.lots, key=lambda item: item[0])
    acquired_at = {lot.lot_id: time for time, lot in lots}
    gains: list[Gain] = []
    for number, event in enumerate(asset.taxables()):
        while lots and lots[0][0] <= event.time:
            queue.acquire(lots.pop(0)[1])
        if event.is_income:
            gains.append(Gain(event.kind, event.time, event.qty, event.proceeds, Fraction(0), is_long_term=False))
            continue
        disposal = Disposal(disposal_id=str(number), qty=event.qty, proceeds=event.proceeds, ts_ns=_ns(event.time))
        matches, rest = queue.dispose(disposal)
        assert not rest, f"{rest} of {event} has no lot"
        for match in matches:
            assert match.proceeds is not None
            assert match.cost is not None
            held = event.time - acquired_at[match.lot.lot_id]
            gains.append(Gain(event.kind, event.time, match.qty, match.proceeds, match.cost, held.days >= LONG_TERM_DAYS))
    return gains


def summary_from(name: str, gains: Iterable[Gain]) -> list[list[object]]:
    """Return rp2's yearly lines: year, asset, gain, term, type, quantity, proceeds, cost; newest first."""
    sums: dict[tuple[int, str, str], list[Fraction]] = {}
    for gain in gains:
        line = sums.setdefault((gain.time.year, _term(gain), gain.kind), [Fraction(0)] * 3)
        for index, amount in enumerate((Fraction(gain.qty), gain.proceeds, gain.cost)):
            line[index] += amount
    keys = sorted(sums, key=lambda k: f"{k[0]} {k[1]} {k[2].lower()}", reverse=True)
    return [[year, name, _printed(sums[y][1] - sums[y][2]), y[1], y[2], *map(_printed, sums[y])] for y in keys for year in (float(y[0]),)]


def detail_from(name: str, gains: Iterable[Gain]) -> list[list[object]]:
    """Return the first columns of rp2's detail: quantity, asset, running quantity, gain, term."""
    running, lines = Fraction(0), []
    for gain in gains:
        running += Fraction(gain.qty)
        lines.append([_printed(Fraction(gain.qty)), name, _printed(running), _printed(gain.proceeds - gain.cost), _term(gain)])
    return lines


def balances_from(name: str, asset: Asset) -> list[list[object]]:
    """Return rp2's wallet lines (acquired, sent, received, final) and the totals per holder."""
    lines: list[list[object]] = []
    totals: dict[str, Decimal] = {}
    for (exchange, holder), (acquired, sent, received) in sorted(asset.wallets.items(), key=lambda item: f"{item[0][0]}_{item[0][1]}"):
        final = acquired - sent + received
        lines.append([exchange, holder, name, *(_printed(Fraction(v)) for v in (acquired, sent, received, final))])
        totals[holder] = totals.get(holder, Decimal(0)) + final
    return lines + [["Total", holder, "", "", "", "", _printed(Fraction(total))] for holder, total in sorted(totals.items())]


def _term(gain: Gain) -> str:
    return "LONG" if gain.is_long_term else "SHORT"


def _printed(value: Fraction) -> float:
    """Return the number as its spreadsheet prints it: the nearest double, 17 significant digits."""
    return float(value)
