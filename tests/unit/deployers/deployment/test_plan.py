"""Plans as golden JSON: what deploy does is a pure function of what is wanted and what is there.

EDGELOOP_WRITE_PLANS=1 writes the files again; read the difference before you keep it.
"""

from __future__ import annotations

import json
import os
from pathlib import Path, PurePosixPath
from typing import Any

import pytest

from deployers.deployment.going_back import rollback_plan
from deployers.deployment.places import Target, Workshop
from deployers.deployment.plan import Numbers, Patience, deployment_plan
from deployers.deployment.state import HubThere
from deployers.deployment.wanted import Wanted
from deployers.deployment.waves import Device
from deployers.exceptions import Conflict
from deployers.site import Site

GOLDEN = Path(__file__).parents[3] / "plans"
NEW, OLD = "ab" * 32, "cd" * 32
WANTED = Wanted(NEW, "temperature-forecaster", "7", ("--budget", "0.01"))
SITE = Site("kitchen", PurePosixPath("/var/lib/edgeloop"), "jetson", "jetson", (), systemd=False)
APART = Site("kitchen", PurePosixPath("/var/lib/edgeloop"), "admin", "edgeloop", ("sudo", "-n"), systemd=True)


def model(version: int, release: str, **more: Any) -> dict[str, Any]:
    told = {"version": version, "release_sha256": release, "image_sha256": f"{version:02x}" * 32, "chosen": "int8"}
    return {**told, "model": "temperature-forecaster", "model_version": "6", **more}


def hub(active: int | None = None, models: tuple[dict[str, Any], ...] = (), **boards: int) -> HubThere:
    listed = [{"id": name.replace("_", "-"), "online": True, "confirmed": version} for name, version in boards.items()]
    return HubThere.model_validate({"active": active, "models": models, "boards": listed})


def shop(**more: Any) -> Workshop:
    return Workshop(
        Path("/home/me/deploy"), "D", "/venv/python", Path("/keys/signing.key"), who="me", owner="0123", **more
    )


RUNS_OLD = hub(4, (model(4, OLD),), board_1=4, board_2=4)
NEW_MODELS = (model(4, OLD), model(5, NEW), model(6, OLD, way_back_for=5))
RUNS_NEW = hub(5, NEW_MODELS, board_1=5, board_2=5)
CASES = {
    "deploy_first_convert_here": (Target(SITE, ("board-1",), hub(), tensorflow=False), shop()),
    "deploy_convert_there_way_back": (Target(SITE, ("board-1",), RUNS_OLD, tensorflow=True), shop()),
    "deploy_kept_two_boards_own_account": (
        Target(APART, ("board-1", "board-2"), RUNS_OLD, tensorflow=True),
        shop(kept=frozenset({WANTED.key, "old"}), ran={"04" * 32: "old"}),
    ),
    "deploy_one_board_left": (
        Target(SITE, ("board-1", "board-2"), hub(5, NEW_MODELS, board_1=5, board_2=4)),
        shop(),
    ),
    "deploy_nothing": (Target(SITE, ("board-1", "board-2"), RUNS_NEW), shop()),
}  # fmt: skip


@pytest.mark.parametrize("name", CASES)
def test_the_plan_is_the_golden_one(name: str) -> None:
    target, workshop = CASES[name]
    found = deployment_plan(WANTED, [target], workshop).as_dict()
    path = GOLDEN / f"{name}.json"
    if os.environ.get("EDGELOOP_WRITE_PLANS") == "1":
        path.write_text(json.dumps(found, indent=1) + "\n")
    assert found == json.loads(path.read_text())


def test_what_runs_already_is_an_empty_plan() -> None:
    target, workshop = CASES["deploy_nothing"]
    plan = deployment_plan(WANTED, [target], workshop)
    assert not plan
    assert (plan.version, plan.making, dict(plan.installing), dict(plan.boards)) == (0, (), {}, {})


