"""The virtual Jetson's own SSH server: who may come in, by which key, and what they find in their environment."""

from __future__ import annotations

import contextlib
import shutil
import socket
import subprocess
import threading
import time
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from deployers.connectors.command import Command
from deployers.connectors.opening import connect
from deployers.exceptions import DeployerError, HostKeyError, MissingTool
from deployers.inventory import Inventory
from deployers.lab import programs, sshd
from deployers.lab.jetson import KeptPort, NativeJetson, inventory_text, own_python
from deployers.lab.programs import LabError
from deployers.lab.sshd import SshServer, find_sshd, passed_environment, server_settings, write_key

if TYPE_CHECKING:
    from deployers.lab.folder import LabFolder

is_missing = shutil.which("sshd", path=programs.FOLDERS) is None
needs_sshd = pytest.mark.skipif(is_missing, reason="openssh-server is not here")


@pytest.fixture
def jetson(folder: LabFolder, monkeypatch: pytest.MonkeyPatch) -> Iterator[NativeJetson]:
    """One that is served by a thread of this process."""
    monkeypatch.setattr(sshd, "bound", lambda command, _: command)  # that thread ends before its processes do
    made, ended = NativeJetson(folder, "a1b2"), threading.Event()

    def serve() -> None:
        while not ended.wait(0.01):
            made.turn()

    thread = threading.Thread(target=serve)
    thread.start()
    yield made
    ended.set()
    thread.join()
    made.close()


def written(folder: LabFolder, entry: dict[str, object]) -> Inventory:
    (folder.keys / "signing.key").touch(mode=0o600)
    folder.inventory.write_text(inventory_text(folder.keys / "signing.key", entry, {}))
    return Inventory.load(folder.inventory)


# Keys and settings


def test_a_fingerprint_is_the_one_that_ssh_keygen_prints(tmp_path: Path) -> None:
    found = write_key(tmp_path / "key")
    if shutil.which("ssh-keygen"):
        for name in ("key", "key.pub"):
            done = subprocess.run(["ssh-keygen", "-lf", tmp_path / name], capture_output=True, text=True, check=True)
            assert done.stdout.split()[:2] == ["256", found]
    assert found.startswith("SHA256:")
    assert (tmp_path / "key").stat().st_mode & 0o777 == 0o600


def test_a_key_that_is_there_stays(tmp_path: Path) -> None:
    assert write_key(tmp_path / "key") == write_key(tmp_path / "key")


def test_a_percent_sign_in_a_path_is_no_token_of_sshd() -> None:
    text = server_settings(Path("/x"), Path("/50%/y"), "me", {"EDGELOOP_LAB": "a1", "PIP_INDEX_URL": "http://x y"})
    assert 'AuthorizedKeysFile "/50%%/y"' in text
    assert 'SetEnv "EDGELOOP_LAB=a1" "PIP_INDEX_URL=http://x y"\n' in text
    assert "PasswordAuthentication no" in text


def test_what_pip_needs_is_passed_on_and_nothing_else() -> None:
    own = {
        "PIP_INDEX_URL": "a",
        "https_proxy": "b",
        "SSL_CERT_FILE": "c",
        "SECRET": "d",
        "PIP_X": 'q"',
        "NO_PROXY": "e",
    }
    assert passed_environment(own) == {"PIP_INDEX_URL": "a", "https_proxy": "b", "SSL_CERT_FILE": "c", "NO_PROXY": "e"}


