"""The emulated Jetson, as far as it goes without root: its settings, its disk, and what is refused."""

from __future__ import annotations

import os
import subprocess
import tarfile
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from deployers.exceptions import MissingTool
from deployers.lab import arm64, rootfs
from deployers.lab.programs import LabError
from deployers.lab.rootfs import ROOT, cache_folder, configure, environment_archive, system_archive, tool, unpack
from deployers.operations import environment_digest


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache" / "edgeloop"


# The kernel's rule and the server's settings


def test_the_rule_matches_aarch64_programs_and_no_others() -> None:
    magic, mask = (part.encode().decode("unicode_escape").encode("latin1") for part in (arm64.MAGIC, arm64.MASK))
    assert len(magic) == len(mask) == 20

    def matches(start: bytes) -> bool:
        return all(byte & bits == wanted & bits for byte, wanted, bits in zip(start, magic, mask, strict=True))

    elf = bytes.fromhex("7f454c46020101000000000000000000")
    assert matches(elf + b"\x02\x00\xb7\x00")  # an executable
    assert matches(elf + b"\x03\x00\xb7\x00")  # one that may lie anywhere
    assert matches(elf[:7] + b"\x03" + elf[8:] + b"\x02\x00\xb7\x00")  # of the GNU ABI
    assert not matches(elf + b"\x02\x00\x3e\x00")  # x86-64
    assert not matches(b"#!" + elf[2:] + b"\x02\x00\xb7\x00")


