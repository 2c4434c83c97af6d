"""The fills ledger: double entry, per asset, exact.

Every entry is a set of postings whose amounts sum to zero in each asset; so do all balances of an asset over all accounts.
Amounts are exact Decimals and nothing is divided.

    position:<id>         what a position holds: base bought and sold, quote paid and received, fees paid
    market:<venue>        the other side of our executions
    commission:<venue>    fees, in the asset that was charged
    manual:<venue>        the other side of what the owner traded by hand (P19)
    adopted:<venue>       where adopted exposure comes from, and where fills after a position's end go to (A8)
    adjustment:<venue>    quantity that an operator or a reconciliation set, without an execution
    dust:<venue>          what was too small to sell when a position closed (A19)

A fill whose price is pending is booked in base only; the quote side follows as an entry of its own when the price is known.
"""

from collections.abc import Iterable
from decimal import Decimal
from typing import Literal

import msgspec

from events.facts import Fee

from .exact import ZERO, add, negate, total
from .fills import Entry, Fill, FillPriced, Transfer

Kind = Literal["fill", "price", "dust", "adjustment"]


class Posting(msgspec.Struct, frozen=True, kw_only=True):
    """One line of the ledger. Lines of the same `entry` balance per asset."""

    entry: int
    notification_id: int
    position_id: str
    kind: Kind
    trade_id: str
    account: str
    asset: str
    amount: Decimal
    ts_recv_ns: int


class Ledger:
    """Fold of entries into postings and balances."""

    def __init__(self) -> None:
        self.postings: list[Posting] = []
        self.balances: dict[tuple[str, str], Decimal] = {}
        self.by_position: dict[str, list[Posting]] = {}
        self._entries = 0

    def apply(self, entry: Entry) -> None:
        """Book one entry."""
        if isinstance(entry, Fill):
            lines = [*_lines(entry, entry.base, entry.signed_qty), *_quote_lines(entry), *_fee_lines(entry, entry.fees)]
            self._post(entry, "fill", entry.trade_id, lines)
        elif isinstance(entry, FillPriced):
            lines = [*_quote_lines(entry.fill), *_fee_lines(entry.fill, entry.added_fees)]
            self._post(entry.fill, "price", entry.fill.trade_id, lines, entry.notification_id)
        else:
            account = f"{entry.kind}:{entry.venue}"
            own = f"position:{entry.position_id}"
            self._post(entry, entry.kind, "", [(own, entry.base, entry.qty), (account, entry.base, negate(entry.qty))])

    def _post(
        self,
        source: Fill | Transfer,
        kind: Kind,
        trade_id: str,
        lines: Iterable[tuple[str, str, Decimal]],
        notification_id: int | None = None,
    ) -> None:
        self._entries += 1
        sums: dict[str, Decimal] = {}
        for account, asset, amount in lines:
            posting = Posting(
                entry=self._entries,
                notification_id=source.notification_id if notification_id is None else notification_id,
                position_id=source.position_id,
                kind=kind,
                trade_id=trade_id,
                account=account,
                asset=asset,
                amount=amount,
                ts_recv_ns=source.ts_recv_ns,
            )
            self.postings.append(posting)
            self.by_position.setdefault(source.position_id, []).append(posting)
            self.balances[account, asset] = add(self.balances.get((account, asset), ZERO), amount)
            sums[asset] = add(sums.get(asset, ZERO), amount)
        assert not any(sums.values()), sums

    def balance(self, account: str, asset: str) -> Decimal:
        """Return what `account` holds of `asset`, 0 if it never held any."""
        return self.balances.get((account, asset), ZERO)

    def totals(self) -> dict[str, Decimal]:
        """Return the sum over all accounts of each asset, added up from the postings anew; every one is 0 if the ledger balances."""
        assets = sorted({posting.asset for posting in self.postings})
        return {asset: total(p.amount for p in self.postings if p.asset == asset) for asset in assets}

    @property
    def is_balanced(self) -> bool:
        """Whether every asset sums to zero over all accounts."""
        return not any(self.totals().values())


def _lines(fill: Fill, asset: str, amount: Decimal) -> list[tuple[str, str, Decimal]]:
    """Return the lines by which a position gets `amount` from the other side, and hands it on if it has ended."""
    own, other = f"position:{fill.position_id}", f"{'market' if fill.source == 'order' else fill.source}:{fill.venue}"
    lines = [(own, asset, amount), (other, asset, negate(amount))]
    return [*lines, (own, asset, negate(amount)), (f"adopted:{fill.venue}", asset, amount)] if fill.late else lines


def _quote_lines(fill: Fill) -> list[tuple[str, str, Decimal]]:
    return [] if fill.paid is None else _lines(fill, fill.quote, negate(fill.paid))


def _fee_lines(fill: Fill, fees: Iterable[Fee]) -> list[tuple[str, str, Decimal]]:
    own, commission = f"position:{fill.position_id}", f"commission:{fill.venue}"
    return [line for fee in fees for line in ((own, fee.asset, negate(fee.qty)), (commission, fee.asset, fee.qty))]
