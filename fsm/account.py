"""The account beside the positions (A26, P17, P19, P30): whether the venue still holds what they add up to, and what became of the rest.

Rules
    1. What the account holds beyond the sum of ours belongs to its owner and is nobody's business here (I12), unless an entry of ours is
       in question (7). Less than the sum means that somebody sold or withdrew part of ours, or that an execution was never told.
    2. A balance is judged once it is settled (`GRACE_NS`), and only if every execution of ours in that asset is in it: the two streams
       are not in step. It is in it if its own line of the ledger came, or a balance from after it by the venue's clock.
    3. Less than the sum is a question first: a snapshot, asked for since, with every execution in it. If it brings the missing
       execution, nothing was wrong. Without such proof nothing is adjusted, whatever the balance says; a person is told. But
       where no order of ours is left that could have executed unheard, the balance is proof enough.
    4. Then the owner's own trades explain it, at their price, and what they do not explain is an adjustment; not before nothing
       of what the venue said is held back (`is_settled`). First gives a position with a fee of which it is not known in which asset it was
       taken, then the newest: the older ones have been true for longer.
    5. Margin has no balance to compare: see `fsm/margin.py`.
    6. What the venue holds back or cuts (funds, reduce-only) it counts for the account. It guards one position against a second order of
       its own only while that position is all that there is (`shared`).
    7. What an asset has grown by since an entry for it was sent, beyond what the owner is known to have traded, that entry has bought, as
       long as no list with every execution says otherwise, and no more than a list that names it as open says that it has executed.
       It counts as held then (`unheard`), so that it is protected, and a person is told; how much it is follows the balance, and what was
       there at a time until which every execution is known is the owner's (`told_until`). The log keeps
       what was there before, for a life of the process that begins meanwhile. Where nobody knows it, or the entry has rested since, only
       the person is told.

Pure: time comes in. A restart begins with nothing and hears balances, orders and the last trades anew.
"""

from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from decimal import Decimal
from types import MappingProxyType
from typing import NamedTuple

from events import facts as f
from events.values import Side

from .holdings import ASK_AGAIN_MAX_NS, ASK_AGAIN_NS, SECOND_NS, OwnerTrade, net_of, newest_first, qty_of
from .margin import Margin
from .model import Order, Position
from .position import HALTED

# Executions and balances come in frames of two channels; what still differs after a second differs.
GRACE_NS = SECOND_NS
PAGE_AFTER_ANSWERS = 3
# A balance that moves all the time puts each question off: what is missing for so long is told all the same.
TOLD_NS = 30 * SECOND_NS
TRADES_KEPT = 1_000
NOTHING_LISTED: Mapping[str, Decimal] = MappingProxyType({})


class _Balance(NamedTuple):
    """The total of an asset, as of the venue's time `ts_event_ns`, and since when each word of it was the same, by our clock."""

    qty: Decimal
    ts_event_ns: int
    since_ns: int = 0


class Due(NamedTuple):
    """What is due: whether the truth is to be asked for, and sentences about what a person must know."""

    asks: bool
    unexplained: tuple[str, ...]


class _Missing(NamedTuple):
    """An execution of ours that a balance does not have yet: when it was, and what it adds to the balance."""

    ts_event_ns: int
    qty: Decimal


class Answer(NamedTuple):
    """What a snapshot proves: facts by position, and sentences about what a person must know."""

    facts: tuple[tuple[str, f.ManualFillSeen | f.PositionAdjusted | f.BalanceShort], ...]
    unexplained: tuple[str, ...]


class _Question:
    """A difference to be judged: by a snapshot that was asked for at `from_ns` or later; `ask_ns` is when to ask for one, if at all."""

    __slots__ = ("answers", "ask_ns", "from_ns", "is_told", "since_ns")

    def __init__(self, from_ns: int, before: "_Question | None" = None) -> None:
        self.from_ns = from_ns
        self.ask_ns: int | None = from_ns
        self.answers = 0
        self.since_ns: int = from_ns if before is None else before.since_ns
        self.is_told: bool = before is not None and before.is_told


class _Owners(NamedTuple):
    """What is the owner's of an asset: `owned` as it was when an entry of ours was sent, and what he is known to have traded since."""

    qty: Decimal
    owned: f.Owned


