"""`holdfast run --validate`: asks the venue whether it would take the orders of the configured positions, and places none.

Each plan lives its life here in memory, by the code that trades: the entry, then (as if it had filled at the last price) the
stop, then the exit. Each order that this makes is sent with `validate`: the venue checks it, answers, and nothing rests. No store,
record or lease is touched. On spot a stop and an exit sell what the entry has yet to buy, so that a refusal for want of funds
says nothing against them.
"""

import asyncio
from collections.abc import Callable
from decimal import Decimal
from typing import Literal

import msgspec

from events import commands as c
from events import facts as f
from events.errors import VenueProblem
from events.ids import position_id_from
from events.record import PositionEvent
from replay.intents import Link, OpenPosition, Restarted, payload_from
from replay.pipeline import Pipeline, Settings
from venues import messages as m
from venues.kraken import encode
from venues.kraken.session import KrakenSession
from venues.kraken.translate import KrakenTranslator

from .config import Config
from .live import SYNC_TIMEOUT_S, check_positions, venue_of

ANSWER_TIMEOUT_S = 10.0


class Checked(msgspec.Struct, frozen=True):
    """What the venue says of one order. `verdict` "unchecked": it needs what the entry has yet to buy."""

    position: str
    symbol: str
    order: str
    order_type: str
    qty: Decimal
    verdict: Literal["accepted", "refused", "unchecked"]
    reason: str = ""


