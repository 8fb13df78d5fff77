"""A real browser: headless Chromium, driven over its DevTools pipe."""

from __future__ import annotations

import base64
import json
import os
import shutil
import subprocess
import time
from collections import deque
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

fcntl = pytest.importorskip("fcntl", reason="DevTools' pipe needs POSIX file descriptors")
PATIENCE = 60.0
NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
FLAGS = (
    "--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", "--mute-audio",
    "--disable-background-networking", "--disable-component-update", "--disable-sync",
    "--disable-default-apps", "--disable-extensions", "--hide-scrollbars",
    "--disable-dev-shm-usage", "--remote-debugging-pipe",
)  # fmt: skip


def program() -> str:
    """The browser; the test is skipped where there is none."""
    found = next(filter(None, map(shutil.which, NAMES)), None)
    if found is None:
        pytest.skip("no Chromium here: apt-get install chromium, and these tests run")
    return found


class Browser:
    """One browser with a profile of its own. DevTools messages end with a zero byte."""

    def __init__(self, profile: Path) -> None:
        inward, outward = os.pipe(), os.pipe()
        # the browser reads from 3 and writes to 4; high numbers first, so that none is overrun
        reads = fcntl.fcntl(inward[0], fcntl.F_DUPFD, 20)
        writes = fcntl.fcntl(outward[1], fcntl.F_DUPFD, 20)
        shell = f'exec "$@" 3<&{reads} 4>&{writes}'
        self.process = subprocess.Popen(
            ["/bin/bash", "-c", shell, "-", program(), *FLAGS, f"--user-data-dir={profile}"],
            pass_fds=(reads, writes), stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )  # fmt: skip
        for descriptor in (inward[0], outward[1], reads, writes):
            os.close(descriptor)
        self._to, self._from = inward[1], outward[0]
        os.set_blocking(self._from, False)
        self._buffer, self._number = b"", 0
        self.events: deque[dict[str, Any]] = deque()

    def ask(self, method: str, session: str | None = None, **parameters: Any) -> Any:
        """Send one command and wait for its answer; events that come meanwhile are kept."""
        self._number += 1
        message = {"id": self._number, "method": method, "params": parameters}
        if session:
            message["sessionId"] = session
        os.write(self._to, json.dumps(message).encode() + b"\0")
        deadline = time.monotonic() + PATIENCE
        while time.monotonic() < deadline:
            for answer in self._messages():
                if answer.get("id") == self._number:
                    assert "error" not in answer, (method, answer["error"])
                    return answer["result"]
                self.events.append(answer)
            time.sleep(0.005)
        raise TimeoutError(method)

    def pump(self) -> None:
        """Take in events that have come."""
        self.events.extend(self._messages())

    def _messages(self) -> list[dict[str, Any]]:
        try:
            while piece := os.read(self._from, 1 << 20):
                self._buffer += piece
        except BlockingIOError:
            pass
        *whole, self._buffer = self._buffer.split(b"\0")
        return [json.loads(each) for each in whole]

    def open(self, url: str, **view: Any) -> Tab:
        """A new tab with a page, loaded."""
        return Tab(self, url, **view)

    def close(self) -> None:
        """End the browser."""
        try:
            self.ask("Browser.close")
            self.process.wait(10)
        finally:
            self.process.kill()
            self.process.wait()
            os.close(self._to)
            os.close(self._from)


