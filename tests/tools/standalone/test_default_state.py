"""The default state folder of `serve`."""

from pathlib import Path

import pytest

from stationkeeper_tools.standalone.default_state import default_state


@pytest.mark.parametrize(
    ("environment", "place"),
    [
        ({"STATE_DIRECTORY": "/var/lib/stationkeeper", "XDG_STATE_HOME": "/home/x"}, Path("/var/lib/stationkeeper")),
        ({"STATE_DIRECTORY": "/var/lib/one:/var/lib/two"}, Path("/var/lib/one")),
        ({"XDG_STATE_HOME": "/home/x/state"}, Path("/home/x/state/stationkeeper")),
        ({"XDG_STATE_HOME": ""}, Path("~/.local/state/stationkeeper").expanduser()),
        ({}, Path("~/.local/state/stationkeeper").expanduser()),
    ],
)
def test_the_folder_of_systemd_counts_before_that_of_the_user(environment: dict[str, str], place: Path) -> None:
    assert default_state(environment) == place
