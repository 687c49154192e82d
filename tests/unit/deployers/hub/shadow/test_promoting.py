"""A better challenger is promoted by a person, or by the hub: exactly once, whatever ends the hub in between."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest

from deployers.exceptions import ServiceUnavailable
from tests.hub_models import readings
from tests.model_shelf import spoil
from tests.shadow_hall import Hall

if TYPE_CHECKING:
    from pathlib import Path

    from tests.live_bench import Bench

pytestmark = pytest.mark.anyio


async def automatic(bench: Bench, folder: Path) -> Hall:
    """A hub that promotes by itself, and has a challenger that is better."""
    found = await Hall(bench, folder, shadow={"promote": "automatic"}).start()
    await found.shadows.begin(2)
    found.days([0.05] * 7)
    return found


async def test_a_better_one_waits_for_a_person_who_activates_it(hall: Hall) -> None:
    await hall.shadows.begin(2)
    hall.days([0.05] * 7)
    await hall.shadows.turn()
    row = hall.row()
    assert (row["state"], row["is_running"]) == ("better", True)
    assert row["waits_for"] == "may be promoted: deploy or activate version 2"
    await hall.shadows.turn()
    assert list(hall.jobs.list()) == []
    await hall.bench.catalogue.activate(2)
    await hall.shadows.turn()
    row = hall.row()
    assert (row["state"], row["is_running"]) == ("better", False)
    assert row["reason"].endswith("e-value 31.9; it is active now")


async def test_automatic_promotion_is_one_job_however_often_one_looks(bench: Bench, tmp_path: Path) -> None:
    hall = await automatic(bench, tmp_path)
    await hall.shadows.turn()
    assert hall.row()["waits_for"] == f"its promotion, job {hall.jobs.list()[0].id}"
    for _ in range(3):
        await hall.shadows.turn()
    (job,) = await hall.ended_jobs()
    await hall.shadows.turn()
    assert (job.kind, job.state) == ("deploy", "done")
    assert (hall.row()["state"], hall.row()["is_running"], hall.row()["promotion"]) == ("better", False, job.id)
    assert f"promoted by job {job.id}: done" in hall.row()["reason"]
    assert bench.catalogue.active is not None
    assert bench.catalogue.active.version == 2
    assert len(hall.jobs.list()) == 1
    await hall.stop()


async def test_a_hub_that_dies_after_it_began_the_promotion_does_not_begin_it_again(
    bench: Bench, tmp_path: Path, monkeypatch
) -> None:
    hall = await automatic(bench, tmp_path)
    keep, dead = bench.store.keep_challenge, ServiceUnavailable("killed")

    async def killed(kept: Any) -> None:
        if kept.promotion:
            raise dead
        await keep(kept)

    with monkeypatch.context() as dying:
        dying.setattr(bench.store, "keep_challenge", killed)
        with pytest.raises(ServiceUnavailable, match="killed"):
            await hall.shadows.turn()
        (job,) = await hall.ended_jobs()
    again = await hall.restarted(is_killed=True)
    await again.shadows.turn()
    assert [each.id for each in again.jobs.list()] == [job.id]
    await again.shadows.turn()
    assert (again.row()["promotion"], again.row()["is_running"]) == (job.id, False)
    await again.stop()


async def test_a_hub_that_dies_between_verdict_and_promotion_promotes_after_its_restart(
    bench: Bench, tmp_path: Path, monkeypatch
) -> None:
    hall = await automatic(bench, tmp_path)

    async def never(*_: Any, **__: Any) -> Any:
        msg = "killed"
        raise ServiceUnavailable(msg)

    with monkeypatch.context() as dying:
        dying.setattr("deployers.hub.shadow.service.start_deployment", never)
        await hall.shadows.turn()
        assert hall.row()["waits_for"] == "its promotion: killed"
    again = await hall.restarted()
    await again.shadows.turn()
    (job,) = await again.ended_jobs()
    await again.shadows.turn()
    assert (job.state, again.row()["promotion"]) == ("done", job.id)
    await again.stop()


async def test_a_promotion_waits_while_another_deployment_runs(bench: Bench, tmp_path: Path) -> None:
    hall = await automatic(bench, tmp_path)
    end = asyncio.Event()

    async def other(_: Any) -> dict[str, Any]:
        await end.wait()
        return {}

    await hall.jobs.start("deploy", {"version": 3}, other, {"deployment"})
    await hall.shadows.turn()
    assert len(hall.jobs.list()) == 1
    assert "uses 'deployment'" in hall.row()["waits_for"]
    end.set()
    await hall.ended_jobs()
    await hall.shadows.turn()
    assert len(hall.jobs.list()) == 2
    await hall.stop()


async def test_a_promotion_that_a_restart_cut_off_is_not_begun_again(bench: Bench, tmp_path: Path) -> None:
    hall = await automatic(bench, tmp_path)
    about = {"version": 2, "boards": [], "challenger_since_ms": 1_000_000}

    async def for_ever(_: Any) -> dict[str, Any]:
        await asyncio.Event().wait()
        return {}

    job = await hall.jobs.start("deploy", about, for_ever, {"deployment"})
    await hall.shadows.turn()
    assert hall.row()["promotion"] == job.id
    again = await hall.restarted()
    await again.shadows.turn()
    assert [each.id for each in again.jobs.list()] == [job.id]
    assert (again.row()["state"], again.row()["is_running"]) == ("ended", False)
    assert "the hub went down while this ran" in again.row()["reason"]
    await again.stop()


async def test_after_a_start_boards_have_time_to_connect_and_who_fails_is_looked_at_at_once(
    bench: Bench, tmp_path: Path, monkeypatch
) -> None:
    hall, turned = Hall(bench, tmp_path), asyncio.Event()

    async def turn() -> None:
        turned.set()

    monkeypatch.setattr(hall.shadows, "turn", turn)
    await hall.start()
    for _ in range(10):
        await asyncio.sleep(0)
    assert not turned.is_set()
    await hall.shadows.begin(2)
    running = hall.shadows.beside.running[2]
    monkeypatch.setattr(running.model, "track", None)
    await bench.came(readings(1))
    async with asyncio.timeout(60):
        await turned.wait()
    assert running.failure.startswith("it failed: TypeError")
    await hall.stop()


async def test_a_promotion_that_fails_is_not_tried_again(bench: Bench, tmp_path: Path) -> None:
    hall = await automatic(bench, tmp_path)
    spoil(tmp_path / "models" / "2" / "cell_float32.tflite")
    await hall.shadows.turn()
    (job,) = await hall.ended_jobs()
    for _ in range(2):
        await hall.shadows.turn()
    assert (job.state, len(hall.jobs.list())) == ("failed", 1)
    assert (hall.row()["state"], hall.row()["is_running"]) == ("ended", False)
    assert job.error["detail"] in hall.row()["reason"]
    assert bench.catalogue.active is not None
    assert bench.catalogue.active.version == 1
    await hall.stop()
