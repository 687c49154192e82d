"""The lab's command line, with a lab that is only said to be up."""

from __future__ import annotations

import json
import os
import subprocess
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from deployers.exceptions import Conflict, GateFailed, InputError, ReleaseError
from deployers.lab import __main__ as lab
from deployers.lab import daemon, loop
from deployers.lab import up as module
from deployers.lab.feeder import Course
from deployers.lab.folder import LabFolder, LabSettings
from deployers.lab.loop import Turned
from deployers.lab.marked import VARIABLE
from deployers.lab.programs import LabError
from deployers.lab.up import down, new_settings, up


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> LabFolder:
    monkeypatch.setenv("EDGELOOP_HOME", str(tmp_path))
    return LabFolder.from_environment()


def state(folder: LabFolder, **board: Any) -> dict[str, Any]:
    one = {"id": "board-1", "kind": "native", "pid": 7, "starts": 1, "readings": 30, "acknowledged": 20}
    jetson = {"kind": "native", "port": 22222, "user": "me", "host": "127.0.0.1", "key_file": "k", "root": "/r/r"}
    return {
        "pid": 5, "ends": time.time() + 600, "speed": 600.0, "readings": "test part", "cadence_seconds": 600.0,
        "inventory": str(folder.inventory), "jetson": jetson, "boards": [{**one, "holding": False, **board}],
    }  # fmt: skip


@pytest.fixture
def is_up(folder: LabFolder, monkeypatch: pytest.MonkeyPatch) -> LabFolder:
    folder.make()
    folder.keep_state(state(folder))
    monkeypatch.setattr(LabFolder, "is_held", lambda _: True)
    return folder


def test_up_says_what_to_do_next(folder: LabFolder, monkeypatch: pytest.MonkeyPatch, capsys) -> None:
    asked: list[Any] = []
    monkeypatch.setattr(module, "up", lambda _, settings, **options: asked.append((settings, options)) or state(folder))
    assert lab.main(["up", "--boards", "3", "--board-kind", "qemu", "--speed", "60", "--fresh"]) == 0
    settings, options = asked[0]
    assert (settings.boards, settings.board_kind, settings.speed, settings.minutes) == (3, "mps2_an500", 60.0, 60.0)
    assert options == {"fresh": True, "simulated": False}
    told = capsys.readouterr().out
    for text in (
        "ssh -i k -p 22222 me@127.0.0.1",
        "20 of them on the hub",
        "in 10 min",
        "next: python -m deployers setup",
    ):
        assert text in told


def test_every_lab_has_a_mark_of_its_own() -> None:
    assert len({new_settings().mark for _ in range(20)}) == 20


