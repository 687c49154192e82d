"""What the hub's benchmarks make of what they measure."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from benchmarks import hub, hub_boards, hub_live, hub_rest
from benchmarks.hub_deployments import sign
from benchmarks.hub_rest import Load, parse_wrk, shortfalls
from deployers.hub.model_folder import verified
from deployers.protocol.signature import generate_keys
from tests.hub_models import upload

WRK = """Running 5s test @ http://127.0.0.1:8484/predict
  1 threads and 8 connections
  Thread Stats   Avg      Stdev     Max   +/- Stdev
    Latency     3.90ms    3.02ms  42.10ms   95.03%
    Req/Sec     2.20k   312.00     2.60k    80.00%
  Latency Distribution
     50%    3.54ms
     75%    4.30ms
     90%    5.10ms
     99%    1.25s
  10950 requests in 5.01s, 4.10MB read
Requests/sec:   2185.33
Transfer/sec:    838.02KB
"""
FAST, SLOW = Load(2185.3, 3.5, 12.0, 300.0, 0), Load(700.0, 9.0, 80.0, 300.0, 0)
STORED, DEPLOYING = "hub, stored readings", "hub, stored readings, while a deployment runs"


def test_what_wrk_prints_is_read() -> None:
    assert parse_wrk(WRK) == (2185.33, 3.54, 1250.0, 10950, 0)
    microseconds = WRK.replace("3.54ms", "812.00us")
    assert parse_wrk(microseconds)[1] == pytest.approx(0.812)


def test_refusals_and_lost_connections_count_as_failed() -> None:
    errors = "  Socket errors: connect 1, read 2, write 0, timeout 3\n  Non-2xx or 3xx responses: 40\n"
    assert parse_wrk(WRK.replace("Requests/sec", f"{errors}Requests/sec"))[4] == 46


@pytest.mark.parametrize("text", ["", "unable to connect to 127.0.0.1", WRK.replace("99%", "98%")])
def test_what_is_no_summary_is_said(text: str) -> None:
    with pytest.raises(ValueError, match="expected its summary with latencies"):
        parse_wrk(text)


def test_without_the_load_maker_it_is_said(monkeypatch) -> None:
    monkeypatch.setattr(hub_rest.shutil, "which", lambda _: None)
    with pytest.raises(SystemExit, match="wrk is not installed, which makes the load: apt-get install wrk"):
        hub_rest.measure()


def test_nothing_falls_short_where_all_is_reached() -> None:
    assert shortfalls({STORED: FAST, "mlflow, given readings": SLOW, DEPLOYING: SLOW}, 3) == []


@pytest.mark.parametrize(
    ("loads", "deployments", "told"),
    [
        ({STORED: SLOW}, 1, ["requests a second, expected 1000", "p99 80.0 ms, expected 20"]),
        ({DEPLOYING: Load(149.0, 1.0, 900.0, 1.0, 0)}, 1, ["149 requests a second, expected 150"]),
        ({"mlflow, given readings": Load(90.0, 1.0, 1.0, 1.0, 2)}, 1, ["mlflow, given readings: 2 requests failed"]),
        ({STORED: FAST}, 0, ["no deployment came to its end"]),
    ],
)
def test_what_falls_short_is_named(loads: dict[str, Load], deployments: int, told: list[str]) -> None:
    found = shortfalls(loads, deployments)
    assert len(found) == len(told)
    assert all(part in line for part, line in zip(told, found, strict=True))


def test_the_round_in_the_middle_counts_and_every_failure() -> None:
    rounds = [Load(rate, 1.0, 2.0, 3.0, failed) for rate, failed in ((900.0, 0), (1500.0, 2), (1200.0, 1))]
    assert hub_rest._median(rounds) == Load(1200.0, 1.0, 2.0, 3.0, 3)  # noqa: SLF001


def test_uploads_are_signed_by_the_key_that_the_hub_has(tmp_path: Path, monkeypatch) -> None:
    root, conversion = tmp_path / "hub", upload(tmp_path / "conversion", 1)
    image = (conversion / "model.img").read_bytes()
    (conversion / "model.img").unlink()
    for name in ("config/image_keys", "incoming"):
        (root / name).mkdir(parents=True)
    generate_keys(root / "bench.key", root / "config" / "image_keys" / "bench.pub")
    monkeypatch.setattr("benchmarks.hub_deployments.image_of_conversion", lambda *_: image)
    for version in (1, 8):
        sign(root, conversion, version)
        found = verified(root / "incoming" / str(version), root / "config" / "image_keys")
        assert found.parts.version == version


@pytest.mark.parametrize(("failed", "code"), [([], 0), (["p99"], 1)])
def test_all_parts_are_written_and_shown(monkeypatch, tmp_path: Path, capsys, failed: list[str], code: int) -> None:
    rest: dict[str, Any] = {
        "readings_in_body": 144, "connections": 8, "celsius_apart": 1e-6, "deployments": 2,
        "loads": {STORED: FAST.__dict__}, "failed": failed,
    }  # fmt: skip
    shown: list[Any] = []
    monkeypatch.setattr(hub, "TARGET", tmp_path / "bench" / "hub.json")
    monkeypatch.setattr(hub_rest, "measure", lambda rounds: rest)
    monkeypatch.setattr(hub_live, "measure", lambda: {"series": 5, "types": {}, "failed": []})
    monkeypatch.setattr(hub_boards, "measure", lambda boards, seconds: {"boards": boards, "failed": []})
    monkeypatch.setattr(hub_boards, "show", shown.append)
    assert hub.main(["--boards", "5"]) == code
    assert json.loads((tmp_path / "bench" / "hub.json").read_text()) == {
        "rest": rest,
        "live": {"series": 5, "types": {}, "failed": []},
        "boards": {"boards": 5, "failed": []},
    }
    assert shown == [{"boards": 5, "failed": []}]
    printed = capsys.readouterr().out
    assert "2,185" in printed
    assert all(f"FAILED: {line}" in printed for line in failed)


def test_the_hubs_own_forecasts_are_measured(monkeypatch, capsys) -> None:
    monkeypatch.setattr(hub_live, "BUDGET_PERCENT", 1e9)  # a busy machine is none of this test's concern
    assert hub_live.main(["--series", "4", "--readings", "3"]) == 0
    assert "int16x8" in capsys.readouterr().out
    monkeypatch.setattr(hub_live, "BUDGET_PERCENT", 0.0)
    found = hub_live.measure(4, 3)
    assert [row["missing"] for row in found["types"].values()] == [0, 0, 0]
    assert all("of a core for 4 readings a second, expected 0" in line for line in found["failed"])
    assert len(found["failed"]) == 3
