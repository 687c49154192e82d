"""What a reviewer does on ZenML's dashboard: open a run, an artifact, a report."""

from __future__ import annotations

import contextlib
import json
import re
import signal
import subprocess
import sys
import time
import urllib.request
from pathlib import Path
from typing import TYPE_CHECKING

from tests.programs import CHECKOUT

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from tests.browser import Tab

SECONDS = 120  # on a busy machine
# What the dashboard's own pages say in the browser's console, whatever they show; everything else is an error.
KNOWN = (
    # The logos of projects and stack components lie on ZenML's site, which a machine without internet does not reach.
    r"^Failed to load resource: net::ERR_\w+ https://public-flavor-logos\.s3\.eu-central-1\.amazonaws\.com/[\w./-]+$",
    # A picture for a user without one, drawn by a service that is told the user's name: refused by our policy.
    r"^Loading the image 'https://avatar\.vercel\.sh/[^']*' violates the following Content Security Policy directive",
    # The avatar's place before it has a picture; a policy cannot allow it.
    r"^Loading the image 'about:blank' violates the following Content Security Policy directive",
    # News about ZenML, asked for on every page: refused by our policy, said twice.
    r"^Connecting to 'https://raw\.githubusercontent\.com/zenml-io/zenml-changelog/HEAD/changelog\.json' violates",
    r"^Fetch API cannot load https://raw\.githubusercontent\.com/zenml-io/zenml-changelog/HEAD/changelog\.json\.",
)


def unknown(complaints: list[str]) -> list[str]:
    """Complaints of the browser that are not the dashboard's own."""
    return [text for text in complaints if not any(re.search(pattern, text) for pattern in KNOWN)]


class Review:
    """One tab on the dashboard at `address`."""

    def __init__(self, tab: Tab, address: str) -> None:
        self.tab, self.address = tab, address

    def open_run(self, run: str, nodes: int) -> list[str]:
        """Open a run's page; gives the names on its graph once that many are drawn."""
        self.tab.open(f"{self.address}/projects/default/runs/{run}")
        self.tab.wait(f"document.querySelectorAll('.react-flow__node').length >= {nodes}", SECONDS)
        return [text.split("\n", 1)[0] for text in self._texts(".react-flow__node")]

    def open_node(self, name: str) -> None:
        """Press a step or an artifact on the graph; its panel opens."""
        self.tab.click(".react-flow__node button", name, SECONDS)
        self.shows(name)

    def open_tab(self, name: str, within: str = "[role=dialog]") -> None:
        """Open one tab of the panel that is open, or of the run's side."""
        self.tab.click(f"{within} [role=tab]", name, SECONDS)
        selected = f"{within} [role=tab][aria-selected=true]"
        chosen = f"[...document.querySelectorAll({json.dumps(selected)})].map((each) => each.innerText)"
        self.tab.wait(f"{chosen}.includes({json.dumps(name)})", SECONDS)

    def shows(self, text: str, within: str = "[role=dialog]") -> None:
        """Wait until a text is there."""
        inside = f"document.querySelector({json.dumps(within)})?.innerText.includes({json.dumps(text)})"
        self.tab.wait(inside, SECONDS)

    def preview(self) -> Tab:
        """Load the report of the artifact that is open; the dashboard shows it in a sandboxed frame."""
        self.open_tab("Visualization")
        self.tab.click("[role=dialog] button", "Load Preview", SECONDS)
        end = time.monotonic() + SECONDS
        while (frame := self.tab.frame()) is None:
            assert time.monotonic() < end, self.tab.run("document.body.innerText")
            time.sleep(0.2)
        frame.wait("document.readyState === 'complete' && document.querySelector('h1')?.innerText", SECONDS)
        return frame

    def links(self) -> list[str]:
        """Where links on the page lead."""
        return list(self.tab.run("[...document.querySelectorAll('a[href]')].map((each) => each.href)"))

    def _texts(self, selector: str) -> list[str]:
        return list(
            self.tab.run(f"[...document.querySelectorAll({json.dumps(selector)})].map((e) => e.innerText.trim())")
        )


@contextlib.contextmanager
def dashboard(environment: Mapping[str, str], *options: str) -> Iterator[tuple[subprocess.Popen[str], dict[str, str]]]:
    """`make dashboard`'s program on free ports; gives its process and the addresses it printed."""
    command = [sys.executable, "-m", "pipelines.dashboard", "--port", "0", "--mlflow-port", "0", *options]
    process = subprocess.Popen(
        command, cwd=CHECKOUT, env={**environment, "PYTHONUNBUFFERED": "1"}, stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, start_new_session=True,
    )  # fmt: skip
    assert process.stdout is not None
    lines: list[str] = []
    try:
        for line in process.stdout:
            lines.append(line)
            if line.startswith("Ctrl-C"):
                break
        printed = dict(line.split() for line in lines if re.match(r"ZenML|MLflow", line))
        assert "ZenML" in printed, lines
        yield process, printed
    finally:
        if process.poll() is None:
            process.send_signal(signal.SIGINT)
        process.wait(SECONDS)
        process.stdout.close()


def run_id(address: str, name: str) -> str:
    """The id of a run by its name."""
    with urllib.request.urlopen(f"{address}/api/v1/runs?name={name}", timeout=SECONDS) as answer:  # noqa: S310 - loopback
        (found,) = json.load(answer)["items"]
    return str(found["id"])


def answers(address: str) -> None:
    """Wait until a server answers."""
    end = time.monotonic() + SECONDS
    while True:
        try:
            return urllib.request.urlopen(address, timeout=10).close()  # noqa: S310 - loopback
        except OSError:
            assert time.monotonic() < end, address
            time.sleep(0.5)


def children(process: int) -> list[int]:
    """Processes of every session that a process's children lead."""
    found = []
    for entry in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            fields = entry.read_text().rpartition(")")[2].split()
            if int(fields[1]) == process:
                found.append(int(entry.parent.name))
    return found


def gone(processes: list[int], seconds: float = 20) -> bool:
    """Whether processes end within some seconds."""
    end = time.monotonic() + seconds
    while any(Path(f"/proc/{each}").exists() for each in processes):
        if time.monotonic() > end:
            return False
        time.sleep(0.1)
    return True
