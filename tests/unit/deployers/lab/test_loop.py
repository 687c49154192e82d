"""One turn of the loop: the order of its stages, what it waits for, and what becomes of a stage that fails."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from deployers.exceptions import ReleaseError
from deployers.lab import loop as module
from deployers.lab.folder import LabFolder, LabSettings
from deployers.lab.loop import StageFailed, Stopwatch, active_model, deployers, turn, wait_for_readings
from deployers.lab.programs import LabError
from deployers.registry import CHECKOUT

BOARDS = ("board-1", "board-2")


@pytest.fixture
def is_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(LabFolder, "is_held", lambda _: True)


def state(acknowledged: int, tmp_path: Path) -> dict[str, Any]:
    boards = [{"id": name, "acknowledged": acknowledged} for name in BOARDS]
    return {
        "boards": boards,
        "cadence_seconds": 600.0,
        "speed": 1e6,
        "jetson": {"root_here": str(tmp_path), "rest_port": 9},
    }


@pytest.fixture
def program(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Put another program in the place of `python -m deployers`."""

    def put(code: str) -> None:
        package = tmp_path / "checkout" / "deployers"
        package.mkdir(parents=True, exist_ok=True)
        (package / "__init__.py").touch()
        (package / "__main__.py").write_text(code)
        monkeypatch.setattr(module, "CHECKOUT", tmp_path / "checkout")

    return put


# The deployer's commands


def test_a_command_gets_the_inventory_and_its_object_is_returned(folder: LabFolder, program) -> None:
    program("import json, sys; print(json.dumps({'words': sys.argv[1:]}))")
    assert deployers(folder, "setup", 30)["words"] == ["setup", "--inventory", str(folder.inventory), "--json"]


def test_a_command_that_fails_hands_on_its_line_and_its_exit_code(folder: LabFolder, program, is_up) -> None:
    folder.keep_state(state(0, folder.path))
    program("import sys; print('error: the board refused the image', file=sys.stderr); sys.exit(9)")
    with pytest.raises(
        StageFailed, match=r"^python -m deployers deploy failed: the board refused the image$"
    ) as raised:
        deployers(folder, "deploy", 30)
    assert raised.value.exit_code == 9


@pytest.mark.parametrize("printed", ["", "done", "[1]", "{} {}"])
def test_a_command_that_prints_no_object_is_told(folder: LabFolder, program, printed: str) -> None:
    program(f"print({printed!r})")
    with pytest.raises(LabError, match=r"python -m deployers setup printed .*expected one JSON object"):
        deployers(folder, "setup", 30)


def test_a_command_that_does_not_end_is_ended(folder: LabFolder, program) -> None:
    program("import time; time.sleep(60)")
    with pytest.raises(LabError, match=r"did not end within 0.5 s: .*lab logs"):
        deployers(folder, "setup", 0.5)


def test_a_command_that_takes_too_long_is_told_to_clean_up(folder: LabFolder, program) -> None:
    """SIGKILL would leave a deployment in the middle."""
    program(f"""
import signal, sys, time
from pathlib import Path
def clean(*_):
    time.sleep(0.3)
    Path({str(folder.path / "cleaned")!r}).touch()
    sys.exit(143)
signal.signal(signal.SIGTERM, clean)
time.sleep(60)
""")
    with pytest.raises(LabError, match="did not end within 2 s"):
        deployers(folder, "deploy", 2)
    assert (folder.path / "cleaned").exists()


@pytest.mark.parametrize("error", [KeyboardInterrupt, subprocess.TimeoutExpired("deploy", 1.0)])
def test_one_that_does_not_clean_up_is_killed_and_why_it_was_ended_is_told(
    tmp_path: Path, error: type[BaseException], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "CLEANING_SECONDS", 0.3)
    wait, begun = subprocess.Popen.communicate, time.monotonic()

    def interrupted(process: Any, timeout: float) -> Any:
        if timeout == 50:
            while not (tmp_path / "begun").exists():
                time.sleep(0.01)
            raise error
        return wait(process, timeout=timeout)

    monkeypatch.setattr(subprocess.Popen, "communicate", interrupted)
    code = "import signal, sys, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); open(sys.argv[1], 'w').close()\n"
    command = [sys.executable, "-c", code + "time.sleep(60)", str(tmp_path / "begun")]
    with pytest.raises(type(error) if isinstance(error, BaseException) else error):
        module._run_to_end(command, 50)  # noqa: SLF001
    assert time.monotonic() - begun < 30


