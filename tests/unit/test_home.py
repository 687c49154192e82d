"""The home folder: one place, one writer."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from forecaster.errors import Busy, ServiceUnavailable
from pipelines.home import CHECKOUT, Home


def test_it_is_in_the_checkout_unless_told_otherwise(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("EDGELOOP_HOME", raising=False)
    assert Home.from_environment().root == CHECKOUT / ".edgeloop"
    monkeypatch.setenv("EDGELOOP_HOME", str(tmp_path / "here"))
    assert Home.from_environment().root == tmp_path / "here"


def test_every_library_is_pointed_below_it(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(os, "environ", {"EDGELOOP_HOME": str(tmp_path)})
    Home.from_environment().prepare()
    below = {"ZENML_CONFIG_PATH", "NUMBA_CACHE_DIR", "MPLCONFIGDIR", "EDGELOOP_HOME"}
    assert all(os.environ[name].startswith(str(tmp_path)) for name in below)
    assert os.environ["ZENML_LOGGING_VERBOSITY"] == "CRITICAL"


def test_what_the_user_set_stays(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(os, "environ", {"EDGELOOP_HOME": str(tmp_path), "ZENML_CONFIG_PATH": "/elsewhere"})
    Home.from_environment().prepare(debug=True)
    assert os.environ["ZENML_CONFIG_PATH"] == "/elsewhere"
    assert os.environ["ZENML_LOGGING_VERBOSITY"] == "INFO"


def test_a_home_that_cannot_be_made(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ServiceUnavailable, match="set EDGELOOP_HOME to a writable folder"):
        Home(tmp_path / "file" / "home").prepare()


def test_two_writers_at_once(tmp_path: Path) -> None:
    home = Home(tmp_path)
    with home.held(), pytest.raises(Busy, match=f"process '{os.getpid()}'"), Home(tmp_path).held():
        pass
    with home.held():
        assert (tmp_path / "lock").read_text() == str(os.getpid())


def test_the_lock_ends_with_a_killed_process(tmp_path: Path) -> None:
    script = (
        "import sys, time; from pathlib import Path; from pipelines.home import Home\n"
        "with Home(Path(sys.argv[1])).held(): print('held', flush=True); time.sleep(60)"
    )
    holder = subprocess.Popen(
        [sys.executable, "-c", script, str(tmp_path)], cwd=CHECKOUT, stdout=subprocess.PIPE, text=True
    )
    try:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n"
        with pytest.raises(Busy, match=str(holder.pid)), Home(tmp_path).held():
            pass
    finally:
        holder.kill()
        holder.communicate()
    with Home(tmp_path).held():
        pass


@pytest.mark.parametrize("given", ["state", "", "~/state"])
def test_steps_see_the_resolved_home(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, given: str) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(os, "environ", {"EDGELOOP_HOME": given, "HOME": str(tmp_path)})
    home = Home.from_environment()
    if given:
        assert home.root == tmp_path / "state"
        home.prepare()
        assert os.environ["EDGELOOP_HOME"] == str(tmp_path / "state")
    else:
        assert home.root == CHECKOUT / ".edgeloop"


def test_credentials_leave_the_uri(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    given = {"EDGELOOP_HOME": str(tmp_path), "MLFLOW_TRACKING_URI": "http://bob:s%40cret@mlflow.example:5000/x"}
    monkeypatch.setattr(os, "environ", given)
    Home.from_environment().prepare()
    assert os.environ["MLFLOW_TRACKING_URI"] == "http://mlflow.example:5000/x"
    assert (os.environ["MLFLOW_TRACKING_USERNAME"], os.environ["MLFLOW_TRACKING_PASSWORD"]) == ("bob", "s@cret")


def test_a_home_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "lock").mkdir()
    with pytest.raises(ServiceUnavailable, match="cannot be written"), Home(tmp_path).held():
        pass