def test_without_a_server_the_message_names_the_package(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(programs, "FOLDERS", "/nowhere")
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(MissingTool, match=r"'sshd' is missing.*install-debian\.sh openssh-server"):
        find_sshd()


@needs_sshd
def test_settings_that_sshd_refuses_say_what_it_said(folder: LabFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sshd, "server_settings", lambda *_: "Colour blue\n")
    with pytest.raises(LabError, match=r"refuses .*sshd_config' \(code 255, '.*Colour"):
        SshServer(folder, "a1")


# Who may come in


@needs_sshd
def test_the_deployer_logs_in_and_its_commands_carry_the_mark(folder: LabFolder, jetson: NativeJetson) -> None:
    found = written(folder, jetson.inventory()).jetsons[0]
    with contextlib.closing(connect(found)) as connection:
        done = connection.run(Command(("sh", "-c", "echo $EDGELOOP_LAB; id -un")))
    assert done.stdout.split() == [b"a1b2", found.user.encode()]


@needs_sshd
def test_a_host_with_another_key_is_refused(folder: LabFolder, jetson: NativeJetson) -> None:
    other = write_key(folder.keys / "other")
    found = written(folder, {**jetson.inventory(), "host_keys": [other]}).jetsons[0]
    with pytest.raises(HostKeyError):
        connect(found).run(Command(("true",)))


@needs_sshd
def test_a_stranger_with_another_key_is_refused(folder: LabFolder, jetson: NativeJetson) -> None:
    write_key(folder.keys / "stranger")
    entry = {**jetson.inventory(), "key_file": str(folder.keys / "stranger")}
    with pytest.raises(DeployerError):
        connect(written(folder, entry).jetsons[0]).run(Command(("true",)))


@needs_sshd
def test_who_connects_and_says_nothing_keeps_nobody_out(folder: LabFolder, jetson: NativeJetson) -> None:
    found = written(folder, jetson.inventory()).jetsons[0]
    with (
        socket.create_connection(("127.0.0.1", found.port)),
        contextlib.closing(connect(found)) as connection,
    ):
        assert connection.run(Command(("echo", "in"))).stdout == b"in\n"
        assert len(jetson.pids) == 2
    end = time.monotonic() + 10
    while jetson.pids and time.monotonic() < end:
        time.sleep(0.02)
    assert jetson.pids == []


# Ports and the inventory


def test_a_kept_port_is_given_to_nobody_but_who_asks_for_it_by_number() -> None:
    kept = KeptPort()
    taken = [socket.create_server(("127.0.0.1", 0)) for _ in range(200)]
    assert kept.number not in {each.getsockname()[1] for each in taken}
    with (  # as the hub does, while the port is kept
        socket.create_server(("127.0.0.1", kept.number)) as hub,
        socket.create_connection(("127.0.0.1", kept.number)),
    ):
        hub.accept()[0].close()
    for each in taken:
        each.close()
    kept.close()


@needs_sshd
def test_the_inventory_is_one_that_the_deployer_reads(folder: LabFolder) -> None:
    jetson = NativeJetson(folder, "a1")
    key = folder.keys / "board-1.key"
    key.touch(mode=0o600)
    key.write_bytes(bytes(32))
    (folder.keys / "signing.key").touch(mode=0o600)
    folder.inventory.write_text(inventory_text(folder.keys / "signing.key", jetson.inventory(), {"board-1": key}))
    found = Inventory.load(folder.inventory)
    jetson.close()
    (only,) = found.jetsons
    assert (only.name, only.host, only.service, only.boards[0].id) == ("lab", "127.0.0.1", "supervise", "board-1")
    assert only.account == only.user
    assert found.signing_key == folder.keys / "signing.key"
    assert str(only.root) == str(jetson.root_here) == str(folder.path / "jetson")
    assert len({only.port, only.rest_port, only.boards_port}) == 3


PLAIN = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)


@given(
    st.dictionaries(
        st.from_regex(r"[a-z_]{1,8}", fullmatch=True),
        PLAIN | st.integers(-(2**53), 2**53) | st.booleans() | st.lists(PLAIN, max_size=3),
    ),
    st.dictionaries(PLAIN, PLAIN, max_size=3),
)
def test_an_inventory_says_what_it_was_given(entry: dict[str, Any], boards: dict[str, str]) -> None:
    entry.pop("board", None)
    keys = {name: Path("/keys") / file.replace("/", "") for name, file in boards.items() if "\0" not in file}
    found = tomllib.loads(inventory_text(Path("/keys/🔑 signing"), entry, keys))
    assert found["signing_key"] == "/keys/🔑 signing"
    (jetson,) = found["jetson"]
    assert {board["id"]: Path(board["key_file"]) for board in jetson.pop("board", [])} == keys
    assert jetson == entry


def test_a_key_of_which_a_cut_left_one_half_is_made_anew(tmp_path: Path) -> None:
    first = write_key(tmp_path / "key")
    (tmp_path / "key.pub").unlink()
    second = write_key(tmp_path / "key")
    assert second != first
    assert write_key(tmp_path / "key") == second
    assert sorted(path.name for path in tmp_path.iterdir()) == ["key", "key.pub"]


@needs_sshd
@given(st.dictionaries(st.sampled_from(["PIP_INDEX_URL", "https_proxy", "NO_PROXY"]), st.text(max_size=20)))
@example({"PIP_INDEX_URL": "a\nColour blue"})
@example({"PIP_INDEX_URL": 'a"b'})
@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_no_value_of_the_environment_makes_sshd_refuse_its_settings(tmp_path: Path, own: dict[str, str]) -> None:
    own = {name: value for name, value in own.items() if "\0" not in value}  # no environment holds these
    text = server_settings(
        tmp_path / "host", tmp_path / "client.pub", "me", {"EDGELOOP_LAB": "a1", **passed_environment(own)}
    )
    write_key(tmp_path / "host")
    (tmp_path / "sshd_config").write_text(text, errors="surrogateescape")
    done = subprocess.run([find_sshd(), "-t", "-f", tmp_path / "sshd_config"], capture_output=True, check=False)
    assert done.returncode == 0, (text, done.stderr)


def test_the_python_of_the_jetson_is_not_that_of_the_environment() -> None:
    code = "import sys; print(sys.prefix == sys.base_prefix, *sys.version_info[:2])"
    done = subprocess.run([own_python(), "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["True", "3", "11"]
