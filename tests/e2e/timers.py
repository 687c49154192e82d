"""Units and cron lines as systemd and cron themselves start them; run by `make test-stacks`, as root.

Each runs in namespaces of its own (mounts, processes): this machine's timers and crontabs are not touched. They want
Debian's cron and systemd.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from pipelines.cron import parse
from pipelines.timers import Job, files

if TYPE_CHECKING:
    from collections.abc import Iterator

STRANGE = """--source=a'b "c" $HOME 100% ;"""
# What a program started by the job writes down: itself, its folder, its home, the file's variable, its words.
PROGRAM = r"""#!/bin/sh
cd "$EDGELOOP_HOME" && printf '%s|' "$0" "$OLDPWD" "$EDGELOOP_HOME" "$FROM_FILE" "$@" > partial && mv partial started
"""
CRON = """
mkdir -p /etc/cron.d /var/spool/cron
mount -t tmpfs tmpfs /etc/cron.d && mount -t tmpfs tmpfs /var/spool/cron && mkdir -p /var/spool/cron/crontabs
install -m 600 "$1" /var/spool/cron/crontabs/root && mount -t tmpfs tmpfs /run && exec cron -f
"""
SYSTEMD = """
mount -t tmpfs tmpfs /run && mkdir -p /run/systemd/system
sed 's/^Description=/DefaultDependencies=no\\n&/' "$1" > "/run/systemd/system/$(basename "$1")"
exec env container=namespace /lib/systemd/systemd --system --unit="$(basename "$1")" --log-target=console
"""
SECONDS = {"cron": 75, "systemd": 30}  # cron starts at a full minute

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="mounts and processes of its own want root")


@pytest.fixture
def job(tmp_path: Path) -> Job:
    folder = tmp_path / "50%hours of $them"
    folder.mkdir()
    (folder / "python").write_text(PROGRAM)
    (folder / "python").chmod(0o755)
    (folder / "schedule.env").write_text("FROM_FILE='from the file'\n")
    command = (str(folder / "python"), "run.py", STRANGE, "--set=x={1: 2}")
    return Job("edgeloop-timers-test", command, folder, folder, parse("* * * * *"))


@pytest.fixture(params=["cron", "systemd"])
def daemon(request: pytest.FixtureRequest, job: Job, tmp_path: Path) -> Iterator[str]:
    """The program that starts the job, in namespaces that end with it."""
    kind = request.param
    program = "cron" if kind == "cron" else "/lib/systemd/systemd"
    assert shutil.which(program), f"{program} is not here: scripts/install-debian.sh {kind}"
    texts = files(job, kind)
    entry = tmp_path / next(name for name in texts if not name.endswith(".timer"))
    entry.write_text(texts[entry.name])
    script = CRON if kind == "cron" else SYSTEMD
    command = ["unshare", "--fork", "--pid", "--mount", "--mount-proc", "--kill-child", "sh", "-c", script, "sh", entry]
    with (tmp_path / "log").open("wb") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log)
    try:
        yield kind
    finally:
        process.send_signal(signal.SIGKILL)
        process.wait(10)


@pytest.mark.timeout(180)
def test_the_job_is_started_as_it_was_written(daemon: str, job: Job, tmp_path: Path) -> None:
    started = job.home / "started"
    deadline = time.monotonic() + SECONDS[daemon]
    while not started.exists():
        assert time.monotonic() < deadline, (tmp_path / "log").read_text(errors="replace")
        time.sleep(0.5)
    expected = [job.command[0], job.directory, job.home, "from the file", *job.command[1:]]
    assert started.read_text().rstrip("|").split("|") == [str(part) for part in expected]
