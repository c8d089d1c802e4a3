import asyncio
import getpass
import json
from pathlib import Path
from typing import Any

import kopf
import pytest

from stationkeeper_operator.watching.kopf_internals import NoMemories
from stationkeeper_operator.watching.watch import Watch
from stationkeeper_tools.ports import free_port
from tests.waiting import EVENTUALLY


@pytest.fixture
def kubeconfig(tmp_path: Path) -> Path:
    """The kubeconfig of an API server that does not exist."""
    cluster = {"server": f"https://127.0.0.1:{free_port()}", "insecure-skip-tls-verify": True}
    content = {
        "clusters": [{"name": "c", "cluster": cluster}],
        "users": [{"name": "u", "user": {"token": "t"}}],
        "contexts": [{"name": "x", "context": {"cluster": "c", "user": "u"}}],
        "current-context": "x",
    }
    path = tmp_path / "kubeconfig"
    path.write_text(json.dumps(content))
    return path


@pytest.mark.slow
async def test_it_runs_as_a_user_without_a_name(kubeconfig: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def nameless() -> str:
        raise KeyError("getpwuid(): uid not found: 65532")

    monkeypatch.setattr(getpass, "getuser", nameless)
    watch = Watch(kubeconfig, (), lambda _report: None)

    running = asyncio.create_task(watch.run())
    ended, _ = await asyncio.wait({running}, timeout=1.0)

    assert ended == set()
    assert watch.is_healthy
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running


@pytest.mark.slow
async def test_kopf_is_run_so_that_it_keeps_nothing_of_objects(
    kubeconfig: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    given: list[dict[str, Any]] = []
    operator = kopf.operator

    async def noted(**options: Any) -> None:
        given.append(options)
        await operator(**options)

    monkeypatch.setattr(kopf, "operator", noted)
    running = asyncio.create_task(Watch(kubeconfig, (), lambda _report: None).run())
    async with asyncio.timeout(EVENTUALLY):
        while not given:  # noqa: ASYNC110 - kopf runs in another thread
            await asyncio.sleep(0.01)

    assert isinstance(given[0]["memories"], NoMemories)
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
