"""Mistakes that are planted on purpose, so that each run of the harness shows that it would find one.

A harness that cannot fail proves nothing. Each plant breaks one rule of the engine while it is planted, in this process.
"""

import contextlib
from collections.abc import Callable, Iterator
from typing import Any

from events import commands as c

from .case import draw
from .world import simulate

# Seeds are tried in order until one of them finds the mistake.
SEEDS = range(1, 41)


@contextlib.contextmanager
def _swapped(owner: Any, name: str, make: Callable[[Any], Any]) -> Iterator[None]:
    original = getattr(owner, name)
    setattr(owner, name, make(original))
    try:
        yield
    finally:
        setattr(owner, name, original)


def _forget_second_fill() -> contextlib.AbstractContextManager[None]:
    from fsm import booking

    return _swapped(booking, "_executed", lambda original: lambda p, *rest: original(p, *rest) if len(p.trade_ids) != 1 else p)


def _send_no_stop() -> contextlib.AbstractContextManager[None]:
    from holdfast.engine import Engine

    def make(original: Any) -> Any:
        async def send(engine: Any, outgoing: Any) -> None:
            if not (isinstance(outgoing.command, c.SubmitOrder) and outgoing.command.role == "stop"):
                await original(engine, outgoing)

        return send

    return _swapped(Engine, "_send", make)


def _send_exits_twice() -> contextlib.AbstractContextManager[None]:
    from holdfast.engine import Engine

    def make(original: Any) -> Any:
        async def send(engine: Any, outgoing: Any) -> None:
            await original(engine, outgoing)
            command = None if isinstance(outgoing, str) else outgoing.command
            if isinstance(command, c.SubmitOrder) and command.role == "exit":
                twin = outgoing.frame.replace(command.client_order_id, command.client_order_id[:-1] + "z")
                await engine._session.send(twin)

        return send

    return _swapped(Engine, "_send", make)


def _lose_durable_events() -> contextlib.AbstractContextManager[None]:
    from events.store import Store

    def make(original: Any) -> Any:
        def append(store: Any, events: Any) -> None:
            original(store, events if len(store._versions) < 2 else [])

        return append

    return _swapped(Store, "append", make)


PLANTS: dict[str, Callable[[], contextlib.AbstractContextManager[None]]] = {
    "forget the second fill": _forget_second_fill,
    "send no stop": _send_no_stop,
    "send exits twice under another id": _send_exits_twice,
    "lose events that were called durable": _lose_durable_events,
}


def found_by(name: str) -> int | None:
    """Return the first seed that finds the mistake of that name, None if none of `SEEDS` does."""
    with PLANTS[name]():
        return next((seed for seed in SEEDS if simulate(draw(seed), with_replay=False, patience_s=30.0).violations), None)
