"""Market data that wait for a slow core: bounded, in order, and without losing a crossing.

While the core keeps up, everything passes. Where it does not, per symbol:
    ticker      the latest wins; its price is among the trades anyway
    trades      at most `TRADES_KEPT` frames wait. Beyond that the frame goes whose loss changes the path of prices least:
                none of a straight run counts anything, of the swings the smallest goes first. The first and the last frame
                and those with the highest and the lowest price always stay, so every fixed level that was touched is still
                touched, and a fall from a peak is shortened by the smallest of some sixty swings at most, but for about one path in
                two hundred (a peak that goes in several steps).
    heartbeat   the latest wins
    the rest    (instruments, status, replies) waits, at most `OTHERS_KEPT` of it; beyond, the oldest goes and is counted

What was dropped was never seen by the core and is in no record.
"""

from collections import OrderedDict, deque
from collections.abc import Collection
from decimal import Decimal

import msgspec

from ..messages import LinkChanged, SessionInput
from .codec import Outline

TRADES_KEPT = 64
OTHERS_KEPT = 4096


class _Waiting(msgspec.Struct):
    item: SessionInput
    path: str = ""
    replaceable: str = ""


class _Step(msgspec.Struct):
    order: int
    low: Decimal
    high: Decimal
    loss: Decimal = Decimal(0)


class MarketQueue:
    """A queue of the market frames of `symbols` and of link changes, conflated as the module says.

    `trades_kept` is at least 4: the ends and the extremes stay.
    """

    def __init__(self, symbols: Collection[str], trades_kept: int = TRADES_KEPT, others_kept: int = OTHERS_KEPT) -> None:
        self._symbols = frozenset(symbols)
        self._trades_kept, self._others_kept = trades_kept, others_kept
        self._waiting: OrderedDict[int, _Waiting] = OrderedDict()
        self._order = 0
        self._latest: dict[str, int] = {}
        self._paths: dict[str, list[_Step]] = {}
        self._others: deque[int] = deque()
        self.conflated_count = 0
        self.dropped_count = 0

    def __len__(self) -> int:
        return len(self._waiting)

    def put(self, item: SessionInput, outline: Outline | None) -> None:
        """Append a frame or link change; `outline` says what a frame is, None if it is none that may be conflated."""
        self._order += 1
        waiting = self._waiting[self._order] = _Waiting(item)
        if isinstance(item, LinkChanged):
            return
        symbol = outline.symbol if outline is not None and outline.symbol in self._symbols else ""
        if outline is not None and symbol and (prices := outline.trade_prices()):
            waiting.path = symbol
            self._lengthen(symbol, _Step(self._order, min(prices), max(prices)))
        elif outline is not None and (outline.channel == "heartbeat" or (outline.channel == "ticker" and symbol)):
            waiting.replaceable = f"{outline.channel} {symbol}"
            self._replace(waiting.replaceable)
        else:
            self._others.append(self._order)
            if len(self._others) > self._others_kept:
                del self._waiting[self._others.popleft()]
                self.dropped_count += 1

    def pop(self) -> SessionInput | None:
        """Take the oldest, None if nothing waits."""
        if not self._waiting:
            return None
        order, waiting = self._waiting.popitem(last=False)
        if waiting.path:
            self._paths[waiting.path].pop(0)
        elif waiting.replaceable:
            del self._latest[waiting.replaceable]
        elif self._others and self._others[0] == order:
            self._others.popleft()
        return waiting.item

    def _lengthen(self, symbol: str, step: _Step) -> None:
        path = self._paths.setdefault(symbol, [])
        path.append(step)
        _weigh(path, len(path) - 2)
        if len(path) > self._trades_kept:
            index = _index_of_least(path)
            del self._waiting[path.pop(index).order]
            _weigh(path, index - 1)
            _weigh(path, index)
            self.conflated_count += 1

    def _replace(self, key: str) -> None:
        older = self._latest.get(key)
        if older is not None:
            del self._waiting[older]
            self.conflated_count += 1
        self._latest[key] = self._order


def _weigh(path: list[_Step], index: int) -> None:
    # How far the path reached at this step beyond what its neighbours show.
    if 0 < index < len(path) - 1:
        before, step, after = path[index - 1 : index + 2]
        above = step.high - max(before.high, after.high)
        below = min(before.low, after.low) - step.low
        step.loss = max(above, below, Decimal(0))


def _index_of_least(path: list[_Step]) -> int:
    inner = range(1, len(path) - 1)
    least = min(inner, key=lambda index: path[index].loss)
    if not _is_extreme(path, least):
        return least
    return min((index for index in inner if not _is_extreme(path, index)), key=lambda index: path[index].loss)


def _is_extreme(path: list[_Step], index: int) -> bool:
    step = path[index]
    if not step.loss:
        return False
    others = [other for other in path if other is not step]
    return all(other.high < step.high for other in others) or all(other.low > step.low for other in others)
