"""The journal: what is written stays, whoever is killed when."""

from __future__ import annotations

import fcntl
import json
import os
import subprocess
import sys
import threading
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deployers.exceptions import DeploymentRunning, InputError, ServiceUnavailable
from deployers.journal import Journal, deploy_home, deployment_lock, journals, read_entries, running, unfinished

ROOT = Path(__file__).resolve().parents[3]


def clock() -> float:
    return 1_800_000_000.25


def test_lines_are_kept_in_their_order(tmp_path) -> None:
    journal = Journal.create(tmp_path / "new", "deploy", clock)
    journal.write("begun", step="upload", jetson="kitchen")
    journal.close("done")
    first, last = journal.entries()
    assert first == {"time": "2027-01-15T08:00:00.250Z", "event": "begun", "step": "upload", "jetson": "kitchen"}
    assert (last["event"], last["result"]) == ("closed", "done")
    assert journal.identity.startswith("2027-01-15T08-00-00-250000Z-deploy-")
    assert journal.path.stat().st_mode & 0o777 == 0o600


def test_every_line_is_on_the_disk_before_the_next(tmp_path, monkeypatch) -> None:
    synced: list[int] = []
    real = os.fsync
    monkeypatch.setattr(os, "fsync", lambda file: (synced.append(len((tmp_path / "j.jsonl").read_bytes())), real(file)))
    journal = Journal(tmp_path / "j.jsonl")
    journal.write("a")
    journal.write("b")
    assert len(synced) == 2
    assert synced[1] == len((tmp_path / "j.jsonl").read_bytes())


@given(st.integers(0, 200))
def test_a_line_that_was_cut_is_left_out_and_cut_off(tmp_path_factory, cut: int) -> None:
    path = tmp_path_factory.mktemp("j") / "x.jsonl"
    journal = Journal(path, clock)
    for number in range(3):
        journal.write("step", number=number)
    journal.release()
    whole = path.read_bytes()
    path.write_bytes(whole[: max(0, len(whole) - cut)])
    kept = [entry["number"] for entry in read_entries(path)]
    assert kept == list(range(len(kept)))
    again = Journal(path, clock)
    again.write("resumed")
    assert [entry.get("number", entry["event"]) for entry in again.entries()] == [*kept, "resumed"]
    again.release()


@pytest.mark.parametrize("line", [b"no json\n", b"[1]\n", b'{"time": 1}\n', b"\xff\xfe\n", b"\n"])
def test_a_line_that_no_deployment_wrote_is_named(tmp_path, line) -> None:
    path = tmp_path / "x.jsonl"
    path.write_bytes(b'{"time": "t", "event": "begun"}\n' + line)
    with pytest.raises(InputError, match="line 2 of journal"):
        read_entries(path)


def test_a_journal_that_is_not_there_is_named(tmp_path) -> None:
    with pytest.raises(InputError, match="No such file"):
        read_entries(tmp_path / "x.jsonl")


def test_a_disk_that_refuses_is_explained(tmp_path, monkeypatch) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ServiceUnavailable, match="cannot be written"):
        Journal(tmp_path / "file" / "x.jsonl")
    journal = Journal(tmp_path / "x.jsonl")

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "write", full)
    with pytest.raises(ServiceUnavailable, match="No space left"):
        journal.write("begun")


def test_a_disk_that_takes_a_part_of_a_line_leaves_none_of_it(tmp_path, monkeypatch) -> None:
    journal, write = Journal(tmp_path / "j.jsonl", clock), os.write
    journal.write("one")
    monkeypatch.setattr(os, "write", lambda file, line: write(file, line[:7]))
    with pytest.raises(ServiceUnavailable, match="No space left"):
        journal.write("two")
    monkeypatch.undo()
    journal.write("three")
    assert [entry["event"] for entry in journal.entries()] == ["one", "three"]


def test_a_file_of_somebody_else_is_no_journal(tmp_path) -> None:
    (tmp_path / "notes.jsonl").write_text("mine")
    assert unfinished(tmp_path, "deploy") is None


