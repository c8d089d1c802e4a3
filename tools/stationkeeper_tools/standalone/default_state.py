"""The default state folder of `serve`."""

from collections.abc import Mapping
from pathlib import Path


def default_state(environment: Mapping[str, str]) -> Path:
    """Return the state folder: that of systemd, or one of the user.

    Args:
        environment: of the process. Of several folders of systemd, the first counts.
    """
    of_service = environment.get("STATE_DIRECTORY", "").partition(":")[0]
    if of_service:
        return Path(of_service)
    home = environment.get("XDG_STATE_HOME") or str(Path("~/.local/state").expanduser())
    return Path(home) / "stationkeeper"
