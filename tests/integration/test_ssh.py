"""The SSH connector and a real sshd on a loopback port."""

from __future__ import annotations

import errno
import os
import shutil
import socket
import subprocess
import threading
import time
from pathlib import Path, PurePosixPath

import pytest

from deployers.connectors.base import Transferred, require
from deployers.connectors.command import Command, Secret, script
from deployers.connectors.faults import FaultyConnector
from deployers.connectors.opening import connect
from deployers.connectors.ssh import SshConnector
from deployers.exceptions import (
    HostKeyError,
    InputError,
    NotFound,
    RemoteFailed,
    ServiceUnavailable,
    Unreachable,
)
from tests.sshd import Server, make_key, running

UNKNOWN = "SHA256:" + "A" * 43
DATA = bytes(range(256)) * 4096  # 1 MiB


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    with running(tmp_path_factory.mktemp("sshd"), ("ed25519", "ecdsa", "rsa")) as found:
        yield found


@pytest.fixture
def jetson(server):
    connector = connect(server.jetson())
    yield connector
    connector.close()


def remote(path: Path) -> PurePosixPath:
    return PurePosixPath(path)


# --- who answers


@pytest.mark.parametrize("kind", ["ed25519", "ecdsa", "rsa"])
def test_one_pinned_key_of_any_type_is_enough(server, kind) -> None:
    connector = SshConnector(server.jetson(host_keys=(server.fingerprints[kind],)))
    assert connector.run(Command(("echo", "hello"))).text == "hello\n"
    connector.close()


def test_an_unknown_host_key_is_refused_and_named(server) -> None:
    connector = SshConnector(server.jetson(host_keys=(UNKNOWN,)))
    with pytest.raises(HostKeyError, match="expected one of SHA256:AAAA") as refused:
        connector.run(Command(("true",)))
    told = str(refused.value)
    assert all(fingerprint in told for fingerprint in server.fingerprints.values())
    assert "ssh-keygen -lf /etc/ssh/ssh_host_ed25519_key.pub" in told
    assert refused.value.exit_code == 8


def test_a_host_key_that_changed_is_refused(tmp_path) -> None:
    with running(tmp_path) as first:
        pinned = first.fingerprints["ed25519"]
    for file in tmp_path.glob("host_*"):
        file.unlink()
    (tmp_path / "client").unlink()
    with running(tmp_path) as second:
        assert second.fingerprints["ed25519"] != pinned
        with pytest.raises(HostKeyError):
            SshConnector(second.jetson(host_keys=(pinned,))).upload(b"x", remote(tmp_path / "x"))
    assert not (tmp_path / "x").exists()


# --- who asks


def test_a_key_that_is_not_authorised_is_refused(server, tmp_path) -> None:
    make_key(tmp_path / "other")
    with pytest.raises(Unreachable, match=r"refuses user .* with key file '.*other' .*check user and key_file"):
        SshConnector(server.jetson(key_file=tmp_path / "other")).run(Command(("true",)))


def test_a_key_with_a_passphrase_is_refused_with_what_to_do(server, tmp_path) -> None:
    make_key(tmp_path / "locked", passphrase="hunter2")  # noqa: S106 - of this test
    with pytest.raises(InputError, match="has a passphrase, expected none: ssh-add it"):
        SshConnector(server.jetson(key_file=tmp_path / "locked")).run(Command(("true",)))


@pytest.mark.parametrize("content", [b"", b"no key\n", b"-----BEGIN OPENSSH PRIVATE KEY-----\nAAAA\n"])
def test_a_file_that_is_no_key_is_refused(server, tmp_path, content) -> None:
    (tmp_path / "key").write_bytes(content)
    with pytest.raises(InputError, match=r"key file '.*key' is no private key .*as ssh-keygen writes it"):
        SshConnector(server.jetson(key_file=tmp_path / "key")).run(Command(("true",)))