def test_status_tells_a_board_that_holds_or_is_off(is_up: LabFolder, capsys) -> None:
    is_up.keep_state(state(is_up, holding=True))
    assert lab.main(["status"]) == 0
    assert "holds: its line or ring is full" in capsys.readouterr().out
    is_up.keep_state(state(is_up, pid=None))
    assert lab.main(["status"]) == 0
    assert "is starting" in capsys.readouterr().out
    assert lab.main(["status", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["up"] is True


def test_status_without_a_lab_says_how_to_start_one(folder: LabFolder, capsys) -> None:
    assert lab.main(["status"]) == 0
    assert "no lab is up: python -m deployers.lab up" in capsys.readouterr().out


def test_status_tells_of_a_lab_that_is_neither_up_nor_gone(folder: LabFolder, monkeypatch, capsys) -> None:
    folder.make()
    with folder.held():
        assert lab.main(["status"]) == 0
    assert capsys.readouterr().out == "a lab is coming up or ending: repeat in a moment\n"


def test_status_names_what_a_killed_daemon_has_left(folder: LabFolder, capsys) -> None:
    folder.make()
    settings = new_settings()
    folder.keep_settings(settings)
    left = subprocess.Popen(["sleep", "60"], env={**os.environ, VARIABLE: settings.mark})
    try:
        assert lab.main(["status"]) == 0
        expected = f"no lab is up, but processes [{left.pid}] of the last one are left: python -m deployers.lab down\n"
        assert capsys.readouterr().out == expected
    finally:
        left.kill()
        left.wait()


@pytest.mark.parametrize(("kind", "root"), [("native", "jetson"), ("arm64", "arm64/disk/var/lib/edgeloop")])
def test_logs_show_the_hubs_wherever_its_root_folder_is(folder: LabFolder, kind: str, root: str, capsys) -> None:
    folder.make()
    folder.keep_settings(LabSettings("a1", kind))
    log = folder.path / root / "run" / "hub.log"
    log.parent.mkdir(parents=True)
    log.write_text("the hub listens\n")
    assert lab.main(["logs"]) == 0
    assert capsys.readouterr().out == f"== {log}\nthe hub listens\n"


def test_logs_of_no_lab_say_how_to_start_one(folder: LabFolder, capsys) -> None:
    assert lab.main(["logs"]) == 2
    assert "no log of 'a lab' in " in (said := capsys.readouterr().err)
    assert said.endswith("expected a lab: python -m deployers.lab up\n")


@pytest.mark.parametrize("name", ["..", "../lab", "/etc", "a/b", ""])
def test_a_boards_name_leads_out_of_no_folder(is_up: LabFolder, name: str, capsys) -> None:
    (is_up.path / "board.log").write_text("not a board's")
    (is_up.board("board-1")).mkdir(parents=True)
    assert lab.main(["logs", "--board", name]) == 2
    assert "not a board's" not in capsys.readouterr().out


def test_the_loop_shows_what_came_and_then_fails_for_what_differs(
    folder: LabFolder, monkeypatch: pytest.MonkeyPatch, capsys
) -> None:
    class Differs:
        def require(self, readings: int) -> None:
            msg = f"{readings} forecasts differ"
            raise GateFailed(msg)

    turned = Turned({"inventory": "i", "ends": 0.0}, {}, {}, [], {}, (), {"setup": 1.2345}, "http://h", "secret")
    monkeypatch.setattr(loop, "turn", lambda *_, **__: turned)
    assert lab.main(["loop", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert (told["seconds"], told["page"]) == ({"setup": 1.23}, "http://h")
    monkeypatch.setattr(loop, "turn", lambda *_, **__: replace(turned, comparisons=(Differs(),)))
    monkeypatch.setattr("deployers.lab.summary.show_turn", lambda _: print("shown"))  # noqa: T201
    assert lab.main(["loop", "--readings", "77"]) == GateFailed.exit_code
    assert capsys.readouterr() == ("shown\n", "error: 77 forecasts differ\n")


def test_a_second_lab_is_refused(is_up: LabFolder) -> None:
    with pytest.raises(Conflict, match=r"a lab is up in .*deployers\.lab down"):
        up(is_up, LabSettings("a1"))


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["up", "--boards", "0"], "0 is not in the range"),
        (["up", "--boards", "65"], "65 is not in the range"),
        (["up", "--jetson", "riscv"], "'riscv' is not one of 'native', 'arm64'"),
        (["up", "--speed", "nan"], "'nan' is no number"),
        (["up", "--minutes", "0"], "0.0 is not in the range"),
        (["loop", "--readings", "9"], "9 is not in the range"),
    ],
)
def test_bad_input_is_one_line_and_exit_code_2(folder: LabFolder, words: list[str], said: str, capsys) -> None:
    assert lab.main(words) == 2
    assert said in capsys.readouterr().err
    assert not folder.path.exists()


def test_down_without_a_lab_does_nothing(folder: LabFolder, capsys) -> None:
    assert lab.main(["down", "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == {"ended": []}
    assert down(folder, remove=True) == []


def test_logs_show_the_last_lines(is_up: LabFolder, capsys) -> None:
    is_up.log.write_text("\n".join(map(str, range(100))))
    assert lab.main(["logs", "--lines", "2"]) == 0
    assert capsys.readouterr().out.endswith("98\n99\n")


# What a new lab gets


def test_the_readings_are_the_champions_or_a_simulated_room(folder: LabFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    folder.make()
    champion = Course(np.arange(3) * 1000, np.arange(3), 1.0, "champion")
    monkeypatch.setattr(module, "_champion_course", lambda: champion)
    module._readings(folder, simulated=False)  # noqa: SLF001
    assert Course.read(folder.readings).source == "champion"
    module._readings(folder, simulated=True)  # noqa: SLF001 - those that are there stay
    assert Course.read(folder.readings).source == "champion"
    folder.readings.unlink()
    monkeypatch.setattr(module, "_champion_course", lambda: None)
    module._readings(folder, simulated=False)  # noqa: SLF001
    assert Course.read(folder.readings).source.startswith("simulated room")


def test_only_a_champion_that_does_not_exist_is_replaced_by_a_simulation(
    monkeypatch: pytest.MonkeyPatch, capsys
) -> None:
    def raises(error: Exception) -> Any:
        def fetch(*_: object) -> None:
            raise error

        return fetch

    monkeypatch.setattr(module, "fetch_release", raises(InputError("nothing trained")))
    assert module._champion_course() is None  # noqa: SLF001
    assert capsys.readouterr().err == "no champion (nothing trained); the boards are fed a simulated room\n"
    monkeypatch.setattr(module, "fetch_release", raises(ReleaseError("a file was changed")))
    with pytest.raises(ReleaseError, match="a file was changed"):
        module._champion_course()  # noqa: SLF001


def test_a_signing_key_is_made_once(folder: LabFolder) -> None:
    folder.make()
    module._signing_key(folder)  # noqa: SLF001
    first = (folder.keys / "signing.key").read_bytes()
    module._signing_key(folder)  # noqa: SLF001
    assert (folder.keys / "signing.key").read_bytes() == first
    assert (folder.keys / "signing.key.pub").stat().st_size == 65


# The daemon


def test_a_daemon_without_settings_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys) -> None:
    monkeypatch.setattr(daemon.sys, "argv", ["daemon", str(tmp_path)])
    assert daemon.main() == LabError.exit_code
    assert "has no settings.json: python -m deployers.lab up" in capsys.readouterr().out


def test_a_kernel_that_refuses_a_subreaper_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    class Kernel:
        @staticmethod
        def prctl(*_: int) -> int:
            return -1

    monkeypatch.setattr(daemon.ctypes, "CDLL", lambda *_, **__: Kernel)
    with pytest.raises(LabError, match=r"expected Linux 3\.4 or newer"):
        daemon.become_subreaper()
