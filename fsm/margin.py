"""What the account holds on margin, which no balance tells: what its owner closed of ours, and what is not there any more (A26, P24).

Rules
    1. The account is held net per pair. The owner's trades close what the owner is known to hold, then ours, the newest first; what an
       earlier life of the process has booked of a trade, in whatever position, is booked.
    2. What the account holds of a pair is asked for by REST where the venue refuses an exit because nothing is there to close, and after
       each start: what happened before it is not known.
    3. An answer counts if nothing is out or was executed since it was asked for that would change it. REST may be a minute behind the
       stream, so that after a start it must be younger than that; a refusal is the venue's own word of its moment, so that behind one
       an answer need only be younger than the refusal.
    4. Two answers in a row that agree are proof. Then what is missing is taken off: first those whose exit was refused, then the newest.
       An answer may lack rows: where neither a refusal speaks for what it takes off nor our books come to it, the second one is asked for a
       minute later.

Pure: time comes in.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from decimal import Decimal
from typing import NamedTuple

from events import facts as f
from events.values import PositionSide, Side

from .holdings import ASK_AGAIN_MAX_NS, ASK_AGAIN_NS, SECOND_NS, OwnerTrade, net_of, newest_first, qty_of
from .model import Position

# When to look after a restart: REST may be a minute behind (K9).
LOOK_AFTER_RESTART_NS = 61 * SECOND_NS
NOTHING = Decimal(0)


class MarginAnswer(NamedTuple):
    """What an answer proves: facts by position. `differs`: sentences about what a second answer is awaited for."""

    facts: tuple[tuple[str, f.PositionAdjusted], ...]
    differs: tuple[str, ...]


class _Question:
    """Whether the account holds a pair as the positions say: `refused` are those whose exit found nothing to close.

    `gone` is what those of them add up to that ended by it: others of the pair were closed instead. An answer counts if it is younger
    than `from_ns`; `seen` is the last one that did, (when, net). `ask_ns` is when to ask.
    """

    __slots__ = ("ask_ns", "from_ns", "gone", "refused", "seen", "unanswered")

    def __init__(self, from_ns: int, ask_ns: int) -> None:
        self.from_ns, self.ask_ns = from_ns, ask_ns
        self.refused: set[str] = set()
        self.gone = Decimal(0)
        self.seen: tuple[int, Decimal] | None = None
        self.unanswered = 0


class Margin:
    """What is known of one account's holdings on margin. A restart begins with nothing but what the log has booked.

    `doubts_unbacked` False: behind a refusal every answer is confirmed at once, as in sessions of before.
    """

    def __init__(self, *, doubts_unbacked: bool = True) -> None:
        self._doubts_unbacked = doubts_unbacked
        self._owners: dict[str, Decimal] = {}
        self._moved_ns: dict[str, int] = {}
        self._questions: dict[str, _Question] = {}
        self._booked: Mapping[str, Decimal] = {}

    def recall(self, booked: Mapping[str, Decimal]) -> None:
        """Take how much of the owner's trades a life before this one has booked, by trade: they are told anew."""
        self._booked = booked

    def owners_of(self, symbol: str) -> Decimal:
        """Return what the owner is known to hold of a pair, below zero where he is short."""
        return self._owners.get(symbol, Decimal(0))

    def take_fill(self, symbol: str, now_ns: int) -> None:
        """Note that something was executed: what was told of the pair before says nothing any more."""
        self._moved_ns[symbol] = now_ns

    def take_trade(self, trade: OwnerTrade, positions: Iterable[Position]) -> tuple[tuple[str, f.ManualFillSeen], ...]:
        """Note a trade of the owner; return what it closes of ours."""
        self.take_fill(trade.symbol, trade.ts_recv_ns)
        sign = 1 if trade.side is Side.BUY else -1
        net = self.owners_of(trade.symbol)
        booked = min(trade.qty, self._booked.get(trade.trade_id, Decimal(0)))
        left = min(trade.qty - booked, trade.qty - min(trade.qty, max(Decimal(0), -sign * net)))
        facts = []
        for position in newest_first(positions):
            plan = position.plan
            if not (plan.margin and plan.symbol == trade.symbol and plan.side.exit_side is trade.side):
                continue
            # No times: it is open as the trade is told, and our clock may have been set back since it was opened.
            if not position.opened_ns or trade.trade_id in position.trade_ids:
                continue
            part = min(left, qty_of(position))
            if part > 0:
                facts.append((position.position_id, trade.manual_fill(part, trade.ts_recv_ns)))
                left -= part
        closed = sum((fact.last_qty for _, fact in facts), booked)
        self._owners[trade.symbol] = net + sign * (trade.qty - closed)
        return tuple(facts)

    def doubt(self, symbol: str, refused: str, now_ns: int, gone: Decimal = NOTHING) -> None:
        """Ask what the account holds of a pair: an exit of position `refused` found nothing that it could close.

        `gone`: what our books had of it, below zero for a short, where it ended by that.
        """
        question = self._questions.get(symbol)
        if question is None or not question.refused:
            question = self._questions[symbol] = _Question(now_ns, now_ns)
        elif self._doubts_unbacked and refused not in question.refused:
            question.from_ns, question.ask_ns, question.seen = now_ns, now_ns, None
        question.refused.add(refused)
        question.gone += gone

    def restarted(self, symbols: Iterable[str], now_ns: int) -> None:
        """Ask, once REST cannot be older than the restart, what the account holds of each of these pairs.

        Also where we hold nothing: what the owner closes later is his own, and not of a position that is opened meanwhile.
        """
        for symbol in symbols:
            self._questions[symbol] = _Question(now_ns, now_ns + LOOK_AFTER_RESTART_NS)

    def deadline_ns(self) -> int | None:
        """Return when `due` has something to do, None if nothing is in question."""
        return min(question.ask_ns for question in self._questions.values()) if self._questions else None

    def due(self, now_ns: int) -> bool:
        """Return whether what the account holds is to be asked for now."""
        due = [question for question in self._questions.values() if question.ask_ns <= now_ns]
        for question in due:
            # An answer may be lost, or the key may not ask for it at all.
            question.ask_ns = now_ns + min(ASK_AGAIN_NS << question.unanswered, ASK_AGAIN_MAX_NS)
            question.unanswered = min(question.unanswered + 1, 4)
        return bool(due)

    def answer(
        self, holdings: Mapping[str, Decimal], positions: Iterable[Position], is_complete: bool, asked_ns: int, as_of_ns: int, now_ns: int
    ) -> MarginAnswer:
        """Take what the account holds of each pair, asked for at `asked_ns` and at worst as of `as_of_ns`.

        `is_complete`: no execution is missing that would explain a difference.
        """
        facts: list[tuple[str, f.PositionAdjusted]] = []
        differs: list[str] = []
        known = tuple(positions)
        for symbol in sorted(self._questions):
            question = self._questions[symbol]
            question.unanswered = 0
            ours = [p for p in known if p.plan.margin and p.plan.symbol == symbol]
            told_ns, bound_ns = asked_ns if question.refused else as_of_ns, max(question.from_ns, self._moved_ns.get(symbol, 0))
            if told_ns <= bound_ns or not is_complete or any(_is_moving(p) for p in ours):
                question.seen = None
                question.ask_ns = max(now_ns + ASK_AGAIN_NS, bound_ns + asked_ns - told_ns + 1)
                continue
            net = holdings.get(symbol, Decimal(0))
            short = _shortfall(ours, net, question.refused)
            if question.seen is not None and question.seen[0] > bound_ns and question.seen[1] == net:
                del self._questions[symbol]
                facts += [(p.position_id, _adjusted(p, part, net, now_ns)) for p, part in short]
                self._owners[symbol] = net - net_of(ours) + sum((part * p.side.sign for p, part in short), Decimal(0))
                continue
            # What the venue itself has refused waits for the way out; without its word a list that lacks something gets more time to mend.
            is_its_word = bool(question.refused) and (not self._doubts_unbacked or self._is_backed(symbol, question, ours, net, short))
            question.seen, question.ask_ns = (told_ns, net), now_ns + (ASK_AGAIN_NS if is_its_word else ASK_AGAIN_MAX_NS)
            told = f"is not held: the account has {net:f} {symbol} on margin, all in all"
            differs += [f"{p.position_id}: {part:f} of {qty_of(p):f} {told}" for p, part in short]
        return MarginAnswer(tuple(facts), tuple(differs))

    def _is_backed(
        self, symbol: str, question: _Question, ours: Sequence[Position], net: Decimal, short: Sequence[tuple[Position, Decimal]]
    ) -> bool:
        """Whether the venue's own word speaks for what an answer takes off: it is what was refused, or what our books come to with that.

        A refusal says of its moment that nothing is on that side, of whichever position.
        """
        if net == net_of(ours) + self.owners_of(symbol) + question.gone:
            return True
        has_moved = self._moved_ns.get(symbol, 0) > question.from_ns
        sides = () if has_moved else {p.side for p in ours if p.position_id in question.refused}
        return all(p.position_id in question.refused or p.side in sides for p, _ in short)


