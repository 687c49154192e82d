"""For all tests: PostgreSQL for those that need one, property tests without a clock, signals as in a terminal."""

from __future__ import annotations

import os
import pwd
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, settings

if TYPE_CHECKING:
    from collections.abc import Iterator

WITHOUT = "EDGELOOP_WITHOUT_POSTGRES"
SECONDS_TO_START = 30

# Under nohup, or in the background of a script, tests and what they start would ignore what a terminal sends.
signal.signal(signal.SIGHUP, signal.SIG_DFL)
signal.signal(signal.SIGINT, signal.default_int_handler)

# A busy machine is no mistake of the code: neither an example nor the drawing of examples has to be quick.
settings.register_profile("edgeloop", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("edgeloop")


@pytest.fixture(scope="session")
def postgres_url() -> Iterator[str]:
    """URL of an empty database on a cluster of its own; both are gone after the session.

    Without server binaries the tests fail, unless EDGELOOP_WITHOUT_POSTGRES=1 says that they may be skipped.
    """
    binaries = _server_binaries()
    if binaries is None:
        if os.environ.get(WITHOUT) == "1":
            pytest.skip(f"no PostgreSQL server, and {WITHOUT}=1")
        pytest.fail(f"no PostgreSQL server found: apt-get install postgresql, or set {WITHOUT}=1 to skip these tests")
    folder = Path(tempfile.mkdtemp(prefix="edgeloop-postgres-"))
    try:
        with _server(binaries, folder) as port:
            yield f"postgresql://edgeloop@127.0.0.1:{port}/postgres"
    finally:
        shutil.rmtree(folder, ignore_errors=True)


class _server:  # noqa: N801 - used as a context manager only
    """A cluster in `folder` on a free loopback port; entering gives the port."""

    def __init__(self, binaries: Path, folder: Path) -> None:
        self.binaries, self.folder, self.port = binaries, folder, _free_port()
        # PostgreSQL refuses to run as root.
        self.account: dict[str, Any] = {}
        if os.geteuid() == 0:
            account = _unprivileged()
            self.account = {"user": account.pw_uid, "group": account.pw_gid, "extra_groups": []}
            os.chown(folder, account.pw_uid, account.pw_gid)

    def __enter__(self) -> int:
        data = self.folder / "data"
        init = [self.binaries / "initdb", "-D", data, "-U", "edgeloop", "-A", "trust", "-E", "UTF8", "--locale=C", "-N"]
        subprocess.run(init, check=True, capture_output=True, cwd=self.folder, **self.account)
        command = [self.binaries / "postgres", "-D", data, "-p", str(self.port), "-h", "127.0.0.1", "-k", self.folder]
        with (self.folder / "log").open("wb") as log:
            arguments = [*command, "-F"]  # no fsync: nothing here outlives the session
            self.process = subprocess.Popen(arguments, stdout=log, stderr=log, cwd=self.folder, **self.account)
        try:
            self._wait()
        except BaseException:
            self.__exit__()
            raise
        return self.port

    def __exit__(self, *_: object) -> None:
        self.process.terminate()
        try:
            self.process.wait(2)
        except subprocess.TimeoutExpired:
            self.process.send_signal(3)  # immediate shutdown, also of its children
            self.process.wait(10)

    def _wait(self) -> None:
        ask = [self.binaries / "pg_isready", "-q", "-h", "127.0.0.1", "-p", str(self.port)]
        deadline = time.monotonic() + SECONDS_TO_START
        while subprocess.run(ask, check=False, cwd="/").returncode:
            if self.process.poll() is not None or time.monotonic() > deadline:
                pytest.fail(f"PostgreSQL did not start: {(self.folder / 'log').read_text()[-2000:]}")
            time.sleep(0.05)


def _server_binaries() -> Path | None:
    """Folder of the newest `initdb`; distributions keep it off the PATH."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=lambda path: int(path.parts[-3]))
    on_path = shutil.which("initdb")
    if found:
        return found[-1].parent
    return Path(on_path).resolve().parent if on_path else None


def _unprivileged() -> pwd.struct_passwd:
    try:
        return pwd.getpwnam("postgres")
    except KeyError:
        return pwd.getpwnam("nobody")


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
