"""What each stack costs over plain Python: both pipelines with the smoke configuration, then again from the cache.

    python -m benchmarks.stacks [--stacks local s3 docker airflow ssh]

As root on a quiet machine: CPU seconds are those of the whole machine while a command runs, since containers, daemons
and servers belong to a stack's cost. Everything a stack needs is started before it is measured, as `make test-stacks`
does, and ended after. Plain Python is `benchmarks.stacks_plain`, which does all but registering. Every row must give
the same model, and no cached step may have a container. Results go to build/bench/stacks.json; 1 if one differs.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections import Counter
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from rich.console import Console
from rich.table import Table

from tests.airflow_server import airflow_server
from tests.e2e.stacks_docker import DATA_STEPS, NEVER_CACHED, TRAINING_STEPS
from tests.e2e.stacks_ssh import containers
from tests.s3_server import S3Server, s3_server
from tests.second_host import second_host
from tests.servers import mlflow_server, zen_server
from tests.stack_services import docker_daemon, pipelines_image, started_containers
from tests.workplace import SMOKE, Workplace

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

ROOT = Path(__file__).resolve().parents[1]
TARGET = ROOT / "build" / "bench" / "stacks.json"
SECONDS = 3600
BUCKET = "edgeloop"


class Ready(NamedTuple):
    """A stack with what it needs.

    Attributes:
        environment: what its file wants.
        containers: the steps that have had one so far; None where steps have none.
    """

    environment: dict[str, str]
    containers: Callable[[], list[str]] | None = None


@contextmanager
def _local(_: Path) -> Iterator[Ready]:
    yield Ready({})


@contextmanager
def _s3(_: Path) -> Iterator[Ready]:
    with s3_server() as server:
        yield Ready(
            {**_bucket(server), "EDGELOOP_ARTIFACTS": f"s3://{BUCKET}/a", "EDGELOOP_S3_ENDPOINT": server.endpoint}
        )


@contextmanager
def _docker(folder: Path) -> Iterator[Ready]:
    with docker_daemon() as daemon, mlflow_server(folder) as tracking, started_containers(daemon) as steps:
        pipelines_image(daemon)
        yield Ready({"DOCKER_HOST": daemon, "MLFLOW_TRACKING_URI": tracking}, steps)


@contextmanager
def _airflow(folder: Path) -> Iterator[Ready]:
    with _docker(folder) as made, airflow_server() as server:
        yield made._replace(environment={**made.environment, **server.variables})


@contextmanager
def _ssh(folder: Path) -> Iterator[Ready]:
    done = subprocess.run(["scripts/compose.sh"], cwd=ROOT, capture_output=True, text=True, check=True)  # noqa: S607
    with ExitStack() as services:
        host = services.enter_context(second_host(folder / "host", Path(done.stdout.strip())))
        with docker_daemon() as daemon:
            image = pipelines_image(daemon)
            host.give_image(daemon, image)
        bucket = services.enter_context(s3_server(host.here))
        keys = {name.lower(): value for name, value in _bucket(bucket).items()}
        (folder / "zenml").mkdir()
        zenml = services.enter_context(zen_server(folder / "zenml", host.here))
        zenml.keep_secret("edgeloop-s3", **keys)
        tracking = services.enter_context(mlflow_server(folder, host.here))
        environment = {
            **zenml.environment,
            "EDGELOOP_SSH_HOST": host.address,
            "EDGELOOP_SSH_KEY": str(host.key),
            "EDGELOOP_KNOWN_HOSTS": str(host.known_hosts),
            "EDGELOOP_SSH_FREE_GB": "1",
            "EDGELOOP_ARTIFACTS": f"s3://{BUCKET}/a",
            "EDGELOOP_S3_ENDPOINT": bucket.endpoint,
            "EDGELOOP_REGISTRY": "none.invalid",  # nobody asks it: the host has the image
            "EDGELOOP_IMAGE": image,
            "MLFLOW_TRACKING_URI": tracking,
        }
        yield Ready(environment, lambda: containers(host))


STACKS = {"local": _local, "s3": _s3, "docker": _docker, "airflow": _airflow, "ssh": _ssh}


def _bucket(server: S3Server) -> dict[str, str]:
    """A new bucket; gives its owner's keys."""
    owner = server.user("owner")
    server.client(owner).create_bucket(Bucket=BUCKET)
    return owner


