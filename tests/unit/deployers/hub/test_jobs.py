from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deployers.exceptions import BoardRefused, Conflict, DeploymentRunning, NotFound
from deployers.hub import jobs as module
from deployers.hub.jobs import DEPLOYMENT, KEPT, Job, Jobs

REFUSED, INTERNAL = BoardRefused("status 12"), RuntimeError("secret path")


def within(folder: Path, body: Callable[[Jobs], Awaitable[Any]], clock: Callable[[], int] = lambda: 1_000) -> Any:
    """Run something with jobs that are opened before and closed after."""

    async def run() -> Any:
        jobs = Jobs(folder, clock)
        await jobs.open()
        try:
            return await body(jobs)
        finally:
            await jobs.close()

    return asyncio.run(run())


async def works(job: Job) -> dict[str, Any]:
    job.say("works", 0.5)
    return {"made": 1}


async def waits(_job: Job) -> dict[str, Any]:
    await asyncio.sleep(60)
    return {}


def test_a_job_is_followed_to_its_end_and_outlives_the_hub(tmp_path: Path) -> None:
    async def body(jobs: Jobs) -> dict[str, Any]:
        job = await jobs.start("test", {"version": 2}, works)
        await job.ended.wait()
        return jobs.get(job.id).as_dict()

    found = within(tmp_path / "jobs", body)
    assert (found["state"], found["result"], found["about"], found["error"]) == (
        "done",
        {"made": 1},
        {"version": 2},
        None,
    )
    assert found["log"] == ["works", "done"]
    assert (found["started_ms"], found["ended_ms"]) == (1_000, 1_000)

    async def again(jobs: Jobs) -> dict[str, Any]:
        return jobs.get(found["id"]).as_dict()

    assert within(tmp_path / "jobs", again) == found


def test_a_job_stands_on_the_disk_before_it_is_answered(tmp_path: Path) -> None:
    async def body(jobs: Jobs) -> dict[str, Any]:
        job = await jobs.start("test", {}, waits)
        read: dict[str, Any] = json.loads((tmp_path / f"{job.id}.json").read_text(encoding="utf-8"))
        return read

    assert within(tmp_path, body)["state"] == "running"


def test_progress_is_kept_while_a_job_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "SAVE_SECONDS", 0.01)

    async def says_then_waits(job: Job) -> dict[str, Any]:
        job.say("half", 0.5)
        return await waits(job)

    async def body(jobs: Jobs) -> dict[str, Any]:
        job = await jobs.start("test", {}, says_then_waits)
        await asyncio.sleep(0.1)
        read: dict[str, Any] = json.loads((tmp_path / f"{job.id}.json").read_text(encoding="utf-8"))
        return read

    assert within(tmp_path, body)["progress"] == 0.5


def test_a_job_whose_hub_vanished_is_lost(tmp_path: Path) -> None:
    running = Job("20260101T000000-0123abcd", "train", {}, 1).as_dict()
    (tmp_path / f"{running['id']}.json").write_text(json.dumps(running), encoding="utf-8")

    async def body(jobs: Jobs) -> Job:
        job = jobs.get(running["id"])
        await asyncio.wait_for(job.ended.wait(), 1)
        assert jobs.running() == []
        return job

    job = within(tmp_path, body)
    assert (job.state, job.error["code"]) == ("lost", "lost")


def test_a_job_that_runs_when_the_hub_stops_is_stopped(tmp_path: Path) -> None:
    async def body(jobs: Jobs) -> Job:
        return await jobs.start("test", {}, waits)

    job = within(tmp_path, body)
    assert job.state == "stopped"
    assert json.loads((tmp_path / f"{job.id}.json").read_text(encoding="utf-8"))["state"] == "stopped"


def test_an_error_of_ours_is_kept_with_its_code(tmp_path: Path) -> None:
    async def fails(job: Job) -> dict[str, Any]:
        job.result = {"partly": True}
        raise REFUSED

    async def body(jobs: Jobs) -> Job:
        job = await jobs.start("test", {}, fails)
        await job.ended.wait()
        return job

    job = within(tmp_path, body)
    assert job.state == "failed"
    assert job.error == {"code": "refused_by_board", "detail": "status 12", "exit_code": 9}
    assert job.result == {"partly": True}


def test_an_internal_error_is_logged_and_not_told(tmp_path: Path, caplog: Any) -> None:
    async def fails(_job: Job) -> dict[str, Any]:
        raise INTERNAL

    async def body(jobs: Jobs) -> Job:
        job = await jobs.start("test", {}, fails)
        await job.ended.wait()
        return job

    job = within(tmp_path, body)
    assert (job.state, job.error["code"]) == ("failed", "internal")
    assert "secret path" not in json.dumps(job.as_dict())
    assert "secret path" in caplog.text