def test_a_rule_has_the_name_by_which_it_is_taken_back(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(arm64, "tool", lambda name: f"/usr/bin/{name}")
    rule = arm64.binfmt_rule("a1b2")
    assert rule.split(":")[1] == "edgeloop-a1b2"
    assert rule.endswith(":/usr/bin/qemu-aarch64-static:FP")
    assert len(rule) < 1920  # the kernel takes no longer one


def test_the_server_lets_one_login_in_and_names_the_processor() -> None:
    text = arm64.server_settings("a1b2")
    for line in ("AllowUsers jetson", "PasswordAuthentication no", "SetEnv QEMU_CPU=cortex-a57 EDGELOOP_LAB=a1b2"):
        assert f"{line}\n" in text
    assert "ssh_host_" not in text  # Ed25519 alone


def test_who_is_not_root_is_told_what_to_do(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    with pytest.raises(LabError, match=r"--jetson arm64 as user 1000, expected root.*--jetson native"):
        arm64.prepare_disk(tmp_path / "disk")


def test_a_program_that_is_missing_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(MissingTool, match=r"'no-such-emulator' is missing.*make e2e-arm64"):
        tool("no-such-emulator")


# The disk


def made(folder: Path) -> None:
    folder.mkdir()
    (folder / "file").write_text("content")


def test_an_archive_is_made_once_and_an_older_edition_goes(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[Path] = []
    monkeypatch.setattr(rootfs, "_make_system", lambda folder: (calls.append(folder), made(folder)))
    said: list[str] = []
    first = system_archive(said.append)
    assert system_archive(said.append) == first
    assert (len(calls), len(said)) == (1, 1)
    with tarfile.open(first) as packed:
        assert "./file" in packed.getnames()
    monkeypatch.setattr(rootfs, "EDITION", 99)
    second = system_archive(said.append)
    assert sorted(cache.glob("*.tar")) == [second]


def test_an_archive_that_could_not_be_made_leaves_nothing(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(folder: Path) -> None:
        made(folder)
        rootfs._run("debootstrap", ["sh", "-c", "echo no mirror >&2; exit 4"])  # noqa: SLF001

    monkeypatch.setattr(rootfs, "_make_environment", fails)
    with pytest.raises(LabError, match=r"debootstrap failed \(code 4, 'no mirror'\): mend"):
        environment_archive(lambda _: None)
    assert [each.name for each in cache.iterdir()] == ["jetson-arm64.lock"]


def test_what_one_that_was_killed_has_left_is_removed(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Gigabytes each time."""
    monkeypatch.setattr(rootfs, "_make_environment", made)
    left = cache / "jetson-arm64-x1y2z3" / "made"
    left.mkdir(parents=True)
    (left / "library").touch()
    file = environment_archive(lambda _: None)
    assert {path.name for path in cache.iterdir()} == {file.name, "jetson-arm64.lock"}


def test_a_package_that_cannot_be_read_is_not_left_out_in_silence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    archives = tmp_path / "root" / "var/cache/apt/archives"
    archives.mkdir(parents=True)
    (archives / "python3.deb").write_bytes(b"no package")
    (tmp_path / "bin").mkdir()
    for name in ("dpkg-deb", "debootstrap"):
        (tmp_path / "bin" / name).write_text(f"#!/bin/sh\n[ {name} = debootstrap ]\n")
        (tmp_path / "bin" / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:{os.environ['PATH']}")
    with pytest.raises(LabError, match=r"unpacking python3\.deb failed"):
        rootfs._make_system(tmp_path / "root")  # noqa: SLF001


def test_two_labs_do_not_make_one_archive_at_once(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[Path] = []

    def slow(folder: Path) -> None:
        calls.append(folder)
        time.sleep(0.2)
        made(folder)

    monkeypatch.setattr(rootfs, "_make_environment", slow)
    threads = [threading.Thread(target=environment_archive, args=(lambda _: None,)) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(calls) == 1


class Addresses:
    """A machine with so many labs' networks."""

    def __init__(self, taken: set[str]) -> None:
        self.taken = taken

    def __enter__(self) -> Any:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def bind(self, address: tuple[str, int]) -> None:
        if address[0] not in self.taken:
            raise OSError(99, "Cannot assign requested address")


def test_a_lab_takes_a_network_that_no_other_has(monkeypatch: pytest.MonkeyPatch) -> None:
    every = {f"10.213.{number}.1" for number in range(arm64.NETWORKS)}
    for free in (0, 17, 63):
        machine = Addresses(every - {f"10.213.{free}.1"})
        monkeypatch.setattr(arm64.socket, "socket", lambda machine=machine: machine)
        assert arm64.free_network() == f"10.213.{free}"
    monkeypatch.setattr(arm64.socket, "socket", lambda: Addresses(every))
    with pytest.raises(LabError, match="all 64 networks of labs are taken, expected a free one"):
        arm64.free_network()


def test_an_address_of_this_machine_is_known_by_binding_to_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(arm64, "NETWORKS", 4)
    assert arm64.free_network() in {f"10.213.{number}" for number in range(4)}


def test_the_cache_is_outside_the_checkout(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("XDG_CACHE_HOME")
    assert cache_folder() == Path.home() / ".cache" / "edgeloop"


def test_a_system_gets_its_accounts_without_running_any_of_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "chown", lambda *_: None)
    root = tmp_path / "root"
    for folder in ("etc/ssl/certs", "usr/share/base-passwd"):
        (root / folder).mkdir(parents=True)
    (root / "proc").symlink_to("/proc")
    for name in ("passwd", "group"):
        (root / f"usr/share/base-passwd/{name}.master").write_text("root:*:0:0:root:/root:/bin/bash\n")
    configure(root)
    assert (root / "proc").is_dir()
    assert not (root / "proc").is_symlink()
    logins = [line.split(":")[0] for line in (root / "etc/passwd").read_text().splitlines()]
    assert logins == ["root", "sshd", "jetson"]
    assert (root / str(ROOT)[1:] / "venv").is_dir()


def test_the_environment_lies_where_setup_looks_for_it(
    tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rootfs, "_make_system", made)
    monkeypatch.setattr(rootfs, "_make_environment", made)
    monkeypatch.setattr(arm64, "require_root", lambda: None)
    monkeypatch.setattr(arm64, "tool", lambda name: {"chown": "true"}.get(name, name))
    disk = tmp_path / "arm64" / "disk"
    arm64.prepare_disk(disk)
    digest = environment_digest(rootfs.LOCK.read_bytes(), "aarch64", (3, 11))
    folder = disk / str(ROOT)[1:] / "venv" / digest
    assert (folder / "bin" / "python").readlink() == Path("python3.11")
    assert (folder / "lib64" / "python3.11" / "site-packages" / "file").read_text() == "content"
    assert "include-system-site-packages = false" in (folder / "pyvenv.cfg").read_text()
    # What the Jetson has written stays when the lab comes up again; an environment of another lock is added.
    (disk / "kept").touch()
    monkeypatch.setattr(arm64, "environment_name", lambda: "f" * 16)
    arm64.prepare_disk(disk)
    assert (disk / "kept").exists()
    assert {path.name for path in folder.parent.iterdir()} == {digest, "f" * 16}


def test_unpacking_keeps_modes(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "sudo").touch(mode=0o751)
    subprocess.run(["tar", "-c", "-f", tmp_path / "a.tar", "-C", tmp_path / "in", "."], check=True)
    unpack(tmp_path / "a.tar", tmp_path / "out")
    assert (tmp_path / "out" / "sudo").stat().st_mode & 0o777 == 0o751


def test_bytecode_of_another_python_is_not_made(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(rootfs, "PYTHON", "3.99")
    with pytest.raises(MissingTool, match=r"compiles other bytecode than the Jetson's 3\.99"):
        rootfs._compile(tmp_path, [tmp_path])  # noqa: SLF001


def test_bytecode_does_not_name_the_folder_in_which_it_was_made(tmp_path: Path) -> None:
    (tmp_path / "module.py").write_text("def f():\n    return 1\n")
    rootfs._compile(tmp_path, [tmp_path])  # noqa: SLF001
    (compiled,) = (tmp_path / "__pycache__").iterdir()
    assert str(tmp_path).encode() not in compiled.read_bytes()


def test_an_interface_that_cannot_be_made_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(arm64, "tool", lambda _: "false")
    with pytest.raises(LabError, match=r"ip link add x failed"):
        arm64._ip("link", "add", "x")  # noqa: SLF001


def test_a_rule_that_stays_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    found: list[Any] = []
    monkeypatch.setattr(arm64, "tool", lambda name: found.append(name) or "false")
    with pytest.raises(LabError, match="the emulator's rule edgeloop-a1 stays"):
        arm64.unregister("a1")
    assert found == ["unshare"]
