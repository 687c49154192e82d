"""A Docker daemon with the image, and what it starts."""

from __future__ import annotations

import fcntl
import json
import os
import shutil
import subprocess
import tempfile
import threading
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.programs import CHECKOUT, running

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

SECONDS_TO_MAKE_THE_IMAGE = 3000


@contextmanager
def docker_daemon() -> Iterator[str]:
    """A Docker daemon of its own; gives what DOCKER_HOST has to be.

    Images stay in the cache folder, as the pipelines' takes minutes to make. There is no bridge and no firewall rule:
    containers use this machine's network.
    """
    if os.geteuid() != 0:
        pytest.fail("a Docker daemon is started as root: sudo make test-stacks")
    kept = Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache").expanduser() / "edgeloop" / "docker"
    kept.mkdir(parents=True, exist_ok=True)
    with (kept / "edgeloop-lock").open("w") as lock, _scratch("docker") as folder:
        fcntl.flock(lock, fcntl.LOCK_EX)  # two daemons would damage one folder
        address = f"unix://{folder / 'socket'}"
        options = ("--bridge=none", "--iptables=false", "--ip6tables=false", "--log-level=warn")
        places = {"host": address, "data-root": kept, "exec-root": folder / "run", "pidfile": folder / "pid"}
        command = ["dockerd", *options, *(f"--{name}={place}" for name, place in places.items())]
        with running(command, folder / "log", lambda: docker(address, "version").returncode == 0, home=folder):
            yield address


def pipelines_image(docker_host: str) -> str:
    """`make image` on this daemon; gives the image's name."""
    environment = {**os.environ, "DOCKER_HOST": docker_host}
    for variable in ("EDGELOOP_IMAGE", "PYTHONPATH"):
        environment.pop(variable, None)
    done = subprocess.run(
        ["make", "image"],
        cwd=CHECKOUT, env=environment, timeout=SECONDS_TO_MAKE_THE_IMAGE, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    from stacks.image import image_name

    return image_name()


def docker(host: str, *words: str) -> subprocess.CompletedProcess[str]:
    """Run Docker's client to its end."""
    environment = {**os.environ, "DOCKER_HOST": host}
    return subprocess.run(["docker", *words], env=environment, capture_output=True, text=True, timeout=120, check=False)


def step_of(host: str, container: str) -> str:
    """The step that a container was made for."""
    command = json.loads(docker(host, "inspect", "--format={{json .Config.Cmd}}", container).stdout)
    return str(command[command.index("--step_name") + 1])


@contextmanager
def started_containers(host: str) -> Iterator[Callable[[], list[str]]]:
    """Watches what is started within; gives a function that tells the steps, one a container, in order."""
    seen: list[str] = []
    command = ["docker", "events", "--filter=event=start", "--filter=type=container", "--format={{.Actor.ID}}"]
    environment = {**os.environ, "DOCKER_HOST": host}
    with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True) as watcher:
        output = watcher.stdout
        assert output is not None
        # A container is gone when its step has ended: it is looked at while it runs.
        reader = threading.Thread(target=lambda: seen.extend(step_of(host, line.strip()) for line in output))
        reader.start()
        try:
            yield lambda: list(seen)
        finally:
            watcher.terminate()
            reader.join()


@contextmanager
def _scratch(name: str) -> Iterator[Path]:
    folder = Path(tempfile.mkdtemp(prefix=f"edgeloop-{name}-"))
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
