"""Plays a scenario on a floor, compares what was sent and what holds, and looks at the invariants after every input.

What I-numbers mean stands in docs/proof.md. I1, I2, I9, I12 and I14 are held against the venue's own books (`simulation/watch.py`),
I1 to I5 and the sum of the leases by the desk itself, I13 by the clock that a bare position must own, I10 and the ledger at the end.
"""

import sqlite3
from collections.abc import Callable, Mapping
from contextlib import closing
from decimal import Decimal
from tempfile import TemporaryDirectory
from typing import NamedTuple

from events import commands as c
from events import facts as f
from events.errors import HoldfastError, StoreLocked
from events.store import open_store
from events.store.mapper import originator_id_from
from events.values import PositionSide
from fsm.coverage import coverage
from fsm.model import Position
from fsm.timers import first_deadline
from holdfast.assembly import live_histories
from holdfast.engine import DAMAGED
from holdfast.simulation.watch import Watch
from projections.books import Books
from replay.intents import EntriesHalted, EntriesResumed, ExitAll, ExitPosition, HaltPosition, ProtectPosition, TightenPosition
from replay.output import Output
from venues.kraken.translate import order_userref_of
from venues.simulated.faults import Faults
from venues.simulated.orders import Order
from venues.simulated.requests import Refused

from .floor import SECOND, D, Floor, replayed
from .setup import START_PX, SYMBOL, engine_settings, mirrored, plan_fields, venue_settings
from .text import REFUSALS, Clause, Scenario, Step

# The engine compares its books with the venue's each ten seconds on a floor, and believes an absence on the second look.
PATIENCE_S = 25.0


class Outcome(NamedTuple):
    """What came of one run: what does not hold, each with its place, and the longest time without protection.

    `bare_ms` is counted by the engine's own clock, `venue_bare_ms` by the venue's books, where a working exit covers nothing.
    """

    problems: tuple[str, ...]
    state: str
    bare_ms: int
    venue_bare_ms: int


class Problem(Exception):
    """Something that the script says does not hold."""


