"""Waits on the Jetson until the hub answers; the standard library only: whatever is wrong there, this says so.

python R/code/current/deployers/waiting.py ADDRESS SECONDS PID_FILE LOG     (a supervised hub)
python R/code/current/deployers/waiting.py ADDRESS SECONDS UNIT             (a unit of systemd)
"""

from __future__ import annotations

import ssl
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

GRACE_SECONDS = 3.0  # for the supervisor to write its process id
PAUSE_SECONDS = 0.1
LINES, TAIL_BYTES = 3, 4000


def main(arguments: list[str]) -> int:
    """Wait; exit code 0 when it answers, 1 with one line when it does not."""
    address, seconds, *process = arguments
    said = wait(address, float(seconds), process)
    if not said:
        return 0
    print(f"error: the hub does not answer at {address} ({said}), its last words: {last_words(process)}")  # noqa: T201
    return 1


def wait(address: str, seconds: float, process: list[str]) -> str:
    """Ask until it answers; what went wrong last if it does not."""
    began, said = time.monotonic(), ""
    while True:
        try:
            with _opener().open(address, timeout=5):
                return ""
        except (OSError, ValueError) as error:
            said = str(error)
        waited = time.monotonic() - began
        if waited > seconds:
            return f"{said}, within {seconds:g} s"
        if waited > GRACE_SECONDS and has_ended(process):
            return f"{said}, and its process has ended"
        time.sleep(PAUSE_SECONDS)


def has_ended(process: list[str]) -> bool:
    """Whether a supervised hub is gone; systemd starts its own again for ever."""
    if len(process) == 1:
        return False
    try:
        return not Path("/proc", Path(process[0]).read_text(encoding="ascii").strip()).exists()
    except OSError:
        return True


def last_words(process: list[str]) -> str:
    """The last lines of its log."""
    if len(process) == 1:
        words = ["journalctl", "--quiet", f"--unit={process[0]}", f"--lines={LINES}", "--output=cat"]
        data = subprocess.run(words, stdout=subprocess.PIPE, check=False).stdout  # noqa: S603 - fixed words
    else:
        try:
            data = Path(process[1]).read_bytes()
        except OSError as error:
            data = str(error).encode()
    return " | ".join(data[-TAIL_BYTES:].decode("utf-8", "replace").strip().splitlines()[-LINES:]) or "none"


def _opener() -> urllib.request.OpenerDirector:
    """No proxy; and its certificate is for others: this is the same machine."""
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    return urllib.request.build_opener(urllib.request.ProxyHandler({}), urllib.request.HTTPSHandler(context=context))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