def test_a_challenger_is_installed_with_its_way_back_and_neither_activated_nor_forwarded() -> None:
    plan = deployment_plan(WANTED, [Target(SITE, (), RUNS_OLD)], shop(), shadow=True)
    assert names(plan)[-4:] == ["lock", "install version 5", "install the way back: version 6", "challenge"]
    assert "activate" not in names(plan)
    assert plan.versions == {"kitchen": 5}


@pytest.mark.parametrize(
    ("there", "steps"),
    [
        (hub(4, NEW_MODELS, board_1=4), ["lock", "challenge"]),
        (hub(6, NEW_MODELS, board_1=6), ["install version 7"]),  # 5 is older than what runs: no board would take it
        (RUNS_NEW, []),
    ],
)
def test_a_challenger_that_is_there_already_is_begun_and_one_that_runs_is_not(
    there: HubThere, steps: list[str]
) -> None:
    found = names(deployment_plan(WANTED, [Target(SITE, (), there)], shop(), shadow=True))
    assert [name for name in found if name in steps] == steps
    assert bool(found) == bool(steps)


def names(plan: Any) -> list[str]:
    return [
        step.name for part in (*plan.making, *plan.installing.values(), *plan.boards.values()) for step in part.steps
    ]


def test_an_unfinished_deployment_goes_on_with_its_version() -> None:
    there = hub(4, (model(4, OLD), model(5, NEW)), board_1=4)
    plan = deployment_plan(WANTED, [Target(SITE, ("board-1",), there)], shop(), pinned=Numbers(5, {f"{OLD} int8": 6}))
    assert (plan.version, plan.ways) == (5, {f"{OLD} int8": 6})
    assert "install version 5" not in names(plan)
    assert "install the way back: version 6" in names(plan)


@pytest.mark.parametrize(
    "there",
    [
        hub(4, (model(4, OLD), model(5, OLD)), board_1=4),
        hub(7, (model(7, OLD),), board_1=4),
        hub(4, (model(4, OLD),), board_1=6),
    ],
)
def test_a_version_that_is_taken_or_too_low_by_now_is_not_kept(there: HubThere) -> None:
    plan = deployment_plan(WANTED, [Target(SITE, ("board-1",), there)], shop(), pinned=Numbers(5))
    assert plan.version == there.highest + 1


def test_a_board_that_confirmed_more_gets_a_new_version() -> None:
    target = Target(SITE, ("board-1",), hub(5, NEW_MODELS, board_1=9))
    plan = deployment_plan(WANTED, [target], shop())
    assert (plan.version, plan.ways) == (10, {f"{OLD} int8": 11})


def test_a_board_in_test_is_brought_to_its_end() -> None:
    there = HubThere.model_validate({
        "active": 5, "models": [model(5, NEW)], "boards": [{"id": "board-1", "confirmed": 5, "test": 9}],
    })  # fmt: skip
    plan = deployment_plan(WANTED, [Target(SITE, ("board-1",), there)], shop())
    assert list(plan.boards) == [Device("kitchen", "board-1")]


def test_a_rollback_activates_and_forwards_the_way_back() -> None:
    plan = rollback_plan([Target(SITE, ("board-1", "board-2"), RUNS_NEW)], shop(), Patience())
    assert names(plan) == ["lock", "activate", "forward", "confirm", "forward", "confirm"]
    assert plan.versions == {"kitchen": 6}


def test_a_rollback_that_was_cut_off_goes_on() -> None:
    there = hub(6, NEW_MODELS, board_1=6, board_2=5)
    plan = rollback_plan([Target(SITE, ("board-1", "board-2"), there)], shop(), Patience())
    assert names(plan) == ["lock", "forward", "confirm"]
    assert list(plan.boards) == [Device("kitchen", "board-2")]


@pytest.mark.parametrize(("there", "told"), [(RUNS_OLD, "version 4, which has no way back"), (hub(), "runs no model")])
def test_a_rollback_to_nothing_is_refused(there: HubThere, told: str) -> None:
    with pytest.raises(Conflict, match=told):
        rollback_plan([Target(SITE, (), there)], shop(), Patience())