def test_threads_do_not_mix_their_lines(tmp_path) -> None:
    journal = Journal(tmp_path / "x.jsonl")
    threads = [
        threading.Thread(target=lambda n=n: [journal.write("e", n=n, pad="x" * 500) for _ in range(20)])
        for n in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(journal.entries()) == 80


def test_the_newest_that_did_not_end_is_found(tmp_path) -> None:
    assert unfinished(tmp_path, "deploy") is None
    times = iter(range(1_800_000_000, 1_800_000_100))
    first = Journal.create(tmp_path, "deploy", lambda: next(times))
    assert unfinished(tmp_path, "deploy") == first.path  # killed before its first line
    first.write("begun")
    assert unfinished(tmp_path, "deploy") == first.path
    assert unfinished(tmp_path, "setup") is None
    first.close("done")
    assert unfinished(tmp_path, "deploy") is None
    second = Journal.create(tmp_path, "deploy", lambda: next(times))
    second.write("begun")
    assert unfinished(tmp_path, "deploy") == second.path
    assert all(a.name < b.name for a, b in pairwise(journals(tmp_path)))


@pytest.mark.parametrize("steps", [(0.0, 0.0, 0.0), (0.0, -3600.0, 1e-6), (0.0, 0.3, 0.6)])
def test_names_are_in_the_order_of_creation_also_within_a_second_and_after_a_clock_set_back(tmp_path, steps) -> None:
    (tmp_path / "z.jsonl").write_text("somebody else's")
    for _ in range(5):
        made = [Journal.create(tmp_path, "fleet", lambda step=step: clock() + step).path for step in steps]
        assert journals(tmp_path)[-len(steps) :] == made


def test_two_deployments_at_once_are_refused(tmp_path) -> None:
    holder = rf"process {os.getpid()} since .*expected one at a time"
    with (
        deployment_lock(tmp_path),
        pytest.raises(DeploymentRunning, match=holder) as refused,
        deployment_lock(tmp_path),
    ):
        pytest.fail("both run")
    assert refused.value.exit_code == 11
    with deployment_lock(tmp_path):
        pass


def test_who_has_the_lock_is_told_without_taking_it(tmp_path) -> None:
    assert running(tmp_path) is None
    with deployment_lock(tmp_path):
        assert (running(tmp_path) or "").startswith(f"process {os.getpid()} since ")
    assert running(tmp_path) is None
    with deployment_lock(tmp_path):
        pass


def test_a_look_at_the_lock_keeps_no_deployment_out(tmp_path, monkeypatch) -> None:
    with deployment_lock(tmp_path):
        pass
    looking = os.open(tmp_path / "lock", os.O_RDONLY)
    fcntl.flock(looking, fcntl.LOCK_SH)
    monkeypatch.setattr("deployers.journal.time.sleep", lambda _seconds: os.close(looking))
    with deployment_lock(tmp_path):
        pass


def test_the_lock_of_a_killed_process_is_free(tmp_path) -> None:
    code = (
        "import sys, os, pathlib; from deployers.journal import deployment_lock\n"
        "with deployment_lock(pathlib.Path(sys.argv[1])): print('in', flush=True); os.kill(os.getpid(), 9)"
    )
    done = subprocess.run([sys.executable, "-c", code, str(tmp_path)], cwd=ROOT, capture_output=True, check=False)
    assert (done.returncode, done.stdout) == (-9, b"in\n")
    with deployment_lock(tmp_path):
        pass


def test_a_lock_that_cannot_be_made_is_explained(tmp_path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ServiceUnavailable, match="cannot be written"), deployment_lock(tmp_path / "file"):
        pass


def test_the_home_is_in_the_environment(monkeypatch, tmp_path) -> None:
    monkeypatch.setenv("EDGELOOP_HOME", str(tmp_path))
    assert deploy_home() == tmp_path / "deploy"
    monkeypatch.delenv("EDGELOOP_HOME")
    assert deploy_home() == ROOT / ".edgeloop" / "deploy"


def test_a_line_has_no_number_that_is_none(tmp_path) -> None:
    with pytest.raises(ValueError, match="Out of range"):
        Journal(tmp_path / "x.jsonl").write("e", value=float("nan"))
    assert json.loads((tmp_path / "x.jsonl").read_text() or "[]") == []