class Tab:
    """A page. ``scheme`` is ``light`` or ``dark``."""

    def __init__(
        self, browser: Browser, url: str, *, scheme: str = "light", width: int = 1280,
        height: int = 900,
    ) -> None:  # fmt: skip
        self.browser = browser
        context = browser.ask("Target.createBrowserContext")["browserContextId"]
        target = browser.ask(
            "Target.createTarget", url="about:blank", browserContextId=context
        )["targetId"]  # fmt: skip
        attached = browser.ask("Target.attachToTarget", targetId=target, flatten=True)
        self.session = attached["sessionId"]
        for domain in ("Page", "Runtime", "Log", "Network"):
            self.ask(f"{domain}.enable")
        features = [{"name": "prefers-color-scheme", "value": scheme}]
        self.ask("Emulation.setEmulatedMedia", features=features)
        size = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": False}
        self.ask("Emulation.setDeviceMetricsOverride", **size)
        self.go(url)

    def ask(self, method: str, **parameters: Any) -> Any:
        """Send a command to this page."""
        return self.browser.ask(method, self.session, **parameters)

    def go(self, url: str) -> None:
        """Open another page and wait until it is loaded."""
        self.ask("Page.navigate", url=url)
        self.until("document.readyState === 'complete' && location.href !== 'about:blank'")

    def js(self, code: str) -> Any:
        """The value of an expression, awaited if it is a promise."""
        told = self.ask(
            "Runtime.evaluate", expression=code, returnByValue=True, awaitPromise=True
        )  # fmt: skip
        assert "exceptionDetails" not in told, told["exceptionDetails"]
        return told["result"].get("value")

    def until(self, code: str) -> Any:
        """Wait until an expression is true; a page that is just being left is not."""
        deadline = time.monotonic() + PATIENCE
        while time.monotonic() < deadline:
            with suppress(AssertionError):
                if value := self.js(code):
                    return value
            time.sleep(0.02)
        raise AssertionError(f"never true: {code}")

    def press(self, key: str) -> None:
        """Press and let go of a key, as a user does."""
        named = {" ": "Space", "Escape": "Escape", "Tab": "Tab", "Enter": "Enter"}
        codes = {" ": 32, "Escape": 27, "Tab": 9, "Enter": 13, "ArrowLeft": 37, "ArrowRight": 39}
        event: dict[str, Any] = {"key": key, "code": named.get(key, key)}
        event["windowsVirtualKeyCode"] = codes.get(key, ord(key[0].upper()))
        text = {"Enter": "\r"}.get(key, key if len(key) == 1 else "")
        self.ask(
            "Input.dispatchKeyEvent", type="keyDown", **event, **({"text": text} if text else {})
        )
        self.ask("Input.dispatchKeyEvent", type="keyUp", **event)

    def click(self, selector: str) -> None:
        """Click in the middle of an element, as a user does."""
        box = self.js(
            f"(() => {{ const e = document.querySelector({json.dumps(selector)});"
            " e.scrollIntoView({block: 'center', behavior: 'instant'});"
            " const b = e.getBoundingClientRect(); return [b.x + b.width / 2, b.y + b.height / 2];"
            " })()"
        )
        at = {"x": box[0], "y": box[1], "button": "left", "clickCount": 1}
        self.ask("Input.dispatchMouseEvent", type="mousePressed", **at)
        self.ask("Input.dispatchMouseEvent", type="mouseReleased", **at)

    def screenshot(self, path: Path, *, whole: bool = False) -> bytes:
        """What the page looks like, as a PNG."""
        told = self.ask("Page.captureScreenshot", captureBeyondViewport=whole)
        data = base64.b64decode(told["data"])
        path.write_bytes(data)
        return data

    @property
    def problems(self) -> list[str]:
        """Errors in the console, from scripts, the network or the security policy."""
        found = []
        for event in self._events():
            told = event["params"]
            if event["method"] == "Runtime.exceptionThrown":
                found.append(str(told["exceptionDetails"]))
            elif event["method"] == "Log.entryAdded" and told["entry"]["level"] == "error":
                found.append(told["entry"]["text"])
            elif event["method"] == "Runtime.consoleAPICalled" and told["type"] == "error":
                found.append(str(told["args"]))
        return found

    @property
    def requests(self) -> list[str]:
        """Addresses that the page has asked for; data in the page itself is none."""
        urls = [
            event["params"]["request"]["url"]
            for event in self._events()
            if event["method"] == "Network.requestWillBeSent"
        ]
        return [url for url in urls if not url.startswith(("data:", "blob:", "about:"))]

    def _events(self) -> list[dict[str, Any]]:
        self.browser.pump()
        return [each for each in self.browser.events if each.get("sessionId") == self.session]
