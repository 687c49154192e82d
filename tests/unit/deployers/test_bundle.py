"""The code bundle: the same everywhere, complete, and without what has no business on a Jetson."""

from __future__ import annotations

import gzip
import hashlib
import io
import os
import subprocess
import sys
import tarfile
from pathlib import Path

import pytest

from deployers.bundle import make_bundle
from deployers.exceptions import InputError


@pytest.fixture
def package(tmp_path: Path) -> Path:
    folder = tmp_path / "deployers"
    for name in ("__init__.py", "hub/app.py", "hub/page/index.html", "lab/board.py", "hub/__pycache__/x.py", ".x/y.py"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(f"# {name}\n")
    (folder / "notes.txt").write_text("mine")
    return folder


def names(data: bytes) -> list[str]:
    with tarfile.open(fileobj=io.BytesIO(data)) as tar:
        return tar.getnames()


def test_only_what_runs_there_is_in_it(package) -> None:
    bundle = make_bundle(package, {})
    assert bundle.files == ("__init__.py", "hub/app.py", "hub/page/index.html")
    assert names(bundle.data) == [f"deployers/{name}" for name in bundle.files]


def test_it_is_the_same_whenever_and_whoever_packs_it(package) -> None:
    first = make_bundle(package, {})
    for path in package.rglob("*.py"):
        os.utime(path, (1, 1))
        path.chmod(0o700)
    second = make_bundle(package, {})
    assert (first.data, first.digest) == (second.data, second.digest)
    assert first.digest == hashlib.sha256(gzip.decompress(first.data)).hexdigest()[:16]
    assert first.data[4:8] == bytes(4)  # the time in gzip's header
    with tarfile.open(fileobj=io.BytesIO(first.data)) as tar:
        assert {(each.mode, each.uid, each.mtime, each.uname) for each in tar} == {(0o644, 0, 0, "")}


def test_a_changed_byte_is_another_bundle(package) -> None:
    first = make_bundle(package, {})
    (package / "hub" / "app.py").write_text("# other\n")
    assert make_bundle(package, {}).digest != first.digest


def test_files_from_elsewhere_go_along_if_they_are_there(package, tmp_path) -> None:
    (tmp_path / "chart.js").write_text("draw")
    vendor = {"hub/page/vendor/c.js": tmp_path / "chart.js", "hub/page/vendor/d.js": tmp_path / "no"}
    assert "hub/page/vendor/c.js" in make_bundle(package, vendor).files
    assert "hub/page/vendor/d.js" not in make_bundle(package, vendor).files
    (package / "hub/page/vendor").mkdir()
    (package / "hub/page/vendor/own.js").write_text("")
    assert "hub/page/vendor/own.js" not in make_bundle(package, {}).files


def test_a_folder_that_is_no_package_is_refused(tmp_path) -> None:
    with pytest.raises(InputError, match="is no package"):
        make_bundle(tmp_path)


def test_the_hub_runs_from_it_alone(tmp_path) -> None:
    bundle = make_bundle()
    with tarfile.open(fileobj=io.BytesIO(bundle.data)) as tar:
        tar.extractall(tmp_path, filter="data")
    assert not (tmp_path / "deployers" / "lab").exists()
    environment = {"PYTHONPATH": str(tmp_path), "PATH": os.environ["PATH"]}
    words = [sys.executable, "-m", "deployers.hub", "--help"]
    done = subprocess.run(words, cwd="/", env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "supervise" in done.stdout
