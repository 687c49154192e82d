"""Boards in their hundreds on one hub: what they cost it, and how long a reading takes to a stored forecast.

    python -m benchmarks.hub_boards [--boards 500] [--seconds 30]

Each board is the firmware as a program of this machine, with its own key and an int8 model of 16 units; it gets a
reading a second on its sensor line, forecasts, and sends both. The hub is one process with `Boards` and `Store`
(SQLite, each commit synced). The time runs from the write to the sensor line until the store says that the forecast is
kept; both ends read the same monotonic clock. Everything shares this machine's cores, the boards too.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import ctypes
import json
import os
import resource
import secrets
import shutil
import signal
import sqlite3
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from rich.console import Console
from rich.table import Table

from deployers.hub.boards import Boards
from deployers.hub.keys import KeyFolder
from deployers.hub.store import Store, StoredForecast
from deployers.lab.board import VirtualBoard
from deployers.lab.firmware import build, provision
from deployers.protocol.messages import Forecast, Reading
from tests.board_image import CADENCE_MS, START_MS, image, public_point

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

BUDGET_P99_MS = 1000.0
CONNECT_SECONDS = 60.0
DRAIN_SECONDS = 30.0
_DEATH_SIGNAL = 1  # PR_SET_PDEATHSIG
_TICKS = os.sysconf("SC_CLK_TCK")
_LIBC = ctypes.CDLL(None)


def main(arguments: list[str] | None = None) -> int:
    """Measure and print the table; 1 if something was lost or the budget is exceeded."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--boards", type=int, default=500)
    parser.add_argument("--seconds", type=int, default=30)
    parser.add_argument("--hub", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args(arguments)
    if options.hub is not None:
        asyncio.run(_hub(options.hub))
        return 0
    found = measure(options.boards, options.seconds)
    show(found)
    return 1 if found["failed"] else 0


def measure(boards: int = 500, seconds: int = 30) -> dict[str, Any]:
    """Figures of one run.

    Returns:
        Plain values for JSON; `failed` has a line for each thing that is not as it should be.
    """
    resource.setrlimit(resource.RLIMIT_NOFILE, (resource.getrlimit(resource.RLIMIT_NOFILE)[1],) * 2)
    with tempfile.TemporaryDirectory(prefix="edgeloop-bench-") as scratch, contextlib.ExitStack() as stack:
        folder = Path(scratch)
        names = [f"b{number:04d}" for number in range(boards)]
        _prepare(folder, names)
        hub = stack.enter_context(_Hub(folder))
        sensors = [stack.enter_context(_board(folder / name, name, hub.port)) for name in names]
        hub.wait(lambda found: found["online"] == boards, CONNECT_SECONDS)
        _feed(sensors, names, 0, 2)  # the first readings load what is loaded once
        hub.wait(lambda found: found["forecasts"] == 2 * boards, DRAIN_SECONDS)
        before, started = _usage(hub.process.pid), time.monotonic()
        board_ticks = sum(_ticks(process.pid) for process, _ in sensors)
        written = _feed(sensors, names, 2, seconds)
        after, took = _usage(hub.process.pid), time.monotonic() - started
        board_ticks = sum(_ticks(process.pid) for process, _ in sensors) - board_ticks
        with contextlib.suppress(TimeoutError):  # what is missing is counted below
            hub.wait(lambda found: found["forecasts"] == (2 + seconds) * boards, DRAIN_SECONDS)
        memory = _usage(hub.process.pid)
        hub.end()
        stored = {what: _rows(folder / "hub.db", what) for what in ("reading", "forecast")}
        kept = json.loads((folder / "kept.json").read_text(encoding="utf-8"))
    return {
        "boards": boards,
        "seconds": round(took, 2),
        "readings": len(written),
        "hub_cpu_percent": round(100 * (after["cpu"] - before["cpu"]) / took, 1),
        "hub_memory_mb": round(memory["rss"] / 1e6, 1),
        "hub_memory_peak_mb": round(memory["peak"] / 1e6, 1),
        "boards_cpu_percent": round(100 * board_ticks / _TICKS / took, 1),
        **_latencies(written, kept, "reading"),
        **_latencies(written, kept, "forecast"),
        "failed": _failed(written, kept, stored, boards * (seconds + 2)),
    }


def show(found: dict[str, Any]) -> None:
    """The table."""
    table = Table(title=f"{found['boards']} boards on one hub, a reading and a forecast a second each")
    table.add_column("figure")
    table.add_column("", justify="right")
    rows = {
        "readings sent": f"{found['readings']:,} in {found['seconds']} s",
        "hub: CPU": f"{found['hub_cpu_percent']} % of a core",
        "hub: memory, most": f"{found['hub_memory_mb']} MB, {found['hub_memory_peak_mb']} MB",
        "all boards: CPU": f"{found['boards_cpu_percent']} % of a core",
    }
    for what in ("reading", "forecast"):
        rows[f"reading → stored {what}: p50, p99, most"] = (
            f"{found[f'{what}_p50_ms']}, {found[f'{what}_p99_ms']}, {found[f'{what}_max_ms']} ms"
        )
    for name, value in rows.items():
        table.add_row(name, value)
    console = Console(file=sys.stdout, width=100)
    console.print(table)
    for line in found["failed"]:
        console.print(f"FAILED: {line}")


def _prepare(folder: Path, names: list[str]) -> None:
    """Keys on both sides, and a confirmed model in every board's flash."""
    keys = folder / "keys"
    keys.mkdir()
    template = folder / "template"
    with VirtualBoard("native", key=bytes(32), state_folder=template, public_key=public_point()) as board:
        board.install(image(1))
        board.feed([Reading(START_MS, 20_000_000)])
        board.confirm()
    for name in names:
        key = secrets.token_bytes(32)
        provision(folder / name, key, public_point())
        shutil.copy(template / "flash.bin", folder / name / "flash.bin")
        (keys / f"{name}.key").touch(mode=0o600)
        (keys / f"{name}.key").write_bytes(key)
        os.mkfifo(folder / name / "sensor")


def _die_with_parent() -> None:
    _LIBC.prctl(_DEATH_SIGNAL, signal.SIGKILL)


@contextlib.contextmanager
def _board(folder: Path, name: str, port: int) -> Iterator[tuple[subprocess.Popen[bytes], int]]:
    """A running board and the write end of its sensor line."""
    sensor = os.open(folder / "sensor", os.O_RDWR | os.O_NONBLOCK)
    command = [str(build_once()), "folder=.", f"id={name}", f"port={port}", "sensor=sensor"]
    process = subprocess.Popen(  # noqa: S603 - a fixed program
        command,
        cwd=folder,
        stdin=subprocess.DEVNULL,
        preexec_fn=_die_with_parent,  # noqa: PLW1509 - this process has one thread
    )
    try:
        yield process, sensor
    finally:
        process.kill()
        process.wait()
        os.close(sensor)


_program: list[Path] = []


def build_once() -> Path:
    """The native board's program."""
    if not _program:
        _program.append(build("native"))
    return _program[0]


def _feed(
    sensors: Sequence[tuple[subprocess.Popen[bytes], int]], names: list[str], first: int, seconds: int
) -> dict[tuple[str, int], int]:
    """A reading a second to each board, spread over the second; when each was written, in ns."""
    written: dict[tuple[str, int], int] = {}
    start = time.monotonic()
    for second in range(seconds):
        time_ms = START_MS + (first + second + 1) * CADENCE_MS
        for number, (name, (_, sensor)) in enumerate(zip(names, sensors, strict=True)):
            wait = start + second + number / len(names) - time.monotonic()
            if wait > 0:
                time.sleep(wait)
            written[name, time_ms] = time.monotonic_ns()
            os.write(sensor, f"{time_ms},{20_000_000 + 1000 * number}\n".encode())
    left = start + seconds - time.monotonic()
    time.sleep(max(0.0, left))
    return written


def _latencies(written: dict[tuple[str, int], int], kept: dict[str, list[Any]], what: str) -> dict[str, float]:
    took = [(at - written[board, time_ms]) / 1e6 for board, time_ms, at in kept[what] if (board, time_ms) in written]
    if not took:
        return dict.fromkeys((f"{what}_p50_ms", f"{what}_p99_ms", f"{what}_max_ms"), float("inf"))
    p50, p99 = np.percentile(took, [50, 99])
    return {
        f"{what}_p50_ms": round(float(p50), 2),
        f"{what}_p99_ms": round(float(p99), 2),
        f"{what}_max_ms": round(max(took), 2),
    }


def _failed(
    written: dict[tuple[str, int], int], kept: dict[str, list[Any]], stored: dict[str, int], due: int
) -> list[str]:
    failed = []
    for what in ("reading", "forecast"):
        arrived = [(board, time_ms) for board, time_ms, _ in kept[what]]
        missing = len(written.keys() - set(arrived))
        doubled = len(arrived) - len(set(arrived))
        if missing or doubled or stored[what] != due:
            failed.append(f"{what}s: {missing} lost, {doubled} doubled, {stored[what]} stored, expected {due}")
    p99 = _latencies(written, kept, "forecast")["forecast_p99_ms"]
    if p99 > BUDGET_P99_MS:
        failed.append(f"p99 from reading to stored forecast is {p99} ms, expected at most {BUDGET_P99_MS}")
    return failed


def _rows(database: Path, table: str) -> int:
    with contextlib.closing(sqlite3.connect(database)) as connection:
        return int(connection.execute(f"select count(*) from {table}").fetchone()[0])  # noqa: S608 - a fixed name


def _usage(pid: int) -> dict[str, float]:
    """CPU seconds so far, bytes of memory now and at most."""
    status = dict(line.split(":", 1) for line in Path(f"/proc/{pid}/status").read_text(encoding="ascii").splitlines())
    return {
        "cpu": _ticks(pid) / _TICKS,
        "rss": 1024 * int(status["VmRSS"].split()[0]),
        "peak": 1024 * int(status["VmHWM"].split()[0]),
    }


def _ticks(pid: int) -> int:
    fields = Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rsplit(")", 1)[1].split()
    return int(fields[11]) + int(fields[12])


class _Hub:
    """The hub's process; it answers each line on its standard input with its figures."""

    def __init__(self, folder: Path) -> None:
        command = [sys.executable, "-m", "benchmarks.hub_boards", "--hub", str(folder)]
        self.process = subprocess.Popen(  # noqa: S603 - a fixed program
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            preexec_fn=_die_with_parent,  # noqa: PLW1509 - this process has one thread
        )

    def __enter__(self) -> Self:
        self.port = int(self.ask()["port"])
        return self

    def __exit__(self, *_: object) -> None:
        self.process.kill()
        self.process.communicate()

    def ask(self) -> dict[str, Any]:
        """Its figures now."""
        assert self.process.stdin is not None  # noqa: S101 - for the type checker
        assert self.process.stdout is not None  # noqa: S101 - for the type checker
        self.process.stdin.write(b"\n")
        self.process.stdin.flush()
        answer: dict[str, Any] = json.loads(self.process.stdout.readline())
        return answer

    def wait(self, condition: Any, seconds: float) -> None:
        """Until its figures are so.

        Raises:
            TimeoutError: they are not, after `seconds`.
        """
        end = time.monotonic() + seconds
        while not condition(found := self.ask()):
            if time.monotonic() > end:
                msg = f"the hub says {found!r} after {seconds} s"
                raise TimeoutError(msg)
            time.sleep(0.2)

    def end(self) -> None:
        """Tell it to end; it writes what was kept, and when."""
        assert self.process.stdin is not None  # noqa: S101 - for the type checker
        self.process.stdin.close()
        self.process.stdin = None
        self.process.wait(DRAIN_SECONDS)


class _Sink:
    """As the hub's, with a note of when each was kept."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self.kept: dict[str, list[tuple[str, int, int]]] = {"reading": [], "forecast": []}

    async def keep_readings(self, board: str, first: int, readings: tuple[Reading, ...]) -> None:
        del first
        await self._store.keep_readings(board, readings)
        now = time.monotonic_ns()
        self.kept["reading"] += [(board, reading.time_ms, now) for reading in readings]

    async def keep_forecast(self, board: str, forecast: Forecast) -> None:
        stored = StoredForecast(
            series=board,
            source="board",
            time_ms=forecast.time_ms,
            version=forecast.model_version,
            slot_state=int(forecast.slot_state),
            celsius=forecast.celsius,
            received_ms=time.time_ns() // 1_000_000,
        )
        await self._store.keep_forecasts([stored])
        self.kept["forecast"].append((board, forecast.time_ms, time.monotonic_ns()))


async def _hub(folder: Path) -> None:
    """Serve boards until standard input ends."""
    reader = asyncio.StreamReader()
    await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    async with Store(f"sqlite:///{folder}/hub.db") as store:
        sink = _Sink(store)
        async with Boards(KeyFolder(folder / "keys"), sink, port=0) as boards:
            while await reader.readline():
                figures = {
                    "port": boards.port,
                    "online": sum(device.online for device in boards.devices()),
                    "forecasts": len(sink.kept["forecast"]),
                }
                print(json.dumps(figures), flush=True)
    (folder / "kept.json").write_text(json.dumps(sink.kept), encoding="utf-8")


if __name__ == "__main__":
    sys.exit(main())
