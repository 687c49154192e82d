"""The retrainer with a real store, real jobs and real commands."""

from __future__ import annotations

import asyncio
import json
import logging
from typing import TYPE_CHECKING, Any

import httpx
import pytest

from deployers.exceptions import Conflict, InputError, NotFound, ServiceUnavailable
from deployers.hub.retraining import service
from deployers.hub.retraining.ledger import LOST
from deployers.hub.training import TRAINING, Training
from tests.hub_parts import settings
from tests.retraining import DECAYED, STUCK, found

if TYPE_CHECKING:
    from deployers.hub.jobs import Job
    from tests.unit.deployers.hub.retraining.conftest import Bench

pytestmark = pytest.mark.anyio

ANSWERS = """
import json, os
print("epoch 1")
said = {name: os.environ["EDGELOOP_RETRAIN_" + name] for name in ("SERIES", "REASON", "REQUEST")}
print(json.dumps({"model_name": json.dumps(said), "model_version": "4", "alias": "challenger", "test": {"mae": 0.1}}))
"""
GATE = """
import json, sys
print(json.dumps({"error": {"kind": "GateError", "message": "RMSE 0.5 °C, at most 0.4", "exit_code": 3}}))
print("error: RMSE 0.5 °C, at most 0.4", file=sys.stderr)
sys.exit(3)
"""
# Ends once the file is there.
HELD = """
import os, sys, time
while not os.path.exists(sys.argv[1]):
    time.sleep(0.01)
print('{"model_version": "4"}')
"""


async def test_an_alarm_becomes_a_job_and_the_job_a_challenger(bench: Bench) -> None:
    await bench.readings("a")
    bench.says.found = {"a": found(DECAYED)}
    await bench.make(ANSWERS).turn()
    row = await bench.ended(1)
    assert (row.state, row.trigger, row.reason) == ("done", "alarm", "deficit 4.31, threshold 4.07")
    assert row.challenger is not None
    assert (row.challenger["version"], row.challenger["alias"]) == ("4", "challenger")
    assert json.loads(row.challenger["model"]) == {"SERIES": "a", "REASON": row.reason, "REQUEST": "1"}
    assert row.job is not None
    job = bench.jobs.get(row.job)
    assert (job.kind, job.about) == ("train", {"series": "a", "reason": row.reason, "request": 1})
    assert "epoch 1" in job.lines
    assert row.reading_id == 5


async def test_an_alarm_of_a_faulty_sensor_is_refused_and_no_job_runs(bench: Bench) -> None:
    await bench.readings("a")
    bench.says.found = {"a": found(DECAYED, STUCK)}
    retrainer = bench.make(ANSWERS)
    for _ in range(3):
        await retrainer.turn()
    (row,) = await bench.rows()
    assert row.state == "refused"
    assert row.answer is not None
    assert (row.answer["sensor"], row.answer["test"]) == ("a", "stuck")
    assert bench.jobs.list() == []


async def test_what_is_not_taken_now_costs_no_transaction(bench: Bench) -> None:
    await bench.readings("a", "b", "c")
    bench.says.found = {"a": found(DECAYED, STUCK), "b": found(DECAYED)}
    retrainer = bench.make(ANSWERS)
    await retrainer.turn()
    await bench.ended(2)
    before = bench.store.counters.rows
    await retrainer.turn()
    assert bench.store.counters.rows - before == 1, "only whether something waits"


async def test_without_a_cause_nothing_is_asked(bench: Bench) -> None:
    await bench.readings("a")
    bench.says.found = {"a": found(STUCK)}
    await bench.make(ANSWERS).turn()
    assert await bench.rows() == []


async def test_so_many_readings_train_and_the_count_begins_anew(bench: Bench) -> None:
    await bench.readings("a")
    retrainer = bench.make(ANSWERS, new_readings=5, cooldown_hours=0)
    await retrainer.turn()
    assert (await bench.ended(1)).trigger == "readings"
    await retrainer.turn()
    assert len(await bench.rows()) == 1
    await bench.readings("a", days=10)
    await retrainer.turn()
    assert len(await bench.rows()) == 1, "readings are counted every ten minutes"
    bench.wait(1)
    await retrainer.turn()
    assert (await bench.ended(2)).numbers == {"readings": 5, "wanted": 5}


async def test_a_series_that_has_just_begun_is_known_at_the_next_look(bench: Bench) -> None:
    retrainer = bench.make(ANSWERS, least_days=0)
    await retrainer.turn()
    await bench.readings("a")
    bench.says.found = {"a": found(DECAYED)}
    await retrainer.turn()
    assert (await bench.ended(1)).trigger == "alarm"


async def test_a_schedule_trains_when_it_is_due(bench: Bench) -> None:
    await bench.readings("a")
    retrainer = bench.make(ANSWERS, every_days=2)
    bench.wait(47)
    await retrainer.turn()
    assert await bench.rows() == []
    bench.wait(1)
    await retrainer.turn()
    assert (await bench.ended(1)).trigger == "schedule"


