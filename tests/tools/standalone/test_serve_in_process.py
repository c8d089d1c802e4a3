"""`stationkeeper serve` inside the test's process: with another clock, and with a CUPS that opens late."""

import asyncio
import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any

import pytest

from stationkeeper_core.setting_values import Address
from stationkeeper_cups import main as cups_module
from stationkeeper_cups.main import serve as serve_cups
from stationkeeper_cups.settings import Settings
from stationkeeper_operator import runtime as operator_module
from stationkeeper_operator.compiling.incremental.turn_compiler import TurnCompiler, TurnPlan
from stationkeeper_tools.standalone import serve as serve_module
from stationkeeper_tools.standalone.serve import ServeSettings, serve
from stationkeeper_tools.standalone.state_folder import StateFolder
from stationkeeper_tools.standalone.trial_certificate import ServerFiles, trial_certificate
from tests.tools.manifest_files import LNS_URI, gateway, trusted_ca
from tests.tools.standalone.serving import Serving
from tests.waiting import wait_for

pytestmark = pytest.mark.slow

OTHER = "0123456789ABCDEE"


async def test_with_the_clock_at_1970_the_state_in_force_stays(serving: Serving) -> None:
    serving.put("all.yaml", trusted_ca(), gateway("roof"))
    serving.start()
    serving.until_told(LNS_URI)
    serving.end()
    stop, begin = asyncio.Event(), time.monotonic()
    serving.put("new.yaml", gateway("cellar", OTHER), gateway("again"))
    server = ServerFiles(serving.state / "server.crt", serving.state / "server.key")
    with StateFolder(serving.state) as state:
        wrong = partial(clock_at_1970, begin)
        running = asyncio.create_task(
            serve(settings_of(serving, server), state, lambda _kind, _fields: None, stop, wrong)
        )
        await asyncio.to_thread(serving.until_enforced, "Gateway", "cellar")
        assert await asyncio.to_thread(serving.asks) == LNS_URI
        assert await asyncio.to_thread(serving.asks, OTHER) == LNS_URI
        assert serving.condition("Gateway", "again", "Accepted")["reason"] == "EUIConflict", (
            "the older one keeps its EUI"
        )
        stop.set()
        await running


async def test_nothing_is_in_force_before_gateways_can_connect(
    serving: Serving, monkeypatch: pytest.MonkeyPatch
) -> None:
    serving.put("all.yaml", trusted_ca())
    told: list[tuple[str, Mapping[str, Any]]] = []
    stop, opened = asyncio.Event(), asyncio.Event()
    monkeypatch.setattr(serve_module, "serve_cups", partial(opens_late, opened))

    def reason() -> str:
        return str(serving.condition("TrustedCA", "vendor", "Enforced").get("reason", ""))

    def ready() -> list[str]:
        return [kind for kind, fields in told if kind == "serving" or fields.get("ready")]

    with StateFolder(serving.state) as state:
        server = trial_certificate(state, ["localhost"])
        tell = lambda kind, fields: told.append((kind, fields))  # noqa: E731
        running = asyncio.create_task(serve(settings_of(serving, server), state, tell, stop))
        await asyncio.to_thread(wait_for, lambda: reason() in {"NoCUPSPod", "Enforced"}, "CUPS has loaded it")
        assert ready() == []

        opened.set()
        await asyncio.to_thread(wait_for, lambda: len(ready()) > 1, "it is in force")
        assert ready() == ["serving", "status"]
        stop.set()
        await running


async def test_the_end_does_not_wait_for_a_long_compile(serving: Serving, monkeypatch: pytest.MonkeyPatch) -> None:
    serving.put("all.yaml", trusted_ca(), gateway("roof"))
    loop, stop, compile_plan = asyncio.get_running_loop(), asyncio.Event(), TurnCompiler.compile
    ended_early: list[bool] = []

    def compile_for_long(self: TurnCompiler, *arguments: Any) -> TurnPlan:
        change_waits = arguments[-1]
        loop.call_soon_threadsafe(stop.set)
        ended_early.append(wait_for(change_waits, "the compile is told to end"))
        return compile_plan(self, *arguments)

    monkeypatch.setattr(TurnCompiler, "compile", compile_for_long)
    with StateFolder(serving.state) as state:
        server = trial_certificate(state, ["localhost"])
        await serve(settings_of(serving, server), state, lambda _kind, _fields: None, stop)

    await asyncio.to_thread(wait_for, lambda: ended_early, "the thread of the compile has ended")
    assert ended_early == [True]


async def test_each_program_prepares_the_types_of_its_records(
    serving: Serving, monkeypatch: pytest.MonkeyPatch
) -> None:
    serving.put("all.yaml", trusted_ca())
    stop, prepared = asyncio.Event(), list[str]()
    for program in (serve_module, cups_module, operator_module):
        monkeypatch.setattr(program, "prepare_record_types", partial(prepared.append, program.__name__))

    def tell(kind: str, _fields: Mapping[str, Any]) -> None:
        if kind == "serving":
            stop.set()

    with StateFolder(serving.state) as state:
        server = trial_certificate(state, ["localhost"])
        await serve(settings_of(serving, server), state, tell, stop)

    assert sorted(prepared) == sorted(each.__name__ for each in (serve_module, cups_module, operator_module))


async def opens_late(
    opened: asyncio.Event, settings: Settings, stop: asyncio.Event, on_serving: Callable[[], None]
) -> None:
    async def open_late() -> None:
        await opened.wait()
        on_serving()

    opening: list[asyncio.Task[None]] = []
    await serve_cups(settings, stop, on_serving=lambda: opening.append(asyncio.create_task(open_late())))
    await asyncio.gather(*opening)


def settings_of(serving: Serving, server: ServerFiles) -> ServeSettings:
    return ServeSettings(
        manifests=serving.manifests,
        namespace="default",
        release_namespace="stationkeeper",
        listen=Address("127.0.0.1", serving.cups),
        internal=Address("127.0.0.1", serving.internal),
        server=server,
        server_names=(),
        token_authentication=False,
        log_level="INFO",
    )


def clock_at_1970(begin: float) -> datetime:
    return datetime(1970, 1, 1, tzinfo=UTC) + timedelta(seconds=time.monotonic() - begin)
