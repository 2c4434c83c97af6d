"""What a refusal text of Kraken means, as a table.

Kraken has no codes, and its texts carry suffixes that vary ("EGeneral:Invalid arguments:price"), so they are matched by
what they contain, first row first, never by equality (`EOrder`/`EService` strings: docs guide "spot-errors", ccxt's map,
captures of kraken-async-rs). `is_outcome_known` is False where the text does not prove that nothing happened: an order may
rest, or may have traded, behind "EService:Unavailable". Those are asked about, never sent again blindly (I6).
"""

from typing import NamedTuple

from events.facts import RejectClass


class Refusal(NamedTuple):
    """The meaning of one refusal text."""

    reject_class: RejectClass
    is_outcome_known: bool = True


_CALLER_BUG = Refusal("caller_bug")
_FUNDS = Refusal("funds")
_GONE = Refusal("gone")
_RATE = Refusal("rate")
_MARKET_MODE = Refusal("venue_state")
_VENUE_STATE = Refusal("venue_state", is_outcome_known=False)
_DEADLINE = Refusal("deadline", is_outcome_known=False)
_AUTH = Refusal("auth")
_REDUCE_ONLY = Refusal("reduce_only")
_POST_ONLY = Refusal("post_only")
_THROUGH_MARKET = Refusal("through_market")

# Needles in lower case; the first that is contained decides, so the narrower ones come first.
TABLE: tuple[tuple[str, Refusal], ...] = (
    # The market's mode is a refusal with evidence: an order that it does not take was not taken (X16).
    ("eservice:market in", _MARKET_MODE),
    ("eservice:deadline elapsed", _DEADLINE),
    ("eservice:throttled", _RATE),
    ("eservice:", _VENUE_STATE),
    ("egeneral:internal error", _VENUE_STATE),
    ("eorder:reduce only", _REDUCE_ONLY),
    ("reduce only:", _REDUCE_ONLY),
    ("no position exists", _REDUCE_ONLY),
    ("position is closed", _REDUCE_ONLY),
    ("post only", _POST_ONLY),
    ("post-only", _POST_ONLY),
    # Not verified: no capture shows how Kraken refuses a trigger on the wrong side of the market, or whether it does. These
    # are the wordings of other venues; one that is missing here is class "other", and the stop counts as absent either way.
    ("trigger immediately", _THROUGH_MARKET),
    ("immediately trigger", _THROUGH_MARKET),
    ("through market", _THROUGH_MARKET),
    ("insufficient", _FUNDS),
    ("eorder:margin", _FUNDS),
    ("eorder:unknown", _GONE),
    ("eorder:invalid order", _GONE),
    ("limit exceeded", _RATE),
    ("too many requests", _RATE),
    ("temporary lockout", _RATE),
    ("esession:", _AUTH),
    ("eauth:", _AUTH),
    ("eapi:invalid", _AUTH),
    ("token(s) not found", _AUTH),
    ("egeneral:invalid arguments", _CALLER_BUG),
    ("egeneral:permission denied", _CALLER_BUG),
    ("eorder:invalid price", _CALLER_BUG),
    ("eorder:tick size", _CALLER_BUG),
    ("minimum not met", _CALLER_BUG),
    ("is not supported on conditional close", _CALLER_BUG),
    ("unsupported field", _CALLER_BUG),
    ("unsupported event", _CALLER_BUG),
    ("field must be", _CALLER_BUG),
    ("currency pair not supported", _CALLER_BUG),
    ("symbol(s) not found", _CALLER_BUG),
)

_OTHER = Refusal("other")


def refusal_from(text: str) -> Refusal:
    """Return what `text` means; an unknown text is a refusal of class "other" (an error reply is evidence of refusal)."""
    lowered = text[:400].lower()
    for needle, refusal in TABLE:
        if needle in lowered:
            return refusal
    return _OTHER


def is_token_refused(text: str) -> bool:
    """Tell whether `text` asks for a new token: the socket stays open, the session in it has ended."""
    lowered = text[:400].lower()
    return "invalid session" in lowered or "invalid token" in lowered or "token(s) not found" in lowered
