"""One turn of the loop: the order of its stages, what it waits for, and what becomes of a stage that fails."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest

from deployers.exceptions import ReleaseError
from deployers.lab import loop as module
from deployers.lab.firmware import LabError
from deployers.lab.folder import LabFolder, LabSettings
from deployers.lab.loop import Course, StageFailed, deployers, turn, wait_for_readings

BOARDS = ("board-1", "board-2")


@pytest.fixture
def folder(tmp_path: Path) -> LabFolder:
    made = LabFolder(tmp_path / "lab")
    made.make()
    return made


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


def test_a_command_that_fails_hands_on_its_line_and_its_exit_code(folder: LabFolder, program) -> None:
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


# Live readings


def test_it_waits_until_every_board_has_sent_enough(
    folder: LabFolder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    counts = iter([5, 5, 8, 30, 65])
    monkeypatch.setattr(LabFolder, "state", lambda _: state(next(counts), tmp_path))
    monkeypatch.setattr(module, "_POLL_SECONDS", 0)
    wait_for_readings(folder, 60)
    assert list(counts) == []


def test_readings_that_do_not_come_are_counted(
    folder: LabFolder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder.keep_state(state(5, tmp_path))
    monkeypatch.setattr(module, "SLOWEST_SECONDS", 0.1)
    with pytest.raises(LabError, match=r"readings \{'board-1': 0, 'board-2': 0\} came within .* expected 60 each"):
        wait_for_readings(folder, 60)


def test_a_lab_that_has_ended_meanwhile_is_told(folder: LabFolder) -> None:
    folder.log.write_text("ended by its time\n")
    with pytest.raises(LabError, match=r"the lab has ended, .*'ended by its time': give more --minutes"):
        wait_for_readings(folder, 60)


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
    monkeypatch.setattr(module, "wait_for_readings", lambda _, count: called.append(f"wait {count}"))
    monkeypatch.setattr(module, "HubRest", Hub)
    monkeypatch.setattr(module, "_compared", lambda _hub, _models, boards: tuple(boards))
    return called


def test_the_stages_come_in_order_and_are_timed(folder: LabFolder, stages: list[str]) -> None:
    begun: list[str] = []
    found = turn(folder, LabSettings("a1"), 60, Course(begun.append))
    assert stages == ["up", "setup", "deploy", "wait 60", "http://127.0.0.1:9 secret", "closed"]
    assert begun == list(found.seconds) == ["lab up", "setup", "deploy", "live readings", "comparison"]
    assert len(begun) == module.STAGES
    assert (found.comparisons, found.deployed, found.page) == (BOARDS, {"did": "deploy"}, "http://127.0.0.1:9")


def test_a_lab_that_is_up_is_used(
    folder: LabFolder, stages: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder.keep_state(state(0, tmp_path))
    monkeypatch.setattr(LabFolder, "is_held", lambda _: True)
    turn(folder, LabSettings("a1"), 60, Course())
    assert stages[0] == "setup"


def test_a_hub_without_the_version_it_says_it_runs_is_refused(folder: LabFolder) -> None:
    with pytest.raises(ReleaseError, match="the hub runs version 7, expected one of its models"):
        module._compared(None, {"active": 7, "models": [{"version": 1}]}, list(BOARDS))  # type: ignore[arg-type] # noqa: SLF001


def test_the_program_is_this_python(folder: LabFolder, program) -> None:
    program("import json, sys; print(json.dumps({'python': sys.executable}))")
    assert json.loads(json.dumps(deployers(folder, "setup", 30)))["python"] == sys.executable
