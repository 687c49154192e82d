"""Start a lab and end it: what `up` and `down` do."""

from __future__ import annotations

import contextlib
import os
import secrets
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from deployers.commands.image import plain_errors
from deployers.exceptions import Conflict, InputError, ReleaseError
from deployers.inventory import FOLDER
from deployers.lab.arm64 import disk_of, prepare_disk, unregister
from deployers.lab.feeder import Course, course_of_release, simulated_course
from deployers.lab.firmware import build
from deployers.lab.folder import LabSettings, plain_disk_errors
from deployers.lab.marked import VARIABLE, end_marked, marked
from deployers.lab.programs import LabError
from deployers.protocol.signature import generate_keys
from deployers.registry import CHECKOUT, MODEL, fetch_release

if TYPE_CHECKING:
    from deployers.lab.folder import LabFolder

# The emulated Jetson has two minutes to come up, and says itself what it waited for.
START_SECONDS = 150.0
END_SECONDS = 30.0
_POLL_SECONDS = 0.05


def up(folder: LabFolder, settings: LabSettings, *, fresh: bool = False, simulated: bool = False) -> dict[str, Any]:
    """Start a lab and wait until it can be logged into and its boards have been started.

    Args:
        folder: where.
        settings: of what.
        fresh: forget what an earlier lab left: the Jetson's disk, the boards' flash, keys and readings.
        simulated: feed a simulated room and not the champion's test part.

    Returns:
        What the daemon says of itself.

    Raises:
        Conflict: a lab is up, or another `up` or `down` goes on.
        InputError: its folder has a name that no hub's may have.
        LabError: it did not start, with the end of its log; or the disk is full.
        MissingTool: this machine lacks a program for it.
    """
    require_plain(folder.root)
    with plain_disk_errors(), folder.changing():
        if folder.is_held():
            msg = f"a lab is up in {str(folder.path)!r}, expected none: python -m deployers.lab down, or go on with it"
            raise Conflict(msg)
        sweep(folder)
        if fresh:
            folder.remove()
        folder.make()
        build(settings.board_kind)
        _signing_key(folder)
        _readings(folder, simulated=simulated)
        if settings.jetson == "arm64":
            prepare_disk(disk_of(folder), lambda line: click.echo(line, err=True))
        folder.keep_settings(settings)
        folder.log.unlink(missing_ok=True)
        return _started(folder, settings)


def require_plain(root: Path) -> None:
    """Refuse a folder that no Jetson's hub may be in.

    Raises:
        InputError: a name in it has spaces, or other signs that mean something elsewhere.
    """
    if not FOLDER.fullmatch(str(root)):
        msg = (
            f"the lab's folder {str(root)!r} has signs other than letters, digits and ._@+-: give another EDGELOOP_HOME"
        )
        raise InputError(msg)


def new_settings(**asked: Any) -> LabSettings:
    """Settings with a mark that no other lab has."""
    return LabSettings(mark=secrets.token_hex(8), **asked)


def down(folder: LabFolder, *, remove: bool = False) -> list[int]:
    """End a lab with everything that it and SSH started in it, also what a daemon that was killed has left.

    Args:
        folder: where.
        remove: remove the folder, too.

    Returns:
        The processes that had to be ended, none if no lab was up.

    Raises:
        Conflict: an `up` or another `down` goes on.
        LabError: something goes on all the same.
    """
    if not folder.path.parent.exists():
        return []
    with plain_disk_errors(), folder.changing():
        ended = _end(folder)
        if remove:
            folder.remove()
    return ended


def _end(folder: LabFolder) -> list[int]:
    return sorted({*_end_daemon(folder), *sweep(folder)})


def sweep(folder: LabFolder) -> list[int]:
    """End what is left of a lab whose daemon has gone."""
    settings = folder.settings()
    if settings is None:
        return []
    ended = end_marked(settings.mark)
    if settings.jetson == "arm64":
        unregister(settings.mark)
    folder.forget_state()
    return ended


def _end_daemon(folder: LabFolder) -> list[int]:
    """Have it end what it started, in order; one that has not said who it is yet is left to `sweep`."""
    settings, state = folder.settings(), None
    with contextlib.suppress(LabError):  # an unreadable state must not keep anyone from ending the lab
        state = folder.state()
    if settings is None or state is None or not folder.is_held():
        return []
    daemon = int(state["pid"])
    if daemon not in marked(settings.mark):  # another process has the number by now
        return []
    with contextlib.suppress(ProcessLookupError):
        os.kill(daemon, signal.SIGTERM)
    end = time.monotonic() + END_SECONDS
    while folder.is_held() and time.monotonic() < end:
        time.sleep(_POLL_SECONDS)
    return [daemon]


def _signing_key(folder: LabFolder) -> None:
    private = folder.keys / "signing.key"
    if not private.exists():
        with plain_errors():
            generate_keys(private, folder.keys / "signing.key.pub", force=True)


def _readings(folder: LabFolder, *, simulated: bool) -> None:
    """Those of the champion's test part; a simulated room where there is none. What is there stays."""
    if not folder.readings.exists():
        champion = None if simulated else _champion_course()
        (champion or simulated_course()).write(folder.readings)


def _champion_course() -> Course | None:
    with tempfile.TemporaryDirectory(prefix="edgeloop-lab-") as scratch:
        try:
            release = fetch_release("champion", Path(scratch), MODEL)
        except ReleaseError:
            raise
        except InputError as error:  # nothing is trained yet, as a rule
            click.echo(f"no champion ({error}); the boards are fed a simulated room", err=True)
            return None
        return course_of_release(release.path, release.name)


def _started(folder: LabFolder, settings: LabSettings) -> dict[str, Any]:
    end = time.monotonic() + START_SECONDS
    try:
        daemon = _start_daemon(folder, settings)
        while time.monotonic() < end and daemon.poll() is None:
            state = folder.state()
            if state is not None and all(board["starts"] for board in state["boards"]):
                return state
            time.sleep(_POLL_SECONDS)
    except BaseException:
        _end(folder)
        raise
    what = f"not within {START_SECONDS:g} s" if daemon.poll() is None else f"it ended with code {daemon.returncode}"
    _end(folder)
    msg = (
        f"the lab did not start ({what}), its log {str(folder.log)!r} ends {folder.end_of_log()!r}: mend what it names"
    )
    raise LabError(msg)


def _start_daemon(folder: LabFolder, settings: LabSettings) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "deployers.lab.daemon", str(folder.path)]
    with folder.log.open("ab") as log:
        return subprocess.Popen(  # noqa: S603 - this very program
            command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd=CHECKOUT,
            env={**os.environ, VARIABLE: settings.mark}, start_new_session=True,
        )  # fmt: skip
