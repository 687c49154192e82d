"""What the soak runs on: the real hub as a process, boards as processes, and a faulty link to each."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import shutil
import socket
import sqlite3
import subprocess
import sys
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from benchmarks.faulty_link import FaultyLink
from deployers.imaging import image_of_conversion
from deployers.lab.board import VirtualBoard
from deployers.lab.feeder import Ring, simulated_course
from deployers.lab.firmware import LabError
from deployers.lab.powered import RESTART_SECONDS, PoweredBoard, Supply, link_key
from deployers.processes import bound
from deployers.protocol.messages import Reading
from deployers.protocol.signature import generate_keys, load_private_key, load_public_key

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

VERSION = 1
CADENCE_SECONDS = 600
START_SECONDS = 60.0
TURN_SECONDS = 0.01
POLL_SECONDS = 0.1
LOG_CHARACTERS = 2000


@dataclass(frozen=True)
class Subject:
    """What runs.

    Attributes:
        release: folder of the release.
        conversion: folder that `convert` wrote of it.
    """

    release: Path
    conversion: Path

    @property
    def largest_celsius(self) -> float:
        """The largest difference from Keras that the chosen type had when it was converted."""
        report = json.loads((self.conversion / "fidelity.json").read_text(encoding="utf-8"))
        facts = json.loads((self.conversion / "manifest.json").read_text(encoding="utf-8"))["facts"]
        return float(report["types"][facts["chosen"]]["error"]["largest"]["celsius"])


class HubProcess:
    """`python -m deployers.hub serve` in a folder of its own."""

    def __init__(self, root: Path) -> None:
        self.root, self.boards_port = root, _free_port()
        self._config = root / "config" / "hub.toml"
        for name in ("config/boards", "config/image_keys", "data", "incoming", "run"):
            (root / name).mkdir(parents=True)
        self._config.write_text(
            f'root = ".."\n[rest]\nport = {_free_port()}\n[boards]\nport = {self.boards_port}\n', encoding="utf-8"
        )
        self._config.chmod(0o600)
        self._process: subprocess.Popen[bytes] | None = None
        self.starts = 0

    def start(self) -> None:
        """Start it; it answers some time later."""
        with (self.root / "run" / "hub.log").open("ab") as log:
            command = [sys.executable, "-m", "deployers.hub", "serve", "--config", str(self._config)]
            self._process = subprocess.Popen(  # noqa: S603 - a fixed program
                bound(command, os.getpid()), stdin=subprocess.DEVNULL, stdout=log, stderr=log
            )
        self.starts += 1

    def kill(self) -> None:
        """End it as a power cut does."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def command(self, *words: str) -> str:
        """Run one of the hub's own commands.

        Raises:
            LabError: it failed.
        """
        command = [sys.executable, "-m", "deployers.hub", *words[:1], "--config", str(self._config), *words[1:]]
        done = subprocess.run(command, capture_output=True, text=True, timeout=START_SECONDS, check=False)  # noqa: S603
        if done.returncode:
            log = (self.root / "run" / "hub.log").read_text(encoding="utf-8", errors="replace")
            msg = f"{' '.join(words)} ended with {done.returncode}: {done.stderr.strip()!r}; {log[-LOG_CHARACTERS:]!r}"
            raise LabError(msg)
        return done.stdout