def main(arguments: list[str] | None = None) -> int:
    """Measure, print the table, write the file; 1 if a stack gives another model or starts what it need not."""
    options = _options(arguments)
    rows = [_plain()]
    for name in options.stacks:
        with tempfile.TemporaryDirectory(prefix="edgeloop-bench-") as folder, STACKS[name](Path(folder)) as ready:
            rows += _measured(name, ready, Path(folder))
        _keep(rows)
    _show(rows)
    failed = list(_differences(rows))
    for line in failed:
        print(f"FAILED: {line}")
    return 1 if failed else 0


def _plain() -> dict[str, Any]:
    with tempfile.TemporaryDirectory(prefix="edgeloop-bench-") as folder:
        row: dict[str, Any] = {"stack": "plain Python", "run": "first", "containers": None}
        for pipeline in ("data", "train"):
            command = [sys.executable, "-m", "benchmarks.stacks_plain", pipeline, folder]
            row[pipeline], done = _timed(partial(_run, command))
        return {**row, "test": json.loads(done)["test"]}


def _run(command: list[str]) -> str:
    return subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True).stdout  # noqa: S603


def _measured(name: str, ready: Ready, folder: Path) -> list[dict[str, Any]]:
    place, rows, seen = Workplace.under(folder, SECONDS), [], Counter[str]()
    words = (*SMOKE, "--stack", name)
    for run in ("first", "cached"):
        row: dict[str, Any] = {"stack": name, "run": run}
        row["data"], _ = _timed(partial(place.succeed, "data", *words, env=ready.environment))
        row["train"], told = _timed(partial(place.succeed, "train", *words, env=ready.environment))
        now = Counter(ready.containers()) if ready.containers else None
        row["containers"] = None if now is None else sorted((now - seen).elements())
        seen = now or seen
        rows.append({**row, "test": told.result["test"]})
        print(json.dumps(row), file=sys.stderr)
    return rows


def _timed(work: Callable[[], Any]) -> tuple[dict[str, float], Any]:
    """Seconds on the clock and CPU seconds of the whole machine, and what the work gave."""
    began, busy = time.monotonic(), _busy()
    done = work()
    return {"seconds": round(time.monotonic() - began, 1), "cpu_seconds": round(_busy() - busy, 1)}, done


def _busy() -> float:
    """CPU seconds of this machine since it started: all but idle, waiting and what was stolen from it (proc(5))."""
    fields = [int(word) for word in Path("/proc/stat").read_text(encoding="ascii").split("\n", 1)[0].split()[1:8]]
    user, nice, system, _, _, irq, softirq = fields
    return (user + nice + system + irq + softirq) / os.sysconf("SC_CLK_TCK")


def _differences(rows: list[dict[str, Any]]) -> Iterator[str]:
    plain = rows[0]["test"]
    for row in rows[1:]:
        if row["test"] != plain:
            yield f"{row['stack']}, {row['run']}: test error {row['test']}, plain Python's is {plain}"
        wanted = [*DATA_STEPS, *TRAINING_STEPS, *NEVER_CACHED] if row["run"] == "first" else NEVER_CACHED
        if row["containers"] is not None and row["containers"] != sorted(wanted):
            yield f"{row['stack']}, {row['run']}: containers for {row['containers']}, expected for {wanted}"


def _keep(rows: list[dict[str, Any]]) -> None:
    TARGET.parent.mkdir(parents=True, exist_ok=True)
    TARGET.write_text(json.dumps(rows, indent=1), encoding="utf-8")


def _show(rows: list[dict[str, Any]]) -> None:
    table = Table(title="Both pipelines, smoke configuration: seconds (and CPU seconds of the whole machine)")
    for column in ("stack", "run"):
        table.add_column(column)
    for column in ("data", "training", "over plain, CPU s", "containers"):
        table.add_column(column, justify="right")
    plain = _cpu(rows[0])
    for row in rows:
        costs = [f"{row[name]['seconds']:.0f} ({row[name]['cpu_seconds']:.0f})" for name in ("data", "train")]
        over = "" if row is rows[0] else f"{_cpu(row) - plain:+.0f}"
        table.add_row(
            row["stack"], row["run"], *costs, over, "" if row["containers"] is None else str(len(row["containers"]))
        )
    Console(file=sys.stdout, width=120).print(table)


def _cpu(row: dict[str, Any]) -> float:
    return float(row["data"]["cpu_seconds"] + row["train"]["cpu_seconds"])


def _options(arguments: list[str] | None) -> Any:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--stacks", nargs="+", choices=STACKS, default=list(STACKS), metavar="NAME")
    return parser.parse_args(arguments)


if __name__ == "__main__":
    sys.exit(main())
