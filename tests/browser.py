"""A real browser for the tests of the page: Debian's chromium, headless, over a pipe.

The DevTools protocol on two file descriptors: JSON messages that end in a zero byte.
"""

import base64
import json
import os
import select
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

CHROMIUM = shutil.which("chromium")
_PATIENCE_S = 60.0


class Browser:
    """One tab. `events` are all messages that were not asked for, such as what it fetches."""

    def __init__(self, to_it: int, from_it: int) -> None:
        self._to_it, self._from_it = to_it, from_it
        self._unread, self._number = b"", 0
        self.session: str | None = None
        self.events: list[dict[str, Any]] = []

    def call(self, method: str, **parameters: Any) -> dict[str, Any]:
        """The command's result. Raises AssertionError where the browser refuses it."""
        self._number += 1
        message: dict[str, Any] = {"id": self._number, "method": method, "params": parameters}
        if self.session:
            message["sessionId"] = self.session
        os.write(self._to_it, json.dumps(message).encode() + b"\0")
        while True:
            answer = self._next()
            if answer.get("id") == self._number:
                assert "error" not in answer, f"{method}: {answer['error']}"
                return answer["result"]
            self.events.append(answer)

    def _next(self) -> dict[str, Any]:
        end = time.monotonic() + _PATIENCE_S
        while b"\0" not in self._unread:
            ready, _, _ = select.select([self._from_it], [], [], max(0, end - time.monotonic()))
            data = os.read(self._from_it, 1 << 20) if ready else b""
            assert data, "the browser is gone, or says nothing"
            self._unread += data
        message, self._unread = self._unread.split(b"\0", 1)
        return json.loads(message)

    def open(self, page: Path) -> None:
        """Waits until all of it is there."""
        self.events.clear()
        self.call("Page.navigate", url=page.absolute().as_uri())
        end = time.monotonic() + _PATIENCE_S
        while self.run("document.readyState + location.protocol") != "completefile:":
            assert time.monotonic() < end, f"{page}: does not load"
            time.sleep(0.02)

    def run(self, script: str) -> Any:
        """The value of an expression. Raises AssertionError where it throws."""
        found = self.call(
            "Runtime.evaluate", expression=script, returnByValue=True, awaitPromise=True
        )
        assert "exceptionDetails" not in found, found["exceptionDetails"]
        return found["result"].get("value")

    def look(self, width: int, height: int, scheme: str) -> None:
        """Size of the window in pixels, and "light" or "dark"."""
        self.call(
            "Emulation.setDeviceMetricsOverride",
            width=width, height=height, deviceScaleFactor=1, mobile=width < 600,
        )  # fmt: skip
        feature = {"name": "prefers-color-scheme", "value": scheme}
        self.call("Emulation.setEmulatedMedia", features=[feature])

    def screenshot(self) -> bytes:
        """What the window shows, as PNG."""
        return base64.b64decode(self.call("Page.captureScreenshot")["data"])

    def said(self, method: str) -> list[dict[str, Any]]:
        """Parameters of the events of one kind since the page was opened."""
        return [event["params"] for event in self.events if event.get("method") == method]


@contextmanager
def chromium(profile: Path) -> Iterator[Browser]:
    """profile: a folder that is made and may be thrown away."""
    assert CHROMIUM, "no chromium"
    its_in, to_it = os.pipe()
    from_it, its_out = os.pipe()
    command = [
        CHROMIUM, "--headless=new", "--no-sandbox", "--disable-gpu", "--no-first-run",
        "--remote-debugging-pipe", f"--user-data-dir={profile}", "about:blank",
    ]  # fmt: skip
    # The browser has its end of the pipes as 3 and 4.
    script = f'exec "$@" 3<&{its_in} 4>&{its_out}'
    process = subprocess.Popen(
        ["bash", "-c", script, "chromium", *command],
        pass_fds=[its_in, its_out],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    os.close(its_in)
    os.close(its_out)
    try:
        browser = Browser(to_it, from_it)
        targets = browser.call("Target.getTargets")["targetInfos"]
        (tab,) = [target["targetId"] for target in targets if target["type"] == "page"]
        attached = browser.call("Target.attachToTarget", targetId=tab, flatten=True)
        browser.session = attached["sessionId"]
        for domain in ("Page", "Runtime", "Network", "Log"):
            browser.call(f"{domain}.enable")
        yield browser
    finally:
        os.close(to_it)
        os.close(from_it)
        process.terminate()
        process.wait()
