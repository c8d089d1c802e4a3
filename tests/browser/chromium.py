"""Chromium without a window, driven by its own protocol (https://chromedevtools.github.io/devtools-protocol/)."""

import asyncio
import base64
import contextlib
import itertools
import json
import os
import shutil
import signal
import tempfile
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import aiohttp

from tests.waiting import EVENTUALLY

PROGRAM = next(
    (found for name in ("chromium", "chromium-browser", "google-chrome") if (found := shutil.which(name))), ""
)
MISSING = "Chromium is not installed: apt-get install chromium"

_LOOK_SECONDS = 0.1
_FLAGS = (
    "--headless=new",
    # Containers and Ubuntu forbid the sandbox, and Chromium does not start without it. Only our own page is opened.
    "--no-sandbox",
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-default-apps",
    "--disable-extensions",
    "--disable-sync",
    "--no-first-run",
    "--no-default-browser-check",
    "--remote-debugging-port=0",
)

Fields = dict[str, Any]


class BrowserError(Exception):
    """Chromium did not do what was requested."""


class Tab:
    """One tab.

    Attributes:
        requests: the addresses that it asked for since `forget`.
        complaints: what it wrote to its console, errors of scripts and of loading among it, since `forget`.
    """

    def __init__(self, browser: "Browser", session: str) -> None:
        self._browser = browser
        self._session = session
        self._loaded: set[str] = set()
        self._has_loaded = asyncio.Condition()
        self.requests: list[str] = []
        self.complaints: list[str] = []

    async def send(self, method: str, **parameters: Any) -> Fields:
        """Ask for something, and return the answer."""
        return await self._browser.send(method, parameters, self._session)

    async def open(self, address: str) -> None:
        """Open an address, and wait until the whole page is loaded."""
        found = await self.send("Page.navigate", url=address)
        if found.get("errorText"):
            raise BrowserError(f"{address}: {found['errorText']}")
        await self._until_loaded(lambda: found["loaderId"] in self._loaded)

    async def does(self, expression: str) -> Any:
        """Return the value of a JavaScript expression; the security policy of the page does not apply to it."""
        found = await self.send("Runtime.evaluate", expression=expression, awaitPromise=True, returnByValue=True)
        if "exceptionDetails" in found:
            raise BrowserError(str(found["exceptionDetails"]))
        return found["result"].get("value")

    async def until(self, expression: str) -> None:
        """Wait until an expression is true, on this page or on a later one."""
        for _ in range(int(EVENTUALLY / _LOOK_SECONDS)):
            # While another page takes this one's place there is nothing to ask.
            with contextlib.suppress(BrowserError):
                if await self.does(expression):
                    return
            await asyncio.sleep(_LOOK_SECONDS)
        raise BrowserError(f"it does not come true: {expression}")

    async def press(self, key: str, text: str = "") -> None:
        """Press and release a key."""
        codes = {"Tab": 9, "Enter": 13}
        fields: Fields = {"key": key, "code": key, "windowsVirtualKeyCode": codes.get(key, 0)}
        if text:
            fields["text"] = text
        await self.send("Input.dispatchKeyEvent", type="keyDown", **fields)
        await self.send("Input.dispatchKeyEvent", type="keyUp", **fields)

    async def submit(self) -> None:
        """Press the key that submits a form, and wait for the next page; the present page must not reload by itself."""
        before = len(self._loaded)
        await self.press("Enter", "\r")
        await self._until_loaded(lambda: len(self._loaded) > before)

    async def type(self, text: str) -> None:
        """Type into the element with the focus."""
        await self.send("Input.insertText", text=text)

    async def screen(self, width: int, height: int = 800) -> None:
        """Set the size of the screen."""
        size = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 600}
        await self.send("Emulation.setDeviceMetricsOverride", **size)

    async def scheme(self, name: str) -> None:
        """Prefer `dark` or `light`."""
        await self.send("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": name}])

    async def picture(self) -> bytes:
        """Return a picture of the screen, as a PNG."""
        found = await self.send("Page.captureScreenshot", format="png")
        return base64.b64decode(found["data"])

    def forget(self) -> None:
        """Clear the recorded requests and complaints."""
        self.requests.clear()
        self.complaints.clear()

    async def heard(self, method: str, parameters: Fields) -> None:
        """Take in an event of Chromium."""
        match method:
            case "Page.lifecycleEvent" if parameters["name"] == "load":
                # Page.loadEventFired does not name its page, and a page that is about to be left has one too.
                async with self._has_loaded:
                    self._loaded.add(parameters["loaderId"])
                    self._has_loaded.notify_all()
            case "Network.requestWillBeSent":
                self.requests.append(parameters["request"]["url"])
            case "Log.entryAdded":
                entry = parameters["entry"]
                self.complaints.append(f"{entry['level']}: {entry['text']} {entry.get('url', '')}")
            case "Runtime.exceptionThrown" | "Runtime.consoleAPICalled":
                self.complaints.append(json.dumps(parameters)[:1000])

    async def _until_loaded(self, condition: Callable[[], bool]) -> None:
        async with asyncio.timeout(EVENTUALLY), self._has_loaded:
            await self._has_loaded.wait_for(condition)