def test_without_a_key_file_the_agent_is_asked(server, tmp_path, monkeypatch) -> None:
    monkeypatch.delenv("SSH_AUTH_SOCK", raising=False)
    with pytest.raises(Unreachable, match="the agent has no key"):
        SshConnector(server.jetson(key_file=None)).run(Command(("true",)))
    address = tmp_path / "agent"
    agent = subprocess.Popen(["ssh-agent", "-D", "-a", str(address)], stdout=subprocess.DEVNULL)
    try:
        for _ in range(100):
            if address.exists():
                break
            time.sleep(0.02)
        monkeypatch.setenv("SSH_AUTH_SOCK", str(address))
        subprocess.run(["ssh-add", "-q", str(server.folder / "client")], check=True)
        connector = SshConnector(server.jetson(key_file=None))
        assert connector.run(Command(("echo", "in"))).text == "in\n"
        connector.close()
    finally:
        agent.terminate()
        agent.wait(10)


def test_nobody_there_is_said_at_once(server) -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        free = probe.getsockname()[1]
    with pytest.raises(Unreachable, match=rf"127\.0\.0\.1:{free} does not answer \(Connection refused\)"):
        SshConnector(server.jetson(port=free)).run(Command(("true",)))
    with pytest.raises(Unreachable, match="no-such-host"):
        SshConnector(server.jetson(host="no-such-host.invalid")).run(Command(("true",)))


def test_somebody_who_never_speaks_is_not_waited_for(server) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        began = time.monotonic()
        with pytest.raises(Unreachable, match="check the network"):
            SshConnector(server.jetson(port=silent.getsockname()[1], connect_seconds=0.5)).run(Command(("true",)))
        assert time.monotonic() - began < 5


# --- commands


def test_words_arrive_as_they_are(jetson) -> None:
    words = ("printf", "%s|", "a b", "$HOME", "`id`", "'", "ü", "", "*")
    assert jetson.run(Command(words)).text == "a b|$HOME|`id`|'|ü||*|"


def test_exit_code_and_both_streams_come_back(jetson) -> None:
    done = jetson.run(script("echo out; echo err >&2; exit 7"))
    assert (done.code, done.stdout, done.stderr) == (7, b"out\n", b"err\n")
    with pytest.raises(RemoteFailed, match=r"kitchen: err .*ended with 7, expected 0"):
        require(jetson, script("echo err >&2; exit 7"))


def test_large_input_and_output_do_not_block_each_other(jetson) -> None:
    done = jetson.run(Command(("sh", "-c", "cat; head -c 3000000 /dev/zero >&2"), input=DATA * 4))
    assert (done.code, done.stdout == DATA * 4, len(done.stderr)) == (0, True, 3_000_000)


def test_a_command_that_was_killed_has_no_exit_code(jetson) -> None:
    assert jetson.run(script("kill -9 $$")).code == -1


def test_a_command_that_hangs_is_given_up_and_the_next_one_runs(jetson) -> None:
    with pytest.raises(Unreachable, match=r"'sleep 30' did not end within 0\.3 s"):
        jetson.run(Command(("sleep", "30"), timeout=0.3))
    assert jetson.run(Command(("echo", "on"))).text == "on\n"


def test_a_child_that_keeps_the_channel_open_is_not_waited_for(jetson) -> None:
    began = time.monotonic()
    assert jetson.run(script("sleep 20 & echo started")).text == "started\n"
    assert time.monotonic() - began < 10


