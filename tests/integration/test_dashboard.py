"""A reviewer on the dashboard, in a real browser: the graph, the reports, the figures and the links of both runs."""

from __future__ import annotations

import json
import os
import signal
import socket
import urllib.error
import urllib.request
from typing import TYPE_CHECKING, Any

import pytest

from tests import browser
from tests.dashboard_visits import KNOWN, SECONDS, Review, answers, children, dashboard, gone, run_id, unknown

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.browser import Tab

STEPS = {
    "data": ["collect", "clean", "validate", "accept", "split", "scale", "store"],
    "training": ["load", "search", "train", "evaluate", "package", "convert", "gate", "register", "promote"],
}
ARTIFACTS = {
    "data": {
        "readings", "grid", "cleaning_report", "validation", "data_quality_report", "parts", "feature_program", "smoke",
    },
    "training": {
        "dataset_summary", "search_result", "search_report", "forecaster", "evaluation", "evaluation_report", "release",
        "fidelity", "fidelity_report", "registration", "promotion", "promotion_report",
    },
}  # fmt: skip
REPORTS = [
    ("data", "data_quality_report", "Data quality", 3),
    ("training", "search_report", "Genetic search", 3),
    ("training", "evaluation_report", "Model evaluation", 3),
    ("training", "fidelity_report", "Fidelity of the converted model", 3),
    ("training", "promotion_report", "Promotion", 1),
]
UNSCROLLED = "document.documentElement.scrollWidth <= innerWidth"  # a frame is laid out anew after it has loaded


@pytest.fixture(scope="module")
def served(workplace: Any, smoke: Any) -> Iterator[dict[str, str]]:
    """Addresses of both servers over the home of the smoke run."""
    with dashboard(workplace.environment()) as (_, addresses):
        yield addresses


@pytest.fixture(scope="module")
def runs(served: dict[str, str], smoke: Any) -> dict[str, str]:
    """Ids of both runs."""
    names = {"data": smoke.result["data"]["zenml_run"], "training": smoke.result["zenml_run"]}
    return {pipeline: run_id(served["ZenML"], name) for pipeline, name in names.items()}