@pytest.mark.parametrize(("number", "sent"), [(signal.SIGTERM, 1), (signal.SIGINT, 1), (signal.SIGHUP, 1)])
def test_a_loop_that_is_ended_ends_its_deployment_once(
    folder: LabFolder, tmp_path: Path, number: signal.Signals, sent: int
) -> None:
    """Ctrl-C reaches all processes of a terminal: a deployment told twice would not finish its cleaning up."""
    package = tmp_path / "checkout" / "deployers"
    package.mkdir(parents=True)
    (package / "__init__.py").touch()
    (package / "__main__.py").write_text(f"""
import signal, sys, time
from pathlib import Path
came = Path({str(tmp_path / "came")!r})
for each in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
    signal.signal(each, lambda number, _: came.open("a").write(f"{{number}} "))
Path({str(tmp_path / "begun")!r}).touch()
end = time.monotonic() + 30
while not came.exists() and time.monotonic() < end: time.sleep(0.01)
time.sleep(0.5)
""")
    code = f"""
from pathlib import Path
from deployers.lab import loop
from deployers.lab.folder import LabFolder
from deployers.processes import interruptible
loop.CHECKOUT = Path({str(tmp_path / "checkout")!r})
with interruptible([]):
    loop.deployers(LabFolder(Path({str(folder.path)!r})), "deploy", 60)
"""
    loop = subprocess.Popen(
        [sys.executable, "-c", code], cwd=CHECKOUT, stderr=subprocess.DEVNULL, start_new_session=True
    )
    end = time.monotonic() + 30
    while not (tmp_path / "begun").exists():
        assert time.monotonic() < end
        time.sleep(0.01)
    os.killpg(loop.pid, number)  # as a terminal does
    assert loop.wait(30) != 0
    assert (tmp_path / "came").read_text().split() == [str(int(signal.SIGTERM))] * sent


def test_a_lab_that_ends_while_a_command_runs_is_told(folder: LabFolder, program) -> None:
    folder.log.write_text("ended by its time\n")
    program("import sys; print('error: no connection to 127.0.0.1', file=sys.stderr); sys.exit(5)")
    said = (
        r"the lab has ended while .* deploy ran, which said 'no connection to 127.0.0.1'; .*'ended by its time': repe"
    )
    with pytest.raises(LabError, match=said):
        deployers(folder, "deploy", 30)


def test_a_command_that_says_nothing_of_its_failure_shows_what_it_printed(folder: LabFolder, program, is_up) -> None:
    folder.keep_state(state(0, folder.path))
    program("import sys; print('half done'); sys.exit(1)")
    with pytest.raises(StageFailed, match="deploy failed: half done"):
        deployers(folder, "deploy", 30)


# Live readings


def test_it_waits_until_every_board_has_sent_enough(
    folder: LabFolder, tmp_path: Path, is_up, monkeypatch: pytest.MonkeyPatch
) -> None:
    counts = iter([5, 5, 8, 30, 65])
    monkeypatch.setattr(LabFolder, "state", lambda _: state(next(counts), tmp_path))
    monkeypatch.setattr(module, "_POLL_SECONDS", 0)
    wait_for_readings(folder, 60, 0.0006)
    assert list(counts) == []


