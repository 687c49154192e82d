"""Wheels for another machine: the right ones, or a refusal before anything is changed there."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deployers.connectors.base import Completed
from deployers.connectors.fake import FakeConnector
from deployers.exceptions import InputError, MissingTool, ServiceUnavailable
from deployers.wheelhouse import Target, download_command, fetch_wheels, read_lock, require_wheels
from tests.jetson_facts import facts

if TYPE_CHECKING:
    from deployers.connectors.command import Command

NANO = Target("aarch64", (3, 11), (2, 35))
WHEELS = {"numpy-1.26.4-cp311-cp311-manylinux_2_17_aarch64.whl": b"numpy", "idna-3.20-py3-none-any.whl": b"idna"}
ROOT = Path(__file__).resolve().parents[3]


def digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


LOCK = (
    "# by hand\n"
    f"numpy==1.26.4 \\\n    --hash=sha256:{'0' * 64} \\\n    --hash=sha256:{digest(b'numpy')}\n    # via x\n"
    f"idna==3.20 \\\n    --hash=sha256:{digest(b'idna')}\n"
)


def house(folder: Path, wheels: dict[str, bytes] = WHEELS) -> Path:
    folder.mkdir(exist_ok=True)
    for name, data in wheels.items():
        (folder / name).write_bytes(data)
    return folder


@pytest.mark.parametrize(
    "wheel",
    [
        "a-1-py3-none-any.whl",
        "a-1-py2.py3-none-any.whl",
        "a-1-cp311-cp311-manylinux_2_35_aarch64.whl",
        "a-1-cp311-cp311-manylinux2014_aarch64.manylinux_2_17_aarch64.whl",
        "a-1-cp311-cp311-manylinux_2_99_aarch64.manylinux2014_aarch64.whl",
        "a-1-cp37-abi3-manylinux_2_28_aarch64.whl",
        "a-1-cp311-none-manylinux1_aarch64.whl",
        "a-1-7-py3-none-any.whl",
    ],
)
def test_wheels_that_run_there_are_taken(wheel) -> None:
    assert NANO.takes(wheel)


@pytest.mark.parametrize(
    "wheel",
    [
        "a-1-cp311-cp311-manylinux_2_17_x86_64.whl",
        "a-1-cp311-cp311-manylinux_2_36_aarch64.whl",
        "a-1-cp310-cp310-manylinux_2_17_aarch64.whl",
        "a-1-cp312-cp312-manylinux_2_17_aarch64.whl",
        "a-1-cp312-abi3-manylinux_2_17_aarch64.whl",
        "a-1-py2-none-any.whl",
        "a-1-cp311-cp311-musllinux_1_2_aarch64.whl",
        "a-1-cp311-cp311-macosx_11_0_arm64.whl",
        "a-1-cp311-cp311-linux_aarch64.whl",
        "a-1-py3-cp311-any.whl",
        "a-1.tar.gz",
        "a.whl",
    ],
)
def test_wheels_that_do_not_run_there_are_not(wheel) -> None:
    assert not NANO.takes(wheel)


@given(st.text(max_size=40))
def test_any_name_is_an_answer(name: str) -> None:
    assert NANO.takes(name) in {True, False}


def test_the_target_follows_the_facts() -> None:
    assert Target.of("kitchen", facts()) == NANO
    assert str(NANO) == "aarch64, Python 3.11, glibc 2.35"
    assert (NANO.platforms[0], NANO.platforms[-1]) == ("manylinux_2_28_aarch64", "manylinux2014_aarch64")
    assert Target("aarch64", (3, 11), (2, 24)).platforms[0] == "manylinux_2_24_aarch64"


@pytest.mark.parametrize("libc", [("", ""), ("musl", "1.2"), ("glibc", "")])
def test_another_c_library_is_refused(libc) -> None:
    with pytest.raises(MissingTool, match=r"kitchen: its C library is .*expected glibc"):
        Target.of("kitchen", facts(libc=libc))


def test_a_lock_is_read_with_all_its_hashes() -> None:
    numpy, idna = read_lock(LOCK)
    assert (numpy.name, numpy.version, len(numpy.hashes)) == ("numpy", "1.26.4", 2)
    assert idna.hashes == {digest(b"idna")}


@pytest.mark.parametrize(("text", "said"), [("", "it has no package"), ("a==1\n", "package 'a' has no hash")])
def test_a_lock_without_hashes_is_refused(text, said) -> None:
    with pytest.raises(InputError, match=said):
        read_lock(text)


@pytest.mark.parametrize("name", ["hub.txt", "hub-convert.txt"])
def test_the_locks_here_are_read(name) -> None:
    found = {package.name for package in read_lock((ROOT / "locks" / name).read_text(encoding="utf-8"))}
    assert {"fastapi", "numpy", "ai-edge-litert"} <= found
    assert ("tensorflow" in found) == (name == "hub-convert.txt")


def test_a_whole_wheelhouse_is_taken(tmp_path) -> None:
    assert {path.name for path in require_wheels("kitchen", LOCK, house(tmp_path), NANO)} == set(WHEELS)


@pytest.mark.parametrize(
    ("wheels", "target", "said"),
    [
        ({}, NANO, r"it has no wheel of 'numpy==1\.26\.4', expected one for aarch64, Python 3\.11"),
        (WHEELS, Target("x86_64", (3, 11), (2, 35)), r"'numpy-1.*' does not run on x86_64, Python 3\.11, glibc 2\.35"),
        (WHEELS, Target("aarch64", (3, 12), (2, 35)), r"'numpy-1.*' does not run on aarch64, Python 3\.12"),
        ({**WHEELS, "idna-3.20-py3-none-any.whl": b"evil"}, NANO, "'idna-3.20.*' has another hash than the lock"),
        ({"numpy-1.20-cp311-cp311-manylinux_2_17_aarch64.whl": b"numpy"}, NANO, "expected numpy==1.26.4 for it"),
    ],
)
def test_a_wheelhouse_that_does_not_fit_is_refused(tmp_path, wheels, target, said) -> None:
    with pytest.raises(InputError, match=said):
        require_wheels("kitchen", LOCK, house(tmp_path, wheels), target)


def test_a_wheelhouse_that_is_not_there_is_refused(tmp_path) -> None:
    with pytest.raises(InputError, match="it has no wheel"):
        require_wheels("kitchen", LOCK, tmp_path / "no", NANO)


@pytest.fixture
def lock(tmp_path: Path) -> Path:
    (tmp_path / "lock.txt").write_text(LOCK, encoding="utf-8")
    return tmp_path / "lock.txt"


def pip(code: int, said: bytes = b"", wheels: dict[str, bytes] = WHEELS) -> FakeConnector:
    """A machine whose pip puts wheels into the folder it is given."""

    def answer(command: Command) -> Completed:
        house(Path(command.plain()[-1]), wheels)
        return Completed(code, b"", said)

    return FakeConnector("here", answer)


def test_wheels_are_fetched_once(tmp_path, lock) -> None:
    here = pip(0)
    first = fetch_wheels("kitchen", lock, NANO, tmp_path / "cache", here)
    assert fetch_wheels("kitchen", lock, NANO, tmp_path / "cache", here) == first
    assert len(here.commands) == 1
    fetch_wheels("kitchen", lock, Target("aarch64", (3, 11), (2, 36)), tmp_path / "cache", here)
    assert len(here.commands) == 2


def test_pip_is_told_for_which_machine(tmp_path, lock) -> None:
    shown = download_command(lock, NANO, tmp_path).shown()
    for word in (
        "--require-hashes",
        "--only-binary=:all:",
        "--no-deps",
        "--python-version=3.11",
        "--implementation=cp",
    ):
        assert word in shown
    assert "--platform=manylinux_2_28_aarch64 " in shown
    assert "x86_64" not in shown


def test_a_package_without_a_wheel_for_the_machine_is_named(tmp_path, lock) -> None:
    with pytest.raises(InputError, match=r"kitchen: a package of .* has no wheel for aarch64.*onnxruntime==9"):
        fetch_wheels(
            "kitchen", lock, NANO, tmp_path, pip(1, b"ERROR: No matching distribution found for onnxruntime==9")
        )


def test_an_index_that_does_not_answer_is_another_error(tmp_path, lock) -> None:
    with pytest.raises(ServiceUnavailable, match=r"the wheels for aarch64.* were not fetched"):
        fetch_wheels("kitchen", lock, NANO, tmp_path, pip(1, b"ERROR: HTTPSConnectionPool: Max retries exceeded"))


def test_what_pip_fetched_is_looked_at(tmp_path, lock) -> None:
    wrong = {name.replace("aarch64", "x86_64"): data for name, data in WHEELS.items()}
    with pytest.raises(InputError, match="does not run on aarch64"):
        fetch_wheels("kitchen", lock, NANO, tmp_path, pip(0, wheels=wrong))
