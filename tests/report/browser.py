"""Chromium without a window, driven over its debugging pipe: a page as somebody with mouse and keyboard meets it."""

from __future__ import annotations

import base64
import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from time import monotonic, sleep
from typing import Any

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
_SECONDS = 30.0


class Tab:
    """One opened page. errors: what its console complained about, refused requests and scripts included."""

    def __init__(self, read: int, write: int) -> None:
        self._read, self._write = read, write
        self._buffer, self._number, self._session = b"", 0, ""
        self.errors: list[str] = []
        self.requests: list[str] = []

    def open(self, path: Path, width: int = 1200, height: int = 900, ready: str = "true") -> None:
        """Load a file at a size of the window and wait until `ready` is true."""
        if not self._session:
            target = self.ask("Target.createTarget", url="about:blank")["targetId"]
            self._session = self.ask("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
            for domain in ("Page", "Runtime", "Log", "Network"):
                self.ask(f"{domain}.enable")
        size = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 600}
        self.ask("Emulation.setDeviceMetricsOverride", **size)
        self.ask("Page.navigate", url=path.resolve().as_uri())
        self.wait(f"document.readyState === 'complete' && ({ready})")

    def run(self, script: str) -> Any:
        """The value of an expression in the page; the page's own policy does not hold for it."""
        found = self.ask("Runtime.evaluate", expression=script, returnByValue=True, awaitPromise=True)
        assert "exceptionDetails" not in found, found["exceptionDetails"]
        return found["result"].get("value")

    def wait(self, script: str) -> None:
        """Wait until an expression is true."""
        end = monotonic() + _SECONDS
        while not self.run(script):
            assert monotonic() < end, f"never became true: {script}"
            sleep(0.02)

    def mouse(self, kind: str, x: float, y: float, **more: Any) -> None:
        """A mouse event: Moved, Pressed, Released or Wheel."""
        pressed = {"button": "left", "clickCount": 1} if kind in ("Pressed", "Released") else {}
        self.ask("Input.dispatchMouseEvent", type=f"mouse{kind}", x=x, y=y, **pressed, **more)

    def click(self, x: float, y: float) -> None:
        """Move there, press and let go."""
        for kind in ("Moved", "Pressed", "Released"):
            self.mouse(kind, x, y)

    def key(self, name: str, text: str = "") -> None:
        """Press a key and let it go."""
        codes = {"ArrowLeft": 37, "ArrowUp": 38, "ArrowRight": 39, "ArrowDown": 40, "Enter": 13, "Escape": 27, "Tab": 9}
        code = {"key": name, "windowsVirtualKeyCode": codes.get(name, ord(name[0].upper()))}
        down = {"type": "keyDown", "text": text} if text else {"type": "rawKeyDown"}
        self.ask("Input.dispatchKeyEvent", **down, **code)
        self.ask("Input.dispatchKeyEvent", type="keyUp", **code)

    def picture(self, path: Path, whole: bool = False) -> None:
        """Write what is seen, or the whole page, as PNG."""
        found = self.ask("Page.captureScreenshot", format="png", captureBeyondViewport=whole)
        path.write_bytes(base64.b64decode(found["data"]))

    def ask(self, method: str, **params: Any) -> dict[str, Any]:
        """One command of the Chrome DevTools Protocol and its answer."""
        self._number += 1
        message: dict[str, Any] = {"id": self._number, "method": method, "params": params}
        if self._session and not method.startswith("Target."):
            message["sessionId"] = self._session
        os.write(self._write, json.dumps(message).encode() + b"\0")
        while True:
            found = self._next()
            if found.get("id") == self._number:
                assert "error" not in found, (method, found["error"])
                answer: dict[str, Any] = found["result"]
                return answer
            self._note(found)

    def _note(self, event: dict[str, Any]) -> None:
        params = event.get("params", {})
        if event.get("method") == "Log.entryAdded" and params["entry"]["level"] in ("error", "warning"):
            self.errors.append(params["entry"]["text"])
        if event.get("method") == "Runtime.exceptionThrown":
            self.errors.append(json.dumps(params["exceptionDetails"]))
        if event.get("method") == "Network.requestWillBeSent":
            self.requests.append(params["request"]["url"][:200])

    def _next(self) -> dict[str, Any]:
        while b"\0" not in self._buffer:
            block = os.read(self._read, 1 << 20)
            assert block, "the browser has ended"
            self._buffer += block
        line, _, self._buffer = self._buffer.partition(b"\0")
        found: dict[str, Any] = json.loads(line)
        return found


@contextmanager
def browser(folder: Path) -> Iterator[Tab]:
    """A browser with a profile of its own in this folder, ended afterwards."""
    assert CHROMIUM is not None
    from_us, to_browser = os.pipe()
    from_browser, to_us = os.pipe()
    words = [
        CHROMIUM, "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run",
        "--remote-debugging-pipe", f"--user-data-dir={folder / 'profile'}", "about:blank",
    ]  # fmt: skip

    def place() -> None:
        high = [os.dup(from_us), os.dup(to_us)]  # neither may be overwritten before it is copied
        for number, own in zip((3, 4), high, strict=True):
            os.dup2(own, number)

    quiet = subprocess.DEVNULL
    process = subprocess.Popen(
        words, preexec_fn=place, close_fds=False, stdin=quiet, stdout=quiet, stderr=quiet, start_new_session=True
    )
    os.close(from_us)
    os.close(to_us)
    try:
        yield Tab(from_browser, to_browser)
    finally:
        with suppress(OSError):
            os.write(to_browser, b'{"id":0,"method":"Browser.close"}\0')
        try:
            process.wait(5)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        os.close(from_browser)
        os.close(to_browser)