class Account:
    """What is known of one account besides the orders of ours."""

    def __init__(self, *, doubts_unbacked: bool = True) -> None:
        self._balances: dict[str, _Balance] = {}
        # What the last whole list names, and as of when.
        self._listed: tuple[frozenset[str], int] | None = None
        # Whether a whole list has come since the last snapshot: each truth that is asked for begins with one.
        self._is_heard = False
        # Positions from before a restart: an order may have left whose event the log has lost.
        self._unsure: frozenset[str] = frozenset()
        self._owners: dict[str, _Owners] = {}
        self._not_in_balance: dict[str, dict[str, _Missing]] = {}
        # By asset: an execution has a line for each asset that it moves, in frames of their own, and one of them may be lost.
        self._lines: deque[tuple[str, str]] = deque(maxlen=TRADES_KEPT)
        self._questions: dict[str, _Question] = {}
        self._trades: deque[OwnerTrade] = deque(maxlen=TRADES_KEPT)
        self._trade_ids: deque[str] = deque(maxlen=TRADES_KEPT)
        self.margin = Margin(doubts_unbacked=doubts_unbacked)

    def began(self, position_ids: Iterable[str]) -> None:
        """Note which positions a new life of the process begins with."""
        self._unsure = frozenset(position_ids)

    # --- in -----------------------------------------------------------------------------------------------------------

    def take_balance(self, asset: str, balance: Decimal, of_trade: str | None, ts_event_ns: int, now_ns: int) -> None:
        """Note the total of an asset at `ts_event_ns`, after the execution `of_trade` (None: in a list); it is judged once settled."""
        known, missing = self._balances.get(asset), self._not_in_balance.get(asset, {})
        if of_trade is not None:
            self._lines.append((asset, of_trade))
            missing.pop(of_trade, None)
            if known is not None and ts_event_ns < known.ts_event_ns:
                return
        since_ns = known.since_ns if known is not None and known.qty == balance else now_ns
        self._balances[asset] = _Balance(balance, ts_event_ns, since_ns)
        # A list came behind an answer of that time, a line may be the first of several at once.
        before_ns = ts_event_ns + 1 if of_trade is None else ts_event_ns
        self._not_in_balance[asset] = {key: fill for key, fill in missing.items() if fill.ts_event_ns >= before_ns}
        question = self._questions.get(asset)
        # A list comes with every truth that is asked for: one that says the same again must not put off what asked for it.
        is_repeated = question is not None and of_trade is None and known is not None and known.qty == balance
        if not is_repeated and (question is None or question.from_ns <= now_ns):
            self._questions[asset] = _Question(now_ns + GRACE_NS, question)

    def take_list(self, assets: frozenset[str], ts_event_ns: int) -> None:
        """Note which assets a whole list names, as of `ts_event_ns` at least; its balances are noted already."""
        self._listed = assets, ts_event_ns
        self._is_heard = True

    def entering(self, asset: str, positions: Iterable[Position]) -> f.Owned | None:
        """Note what is the owner's of an asset as an entry for it is about to be sent; `positions` are those that live without it.

        Returns what a later life of the process is to know of that, None if nobody knows it.
        """
        known = tuple(positions)
        # What is there now may be of an entry before it that is in question.
        if asset not in self._owners or not _in_question(asset, known, NOTHING_LISTED):
            self._owners.pop(asset, None)
            self._leave_to_owner(asset, known)
        owners = self._owners.get(asset)
        return None if owners is None else owners.owned

    def recall(self, owned: Mapping[str, f.Owned]) -> None:
        """Take what a life before this one knew to be the owner's of assets for which an entry of ours is in question."""
        self._owners = {asset: _Owners(of.qty, of) for asset, of in owned.items()}

    def doubt(self, asset: str, now_ns: int) -> None:
        """Judge an asset at once: an order of ours found too little of it (A25).

        That nothing is there may be said by leaving it out of a list: by itself that proves nothing, with the refusal it does.
        """
        known = self._balances.get(asset)
        if self._listed is not None and asset not in self._listed[0] and (known is None or known.ts_event_ns < self._listed[1]):
            self.take_balance(asset, Decimal(0), None, self._listed[1], now_ns)
        self._questions[asset] = _Question(now_ns, self._questions.get(asset))

    def take_own_fill(self, asset: str, trade_id: str, ts_event_ns: int, qty: Decimal) -> None:
        """Note an execution of ours that adds `qty` to an asset: a balance without it says nothing any more."""
        known = self._balances.get(asset)
        if (asset, trade_id) not in self._lines and (known is None or ts_event_ns >= known.ts_event_ns):
            self._not_in_balance.setdefault(asset, {})[trade_id] = _Missing(ts_event_ns, qty)

    def take_trade(self, trade: OwnerTrade, positions: Iterable[Position]) -> tuple[tuple[str, f.ManualFillSeen], ...]:
        """Note a trade of the owner; on margin, return what it closes of ours."""
        if trade.trade_id in self._trade_ids:
            return ()
        self._trade_ids.append(trade.trade_id)
        if not trade.margin:
            self._trades.append(trade)
            owners = self._owners.get(trade.base)
            if owners is not None and trade.ts_event_ns > owners.owned.ts_event_ns:
                fees = sum((fee.qty for fee in trade.fees if fee.asset == trade.base), Decimal(0))
                qty = (trade.qty if trade.side is Side.BUY else -trade.qty) - fees
                self._owners[trade.base] = owners._replace(qty=max(Decimal(0), owners.qty + qty))
            return ()
        return self.margin.take_trade(trade, positions)

    # --- the comparison -------------------------------------------------------------------------------------------------

    def deadline_ns(self) -> int | None:
        """Return when `due` has something to do, None if nothing is in question."""
        margin_ns = self.margin.deadline_ns()
        if not self._questions:
            return margin_ns
        asks = [q.ask_ns for q in self._questions.values() if q.ask_ns is not None]
        asks += [q.since_ns + TOLD_NS for q in self._questions.values() if not q.is_told]
        return min(asks if margin_ns is None else [*asks, margin_ns], default=None)

    def due(self, positions: Iterable[Position], now_ns: int) -> Due:
        """Judge what is settled by `now_ns`."""
        asks = False
        unexplained: list[str] = []
        known = tuple(positions)
        for asset in sorted(self._questions):
            question = self._questions[asset]
            is_overdue = not question.is_told and now_ns - question.since_ns >= TOLD_NS
            if not is_overdue and (question.ask_ns is None or question.ask_ns > now_ns):
                continue
            if self.missing_of(asset, known) <= 0 and not self._may_have_bought(asset, known, NOTHING_LISTED):
                del self._questions[asset]
                continue
            question.ask_ns, question.from_ns, asks = None, now_ns, True
            if is_overdue:
                question.is_told = True
                unexplained.append(self._unexplained(asset, known))
        return Due(asks, tuple(unexplained))

    def missing_of(self, asset: str, positions: Iterable[Position]) -> Decimal:
        """Return how much less than the sum of ours the account holds, 0 if nothing is missing or nothing can be said."""
        known = self._balances.get(asset)
        if known is None or self._not_in_balance.get(asset):
            return Decimal(0)
        live = tuple(positions)
        ours = _spot_net(live, asset) - _sold_beyond(live, asset)
        return max(Decimal(0), ours - known.qty)

    # --- what is shared ---------------------------------------------------------------------------------------------------

    def shared(self, positions: Iterable[Position]) -> frozenset[str]:
        """Return the ids of those positions beside which the account holds more of the same, as far as anybody knows.

        More: another position of the pair on margin, of the base asset on spot, also one whose entry is only asked for; or what is the
        owner's. On spot what is less than the venue's smallest order is nothing, and a balance that is not known is more.
        """
        holders: dict[tuple[bool, str], list[Position]] = {}
        for position in positions:
            plan = position.plan
            holders.setdefault((plan.margin, plan.symbol if plan.margin else position.instrument.base), []).append(position)
        out = [x.position_id for each in holders.values() if len(each) > 1 or self._has_more(each[0]) for x in each]
        return frozenset(out)

    def _has_more(self, position: Position) -> bool:
        plan, asset = position.plan, position.instrument.base
        if plan.margin:
            return self.margin.owners_of(plan.symbol) * plan.side.sign > 0
        known = self._balances.get(asset)
        if known is None:
            return True
        told_late = sum((fill.qty for fill in self._not_in_balance.get(asset, {}).values()), Decimal(0))
        return known.qty + told_late - qty_of(position) >= position.instrument.qty(position.min_lots)

    # --- what an entry in question has bought -------------------------------------------------------------------------------

    def belies(self, positions: Iterable[Position]) -> bool:
        """Return whether a balance belies a list without any execution: one of what an entry of ours, still open in our books, buys.

        It may have executed, and the list be cut to none. What is there belies nothing where it is what was the owner's when the entry
        was sent, by a list of balances that came with the list of executions. Margin has no balance.
        """
        known = tuple(positions)
        assets = sorted({p.instrument.base for p in known if p.open_orders("entry") and _is_spot_long(p, p.instrument.base)})
        return any(self._is_belied(asset, known) for asset in assets)

    def _is_belied(self, asset: str, positions: Sequence[Position]) -> bool:
        least, surplus, owners = _least(asset, positions), self._surplus(asset, positions), self._owners.get(asset)
        if surplus is None or surplus < least:
            return False
        return owners is None or abs(surplus - owners.qty) >= least or not self._is_heard

    def told_until(self, positions: Iterable[Position], as_of_ns: int) -> bool:
        """Take it that every execution until `as_of_ns` is booked; return whether more of an asset is the owner's than was known.

        What was there by then, and is still, no execution explains that is yet to be told, whatever the lists of the stream lack.
        """
        known = tuple(positions)
        has_changed = False
        for asset in sorted({p.instrument.base for p in known if p.open_orders("entry") and _is_spot_long(p, p.instrument.base)}):
            balance, owners, surplus = self._balances.get(asset), self._owners.get(asset), self._surplus(asset, known)
            if balance is None or balance.since_ns > as_of_ns or surplus is None:
                continue
            if owners is None or abs(surplus - owners.qty) >= _least(asset, known):
                self._leave_to_owner(asset, known)
                has_changed = True
        return has_changed

    def _may_have_bought(self, asset: str, positions: Sequence[Position], listed: Mapping[str, Decimal]) -> bool:
        """Whether there may be more of an asset than is known, bought by an entry in question, or less of what was thought so."""
        if not _in_question(asset, positions, listed):
            return False
        excess = self._excess(asset, positions)
        if excess is None:
            return (self._surplus(asset, positions) or 0) >= _least(asset, positions)
        return bool(_shares(asset, positions, excess, listed))

    def _leave_to_owner(self, asset: str, positions: Sequence[Position]) -> None:
        surplus, told = self._surplus(asset, positions), self._balances.get(asset)
        if surplus is not None:
            ts_event_ns = told.ts_event_ns if told is not None else self._listed[1] if self._listed is not None else 0
            owned = f.Owned(qty=max(Decimal(0), surplus), ts_event_ns=ts_event_ns)
            self._owners[asset] = _Owners(owned.qty, owned)

    def _surplus(self, asset: str, positions: Sequence[Position]) -> Decimal | None:
        """Return what the account holds of an asset beyond the known executions of ours, None if that is not known."""
        known = self._balances.get(asset)
        if known is None and (self._listed is None or asset in self._listed[0]):
            return None
        told_late = sum((fill.qty for fill in self._not_in_balance.get(asset, {}).values()), Decimal(0))
        unheard = sum((p.instrument.qty(p.unheard_lots) for p in positions if _is_spot_long(p, asset)), Decimal(0))
        return (Decimal(0) if known is None else known.qty) + told_late - _spot_net(positions, asset) + unheard

    def _excess(self, asset: str, positions: Sequence[Position]) -> Decimal | None:
        """Return by how much an asset has grown beyond what is known, None if nobody knows what was there before."""
        owners, surplus = self._owners.get(asset), self._surplus(asset, positions)
        if owners is None or surplus is None or any(p.open_orders("flatten") for p in positions if p.instrument.base == asset):
            return None
        # Less than was the owner's: he has taken something away, and nobody knows how much.
        return surplus - owners.qty if surplus >= owners.qty or not surplus else None

    def _bought(
        self, asset: str, positions: Sequence[Position], listed: Mapping[str, Decimal], now_ns: int
    ) -> list[tuple[Position, f.PositionAdjusted]]:
        """Return what entries in question count as having bought, where that is not what they count already."""
        excess = self._excess(asset, positions)
        if excess is None:
            return []
        out = []
        for position, lots in _shares(asset, positions, excess, listed):
            qty = position.instrument.qty(lots)
            evidence = f"the account holds {qty:f} {asset} more than the executions tell, and the entry is in question"
            out.append((position, _counted(position, lots, evidence, now_ns)))
        return out

    # --- answers --------------------------------------------------------------------------------------------------------

    def answer(
        self,
        positions: Iterable[Position],
        is_complete: bool,
        is_settled: bool,
        asked_ns: int,
        now_ns: int,
        listed: Mapping[str, Decimal] = NOTHING_LISTED,
    ) -> Answer:
        """Return what a snapshot, asked for at `asked_ns` and booked already, says of the differences that are in question.

        `listed` says what orders that it names as open have executed, by client order id or, without one, by the venue's.
        """
        facts: list[tuple[str, f.ManualFillSeen | f.PositionAdjusted | f.BalanceShort]] = []
        unexplained: list[str] = []
        known = tuple(positions)
        self._is_heard = False
        if is_complete:
            self._unsure = frozenset()
            for asset in sorted({p.instrument.base for p in known if p.unheard_lots} - self._questions.keys()):
                # What counted as bought may turn out to be the owner's without any other balance.
                self._leave_to_owner(asset, known)
                facts += [(position.position_id, fact) for position, fact in self._bought(asset, known, listed, now_ns)]
        for asset in sorted(self._questions):
            question = self._questions[asset]
            if asked_ns < question.from_ns:
                continue
            if _in_question(asset, known, listed):
                if is_complete:
                    # Every execution is known: what else is there is the owner's.
                    self._leave_to_owner(asset, known)
                bought = self._bought(asset, known, listed, now_ns)
                for position, fact in bought:
                    facts.append((position.position_id, fact))
                    if not position.unheard_lots:
                        unexplained.append(f"{position.position_id}: {fact.evidence}: it counts as held, and is protected; look there")
                if bought:
                    question.from_ns = question.ask_ns = now_ns + ASK_AGAIN_NS
                    continue
            missing = self.missing_of(asset, known)
            may_have_bought = self._may_have_bought(asset, known, listed)
            if missing <= 0 and not may_have_bought:
                del self._questions[asset]
            elif is_complete or (missing > 0 and self._is_only_ours(asset, known)):
                facts += self._explained(asset, missing, known, is_settled, now_ns)
                question.from_ns = question.ask_ns = now_ns + ASK_AGAIN_NS
            else:
                question.answers += 1
                question.ask_ns = now_ns + min(ASK_AGAIN_NS << question.answers - 1, ASK_AGAIN_MAX_NS)
                if question.answers >= PAGE_AFTER_ANSWERS and not question.is_told:
                    question.is_told = True
                    unexplained.append(self._unexplained(asset, known))
                    facts += self._short(asset, known, now_ns) if missing > 0 else []
        judged = {position_id for position_id, _ in facts}
        facts += [(key, fact) for key, fact in _not_bought(known, listed, now_ns) if key not in judged]
        return Answer(tuple(facts), tuple(unexplained))

    def _unexplained(self, asset: str, positions: Sequence[Position]) -> str:
        if self.missing_of(asset, positions) > 0:
            return f"the account holds less {asset} than the positions, and no snapshot proves why"
        return f"the account holds more {asset} than the positions, an entry may have bought it, and no snapshot tells: look there"

    def _is_only_ours(self, asset: str, positions: Iterable[Position]) -> bool:
        """Whether no order of ours can have executed unheard: all have ended by evidence, and the log knows of each."""
        ours = [p for p in positions if p.instrument.base == asset and not p.plan.margin]
        return not any(p.open_orders() or p.unseen_child_lots or p.strays or p.position_id in self._unsure for p in ours)

    def short_of(self, asset: str, needed: Decimal, held_by_ours: Decimal, now_ns: int) -> f.BalanceShort:
        """Return the fact that an order found too little of an asset: what it needed, what is there beyond what ours hold (A25)."""
        balance = self._balances.get(asset, _Balance(Decimal(0), 0)).qty
        return f.BalanceShort(ts_recv_ns=now_ns, asset=asset, needed=needed, available=max(Decimal(0), balance - held_by_ours))

    def _short(self, asset: str, positions: Sequence[Position], now_ns: int) -> list[tuple[str, f.BalanceShort]]:
        concerned = [p for p in positions if _is_spot_long(p, asset) and p.held_lots]
        needed = sum((qty_of(p) for p in concerned), Decimal(0))
        return [(p.position_id, self.short_of(asset, needed, Decimal(0), now_ns)) for p in concerned]

    def _explained(
        self, asset: str, missing: Decimal, positions: Sequence[Position], adjusts: bool, now_ns: int
    ) -> list[tuple[str, f.ManualFillSeen | f.PositionAdjusted]]:
        out: list[tuple[str, f.ManualFillSeen | f.PositionAdjusted]] = []
        balance = self._balances[asset].qty
        for position in sorted(newest_first(p for p in positions if _is_spot_long(p, asset)), key=lambda p: not p.feeless):
            part = left = min(missing, qty_of(position))
            for trade in [t for t in self._trades if t.base == asset and t.side is Side.SELL and _concerns(t, position)]:
                taken = min(left, trade.qty)
                if taken > 0:
                    out.append((position.position_id, trade.manual_fill(taken, now_ns)))
                    self._use(trade, taken)
                    left -= taken
            if left > 0 and adjusts:
                evidence = f"the account holds {balance:f} {asset}, and no trade explains {left:f}"
                fact = f.PositionAdjusted(ts_recv_ns=now_ns, open_qty=qty_of(position) - part, reason="external", evidence=evidence)
                out.append((position.position_id, fact))
            missing -= part
        return out

    def _use(self, trade: OwnerTrade, qty: Decimal) -> None:
        index = self._trades.index(trade)
        if qty < trade.qty:
            self._trades[index] = trade._replace(qty=trade.qty - qty, fees=trade.fees_of(trade.qty - qty))
        else:
            del self._trades[index]


