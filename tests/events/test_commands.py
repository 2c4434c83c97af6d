from typing import get_args

import pytest
from msgspec.structs import replace

from events.commands import Role, SubmitOrder, is_risk_increasing
from tests.events.samples import COMMANDS, ENTRY


@pytest.mark.parametrize("role", get_args(Role))
def test_only_an_entry_increases_risk(role: Role) -> None:
    assert is_risk_increasing(replace(ENTRY, role=role)) == (role == "entry")


def test_no_command_but_a_submission_increases_risk() -> None:
    assert not any(is_risk_increasing(command) for command in COMMANDS if not isinstance(command, SubmitOrder))
