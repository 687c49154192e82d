"""`make dashboard-shots`: a smoke run in a home of its own, and pictures of it in docs/dashboard/."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

from PIL import Image

from tests import browser
from tests.dashboard_visits import CHECKOUT, SECONDS, Review, answers, dashboard, run_id

if TYPE_CHECKING:
    from tests.browser import Tab

PICTURES = CHECKOUT / "docs" / "dashboard"
MOST_BYTES = 150_000
SETTLE = 3.0  # seconds in which what slides and fades comes to rest


def main() -> None:
    """Run, look, and write the pictures anew; the run's home lies where no picture tells whose machine it is."""
    with tempfile.TemporaryDirectory(prefix="edgeloop-", ignore_cleanup_errors=True) as home:
        _pictures({**os.environ, "EDGELOOP_HOME": home})


def _pictures(environment: dict[str, str]) -> None:
    command = [sys.executable, "run.py", "all", "--config", "pipelines/configs/smoke.yaml", "--json"]
    done = subprocess.run(command, cwd=CHECKOUT, env=environment, check=True, stdout=subprocess.PIPE)
    result = json.loads(done.stdout)
    PICTURES.mkdir(exist_ok=True)
    browser.PATIENCE = SECONDS
    with dashboard(environment) as (_, addresses), tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        runs = [run_id(addresses["ZenML"], name) for name in (result["data"]["zenml_run"], result["zenml_run"])]
        with browser.chromium(Path(folder)) as window:
            tab = browser.new_tab(window)
            tab.size(1440, 1000)
            _zenml(Review(tab, addresses["ZenML"]), *runs)
            answers(f"{addresses['MLflow']}/health")
            _mlflow(tab, f"{addresses['MLflow']}/#/runs/{result['mlflow_run']}", result["zenml_run"])


def _zenml(review: Review, data: str, training: str) -> None:
    review.open_run(data, 15)
    review.open_tab("Metadata", "body")
    review.shows("conditions_passed", "body")
    _keep(review.tab, "data-run")
    review.open_run(training, 20)
    review.open_tab("Metadata", "body")
    review.shows("mlflow_version", "body")
    _keep(review.tab, "training-run")
    review.open_node("evaluation_report")
    review.preview()
    _keep(review.tab, "report")
    review.open_run(training, 20)
    review.open_node("register")
    review.open_tab("Code")
    review.shows("Write the run to MLflow")
    _keep(review.tab, "step")


def _mlflow(tab: Tab, address: str, zenml_run: str) -> None:
    tab.open(address)
    tab.wait(f"[...document.querySelectorAll('a')].some((each) => each.innerText === {json.dumps(zenml_run)})", SECONDS)
    tab.run("document.querySelector('[aria-label=\"Close\"]')?.click()")
    _keep(tab, "mlflow-run")


def _keep(tab: Tab, name: str) -> None:
    """A picture with at most 256 colours, which text and lines do not need more of."""
    time.sleep(SETTLE)
    file = PICTURES / f"{name}.png"
    tab.picture(file)
    Image.open(file).convert("RGB").quantize(256, dither=Image.Dither.NONE).save(file, optimize=True)
    if file.stat().st_size > MOST_BYTES:
        sys.exit(f"{file} has {file.stat().st_size:,} bytes, more than {MOST_BYTES:,}")


if __name__ == "__main__":
    main()