def _in_question(asset: str, positions: Iterable[Position], listed: Mapping[str, Decimal]) -> list[tuple[Position, int]]:
    """Return the positions whose entry buys an asset and has not ended, and the lots that it may have bought unheard; the oldest first."""
    ours = [p for p in positions if _is_spot_long(p, asset)]
    found = [(p, sum(_lots_unheard(p, o, listed) for o in p.open_orders("entry"))) for p in ours]
    return sorted(((p, lots) for p, lots in found if lots or p.unheard_lots), key=lambda x: (x[0].requested_ns, x[0].position_id))


def _not_bought(positions: Iterable[Position], listed: Mapping[str, Decimal], now_ns: int) -> list[tuple[str, f.PositionAdjusted]]:
    """Return what counts as bought by entries that a list names as open with less than that executed."""
    out = []
    for position in positions:
        lots = sum(_lots_unheard(position, o, listed) for o in position.open_orders("entry"))
        if lots < position.unheard_lots:
            evidence = f"a list names the entry as open, with {position.instrument.qty(lots):f} executed beyond what is told"
            out.append((position.position_id, _counted(position, lots, evidence, now_ns)))
    return out


def _counted(position: Position, lots: int, evidence: str, now_ns: int) -> f.PositionAdjusted:
    open_qty = qty_of(position) + position.instrument.qty(lots) - position.instrument.qty(position.unheard_lots)
    return f.PositionAdjusted(ts_recv_ns=now_ns, open_qty=open_qty, reason="balance", evidence=evidence, unheard=True)


