"""Rows of the page's tables."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace
from typing import Any

from deployers.hub.jobs import Job
from deployers.hub.pagerows import DEVICES_MOST, JOBS_MOST, SUBJECT_MOST, device_rows, job_rows, model_rows
from deployers.protocol.messages import SlotState
from tests.page_hub import device, model, state


def test_a_device_shows_its_slot_its_ring_and_its_firmware() -> None:
    row = device_rows([device("b", state(7), 1000)], 7)["devices"][0]
    assert row == {
        "id": "b",
        "online": True,
        "last_seen_ms": 1000,
        "busy": None,
        "firmware": "1.2.0",
        "transfer": None,
        "version": 7,
        "slot": 1,
        "slot_state": "confirmed",
        "ring": {"held": 4, "capacity": 512, "dropped": 0},
    }


def test_a_device_that_never_was_here_has_no_state() -> None:
    row = device_rows([device("b", None, None, online=False)], 7)["devices"][0]
    assert [row[name] for name in ("version", "slot", "slot_state", "ring", "firmware")] == [None] * 5


def test_a_ring_never_holds_more_than_its_capacity_nor_less_than_nothing() -> None:
    full, odd = state(7, ring_next=5000), state(7, ring_next=3)
    rows = device_rows([device("a", full, 0), device("b", odd, 0)], 7)["devices"]
    assert [row["ring"]["held"] for row in rows] == [512, 0]


def test_of_many_devices_those_in_trouble_or_at_work_are_shown() -> None:
    fleet = [device(f"board-{number:03}", state(7), 0) for number in range(500)]
    fleet[499].online = False
    fleet[498].state = state(8, SlotState.TEST)
    fleet[497].busy, fleet[497].transfer = "transfer", SimpleNamespace(done=10, total=40)
    fleet[496].state = state(6)
    found = device_rows(fleet, 7)
    ids = [row["id"] for row in found["devices"]]
    assert (len(ids), ids) == (DEVICES_MOST, sorted(ids))
    assert ids[-4:] == ["board-496", "board-497", "board-498", "board-499"]
    assert found["devices"][-3]["transfer"] == {"done": 10, "total": 40}
    assert (found["devices_total"], found["devices_online"], found["devices_behind"]) == (500, 499, 2)
    assert device_rows(fleet, None)["devices_behind"] == 0


def test_a_model_shows_its_fidelity_and_where_it_came_from() -> None:
    found = model_rows([model(8, way_back_for=7), model(7)], 7, 8)
    assert (found["active_version"], found["way_back"]) == (7, 8)
    assert found["models"][1] == {
        "version": 7,
        "is_active": True,
        "state": "installed",
        "reason": None,
        "type": "int8",
        "mae_growth": 0.0031,
        "file_bytes": 9032,
        "instructions": 118_402,
        "origin": "temperature-forecaster 3",
        "way_back_for": None,
    }
    assert (found["models"][0]["is_active"], found["models"][0]["way_back_for"]) == (False, 7)


def test_a_model_without_figures_is_shown_all_the_same() -> None:
    row = model_rows([model(7, types={}, mae_growth=None, model=None, model_version=None)], None, None)["models"][0]
    assert (row["file_bytes"], row["instructions"], row["origin"], row["is_active"]) == (None, None, "", False)


def job(number: int, **fields: Any) -> Job:
    usual = Job(f"id-{number}", "deploy", {"version": 7, "boards": ["a", "b"], "note": None}, 1000 + number)
    return replace(usual, **fields)


def test_a_job_shows_what_it_is_about_and_what_it_does() -> None:
    row = job_rows([job(1, doing="transfer to a", progress=0.5)])[0]
    assert row == {
        "id": "id-1",
        "kind": "deploy",
        "subject": "version 7, a, b",
        "state": "running",
        "started_ms": 1001,
        "ended_ms": None,
        "now": "transfer to a",
        "progress": 0.5,
        "error": None,
        "outcome": "",
    }


def test_a_job_that_failed_says_why() -> None:
    row = job_rows([job(1, state="failed", ended_ms=2000, error={"detail": "no space", "code": "x", "exit_code": 5})])[
        0
    ]
    assert (row["state"], row["ended_ms"], row["error"]) == ("failed", 2000, "no space")


def test_a_job_that_is_done_says_what_became_of_each_board() -> None:
    boards = [{"board": "a", "state": "confirmed"}, {"board": "b", "state": "absent"}]
    rows = job_rows([job(1, result={"boards": boards}), job(2, result={"epochs": 3})])
    assert [row["outcome"] for row in rows] == ["a confirmed, b absent", ""]


def test_times_in_what_a_job_is_about_are_for_programs() -> None:
    (row,) = job_rows([job(1, about={"version": 7, "boards": ["a"], "challenger_since_ms": 1714564800000})])
    assert row["subject"] == "version 7, a"


def test_only_the_newest_jobs_are_shown_and_none_with_a_long_text() -> None:
    rows = job_rows([job(number, about={"boards": ["b" * 16] * 500}) for number in range(90)])
    assert [row["id"] for row in rows] == [f"id-{number}" for number in range(JOBS_MOST)]
    assert len(rows[0]["subject"]) == SUBJECT_MOST