async def test_one_runs_the_others_wait_and_follow_by_themselves(bench: Bench) -> None:
    await bench.readings("a", "b", "c")
    retrainer = bench.make(HELD)
    await retrainer.start()
    first = await retrainer.ask("b", "because", "me")
    assert first.state == "running"
    assert (await retrainer.ask("c", "because", "me")).state == "waiting"
    assert (await retrainer.ask("a", "because", "me")).state == "waiting"
    with pytest.raises(Conflict, match="retraining 1 of 'b' is running already"):
        await retrainer.ask("b", "because", "me", force=True)
    bench.gate.touch()
    rows = await bench.until(lambda rows: all(row.state == "done" for row in rows))
    assert [row.series for row in rows] == ["b", "c", "a"]
    jobs = [bench.jobs.get(row.job or "") for row in rows]
    assert all(job.state == "done" for job in jobs)


async def test_a_sensor_that_fails_while_its_request_waits_refuses_it(bench: Bench) -> None:
    await bench.readings("a", "b")
    retrainer = bench.make(HELD)
    await retrainer.ask("b", "because", "me")
    bench.says.found = {"a": found(DECAYED)}
    await retrainer.turn()
    assert [row.state for row in await bench.rows()] == ["running", "waiting"]
    bench.says.found = {"a": found(DECAYED, STUCK)}
    bench.gate.touch()
    await bench.ended(1)
    await bench.until(lambda _: not bench.jobs.running())
    await retrainer.turn()
    row = await bench.ended(2)
    assert row.state == "refused"
    assert row.answer is not None
    assert "test 'stuck' is alarm" in row.answer["reason"]


async def test_while_another_training_runs_a_request_waits(bench: Bench) -> None:
    await bench.readings("a")
    gate = asyncio.Event()

    async def work(_: Job) -> dict[str, Any]:
        await gate.wait()
        return {}

    other = await bench.jobs.start("train", {}, work, {TRAINING})
    retrainer = bench.make(ANSWERS)
    assert (await retrainer.ask("a", "because", "me")).state == "waiting"
    await retrainer.turn()
    assert (await bench.rows())[0].state == "waiting"
    gate.set()
    await other.ended.wait()
    await retrainer.turn()
    assert (await bench.ended(1)).state == "done"


