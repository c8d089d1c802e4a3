"""The report of a command on its changes."""

import json

import pytest

from stationkeeper_tools.commands.changing import tell
from stationkeeper_tools.commands.exit_codes import ExitCode
from stationkeeper_tools.commands.output import Output
from stationkeeper_tools.operating.enforcing import Enforced
from stationkeeper_tools.operating.fleet import FleetResource, ResourceName

ROOF = FleetResource(ResourceName("Gateway", "radio", "roof"), {}, {}, 1, "a.yaml:3")
IN_A_CLUSTER = FleetResource(ResourceName("Gateway", "radio", "roof"), {}, {}, 1)


@pytest.mark.parametrize(
    ("outcome", "line"),
    [
        (
            Enforced(ROOF, changed=True, is_enforced=True, seconds=1.25, message="2 of 2"),
            "Gateway radio/roof: suspended, enforced after 1.2 s: 2 of 2 (a.yaml:3)",
        ),
        (
            Enforced(ROOF, changed=False, is_enforced=True, seconds=0, message=""),
            "Gateway radio/roof: was suspended already, enforced (a.yaml:3)",
        ),
        (
            Enforced(IN_A_CLUSTER, changed=True, is_enforced=False, seconds=9, message="1 of 2"),
            "Gateway radio/roof: suspended, and not enforced yet: 1 of 2",
        ),
    ],
)
def test_a_line_says_what_was_done_and_whether_it_holds(
    capsys: pytest.CaptureFixture[str], outcome: Enforced, line: str
) -> None:
    expected = ExitCode.YES if outcome.is_enforced else ExitCode.INCOMPLETE
    assert tell([outcome], "suspended", Output.TEXT) == expected
    assert capsys.readouterr().out == f"{line}\n"


def test_one_that_is_not_enforced_makes_the_answer_incomplete(capsys: pytest.CaptureFixture[str]) -> None:
    done = Enforced(ROOF, changed=True, is_enforced=True, seconds=1, message="")
    waiting = Enforced(ROOF, changed=True, is_enforced=False, seconds=1, message="")
    assert tell([done, waiting], "suspended", Output.JSON, dry=True) == ExitCode.INCOMPLETE
    told = json.loads(capsys.readouterr().out)
    assert [each["enforced"] for each in told["resources"]] == [True, False]
    assert (told["dry"], told["resources"][0]["file"]) == (True, "a.yaml:3")
