"""What keeps the hub running: the unit as systemd reads it, and the scripts where there is none."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path, PurePosixPath

import pytest

from deployers.service import START, STOP, restart_commands, unit_text, wait_command
from deployers.site import Site
from tests.jetson_facts import ROOT

SITE = Site("kitchen", ROOT, "jetson", "edgeloop", ("sudo", "-n"), systemd=True)
OURS = Site("kitchen", ROOT, "you", "you", (), systemd=False)
ANALYZE = shutil.which("systemd-analyze")


def unit(tmp_path: Path, root: PurePosixPath = ROOT) -> Path:
    """The unit with a program that is here, which `verify` looks for."""
    path = tmp_path / "edgeloop-hub.service"
    text = unit_text(Site("kitchen", root, "jetson", "root", (), systemd=True))
    path.write_text(text.replace(f"ExecStart={root}/venv/current/bin/python", f"ExecStart={sys.executable}"))
    return path


@pytest.mark.skipif(ANALYZE is None, reason="no systemd-analyze on this machine")
def test_systemd_takes_the_unit(tmp_path) -> None:
    done = subprocess.run([str(ANALYZE), "verify", str(unit(tmp_path))], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.skipif(ANALYZE is None, reason="no systemd-analyze on this machine")
def test_the_unit_exposes_little(tmp_path) -> None:
    words = [str(ANALYZE), "security", "--offline=true", "--no-pager", str(unit(tmp_path))]
    told = subprocess.run(words, capture_output=True, text=True, check=False).stdout
    (level,) = re.findall(r"exposure level for \S+ (\d+\.\d)", told)
    assert float(level) <= 2.1  # run as root in this test, which alone counts 0.4


def test_the_hub_may_write_its_own_folders_and_no_others() -> None:
    text = unit_text(SITE)
    assert "ReadWritePaths=/var/lib/edgeloop/data /var/lib/edgeloop/run /var/lib/edgeloop/incoming\n" in text
    for line in ("User=edgeloop", "ProtectSystem=strict", "NoNewPrivileges=yes", "Restart=always", "ProtectHome=yes"):
        assert f"\n{line}\n" in text


def test_secrets_come_from_a_file_that_need_not_be_there() -> None:
    assert "\nEnvironmentFile=-/var/lib/edgeloop/config/hub.env\n" in unit_text(SITE)


def test_a_root_in_a_home_can_be_read() -> None:
    assert "\nProtectHome=read-only\n" in unit_text(Site("k", PurePosixPath("/home/j/e"), "j", "j", (), systemd=True))


def test_what_is_started_is_what_is_current() -> None:
    assert [command.shown() for command in restart_commands(SITE)] == [
        "sudo -n systemctl daemon-reload",
        "sudo -n systemctl enable edgeloop-hub.service",
        "sudo -n systemctl restart edgeloop-hub.service",
    ]
    stop, start = restart_commands(OURS)
    assert stop.shown().endswith("sh /var/lib/edgeloop/run/supervisor.pid 30 /var/lib/edgeloop/config/hub.toml")
    assert start.shown().endswith("bin/python -P -m deployers.hub supervise --config /var/lib/edgeloop/config/hub.toml")


def test_it_is_waited_for_where_it_answers() -> None:
    assert (
        wait_command(SITE, "http://x/health", 5).shown().endswith("waiting.py http://x/health 5 edgeloop-hub.service")
    )
    ours = wait_command(OURS, "http://x/health", 5)
    assert ours.shown().endswith("5 /var/lib/edgeloop/run/supervisor.pid /var/lib/edgeloop/run/hub.log")
    assert ours.timeout > 5


def is_there(pid: int) -> bool:
    try:
        return ") Z " not in Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return False


def test_a_hub_is_started_apart_and_ended(tmp_path) -> None:
    program = (
        "import os, sys, time; open(sys.argv[1], 'w').write(str(os.getpid())); print('up', flush=True); time.sleep(60)"
    )
    pid_file, log = tmp_path / "supervisor.pid", tmp_path / "hub.log"
    words = [sys.executable, "-c", program, str(pid_file), "-m", "deployers.hub"]
    subprocess.run(["sh", "-c", START, "sh", str(log), *words], check=True, timeout=10)
    for _ in range(250):
        if log.exists() and log.read_text() == "up\n":
            break
        time.sleep(0.02)
    pid = int(pid_file.read_text())
    assert is_there(pid)
    assert os.getsid(pid) == pid != os.getsid(0)
    assert log.stat().st_mode & 0o777 == 0o600
    subprocess.run(["sh", "-c", STOP, "sh", str(pid_file), "10", str(pid_file)], check=True, timeout=20)
    assert not is_there(pid)


@pytest.mark.parametrize("words", [(), ("-m", "deployers.hub", "supervise", "--config", "/srv/other/config/hub.toml")])
def test_a_process_that_is_no_hub_or_anothers_is_left_alone(tmp_path, words) -> None:
    other = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)", *words])
    try:
        (tmp_path / "pid").write_text(str(other.pid))
        stop = ["sh", "-c", STOP, "sh", str(tmp_path / "pid"), "1", str(tmp_path / "config/hub.toml")]
        subprocess.run(stop, check=True, timeout=20)
        assert other.poll() is None
    finally:
        other.kill()
        other.wait()


def test_where_nothing_runs_nothing_is_ended(tmp_path) -> None:
    subprocess.run(["sh", "-c", STOP, "sh", str(tmp_path / "none"), "1", "hub.toml"], check=True, timeout=20)


def test_a_hub_that_does_not_end_is_told(tmp_path) -> None:
    program = (
        "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('up', flush=True); time.sleep(60)"
    )
    words = [sys.executable, "-c", program, "deployers.hub"]
    stubborn = subprocess.Popen(words, stdout=subprocess.PIPE)
    try:
        assert stubborn.stdout is not None
        stubborn.stdout.readline()
        (tmp_path / "pid").write_text(str(stubborn.pid))
        done = subprocess.run(
            ["sh", "-c", STOP, "sh", str(tmp_path / "pid"), "0", "deployers.hub"],
            capture_output=True,
            text=True,
            check=False,
        )
        assert (done.returncode, done.stdout) == (1, f"process {stubborn.pid} does not end\n")
    finally:
        stubborn.send_signal(signal.SIGKILL)
        stubborn.communicate()