def _lots_unheard(position: Position, order: Order, listed: Mapping[str, Decimal]) -> int:
    executed = listed.get(order.client_order_id, listed.get(order.venue_order_id))
    if executed is None:
        return order.leaves_lots
    return min(order.leaves_lots, max(0, position.instrument.floor_lots(executed) - order.filled_lots))


def _shares(asset: str, positions: Iterable[Position], excess: Decimal, listed: Mapping[str, Decimal]) -> list[tuple[Position, int]]:
    """Return how many lots entries in question have bought of an excess, where that is not what they count already.

    Less than the venue's smallest order could not be protected, and may be what fees in the asset left over.
    """
    out = []
    for position, leaves_lots in _in_question(asset, positions, listed):
        lots = min(leaves_lots, position.instrument.floor_lots(max(Decimal(0), excess)))
        excess -= position.instrument.qty(lots)
        lots = lots if lots >= position.min_lots else 0
        if abs(lots - position.unheard_lots) >= position.min_lots or (not lots and position.unheard_lots):
            out.append((position, lots))
    return out


def _least(asset: str, positions: Iterable[Position]) -> Decimal:
    """Return the smallest step in which positions count an asset."""
    return min(p.instrument.size_increment for p in positions if _is_spot_long(p, asset))


def _spot_net(positions: Iterable[Position], asset: str) -> Decimal:
    """What positions add up to on spot: one that is short has sold what was the owner's, and buys it back."""
    return net_of(p for p in positions if p.instrument.base == asset and not p.plan.margin)


def _sold_beyond(positions: Iterable[Position], asset: str) -> Decimal:
    """What orders of ours have sold beyond their own position, and a reverse is to buy back (P24): no other position lacks it."""
    sold = (p for p in positions if _is_spot_long(p, asset) and p.state != HALTED)
    return sum((p.instrument.qty(p.reverse_lots) for p in sold), Decimal(0))


def _is_spot_long(position: Position, asset: str) -> bool:
    return position.instrument.base == asset and not position.plan.margin and position.side.sign > 0


def _concerns(trade: OwnerTrade, position: Position) -> bool:
    """Whether a trade can be about a position: made while it was open, and not booked in it."""
    return 0 < position.opened_ns <= trade.ts_recv_ns and trade.trade_id not in position.trade_ids
