from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from deployers.exceptions import DeploymentRunning
from deployers.hub import supervise as module
from deployers.hub.settings import Settings
from deployers.hub.supervise import RotatingLog, Supervisor


class Pauses:
    """Notes how long it was told to sleep, and ends it after so many times."""

    def __init__(self, most: int) -> None:
        self.taken: list[float] = []
        self._most = most

    def __call__(self, seconds: float) -> bool:
        self.taken.append(seconds)
        return len(self.taken) >= self._most


def command(code: str) -> list[str]:
    return [sys.executable, "-c", textwrap.dedent(code)]


def until(found: Callable[[], bool], seconds: float = 20.0) -> None:
    end = time.monotonic() + seconds
    while not found():
        assert time.monotonic() < end, "it did not happen"
        time.sleep(0.02)


def test_what_ends_is_started_again_after_longer_and_longer_pauses(tmp_path: Path) -> None:
    pauses = Pauses(8)
    assert Supervisor(command("raise SystemExit(1)"), tmp_path, pauses).run() == 0
    assert pauses.taken == [1, 2, 4, 8, 16, 32, 60, 60]
    assert "exit code 1, again in 60 s" in (tmp_path / "hub.log").read_text(encoding="utf-8")
    assert not (tmp_path / "hub.pid").exists()


def test_after_a_long_run_the_pause_is_short_again(tmp_path: Path) -> None:
    pauses, now = Pauses(4), iter([0.0, 1.0, 1.0, 2.0, 2.0, 100.0, 100.0, 101.0])
    Supervisor(command("raise SystemExit(1)"), tmp_path, pauses, lambda: next(now)).run()
    assert pauses.taken == [1, 2, 1, 2]


@pytest.mark.parametrize("code", [2, 4])
def test_what_cannot_start_is_not_tried_again(tmp_path: Path, code: int) -> None:
    pauses = Pauses(1)
    assert Supervisor(command(f"raise SystemExit({code})"), tmp_path, pauses).run() == code
    assert pauses.taken == []


def test_what_it_writes_goes_to_the_log(tmp_path: Path) -> None:
    code = "import sys; print('out', flush=True); print('err', file=sys.stderr)"
    Supervisor(command(code), tmp_path, Pauses(1)).run()
    lines = (tmp_path / "hub.log").read_text(encoding="utf-8").splitlines()
    assert lines[:2] == ["out", "err"]


def test_only_one_runs_for_a_folder(tmp_path: Path) -> None:
    inner: list[BaseException] = []

    def again(_seconds: float) -> bool:
        with pytest.raises(DeploymentRunning, match=f"process '{os.getpid()}' supervises") as caught:
            Supervisor(command(""), tmp_path).run()
        inner.append(caught.value)
        return True

    Supervisor(command("raise SystemExit(1)"), tmp_path, again).run()
    assert len(inner) == 1
    assert Supervisor(command("raise SystemExit(2)"), tmp_path).run() == 2  # the lock went with the first


RUN = """
import sys
from pathlib import Path
from deployers.hub.supervise import Supervisor
sys.exit(Supervisor(sys.argv[2:], Path(sys.argv[1])).run())
"""


def started(tmp_path: Path, code: str) -> subprocess.Popen[bytes]:
    process = subprocess.Popen([sys.executable, "-c", RUN, str(tmp_path), *command(code)])
    until(lambda: (tmp_path / "hub.log").exists() and b"ready" in (tmp_path / "hub.log").read_bytes())
    return process


def lives(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


def test_sigterm_reaches_the_hub_and_both_end(tmp_path: Path) -> None:
    code = """
        import signal, time
        def end(*_):
            print("ended in order", flush=True)
            raise SystemExit(0)
        signal.signal(signal.SIGTERM, end)
        print("ready", flush=True)
        time.sleep(60)
    """
    process = started(tmp_path, code)
    process.send_signal(signal.SIGTERM)
    assert process.wait(20) == 0
    assert "ended in order" in (tmp_path / "hub.log").read_text(encoding="utf-8")


def test_a_hub_that_ignores_sigterm_is_killed(tmp_path: Path) -> None:
    code = """
        import signal, time
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        print("ready", flush=True)
        time.sleep(60)
    """
    run = RUN.replace("sys.exit", "import deployers.hub.supervise as m\nm.END_SECONDS = 0.2\nsys.exit")
    process = subprocess.Popen([sys.executable, "-c", run, str(tmp_path), *command(code)])
    until(lambda: (tmp_path / "hub.log").exists() and b"ready" in (tmp_path / "hub.log").read_bytes())
    process.send_signal(signal.SIGTERM)
    assert process.wait(20) == 0


def test_the_hub_ends_with_a_supervisor_that_is_killed(tmp_path: Path) -> None:
    process = started(tmp_path, "import time; print('ready', flush=True); time.sleep(60)")
    pid = int((tmp_path / "hub.pid").read_text(encoding="ascii"))
    assert lives(pid)
    process.kill()
    process.wait(20)
    until(lambda: not lives(pid))


def test_a_full_log_begins_anew_and_the_last_ones_stay(tmp_path: Path) -> None:
    path = tmp_path / "run" / "hub.log"
    log = RotatingLog(path, bytes_max=10, kept=2)
    for number in range(10):
        log.write(f"line {number}\n".encode())
    log.close()
    assert sorted(each.name for each in path.parent.iterdir()) == ["hub.log", "hub.log.1", "hub.log.2"]
    assert [p.read_text(encoding="utf-8") for p in (path, Path(f"{path}.1"), Path(f"{path}.2"))] == [
        "line 9\n",
        "line 8\n",
        "line 7\n",
    ]


def test_a_line_longer_than_a_log_is_one_log(tmp_path: Path) -> None:
    log = RotatingLog(tmp_path / "hub.log", bytes_max=10, kept=1)
    log.write(b"x" * 50)
    log.write(b"y\n")
    log.close()
    assert (tmp_path / "hub.log").read_bytes() == b"y\n"
    assert (tmp_path / "hub.log.1").stat().st_size == 50


def test_a_full_disk_loses_lines_and_not_the_hub(tmp_path: Path) -> None:
    log = RotatingLog(Path("/dev/full"))
    log.write(b"lost\n")
    log.close()


def test_the_command_is_this_python_with_the_configuration(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[list[str]] = []
    monkeypatch.setattr(module.Supervisor, "run", lambda self: seen.append(self._command) or 0)
    assert module.supervise(Settings(root=tmp_path), Path("hub.toml")) == 0
    assert seen == [[sys.executable, "-m", "deployers.hub", "serve", "--config", str(Path("hub.toml").resolve())]]


def test_the_hub_is_given_the_variables_beside_its_configuration(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "hub.env"
    path.write_text("EDGELOOP_TRAIN_URL=here\n")
    path.chmod(0o600)
    monkeypatch.setattr(os, "environ", dict(os.environ))
    monkeypatch.setattr(module.Supervisor, "run", lambda _: 0)
    module.supervise(Settings(root=tmp_path), tmp_path / "hub.toml")
    assert os.environ["EDGELOOP_TRAIN_URL"] == "here"
