"""What the operations of the REST interface answer, by example; the OpenAPI description shows it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from deployers.hub.fleet import EXAMPLE as MAP

if TYPE_CHECKING:
    from fastapi import FastAPI

JSON = "application/json"
READING = {
    "id": 4711,
    "series": "living_room/indoor",
    "time_point": "2024-05-01T12:00:00",
    "time_ms": 1714564800000,
    "value": 21.5,
    "user": "living_room",
    "tag": "indoor",
}
SERIES = {
    "series": "living_room/indoor",
    "user": "living_room",
    "tag": "indoor",
    "readings": 4464,
    "first": "2024-04-01T00:00:00",
    "last": "2024-05-01T12:00:00",
    "last_id": 4711,
    "store": "6f1c0a52b9e84d1f",
    "revision": 0,
    "different": 0,
}
FORECAST = {
    "series": "board-1",
    "source": "hub",
    "time_point": "2024-05-01T12:00:00",
    "time_ms": 1714564800000,
    "version": 3,
    "slot_state": 0,
    "celsius": [21.532, 21.561],
    "received_ms": 1714564800012,
}
DEVICE = {
    "id": "board-1",
    "online": True,
    "last_seen_ms": 1714564800000,
    "state": "confirmed",
    "confirmed": 3,
    "test": None,
    "since_ms": 1714564700000,
    "firmware": "0.1.0",
    "busy": None,
    "transfer": {"done": 24464, "total": 24464},
    "details": {"slot_state": 2, "model_version": 3, "lowest_version": 3},
    "counters": {"readings": 288, "forecasts": 288},
}
JOB = {
    "id": "20240501T120000-1a2b3c4d",
    "kind": "deploy",
    "about": {"version": 3, "boards": ["board-1"]},
    "state": "running",
    "started_ms": 1714564800000,
    "ended_ms": None,
    "doing": "board-1: takes version 3",
    "progress": 0.4,
    "result": None,
    "error": None,
    "log": ["the hub forecasts with version 3", "board-1: takes version 3"],
}
LIVE = {
    "role": "read",
    "principal": "dashboard",
    "series": ["board-1"],
    "devices": [],
    "models": [],
    "jobs": [],
}
MONITORED = {
    "series": "board-1",
    "state": "warning",
    "test": "skill",
    "part": "skill",
    "since_ms": 1714521600000,
    "reason": "skill 0.221 of version 3 on the board, 0.371 expected; deficit 2.61, threshold 2.38",
    "source": "board",
    "version": 3,
    "skill": 0.2213,
    "skill_expected": 0.3712,
    "reference": "release",
    "model": 0.1611,
    "persistence": 0.2069,
    "pairs": 864,
    "last_ms": 1714564800000,
}
CHANNEL = {
    "channel": "smtp",
    "server": "mail.example.org:587",
    "waiting": 0,
    "sent": 2,
    "failures": 1,
    "last_success_ms": 1714564800000,
    "last_error_ms": 1714564200000,
    "last_error": "mail server 'mail.example.org:587' does not take it (connection refused): look at [alerts.smtp], …",
}
TRIED = {"channel": "smtp", "server": "mail.example.org:587", "ok": True, "error": None}
RETRAINING = {
    "id": 7,
    "series": "board-1",
    "trigger": "alarm",
    "cause": "skill of version 3 since 1714521600000",
    "reason": "skill 0.201 of version 3 on the board, 0.371 expected; deficit 4.31, threshold 4.07",
    "numbers": {"test": "skill", "version": 3, "cusum": 4.31, "threshold_alarm": 4.07},
    "asked_ms": 1714564800000,
    "started_ms": 1714564800020,
    "ended_ms": 1714564980000,
    "state": "done",
    "job": "20240501T120000-1a2b3c4d",
    "reading_id": 4711,
    "answer": {
        "challenger": {
            "model": "temperature-forecaster",
            "version": "4",
            "alias": "challenger",
            "dataset": "temperature:9",
            "release_dir": "/var/lib/edgeloop/release",
            "test": {"mae": 0.1388, "rmse": 0.2867},
            "baselines": {"persistence": {"mae": 0.1817, "rmse": 0.4271}},
            "promotion": {"promoted": False, "reason": "RMSE 0.2867 °C, the champion's 0.2851 °C"},
        },
        "reason": "",
    },
}
STANDING = {
    "enabled": True,
    "now_ms": 1714565000000,
    "budget": {"per_week": 3, "used": 1, "left": 2, "free_ms": None},
    "running": None,
    "waiting": [],
    "series": [
        {
            "series": "board-1",
            "allowed": False,
            "why_not": "'board-1' cools down for 24.0 h more (cooldown_hours)",
            "due": None,
            "reason": "",
            "last_started_ms": 1714564800020,
            "cooldown_until_ms": 1714651380000,
            "next_ms": None,
            "days": 40,
            "fresh_readings": 1,
        }
    ],
    "requests": [RETRAINING],
}
CHALLENGER = {
    "version": 4,
    "champion": 3,
    "state": "running",
    "reason": "",
    "waits_for": "an e-value of 20, at most 22 days more",
    "is_running": True,
    "since_ms": 1714564800000,
    "ended_ms": None,
    "days_compared": 6,
    "days_better": 5,
    "days_worse": 1,
    "e_better": 2.8571,
    "e_worse": 0.1905,
    "e_wanted": 20.0,
    "skill_champion": 0.3512,
    "skill_challenger": 0.3721,
    "cost": {"readings": 4120, "microseconds_per_reading": 212.4, "share": 0.3914},
    "promotion": None,
    "boards": [
        {"board": "board-1", "state": "carries", "forecasts": 860, "worst_celsius": 0.000021, "reason": ""},
    ],
    "days": [
        {"day": "2024-05-02", "day_ms": 1714608000000, "champion": 0.3401, "challenger": 0.3698, "series": 2},
    ],
}
RULES = {
    "at_most": 1,
    "cost_most": 5000.0,
    "margin": 0.0,
    "alpha": 0.05,
    "least_days": 5,
    "most_days": 28,
    "promote": "person",
    "boards": False,
}
METRICS = 'edgeloop_requests_total{method="POST",route="/predict",status="200"} 1523.0\nedgeloop_boards_online 2.0\n'
ONE_BOARD = {**JOB, "kind": "forward", "about": {"board": "board-1", "version": 3}}

# By address and method.
ANSWERS: dict[tuple[str, str], Any] = {
    ("/live", "get"): LIVE,
    ("/temperatures", "post"): READING,
    ("/temperatures", "get"): {"temperatures": [READING], "next": "1-1714564800000"},
    ("/temperatures/bulk", "post"): {"new": 143, "already": 1, "different": 0},
    ("/temperatures/series", "get"): {"series": [SERIES]},
    ("/temperatures/{reading}", "get"): READING,
    ("/temperatures/{reading}", "patch"): {**READING, "value": 21.25},
    ("/forecasts", "get"): {"forecasts": [FORECAST]},
    ("/devices", "get"): {"devices": [DEVICE]},
    ("/devices/{board}", "get"): DEVICE,
    ("/devices/{board}/log", "get"): {"board": "board-1", "lines": ["12 link up", "13 model confirmed, version 3"]},
    ("/devices/{board}/forward", "post"): ONE_BOARD,
    ("/devices/{board}/confirm", "post"): {**ONE_BOARD, "kind": "confirm"},
    ("/devices/{board}/revert", "post"): {**ONE_BOARD, "kind": "revert"},
    ("/monitor", "get"): {"devices": [MONITORED]},
    ("/alerts", "get"): {"level": "alarm", "repeat_hours": 24.0, "channels": [CHANNEL]},
    ("/alerts/test", "post"): {"channels": [TRIED]},
    ("/monitor/{series}", "get"): {
        **MONITORED,
        "findings": [],
        "steps": {"board": [], "hub": [], "shadow": []},
        "days": [],
    },
    ("/shadow", "get"): {"challengers": [CHALLENGER], "rules": RULES},
    ("/models/{version}/shadow", "post"): CHALLENGER,
    ("/models/{version}/shadow", "delete"): {**CHALLENGER, "is_running": False, "state": "ended"},
    ("/fleet", "get"): {"now_ms": 1714564860000, "rollouts": [{**MAP, "told_ms": 1714564800000}]},
    ("/fleet", "put"): {"partition": "north", "told_ms": 1714564800000},
    ("/deploy", "post"): JOB,
    ("/rollback", "post"): {**JOB, "kind": "rollback"},
    ("/train", "post"): {**JOB, "kind": "train", "about": {"parameters": {"horizon": 6}}},
    ("/retraining", "get"): STANDING,
    ("/retraining", "post"): {**RETRAINING, "state": "running", "ended_ms": None, "answer": None},
    ("/jobs", "get"): {"jobs": [{**JOB, "log": []}]},
    ("/jobs/{number}", "get"): JOB,
    ("/health", "get"): {"status": "alive", "revision": "0f4c2a9b1d7e6a53", "started_ms": 1714564800000},
    ("/ready", "get"): {"ready": True, "parts": {"store": "up", "models": "up", "boards": "up"}},
    ("/metrics", "get"): METRICS,
}
# Of requests that may be left out, whose own examples the framework does not show.
QUESTIONS: dict[tuple[str, str], Any] = {
    ("/rollback", "post"): {"boards": ["board-1"]},
    ("/train", "post"): {"parameters": {"horizon": 6}},
}


def show_examples(app: FastAPI) -> None:
    """Have the description of an application, made when it is first asked for, hold these."""
    plain = app.openapi

    def described() -> dict[str, Any]:
        if app.openapi_schema is None:
            _add(plain())
        return plain()

    app.openapi = described  # type: ignore[method-assign]


def _add(description: dict[str, Any]) -> None:
    for (path, method), example in ANSWERS.items():
        for status, answer in description["paths"][path][method]["responses"].items():
            if status.startswith("2"):
                for content in answer["content"].values():
                    content.setdefault("example", example)
    for (path, method), example in QUESTIONS.items():
        description["paths"][path][method]["requestBody"]["content"][JSON]["example"] = example
