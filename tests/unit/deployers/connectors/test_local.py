"""The connector to the machine that the deployer runs on."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
import time
from pathlib import Path, PurePosixPath

import pytest

from deployers.connectors.base import require
from deployers.connectors.command import Command, script
from deployers.connectors.local import LocalConnector
from deployers.exceptions import InputError, NotFound, RemoteFailed, ServiceUnavailable, Unreachable

HERE = LocalConnector()
ROOT = Path(__file__).resolve().parents[4]


def remote(path: Path) -> PurePosixPath:
    return PurePosixPath(path)


def test_output_and_exit_code_come_back() -> None:
    done = HERE.run(Command(("sh", "-c", "cat; echo oops >&2; exit 3"), input=b"hello"))
    assert (done.code, done.stdout, done.stderr, done.text) == (3, b"hello", b"oops\n", "hello")


def test_a_program_that_is_not_there_is_an_exit_code() -> None:
    done = HERE.run(Command(("no-such-program",)))
    assert done.code == 127
    assert b"no-such-program" in done.stderr


def test_a_command_that_hangs_is_ended_with_its_children(tmp_path) -> None:
    pid = tmp_path / "pid"
    with pytest.raises(Unreachable, match=r"did not end within 0\.3 s"):
        HERE.run(script('sleep 60 & echo $! > "$1"; wait', pid, timeout=0.3))
    child = int(pid.read_text())
    for _ in range(100):
        if not Path(f"/proc/{child}").exists() or "Z" in Path(f"/proc/{child}/stat").read_text().split(")")[1]:
            return
        time.sleep(0.02)
    pytest.fail("the child lives on")


def test_a_command_ends_with_a_deployer_that_is_killed(tmp_path) -> None:
    code = (
        "import sys; from deployers.connectors.local import LocalConnector as Here\n"
        "from deployers.connectors.command import script\n"
        'Here().run(script(\'echo $$ > "$1.new"; mv "$1.new" "$1"; while :; do sleep 0.1; done\', sys.argv[1]))'
    )
    pid = tmp_path / "pid"
    with subprocess.Popen([sys.executable, "-c", code, str(pid)], cwd=ROOT) as deployer:
        while not pid.exists():
            time.sleep(0.02)
        deployer.kill()
    for _ in range(200):
        if not Path(f"/proc/{pid.read_text().strip()}").exists():
            return
        time.sleep(0.02)
    pytest.fail("the command lives on")


def test_another_exit_code_than_wanted_is_an_error() -> None:
    with pytest.raises(RemoteFailed, match=r"here: nothing there .*ended with 4, expected 0 or 5"):
        require(HERE, script("echo nothing there; exit 4", accepted=(0, 5)))
    assert require(HERE, script("exit 5", accepted=(0, 5))).code == 5


def test_a_file_arrives_whole_with_its_mode(tmp_path) -> None:
    moved = HERE.upload(b"abc", remote(tmp_path / "x"), 0o600)
    assert (moved.size, moved.sent, moved.sha256) == (3, 3, hashlib.sha256(b"abc").hexdigest())
    assert ((tmp_path / "x").read_bytes(), (tmp_path / "x").stat().st_mode & 0o777) == (b"abc", 0o600)
    assert HERE.sha256(remote(tmp_path / "x")) == moved.sha256
    assert HERE.upload(b"abc", remote(tmp_path / "x"), 0o600).sent == 0
    assert HERE.upload(b"abc", remote(tmp_path / "x"), 0o644).sent == 3
    assert [path.name for path in tmp_path.iterdir()] == ["x"]


def test_files_come_from_files(tmp_path) -> None:
    (tmp_path / "a").write_bytes(b"abc")
    seen: list[tuple[int, int]] = []
    HERE.upload(tmp_path / "a", remote(tmp_path / "b"), progress=lambda done, total: seen.append((done, total)))
    assert HERE.download(remote(tmp_path / "b"), tmp_path / "c").size == 3
    assert ((tmp_path / "c").read_bytes(), seen) == (b"abc", [(3, 3)])


def test_what_is_not_there_has_no_hash_and_cannot_be_fetched(tmp_path) -> None:
    assert HERE.sha256(remote(tmp_path / "x")) is None
    with pytest.raises(NotFound, match="no file"):
        HERE.download(remote(tmp_path / "x"), tmp_path / "y")


def test_a_folder_that_is_missing_is_explained(tmp_path) -> None:
    with pytest.raises(InputError, match="expected a folder that exists"):
        HERE.upload(b"x", remote(tmp_path / "no" / "x"))


def test_a_full_disk_is_explained(tmp_path, monkeypatch) -> None:
    HERE.upload(b"old", remote(tmp_path / "x"))

    def full(_file: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(ServiceUnavailable, match=r"No space left .*expected room on its disk"):
        HERE.upload(b"new", remote(tmp_path / "x"))
    assert (tmp_path / "x").read_bytes() == b"old"


def test_what_cannot_be_read_is_explained(tmp_path) -> None:
    with pytest.raises(ServiceUnavailable, match="check the permissions"):
        HERE.sha256(remote(tmp_path))
    with pytest.raises(ServiceUnavailable, match="check the permissions"):
        HERE.download(remote(tmp_path), tmp_path / "y")


def test_closing_is_free() -> None:
    HERE.close()
