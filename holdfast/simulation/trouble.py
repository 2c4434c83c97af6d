"""What goes wrong in a simulated life: at the moments that its case names, and wherever a position comes to a state of an ambush."""

import contextlib
from collections.abc import Callable
from decimal import Decimal
from functools import partial
from typing import TYPE_CHECKING

from events.errors import HoldfastError
from events.values import PositionSide
from replay.intents import ExitPosition, HaltPosition, ProtectPosition, TightenPosition
from venues.simulated.orders import STOPS
from venues.simulated.pairs import pair_of

from .case import WISHES, Ambush, Happening

if TYPE_CHECKING:
    from .world import World

_PRINT_QTY = Decimal("0.05")
# The network once nothing goes wrong any more.
_CALM_LATENCY_S = (0.001, 0.02)


class Trouble:
    """Does to a world what its case says, until it is calm. What it does is counted in the world's `injected`."""

    def __init__(self, world: "World") -> None:
        self.world = world
        self.refused_tokens = 0
        self._left = [ambush.times for ambush in world.case.ambushes]

    def end(self) -> None:
        """Nothing goes wrong any more: what lasts is mended."""
        self.world.venue.faults.disarm()
        self.world.network.is_down = False
        self.world.network.latency_s = _CALM_LATENCY_S
        self.world.network.cut_dark()
        self.refused_tokens = 0
        self.world.venue.change_system("online")

    def came_to(self, state: str, position_id: str) -> None:
        """Spring the ambushes that wait for a position in that state."""
        for number, ambush in enumerate(self.world.case.ambushes):
            if ambush.state == state and self._left[number] > 0 and not self.world.is_calm:
                self._left[number] -= 1
                self.world.loop.call_later(ambush.delay_ms / 1_000, self._spring, ambush, position_id)

    def _spring(self, ambush: Ambush, position_id: str) -> None:
        if self.world.is_calm:
            return
        if ambush.kind in WISHES:
            ask(self.world, ambush.kind, position_id)
            return
        text, number, seconds = ambush.text, ambush.number, ambush.seconds
        self.happen(Happening(at_ms=0, kind=ambush.kind, text=text, number=number, seconds=seconds), position_id)  # type: ignore[arg-type]

    def happen(self, happening: Happening, position_id: str = "") -> None:
        """Let it happen; with a position, to what is that one's."""
        if self.world.is_calm:
            return
        kind = happening.kind
        if kind == "fault":
            self.world.venue.faults.switch_on([happening.text])
            return
        done = _AIMED[kind](self, happening, position_id) if kind in _AIMED else _KINDS[kind](self, happening)
        if done is not False:
            self.world.injected[kind] += 1

    # --- the process, its disk and its links --------------------------------------------------------------------------------

    def _kill_at_commit(self, happening: Happening) -> bool:
        if self.world.life is None:
            return False
        before = happening.kind == "kill_before_commit"
        die = partial(self.world.kill, power=before, down_s=happening.seconds)
        self.world.life.disk.die_at_commit(happening.number, before, die)
        return True

    def _kill(self, happening: Happening) -> bool:
        if self.world.life is None:
            return False
        self.world.kill(power=happening.kind == "power", down_s=happening.seconds)
        return True

    def _restart(self, happening: Happening) -> bool:
        if self.world.life is None:
            return False
        self.world.restart(happening.seconds)
        return True

    def _disk_trouble(self, happening: Happening) -> bool:
        if self.world.life is None:
            return False
        if happening.kind == "commit_stalls":
            self.world.life.disk.stall_s.append(happening.seconds)
        else:
            self.world.life.disk.arm(happening.kind)
        return True

    def _stand_still(self, happening: Happening) -> None:
        self.world.loop.stand_still(happening.seconds)

    def _cut(self, happening: Happening) -> bool:
        return self.world.network.cut(happening.number)

    def _darken(self, happening: Happening) -> bool:
        return self.world.network.darken(happening.number)

    def _net_down(self, happening: Happening) -> None:
        self.world.network.is_down = True
        self.world.loop.call_later(happening.seconds, self._net_up)

    def _net_up(self) -> None:
        self.world.network.is_down = False

    def _slow(self, happening: Happening) -> None:
        usual = self.world.network.latency_s
        self.world.network.latency_s = (usual[0], max(usual[1], happening.seconds))
        self.world.loop.call_later(3.0, self._usual_speed)

    def _usual_speed(self) -> None:
        low, high = self.world.case.latency_ms
        self.world.network.latency_s = _CALM_LATENCY_S if self.world.is_calm else (low / 1_000, high / 1_000)

    def _refuse_tokens(self, happening: Happening) -> None:
        self.refused_tokens += happening.number + 1

    # --- the venue, its market and the owner --------------------------------------------------------------------------------

    def _system(self, happening: Happening) -> None:
        self.world.venue.change_system(happening.text)  # type: ignore[arg-type]
        self.world.loop.call_later(happening.seconds, self.world.venue.change_system, "online")

    def _price(self, happening: Happening, position_id: str) -> bool:
        """Somebody trades `number` basis points from the last price; of a position, in its favour where that is above zero."""
        watch = self.world.watch
        symbol = watch.symbols.get(position_id, self.world.case.symbols[0])
        sign = -1 if watch.sides.get(position_id) is PositionSide.SHORT else 1
        self.world.venue.print_trade(symbol, happening.number * sign, _PRINT_QTY)
        return True

    def _strike_order(self, happening: Happening, position_id: str) -> bool:
        """The owner cancels an open order of ours, or the venue lets it expire or execute: one of all, of the stops, or of the rest."""
        venue, words = self.world.venue, set(happening.text.split())
        ours = self.world.watch.books.ours_open(position_id)
        if words & {"stop", "rest"}:
            ours = [order_id for order_id in ours if (venue.exchange.orders[order_id].order_type in STOPS) == ("stop" in words)]
        if not ours:
            return False
        order_id = ours[happening.number % len(ours)]
        if happening.kind == "expire":
            venue.expire(order_id)
        elif happening.kind == "fill":
            venue.fill(order_id, tenths=5 if "half" in words else 10)
        else:
            with contextlib.suppress(HoldfastError):
                venue.cancel_by_hand(order_id)
        return True

    def _trade_by_hand(self, happening: Happening) -> bool:
        """The owner trades some of what was his before we came. Once he has sold what is ours nobody can tell any more whose is what."""
        if self.world.watch.books.taken:
            return False
        instrument = pair_of(self.world.case.symbols[0]).instrument
        own = self.world.case.settings.balances.get(instrument.base, Decimal(0))
        side = "sell" if happening.number % 2 and own else "buy"
        qty = instrument.qty(instrument.floor_lots(max(own, Decimal(5)) * (happening.number + 1) / 10_000))
        try:
            self.world.venue.trade_by_hand(instrument.symbol, side, qty)
        except HoldfastError:
            return False
        return True

    def _sell_by_hand(self, happening: Happening, position_id: str) -> bool:
        """The owner closes at market a part of what a position of ours holds: on spot, all that is his own beside goes first."""
        watch, venue = self.world.watch, self.world.venue
        watch.look_at_books(self.world.loop.now_ns)
        books = watch.books
        held = [key for key in sorted(books.held) if books.held[key].net >= books.minimum[key] and key in watch.sides]
        if position_id:
            held = [key for key in held if key == position_id]
        if not held:
            return False
        key = held[happening.number % len(held)]
        symbol, margin = pair = books.pair_of[key]
        instrument = pair_of(symbol).instrument
        is_long = watch.sides[key] is PositionSide.LONG
        if happening.number % 2 == 0:
            for order in [o for o in venue.exchange.open_orders() if books.owner_of(o.order_id) == key and o.buying != is_long]:
                with contextlib.suppress(HoldfastError):
                    venue.cancel_by_hand(order.order_id)
            # What was to be cancelled may have executed in that moment.
            watch.look_at_books(self.world.loop.now_ns)
        lots = instrument.floor_lots(books.held[key].net * (happening.number + 1) / 10)
        there = books.there(pair, is_long)
        beside = instrument.floor_lots(max(Decimal(0), there - books.sum_of(pair)))
        qty = min(instrument.qty(max(lots, instrument.min_lots) + beside), instrument.qty(instrument.floor_lots(max(Decimal(0), there))))
        try:
            venue.trade_by_hand(symbol, "sell" if is_long else "buy", qty, margin=margin)
        except HoldfastError:
            return False
        watch.look_at_books(self.world.loop.now_ns)
        books.take_sale(pair, is_long)
        return True

    def _move_funds(self, happening: Happening) -> bool:
        if self.world.watch.books.taken:
            return False
        instrument = pair_of(self.world.case.symbols[0]).instrument
        asset = (instrument.base, instrument.quote)[happening.number // 2 % 2]
        own = self.world.case.settings.balances.get(asset, Decimal(0))
        # What is withdrawn again and again stays within what was there before we came.
        takes = happening.number % 2 and self.world.injected["move_funds"] < 5
        try:
            self.world.venue.change_balance(asset, own / (-10 if takes else 10))
        except HoldfastError:
            return False
        return True


def ask(world: "World", kind: str, position_id: str) -> None:
    """Ask the engine what somebody wants of a position, if one runs that has it."""
    if world.life is None or position_id not in world.desk.positions:
        return
    engine = world.life.assembled.engine
    if kind == "halt":
        engine.ask(HaltPosition(position_id=position_id, reason="somebody said so"))
    elif kind == "tighten":
        engine.ask(TightenPosition(position_id=position_id, trail_offset_bps=8))
    elif kind == "protect":
        engine.ask(ProtectPosition(position_id=position_id, reason="the owner wants his stop back"))
    else:
        engine.ask(ExitPosition(position_id=position_id, reason="operator", patient=kind == "exit_patient"))


_KINDS: dict[str, Callable[[Trouble, Happening], bool | None]] = {
    "cut": Trouble._cut,
    "dark": Trouble._darken,
    "net_down": Trouble._net_down,
    "slow": Trouble._slow,
    "token": Trouble._refuse_tokens,
    "kill": Trouble._kill,
    "power": Trouble._kill,
    "kill_before_commit": Trouble._kill_at_commit,
    "kill_after_commit": Trouble._kill_at_commit,
    "restart": Trouble._restart,
    "stand_still": Trouble._stand_still,
    "commit_fails": Trouble._disk_trouble,
    "commit_fails_after": Trouble._disk_trouble,
    "commit_stalls": Trouble._disk_trouble,
    "write_fails": Trouble._disk_trouble,
    "sync_fails": Trouble._disk_trouble,
    "system": Trouble._system,
    "trade_by_hand": Trouble._trade_by_hand,
    "move_funds": Trouble._move_funds,
}
# What happens to one position where one is meant.
_AIMED: dict[str, Callable[[Trouble, Happening, str], bool]] = {
    "price": Trouble._price,
    "cancel_by_hand": Trouble._strike_order,
    "expire": Trouble._strike_order,
    "fill": Trouble._strike_order,
    "sell_by_hand": Trouble._sell_by_hand,
}