async def check_plans(config: Config) -> list[Checked]:
    """Ask the venue about every order of every configured position.

    Raises:
        BadInput: the settings or the key cannot be used.
        VenueProblem: the venue cannot be reached, or does not answer.
    """
    check_positions(config)
    async with venue_of(config) as where:
        session = KrakenSession(
            public_url=where.public_url,
            private_url=where.private_url,
            symbols=config.venue.symbols,
            token_source=where.token_source,
            clock=where.clock,
        )
        running = asyncio.create_task(session.run())
        checking = asyncio.create_task(_Check(config, session, where.clock.now_ns).run())
        try:
            done, _ = await asyncio.wait((running, checking), return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                task.result()
            return checking.result()
        finally:
            for task in (running, checking):
                task.cancel()
            await asyncio.gather(running, checking, return_exceptions=True)
            await session.close()


class _Check:
    def __init__(self, config: Config, session: KrakenSession, now_ns: Callable[[], int]) -> None:
        self._config, self._session, self._now_ns = config, session, now_ns
        self._pipeline = Pipeline(Settings(namespace=config.engine.namespace, symbols=config.venue.symbols))
        # Its request numbers are those of the frames that leave; the pipeline's own frames never do.
        self._translator = KrakenTranslator(config.engine.namespace)
        self._inputs = session.inputs()

    async def run(self) -> list[Checked]:
        try:
            async with asyncio.timeout(SYNC_TIMEOUT_S):
                await self._sync()
        except TimeoutError:
            problem = f"it gave no prices and orders within {SYNC_TIMEOUT_S:.0f} s"
            raise VenueProblem("kraken", problem, "check the network and [venue]") from None
        rows: list[Checked] = []
        for number, plan in enumerate(self._config.positions, 1):
            rows += await self._plan(position_id_from(self._config.engine.namespace, number), plan)
        return rows

    async def _sync(self) -> None:
        desk, symbols = self._pipeline.desk, {plan.symbol for plan in self._config.positions}
        self._pipeline.feed("intent", self._now_ns(), "", payload_from(Restarted(epoch=0)))
        while not (self._pipeline.counters["snapshot"] and self._pipeline.instruments and all(desk.has_price(x) for x in symbols)):
            item = await anext(self._inputs)
            if isinstance(item, m.FrameReceived):
                self._pipeline.feed("frame", item.ts_recv_ns, item.channel, item.text)
            elif isinstance(item, m.LinkChanged):
                link = Link(state=item.state, code=item.code, reason=item.reason)
                self._pipeline.feed("link", item.ts_recv_ns, item.channel, payload_from(link))

    async def _plan(self, position_id: str, plan: f.Plan) -> list[Checked]:
        opened = self._pipeline.feed("intent", self._now_ns(), "", payload_from(OpenPosition(position_id=position_id, epoch=0, plan=plan)))
        if opened.refusals:
            return [Checked(position_id, plan.symbol, "entry", plan.entry_type, plan.qty, "refused", opened.refusals[0].reason)]
        rows: list[Checked] = []
        pending = [event for event in opened.events if event.position_id == position_id]
        while pending:
            event = pending.pop(0)
            for command in event.commands:
                if isinstance(command, c.SubmitOrder):
                    rows.append(await self._ask(position_id, command, plan))
                    pending += self._carry_out(position_id, command)
                elif isinstance(command, c.CancelOrder):
                    now_ns = self._now_ns()
                    gone = f.OrderCanceled(ts_recv_ns=now_ns, client_order_id=command.client_order_id, cum_qty=Decimal(0))
                    pending += self._pipeline.desk.take(gone, position_id)
        return rows

    def _carry_out(self, position_id: str, command: c.SubmitOrder) -> list[PositionEvent]:
        """Let an order do in memory what it is there for: an entry fills, a stop rests and is followed by the wish to leave."""
        desk, now_ns = self._pipeline.desk, self._now_ns()
        events = desk.take(f.OrderAccepted(ts_recv_ns=now_ns, client_order_id=command.client_order_id), position_id)
        if command.role == "stop":
            mark = desk.mark_of(command.symbol, now_ns)
            return events + desk.take(f.ExitRequested(ts_recv_ns=now_ns, reason="operator", mark=mark), position_id)
        mark = desk.mark_of(command.symbol, now_ns)
        filled = f.OrderFilled(
            ts_recv_ns=now_ns,
            client_order_id=command.client_order_id,
            trade_id=f"dry-{command.client_order_id}",
            side=command.side,
            last_qty=command.qty,
            last_px=command.limit_price or (mark.px if mark is not None else None),
            cum_qty=command.qty,
        )
        return events + desk.take(filled, position_id)

    async def _ask(self, position_id: str, command: c.SubmitOrder, plan: f.Plan) -> Checked:
        row = Checked(position_id, command.symbol, command.role, command.order_type, command.qty, "accepted")
        frame = encode.as_validation(self._translator.encode(command, self._now_ns()).frame_text)
        if not await self._session.send(frame):
            raise VenueProblem("kraken", "the private socket closed while the plans were checked", "start again")
        try:
            async with asyncio.timeout(ANSWER_TIMEOUT_S):
                refused = await self._answer(command.client_order_id)
        except TimeoutError:
            raise VenueProblem("kraken", f"it did not answer about an order within {ANSWER_TIMEOUT_S:.0f} s", "start again") from None
        if refused is None:
            return row
        lacks = isinstance(refused, f.OrderRejected) and refused.reject_class in ("funds", "reduce_only")
        text = refused.text if isinstance(refused, f.OrderRejected) else refused.reason
        verdict: Literal["refused", "unchecked"] = "unchecked" if lacks and command.role != "entry" else "refused"
        return msgspec.structs.replace(row, verdict=verdict, reason=text)

    async def _answer(self, client_order_id: str) -> f.OrderRejected | f.OutcomeUnknown | None:
        """Wait for the answer to an order; None if the venue would take it."""
        while True:
            item = await anext(self._inputs)
            if not isinstance(item, m.FrameReceived) or item.channel != "private":
                continue
            for said in self._translator.decode(item.text, item.ts_recv_ns):
                if isinstance(said, m.RequestAccepted) and said.client_order_id == client_order_id:
                    return None
                if isinstance(said, f.OrderRejected | f.OutcomeUnknown) and said.client_order_id == client_order_id:
                    return said
