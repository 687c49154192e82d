"""The training side of the demonstration, as the hub starts it: waits for days of the changed room, trains, challenges.

    python -m benchmarks.drift_retrain FOLDER      # EDGELOOP_RETRAIN_SERIES is in the environment

What it prints ends in the object of `run.py all --json`: the hub's answer to its request.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from datetime import UTC, datetime
from pathlib import Path

from benchmarks.drift_course import DAY_MS
from benchmarks.drift_lab import ROOT, Site, settings
from deployers.lab.rest import HubRest

# A model of a changed room needs days of it: two weeks after the alarm, and one from before for the test of the gate.
SETTLE_DAYS, LEARNED_DAYS = 14, 21
POLL_SECONDS = 1.0


def main(folder: Path) -> int:
    """Train on the last weeks of the series; 0, or what run.py or the deployer ended with."""
    site, series = Site.read(folder), os.environ["EDGELOOP_RETRAIN_SERIES"]
    with HubRest(site.url, site.token) as hub:
        began = int(hub.get(f"/monitor/{series}")["last_ms"])
        print(f"waits for {SETTLE_DAYS} days of the changed room", flush=True)
        while (now := int(hub.get(f"/monitor/{series}")["last_ms"])) < began + SETTLE_DAYS * DAY_MS:
            time.sleep(POLL_SECONDS)
    since = datetime.fromtimestamp((now - LEARNED_DAYS * DAY_MS) / 1000, UTC).strftime("%Y-%m-%dT%H:%M:%S")
    source = f"hub://127.0.0.1:{site.port}/{series}?since={since}"
    done = _run("run.py", "all", "--source", source, *settings("again"), "--json", token=site.token)
    answer = done.stdout.strip().splitlines()[-1] if done.stdout.strip() else ""
    code = done.returncode
    if code == 0:
        version = json.loads(answer)["model_version"]
        print(f"version {version} is to challenge", flush=True)
        code = _run("-m", "deployers", "deploy", "--version", version, "--shadow", token=site.token).returncode
    print(answer, flush=True)
    return code


def _run(*words: str, token: str) -> subprocess.CompletedProcess[str]:
    """One of the project's commands; what it says on standard error goes to the job's log."""
    return subprocess.run(  # noqa: S603 - our own program
        [sys.executable, *words], cwd=ROOT, env={**os.environ, "EDGELOOP_HUB_TOKEN": token}, check=False,
        stdout=subprocess.PIPE, text=True,
    )  # fmt: skip


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