class Browser:
    """One process; made by `browser`."""

    def __init__(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        self._socket = socket
        self._numbers = itertools.count(1)
        self._answers: dict[int, asyncio.Future[Fields]] = {}
        self._tabs: dict[str, Tab] = {}

    async def listen(self) -> None:
        """Take in messages until the connection ends."""
        async for message in self._socket:
            found = json.loads(message.data)
            if "id" in found:
                answer = self._answers.pop(found["id"], None)
                if answer is not None and not answer.done():
                    answer.set_result(found)
            elif found.get("sessionId") in self._tabs:
                await self._tabs[found["sessionId"]].heard(found["method"], found.get("params", {}))

    async def send(self, method: str, parameters: Fields, session: str = "") -> Fields:
        """Ask for something, and return the answer.

        Raises:
            BrowserError: it was refused.
        """
        number = next(self._numbers)
        answer = self._answers[number] = asyncio.get_running_loop().create_future()
        body = {"id": number, "method": method, "params": parameters}
        await self._socket.send_json({**body, "sessionId": session} if session else body)
        async with asyncio.timeout(EVENTUALLY):
            found = await answer
        if "error" in found:
            raise BrowserError(f"{method}: {found['error']}")
        result: Fields = found["result"]
        return result

    async def tab(self) -> Tab:
        """Return a new tab that shares no data with the others."""
        context = (await self.send("Target.createBrowserContext", {}))["browserContextId"]
        target = await self.send("Target.createTarget", {"url": "about:blank", "browserContextId": context})
        attached = await self.send("Target.attachToTarget", {"targetId": target["targetId"], "flatten": True})
        found = self._tabs[attached["sessionId"]] = Tab(self, attached["sessionId"])
        for domain in ("Page", "Runtime", "Log", "Network"):
            await found.send(f"{domain}.enable")
        await found.send("Page.setLifecycleEventsEnabled", enabled=True)
        return found


@contextlib.asynccontextmanager
async def browser() -> AsyncIterator[Browser]:
    """Run Chromium while the context is open."""
    with tempfile.TemporaryDirectory(prefix="chromium", ignore_cleanup_errors=True) as folder:
        flags = (*_FLAGS, f"--user-data-dir={folder}")
        quiet = asyncio.subprocess.DEVNULL
        process = await asyncio.create_subprocess_exec(
            PROGRAM, *flags, "about:blank", stdout=quiet, stderr=quiet, start_new_session=True
        )
        try:
            port, path = (await _announced(Path(folder) / "DevToolsActivePort", process)).split("\n")[:2]
            async with (
                aiohttp.ClientSession() as session,
                session.ws_connect(f"ws://127.0.0.1:{port}{path}", max_msg_size=0) as socket,
            ):
                found = Browser(socket)
                listening = asyncio.create_task(found.listen())
                try:
                    yield found
                finally:
                    listening.cancel()
                    await asyncio.wait([listening])
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            await process.wait()


async def _announced(file: Path, process: asyncio.subprocess.Process) -> str:
    for _ in range(int(EVENTUALLY / _LOOK_SECONDS)):
        if (found := _text(file)).count("\n"):
            return found
        if process.returncode is not None:
            raise BrowserError(f"Chromium ended with {process.returncode}")
        await asyncio.sleep(_LOOK_SECONDS)
    raise BrowserError("Chromium does not listen")


def _text(file: Path) -> str:
    return file.read_text() if file.exists() else ""
