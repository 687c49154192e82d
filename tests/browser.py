"""A headless Chromium, spoken to over the DevTools protocol."""

from __future__ import annotations

import base64
import contextlib
import itertools
import json
import shutil
import subprocess
import time
import urllib.request
from typing import TYPE_CHECKING, Any

from websockets.sync.client import connect

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from websockets.sync.client import ClientConnection

FLAGS = (
    "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-3d-apis", "--no-first-run", "--disable-extensions",
    "--disable-background-networking", "--disable-component-update", "--disable-sync", "--disable-dev-shm-usage",
    "--remote-debugging-port=0",
)  # fmt: skip
PATIENCE = 60.0  # a busy machine is slow; what is true at once is waited for no longer than that
MESSAGE_BYTES = 64 << 20


class PageError(Exception):
    """A script in the page failed."""


class Tab:
    """One tab of its own context: no storage, cache or cookie of another.

    Attributes:
        complaints: errors, warnings and security violations that the page had.
    """

    def __init__(self, socket: ClientConnection, session: str, target: str) -> None:
        self._socket, self._session, self._ids = socket, session, itertools.count(1000)
        self._target = target
        self.complaints: list[str] = []
        for domain in ("Page", "Runtime", "Log", "Network"):
            self.call(f"{domain}.enable")

    def call(self, method: str, **parameters: Any) -> dict[str, Any]:
        """One command of the protocol, and its answer."""
        number = next(self._ids)
        message = {"id": number, "method": method, "params": parameters, "sessionId": self._session}
        self._socket.send(json.dumps(message))
        while True:
            answer = json.loads(self._socket.recv(timeout=PATIENCE))
            if answer.get("id") == number:
                if "error" in answer:
                    msg = f"{method}: {answer['error']['message']}"
                    raise PageError(msg)
                return dict(answer["result"])
            self._note(answer)

    def _note(self, event: dict[str, Any]) -> None:
        given = event.get("params", {})
        if event.get("method") == "Log.entryAdded" and given["entry"]["level"] in {"error", "warning"}:
            self.complaints.append(f"{given['entry']['text']} {given['entry'].get('url', '')}")
        elif event.get("method") == "Runtime.exceptionThrown":
            self.complaints.append(str(given["exceptionDetails"].get("exception", {}).get("description", given)))

    def frame(self) -> Tab | None:
        """The page's frame of an origin of its own, as a sandboxed one has; None while there is none."""
        for found in self.call("Target.getTargets")["targetInfos"]:
            if found["type"] == "iframe" and found.get("parentFrameId") == self._target:
                answer = self.call("Target.attachToTarget", targetId=found["targetId"], flatten=True)
                return Tab(self._socket, answer["sessionId"], found["targetId"])
        return None

    def close(self) -> None:
        """Close the tab."""
        self.call("Target.closeTarget", targetId=self._target)

    def run(self, script: str) -> Any:
        """The value of an expression, or of the promise that it gives."""
        answer = self.call("Runtime.evaluate", expression=script, awaitPromise=True, returnByValue=True)
        if "exceptionDetails" in answer:
            raise PageError(answer["exceptionDetails"].get("exception", {}).get("description", script))
        return answer["result"].get("value")

    def wait(self, script: str, seconds: float = PATIENCE) -> Any:
        """The value of an expression once it is true."""
        end = time.monotonic() + seconds
        while not (found := self.run(script)):
            if time.monotonic() > end:
                shown = self.run("document.body.innerText")
                msg = f"not true within {seconds:g} s: {script}\nthe page shows:\n{shown}"
                raise PageError(msg)
            time.sleep(0.05)
        return found

    def text(self, selector: str) -> str:
        """What an element shows."""
        return str(self.run(f"document.querySelector({json.dumps(selector)}).innerText"))

    def click(self, selector: str, line: str | None = None, seconds: float = PATIENCE) -> None:
        """A click of the mouse in the middle of an element, once it stands still with nothing over it.

        Args:
            selector: which elements.
            line: take the first one whose text begins with this line; without it, the first one.
            seconds: how long to wait for it.
        """
        where = self.wait(
            f"""(async () => {{
            const line = {json.dumps(line)};
            const wanted = (each) => line === null || each.innerText.trim().split("\\n")[0] === line;
            const found = [...document.querySelectorAll({json.dumps(selector)})].find(wanted);
            if (!found) return null;
            const box = () => JSON.stringify(found.getBoundingClientRect());
            const before = box();
            await new Promise((later) => setTimeout(later, 50));
            if (box() !== before) return null;
            const {{x, y, width, height}} = JSON.parse(before);
            const middle = [x + width / 2, y + height / 2];
            if (found.contains(document.elementFromPoint(...middle))) return middle;
            found.scrollIntoView({{block: "center"}});
            return null;
        }})()""",
            seconds,
        )
        for kind in ("mousePressed", "mouseReleased"):
            self.call("Input.dispatchMouseEvent", type=kind, x=where[0], y=where[1], button="left", clickCount=1)

    def key(self, name: str, code: int) -> None:
        """Press and release a key."""
        text = {"text": "\r"} if name == "Enter" else {}
        self.call("Input.dispatchKeyEvent", type="keyDown", key=name, code=name, windowsVirtualKeyCode=code, **text)
        self.call("Input.dispatchKeyEvent", type="keyUp", key=name, code=name, windowsVirtualKeyCode=code)

    def type(self, text: str) -> None:
        """Type where the focus is."""
        self.call("Input.insertText", text=text)

    def open(self, url: str) -> None:
        """Go to an address, and wait until the page has loaded."""
        self.call("Page.navigate", url=url)
        self.wait("document.readyState === 'complete' && location.href !== 'about:blank'")

    def size(self, width: int, height: int, *, mobile: bool = False) -> None:
        """Have the window's inside of this size."""
        self.call("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=mobile)

    def prefer(self, **features: str) -> None:
        """Media features, as prefers_color_scheme="dark"."""
        listed = [{"name": name.replace("_", "-"), "value": value} for name, value in features.items()]
        self.call("Emulation.setEmulatedMedia", features=listed)

    def picture(self, file: Path, *, whole: bool = False) -> None:
        """A screenshot as PNG."""
        answer = self.call("Page.captureScreenshot", format="png", captureBeyondViewport=whole)
        file.write_bytes(base64.b64decode(answer["data"]))


@contextlib.contextmanager
def chromium(folder: Path) -> Iterator[ClientConnection]:
    """A browser with a profile of its own, and the connection to it."""
    program = shutil.which("chromium")
    assert program is not None, "chromium is not installed: scripts/install-debian.sh chromium"
    with (folder / "chromium.log").open("wb") as log:
        process = subprocess.Popen([program, *FLAGS, f"--user-data-dir={folder}"], stdout=log, stderr=log)
    try:
        with connect(_address(folder, process), max_size=MESSAGE_BYTES) as socket:
            yield socket
    finally:
        process.terminate()
        process.wait(10)


def _address(folder: Path, process: subprocess.Popen[bytes]) -> str:
    """Where the browser listens; it writes a file as soon as it does."""
    file, end = folder / "DevToolsActivePort", time.monotonic() + 20
    while not file.is_file() or file.read_text().count("\n") < 1:
        assert process.poll() is None, (folder / "chromium.log").read_text(errors="replace")
        assert time.monotonic() < end, "chromium did not start within 20 s"
        time.sleep(0.05)
    port = file.read_text().split()[0]
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/json/version", timeout=PATIENCE) as answer:
        return str(json.load(answer)["webSocketDebuggerUrl"])


def new_tab(socket: ClientConnection) -> Tab:
    """A tab in a context of its own."""

    def ask(number: int, method: str, **parameters: Any) -> dict[str, Any]:
        socket.send(json.dumps({"id": number, "method": method, "params": parameters}))
        while (answer := json.loads(socket.recv(timeout=PATIENCE))).get("id") != number:
            pass
        return dict(answer["result"])

    context = ask(1, "Target.createBrowserContext")["browserContextId"]
    target = ask(2, "Target.createTarget", url="about:blank", browserContextId=context)["targetId"]
    return Tab(socket, ask(3, "Target.attachToTarget", targetId=target, flatten=True)["sessionId"], target)