def _is_moving(position: Position) -> bool:
    """Whether an order that closes is out: what the account holds may change while it is asked for.

    Not a stop that fired and was given up for whatever it did: nothing may ever tell of it, and the questions would have no end.
    """
    closing = position.open_orders("exit", "flatten", "take_profit")
    return bool(closing) or any(o.is_triggered and not o.given_up for o in position.orders)


def _shortfall(ours: Sequence[Position], net: Decimal, refused: Collection[str]) -> list[tuple[Position, Decimal]]:
    """Return which positions of a pair hold more than the account, and how much: those whose exit was refused first, then the newest.

    The account is held net. What it is beyond ours, on the other side, closed ours; and where the venue refuses an exit, nothing can
    be closed but what is left on that side, whatever ours on the other side add up to.
    """
    out = []
    for side in PositionSide:
        mine = [p for p in ours if p.side is side and p.held_lots]
        missing = max(Decimal(0), (net_of(ours) - net) * side.sign)
        if any(p.position_id in refused for p in mine):
            missing = max(missing, sum((qty_of(p) for p in mine), Decimal(0)) - max(Decimal(0), net * side.sign))
        for position in sorted(newest_first(mine), key=lambda p: p.position_id not in refused):
            part = min(missing, qty_of(position))
            if part > 0:
                out.append((position, part))
                missing -= part
    return out


def _adjusted(position: Position, part: Decimal, net: Decimal, now_ns: int) -> f.PositionAdjusted:
    evidence = f"twice in a row the account held {net:f} {position.plan.symbol} on margin, all in all"
    return f.PositionAdjusted(ts_recv_ns=now_ns, open_qty=qty_of(position) - part, reason="not held", evidence=evidence)
