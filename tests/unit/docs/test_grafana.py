"""The dashboard for Grafana asks for what a hub tells."""

from __future__ import annotations

import itertools
import json
import re
from typing import Any

import pytest
from prometheus_client import Counter, Gauge, Histogram

from deployers.hub.metrics import Counted, Metrics
from tests.programs import CHECKOUT

DASHBOARD = json.loads((CHECKOUT / "docs" / "grafana" / "edgeloop.json").read_text(encoding="utf-8"))
PANELS: list[dict[str, Any]] = DASHBOARD["panels"]
QUERIES = [target["expr"] for panel in PANELS for target in panel.get("targets", [])]
QUERIES += [each["expr"] for each in DASHBOARD["annotations"]["list"]]
ASKED = re.compile(r"(edgeloop_\w+)\{([^}]*)\}")
LABEL = re.compile(r"(\w+)\s*(?:=~|!~|!=|=)\s*\"")
OF_PROMETHEUS = {"instance", "le"}


@pytest.fixture(scope="module")
def told() -> dict[str, set[str]]:
    """Each sample's name and its labels."""
    found: dict[str, set[str]] = {}
    for each in vars(Metrics()).values():
        if isinstance(each, Counted):
            found[f"{each._name}_total"] = set(each._labels)  # noqa: SLF001
        elif isinstance(each, Counter | Gauge | Histogram):
            (family,) = each.describe()
            end = {"counter": "_total", "histogram": "_bucket"}.get(family.type, "")
            found[f"{family.name}{end}"] = set(each._labelnames)  # noqa: SLF001
    return found


def test_it_asks_for_nothing_that_a_hub_does_not_tell(told: dict[str, set[str]]) -> None:
    asked = [match for query in QUERIES for match in ASKED.findall(query)]
    assert len(asked) >= len(QUERIES)
    for name, inside in asked:
        assert name in told, name
        assert set(LABEL.findall(inside)) <= told[name] | OF_PROMETHEUS, (name, inside)


def test_a_legend_names_labels_that_are_there(told: dict[str, set[str]]) -> None:
    for panel in PANELS:
        for target in panel.get("targets", []):
            wanted = set(re.findall(r"\{\{(\w+)\}\}", target["legendFormat"]))
            there = set().union(*(told[name] for name, _ in ASKED.findall(target["expr"]))) | OF_PROMETHEUS
            assert wanted <= there, panel["title"]


def test_every_metric_of_monitor_alerts_retraining_and_challengers_is_on_it(told: dict[str, set[str]]) -> None:
    shown = {name for query in QUERIES for name, _ in ASKED.findall(query)}
    parts = ("edgeloop_monitor_", "edgeloop_alerts", "edgeloop_retraining_", "edgeloop_shadow")
    assert {name for name in told if name.startswith(parts)} <= shown


def test_panels_do_not_overlap_and_have_a_title_and_a_text() -> None:
    places = [set(itertools.product(range(p["x"], p["x"] + p["w"]), range(p["y"], p["y"] + p["h"])))
              for p in (panel["gridPos"] for panel in PANELS)]  # fmt: skip
    assert sum(map(len, places)) == len(set().union(*places))
    assert all(x < 24 for place in places for x, _ in place)
    assert len({panel["id"] for panel in PANELS}) == len(PANELS)
    assert all(panel["title"] and (panel["type"] == "row" or panel["description"]) for panel in PANELS)


def test_its_variables_are_those_that_it_uses() -> None:
    used = set(re.findall(r"\$\{?(\w+)\}?", json.dumps(DASHBOARD))) - {"__all"}
    assert used == {each["name"] for each in DASHBOARD["templating"]["list"]}
