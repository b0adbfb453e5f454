"""A real headless Chromium, driven through its DevTools protocol."""

import base64
import itertools
import json
import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome", "chrome-headless-shell")
DEADLINE_S = 60.0


def find_chromium() -> str | None:
    """Path of a Chromium or Chrome: BR2NET_CHROMIUM, or the first on the path; None where there is none."""
    named = os.environ.get("BR2NET_CHROMIUM")
    return named or next(filter(None, map(shutil.which, NAMES)), None)


class Browser:
    """One page of a headless Chromium."""

    def __init__(self, socket: Any) -> None:
        self._socket = socket
        self._numbers = itertools.count(1)
        self.problems: list[str] = []  # uncaught errors, refused resources, messages of console.error
        for domain in ("Page", "Runtime", "Log"):
            self.call(f"{domain}.enable")

    def call(self, method: str, **parameters: Any) -> dict[str, Any]:
        """One command of the protocol, and its answer."""
        number = next(self._numbers)
        self._socket.send(json.dumps({"id": number, "method": method, "params": parameters}))
        while True:
            message = json.loads(self._socket.recv(timeout=DEADLINE_S))
            if message.get("id") == number:
                assert "error" not in message, message
                return dict(message["result"])
            self._note(message)

    def _note(self, message: dict[str, Any]) -> None:
        method, parameters = message.get("method"), message.get("params", {})
        if method == "Runtime.exceptionThrown":
            self.problems.append(str(parameters["exceptionDetails"].get("exception", parameters)))
        elif method == "Log.entryAdded" and parameters["entry"]["level"] == "error":
            self.problems.append(f"{parameters['entry']['text']} {parameters['entry'].get('url', '')}")
        elif method == "Runtime.consoleAPICalled" and parameters["type"] == "error":
            self.problems.append(str(parameters["args"]))

    def open(self, url: str, width: int = 1440, height: int = 900, phone: bool = False, dark: bool = False) -> None:
        """Load a page in a window of that size."""
        ratio = 2 if phone else 1
        self.call(
            "Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=ratio, mobile=phone
        )
        self.call("Emulation.setTouchEmulationEnabled", enabled=phone)
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        self.call("Emulation.setEmulatedMedia", features=[scheme])
        self.call("Page.navigate", url=url)

    def run(self, script: str) -> Any:
        """Value of an expression in the page; a promise is awaited."""
        answer = self.call("Runtime.evaluate", expression=script, awaitPromise=True, returnByValue=True)
        assert "exceptionDetails" not in answer, answer["exceptionDetails"]
        return answer["result"].get("value")

    def wait(self, script: str, what: str = "") -> Any:
        """The value of an expression as soon as it is true."""
        return wait_for(lambda: self.run(script), what or script)

    def click(self, selector: str) -> None:
        """Press and release the mouse in the middle of an element."""
        x, y = self._middle(selector)
        for kind in ("mousePressed", "mouseReleased"):
            self.call("Input.dispatchMouseEvent", type=kind, x=x, y=y, button="left", clickCount=1)

    def press_key(self, selector: str, key: str, times: int = 1) -> None:
        """Focus an element and press a key, as `Home` or `ArrowRight`."""
        self.run(f"document.querySelector({selector!r}).focus()")
        codes = {"End": 35, "Home": 36, "ArrowLeft": 37, "ArrowRight": 39}
        for _ in range(times):
            for kind in ("keyDown", "keyUp"):
                self.call("Input.dispatchKeyEvent", type=kind, key=key, code=key, windowsVirtualKeyCode=codes[key])

    def type(self, selector: str, text: str) -> None:
        """Put text into a field."""
        self.run(f"document.querySelector({selector!r}).focus()")
        self.call("Input.insertText", text=text)

    def close(self) -> None:
        """Close the page."""
        self.call("Page.close")

    def screenshot(self, path: Path, whole: bool = False) -> None:
        """Write the window, or the whole page, as PNG."""
        shot = self.call("Page.captureScreenshot", format="png", captureBeyondViewport=whole)
        path.write_bytes(base64.b64decode(shot["data"]))

    def pixel(self, x: float, y: float, canvas: str = "#view") -> tuple[int, int, int]:
        """RGB of a canvas at a relative place, 0..1."""
        script = f"""(() => {{ const c = document.querySelector({canvas!r});
            return [...c.getContext('2d').getImageData({x} * c.width, {y} * c.height, 1, 1).data]; }})()"""
        red, green, blue, _ = self.run(script)
        return red, green, blue

    def _middle(self, selector: str) -> tuple[float, float]:
        script = f"""(() => {{ const e = document.querySelector({selector!r}); e.scrollIntoView({{block: 'center'}});
            const r = e.getBoundingClientRect(); return [r.x + r.width / 2, r.y + r.height / 2]; }})()"""
        x, y = self.run(script)
        return x, y


def wait_for(condition: Callable[[], Any], what: str) -> Any:
    """The value of `condition` as soon as it is true; fails after a minute."""
    end = time.monotonic() + DEADLINE_S
    while time.monotonic() < end:
        value = condition()
        if value or value == {}:  # an element of the page arrives as an empty object
            return value
        time.sleep(0.02)
    raise AssertionError(f"never happened: {what}")


@contextmanager
def chromium(program: str) -> Iterator[Callable[[], Browser]]:
    """A running Chromium; calling it opens a page in a profile of its own, so that pages share no cookies."""
    from websockets.sync.client import connect

    folder = Path(tempfile.mkdtemp(prefix="br2net-chromium-"))
    command = [program, "--headless=new", "--no-sandbox", "--remote-debugging-port=0", f"--user-data-dir={folder}"]
    command += ["--no-first-run", "--disable-gpu", "--disable-dev-shm-usage", "--disable-background-networking"]
    command += ["--disable-component-update", "--hide-scrollbars", "--remote-allow-origins=*", "about:blank"]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    sockets: list[Any] = []
    try:
        port_file = folder / "DevToolsActivePort"
        port, path = wait_for(
            lambda: port_file.exists() and len(lines := port_file.read_text().split()) == 2 and lines, "start"
        )
        root = connect(f"ws://127.0.0.1:{port}{path}", max_size=None, compression=None, ping_interval=None)
        sockets.append(root)
        numbers = itertools.count(1)

        def ask(method: str, **parameters: Any) -> dict[str, Any]:
            number = next(numbers)
            root.send(json.dumps({"id": number, "method": method, "params": parameters}))
            while True:
                message = json.loads(root.recv(timeout=DEADLINE_S))
                if message.get("id") == number:
                    return dict(message["result"])

        def new_page() -> Browser:
            context = ask("Target.createBrowserContext")["browserContextId"]
            target = ask("Target.createTarget", url="about:blank", browserContextId=context)["targetId"]
            socket = connect(
                f"ws://127.0.0.1:{port}/devtools/page/{target}", max_size=None, compression=None, ping_interval=None
            )
            sockets.append(socket)
            return Browser(socket)

        yield new_page
    finally:
        for socket in sockets[1:]:
            socket.close()
        if sockets:
            sockets[0].send(json.dumps({"id": 0, "method": "Browser.close"}))
        else:
            process.terminate()
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        shutil.rmtree(folder, ignore_errors=True)
