"""Conversion of a release to cells, by TensorFlow's converter in a process of its own."""

from __future__ import annotations

import json
import logging
import os
import signal
import subprocess
import sys
import tempfile
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from deployers.exceptions import ConversionError
from deployers.processes import bound

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

ROOT = Path(__file__).resolve().parents[2]
CHILD = (sys.executable, "-m", "deployers.conversion.child")
# TensorFlow's import takes most of it: seconds on a PC, a minute on an emulated ARM core.
TIMEOUT_SECONDS = 600.0
LOG_TAIL = 40  # lines
MEMORY = ("MemoryError", "bad_alloc", "Cannot allocate memory")
ENVIRONMENT = {"TF_CPP_MIN_LOG_LEVEL": "2", "TF_ENABLE_ONEDNN_OPTS": "0", "CUDA_VISIBLE_DEVICES": "-1"}

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Process:
    """How the child is started.

    Attributes:
        command: program and first arguments; the release, the output folder and the types follow.
        timeout: seconds for the whole work.
    """

    command: tuple[str, ...] = CHILD
    timeout: float = TIMEOUT_SECONDS


def convert(
    release: Path,
    out: Path,
    types: Sequence[str],
    progress: Callable[[str], None] = lambda _: None,
    process: Process = Process(),
) -> dict[str, bytes]:
    """Make the cells of a release.

    Args:
        release: verified release folder.
        out: existing folder; takes `cell_TYPE.tflite`, and `reference.npz` if it holds `inputs.npz` (see child.py).
        types: float32, int8, int16x8.
        progress: called with the name of each stage.
        process: how the child is started.

    Returns:
        The files by type.

    Raises:
        ConversionError: the converter crashed, took longer than `process.timeout`, or refused the model.
    """
    with tempfile.TemporaryFile() as log:
        # Made absolute: the process is at home in the checkout.
        command = bound([*process.command, str(release.absolute()), str(out.absolute()), *types], os.getpid())
        with subprocess.Popen(  # noqa: S603 - our own module
            command, stdout=subprocess.PIPE, stderr=log, text=True, cwd=ROOT, env={**ENVIRONMENT, **os.environ}
        ) as child:
            expired = threading.Event()

            def stop() -> None:
                expired.set()
                child.kill()

            timer = threading.Timer(process.timeout, stop)
            timer.start()
            try:
                said = _listen(child, progress)
            finally:
                timer.cancel()
                child.kill()
        log.seek(0)
        tail = log.read().decode("utf-8", "replace").splitlines()[-LOG_TAIL:]
    if child.returncode or expired.is_set():
        _log.debug("the converter's last lines:\n%s", "\n".join(tail))
        raise ConversionError(_reason(said, child.returncode, process.timeout if expired.is_set() else None, tail))
    return {kind: _written(out / f"cell_{kind}.tflite") for kind in types}


def _written(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        msg = f"the converter ended without {path.name!r} ({error.strerror}): run again with --debug"
        raise ConversionError(msg) from error


def _listen(child: subprocess.Popen[str], progress: Callable[[str], None]) -> dict[str, str]:
    """Follow the child to its end; what it said last under each name."""
    said: dict[str, str] = {}
    for line in child.stdout or ():
        try:
            fields = json.loads(line)
        except ValueError:
            continue
        said |= fields
        if "stage" in fields:
            progress(fields["stage"])
    child.wait()
    return said


def _reason(said: dict[str, str], code: int, timeout: float | None, tail: list[str]) -> str:
    stage = said.get("stage", "start")
    if timeout is not None:
        return f"the converter took longer than {timeout:g} s at stage {stage!r}: give it more time or a faster machine"
    if "error" in said:
        return said["error"]
    # The kernel kills what takes all memory; C++ and Python say so themselves.
    if code == -signal.SIGKILL or any(word in line for line in tail for word in MEMORY):
        return f"the converter ran out of memory at stage {stage!r}: free about 1 GB, or convert on another machine"
    if code < 0:
        name = signal.Signals(-code).name
        return f"the converter crashed with {name} at stage {stage!r}: run again with --debug for its last lines"
    return f"the converter ended with code {code!r} at stage {stage!r}: run again with --debug for its last lines"