def test_readings_that_do_not_come_are_counted(
    folder: LabFolder, tmp_path: Path, is_up, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder.keep_state(state(5, tmp_path))
    monkeypatch.setattr(module, "SLOWEST_SECONDS", 0.1)
    with pytest.raises(LabError, match=r"readings \{'board-1': 0, 'board-2': 0\} came within .* expected 60 each"):
        wait_for_readings(folder, 60, 0.0006)


def test_a_lab_that_has_ended_meanwhile_is_told(folder: LabFolder) -> None:
    folder.log.write_text("ended by its time\n")
    with pytest.raises(LabError, match=r"the lab has ended; .*'ended by its time': repeat, with more --minutes"):
        wait_for_readings(folder, 60, 0.0006)


@pytest.mark.parametrize("held", [True, False])
def test_a_lab_that_is_ending_or_was_killed_sends_no_more(
    folder: LabFolder, tmp_path: Path, held: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One that ends has taken its state away, one that was killed has left it."""
    if not held:
        folder.keep_state(state(5, tmp_path))
    monkeypatch.setattr(LabFolder, "is_held", lambda _: held)
    with pytest.raises(LabError, match="the lab has ended"):
        wait_for_readings(folder, 60, 1.0)


def test_a_board_that_is_not_told_of_any_more_has_sent_none(
    folder: LabFolder, tmp_path: Path, is_up, monkeypatch: pytest.MonkeyPatch
) -> None:
    without = {**state(90, tmp_path), "boards": [{"id": "board-1", "acknowledged": 90}]}
    states = iter([state(5, tmp_path)] + [without] * 1000)
    monkeypatch.setattr(LabFolder, "state", lambda _: next(states))
    monkeypatch.setattr(module, "SLOWEST_SECONDS", 0.1)
    with pytest.raises(LabError, match=r"\{'board-1': 85, 'board-2': 0\} came"):
        wait_for_readings(folder, 60, 0.0)


# The whole turn


@pytest.fixture
def stages(folder: LabFolder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What is called, in order."""
    called: list[str] = []
    (tmp_path / "config").mkdir()
    (tmp_path / "config" / "ctl.token").write_text("secret\n")

    class Hub:
        def __init__(self, url: str, token: str) -> None:
            called.append(f"{url} {token}")

        def __enter__(self) -> Any:
            return self

        def __exit__(self, *_: object) -> None:
            called.append("closed")

        def get(self, path: str) -> Any:
            return {"/models": {"active": 2, "models": []}, "/devices": {"devices": []}}[path]

    monkeypatch.setattr(module, "up", lambda *_, **__: called.append("up") or state(0, tmp_path))
    monkeypatch.setattr(
        module, "deployers", lambda _folder, command, _seconds: called.append(command) or {"did": command}
    )
    monkeypatch.setattr(module, "wait_for_readings", lambda _, count, each: called.append(f"wait {count} {each:g}"))
    monkeypatch.setattr(module, "HubRest", Hub)
    monkeypatch.setattr(module, "_compared", lambda _hub, _models, boards: tuple(boards))
    return called


def test_the_stages_come_in_order_and_are_timed(folder: LabFolder, stages: list[str]) -> None:
    begun: list[str] = []
    found = turn(folder, LabSettings("a1"), 60, Stopwatch(begun.append))
    assert stages == ["up", "setup", "deploy", "wait 60 0.0006", "http://127.0.0.1:9 secret", "closed"]
    assert begun == list(found.seconds) == ["lab up", "setup", "deploy", "live readings", "comparison"]
    assert len(begun) == module.STAGES
    assert (found.comparisons, found.deployed, found.page) == (BOARDS, {"did": "deploy"}, "http://127.0.0.1:9")


def test_a_lab_that_is_up_is_used(
    folder: LabFolder, stages: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys
) -> None:
    monkeypatch.setattr(LabFolder, "is_held", lambda _: True)
    up_already = state(0, tmp_path)
    up_already["boards"] = [{"id": "board-1", "kind": "native", "acknowledged": 0}]
    folder.keep_state(up_already)
    turn(folder, LabSettings("a1", boards=2), 60, Stopwatch())
    assert stages[0] == "setup"
    # Options of another lab are not obeyed in silence.
    assert capsys.readouterr().err == "the lab that is up is used as it is, with board-1 (native) at 1e+06 s a second\n"


def test_a_fresh_lab_is_never_the_one_that_is_up(folder: LabFolder, stages: list[str], is_up, tmp_path: Path) -> None:
    folder.keep_state(state(0, tmp_path))
    turn(folder, LabSettings("a1"), 60, Stopwatch(), fresh=True)
    assert stages[0] == "up"


def test_a_hub_without_a_token_is_one_line(folder: LabFolder, stages: list[str], tmp_path: Path) -> None:
    (tmp_path / "config" / "ctl.token").unlink()
    with pytest.raises(LabError, match=r"ctl.token' cannot be used \(No such file"):
        turn(folder, LabSettings("a1"), 60, Stopwatch())


def test_a_stage_that_fails_is_not_timed() -> None:
    watch = Stopwatch()
    with watch.stage("setup"):
        time.sleep(0.02)
    with pytest.raises(ZeroDivisionError), watch.stage("deploy"):
        raise ZeroDivisionError
    assert list(watch.seconds) == ["setup"]
    assert 0.02 <= watch.seconds["setup"] < 5


@pytest.mark.parametrize(("active", "found"), [(2, {"version": 2}), (None, None), (9, None)])
def test_the_version_that_runs_is_found_among_the_models(active: int | None, found: object) -> None:
    assert active_model({"active": active, "models": [{"version": 1}, {"version": 2}]}) == found


def test_a_hub_without_the_version_it_says_it_runs_is_refused(folder: LabFolder) -> None:
    with pytest.raises(ReleaseError, match="the hub runs version 7, expected one of its models"):
        module._compared(None, {"active": 7, "models": [{"version": 1}]}, list(BOARDS))  # type: ignore[arg-type] # noqa: SLF001


def test_the_program_is_this_python(folder: LabFolder, program) -> None:
    program("import json, sys; print(json.dumps({'python': sys.executable}))")
    assert json.loads(json.dumps(deployers(folder, "setup", 30)))["python"] == sys.executable
