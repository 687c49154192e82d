"""Setup on this machine and over SSH: cut or killed anywhere, the same command finishes it."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
import urllib.request
from dataclasses import replace
from pathlib import Path

import pytest

from deployers.connectors.faults import MOMENTS, FaultyConnector
from deployers.connectors.local import LocalConnector
from deployers.connectors.opening import connect
from deployers.exceptions import RemoteFailed, RolledBack, Unreachable
from deployers.site_setup import CHANGED, FAILED, NOTHING, prepare
from tests.sshd import running
from tests.stub_hub import Bench, make_bench

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def bench(tmp_path):
    found = make_bench(tmp_path)
    yield found
    found.end()


def answers(bench: Bench) -> bool:
    with urllib.request.urlopen(f"http://127.0.0.1:{bench.port}/health", timeout=5) as answer:
        return bool(answer.status == 200)


def require_whole(bench: Bench) -> None:
    """Whatever is current is complete, at any moment."""
    for link, proof in (("code", "deployers/waiting.py"), ("venv", "bin/python")):
        current = bench.root / link / "current"
        assert not current.is_symlink() or (current / proof).exists()


def test_a_bare_machine_gets_a_hub_and_keeps_it(bench) -> None:
    first = prepare(bench.jetson(), bench.shop())
    assert (first.state, str(first.error)) == (CHANGED, "None")
    assert answers(bench)
    modes = {path: (bench.root / path).stat().st_mode & 0o777 for path in ("config", "data", "config/hub.toml")}
    assert modes == {"config": 0o700, "data": 0o700, "config/hub.toml": 0o600}
    pid = (bench.root / "run" / "supervisor.pid").read_text()
    second = prepare(bench.jetson(), bench.shop())
    assert (second.state, second.sent) == (NOTHING, 0)
    assert (bench.root / "run" / "supervisor.pid").read_text() == pid


def test_a_hub_that_died_is_started_again(bench) -> None:
    prepare(bench.jetson(), bench.shop())
    bench.end()
    again = prepare(bench.jetson(), bench.shop())
    assert [step.name for step in again.plan.steps] == ["start"]
    assert answers(bench)


def calls_of_a_setup(bench: Bench) -> int:
    counting = FaultyConnector(LocalConnector())
    assert prepare(bench.jetson(), bench.shop(lambda _: counting)).error is None
    bench.clear()
    return counting.calls


@pytest.mark.parametrize("first", [1, 2, 3])
def test_cut_at_every_call_the_second_run_ends_well(bench, first) -> None:
    """Before, in the middle of and after calls in turn, each on a bare machine; every third call, from the first."""
    count = calls_of_a_setup(bench)
    assert count > 20
    for at in range(first, count + 1, 3):
        cut = FaultyConnector(LocalConnector(), at, MOMENTS[at // 3 % 3])
        broken = prepare(bench.jetson(), bench.shop(lambda _, cut=cut: cut))
        assert isinstance(broken.error, Unreachable), at
        require_whole(bench)
        second = prepare(bench.jetson(), bench.shop())
        assert second.error is None, (at, second.error)
        require_whole(bench)
        assert answers(bench)
        assert at % 5 or prepare(bench.jetson(), bench.shop()).state == NOTHING
        bench.clear()


def test_killed_at_any_moment_the_second_run_ends_well(bench) -> None:
    code = (
        "import sys; from pathlib import Path; sys.path.insert(0, sys.argv[1]); import pickle\n"
        "from tests.stub_hub import Bench; from deployers.site_setup import prepare\n"
        "bench = pickle.loads(Path(sys.argv[2]).read_bytes()); print('in', flush=True)\n"
        "prepare(bench.jetson(), bench.shop())"
    )
    import pickle

    (bench.folder / "bench").write_bytes(pickle.dumps(bench))
    for wait in (0.1, 0.4, 0.8):
        words = [sys.executable, "-c", code, str(ROOT), str(bench.folder / "bench")]
        process = subprocess.Popen(words, stdout=subprocess.PIPE)
        with process:
            assert process.stdout is not None
            assert process.stdout.readline() == b"in\n"
            time.sleep(wait)
            process.send_signal(signal.SIGKILL)
        require_whole(bench)
    assert prepare(bench.jetson(), bench.shop()).error is None
    assert answers(bench)
    assert prepare(bench.jetson(), bench.shop()).state == NOTHING


def test_a_configuration_that_the_hub_refuses_never_takes_its_place(bench) -> None:
    prepare(bench.jetson(), bench.shop())
    before = (bench.root / "config" / "hub.toml").read_bytes()
    refused = prepare(bench.jetson(hub={"rest": {"colour": "red"}}), bench.shop())
    assert isinstance(refused.error, RemoteFailed)
    assert (bench.root / "config" / "hub.toml").read_bytes() == before
    assert answers(bench)
    assert prepare(bench.jetson(), bench.shop()).state in {CHANGED, NOTHING}


def test_a_new_version_that_does_not_start_makes_way(bench, monkeypatch) -> None:
    prepare(bench.jetson(), bench.shop())
    old = (bench.root / "code" / "current").readlink()
    stub = bench.folder / "stub" / "deployers" / "hub" / "__main__.py"
    stub.write_text(stub.read_text().replace('assert command == "supervise", command', 'sys.exit("error: no good")'))
    from deployers.bundle import make_bundle

    worse = replace(bench, bundle=make_bundle(stub.parents[1], {}))
    outcome = prepare(worse.jetson(), worse.shop())
    assert isinstance(outcome.error, RolledBack)
    assert "its last words: error: no good" in str(outcome.error)
    assert (bench.root / "code" / "current").readlink() == old
    assert answers(bench)
    assert prepare(bench.jetson(), bench.shop()).error is None


def test_old_versions_go(bench) -> None:
    prepare(bench.jetson(), bench.shop())
    (bench.root / "code" / "older").mkdir()
    (bench.root / "venv" / "left.new").mkdir()
    assert [step.name for step in prepare(bench.jetson(), bench.shop()).plan.steps] == ["old versions"]
    assert len(list((bench.root / "code").iterdir())) == 2


def test_a_root_that_may_not_be_made_is_told(bench) -> None:
    (bench.folder / "file").write_text("")
    outcome = prepare(bench.jetson(root=str(bench.folder / "file" / "jetson")), bench.shop())
    assert outcome.state == FAILED
    assert "mkdir" in str(outcome.error)


def test_over_ssh_it_is_the_same(bench, tmp_path) -> None:
    (tmp_path / "sshd").mkdir()
    with running(tmp_path / "sshd") as server:
        entry = server.jetson(
            **bench.jetson().model_dump(exclude={"host", "port", "connection", "host_keys", "key_file", "boards"})
        )
        first = prepare(entry, bench.shop(connect))
        assert (first.state, str(first.error)) == (CHANGED, "None")
        assert answers(bench)
        assert prepare(entry, bench.shop(connect)).state == NOTHING
        bench.end()