def test_threads_share_a_connection(jetson) -> None:
    found: list[str] = []
    threads = [
        threading.Thread(target=lambda n=n: found.append(jetson.run(Command(("echo", str(n)))).text)) for n in range(6)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(found) == [f"{n}\n" for n in range(6)]


def test_a_secret_is_in_no_error(jetson) -> None:
    with pytest.raises(RemoteFailed) as failed:
        require(jetson, script('echo "bad token $1" >&2; exit 1', Secret("hunter2")))
    assert "hunter2" not in str(failed.value)


# --- files


@pytest.mark.parametrize("data", [b"", b"x", DATA], ids=["empty", "a byte", "1 MiB"])
def test_a_file_goes_there_and_comes_back(jetson, tmp_path, data) -> None:
    seen: list[tuple[int, int]] = []
    moved = jetson.upload(data, remote(tmp_path / "there"), 0o640, lambda *each: seen.append(each))
    assert (moved.size, moved.sent) == (len(data), len(data))
    assert (tmp_path / "there").read_bytes() == data
    assert (tmp_path / "there").stat().st_mode & 0o7777 == 0o640
    assert seen[-1] == (len(data), len(data))
    assert jetson.sha256(remote(tmp_path / "there")) == moved.sha256
    assert jetson.download(remote(tmp_path / "there"), tmp_path / "back").sha256 == moved.sha256
    assert (tmp_path / "back").read_bytes() == data
    assert sorted(path.name for path in tmp_path.iterdir()) == ["back", "there"]


def test_nobody_else_reads_a_file_while_it_arrives(jetson, tmp_path) -> None:
    modes: list[int] = []
    part = tmp_path / "x.part"
    jetson.upload(DATA, remote(tmp_path / "x"), 0o644, lambda *_: modes.append(part.stat().st_mode & 0o777))
    assert set(modes) == {0o600}
    assert (tmp_path / "x").stat().st_mode & 0o777 == 0o644


def test_a_file_that_is_there_is_not_sent_again(jetson, tmp_path) -> None:
    jetson.upload(DATA, remote(tmp_path / "x"), 0o600)
    inode = (tmp_path / "x").stat().st_ino
    assert jetson.upload(DATA, remote(tmp_path / "x"), 0o640).sent == 0
    assert ((tmp_path / "x").stat().st_ino, (tmp_path / "x").stat().st_mode & 0o777) == (inode, 0o640)
    assert jetson.upload(DATA[::-1], remote(tmp_path / "x")).sent == len(DATA)
    assert (tmp_path / "x").read_bytes() == DATA[::-1]


@pytest.mark.parametrize("have", [1, 5000, len(DATA) - 1, len(DATA)])
def test_an_upload_goes_on_where_it_was_cut(jetson, tmp_path, have) -> None:
    (tmp_path / "x.part").write_bytes(DATA[:have])
    assert jetson.upload(DATA, remote(tmp_path / "x")).sent == len(DATA) - have
    assert (tmp_path / "x").read_bytes() == DATA


@pytest.mark.parametrize("part", [b"\1" + DATA[1:5000], DATA + b"more", b"other"])
def test_a_part_of_something_else_is_not_gone_on_with(jetson, tmp_path, part) -> None:
    (tmp_path / "x.part").write_bytes(part)
    assert jetson.upload(DATA, remote(tmp_path / "x")).sent == len(DATA)
    assert (tmp_path / "x").read_bytes() == DATA


@pytest.mark.parametrize("have", [1, 5000, len(DATA)])
def test_a_download_goes_on_where_it_was_cut(jetson, tmp_path, have) -> None:
    (tmp_path / "x").write_bytes(DATA)
    (tmp_path / "y.part").write_bytes(DATA[:have])
    assert jetson.download(remote(tmp_path / "x"), tmp_path / "y").sent == len(DATA) - have
    assert (tmp_path / "y").read_bytes() == DATA
    (tmp_path / "z.part").write_bytes(b"other")
    assert jetson.download(remote(tmp_path / "x"), tmp_path / "z").sent == len(DATA)


def test_a_connection_cut_half_way_leaves_a_part_and_the_old_file(server, jetson, tmp_path) -> None:
    (tmp_path / "x").write_bytes(b"old")
    cut = FaultyConnector(SshConnector(server.jetson()), 1, "middle")
    with pytest.raises(Unreachable):
        cut.upload(DATA, remote(tmp_path / "x"))
    cut.close()
    assert (tmp_path / "x").read_bytes() == b"old"
    moved = jetson.upload(DATA, remote(tmp_path / "x"))
    assert 0 < moved.sent < len(DATA)
    assert (tmp_path / "x").read_bytes() == DATA


def test_a_server_that_dies_while_a_command_runs_is_unreachable(tmp_path) -> None:
    with running(tmp_path) as server:
        connector = SshConnector(server.jetson())
        pid = int(connector.run(script("echo $PPID")).text)  # of the process that serves this connection
        with pytest.raises(Unreachable, match="check the network, and run this again"):
            connector.run(script('kill -9 "$1"; sleep 5', str(pid)))
        assert connector.run(Command(("echo", "again"))).text == "again\n"
        connector.close()


def test_a_file_from_a_file(jetson, tmp_path) -> None:
    (tmp_path / "a").write_bytes(DATA)
    moved = jetson.upload(tmp_path / "a", remote(tmp_path / "b"))
    assert moved == Transferred(len(DATA), len(DATA), moved.sha256)


def test_what_is_not_there_is_not_found(jetson, tmp_path) -> None:
    assert jetson.sha256(remote(tmp_path / "none")) is None
    assert jetson.sha256(remote(tmp_path)) is None
    with pytest.raises(NotFound, match=r"kitchen: no file '.*none', expected it there"):
        jetson.download(remote(tmp_path / "none"), tmp_path / "x")
    with pytest.raises(InputError, match="expected a folder that exists"):
        jetson.upload(b"x", remote(tmp_path / "none" / "x"))


@pytest.mark.parametrize("target", ["folder", "pipe"])
def test_what_is_no_file_is_not_replaced(jetson, tmp_path, target) -> None:
    (tmp_path / "folder").mkdir()
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(InputError, match="is no file, expected one or nothing"):
        jetson.upload(b"x", remote(tmp_path / target))


def test_a_download_into_a_folder_that_is_missing_is_explained(jetson, tmp_path) -> None:
    (tmp_path / "x").write_bytes(b"x")
    with pytest.raises(InputError, match=r"here: .*expected a folder that exists"):
        jetson.download(remote(tmp_path / "x"), tmp_path / "none" / "y")


def test_a_file_that_changed_on_the_way_does_not_take_its_place(server, tmp_path, monkeypatch) -> None:
    from deployers.connectors import transfer

    monkeypatch.setattr(transfer.Sender, "_hash", lambda self, size: "0" * 64)
    connector = SshConnector(server.jetson())
    with pytest.raises(ServiceUnavailable, match="did not arrive as it was sent"):
        connector.upload(b"x", remote(tmp_path / "x"))
    connector.close()
    assert list(tmp_path.iterdir()) == []


@pytest.fixture
def small_disk(tmp_path):
    """A disk of 1 MiB, where this machine lets tests mount one."""
    disk = tmp_path / "disk"
    disk.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(disk)], check=False, capture_output=True
    )
    if mounted.returncode:
        pytest.skip("mounting is not allowed here")
    yield disk
    subprocess.run(["umount", "-l", str(disk)], check=True)


def test_a_full_disk_is_told_and_harms_nothing(jetson, small_disk) -> None:
    (small_disk / "x").write_bytes(b"old")
    with pytest.raises(ServiceUnavailable, match=r"kitchen: '.*/x' cannot be written \(no space left.*free some space"):
        jetson.upload(DATA * 4, remote(small_disk / "x"))
    assert (small_disk / "x").read_bytes() == b"old"
    assert [path.name for path in small_disk.iterdir()] == ["x"]  # the hub there has its room back
    assert jetson.upload(DATA[:1000], remote(small_disk / "x")).sent == 1000


def test_errno_of_a_refusal_is_kept(jetson, tmp_path) -> None:
    if os.getuid() == 0:
        pytest.skip("root may write everywhere")
    tmp_path.chmod(0o500)
    with pytest.raises(ServiceUnavailable, match=os.strerror(errno.EACCES)):
        jetson.upload(b"x", remote(tmp_path / "x"))


def test_closing_twice_does_nothing(server: Server) -> None:
    connector = SshConnector(server.jetson())
    connector.run(Command(("true",)))
    connector.close()
    connector.close()
    assert shutil.which("ssh-keygen")