@pytest.fixture(scope="module")
def window(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    with pytest.MonkeyPatch.context() as patch, browser.chromium(tmp_path_factory.mktemp("chromium")) as socket_:
        patch.setattr(browser, "PATIENCE", float(SECONDS))
        yield socket_


@pytest.fixture
def review(window: Any, served: dict[str, str]) -> Iterator[Review]:
    """A tab of its own, which must leave no error in the console but those that are the dashboard's own."""
    tab = browser.new_tab(window)
    tab.size(1440, 1000)
    yield Review(tab, served["ZenML"])
    assert unknown(tab.complaints) == []
    tab.close()


@pytest.mark.parametrize("pipeline", STEPS)
def test_the_graph_has_every_step_and_every_artifact(review: Review, runs: dict[str, str], pipeline: str) -> None:
    names = review.open_run(runs[pipeline], len(STEPS[pipeline]) + len(ARTIFACTS[pipeline]))
    assert [name for name in names if name in STEPS[pipeline]] == STEPS[pipeline]
    assert set(names) >= ARTIFACTS[pipeline]
    review.shows(f"Total Steps\n{len(STEPS[pipeline])}\nCompleted\n{len(STEPS[pipeline])}", "body")


@pytest.mark.parametrize(("pipeline", "report", "title", "charts"), REPORTS)
def test_a_report_opens_with_its_charts(
    review: Review, runs: dict[str, str], tmp_path: Path, pipeline: str, report: str, title: str, charts: int
) -> None:
    review.open_run(runs[pipeline], len(STEPS[pipeline]))
    review.open_node(report)
    frame = review.preview()
    assert frame.run("document.querySelector('h1').innerText") == title
    widths = frame.run("[...document.images].map((each) => each.naturalWidth)")
    assert len(widths) >= charts
    assert min(widths) > 200
    assert frame.complaints == []
    frame.wait(UNSCROLLED)
    alone = tmp_path / "report.html"
    alone.write_text(review.tab.run("document.querySelector('[role=dialog] iframe').srcdoc"))
    review.tab.open(alone.as_uri())
    dark, light = ["rgb(20, 25, 31)", "rgb(221, 227, 233)"], ["rgb(255, 255, 255)", "rgb(29, 39, 51)"]
    assert _colours(review.tab, "dark") == dark
    assert _colours(review.tab, "light") == _colours(review.tab, "dark", "print") == light
    review.tab.size(680, 1000)  # A4 between its margins
    review.tab.wait(UNSCROLLED)


def _colours(tab: Tab, scheme: str, media: str = "screen") -> Any:
    wanted = [{"name": "prefers-color-scheme", "value": scheme}]
    tab.call("Emulation.setEmulatedMedia", media=media, features=wanted)
    return tab.run("(({backgroundColor, color}) => [backgroundColor, color])(getComputedStyle(document.body))")


def test_a_step_shows_its_docstring(review: Review, runs: dict[str, str]) -> None:
    review.open_run(runs["training"], len(STEPS["training"]))
    review.open_node("register")
    review.open_tab("Code")
    review.shows("Write the run to MLflow and register the release as a version with alias")


def test_an_artifact_shows_its_figures(review: Review, runs: dict[str, str]) -> None:
    review.open_run(runs["data"], len(STEPS["data"]))
    review.open_node("grid")
    review.open_tab("Metadata")
    for shown in ("rows_out\n8640", "gaps_long\n0", "missing\n0", "storage_size"):
        review.shows(shown)


def test_the_runs_page_has_links_to_mlflow(review: Review, smoke: Any, runs: dict[str, str]) -> None:
    review.open_run(runs["training"], len(STEPS["training"]))
    review.open_tab("Metadata", "body")
    review.shows("mlflow_version", "body")
    links = review.links()
    assert f"http://127.0.0.1:8238/#/runs/{smoke.result['mlflow_run']}" in links
    assert "http://127.0.0.1:8238/#/models/smoke-forecaster/versions/1" in links


def test_the_link_to_mlflow_opens_the_run_and_its_link_leads_back(
    window: Any, served: dict[str, str], smoke: Any, runs: dict[str, str]
) -> None:
    answers(served["MLflow"] + "/health")
    tab = browser.new_tab(window)
    tab.open(f"{served['MLflow']}/#/runs/{smoke.result['mlflow_run']}")
    back = f"http://127.0.0.1:8237/projects/default/runs/{runs['training']}"
    tab.wait(f"[...document.querySelectorAll('a[href]')].some((each) => each.href === {json.dumps(back)})", SECONDS)
    assert smoke.result["zenml_run"] in tab.text("body")
    assert tab.run("location.href").endswith(f"/runs/{smoke.result['mlflow_run']}")
    tab.close()


def _ask(address: str, **headers: str) -> Any:
    """The headers of an answer."""
    asked = urllib.request.Request(address, headers=headers)  # noqa: S310 - loopback
    with urllib.request.urlopen(asked, timeout=30) as answer:  # noqa: S310 - loopback
        return answer.headers


def test_a_strangers_name_for_this_machine_does_not_lead_here(served: dict[str, str]) -> None:
    with pytest.raises(urllib.error.HTTPError, match="400"):
        _ask(served["ZenML"] + "/api/v1/info", Host="rebound.example")


def test_another_sites_page_may_not_read_the_answer(served: dict[str, str]) -> None:
    headers = _ask(served["ZenML"] + "/api/v1/info", Origin="https://site.example")
    assert headers["access-control-allow-origin"] is None
    assert (
        _ask(served["ZenML"] + "/api/v1/info", Origin=served["ZenML"])["access-control-allow-origin"] == served["ZenML"]
    )


def test_the_list_of_known_complaints_excuses_nothing_else() -> None:
    logos, avatars = "https://public-flavor-logos.s3.eu-central-1.amazonaws.com/", "https://avatar.vercel.sh/"
    ours = [
        "Failed to load resource: net::ERR_FAILED http://127.0.0.1:8237/api/v1/runs",
        "Failed to load resource: the server responded with a status of 500 (Internal Server Error) " + logos,
        f"Failed to load resource: net::ERR_FAILED {logos}x.svg?user=me",
        "Loading the font 'data:font/woff2' violates the following Content Security Policy directive: \"font-src\"",
        f"Loading the script '{avatars}x.js' violates the following Content Security Policy directive",
        "TypeError: Cannot read properties of undefined",
    ]
    assert unknown(ours) == ours
    assert len(KNOWN) == 5


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_both_servers_and_leaves_nothing(
    workplace: Any, smoke: Any, served: dict[str, str], number: signal.Signals
) -> None:
    before = _files(workplace.home)
    with dashboard(workplace.environment()) as (process, addresses):
        started = children(process.pid)
        assert started
        os.kill(process.pid, number)
        assert process.wait(SECONDS) == 0
    assert gone(started)
    assert _files(workplace.home) == before
    for address in addresses.values():
        port = int(address.rpartition(":")[2])
        with socket.socket() as probe, pytest.raises(ConnectionRefusedError):
            probe.connect(("127.0.0.1", port))


def _files(home: Path) -> set[str]:
    """Files of the home but those of an open database."""
    return {str(path) for path in home.rglob("*") if not path.name.endswith(("-journal", "-wal", "-shm"))}
