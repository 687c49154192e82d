"""What runs where: hubs, models and boards, beside what the registry says should run.

Schema 1 of `status --json` (fields are only ever added):

    schema      1
    registry    {model, alias, version, error}: what the alias means now; version null where MLflow does not answer
    jetsons     [{jetson, state: up | no hub | down | unreachable | host key | failed, error, revision, started,
                runs: a model, way_back: a model, models: how many are installed,
                boards: [{board, online, last_seen, state, runs: a model, version, test, firmware, since}]}]
                a model: {version: of its image, name, model, model_version, image_sha256, since}, or null
    drift       lines: where something else runs than the registry's alias, or than the hub's own model
    unfinished  name of a deployment that was cut off, or null
    untold      deployments that MLflow has not been told of
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from deployers.deployment.rollout import STATES
from deployers.exceptions import InputError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from deployers.deployment.looking import Seen
    from deployers.deployment.places import Target
    from deployers.deployment.state import BoardThere, ModelThere

UP, NO_HUB = "up", "no hub"


def jetson(seen: Seen) -> dict[str, Any]:
    """One Jetson."""
    name = seen.chosen.jetson.name
    if seen.target is None:
        error = seen.error
        code = error.exit_code if error else 1
        state = NO_HUB if isinstance(error, InputError) else STATES.get(code, "failed")
        empty: dict[str, Any] = {
            "revision": None,
            "started": None,
            "runs": None,
            "way_back": None,
            "models": 0,
            "boards": [],
        }
        return {"jetson": name, "state": state, "error": str(error), **empty}
    there = seen.target.there
    back = next((model for model in there.models if model.way_back_for == there.active), None)
    return {
        "jetson": name,
        "state": UP,
        "error": None,
        "revision": there.hub.get("revision"),
        "started": when(there.hub.get("started_ms")),
        "runs": _model(there.model_of(there.active), there.active_since_ms),
        "way_back": _model(back, None),
        "models": len(there.models),
        "boards": [_board(seen.target, there.board(board)) for board in seen.target.boards],
    }


def _board(target: Target, board: BoardThere) -> dict[str, Any]:
    version = board.test or board.confirmed
    return {
        "board": board.id,
        "online": board.online,
        "last_seen": when(board.last_seen_ms),
        "state": board.state,
        "runs": _model(target.there.model_of(version), board.since_ms),
        "version": version or None,
        "test": board.test,
        "firmware": board.firmware,
        "since": when(board.since_ms),
    }


def _model(model: ModelThere | None, since: int | None) -> dict[str, Any] | None:
    if model is None:
        return None
    return {
        "version": model.version,
        "name": model.name,
        "model": model.model or None,
        "model_version": model.model_version or None,
        "image_sha256": model.image_sha256,
        "since": when(since),
    }


def when(milliseconds: object) -> str | None:
    """ISO 8601 in UTC; None of what is no time."""
    if not isinstance(milliseconds, int | float):
        return None
    found = datetime.fromtimestamp(milliseconds / 1000, UTC)
    return found.isoformat(timespec="seconds").replace("+00:00", "Z")


def drift(jetsons: Iterable[dict[str, Any]], model: str, alias: str, version: str | None) -> list[str]:
    """Where something else runs than the registry's alias means, or a board runs something else than its hub."""
    found = list[str]()
    for each in jetsons:
        runs = each["runs"]
        if each["state"] != UP:
            continue
        if version is not None and (runs is None or (runs["model"], runs["model_version"]) != (model, version)):
            told = f"{runs['name']} (image {runs['version']})" if runs else "no model"
            found.append(f"{each['jetson']} runs {told}, {alias} is {model} {version}")
        found += [_board_drift(each["jetson"], runs, board) for board in each["boards"] if not _is_same(runs, board)]
    return found


def _is_same(runs: dict[str, Any] | None, board: dict[str, Any]) -> bool:
    return bool(board["version"] == (runs["version"] if runs else None) and board["test"] is None)


def _board_drift(name: str, runs: dict[str, Any] | None, board: dict[str, Any]) -> str:
    its = f"image {board['version']}" if board["version"] else "no model"
    testing = " in test" if board["test"] else ""
    hub = f"image {runs['version']}" if runs else "no model"
    return f"{name}/{board['board']} runs {its}{testing}, its hub runs {hub}"
