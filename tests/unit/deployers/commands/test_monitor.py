"""`python -m deployers monitor` on fake Jetsons."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from deployers import __main__ as main
from deployers.commands import monitor
from deployers.hub.examples import RETRAINING, STANDING
from deployers.hub.monitor import told
from deployers.hub.monitor.watch import Model, Watch
from deployers.hub.settings import ShadowSection
from deployers.hub.shadow import told as challengers
from deployers.hub.shadow.beside import Running
from deployers.hub.shadow.challenge import Challenge
from tests.monitoring import CADENCE_MS, RULES, Site, watched
from tests.shadowing import days
from tests.unit.deployers.deployment.conftest import World, make_world

if TYPE_CHECKING:
    from collections.abc import Callable

    from deployers.hub.shadow.comparing import Compared

CHANNEL = {"channel": "smtp", "server": "mail:587", "ok": True, "error": None}
INVENTORY = """
signing_key = "signing.key"
[[jetson]]
name = "kitchen"
root = "{root}"
user = "jetson"
connection = "local"
"""


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> World:
    made = make_world(tmp_path / "world")
    monkeypatch.setattr(monitor, "reach", lambda: made.reach)
    path = made.folder / "inventory.toml"
    path.write_text(INVENTORY.format(root=made.folder / "kitchen"))
    monkeypatch.setenv("EDGELOOP_INVENTORY", str(path))
    site = Site(days=40, worse=1.2, worse_from=30)
    watch = watched(Watch(RULES, lambda _: Model(CADENCE_MS)), site.events())
    days = watch.take_changed()
    made.jetson.monitored = {"board-1": told.detail("board-1", watch, days, (watch.state.last_ms or 0) + 1000, None)}
    return made


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Callable[..., tuple[int, str, str]]:
    def call(*words: str) -> tuple[int, str, str]:
        code = main.main(["monitor", *words])
        said = capsys.readouterr()
        return code, said.out, said.err

    return call


def test_states_are_shown_with_their_reason(world: World, run: Any) -> None:
    code, out, _ = run()
    assert code == 0
    assert "board-1" in out
    assert "alarm" in out
    assert "deficit" in " ".join(out.split())


def test_json_is_one_object_with_every_field(world: World, run: Any) -> None:
    code, out, _ = run("kitchen", "--json")
    found = json.loads(out)
    assert (code, found["schema"], found["hubs"][0]["hub"], found["hubs"][0]["error"]) == (0, 1, "kitchen", None)
    (device,) = found["hubs"][0]["devices"]
    assert (device["series"], device["state"], device["test"]) == ("board-1", "alarm", "skill")


def test_one_series_is_shown_with_its_tests_and_days(world: World, run: Any) -> None:
    code, out, _ = run("--series", "board-1")
    assert code == 0
    assert len([line for line in out.splitlines() if line.startswith("2024-")]) == 14
    assert any(line.startswith("skill ") and "alarm" in line for line in out.splitlines())


def test_a_hub_that_is_away_is_said_and_is_exit_code_5(world: World, run: Any) -> None:
    world.jetson.is_up = False
    code, out, err = run("--json")
    assert code == 5
    assert json.loads(out)["hubs"][0]["devices"] == []
    assert err.startswith("error: kitchen:")


def test_challengers_are_shown_with_their_verdict_and_as_json(world: World, run: Any) -> None:
    over: dict[int, Compared | None] = {each.day: each for each in days([0.02] * 7)}
    rules = ShadowSection()
    row = challengers.row(Challenge(4, 3, 1000).judged(over, rules), Running(None, 300), rules, {}, "")  # type: ignore[arg-type]
    world.jetson.challengers = [row]
    code, out, _ = run("--shadow")
    said = " ".join(out.replace("│", " ").split())
    assert code == 0
    assert "version 4 better version 3 7 7 31.875 0.320 0.300 0" in said
    assert "deploy or activate" in said
    code, out, _ = run("--shadow", "--json")
    assert (code, json.loads(out)["hubs"][0]["challengers"]) == (0, [row])


def test_boards_that_carry_a_challenger_are_shown_below_it(world: World, run: Any) -> None:
    boards = [
        {"board": "a", "state": "carries", "forecasts": 860, "worst_celsius": 0.000021, "reason": ""},
        {"board": "b", "state": "refused", "forecasts": 0, "worst_celsius": None, "reason": "NN_ARENA"},
    ]
    row = challengers.row(Challenge(4, 3, 1000), None, ShadowSection(), {}, "", boards=boards)
    older = {name: value for name, value in row.items() if name != "boards"}
    world.jetson.challengers = [row, {**older, "version": 5}]
    code, out, _ = run("--shadow")
    assert (code, out.splitlines()[-2:]) == (
        0,
        [
            "kitchen  version 4 on a carries: 860 forecasts compared, 0.000021 °C from the hub's at most",
            "kitchen  version 4 on b refused: NN_ARENA; 0 forecasts compared",
        ],
    )
    assert json.loads(run("--shadow", "--json")[1])["hubs"][0]["challengers"][0]["boards"] == boards


def test_without_a_challenger_or_a_hub_that_is_said(world: World, run: Any) -> None:
    assert "no challenger yet" in run("--shadow")[1]
    world.jetson.is_up = False
    code, out, _ = run("--shadow")
    assert (code, "away" in out) == (5, True)


def test_challengers_of_one_series_are_bad_input(world: World, run: Any) -> None:
    code, _, err = run("--shadow", "--series", "board-1")
    assert (code, "expected one of them" in err) == (2, True)


def test_a_hub_that_is_not_in_the_inventory_is_bad_input(world: World, run: Any) -> None:
    code, _, err = run("attic")
    assert code == 2
    assert "'attic'" in err


def test_a_trial_of_alerts_shows_how_it_went_over_each_channel(world: World, run: Any) -> None:
    world.jetson.channels = [CHANNEL, {**CHANNEL, "channel": "mqtt"}]
    code, out, _ = run("--test-alert")
    assert code == 0
    assert out.splitlines() == ["kitchen  smtp mail:587: sent", "kitchen  mqtt mail:587: sent"]
    code, out, _ = run("--test-alert", "--json")
    assert json.loads(out) == {
        "schema": 1,
        "hubs": [{"hub": "kitchen", "error": None, "channels": world.jetson.channels}],
    }


def test_a_channel_that_does_not_take_it_is_exit_code_5_and_named(world: World, run: Any) -> None:
    world.jetson.channels = [CHANNEL, {**CHANNEL, "channel": "mqtt", "ok": False, "error": "the broker is away"}]
    code, out, err = run("--test-alert", "--json")
    (hub,) = json.loads(out)["hubs"]
    assert (code, hub["channels"], hub["error"]) == (5, world.jetson.channels, "kitchen: the broker is away")
    assert err == "error: kitchen: the broker is away\n"
    assert "mqtt mail:587: the broker is away" in run("--test-alert")[1]


def test_a_hub_without_channels_is_bad_input_and_one_that_is_away_is_exit_code_5(world: World, run: Any) -> None:
    code, out, err = run("--test-alert", "--json")
    assert (code, json.loads(out)["hubs"][0]["channels"]) == (2, [])
    assert "no channel of alerts is there" in err
    world.jetson.is_up = False
    code, out, err = run("--test-alert")
    assert (code, out) == (5, "")
    assert "the hub does not answer" in err


def test_a_series_and_a_trial_do_not_go_together(world: World, run: Any) -> None:
    code, _, err = run("--test-alert", "--series", "board-1")
    assert code == 2
    assert "--series and --test-alert do not go together" in err


def test_the_history_of_retraining_is_shown(world: World, run: Any) -> None:
    refused = {**RETRAINING, "id": 8, "state": "refused", "answer": {"challenger": None, "reason": "test 'stuck'"}}
    row = {**STANDING["series"][0], "due": "alarm", "reason": "deficit 4.31", "next_ms": 1714651380000}  # type: ignore[index]
    world.jetson.retraining = {
        **STANDING, "requests": [refused, RETRAINING], "series": [row],
        "budget": {"per_week": 1, "used": 1, "left": 0, "free_ms": 1715169600000},
    }  # fmt: skip
    code, out, _ = run("kitchen", "--retraining")
    assert code == 0
    assert "kitchen: 1 of 1 retrainings of the last seven days used, free again 2024-05-08 12:00 UTC" in out
    assert "board-1: alarm: deficit 4.31; 'board-1' cools down for 24.0 h more" in out
    assert "by schedule 2024-05-02 12:03 UTC" in out
    assert "    8 2024-05-01 12:00 UTC board-1 alarm refused" in out
    assert "test 'stuck'" in out
    assert "temperature-forecaster version 4" in out
    code, out, _ = run("--retraining", "--json")
    found = json.loads(out)
    assert (code, found["schema"], found["hubs"][0]["hub"]) == (0, 1, "kitchen")
    assert found["hubs"][0]["retraining"] == world.jetson.retraining


def test_a_hub_that_does_not_retrain_says_so(world: World, run: Any) -> None:
    world.jetson.retraining = {**STANDING, "enabled": False, "series": [], "requests": []}
    assert "enabled = true in [retraining]" in run("--retraining")[1]


def test_a_person_asks_for_retraining(world: World, run: Any) -> None:
    code, out, _ = run("kitchen", "--retrain", "board-1", "--because", "the window; rm -rf /", "--force")
    assert (code, out) == (0, "kitchen: retraining 1 of board-1 is running\n")
    assert world.jetson.retrained == [("board-1", "--because", "the window; rm -rf /", "--force")]
    code, out, _ = run("--retrain", "board-1", "--because", "again", "--json")
    assert json.loads(out)["hubs"][0]["retraining"]["id"] == 2
    assert world.jetson.retrained[1] == ("board-1", "--because", "again")


def test_a_retraining_that_is_refused_is_exit_code_2_and_an_away_hub_5(world: World, run: Any) -> None:
    code, out, err = run("kitchen", "--retrain", "attic", "--because", "x", "--json")
    assert code == 2
    assert json.loads(out)["hubs"][0]["retraining"] is None
    assert "'attic' has no readings" in json.loads(out)["hubs"][0]["error"]
    assert err.startswith("error: kitchen:")
    world.jetson.is_up = False
    assert run("kitchen", "--retrain", "board-1", "--because", "x")[0] == 5
    assert run("kitchen", "--retraining")[0] == 5


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("--retrain", "board-1"), "needs --because TEXT"),
        (("--because", "x"), "belong to --retrain"),
        (("--force",), "belong to --retrain"),
    ],
)
def test_options_without_their_companion_are_refused(world: World, run: Any, words: tuple[str, ...], says: str) -> None:
    code, _, err = run(*words)
    assert (code, world.jetson.retrained) == (2, [])
    assert says in err


def test_only_one_hub_is_asked_to_retrain(world: World, run: Any) -> None:
    path = world.folder / "inventory.toml"
    second = INVENTORY.format(root=world.folder / "attic").replace("kitchen", "attic").partition("[[jetson]]")[2]
    path.write_text(f"{path.read_text()}\n[[jetson]]{second}")
    code, _, err = run("--retrain", "board-1", "--because", "x")
    assert (code, world.jetson.retrained) == (2, [])
    assert "asks one hub and 2 are meant" in err
