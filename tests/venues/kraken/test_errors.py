"""The table of refusal texts."""

import pytest

from venues.kraken.errors import is_token_refused, refusal_from


@pytest.mark.parametrize(
    ("text", "reject_class", "is_outcome_known"),
    [
        ("EGeneral:Invalid arguments:price", "caller_bug", True),
        ("EGeneral:Permission denied", "caller_bug", True),
        ("EOrder:Invalid price", "caller_bug", True),
        ("EOrder:Tick size check failed", "caller_bug", True),
        ("EOrder:Order minimum not met", "caller_bug", True),
        ("EOrder:Cost minimum not met", "caller_bug", True),
        ("Unsupported field: 'price' for the given msg type: add order", "caller_bug", True),
        ("Limit_price field must be a number_float", "caller_bug", True),
        ("EOrder:cl_ord_id is not supported on conditional close", "caller_bug", True),
        ("EGeneral:Invalid arguments:Index unavailable", "caller_bug", True),
        ("EOrder:Insufficient funds (unexpected)", "funds", True),
        ("EOrder:Insufficient margin", "funds", True),
        ("EOrder:Margin allowance exceeded", "funds", True),
        ("EOrder:Margin level too low", "funds", True),
        ("EOrder:Margin position size exceeded", "funds", True),
        ("EOrder:Unknown order", "gone", True),
        ("EOrder:Invalid order", "gone", True),
        ("EOrder:Unknown position", "gone", True),
        ("EOrder:Rate limit exceeded", "rate", True),
        ("EOrder:Domain rate limit exceeded", "rate", True),
        ("EOrder:Orders limit exceeded", "rate", True),
        ("EAPI:Rate limit exceeded", "rate", True),
        ("EGeneral:Too many requests", "rate", True),
        ("EService:Throttled: 1712345678", "rate", True),
        ("EGeneral:Temporary lockout", "rate", True),
        ("EService:Market in cancel_only mode", "venue_state", True),
        ("EService:Market in limit_only mode", "venue_state", True),
        ("EService:Unavailable", "venue_state", False),
        ("EService:Busy", "venue_state", False),
        ("EGeneral:Internal error:31", "venue_state", False),
        ("EService:Deadline elapsed", "deadline", False),
        ("EAPI:Invalid token", "auth", True),
        ("EAPI:Invalid nonce", "auth", True),
        ("ESession:Invalid session", "auth", True),
        ("EAuth:Account temporary disabled", "auth", True),
        ("Token(s) not found", "auth", True),
        ("EOrder:Reduce only:Non-PC", "reduce_only", True),
        ("EOrder:Reduce only:No position exists", "reduce_only", True),
        ("EOrder:Reduce only:Position is closed", "reduce_only", True),
        ("EOrder:Post only order", "post_only", True),
        ("EOrder:Invalid price:Stop price would trigger immediately", "through_market", True),
        ("Something never seen", "other", True),
    ],
)
def test_a_refusal_text_has_its_class(text, reject_class, is_outcome_known):
    assert refusal_from(text) == (reject_class, is_outcome_known)


def test_only_a_lost_session_asks_for_a_new_token():
    assert is_token_refused("ESession:Invalid session")
    assert is_token_refused("EAPI:Invalid token")
    assert not is_token_refused("EAPI:Invalid key")