class Play:
    """One scenario for one side. `is_compared` is off where a fault was put in: then only the invariants hold."""

    def __init__(self, scenario: Scenario, side: PositionSide, *, fault_book: Faults | None = None, is_compared: bool = True) -> None:
        self.scenario, self.side, self.is_compared = scenario, side, is_compared
        settings = venue_settings(scenario)
        self.plan = plan_fields(scenario, side)
        engine = engine_settings(scenario)
        self.floor = Floor(px=START_PX, symbol=SYMBOL, venue=settings, settings=engine, fault_book=fault_book, start=False)
        has_hand = any(x.word in ("owner", "says") or x.values.get("WORD") in _LIES for step in scenario.steps for x in step.clauses)
        self.watch = Watch(self.floor.gateway.exchange, PATIENCE_S, has_hand)
        self.position_id = ""
        self.owners_qty = D(0)
        self.sent: list[str] = []
        self.problems: list[str] = []
        self.on_input: Callable[[Output], None] = lambda output: None
        self._seen: tuple[object, ...] | None = None
        self.floor.watcher, self.floor.looker = self._took, self._look
        self.floor.start()
        self.floor.wait(1)

    # --- playing ------------------------------------------------------------------------------------------------------

    def play(self, at_end: Callable[[], None] = lambda: None) -> Outcome:
        """Play all steps, then `at_end`. What is wrong is collected; a scenario that is compared ends with the first of it."""
        place = self.scenario.place
        try:
            for step in self.scenario.steps:
                place = step.place
                self._step(step)
                if self.problems and self.is_compared:
                    break
            else:
                self._nothing_else()
            at_end()
        except (Problem, AssertionError) as problem:
            self.problems.append(f"{place}: {problem or type(problem).__name__}")
        except HoldfastError:
            raise
        except Exception as problem:
            self.problems.append(f"{place}: {type(problem).__name__}: {problem}")
        return self.outcome(place)

    def outcome(self, place: str) -> Outcome:
        """Look at everything once more, the ledger and the replay too, and return what came of it."""
        self._at_the_end()
        problems = (*self.problems, *(f"{place}: {text}" for text in self.watch.violations))
        return Outcome(problems, self.state, self.floor.bare_ns // 1_000_000, self.watch.bare_ms_max)

    def _step(self, step: Step) -> None:
        if step.mark == ">":
            if self.is_compared:
                self._compare_sent(step.text)
            return
        if step.mark == "=":
            for clause in step.clauses:
                if self.is_compared:
                    self._hold(clause)
            return
        if self.is_compared:
            self._nothing_else()
        try:
            self._act(step)
        except (Problem, Refused) as problem:
            if self.is_compared:
                raise Problem(str(problem)) from None
        if self.floor.is_dead and self.floor.is_back_at_once:
            self.floor.kill()

    def _act(self, step: Step) -> None:
        """Let one line happen. Raises Problem where it cannot."""
        clause, floor = step.clauses[0], self.floor
        values, word = clause.values, clause.word
        match word:
            case "open":
                self._open()
            case "exit":
                reason: f.ExitReason = str(values["WORD"])  # type: ignore[assignment]
                floor.intent(ExitPosition(position_id=self.position_id, reason=reason, patient=bool(values.get("patient"))))
            case "exit-all":
                all_reason: f.ExitReason = str(values["WORD"])  # type: ignore[assignment]
                floor.intent(ExitAll(reason=all_reason))
            case "tighten":
                floor.intent(TightenPosition(position_id=self.position_id, trail_offset_bps=int(str(values["BPS"]))))
            case "halt":
                floor.intent(HaltPosition(position_id=self.position_id, reason="a person said so"))
            case "protect":
                floor.intent(ProtectPosition(position_id=self.position_id, reason="the owner wants it back"))
            case "wait" | "silence":
                floor.wait(_ns(values["TIME"]) / SECOND, trades=word == "wait")
            case "cut":
                floor.cut()
            case "breaks":
                floor.drop()
            case "live":
                floor.connect()
            case "crash":
                floor.kill()
            case "down":
                floor.is_back_at_once = False
                floor.die()
            case "start":
                floor.is_back_at_once = True
                floor.kill()
            case "fault":
                self._fault(values)
            case "owner":
                self._owner(values)
            case "rests-by-hand":
                floor.rest_by_hand("buy", values["QTY"], values["PX"])
            case "halt-entries":
                floor.intent(EntriesHalted(reason="a person said so"))
            case "resume-entries":
                floor.intent(EntriesResumed())
            case "second":
                self._second()
            case "torn":
                lost = int(str(values["N"]))
                floor.kill(lambda: floor.lose(lost))
            case "damaged":
                self._damaged()
            case "no-prices":
                floor.altered = lambda text: _SILENT if _is_market(text) else text
            case "tells-price":
                px = values["WORD"]
                floor.feed(
                    "frame",
                    "public",
                    f'{{"channel":"ticker","type":"update","data":[{{"symbol":"{SYMBOL}","last":{px},"bid":{px},"ask":{px}}}]}}',
                )
            case "clock":
                floor.lag_ns += _ns(values["TIME"]) * (-1 if values["WORD"] == "ahead" else 1)
            case _:
                self._venue(word, values)

    def _venue(self, word: str, values: Mapping[str, object]) -> None:
        floor = self.floor
        match word:
            case "price":
                floor.tick(self._px(values["PX"]), str(values.get("qty", "0.01")))
            case "triggers-on":
                told = f'"reference":"{values["WORD"]}"'
                floor.altered = lambda text: text.replace('"reference":"last"', told)
            case "mode":
                floor.mode(str(values["WORD"]))  # type: ignore[arg-type]
            case "refuses":
                label = self._label(str(values["OP"]), str(values["NAME"]))
                floor.faults.arm("reject", on=label, text=REFUSALS[str(values["CLASS"])], count=int(str(values.get("times", 1))))
            case "fills":
                order, qty = self._open_order(values["NAME"]), D(str(values["QTY"]))
                floor.owner(lambda exchange, now_ns: exchange.execute(order, qty, now_ns))
            case "cancels":
                order = self._open_order(values["NAME"])
                floor.owner(lambda exchange, now_ns: exchange.cancel_many([order], now_ns, "Market conditions"))
            case "expires":
                order = self._open_order(values["NAME"])
                floor.owner(lambda exchange, now_ns: exchange.expire(order, now_ns))
            case "says":
                order, told = self._order(values["NAME"]), str(values["WORD"])
                floor.owner(lambda exchange, now_ns: exchange.tell_again(order, told, now_ns))

    def _second(self) -> None:
        """Start another engine on the store that this one holds: a real store, as the process opens it first of all."""
        with TemporaryDirectory() as folder:
            url = f"{folder}/events.db"
            first, second = open_store(url), open_store(url)
            try:
                first.acquire_lease()
                second.acquire_lease().release()
            except StoreLocked as refusal:
                self.floor.refusals.append(str(refusal))
            finally:
                second.close()
                first.close()

    def _damaged(self) -> None:
        """Kill the process and start it from a log in whose middle an event cannot be read: a real store, read as the process reads it."""
        with TemporaryDirectory() as folder:
            path = f"{folder}/events.db"
            store = open_store(path)
            lease = store.acquire_lease()
            store.append(self.floor.events)
            lease.release()
            store.close()
            with closing(sqlite3.connect(path)) as db, db:
                db.execute(
                    "UPDATE stored_events SET state = substr(state, 1, 40) WHERE originator_id = ? AND originator_version = 2",
                    (originator_id_from(self.position_id).hex,),
                )
            store = open_store(path, create=False)
            histories = live_histories(store)
            store.close()
        self.floor.recalled = lambda events: histories.events
        self.floor.kill()
        self.floor.recalled = lambda events: events
        self.floor.intent(EntriesHalted(reason=DAMAGED.format(count=len(histories.damaged))))
        self.floor.pages += ["LOG_DAMAGED"] * len(histories.damaged)

    def _open(self) -> None:
        self._seen = None
        self.position_id = self.floor.next_position_id()
        self.watch.sides[self.position_id], self.watch.planned[self.position_id] = self.side, D(str(self.plan["qty"]))
        self.floor.open(self.side, **self.plan)

    def _fault(self, values: Mapping[str, object]) -> None:
        options: dict[str, object] = {"count": int(str(values.get("times", 1)))}
        if "on" in values:
            options["on"] = values["on"]
        if "for" in values:
            options["seconds"] = _ns(values["for"]) / SECOND
        self.floor.faults.arm(str(values["WORD"]), **options)  # type: ignore[arg-type]

    def _owner(self, values: Mapping[str, object]) -> None:
        floor, does = self.floor, values["WORD"]
        if does == "cancels":
            order = self._open_order(values["NAME"])
            floor.owner(lambda exchange, now_ns: exchange.cancel(order.order_id, "", now_ns))
            return
        qty = D(str(values["QTY"]))
        if does == "withdraws":
            floor.owner(lambda exchange, now_ns: exchange.change_balance("SOL", -qty, now_ns))
            self._took_away(qty)
            return
        # "sells" is a long's: it makes the position smaller.
        closes = does == "sells"
        side = self.side.exit_side if closes else self.side.entry_side
        for _ in range(int(str(values.get("times", 1)))):
            floor.by_hand(side.value, qty, margin=bool(self.plan["margin"]))
            self._took_away(qty if closes else -qty)

    def _took_away(self, qty: Decimal) -> None:
        """Note what the owner took: first what he bought himself, then of the position, so that nothing of that is called bare.

        On margin also of a position that comes later: the account is held net.
        """
        self.owners_qty -= qty
        self._seen = None
        self._net()

    def _net(self) -> None:
        held = self.watch.books.held.get(self.position_id)
        if self.owners_qty < 0 and held is not None:
            taken = min(-self.owners_qty, max(D(0), held.net)) if self.plan["margin"] else -self.owners_qty
            self.watch.books.held[self.position_id] = held._replace(exited=held.exited + taken)
            self.owners_qty += taken
        if not self.plan["margin"]:
            self.owners_qty = max(self.owners_qty, D(0))

    # --- names --------------------------------------------------------------------------------------------------------

    def _px(self, px: object) -> Decimal:
        return mirrored(D(str(px)), self.side)

    @property
    def position(self) -> Position | None:
        return self.floor.pipeline.desk.get(self.position_id) if self.position_id else None

    @property
    def state(self) -> str:
        return self.position.state if self.position is not None else "New"

    def _names(self) -> dict[str, str]:
        """Return client ids by name: `stop1`, `stop2`, and `stop` for the latest. An attached stop has none: its id at the venue."""
        out: dict[str, str] = {}
        counts: dict[str, int] = {}
        for event in self.floor.events:
            if event.position_id != self.position_id:
                continue
            made = [(_short(x.role), x.client_order_id) for x in event.commands if isinstance(x, c.SubmitOrder)]
            if isinstance(event.fact, f.ChildDiscovered) and event.fact.venue_order_id not in out.values():
                made.insert(0, (_short(event.fact.role), event.fact.venue_order_id))
            for role, order_id in made:
                counts[role] = counts.get(role, 0) + 1
                out[f"{role}{counts[role]}"] = out[role] = order_id
        return out

    def _order(self, name: object) -> Order:
        names = self._names()
        order_id = names.get(str(name), "")
        exchange = self.floor.gateway.exchange
        # An entry with an attached stop goes without our id, under the number that is derived from it.
        userref = order_userref_of(order_id)
        found = [x for x in exchange.orders.values() if order_id and (order_id in (x.cl_ord_id, x.order_id) or x.order_userref == userref)]
        if not found:
            raise Problem(f"the venue knows no order {name!r}; sent were: {', '.join(names) or 'none'}")
        return found[-1]

    def _open_order(self, name: object) -> Order:
        order = self._order(name)
        if not order.is_open:
            raise Problem(f"order {name!r} is not open at the venue")
        return order

    def _label(self, operation: str, name: str) -> str:
        role = name.rstrip("0123456789")
        is_attached = self.plan.get("attach_stop") and self.plan.get("stop_price")
        is_native = "trail_offset_bps" in self.plan and self.plan.get("trail_style", "native") == "native" and not is_attached
        stop = "trailing-stop" if is_native else "stop-loss"
        kinds = {"entry": str(self.plan.get("entry_type", "market")), "stop": stop, "tp": "limit", "exit": "market", "flatten": "market"}
        side = self.side.entry_side if role in ("entry", "flatten") else self.side.exit_side
        return f"{'add' if operation == 'submit' else operation}_order:{kinds[role]}:{side.value}"

    # --- what is compared ---------------------------------------------------------------------------------------------

    def _compare_sent(self, text: str) -> None:
        if not self.sent:
            raise Problem(f"nothing (more) was sent, expected `{text}`")
        sent = self.sent.pop(0)
        if sent.split()[: len(text.split())] != text.split():
            raise Problem(f"`{sent}` was sent, expected `{text}`")

    def _nothing_else(self) -> None:
        if self.sent and self.is_compared:
            raise Problem("was sent before this and is not in the script: " + "; ".join(f"> {text}" for text in self.sent))

    def _hold(self, clause: Clause) -> None:
        word, values = clause.word, clause.values
        wanted = next(iter(values.values()), "")
        found = self._found(word, wanted, str(values.get("times", "")))
        if found is not True:
            shown = f"{wanted // 1_000_000} ms" if isinstance(wanted, int) else " ".join(wanted) if isinstance(wanted, tuple) else wanted
            raise Problem(f"expected {word} {shown}".rstrip() + f", found {found}")

    def _found(self, word: str, wanted: object, times: str) -> object:
        """Return True if it holds, else what is so instead."""
        floor, position = self.floor, self.position
        exchange = floor.gateway.exchange
        if word in ("held", "covered", "bare"):
            assert position is not None, "there is no position"
            leases = coverage(position)
            lots = {"held": leases.held_lots, "covered": leases.stopped_lots, "bare": leases.bare_lots}[word]
            qty = position.instrument.qty(lots)
            return qty == D(str(wanted)) or f"{qty.normalize():f}"
        if word == "unprotected":
            return floor.bare_ns <= _ns(wanted) or f"{floor.bare_ns // 1_000_000} ms"
        if word == "stopless":
            # By the venue's own books, where only a stop that rests covers anything.
            return self.watch.bare_ms_max * 1_000_000 <= _ns(wanted) or f"{self.watch.bare_ms_max} ms"
        if word in ("paged", "alerted"):
            codes = floor.pages if word == "paged" else floor.alerts
            return (codes.count(str(wanted)) == int(times) if times else wanted in codes) or f"{codes}"
        if word in ("stop", "trail"):
            return self._stop(word, wanted)
        if word == "resting":
            wanted_ids = sorted(self._order(x).order_id for x in (wanted if isinstance(wanted, tuple) else ()))
            resting = sorted(o.order_id for o in exchange.open_orders() if self.watch.books.owner_of(o.order_id))
            return resting == wanted_ids or self._shown(resting) or "nothing"
        if word == "flat":
            return (not floor.at_venue() and not exchange.open_orders()) or f"{floor.at_venue()} and {floor.resting()}"
        answers: dict[str, Callable[[], tuple[object, object]]] = {
            "state": lambda: (self.state, wanted),
            "reason": lambda: ((floor.reasons(self.position_id) or ["none"])[-1], wanted),
            "quiet": lambda: (floor.pages, []),
            "account": lambda: (floor.at_venue() * self.side.sign, D(str(wanted))),
            "entries": lambda: (
                sum(x.role == "entry" for e in floor.events for x in e.commands if isinstance(x, c.SubmitOrder)),
                int(str(wanted)),
            ),
            "live": lambda: (len(floor.pipeline.desk.positions), int(str(wanted))),
            "refused": lambda: (bool(floor.refusals), True),
            "by-hand": lambda: (sum(not self.watch.books.owner_of(o.order_id) for o in exchange.open_orders()), int(str(wanted))),
            "event": lambda: (wanted if wanted in {type(e.fact).__name__ for e in floor.events} else "none", wanted),
        }
        found_, wanted_ = answers[word]()
        return found_ == wanted_ or found_

    def _shown(self, order_ids: list[str]) -> list[str]:
        """Return orders of the venue by the names that a script has for them."""
        names = {self._order(name).order_id: name for name in self._names() if name[-1].isdigit()}
        return [names.get(x, x) for x in order_ids]

    def _stop(self, word: str, wanted: object) -> object:
        stops = [o for o in self.floor.gateway.exchange.open_orders() if o.trigger is not None and self.watch.books.owner_of(o.order_id)]
        if not stops or stops[-1].trigger is None:
            return "no stop"
        if word == "stop":
            px = stops[-1].pair.instrument.price(stops[-1].trigger.level_ticks)
            return px == self._px(wanted) or f"{mirrored(px, self.side)}"
        position = self.position
        assert position is not None
        trail = position.open_orders("stop")[-1].trail_offset_bps
        return trail == int(str(wanted)) or trail

    # --- the invariants -----------------------------------------------------------------------------------------------

    def _took(self, kind: str, output: Output) -> None:
        if output.events:
            self._seen = None
        for event in output.events:
            if isinstance(event.fact, f.PositionAdopted):
                self.watch.sides[event.position_id], self.watch.planned[event.position_id] = event.fact.plan.side, event.fact.plan.qty
            self.watch.event(event, self.floor.now_ns)
        self.on_input(output)
        if not self.floor.is_dead:
            self.sent += [text for x in output.outgoing if x.frame and (text := self.text_of(x.event.position_id, x.command))]

    def text_of(self, position_id: str, command: c.AnyCommand) -> str:
        """Return an order command as a script writes it."""
        if not isinstance(command, c.SubmitOrder | c.AmendOrder | c.CancelOrder):
            return ""
        position = self.floor.pipeline.desk.get(position_id)
        order = (
            position.order(command.client_order_id, command.venue_order_id if not isinstance(command, c.SubmitOrder) else "")
            if position
            else None
        )
        role = _short(order.role) if order is not None else "order"
        if isinstance(command, c.CancelOrder):
            return f"cancel {role}"
        if isinstance(command, c.SubmitOrder):
            words = f"submit {_short(command.role)} {command.qty.normalize():f}"
        else:
            words = f"amend {role}" + (f" qty {command.order_qty.normalize():f}" if command.order_qty is not None else "")
        for name, px in (("at", command.limit_price), ("stop", command.trigger_price)):
            words += f" {name} {mirrored(px, self.side).normalize():f}" if px is not None else ""
        return words + (f" trail {command.trail_offset_bps}" if command.trail_offset_bps is not None else "")

    def _look(self) -> bool:
        """Look at the invariants; tell whether a clock of something bare runs."""
        floor = self.floor
        desk = None if floor.is_dead else floor.pipeline.desk
        exchange = floor.gateway.exchange
        orders = [(order.order_id, order.leaves_lots) for order in exchange.open_orders()]
        seen = (desk, floor.is_connected, len(exchange.account.fills), orders, len(floor.pages))
        if seen == self._seen and not self.watch.is_counting:
            # A position changes by events only, and what none of these has changed was seen before.
            return False
        self._seen = seen
        self.watch.look_at_books(floor.now_ns)
        self._net()
        self.watch.look(desk, desk is not None and floor.is_connected, floor.now_ns)
        if desk is None:
            return self.watch.is_counting
        for position_id in sorted(desk.unprotected):
            position = desk.positions.get(position_id)
            if position is not None and first_deadline(position) is None and not (position.state == "Halted" and floor.pages):
                self.watch.say(floor.now_ns, "I13", f"{position_id} is bare in {position.state}, and no clock runs")
        for position in desk.positions.values():
            leases = coverage(position)
            parts = leases.stopped_lots + leases.exiting_lots + leases.unknown_lots + leases.dust_lots + leases.bare_lots
            if parts - leases.surplus_lots != leases.held_lots:
                self.watch.say(floor.now_ns, "I1", f"{position.position_id}: the leases do not add up: {leases}")
        return self.watch.is_counting

    def _at_the_end(self) -> None:
        books = Books()
        for number, event in enumerate(self.floor.events, 1):
            books.apply(number, event)
        if not books.ledger.is_balanced:
            self.problems.append("I9: the ledger does not balance")
        if not replayed(self.floor):
            self.problems.append("I10: the inputs replayed make other events")
        for position in self.floor.pipeline.desk.ended.values():
            left = [o.client_order_id for o in position.orders if not o.is_past]
            if position.state == "Closed" and left and not self.floor.is_dead:
                self.problems.append(f"I5: {position.position_id} is closed and has live orders: {left}")


_LIES = ("fill_after_cancel_ack",)
_SILENT = '{"channel":"heartbeat"}'


def _is_market(text: str) -> bool:
    return text.startswith(('{"channel":"ticker"', '{"channel":"trade"'))


def _short(role: str) -> str:
    return "tp" if role == "take_profit" else role


def _ns(value: object) -> int:
    assert isinstance(value, int)
    return value
