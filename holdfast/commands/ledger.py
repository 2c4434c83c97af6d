"""`holdfast ledger`: postings and balances, and whether they balance."""

import sys
from collections.abc import Iterable, Sequence
from decimal import Decimal
from typing import Annotated

import msgspec
from cyclopts import Parameter

from holdfast.inquiry.books import books_of, write_files
from holdfast.inquiry.digits import even_columns
from holdfast.inquiry.find import position_named
from holdfast.output import print_object, print_rows, table
from holdfast.times import Times, iso_text, moment_text
from projections.exact import plain, total
from projections.ledger import Posting

from .options import FileOption, FolderOption, Output, Settings, StoreOption, TimesOption, no_files_of_one, open_log

VIEWS = ("ledger", "fills")
UNBALANCED = 6


class Balance(msgspec.Struct, frozen=True, kw_only=True):
    """What an account holds of an asset."""

    account: str
    asset: str
    amount: Decimal


def command(
    position: str | None = None,
    /,
    *,
    balances: Annotated[bool, Parameter(name="--balances", negative="", help="Leave the postings out.")] = False,
    store: StoreOption = None,
    times: TimesOption = "iso",
    output: Output = "table",
    out: FolderOption = None,
    format: FileOption = "csv",
    settings: Settings = Settings(),
) -> int:
    """List postings and balances per account and asset, exact, and whether they balance.

    Double entry: the postings of an entry sum to zero in each asset, and so do
    all balances of an asset. Nothing here is rounded. Ends with exit code 6 if
    the ledger does not balance. With -o jsonl: one posting, or with --balances
    one balance, a line. With --out: ledger and fills.

    Parameters
    ----------
    position:
        id of a position, its number, or how the id ends; all if none is named.
    """
    no_files_of_one(position, out)
    with open_log(store, settings) as log:
        books = books_of(log, position_named(log, position)[0].position_id if position is not None else None)
        name = log.name
    postings = books.ledger.postings
    sums = books.ledger.totals()
    if out is not None:
        write_files(books, VIEWS, out, format, sys.stderr.write)
    elif output == "json":
        held = {"postings": () if balances else postings, "balances": _balances(postings)}
        print_object({**held, "totals": sums, "balanced": books.ledger.is_balanced}, output)
    elif output == "jsonl":
        print_rows(_balances(postings) if balances else postings, output)
    elif postings:
        if not balances:
            sys.stdout.write(_postings(postings, books.last_ns, times) + "\n")
        sys.stdout.write(_accounts(_balances(postings)) + "\n" + _verdict(sums))
    else:
        sys.stderr.write(f"{name}: nothing has been booked yet\n")
    return 0 if books.ledger.is_balanced else UNBALANCED


def _balances(postings: Iterable[Posting]) -> list[Balance]:
    """Return the balance of each account and asset that has postings, added up anew, accounts in the order of the alphabet."""
    sums: dict[tuple[str, str], list[Decimal]] = {}
    for posting in postings:
        sums.setdefault((posting.account, posting.asset), []).append(posting.amount)
    return [Balance(account=account, asset=asset, amount=total(amounts)) for (account, asset), amounts in sorted(sums.items())]


def _postings(postings: Sequence[Posting], last_ns: int, times: Times) -> str:
    rows: list[dict[str, object]] = [
        {
            "entry": posting.entry,
            "when": iso_text(posting.ts_recv_ns) if times == "iso" else moment_text(posting.ts_recv_ns, last_ns, times),
            "kind": posting.kind,
            "account": posting.account,
            "amount": plain(posting.amount),
            "asset": posting.asset,
            "trade": posting.trade_id,
        }
        for posting in postings
    ]
    return table(even_columns(rows, "amount"))


def _accounts(balances: Sequence[Balance]) -> str:
    rows: list[dict[str, object]] = [{"account": one.account, "balance": plain(one.amount), "asset": one.asset} for one in balances]
    return table(even_columns(rows, "balance"))


def _verdict(sums: dict[str, Decimal]) -> str:
    off = {asset: amount for asset, amount in sums.items() if amount}
    if not off:
        return f"balanced: {', '.join(f'{asset} sums to 0' for asset in sums)}\n"
    return f"NOT BALANCED: {', '.join(f'{asset} sums to {plain(amount):f}' for asset, amount in off.items())}\n"
