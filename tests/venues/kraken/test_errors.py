"""The tables of refusal texts and of what is done about them."""

from typing import get_args

import pytest

from venues.kraken.errors import POLICIES, TEXTS, Kind, Reaction, is_token_refused, kind_of, refusal_from, throttled_until_s


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
    policy = refusal_from(text)
    assert (policy.reject_class, policy.is_outcome_known) == (reject_class, is_outcome_known)


# The rows of the venue document's table of errors (venues.md 1.11): what the engine does about each text.
@pytest.mark.parametrize(
    ("reaction", "texts"),
    [
        (
            "alert",
            (
                "EGeneral:Invalid arguments",
                "EGeneral:Invalid arguments:volume",
                "EOrder:Invalid price",
                "EOrder:Tick size check failed",
                "EOrder:Order minimum not met",
                "EOrder:Cost minimum not met",
                "Unsupported field: 'x' for the given msg type: add order",
                "Cash_order_qty field must be a number_float",
                "EOrder:cl_ord_id is not supported on conditional close",
                "EGeneral:Invalid arguments:Index unavailable",
                "Currency pair not supported WWW/USD",
                "Unsupported event",
                "Symbol(s) not found",
                "No amendable parameters",
            ),
        ),
        ("stop", ("EGeneral:Permission denied", "EAPI:Invalid key", "EAPI:Invalid signature", "EAuth:Account temporary disabled")),
        (
            "free_funds",
            (
                "EOrder:Insufficient funds",
                "EOrder:Insufficient funds (insufficient user funds)",
                "EOrder:Insufficient margin",
                "EOrder:Margin allowance exceeded",
                "EOrder:Margin level too low",
                "EOrder:Margin position size exceeded",
            ),
        ),
        ("look", ("EOrder:Unknown order", "EOrder:Invalid order", "EOrder:Unknown position")),
        (
            "wait",
            (
                "EOrder:Rate limit exceeded",
                "EOrder:Domain rate limit exceeded",
                "EOrder:Orders limit exceeded",
                "EOrder:Scheduled orders limit exceeded",
                "EOrder:Positions limit exceeded",
                "EAPI:Rate limit exceeded",
                "EGeneral:Too many requests",
                "EService:Throttled: 1712345678",
                "EGeneral:Temporary lockout",
            ),
        ),
        ("ask_and_slow_down", ("EService:Unavailable", "EService:Busy", "EGeneral:Internal error", "EGeneral:Internal error:31")),
        ("ask", ("EService:Deadline elapsed",)),
        (
            "other_order",
            (
                "EService:Market in cancel_only mode",
                "EService:Market in post_only mode",
                "EService:Market in limit_only mode",
                "EOrder:Post only order",
            ),
        ),
        ("next_nonce", ("EAPI:Invalid nonce",)),
        ("new_token", ("EAPI:Invalid token", "ESession:Invalid session", "Token(s) not found")),
        (
            "check_flat",
            ("EOrder:Reduce only:Non-PC", "EOrder:Reduce only:No position exists", "EOrder:Reduce only:Position is closed"),
        ),
    ],
)
def test_each_text_of_the_venue_document_has_its_reaction(reaction, texts):
    assert {text: refusal_from(text).reaction for text in texts} == dict.fromkeys(texts, reaction)


def test_each_kind_has_one_policy_and_every_reaction_is_somebodys():
    assert set(POLICIES) == set(get_args(Kind))
    assert {policy.reaction for policy in POLICIES.values()} == set(get_args(Reaction))
    assert {kind for _, kind in TEXTS} | {"other"} == set(POLICIES)


def test_no_row_of_the_table_hides_behind_an_earlier_one():
    assert [needle for needle, kind in TEXTS if kind_of(needle) != kind] == []


def test_only_what_proves_nothing_is_asked_about():
    assert {kind for kind, policy in POLICIES.items() if not policy.is_outcome_known} == {"venue_state", "deadline"}


def test_a_throttle_names_the_second_to_wait_for():
    assert throttled_until_s("EService:Throttled: 1712345678") == 1712345678
    assert throttled_until_s("EService:Throttled: soon") is None
    assert throttled_until_s("EOrder:Rate limit exceeded") is None


def test_only_a_lost_session_asks_for_a_new_token():
    assert is_token_refused("ESession:Invalid session")
    assert is_token_refused("EAPI:Invalid token")
    assert not is_token_refused("EAPI:Invalid key")