class Site:
    """Hub, boards and links; entering starts them all, with a confirmed model everywhere.

    Args:
        subject: what runs.
        folder: made here.
        boards: how many.
        readings_a_second: of each.
    """

    def __init__(self, subject: Subject, folder: Path, boards: int, readings_a_second: float) -> None:
        folder.mkdir(parents=True)
        self._speed = readings_a_second * CADENCE_SECONDS
        self.folder, self._subject = folder, subject
        self._names = [f"board-{number}" for number in range(boards)]
        self.boards: list[PoweredBoard] = []
        self.links: list[FaultyLink] = []
        self.hub = HubProcess(folder / "hub")
        self._course = simulated_course(CADENCE_SECONDS)
        self._stack = contextlib.AsyncExitStack()

    async def __aenter__(self) -> Self:
        async with contextlib.AsyncExitStack() as stack:
            stack.callback(self.hub.kill)
            flash = await asyncio.to_thread(self._install)
            for number, name in enumerate(self._names):
                link = await stack.enter_async_context(FaultyLink(self.hub.boards_port))
                self.links.append(link)
                self.boards.append(self._board(number, name, link.port, flash))
                stack.callback(self.boards[-1].close)
            turning = asyncio.create_task(self._turn())
            stack.push_async_callback(_end, turning)
            self._stack = stack.pop_all()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._stack.aclose()

    def rings(self) -> list[Ring]:
        """What every board says of its readings."""
        return [self.ring(name) for name in self._names]

    def ring(self, board: str) -> Ring:
        """What a board says of its readings."""
        return self.boards[self._names.index(board)].ring() or Ring(0, 0, 0, 0)

    def measured(self, board: str, number: int) -> Reading:
        """The reading of this number, as the board's sensor gave it."""
        return self._course.reading(number, self._names.index(board))

    async def wait(self, condition: Callable[[], bool], seconds: float) -> None:
        """Until something is so.

        Raises:
            TimeoutError: it is not, after `seconds`.
        """
        async with asyncio.timeout(seconds):
            while not condition():  # noqa: ASYNC110 - other processes bring it about
                await asyncio.sleep(POLL_SECONDS)

    async def wait_for_forecasts(self, count: int, seconds: float) -> None:
        """Until the hub's own have come as far as the readings that are there now, and so many readings have both.

        Raises:
            TimeoutError: they have not, after `seconds`.
        """
        last = {name: self.stored_readings(name)[-1].time_ms for name in self._names}

        def are_there() -> bool:
            made = {name: self.stored_forecasts(name) for name in self._names}
            both = sum(len(one["board"].keys() & one["LiteRT"].keys()) for one in made.values())
            return both >= count and all(max(one["LiteRT"], default=0) >= last[name] for name, one in made.items())

        await self.wait(are_there, seconds)

    def stored_readings(self, board: str) -> list[Reading]:
        """What the hub has of a board, in time order."""
        query = (
            "select time_ms, microcelsius from reading join series on series.id = series_id where name = ? order by 1"
        )
        return sorted((Reading(*row) for row in self._rows(query, board)), key=lambda reading: reading.time_ms)

    def stored_forecasts(self, board: str) -> dict[str, dict[int, tuple[float, ...]]]:
        """Forecasts that the hub has, by who made them and the time of the reading."""
        query = "select source, time_ms, celsius from forecast join series on series.id = series_id where name = ?"
        found: dict[str, dict[int, tuple[float, ...]]] = {"board": {}, "LiteRT": {}}
        for source, time_ms, celsius in self._rows(query, board):
            found["LiteRT" if source else "board"][time_ms] = tuple(np.frombuffer(celsius, "<f8").tolist())
        return found

    def _rows(self, query: str, board: str) -> list[tuple[Any, ...]]:
        with contextlib.closing(sqlite3.connect(self.hub.root / "data" / "hub.db", timeout=10)) as connection:
            return connection.execute(query, (board,)).fetchall()

    def _install(self) -> bytes:
        """The hub runs the model; what a board's flash looks like that has confirmed it."""
        root = self.hub.root
        private, public = self.folder / "signing.key", root / "config" / "image_keys" / "signing.pub"
        generate_keys(private, public)
        image = image_of_conversion(self._subject.conversion, load_private_key(private), VERSION)
        shutil.copytree(self._subject.conversion, root / "incoming" / "soak")
        (root / "incoming" / "soak" / "model.img").write_bytes(image)
        self.hub.command("token", "--name", "ctl", "--role", "deploy", "--out", "config/ctl.token")
        self.hub.start()
        self.hub.command("ctl", "install", str(root / "incoming" / "soak"))
        self.hub.command("ctl", "activate", str(VERSION))
        self._public_key = load_public_key(public)
        template = self.folder / "template"
        with VirtualBoard("native", key=bytes(32), state_folder=template, public_key=self._public_key) as board:
            board.install(image)
            board.feed([self._course.reading(0)])
            board.confirm()
        return (template / "flash.bin").read_bytes()

    def _board(self, number: int, name: str, port: int, flash: bytes) -> PoweredBoard:
        key = link_key(self.hub.root / "config" / "boards" / f"{name}.key")
        folder = self.folder / name
        folder.mkdir()
        (folder / "flash.bin").write_bytes(flash)
        supply = Supply(name, number, "native", folder, key, self._public_key, port)
        return PoweredBoard(supply, self._course, self._speed, time.monotonic(), RESTART_SECONDS)

    async def _turn(self) -> None:
        while True:
            for board in self.boards:
                board.turn(time.monotonic())
            await asyncio.sleep(TURN_SECONDS)


async def _end(task: asyncio.Task[None]) -> None:
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
