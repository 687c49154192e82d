"""Processes that end with this one, and signals that end this one as Ctrl-C does: nothing is left running or lying."""

from __future__ import annotations

import signal
import sys
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

ENDING = (signal.SIGTERM, signal.SIGHUP)
# It becomes the command after asking the kernel for SIGKILL when the parent ends: 1 is PR_SET_PDEATHSIG. The parent
# may have ended before the kernel was asked. No preexec_fn: that is not safe beside threads.
LAUNCH = """
import ctypes, os, signal, sys
ctypes.CDLL(None).prctl(1, signal.SIGKILL)
if os.getppid() != int(sys.argv[1]): os._exit(1)
os.execv(sys.argv[2], sys.argv[2:])
"""


def bound(command: Sequence[str], parent: int) -> list[str]:
    """A command that is killed when the process that starts it ends, even by SIGKILL; unchanged where Linux is not.

    The kernel counts the thread that starts it: start it in one that stays.

    Args:
        command: program, as an absolute path, and arguments.
        parent: process id of who starts it.
    """
    if sys.platform != "linux":
        return list(command)
    return [sys.executable, "-ISc", LAUNCH, str(parent), *command]


@contextmanager
def interruptible(came: list[signal.Signals]) -> Iterator[None]:
    """SIGTERM and SIGHUP raise KeyboardInterrupt inside, once; one that is ignored, as under nohup, stays so.

    Args:
        came: takes the signal.
    """

    def interrupt(number: int, _frame: Any) -> None:
        for each in before:
            signal.signal(each, signal.SIG_IGN)  # a second one must not end the cleaning up
        came.append(signal.Signals(number))
        raise KeyboardInterrupt

    here = threading.current_thread() is threading.main_thread()  # no other may set handlers
    before = {each: signal.getsignal(each) for each in ENDING if here and signal.getsignal(each) is signal.SIG_DFL}
    for each in before:
        signal.signal(each, interrupt)
    try:
        yield
    finally:
        for each, handler in before.items():
            signal.signal(each, handler)
