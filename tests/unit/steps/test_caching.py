"""A cached result counts only for the code that made it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from steps import caching

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture
def tree(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A small checkout in place of ours."""
    for name in (*(f"{package}/deep/code.py" for package in caching.PACKAGES), "tests/test_code.py", "run.py"):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"name = {name!r}\n")
    monkeypatch.setattr(caching, "ROOT", tmp_path)
    yield tmp_path
    caching.code_digest.cache_clear()


def digest() -> str:
    caching.code_digest.cache_clear()
    return caching.code_digest()


@pytest.mark.parametrize("package", ["forecaster", "steps", "deployers"])
def test_a_changed_new_moved_or_lost_source_changes_the_digest(tree: Path, package: str) -> None:
    path = tree / package / "deep" / "code.py"
    seen = {digest()}
    path.write_text("changed = True\n")
    seen.add(digest())
    path.with_name("new.py").touch()
    seen.add(digest())
    path.rename(path.with_name("moved.py"))
    seen.add(digest())
    path.with_name("moved.py").unlink()
    seen.add(digest())
    assert len(seen) == 5


def test_a_table_that_code_reads_counts_as_code(tree: Path) -> None:
    seen = {digest()}
    for text in ("{}", "[]"):
        (tree / "deployers" / "deep" / "cost.json").write_text(text)
        seen.add(digest())
    assert len(seen) == 3


def test_other_files_leave_the_digest(tree: Path) -> None:
    before = digest()
    (tree / "tests" / "test_code.py").write_text("changed = True\n")
    (tree / "run.py").write_text("changed = True\n")
    (tree / "forecaster" / "notes.md").write_text("notes\n")
    (tree / "forecaster" / "deep" / "code.pyc").write_bytes(b"compiled")
    assert digest() == before


def test_equal_trees_have_equal_digests_wherever_they_lie(tree: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = digest()
    other = tree / "elsewhere"
    other.mkdir()
    for package in caching.PACKAGES:
        (tree / package).rename(other / package)
    monkeypatch.setattr(caching, "ROOT", other)
    assert digest() == before


def test_a_process_reads_the_sources_once(tree: Path) -> None:
    before = digest()
    (tree / "steps" / "deep" / "code.py").write_text("changed = True\n")
    assert caching.code_digest() == before


def test_the_policy_names_the_function_zenml_calls() -> None:
    assert caching.PURE.cache_func is not None
    assert str(getattr(caching.PURE.cache_func, "import_path", caching.PURE.cache_func)) == "steps.caching.code_digest"
