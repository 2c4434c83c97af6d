"""What became of an order, and which executions are missing: questions by REST, and what their answers add. Pure.

Rules
    REST adds, it never takes away (K9): executions and ends of orders are told; that an order is open is not, because the stream,
    asked at the same time, knows better.
    An order is looked for by its client id in the open orders, then in the closed ones, then in the trades. What nobody
    lists is told as absent as of `LAG_NS` before the first of these questions, and only if it had been sent by then.
    After a gap that a snapshot does not bridge (K8), trades are read backwards until they overlap with one that was known before
    it; they must also overlap with the snapshot itself, or be asked for `LAG_NS` after it: else REST may still be behind it.
    A balance is asked for where an order found too little: what others' orders hold only REST tells. So are the account's holdings on
    margin, which the stream does not tell at all.
    Before trades are told, their orders are asked for, so that no fill of ours is taken for somebody else's.
    A trade tells what its fee is worth in the quote asset, not of which asset it was taken. Ours on spot are told without it, at once,
    and once more when the ledger says (`Ledgers`, cost 2): both lines of the trade, named by its id. What the ledger does not show to a
    question that left `LAG_NS` after the execution was told, or not at all, counts as taken in the quote asset, and a person is told.

One question is out at a time; the same question is asked at most once in `PAUSE_NS`. Every number comes from a counter, so that a
replay asks alike.
"""

from collections import Counter, deque
from collections.abc import Iterable
from decimal import Decimal
from typing import Literal

import msgspec

from events.errors import BadInput
from events.facts import Fee, OrderFilled, OrderNotFound

from ..messages import BalanceHeld, FeeUnknown, FrameRefused, MarginHeld, Question, QuestionAnswered, TradesCompleted, TradesRead
from . import codec_rest, executions
from .codec import ExecEntry
from .errors import kind_of
from .executions import Output
from .names import symbols_by_name
from .orders import Orders

NS_PER_S = 1_000_000_000
LAG_NS = 60 * NS_PER_S
PAUSE_NS = 5 * NS_PER_S
# REST behind the stream is asked again after this long, and for a little more than the lag that was seen (K9).
RETRY_NS = 5 * NS_PER_S
# The lines of an execution and the execution itself have times of their own, milliseconds apart (seen by others).
LINES_NS = 2 * NS_PER_S
NEAR_NS = 30 * NS_PER_S
# How often the ledger is asked in vain, by pauses that double, before it counts as not to be read: two minutes.
FEE_TRIES = 6
PAGE = 50
MAX_PAGES = 100
MAX_WAITING = 32
_PATH = "/0/private/"
_UNCONSOLIDATED = {"consolidate_taker": "false"}
_LISTED = {"by_id": codec_rest.queried_from, "open": codec_rest.open_orders_from, "closed": codec_rest.closed_orders_from}


class _Search(msgspec.Struct):
    """One order that is looked for."""

    client_order_id: str
    venue_order_id: str
    sent_ns: int
    begun_ns: int = 0
    step: Literal["by_id", "open", "closed", "trades"] = "open"
    found: bool = False


class _Holding(msgspec.Struct):
    """What open orders hold of one asset."""

    asset: str


class _Holdings(msgspec.Struct):
    """What the account holds on margin."""


class _Pages(msgspec.Struct, kw_only=True):
    """What is read page by page."""

    offset: int = 0
    pages: int = 0
    count: int = 0

    def has_more(self, name: str, got: int, count: int | None) -> bool:
        """Take a page of `got` entries out of `count`; return whether there is another one. Raises BadInput where there is no end."""
        self.pages += 1
        self.offset += got
        # Pages may be of two ages: what the first one counted is there.
        self.count = max(self.count, count or 0)
        if got < PAGE and self.offset >= self.count:
            return False
        if self.pages >= MAX_PAGES or not got:
            raise BadInput(name, f"{self.offset} entries of {self.count} without an end", "look at the account by hand")
        return True


class _Fees(_Pages):
    """One reading of the ledger, for executions that were near to each other."""

    trade_ids: tuple[str, ...] = ()
    params: dict[str, str] = {}
    begun_ns: int = 0
    lines: dict[str, codec_rest.LedgerLine] = {}


