"""The process that keeps a lab going: `python -m deployers.lab.daemon FOLDER`, started by `up`.

It is the subreaper of all it starts: what leaves its parent, as the hub that SSH started, becomes its child. When it
ends, by its time, by `down` or by a signal, it ends everything that carries the lab's mark.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from deployers.commands.image import plain_errors
from deployers.exceptions import DeployerError
from deployers.lab.arm64 import EmulatedJetson
from deployers.lab.feeder import Course
from deployers.lab.folder import NO_ROOM, LabFolder, LabSettings, plain_disk_errors
from deployers.lab.jetson import NativeJetson, inventory_text
from deployers.lab.marked import end_marked
from deployers.lab.powered import PoweredBoard, Supply, link_key
from deployers.lab.programs import LabError
from deployers.protocol.files import write_whole
from deployers.protocol.signature import load_public_key

if TYPE_CHECKING:
    from collections.abc import Callable

    from deployers.lab.jetson import VirtualJetson

PR_SET_CHILD_SUBREAPER = 36  # <linux/prctl.h>
TURN_SECONDS = 0.02
TELL_SECONDS = 1.0


class Lab:
    """A virtual Jetson and its boards.

    Args:
        folder: where everything lies.
        settings: what was asked for.
        stack: takes what is to be undone, in the order in which it was done.
    """

    def __init__(self, folder: LabFolder, settings: LabSettings, stack: contextlib.ExitStack) -> None:
        self._folder, self._settings = folder, settings
        self._begun = time.time()
        self._told = float("-inf")
        self.jetson = start_jetson(folder, settings)
        stack.callback(self.jetson.close)
        course = Course.read(folder.readings)
        public_key = load_public_key(folder.keys / "signing.key.pub")
        self._course = course
        self.boards: list[PoweredBoard] = []
        keys = {}
        for number in range(settings.boards):
            name = f"board-{number + 1}"
            keys[name] = folder.keys / f"{name}.key"
            supply = Supply(
                name, number, settings.board_kind, folder.board(name), link_key(keys[name]), public_key,
                self.jetson.boards_port, self.jetson.boards_host,
            )  # fmt: skip
            board = PoweredBoard(supply, course, settings.speed, time.monotonic())
            stack.callback(board.close)
            self.boards.append(board)
        text = inventory_text(folder.keys / "signing.key", self.jetson.inventory(), keys)
        write_whole(folder.inventory, text.encode(), 0o600)
        self.end = time.monotonic() + 60 * settings.minutes

    def turn(self) -> None:
        """What is to be done every few milliseconds."""
        self.jetson.turn()
        now = time.monotonic()
        for board in self.boards:
            board.turn(now)
        self._reap()
        if now - self._told >= TELL_SECONDS:
            self._told = now
            self._tell()

    def as_dict(self) -> dict[str, Any]:
        """What the daemon says of itself; its end by the clock on the wall as that goes now."""
        return {
            "pid": os.getpid(),
            "begun": self._begun,
            "ends": time.time() + self.end - time.monotonic(),
            "speed": self._settings.speed,
            "readings": self._course.source,
            "cadence_seconds": self._course.cadence_seconds,
            "inventory": str(self._folder.inventory),
            "jetson": {
                "kind": self._settings.jetson,
                "root_here": str(self.jetson.root_here),
                **self.jetson.inventory(),
            },
            "boards": [board.as_dict() for board in self.boards],
        }

    def _tell(self) -> None:
        """Go on without it while the disk is full; end when the lab's folder was removed.

        Raises:
            FileNotFoundError: there is no folder any more.
        """
        try:
            self._folder.keep_state(self.as_dict())
        except OSError as error:
            if error.errno not in NO_ROOM:
                raise

    def _reap(self) -> None:
        """Bury the adopted children that have ended; its own are waited for by who started them."""
        own = {*self.jetson.pids, *(pid for board in self.boards for pid in board.pids)}
        with contextlib.suppress(ChildProcessError):
            while (ended := os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)) is not None:
                if ended.si_pid in own:
                    return
                os.waitpid(ended.si_pid, os.WNOHANG)


def start_jetson(folder: LabFolder, settings: LabSettings) -> VirtualJetson:
    """The virtual Jetson that was asked for."""
    kinds: dict[str, Callable[[LabFolder, str], VirtualJetson]] = {"native": NativeJetson, "arm64": EmulatedJetson}
    return kinds[settings.jetson](folder, settings.mark)


def become_subreaper() -> None:
    """Adopt what leaves its parent.

    Raises:
        LabError: the kernel refuses.
    """
    if ctypes.CDLL(None, use_errno=True).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) != 0:
        reason = os.strerror(ctypes.get_errno())
        msg = f"prctl(PR_SET_CHILD_SUBREAPER) failed ({reason}), expected Linux 3.4 or newer: run the lab there"
        raise LabError(msg)


def serve(folder: LabFolder, settings: LabSettings) -> None:
    """Keep the lab going until its time is over or a signal comes."""
    came: list[int] = []
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, lambda received, _frame: came.append(received))
    become_subreaper()
    with contextlib.ExitStack() as stack:
        stack.callback(end_marked, settings.mark)
        lab = Lab(folder, settings, stack)
        stack.callback(folder.forget_state)  # first of all: who waits for the lab need not wait for its end
        while not came and time.monotonic() < lab.end:
            lab.turn()
            time.sleep(TURN_SECONDS)
        print("ended by", signal.Signals(came[0]).name if came else "its time", flush=True)  # noqa: T201 - its log


def main() -> int:
    """Run a lab in the folder that the process was given."""
    folder = LabFolder(Path(sys.argv[1]))
    try:
        settings = folder.settings()
        if settings is None:
            msg = f"{str(folder.path)!r} has no settings.json: python -m deployers.lab up"
            raise LabError(msg)
        with plain_disk_errors(), folder.held(), plain_errors():
            serve(folder, settings)
    except DeployerError as error:
        print(f"error: {error}", flush=True)  # noqa: T201
        return error.exit_code
    return 0


if __name__ == "__main__":
    sys.exit(main())