async def test_a_training_that_begins_at_the_same_moment_sends_it_back_to_wait(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    await bench.readings("a")
    gate = asyncio.Event()

    async def work(_: Job) -> dict[str, Any]:
        await gate.wait()
        return {}

    begin = bench.jobs.start

    async def late(*given: Any) -> Job:
        monkeypatch.undo()
        await begin("train", {}, work, {TRAINING})
        return await begin(*given)

    monkeypatch.setattr(bench.jobs, "start", late)
    retrainer = bench.make(ANSWERS)
    await retrainer.ask("a", "because", "me")
    (row,) = await bench.until(lambda rows: rows[0].state == "waiting")
    assert row.started_ms is None
    gate.set()
    await bench.until(lambda _: not bench.jobs.running())
    await retrainer.turn()
    assert (await bench.ended(1)).state == "done"


async def test_a_gate_that_refuses_is_an_answer(bench: Bench) -> None:
    await bench.readings("a")
    await bench.make(GATE).ask("a", "because", "me")
    row = await bench.ended(1)
    assert (row.state, row.answer) == (
        "done",
        {"challenger": None, "reason": "a gate refused: RMSE 0.5 °C, at most 0.4"},
    )


async def test_a_command_that_breaks_has_failed(bench: Bench) -> None:
    await bench.readings("a")
    await bench.make("raise SystemExit(5)").ask("a", "because", "me")
    row = await bench.ended(1)
    assert row.state == "failed"
    assert row.answer is not None
    assert "exit code 5" in row.answer["reason"]


async def test_a_webhook_is_asked_with_series_reason_and_request(bench: Bench) -> None:
    await bench.readings("a")
    asked = []

    def side(request: httpx.Request) -> httpx.Response:
        asked.append(json.loads(request.content))
        return httpx.Response(202, text="run 7 has begun")

    retrainer = bench.make("")
    train = settings(bench.root, train={"kind": "webhook", "url": "https://train.example/"})
    retrainer._training = Training(train, {}, httpx.MockTransport(side))  # noqa: SLF001
    await retrainer.ask("a", "because", "me")
    row = await bench.ended(1)
    assert asked == [{"event": "train", "parameters": {"series": "a", "reason": "because", "request": 1}}]
    assert row.answer is not None
    assert row.answer["asked"] == {"status": 202, "answer": "run 7 has begun"}


async def test_a_program_that_is_gone_is_told_to_a_person_and_fails_what_is_automatic(bench: Bench) -> None:
    await bench.readings("a")
    retrainer = bench.make("", train={"kind": "command", "command": ("/no/such/program",)})
    with pytest.raises(ServiceUnavailable, match="/no/such/program"):
        await retrainer.ask("a", "because", "me")
    assert await bench.rows() == []
    bench.says.found = {"a": found(DECAYED)}
    await retrainer.turn()
    row = await bench.ended(1)
    assert (row.state, row.started_ms is not None) == ("failed", True)
    assert row.answer is not None
    assert "/no/such/program" in row.answer["reason"]


async def test_a_series_that_is_not_there_and_a_hub_that_does_not_retrain_say_so(bench: Bench) -> None:
    with pytest.raises(NotFound, match="'attic'"):
        await bench.make("").ask("attic", "because", "me")
    await bench.readings("a")
    with pytest.raises(InputError, match=r"does not retrain, expected enabled = true in \[retraining\]"):
        await bench.make("", enabled=False).ask("a", "because", "me")


async def test_a_hub_that_is_switched_off_looks_at_nothing(bench: Bench) -> None:
    await bench.readings("a")
    bench.says.found = {"a": found(DECAYED)}
    retrainer = bench.make(ANSWERS, enabled=False)
    await retrainer.start()
    await asyncio.sleep(0.05)
    assert await bench.rows() == []
    assert await retrainer.figures() == {}
    assert (await retrainer.standing())["series"] == []


async def test_a_hub_that_goes_down_keeps_that_it_ended(bench: Bench) -> None:
    await bench.readings("a")
    retrainer = bench.make(HELD)
    await retrainer.ask("a", "because", "me")
    await bench.until(lambda rows: rows[0].job is not None)
    await bench.jobs.close()
    await retrainer.stop()
    (row,) = await bench.rows()
    assert row.state == "failed"
    assert row.answer is not None
    assert "the hub went down" in row.answer["reason"]


async def test_a_hub_that_was_killed_finds_it_failed_and_runs_what_waited(bench: Bench) -> None:
    await bench.readings("a", "b")
    retrainer = bench.make(HELD)
    await retrainer.ask("a", "because", "me")
    await retrainer.ask("b", "because", "me")
    running = retrainer._running  # noqa: SLF001
    assert running is not None
    running.cancel()  # as if it had been killed: nothing is kept of its end
    await asyncio.gather(running, return_exceptions=True)
    await bench.jobs.close()
    bench.jobs = type(bench.jobs)(bench.root / "jobs", lambda: bench.now_ms)
    await bench.jobs.open()
    again = bench.make(ANSWERS)
    await again.start()
    lost, waited = await bench.ended(1), await bench.ended(2)
    assert (lost.state, lost.answer) == ("failed", {"challenger": None, "reason": LOST})
    assert waited.state == "done"
    assert (await again.standing())["budget"]["used"] == 2


async def test_an_end_that_cannot_be_kept_is_kept_later(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(service, "AGAIN_SECONDS", 0.01)
    await bench.readings("a")
    retrainer = bench.make(HELD)
    await retrainer.ask("a", "because", "me")
    await bench.until(lambda rows: rows[0].job is not None)
    change, failures = bench.store.change, [ServiceUnavailable("disk full")] * 3

    async def full(statements: Any) -> Any:
        if failures:
            raise failures.pop()
        return await change(statements)

    monkeypatch.setattr(bench.store, "change", full)
    bench.gate.touch()
    assert (await bench.ended(1)).state == "done"
    assert not failures


async def test_what_no_one_foresaw_fails_the_request_and_not_the_hub(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    await bench.readings("a")
    retrainer = bench.make(ANSWERS)

    def broken(*_: Any) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(service.answers, "of_job", broken)
    await retrainer.ask("a", "because", "me")
    row = await bench.ended(1)
    assert row.state == "failed"
    assert row.answer is not None
    assert "the hub's log has it under retraining 1" in row.answer["reason"]
    assert "ZeroDivisionError" in caplog.text
    monkeypatch.undo()
    await retrainer.ask("a", "because", "me", force=True)
    assert (await bench.ended(2)).state == "done"


async def test_a_store_that_is_away_is_asked_again(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING)
    monkeypatch.setattr(service, "EVERY_SECONDS", 0.01)
    await bench.readings("a")
    bench.says.found = {"a": found(DECAYED)}
    retrainer = bench.make(ANSWERS)
    look, failures = bench.says.findings, [ServiceUnavailable("away"), ZeroDivisionError()]

    async def failing() -> Any:
        if failures:
            raise failures.pop(0)
        return await look()

    monkeypatch.setattr(bench.says, "findings", failing)
    await retrainer.start()
    assert (await bench.ended(1)).state == "done"
    assert "retraining waits: away" in caplog.text
    assert "retraining failed to look" in caplog.text
