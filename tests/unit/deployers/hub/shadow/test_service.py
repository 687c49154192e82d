"""Which challengers run, also after a restart; and how they end."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from deployers.exceptions import Conflict, GateFailed, NotFound, ServiceUnavailable
from tests.hub_models import Kind, readings, upload
from tests.model_shelf import spoil
from tests.shadow_hall import DAY, Hall

if TYPE_CHECKING:
    from pathlib import Path

    from tests.live_bench import Bench

pytestmark = pytest.mark.anyio


# Which run


async def test_a_version_begins_beside_the_active_one_and_forecasts(hall: Hall) -> None:
    row = await hall.shadows.begin(2)
    assert (row["version"], row["champion"], row["state"], row["is_running"]) == (2, 1, "running", True)
    assert (row["since_ms"], hall.listed()) == (1_000_000, [2])
    await hall.bench.came(readings(3))
    await hall.bench.came([])
    assert {made.source for made in hall.bench.store.made} == {"hub", "shadow"}
    assert b'edgeloop_forecasts_total{source="shadow"} 3.0' in exposed(hall)


def exposed(hall: Hall) -> bytes:
    from prometheus_client import generate_latest

    return generate_latest(hall.metrics.registry)


async def test_beginning_again_changes_nothing(hall: Hall) -> None:
    first = await hall.shadows.begin(2)
    hall.now = 2000.0
    assert await hall.shadows.begin(2) == first


async def test_who_can_be_no_challenger_is_told_why(hall: Hall) -> None:
    with pytest.raises(NotFound, match="version 9 is not installed"):
        await hall.shadows.begin(9)
    with pytest.raises(Conflict, match="version 1 is active itself"):
        await hall.shadows.begin(1)
    await hall.shadows.begin(2)
    with pytest.raises(Conflict, match=r"challengers are \[2\], expected fewer than 1: end one first"):
        await hall.shadows.begin(3)
    assert hall.listed() == [2]


async def test_without_an_active_version_or_a_monitor_nothing_would_be_compared(bench: Bench, tmp_path: Path) -> None:
    unwatched = Hall(bench, tmp_path, monitor={"enabled": False})
    with pytest.raises(Conflict, match=r"monitor.enabled is false"):
        await unwatched.shadows.begin(2)
    bench.catalogue.active = None
    with pytest.raises(Conflict, match="no version is active"):
        await Hall(bench, tmp_path).shadows.begin(2)


async def test_a_version_of_another_cadence_cannot_be_compared(hall: Hall, monkeypatch) -> None:
    active: Any = hall.bench.catalogue.active
    monkeypatch.setattr(type(active), "cadence_ms", 60_000)
    with pytest.raises(Conflict, match="version 2 steps every 600 s, expected 60 s"):
        await hall.shadows.begin(2)


async def test_one_that_fails_its_golden_vectors_never_begins(hall: Hall) -> None:
    spoil(hall.folder / "models" / "2" / "cell_float32.tflite")
    with pytest.raises(GateFailed):
        await hall.shadows.begin(2)
    assert hall.shadows.view()["challengers"] == []
    assert hall.shadows.beside.running == {}


async def test_as_many_as_the_settings_allow_are_compared_each_for_itself(bench: Bench, tmp_path: Path) -> None:
    hall = await Hall(bench, tmp_path, shadow={"at_most": 2}).start()
    await hall.shadows.begin(2)
    await hall.shadows.begin(3)
    hall.days([0.01] * 2)
    hall.days([-0.01] * 3, versions=(1, 3))
    await hall.shadows.turn()
    assert [(hall.row(v)["days_better"], hall.row(v)["days_worse"]) for v in (2, 3)] == [(2, 0), (0, 3)]
    await hall.stop()


# After a restart


async def test_after_a_restart_it_runs_again_with_its_days(hall: Hall) -> None:
    await hall.shadows.begin(2)
    hall.days([0.01, -0.01, 0.01])
    await hall.shadows.turn()
    before = hall.row()
    assert before["days_compared"] == 3
    again = await hall.restarted()
    assert {**again.row(), "cost": None} == {**before, "cost": None}
    assert list(again.shadows.beside.running) == [2]
    again.days([0.01] * 4, first=DAY + 3)
    await again.shadows.turn()
    assert (again.row()["days_compared"], again.row()["days_better"]) == (7, 6)
    await again.stop()


async def test_one_that_does_not_run_any_more_after_a_restart_keeps_the_reason(hall: Hall) -> None:
    await hall.shadows.begin(2)
    spoil(hall.folder / "models" / "2" / "cell_float32.tflite")
    again = await hall.restarted()
    row = again.row()
    assert (row["state"], row["is_running"], again.listed()) == ("ended", False, [])
    assert row["reason"].startswith("it did not run after a restart")
    await again.stop()


async def test_one_that_was_ended_just_before_the_hub_died_does_not_run_again(hall: Hall) -> None:
    await hall.shadows.begin(2)
    (hall.folder / "models" / "challengers.json").write_text('{"versions": []}')
    again = await hall.restarted()
    assert (again.row()["reason"], again.shadows.beside.running) == ("it was ended before the hub was", {})
    await again.stop()


async def test_a_list_that_cannot_be_read_ends_them_and_nothing_else(hall: Hall) -> None:
    await hall.shadows.begin(2)
    (hall.folder / "models" / "challengers.json").write_text("{")
    again = await hall.restarted()
    assert again.row()["is_running"] is False
    assert again.bench.catalogue.damaged == {}, "the list is no model"
    await again.stop()


# How they end


async def test_a_person_ends_it_and_what_was_found_stays(hall: Hall) -> None:
    await hall.shadows.begin(2)
    hall.days([0.01] * 3)
    await hall.shadows.turn()
    row = await hall.shadows.end(2)
    assert (row["state"], row["reason"], row["days_compared"]) == ("ended", "it was ended by a person", 3)
    assert (hall.listed(), hall.shadows.beside.running) == ([], {})
    with pytest.raises(NotFound, match="version 2 is no challenger now, expected one of none"):
        await hall.shadows.end(2)


async def test_one_that_raises_is_ended_with_its_reason(hall: Hall) -> None:
    await hall.shadows.begin(2)
    hall.shadows.beside.running[2].failure = "it failed: ValueError: broken"
    await hall.shadows.turn()
    assert (hall.row()["state"], hall.row()["reason"]) == ("ended", "it failed: ValueError: broken")
    assert hall.shadows.beside.running == {}


async def test_one_that_becomes_active_is_no_challenger_any_more(hall: Hall) -> None:
    await hall.shadows.begin(2)
    await hall.bench.catalogue.activate(2)
    await hall.shadows.turn()
    row = hall.row()
    assert (row["state"], row["is_running"], row["reason"], hall.listed()) == ("ended", False, "it is active now", [])


async def test_one_that_is_removed_is_no_challenger_any_more(hall: Hall) -> None:
    await hall.shadows.begin(2)
    for version in (11, 12, 13, 14, 15):
        await hall.bench.catalogue.install(upload(hall.folder / f"up{version}", version, Kind()))
    await hall.shadows.turn()
    assert (hall.row()["state"], hall.row()["reason"]) == ("ended", "it was removed from the hub")


async def test_one_that_fails_when_it_is_activated_is_no_challenger_any_more(hall: Hall) -> None:
    await hall.shadows.begin(2)
    spoil(hall.folder / "models" / "2" / "cell_float32.tflite")
    with pytest.raises(GateFailed):
        await hall.bench.catalogue.activate(2)
    await hall.shadows.turn()
    assert hall.row()["state"] == "ended"
    assert hall.row()["reason"].startswith("it failed: ")


async def test_another_champion_is_a_comparison_from_the_beginning(hall: Hall) -> None:
    await hall.shadows.begin(2)
    hall.days([0.05] * 6)
    await hall.shadows.turn()
    await hall.bench.catalogue.activate(3)
    hall.days([0.05] * 6, versions=(3, 2))
    hall.now = 3000.0
    await hall.shadows.turn()
    row = hall.row()
    assert (row["champion"], row["days_compared"], row["since_ms"], row["is_running"]) == (3, 0, 3_000_000, True)
    assert row["reason"] == "compared with version 3 from the beginning, which took the champion's place"
    await hall.shadows.turn()
    assert hall.row()["days_compared"] == 0, "days that there were already say nothing"
    hall.days([0.05] * 2, first=DAY + 7, versions=(3, 2))
    await hall.shadows.turn()
    assert hall.row()["days_compared"] == 2


async def test_a_champion_of_another_cadence_ends_it(hall: Hall, monkeypatch) -> None:
    await hall.shadows.begin(2)
    active: Any = hall.bench.catalogue.active
    monkeypatch.setattr(type(active), "cadence_ms", 60_000)
    await hall.shadows.turn()
    assert (hall.row()["state"], hall.row()["reason"]) == (
        "ended",
        "version 1 became active, which steps at another pace",
    )


async def test_without_an_active_version_it_waits(hall: Hall) -> None:
    await hall.shadows.begin(2)
    hall.bench.catalogue.active = None
    await hall.shadows.turn()
    assert hall.row()["is_running"] is True


async def test_the_last_ones_are_shown_those_that_run_first(hall: Hall, monkeypatch) -> None:
    for version in (2, 3):
        hall.now += 1
        await hall.shadows.begin(version)
        await hall.shadows.end(version)
    await hall.shadows.begin(2)
    assert [row["version"] for row in hall.shadows.view()["challengers"]] == [2, 3]
    monkeypatch.setattr("deployers.hub.shadow.service.SHOWN_MOST", 1)
    assert [row["version"] for row in hall.shadows.view()["challengers"]] == [2]


async def test_days_of_an_earlier_comparison_do_not_count_again(hall: Hall) -> None:
    await hall.shadows.begin(2)
    hall.days([0.05] * 6)
    await hall.shadows.turn()
    await hall.shadows.end(2)
    await hall.shadows.begin(2)
    await hall.shadows.turn()
    assert (hall.row()["days_compared"], hall.row()["state"]) == (0, "running")


@pytest.mark.parametrize(
    ("apart", "state"), [([-0.05] * 7, "worse"), ([0.01, -0.01] * 14, "undecided")], ids=["worse", "undecided"]
)
async def test_a_verdict_against_it_ends_it_and_the_champion_stays(hall: Hall, apart: list[float], state: str) -> None:
    await hall.shadows.begin(2)
    hall.days(apart)
    await hall.shadows.turn()
    row = hall.row()
    assert (row["state"], row["is_running"], hall.listed()) == (state, False, [])
    assert hall.bench.catalogue.active is not None
    assert hall.bench.catalogue.active.version == 1


async def test_a_store_that_does_not_answer_changes_nothing(hall: Hall) -> None:
    await hall.shadows.begin(2)
    hall.days([0.05] * 7)
    hall.bench.store.failure = ServiceUnavailable("locked")
    with pytest.raises(ServiceUnavailable):
        await hall.shadows.turn()
    assert hall.row()["days_compared"] == 0
    hall.bench.store.failure = None
    await hall.shadows.turn()
    assert hall.row()["state"] == "better"


def test_the_settings_allow_as_many_as_the_monitor_remembers() -> None:
    from pydantic import ValidationError

    from deployers.hub.settings import ShadowSection
    from deployers.hub.store.records import CHALLENGERS_MOST

    assert ShadowSection(at_most=CHALLENGERS_MOST).at_most == CHALLENGERS_MOST
    with pytest.raises(ValidationError):
        ShadowSection(at_most=CHALLENGERS_MOST + 1)
    with pytest.raises(ValidationError, match="least_days 9 is above most_days 8"):
        ShadowSection(least_days=9, most_days=8)