class _Walk(_Pages):
    """One reading of the trades, backwards from now to `since_ns`, or to what `bridges` asks for."""

    since_ns: int
    gap_ns: int = 0
    search: _Search | None = None
    has_old: bool = False
    begun_ns: int = 0
    trades: dict[str, codec_rest.RestTrade] = {}
    unknown: list[str] = []
    ends: list[ExecEntry] = []


_Work = _Search | _Walk | _Fees | _Holding | _Holdings


class Lookups:
    """Questions about one account. `questions` holds what is to be asked now; whoever sends it clears it."""

    def __init__(self, orders: Orders, symbols: Iterable[str]) -> None:
        self._orders = orders
        self._symbols = symbols_by_name(symbols)
        self.questions: list[Question] = []
        self.counters: Counter[str] = Counter()
        self._number = 0
        self._out: Question | None = None
        self._work: _Work | None = None
        self._waiting: deque[_Work] = deque()
        self._asked_ns: dict[str, int] = {}
        # (when, since, gap) of the next try to close a gap
        self._again: tuple[int, int, int] | None = None
        # When to ask for fees next, and how often they were asked for in a row.
        self._fees_ns, self._fees_tries = 0, 0

    def know(self, symbols: Iterable[str]) -> None:
        """Read answers about these pairs too: one that is not known by its name looks as if nothing of it were there."""
        self._symbols |= symbols_by_name(symbols)

    # --- wishes -----------------------------------------------------------------------------------------------------

    def order(self, client_order_id: str, venue_order_id: str, sent_ns: int, now_ns: int) -> None:
        """Look for an order that was sent at `sent_ns` (0 if that is not known)."""
        if not self._is_due(client_order_id, now_ns):
            return
        venue_order_id = venue_order_id or self._orders.venue_order_id_of(client_order_id)
        step: Literal["by_id", "open"] = "by_id" if venue_order_id else "open"
        self._add(_Search(client_order_id, venue_order_id, sent_ns, step=step), now_ns)

    def balance(self, asset: str, now_ns: int) -> None:
        """Ask what open orders hold of an asset: the stream tells totals only."""
        if self._is_due(f"balance {asset}", now_ns):
            self._add(_Holding(asset), now_ns)

    def margin(self, now_ns: int) -> None:
        """Ask what the account holds on margin."""
        if self._is_due("margin", now_ns):
            self._add(_Holdings(), now_ns)

    def bridge(self, since_ns: int, gap_ns: int, now_ns: int) -> None:
        """Close the gap in what is known of the executions, seen at `gap_ns`; nothing before `since_ns` matters."""
        self._again = None
        bridges = [work for work in (self._work, *self._waiting) if isinstance(work, _Walk) and work.gap_ns]
        for work in bridges:
            # What is being read must be as new as this gap too, or it closes neither.
            work.gap_ns = max(work.gap_ns, gap_ns)
        if not bridges:
            # It goes first: while the gap is open no snapshot proves that any order is absent, and each of them waits for that.
            self._waiting.appendleft(_Walk(since_ns, gap_ns=gap_ns))
            self._next(now_ns)

    def without_ledger(self, now_ns: int) -> list[Output]:
        """Return what is told of fees that a life before this one had the ledger asked for, where this one does not ask it."""
        if self._orders.asks_ledgers:
            return []
        return self._given_up(tuple(self._orders.feeless), "the ledger is not asked any more", now_ns)

    def next_due_ns(self) -> int | None:
        """Return when something is to be asked that REST could not tell yet: what closes a gap, or in which asset a fee was taken."""
        due = [] if self._again is None else [self._again[0]]
        if self._orders.feeless and not self._is_asking_fees:
            due.append(self._fees_ns)
        return min(due, default=None)

    def due(self, now_ns: int) -> None:
        """Ask what is due."""
        if self._again is not None and self._again[0] <= now_ns:
            self.bridge(self._again[1], self._again[2], now_ns)
        self._ask_fees(now_ns)
        self._next(now_ns)

    def _ask_fees(self, now_ns: int) -> None:
        if self._orders.feeless and not self._is_asking_fees and self._fees_ns <= now_ns:
            # Ahead of single orders: each of them is asked for again and again, at three calls a time. A gap is still first.
            self._waiting.insert(sum(_is_bridge(work) for work in self._waiting), _Fees())

    @property
    def _is_asking_fees(self) -> bool:
        return any(isinstance(work, _Fees) for work in (self._work, *self._waiting))

    def _is_due(self, key: str, now_ns: int) -> bool:
        if len(self._waiting) >= MAX_WAITING or now_ns - self._asked_ns.get(key, -PAUSE_NS) < PAUSE_NS:
            # Whoever wants it asks again: each clock of a position does.
            self.counters["lookups_left_out"] += 1
            return False
        self._asked_ns = {each: ns for each, ns in self._asked_ns.items() if now_ns - ns < PAUSE_NS}
        self._asked_ns[key] = now_ns
        return True

    def _add(self, work: _Work, now_ns: int) -> None:
        self._waiting.append(work)
        self._next(now_ns)

    # --- answers ----------------------------------------------------------------------------------------------------

    def answered(self, answer: QuestionAnswered) -> list[Output]:
        """Return what the answer to the question that is out adds. Never raises; an answer to another question adds nothing."""
        if self._out is None or answer.number != self._out.number:
            self.counters["answers_unasked"] += 1
            return []
        work, self._out, output = self._work, None, list[Output]()
        self.counters["answers"] += 1
        try:
            if answer.problem:
                raise BadInput("REST question", answer.problem, "ask again later")
            if isinstance(work, _Search):
                self._searched(work, answer, output)
            elif isinstance(work, _Holding):
                balance, held = codec_rest.balance_from(answer.text, work.asset)
                output.append(BalanceHeld(asset=work.asset, balance=balance, held=held, ts_recv_ns=answer.ts_recv_ns))
            elif isinstance(work, _Holdings):
                holdings = codec_rest.holdings_from(answer.text, self._symbols)
                as_of_ns = answer.asked_ns - LAG_NS
                output.append(MarginHeld(holdings=holdings, asked_ns=answer.asked_ns, as_of_ns=as_of_ns, ts_recv_ns=answer.ts_recv_ns))
            elif isinstance(work, _Fees):
                self._read_ledger(work, answer, output)
            elif work is not None:
                self._walked(work, answer, output)
        except codec_rest.Refused as refused:
            self._failed(work, answer.ts_recv_ns)
            if isinstance(work, _Fees):
                output += self._unread(work, kind_of(refused.text) == "permission", answer.ts_recv_ns)
            self.counters["answers_refused"] += 1
            if isinstance(work, _Search) and work.step == "by_id":
                # An order that REST does not show yet is refused by its id.
                work.step = "open"
                self._ask_search(work, answer.ts_recv_ns)
            else:
                output.append(_refusal(refused.problem, answer))
        except BadInput as problem:
            self._failed(work, answer.ts_recv_ns)
            if isinstance(work, _Fees):
                output += self._unread(work, False, answer.ts_recv_ns)
            self.counters["answers_failed"] += 1
            output.append(_refusal(problem.problem, answer))
        if self._out is None:
            self._work = None
            self._ask_fees(answer.ts_recv_ns)
            self._next(answer.ts_recv_ns)
        return output

    def _failed(self, work: object, now_ns: int) -> None:
        if isinstance(work, _Walk) and work.gap_ns:
            self._again = (now_ns + RETRY_NS, work.since_ns, work.gap_ns)

    def _next(self, now_ns: int) -> None:
        if self._out is not None or not self._waiting:
            return
        self._work = self._waiting.popleft()
        if isinstance(self._work, _Search):
            self._work.begun_ns = now_ns
            self._ask_search(self._work, now_ns)
        elif isinstance(self._work, _Holding):
            self._ask("BalanceEx", {}, now_ns)
        elif isinstance(self._work, _Holdings):
            self._ask("OpenPositions", {}, now_ns)
        elif isinstance(self._work, _Fees):
            self._begin_ledger(self._work, now_ns)
        else:
            self._work.begun_ns = now_ns
            self._ask_page(self._work, now_ns)

    def _ask(self, name: str, params: dict[str, str], now_ns: int, cost: int = 1) -> None:
        self._number += 1
        self._out = Question(number=self._number, path=_PATH + name, params=params, cost=cost, asked_ns=now_ns)
        self.questions.append(self._out)

    # --- one order --------------------------------------------------------------------------------------------------

    def _ask_search(self, search: _Search, now_ns: int) -> None:
        if search.step == "by_id":
            self._ask("QueryOrders", {"txid": search.venue_order_id, **_UNCONSOLIDATED}, now_ns)
            return
        userref = self._orders.userref_of(search.client_order_id)
        named = {"userref": str(userref)} if userref else {"cl_ord_id": search.client_order_id}
        self._ask("OpenOrders" if search.step == "open" else "ClosedOrders", named, now_ns)

    def _searched(self, search: _Search, answer: QuestionAnswered, output: list[Output]) -> None:
        listed, oddities = _LISTED[search.step](answer.text)
        output += _told_of(oddities, answer)
        for order_id in sorted(listed):
            self._take_order(search, order_id, listed[order_id], answer, output)
        if search.found:
            return
        if search.step == "closed":
            # By our clock, and the trades have the venue's: it may be behind.
            self._work = _Walk(max(0, (search.sent_ns or search.begun_ns) - LAG_NS), search=search)
            self._ask_page(self._work, answer.ts_recv_ns)
        else:
            search.step = "open" if search.step == "by_id" else "closed"
            self._ask_search(search, answer.ts_recv_ns)

    def _take_order(
        self, search: _Search, order_id: str, order: codec_rest.RestOrder, answer: QuestionAnswered, output: list[Output]
    ) -> None:
        names = codec_rest.names_entry(order_id, order, self._symbols)
        record = self._orders.name(names)
        is_it = search.client_order_id in (record.client_order_id, record.wire_client_id) or order_id == search.venue_order_id
        if not is_it or search.found:
            return
        search.found = True
        end = codec_rest.end_entry(order_id, order, self._symbols)
        if end is not None:
            output += executions.update(self._orders, [end], answer.ts_recv_ns, answer.text)
        executed = codec_rest.executed_from(order)
        if executed is None or executed > record.summed_qty:
            since_ns = max(0, codec_rest.ns_from_seconds(order.opentm) - NS_PER_S)
            self._work = _Walk(since_ns, search=search)
            self._ask_page(self._work, answer.ts_recv_ns)

    def _lost(self, search: _Search, is_whole: bool, now_ns: int) -> list[Output]:
        # As old as REST may be: what it does not list now may have been there since. The trades were read to their end, back to
        # before the order was sent: where each of them has an owner and can be booked, none is of this order, whatever else is missing.
        asked_ns = search.begun_ns - LAG_NS
        if search.found or not search.sent_ns or asked_ns <= search.sent_ns:
            return []
        return [
            OrderNotFound(
                ts_recv_ns=now_ns,
                client_order_id=search.client_order_id,
                venue_order_id=search.venue_order_id,
                asked_ns=asked_ns,
                trades_complete=is_whole or not self._orders.has_gap,
            )
        ]

    # --- trades -----------------------------------------------------------------------------------------------------

    def _ask_page(self, walk: _Walk, now_ns: int) -> None:
        params = {"start": _seconds(walk.since_ns), "ofs": str(walk.offset), **_UNCONSOLIDATED}
        self._ask("TradesHistory", params, now_ns, cost=2)

    def _walked(self, walk: _Walk, answer: QuestionAnswered, output: list[Output]) -> None:
        assert self._work is walk
        if walk.unknown:
            self._name_orders(walk, answer, output)
        else:
            if self._page(walk, answer, output):
                self._ask_page(walk, answer.ts_recv_ns)
                return
            orders = {trade.ordertxid for trade in walk.trades.values()}
            walk.unknown = sorted(order_id for order_id in orders if order_id and not self._orders.is_named(order_id))
        if walk.unknown:
            self._ask("QueryOrders", {"txid": ",".join(walk.unknown[:PAGE]), **_UNCONSOLIDATED}, answer.ts_recv_ns)
            return
        self._tell(walk, answer, output)

    def _name_orders(self, walk: _Walk, answer: QuestionAnswered, output: list[Output]) -> None:
        asked_count = min(len(walk.unknown), PAGE)
        listed, oddities = codec_rest.queried_from(answer.text)
        output += _told_of(oddities, answer)
        for order_id, order in sorted(listed.items()):
            try:
                names = codec_rest.names_entry(order_id, order, self._symbols)
            except BadInput as problem:
                # Nobody's yet: its trades wait, and those of the others do not.
                output += _told_of((problem.problem,), answer)
                continue
            record = self._orders.name(names)
            # A child can be of an entry that executed before `since_ns`: whose it is, only that entry tells.
            parent = record.parent_venue_order_id
            if parent and parent not in walk.unknown and self._orders.may_be_ours(self._orders.record(parent)):
                walk.unknown.append(parent)
            walk.ends += filter(None, [codec_rest.end_entry(order_id, order, self._symbols)])
        # What was asked for now; a parent that was added behind it comes next.
        del walk.unknown[:asked_count]

    def _page(self, walk: _Walk, answer: QuestionAnswered, output: list[Output]) -> bool:
        """Take one page; return whether there is another one to read."""
        (trades, oddities), count = codec_rest.trades_from(answer.text)
        output += _told_of(oddities, answer)
        walk.trades |= trades
        walk.has_old |= any(self._orders.is_anchor(trade_id) for trade_id in trades)
        if walk.gap_ns and walk.has_old:
            return False
        if walk.has_more("TradesHistory", len(trades), count):
            return True
        walk.has_old = True
        return False

    def _tell(self, walk: _Walk, answer: QuestionAnswered, output: list[Output]) -> None:
        # Whose an order is may be known to REST a minute later: its fills are not told as anybody's before.
        named = {trade_id: trade for trade_id, trade in walk.trades.items() if self._orders.is_named(trade.ordertxid)}
        trades = [codec_rest.trade_entry(trade_id, trade, self._symbols) for trade_id, trade in named.items()]
        trades.sort(key=_by_time)
        # Of an attached stop that came and went while nobody listened, only its end tells that it is over.
        ends = [end for end in walk.ends if self._orders.is_owned(self._orders.record(end.order_id))]
        feeless = len(self._orders.feeless)
        output += executions.told_by_rest(self._orders, [*trades, *ends], answer.ts_recv_ns, answer.text)
        # What cannot be booked may be what an order of ours did: an answer with it proves no absence.
        is_whole = len(named) == len(walk.trades) and all(executions.can_book(self._orders, trade) for trade in trades)
        if len(self._orders.feeless) > feeless:
            self._fees_ns, self._fees_tries = answer.ts_recv_ns, 0
        if walk.search is not None:
            mine = self._orders.venue_order_id_of(walk.search.client_order_id)
            walk.search.found |= any(trade.order_id == mine for trade in trades)
            output += self._lost(walk.search, is_whole, answer.ts_recv_ns)
        if walk.gap_ns and walk.has_old and is_whole:
            output.append(TradesRead(ts_recv_ns=answer.ts_recv_ns, as_of_ns=walk.begun_ns - LAG_NS))
        if not walk.gap_ns or not self._orders.has_gap:
            return
        # Seen from the newest gap, which may have opened while this was read.
        has_new = any(self._orders.is_news(trade_id) for trade_id in walk.trades)
        is_new_enough = has_new or walk.begun_ns - LAG_NS >= walk.gap_ns
        if walk.has_old and is_new_enough and is_whole:
            self._orders.close_gap()
            output.append(TradesCompleted(ts_recv_ns=answer.ts_recv_ns, count=len(named)))
        else:
            self._failed(walk, answer.ts_recv_ns)


    # --- fees -------------------------------------------------------------------------------------------------------

    def _begin_ledger(self, work: _Fees, now_ns: int) -> None:
        by_time = sorted((fact.ts_event_ns, trade_id) for trade_id, (_, fact) in self._orders.feeless.items())
        if not by_time:
            # The stream has told them meanwhile.
            self._work = None
            self._next(now_ns)
            return
        near = [(ns, trade_id) for ns, trade_id in by_time if ns <= by_time[0][0] + NEAR_NS]
        work.trade_ids, work.begun_ns = tuple(trade_id for _, trade_id in near), now_ns
        work.params = {"start": _seconds(max(0, near[0][0] - LINES_NS)), "end": _seconds(near[-1][0] + LINES_NS)}
        self._ask_lines(work, now_ns)

    def _ask_lines(self, work: _Fees, now_ns: int) -> None:
        self._ask("Ledgers", {**work.params, "ofs": str(work.offset)}, now_ns, cost=2)

    def _read_ledger(self, work: _Fees, answer: QuestionAnswered, output: list[Output]) -> None:
        (lines, oddities), count = codec_rest.ledger_from(answer.text)
        output += _told_of(oddities, answer)
        work.lines |= lines
        if work.has_more("Ledgers", len(lines), count):
            self._ask_lines(work, answer.ts_recv_ns)
            return
        left: list[str] = []
        unshown: list[str] = []
        for trade_id in work.trade_ids:
            if trade_id not in self._orders.feeless:
                continue
            symbol, fact = self._orders.feeless[trade_id]
            fees = codec_rest.fees_from([line for line in work.lines.values() if line.refid == trade_id], symbol)
            if fees is not None:
                output.append(self._charged(trade_id, fees, answer.ts_recv_ns))
            else:
                # As old as REST may be: what it does not show now it may show to the next question.
                (unshown if work.begun_ns >= fact.ts_recv_ns + LAG_NS else left).append(trade_id)
        output += self._given_up(unshown, "the ledger does not show it", answer.ts_recv_ns)
        if left:
            self._try_fees_again(answer.ts_recv_ns)
        else:
            self._fees_ns, self._fees_tries = answer.ts_recv_ns, 0

    def _try_fees_again(self, now_ns: int) -> None:
        self._fees_ns = now_ns + min(RETRY_NS << self._fees_tries, LAG_NS)
        self._fees_tries += 1

    def _unread(self, work: _Fees, is_for_good: bool, now_ns: int) -> list[Output]:
        """Return what is told where the ledger cannot be read: nothing but that it is tried again, until it was often enough."""
        self._try_fees_again(now_ns)
        if is_for_good:
            # What is executed from here on is told at once, with the worth of its fee.
            self._orders.asks_ledgers = False
            return self._given_up(tuple(self._orders.feeless), "the key may not query ledger entries", now_ns)
        if self._fees_tries < FEE_TRIES:
            return []
        self._fees_tries = 0
        return self._given_up(work.trade_ids, "the ledger cannot be read", now_ns)

    def _given_up(self, trade_ids: Iterable[str], reason: str, now_ns: int) -> list[Output]:
        output: list[Output] = []
        for trade_id in [trade_id for trade_id in trade_ids if trade_id in self._orders.feeless]:
            symbol, fact = self._orders.feeless[trade_id]
            assert fact.fee_worth is not msgspec.UNSET
            fee = Fee(asset=symbol.partition("/")[2], qty=fact.fee_worth)
            text = f"execution {trade_id} of {fact.client_order_id}: its fee counts as taken in {fee.asset} ({fee.qty:f}), for {reason}"
            output += [self._charged(trade_id, (fee,), now_ns), FeeUnknown(text=text, ts_recv_ns=now_ns)]
        return output

    def _charged(self, trade_id: str, fees: tuple[Fee, ...], now_ns: int) -> OrderFilled:
        _, fact = self._orders.feeless.pop(trade_id)
        return msgspec.structs.replace(fact, fees=fees, ts_recv_ns=now_ns)


def _is_bridge(work: "_Work | None") -> bool:
    return isinstance(work, _Walk) and work.gap_ns > 0


def _by_time(entry: ExecEntry) -> tuple[str, str]:
    return entry.timestamp or "", entry.exec_id or ""


def _seconds(ns: int) -> str:
    return format(Decimal(ns).scaleb(-9), "f")


def _told_of(oddities: Iterable[str], answer: QuestionAnswered) -> list[Output]:
    return [_refusal(oddity, answer) for oddity in oddities]


def _refusal(problem: str, answer: QuestionAnswered) -> FrameRefused:
    return FrameRefused(code="rest_reply", reason=problem, raw=answer.text, ts_recv_ns=answer.ts_recv_ns)
