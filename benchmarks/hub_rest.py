"""Forecasts by REST: the hub beside `mlflow models serve`, on the same model and the same readings.

    python -m benchmarks.hub_rest [--seconds 5] [--rounds 3] [--readings 144] [--connections 8]

The registry is that of the home folder (EDGELOOP_HOME, else .edgeloop): its champion is converted, signed with a key
made here, and installed on a hub of its own, with authentication, access by one token, and SQLite. Both servers have
one worker. The load comes from wrk, on this machine's cores too; the servers take turns, so that a busy minute meets
all of them, and the median round counts. Then the hub is asked once more while a deployment runs on it, in a loop:
install, activate, forward to a native board, back. Beside requests a second and latencies, the CPU time that a server
spends on one request: it depends less on what else runs here.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import math
import os
import re
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx
from rich.console import Console
from rich.table import Table

from benchmarks.hub_deployments import Deployments, sign
from deployers.processes import bound

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).resolve().parents[1]
MODEL = "temperature-forecaster"
SERIES = "bench-1"
STORED_READINGS = 1000
START_SECONDS, END_SECONDS, CONVERT_SECONDS = 120.0, 15.0, 300.0
TICKS = os.sysconf("SC_CLK_TCK")
# What is to be reached, and with which p99 in ms.
REQUESTS, P99_MS, DEPLOYING_REQUESTS = 1000.0, 20.0, 150.0
UNITS = {"us": 1e-3, "ms": 1.0, "s": 1e3, "m": 6e4}


@dataclass(frozen=True)
class Load:
    """What one server made of it.

    Attributes:
        requests_per_second: answered.
        p50_ms, p99_ms: of an answer.
        cpu_us: CPU time of the server for one request.
        failed: answers other than 200, or none.
    """

    requests_per_second: float
    p50_ms: float
    p99_ms: float
    cpu_us: float
    failed: int


def main(arguments: list[str] | None = None) -> int:
    """Measure and print the table; 1 if a figure falls short."""
    options = _options(arguments)
    found = measure(options.seconds, options.rounds, options.readings, options.connections)
    show(found)
    return 1 if found["failed"] else 0


def measure(seconds: int = 5, rounds: int = 3, readings: int = 144, connections: int = 8) -> dict[str, Any]:
    """Figures of one run.

    Args:
        seconds: of load in each round, for each server.
        rounds: for each.
        readings: in the body where they are given.
        connections: that the load keeps open.

    Returns:
        Plain values for JSON; `failed` has a line for each figure that falls short.
    """
    if shutil.which("wrk") is None:
        msg = "wrk is not installed, which makes the load: apt-get install wrk"
        raise SystemExit(msg)
    home = Path(os.environ.get("EDGELOOP_HOME") or ROOT / ".edgeloop").resolve()
    with tempfile.TemporaryDirectory(prefix="edgeloop-bench-") as scratch, contextlib.ExitStack() as stack:
        folder = Path(scratch)
        conversion = _convert(home, folder)
        boards_port = free_port()
        hub = stack.enter_context(_hub(folder, conversion, boards_port))
        mlflow = stack.enter_context(_mlflow(folder, home))
        given = _readings(readings)
        table = {"columns": ["time_point", "value"], "data": [[each["time_point"], each["value"]] for each in given]}
        loads = {
            "hub, stored readings": _Ask(hub, "/predict", {"series": SERIES}),
            "hub, given readings": _Ask(hub, "/predict", {"readings": given}),
            "mlflow, given readings": _Ask(mlflow, "/invocations", {"dataframe_split": table}),
        }
        answers = {name: ask.once() for name, ask in loads.items()}
        apart = _apart(answers)
        measured = _rounds(loads, seconds, rounds, connections)
        deployments = stack.enter_context(Deployments(folder, hub.url, hub.headers, conversion, boards_port))
        before = deployments.done
        name = "hub, stored readings, while a deployment runs"
        measured[name] = loads["hub, stored readings"].under_load(max(seconds, 10), connections)
        made = deployments.done - before
    found: dict[str, Any] = {
        "readings_in_body": readings,
        "connections": connections,
        "celsius_apart": apart,
        "deployments": made,
        "loads": {name: asdict(load) for name, load in measured.items()},
    }
    return {**found, "failed": shortfalls(measured, made)}


def shortfalls(measured: dict[str, Load], deployments: int) -> list[str]:
    """What is not as it should be, a line each."""
    wrong = [f"{name}: {load.failed} requests failed" for name, load in measured.items() if load.failed]
    for name, load in measured.items():
        deploying = name.endswith("deployment runs")
        least = DEPLOYING_REQUESTS if deploying else REQUESTS
        if not name.startswith("hub, stored"):
            continue
        if load.requests_per_second < least:
            wrong.append(f"{name}: {load.requests_per_second:.0f} requests a second, expected {least:.0f}")
        if load.p99_ms > P99_MS and not deploying:
            wrong.append(f"{name}: p99 {load.p99_ms:.1f} ms, expected {P99_MS:.0f}")
    if not deployments:
        wrong.append("no deployment came to its end while the hub was asked")
    return wrong


def show(found: dict[str, Any]) -> None:
    """The table."""
    title = f"Forecasts by REST, one worker each, {found['connections']} connections"
    table = Table(title=f"{title}, {found['readings_in_body']} readings where they are given")
    table.add_column("server")
    for column in ("requests/s", "p50 ms", "p99 ms", "CPU µs a request", "failed"):
        table.add_column(column, justify="right")
    for name, load in found["loads"].items():
        figures = (load["requests_per_second"], load["p50_ms"], load["p99_ms"], load["cpu_us"])
        precise = ("{:,.0f}", "{:.1f}", "{:.1f}", "{:,.0f}")
        texts = [form.format(value) for form, value in zip(precise, figures, strict=True)]
        table.add_row(name, *texts, str(load["failed"]))
    console = Console(file=sys.stdout, width=120)
    console.print(table)
    console.print(f"hub and mlflow are {found['celsius_apart']:.2g} °C apart on the given readings")
    console.print(f"deployments during the last row: {found['deployments']}")
    for line in found["failed"]:
        console.print(f"FAILED: {line}")


def parse_wrk(text: str) -> tuple[float, float, float, int, int]:
    """Requests a second, p50 and p99 in ms, requests, and how many of them failed, of what `wrk --latency` prints.

    Raises:
        ValueError: it is not that.
    """
    rate = re.search(r"Requests/sec:\s+([\d.]+)", text)
    requests = re.search(r"(\d+) requests in", text)
    quantiles = {part: re.search(rf"\b{part}%\s+([\d.]+)(us|ms|s|m)\b", text) for part in ("50", "99")}
    if rate is None or requests is None or None in quantiles.values():
        msg = f"wrk said {text[-300:]!r}, expected its summary with latencies: run it by hand"
        raise ValueError(msg)
    p50, p99 = (float(found[1]) * UNITS[found[2]] for found in quantiles.values() if found is not None)
    failed = re.search(r"Non-2xx or 3xx responses: (\d+)", text)
    errors = re.search(r"Socket errors: connect (\d+), read (\d+), write (\d+), timeout (\d+)", text)
    lost = sum(map(int, errors.groups())) if errors else 0
    return float(rate[1]), p50, p99, int(requests[1]), lost + (int(failed[1]) if failed else 0)


@dataclass(frozen=True)
class _Server:
    process: subprocess.Popen[bytes]
    url: str
    headers: dict[str, str]

    @property
    def cpu_seconds(self) -> float:
        """Of the process and of those that it started, while they run."""
        return sum(_cpu(pid) for pid in _tree(self.process.pid))


@dataclass(frozen=True)
class _Ask:
    """One question to one server."""

    server: _Server
    path: str
    body: dict[str, Any]

    def once(self) -> Any:
        """The answer."""
        url, headers = f"{self.server.url}{self.path}", self.server.headers
        return httpx.post(url, json=self.body, headers=headers, timeout=30).raise_for_status().json()

    def under_load(self, seconds: int, connections: int) -> Load:
        """What wrk measures."""
        with tempfile.NamedTemporaryFile("w", suffix=".lua", encoding="utf-8") as script:
            headers = {**self.server.headers, "Content-Type": "application/json"}
            lines = [f'wrk.headers["{name}"] = "{value}"' for name, value in headers.items()]
            script.write("\n".join(['wrk.method = "POST"', *lines, f"wrk.body = [==[{json.dumps(self.body)}]==]\n"]))
            script.flush()
            command = ["wrk", "-t1", f"-c{connections}", f"-d{seconds}", "--timeout", "10s", "--latency"]
            before = self.server.cpu_seconds
            done = subprocess.run(  # noqa: S603 - fixed
                [*command, "-s", script.name, f"{self.server.url}{self.path}"],
                capture_output=True, text=True, check=True,
            )  # fmt: skip
            spent = self.server.cpu_seconds - before
        rate, p50, p99, requests, failed = parse_wrk(done.stdout)
        return Load(rate, p50, p99, 1e6 * spent / max(1, requests), failed)


def _rounds(loads: dict[str, _Ask], seconds: int, rounds: int, connections: int) -> dict[str, Load]:
    found: dict[str, list[Load]] = {name: [] for name in loads}
    for _ in range(rounds):
        for name, ask in loads.items():
            found[name].append(ask.under_load(seconds, connections))
    return {name: _median(each) for name, each in found.items()}


def _median(loads: list[Load]) -> Load:
    """The round in the middle by its rate; failures of all rounds."""
    ordered = sorted(loads, key=lambda load: load.requests_per_second)
    middle = ordered[(len(ordered) - 1) // 2]
    return Load(middle.requests_per_second, middle.p50_ms, middle.p99_ms, statistics.median(e.cpu_us for e in loads),
                sum(each.failed for each in loads))  # fmt: skip


def _apart(answers: dict[str, Any]) -> float:
    """The largest difference in °C between hub and mlflow on the given readings."""
    rows = [row["forecast"] for row in answers["mlflow, given readings"]["predictions"]]
    pairs = zip(rows, answers["hub, given readings"]["celsius"], strict=True)
    return float(max(abs(one - other) for one, other in pairs))


def _readings(count: int) -> list[dict[str, Any]]:
    """A day as temperatures have it, ten minutes apart."""
    begin = datetime(2024, 5, 1)  # noqa: DTZ001 - a wall clock, as readings have it
    return [
        {
            "time_point": (begin + timedelta(minutes=10 * number)).isoformat(),
            "value": round(20 + 2 * math.sin(number / 23) + 0.3 * math.sin(number / 5), 3),
        }
        for number in range(count)
    ]


def _convert(home: Path, folder: Path) -> Path:
    conversion = folder / "conversion"
    command = [sys.executable, "-m", "deployers", "convert", "--version", "champion", "--out", str(conversion)]
    environment = {**os.environ, "EDGELOOP_HOME": str(home), "TF_CPP_MIN_LOG_LEVEL": "3"}
    done = subprocess.run(  # noqa: S603 - fixed
        command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False, timeout=CONVERT_SECONDS
    )
    if done.returncode:
        msg = f"the champion of {str(home)!r} is not converted: {done.stderr.strip()[-300:]}; make run makes one"
        raise SystemExit(msg)
    return conversion


@contextlib.contextmanager
def _hub(folder: Path, conversion: Path, boards_port: int) -> Iterator[_Server]:
    """A hub with one model that is active and one series that is live."""
    root = folder / "hub"
    for name in ("config/image_keys", "config/boards", "incoming", "data"):
        (root / name).mkdir(parents=True)
    port = free_port()
    text = f"[rest]\nport = {port}\nrequests_per_second = 0\n[boards]\nport = {boards_port}\n"
    (root / "config" / "hub.toml").write_text(text, encoding="utf-8")
    hub = [sys.executable, "-m", "deployers.hub"]
    config = ["--config", str(root / "config" / "hub.toml")]
    command = [*hub, "token", *config, "--name", "bench", "--role", "deploy", "--out", "config/bench.token"]
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True)  # noqa: S603 - fixed
    headers = {"Authorization": f"Bearer {(root / 'config' / 'bench.token').read_text(encoding='utf-8').strip()}"}
    with _serving([*hub, "serve", *config], port, "/health", folder / "hub.log", {}, headers) as server:
        sign(root, conversion, 1)
        _post(server, "/models", {"folder": "incoming/1"})
        _post(server, "/models/1/activate", None)
        _post(server, "/temperatures/bulk", [{"user": SERIES, **each} for each in _readings(STORED_READINGS)])
        yield server


@contextlib.contextmanager
def _mlflow(folder: Path, home: Path) -> Iterator[_Server]:
    port = free_port()
    command = [
        str(Path(sys.executable).with_name("mlflow")), "models", "serve", "-m", f"models:/{MODEL}@champion",
        "--env-manager", "local", "--workers", "1", "-p", str(port), "-h", "127.0.0.1",
    ]  # fmt: skip
    environment = {"MLFLOW_TRACKING_URI": f"sqlite:///{home}/mlflow/mlflow.db", "MLFLOW_DISABLE_TELEMETRY": "true"}
    with _serving(command, port, "/ping", folder / "mlflow.log", environment, {}) as server:
        yield server


@contextlib.contextmanager
def _serving(  # noqa: PLR0913, PLR0917 - what a server is started with
    command: list[str], port: int, path: str, log: Path, environment: dict[str, str], headers: dict[str, str]
) -> Iterator[_Server]:
    """A server that answers, and is gone afterwards with those that it started."""
    programs = f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', '')}"
    with log.open("wb") as file:
        process = subprocess.Popen(  # noqa: S603 - fixed
            bound([shutil.which(command[0]) or command[0], *command[1:]], os.getpid()),
            cwd=ROOT, env={**os.environ, "PATH": programs, **environment}, stdout=file, stderr=file,
            start_new_session=True,
        )  # fmt: skip
    server = _Server(process, f"http://127.0.0.1:{port}", headers)
    try:
        _wait(server, path, log)
        yield server
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, 15)
        try:
            process.wait(END_SECONDS)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, 9)
            process.wait(END_SECONDS)


def _wait(server: _Server, path: str, log: Path) -> None:
    end = time.monotonic() + START_SECONDS
    while server.process.poll() is None and time.monotonic() < end:
        with contextlib.suppress(httpx.HTTPError):
            if httpx.get(f"{server.url}{path}", timeout=5).status_code == 200:
                return
        time.sleep(0.2)
    msg = f"{server.process.args!r} did not come up: {log.read_text(encoding='utf-8', errors='replace')[-500:]}"
    raise SystemExit(msg)


def _post(server: _Server, path: str, body: Any) -> Any:
    return httpx.post(f"{server.url}{path}", json=body, headers=server.headers, timeout=60).raise_for_status().json()


def _tree(pid: int) -> list[int]:
    """A process and its descendants."""
    children = Path(f"/proc/{pid}/task/{pid}/children")
    with contextlib.suppress(OSError):
        return [pid, *(found for child in children.read_text().split() for found in _tree(int(child)))]
    return []


def _cpu(pid: int) -> float:
    with contextlib.suppress(OSError):
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / TICKS
    return 0.0


def free_port() -> int:
    """A port of the loopback interface that nothing listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _options(arguments: list[str] | None) -> Any:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=int, default=5)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--readings", type=int, default=144)
    parser.add_argument("--connections", type=int, default=8)
    return parser.parse_args(arguments)


if __name__ == "__main__":
    sys.exit(main())
