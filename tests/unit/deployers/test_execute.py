"""Plans as data, and what carrying them out does."""

from __future__ import annotations

import json
from pathlib import PurePosixPath

import pytest

from deployers.connectors.base import Completed
from deployers.connectors.command import Command, Secret
from deployers.connectors.fake import FakeConnector
from deployers.connectors.faults import FaultyConnector
from deployers.exceptions import RemoteFailed, Unreachable
from deployers.execute import execute, undo
from deployers.journal import Journal
from deployers.plan import HERE, File, Plan, Step, plan_of

ROOT = PurePosixPath("/r")
KEY = File(b"key", ROOT / "key", 0o600, secret=True)
PLAN = Plan(
    "kitchen",
    (
        Step("fetch", commands=(Command(("pip", "download")),), where=HERE),
        Step("files", files=(File(b"a" * 10, ROOT / "a"), KEY), commands=(Command(("chown", "x")),)),
        Step("start", commands=(Command(("login", Secret("hunter2"))),), undo=(Command(("stop",)),)),
    ),
)


@pytest.fixture
def journal(tmp_path):
    found = Journal(tmp_path / "j.jsonl")
    yield found
    found.release()


def test_a_plan_is_json_without_secrets() -> None:
    told = json.dumps(PLAN.as_dict())
    assert "hunter2" not in told
    fetch, files, start = PLAN.as_dict()["steps"]
    assert fetch == {"name": "fetch", "where": "here", "commands": ["pip download"]}
    assert files["files"][0] == {"path": "/r/a", "mode": "0644", "bytes": 10, "sha256": PLAN.steps[1].files[0].sha256}
    assert files["files"][1] == {"path": "/r/key", "mode": "0600"}
    assert (start["commands"], start["undo"]) == (["login ***"], ["stop"])


def test_a_step_is_known_again_by_what_it_does() -> None:
    assert Step("a").digest == Step("a").digest != Step("b").digest
    changed = Step("files", files=(File(b"b", ROOT / "a"),))
    assert changed.digest != Step("files", files=(File(b"a", ROOT / "a"),)).digest


def test_files_tell_size_and_hash_wherever_they_are(tmp_path) -> None:
    (tmp_path / "a").write_bytes(b"aaa")
    there, here = File(tmp_path / "a", ROOT / "a"), File(b"aaa", ROOT / "a")
    assert (there.size, there.sha256) == (here.size, here.sha256)
    assert "key" not in repr(KEY).replace("/r/key", "")


def test_no_step_is_nothing_to_do() -> None:
    assert not plan_of("kitchen", [None, None])
    assert [step.name for step in plan_of("kitchen", [None, Step("a"), None]).steps] == ["a"]


class Watched:
    def __init__(self) -> None:
        self.seen: list[object] = []

    def begin(self, plan, step, number) -> None:
        self.seen.append((step.name, number))

    def bytes_done(self, plan, done, total) -> None:
        self.seen.append((done, total))


def test_steps_are_done_in_their_order_and_written_down(journal) -> None:
    there, here, watched = FakeConnector(), FakeConnector("here"), Watched()
    done = execute(PLAN, there, here, journal, watched)
    assert (here.commands, there.commands) == (["pip download"], ["chown x", "login ***"])
    assert there.files == {"/r/a": (b"a" * 10, 0o644), "/r/key": (b"key", 0o600)}
    assert (done.steps, done.sent) == (3, 13)
    assert watched.seen == [("fetch", 0), ("files", 1), (5, 13), (10, 13), (11, 13), (13, 13), ("start", 2)]
    entries = [(entry["event"], entry["step"], entry["sha256"]) for entry in journal.entries()]
    assert entries == [(event, step.name, step.digest) for step in PLAN.steps for event in ("begun", "done")]
    assert "hunter2" not in journal.path.read_text()


def test_the_first_step_that_fails_ends_it(journal) -> None:
    there = FakeConnector(answer=lambda _: Completed(1, b"", b"no"))
    with pytest.raises(RemoteFailed, match="kitchen: no"):
        execute(PLAN, there, FakeConnector("here"), journal)
    last = journal.entries()[-1]
    assert (last["event"], last["step"]) == ("failed", "files")
    assert "chown" in last["error"]


@pytest.mark.parametrize("call", range(1, 5))
@pytest.mark.parametrize("when", ["before", "middle", "after"])
def test_cut_anywhere_a_second_run_ends_well(journal, call, when) -> None:
    there, here = FakeConnector(), FakeConnector("here")
    with pytest.raises(Unreachable):
        execute(PLAN, FaultyConnector(there, call, when), here, journal)
    execute(PLAN, there, here, journal)
    assert there.files == {"/r/a": (b"a" * 10, 0o644), "/r/key": (b"key", 0o600)}
    assert there.commands[-2:] == ["chown x", "login ***"]


def test_what_can_be_undone_is_undone_backwards(journal) -> None:
    plan = Plan("k", (Step("a", undo=(Command(("ua",)),)), Step("b"), Step("c", where=HERE, undo=(Command(("uc",)),))))
    there, here = FakeConnector(), FakeConnector("here")
    undo(plan, there, here, journal)
    assert (there.commands, here.commands) == (["ua"], ["uc"])
    assert [entry["step"] for entry in journal.entries()] == ["c", "a"]
