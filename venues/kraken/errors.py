"""What a refusal text of Kraken means, and what is to be done about it, as two tables.

Kraken has no codes, and its texts carry suffixes that vary ("EGeneral:Invalid arguments:price"), so they are matched by
what they contain, first row first, never by equality (`EOrder`/`EService` strings: docs guide "spot-errors", ccxt's map,
captures of kraken-async-rs). `TEXTS` gives a text its kind, `POLICIES` gives each kind one policy.

`is_outcome_known` is False where the text does not prove that nothing happened: an order may rest, or may have traded,
behind "EService:Unavailable". Those are asked about, never sent again blindly (I6).
"""

import re
from typing import Literal, NamedTuple

from events.facts import RejectClass

Kind = Literal[
    "caller_bug", "oto", "index", "funds", "gone", "rate", "venue_state", "market_mode", "deadline", "nonce", "session", "key",
    "permission", "reduce_only", "post_only", "through_market", "other",
]  # fmt: skip

# What the asker does: nothing again, a person is told | the own order that holds the balance is found first | closed orders
# and trades are looked at, then decided | wait, to the time that the text names if it does | ask what became of it, and go
# slower | ask what became of it | another number | another token | nothing, the key is of no use | make sure that it is
# flat | another kind of order.
Reaction = Literal[
    "alert", "free_funds", "look", "wait", "ask_and_slow_down", "ask", "next_nonce", "new_token", "stop", "check_flat", "other_order"
]  # fmt: skip


class Policy(NamedTuple):
    """The meaning of a kind of refusal: its class for the core, whether it proves that nothing happened, what follows."""

    reject_class: RejectClass
    reaction: Reaction
    is_outcome_known: bool = True


POLICIES: dict[Kind, Policy] = {
    "caller_bug": Policy("caller_bug", "alert"),
    "oto": Policy("caller_bug", "alert"),
    # Never asked for: triggers refer to the last price.
    "index": Policy("caller_bug", "alert"),
    "funds": Policy("funds", "free_funds"),
    "gone": Policy("gone", "look"),
    "rate": Policy("rate", "wait"),
    "venue_state": Policy("venue_state", "ask_and_slow_down", is_outcome_known=False),
    # The market's mode is a refusal with evidence: an order that it does not take was not taken (X16).
    "market_mode": Policy("venue_state", "other_order"),
    "deadline": Policy("deadline", "ask", is_outcome_known=False),
    "nonce": Policy("auth", "next_nonce"),
    "session": Policy("auth", "new_token"),
    "key": Policy("auth", "stop"),
    "permission": Policy("caller_bug", "stop"),
    "reduce_only": Policy("reduce_only", "check_flat"),
    "post_only": Policy("post_only", "other_order"),
    "through_market": Policy("through_market", "other_order"),
    "other": Policy("other", "alert"),
}

# Needles in lower case; the first that is contained decides, so the narrower ones come first.
TEXTS: tuple[tuple[str, Kind], ...] = (
    ("eservice:market in", "market_mode"),
    ("eservice:deadline elapsed", "deadline"),
    ("eservice:throttled", "rate"),
    ("eservice:", "venue_state"),
    ("egeneral:internal error", "venue_state"),
    ("eorder:reduce only", "reduce_only"),
    ("reduce only:", "reduce_only"),
    ("no position exists", "reduce_only"),
    ("position is closed", "reduce_only"),
    ("post only", "post_only"),
    ("post-only", "post_only"),
    # Not verified: no capture shows how Kraken refuses a trigger on the wrong side of the market, or whether it does. These
    # are the wordings of other venues; one that is missing here is class "other", and the stop counts as absent either way.
    ("trigger immediately", "through_market"),
    ("immediately trigger", "through_market"),
    ("through market", "through_market"),
    ("insufficient", "funds"),
    ("eorder:margin", "funds"),
    ("eorder:unknown", "gone"),
    ("eorder:invalid order", "gone"),
    ("limit exceeded", "rate"),
    ("too many requests", "rate"),
    ("temporary lockout", "rate"),
    ("eapi:invalid nonce", "nonce"),
    ("eapi:invalid token", "session"),
    ("invalid session", "session"),
    ("token(s) not found", "session"),
    ("esession:", "session"),
    ("eauth:", "key"),
    ("eapi:invalid", "key"),
    ("egeneral:permission denied", "permission"),
    ("index unavailable", "index"),
    ("is not supported on conditional close", "oto"),
    ("egeneral:invalid arguments", "caller_bug"),
    ("eorder:invalid price", "caller_bug"),
    ("eorder:tick size", "caller_bug"),
    ("minimum not met", "caller_bug"),
    ("unsupported field", "caller_bug"),
    ("unsupported event", "caller_bug"),
    ("field must be", "caller_bug"),
    ("currency pair not supported", "caller_bug"),
    ("symbol(s) not found", "caller_bug"),
    ("no amendable parameters", "caller_bug"),
)

_THROTTLED = re.compile(r"throttled:\s*(\d{9,11})\b")


def kind_of(text: str) -> Kind:
    """Return the kind of a refusal text; "other" for an unknown one (an error reply is evidence of refusal)."""
    lowered = text[:400].lower()
    return next((kind for needle, kind in TEXTS if needle in lowered), "other")


def refusal_from(text: str) -> Policy:
    """Return what `text` means and asks for."""
    return POLICIES[kind_of(text)]


def throttled_until_s(text: str) -> int | None:
    """Return the Unix second to which "EService:Throttled: 1712345678" asks to wait, None if it names none."""
    found = _THROTTLED.search(text[:400].lower())
    return int(found[1]) if found else None


def is_token_refused(text: str) -> bool:
    """Tell whether `text` asks for a new token: the socket stays open, the session in it has ended."""
    return refusal_from(text).reaction == "new_token"
