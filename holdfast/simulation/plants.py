"""Mistakes that are planted on purpose, so that each run of the harness shows that it would find one.

A harness that cannot fail proves nothing. Each plant breaks one rule of the engine while it is planted, in this process.
"""

import contextlib
from collections.abc import Callable, Iterator
from typing import Any
from unittest.mock import patch

from events import commands as c

from .case import draw
from .world import Lived, simulate

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
    from fsm.position import ANSWERS

    # The stop is left out where it is decided: one that is lost on its way to the venue the engine's own clocks make good.
    right = ANSWERS["situation"]
    return patch.dict(ANSWERS, situation=lambda p, fact: "COVERED" if (given := right(p, fact)) == "BARE" else given)


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
    """Return the first seed that finds the mistake of that name, None if none of `SEEDS` does.

    A life in which the program fell over finds nothing: what else is wrong with it follows from that, and any typing error does as much.
    """
    with PLANTS[name]():
        return next((seed for seed in SEEDS if _finds(simulate(draw(seed), with_replay=False, patience_s=30.0))), None)


def _finds(lived: Lived) -> bool:
    return bool(lived.violations) and not lived.has_crashed