def test_what_one_job_holds_no_other_gets(tmp_path: Path) -> None:
    async def body(jobs: Jobs) -> None:
        await jobs.start("deploy", {}, waits, {DEPLOYMENT, "board a"})
        with pytest.raises(DeploymentRunning, match=r"deploy '.*' uses 'deployment'"):
            await jobs.start("deploy", {}, works, {DEPLOYMENT, "board a"})
        with pytest.raises(Conflict, match="uses 'board a'"):
            await jobs.start("forward", {}, works, {"board a"})
        free = await jobs.start("forward", {}, works, {"board b"})
        await free.ended.wait()
        again = await jobs.start("forward", {}, works, {"board b"})
        await again.ended.wait()
        assert [job.kind for job in jobs.running()] == ["deploy"]

    within(tmp_path, body)


def test_nothing_begins_when_the_hub_goes_down(tmp_path: Path) -> None:
    async def body(jobs: Jobs) -> None:
        await jobs.close()
        with pytest.raises(Conflict, match="going down"):
            await jobs.start("test", {}, works)

    within(tmp_path, body)


def test_only_the_newest_jobs_are_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "KEPT", 3)
    now = iter(range(1_000, 100_000))

    async def body(jobs: Jobs) -> list[str]:
        made = []
        for _ in range(5):
            job = await jobs.start("test", {}, works)
            await job.ended.wait()
            made.append(job.id)
        await asyncio.sleep(0.05)
        assert [job.id for job in jobs.list()] == made[:1:-1]
        with pytest.raises(NotFound, match="not known here"):
            jobs.get(made[0])
        return made

    made = within(tmp_path, body, lambda: next(now))
    assert {path.stem for path in tmp_path.iterdir()} == set(made[2:])
    assert KEPT == 200


@pytest.mark.parametrize(
    "content",
    [b"", b"[]", b"{}", b"\xff", b'{"log": 3}', b'{"id": "../x", "kind": "", "about": {}, "started_ms": 1, "log": []}'],
)
def test_a_file_that_is_no_job_is_left_out(tmp_path: Path, content: bytes, caplog: Any) -> None:
    (tmp_path / "20260101T000000-0123abcd.json").write_bytes(content)
    (tmp_path / ".20260101T000000-0123abcd.json.77").write_bytes(b"cut")

    async def body(jobs: Jobs) -> Any:
        return jobs.list()

    assert within(tmp_path, body) == []
    assert "is no job" in caplog.text
    assert not list(tmp_path.glob(".*"))


def test_a_full_disk_does_not_stop_the_work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: Any) -> None:
    def full(*_: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(module, "write_private", full)

    async def body(jobs: Jobs) -> Job:
        job = await jobs.start("test", {}, works)
        await job.ended.wait()
        return job

    assert within(tmp_path, body).state == "done"
    assert "not on the disk" in caplog.text


@given(st.lists(st.text(max_size=2000), max_size=30))
def test_a_log_is_bounded_and_moves_no_cursor(lines: list[str]) -> None:
    job = Job("20260101T000000-0123abcd", "test", {}, 1)
    for line in lines:
        job.note("\x1b[2J" + line)
    kept = job.as_dict()["log"]
    assert len(kept) == len(lines)
    assert all(len(line) <= 500 and "\x1b[" not in line and "\x00" not in line for line in kept)
    assert Job.of(json.loads(json.dumps(job.as_dict()))).as_dict()["log"] == kept


def test_only_the_last_lines_stay() -> None:
    job = Job("20260101T000000-0123abcd", "test", {}, 1)
    for number in range(1000):
        job.note(str(number))
    assert len(job.lines) == 500
    assert job.as_dict(tail=2)["log"] == ["998", "999"]
    job.say("same", 0.1)
    job.say("same", 0.2)
    assert job.as_dict(tail=2)["log"] == ["999", "same"]


@pytest.mark.parametrize(("slow", "ends"), [(b'"running"', "kept"), (b'"done"', "ended")])
def test_what_a_job_said_last_is_what_stays_on_the_disk(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, slow: bytes, ends: str
) -> None:
    write = module.write_private

    def slowly(path: Path, content: bytes) -> None:
        if slow in content:
            time.sleep(0.05)
        write(path, content)

    monkeypatch.setattr(module, "write_private", slowly)

    async def body(jobs: Jobs) -> Job:
        job = await jobs.start("test", {}, works)
        while job.state == "running" or (ends == "kept" and not job.ended.is_set()):  # noqa: ASYNC110 - as it ends
            await asyncio.sleep(0)
        return job  # and the hub closes

    job = within(tmp_path, body)
    assert job.ended.is_set()
    assert json.loads((tmp_path / f"{job.id}.json").read_text(encoding="utf-8"))["state"] == "done"
