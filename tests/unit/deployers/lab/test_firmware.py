"""What builds a board's program, what it is given before it is delivered, and how it is started."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

import pytest

from deployers.exceptions import MissingTool
from deployers.lab import firmware
from deployers.lab.firmware import board_command, build, provision
from deployers.lab.programs import LabError
from deployers.locks import is_locked
from deployers.registry import CHECKOUT


@pytest.fixture
def makefile(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Another firmware, which is built in no time."""
    monkeypatch.setattr(firmware, "ROOT", tmp_path)
    monkeypatch.setattr(firmware, "BUILD", tmp_path / "build" / "firmware")
    (tmp_path / "firmware").mkdir()
    return tmp_path / "firmware" / "Makefile"


def test_the_kind_that_is_asked_for_is_built(makefile: Path) -> None:
    makefile.write_text("native mps2_an500:\n\techo $@ >> built\n")
    assert build("native") == firmware.PROGRAMS["native"]
    assert (makefile.parent / "built").read_text() == "native\n"


def test_a_build_that_fails_says_what_the_compiler_said(makefile: Path) -> None:
    makefile.write_text("native:\n\t@echo cc: not found >&2; exit 1\n")
    with pytest.raises(LabError, match=r"make -C firmware native failed \(code 2, .*cc: not found.*install what it"):
        build("native")
    assert not is_locked(firmware.BUILD / "lock")


def test_a_build_that_does_not_end_is_ended(makefile: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(firmware, "BUILD_SECONDS", 0.2)
    makefile.write_text("native:\n\tsleep 5\n")
    with pytest.raises(LabError, match=r"did not end within 0.2 s"):
        build("native")


def test_without_make_the_message_names_it(makefile: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(MissingTool, match="'make' is missing"):
        build("native")


def test_two_labs_do_not_build_at_once(makefile: Path) -> None:
    makefile.write_text("native:\n\ttest ! -e ../busy; touch ../busy; sleep 0.3; rm ../busy\n")
    code = "from pathlib import Path; from deployers.lab import firmware\n"
    code += f"firmware.ROOT = Path({str(firmware.ROOT)!r}); firmware.BUILD = firmware.ROOT / 'build/firmware'\n"
    code += "firmware.build('native')"
    others = [subprocess.Popen([sys.executable, "-c", code], cwd=CHECKOUT) for _ in range(3)]
    assert [other.wait(60) for other in others] == [0, 0, 0]


def test_a_build_that_another_one_holds_up_is_told(makefile: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(firmware, "BUILD_SECONDS", 0.2)
    firmware.BUILD.mkdir(parents=True)
    with (
        firmware.locked(firmware.BUILD / "lock", 0.0, OSError()),
        pytest.raises(LabError, match=r"another build holds .*lock' for 0.2 s, expected its end"),
    ):
        build("native")


def test_a_kind_that_is_none_is_refused_before_anything_is_done(makefile: Path) -> None:
    with pytest.raises(LabError, match=r"kind of board 'stm32': expected one of \['mps2_an500', 'native'\]"):
        build("stm32")
    assert not firmware.BUILD.exists()


# What a board is given


def test_keys_are_their_owners_alone(tmp_path: Path) -> None:
    provision(tmp_path / "a" / "board", bytes(range(32)), b"point")
    folder = tmp_path / "a" / "board"
    assert (folder / "key.bin").read_bytes() == bytes(range(32))
    assert (folder / "public_key.bin").read_bytes() == b"point"
    assert {path.stat().st_mode & 0o777 for path in folder.iterdir()} == {0o600}


def test_a_board_that_is_delivered_again_gets_the_new_keys_and_keeps_its_flash(tmp_path: Path) -> None:
    provision(tmp_path, bytes(32), b"old")
    (tmp_path / "flash.bin").write_bytes(b"model")
    provision(tmp_path, bytes(range(32)), b"new")
    assert (tmp_path / "public_key.bin").read_bytes() == b"new"
    assert (tmp_path / "flash.bin").read_bytes() == b"model"


@pytest.mark.parametrize("length", [0, 31, 33])
def test_a_key_of_another_length_is_refused_and_nothing_is_written(tmp_path: Path, length: int) -> None:
    with pytest.raises(LabError, match=f"link key of {length} bytes, expected 32"):
        provision(tmp_path / "board", bytes(length), b"")
    assert not (tmp_path / "board").exists()


# How it is started


def test_the_native_board_takes_its_settings_as_words() -> None:
    command = board_command("native", Path("/b/edgeloop"), "kitchen", hub_port=7, sensor_port=8, test_ms=9)
    assert command == ["/b/edgeloop", "folder=.", "id=kitchen", "port=7", "test_ms=9", "sensor=8"]
    told = board_command("native", Path("/b"), "k", hub_port=7, sensor_port=8, hub_host="10.0.0.2")
    assert "hub=10.0.0.2" in told


def test_the_emulated_board_takes_them_by_semihosting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(firmware, "find_program", lambda name, _: f"/usr/bin/{name}")
    command = board_command("mps2_an500", Path("/b/e.elf"), "kitchen", hub_port=7, sensor_port=8, hub_host="10.0.0.2")
    assert command[0] == "/usr/bin/qemu-system-arm"
    assert command[-2:] == ["-kernel", "/b/e.elf"]
    words = command[command.index("-semihosting-config") + 1].split(",")
    assert [word.removeprefix("arg=") for word in words[3:]] == ["folder=.", "id=kitchen", "port=7",
                                                                 "test_ms=3600000", "hub=10.0.0.2"]  # fmt: skip
    assert "socket,id=sensor,host=127.0.0.1,port=8" in command


def test_without_the_emulator_the_message_names_its_package(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    monkeypatch.setattr("deployers.lab.programs.FOLDERS", "/nowhere")
    with pytest.raises(MissingTool, match=r"'qemu-system-arm' is missing.*install-debian\.sh qemu-system-arm"):
        board_command("mps2_an500", Path("/b"), "k", hub_port=7, sensor_port=8)


def test_a_build_that_has_nothing_to_do_is_quick() -> None:
    build("native")
    begun = time.monotonic()
    assert build("native").exists()
    assert time.monotonic() - begun < 20
