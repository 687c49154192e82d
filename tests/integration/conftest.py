"""One home folder for the session, and what is run in it."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests import memory_board, programs
from tests.programs import CHECKOUT
from tests.workplace import SMOKE, Outcome, Workplace

if TYPE_CHECKING:
    import ctypes
    from collections.abc import Callable

# What is written by the tools of a developer, at any time.
TOOLS = {".git", ".venv", "__pycache__", ".hypothesis", ".pytest_cache", ".mypy_cache", ".ruff_cache", ".edgeloop"}
FIRMWARE = CHECKOUT / "build" / "firmware"  # what other tests compile meanwhile


def listing() -> set[str]:
    """Every file of the checkout but those of tools."""
    found: set[str] = set()
    for folder, names, files in os.walk(CHECKOUT):
        names[:] = [name for name in names if name not in TOOLS and Path(folder, name) != FIRMWARE]
        found |= {os.path.relpath(os.path.join(folder, name), CHECKOUT) for name in (*names, *files)}  # noqa: PTH118
    return found


@pytest.fixture(scope="session")
def workplace(tmp_path_factory: pytest.TempPathFactory) -> Workplace:
    """An empty home folder that all integration tests share."""
    return Workplace.under(tmp_path_factory.mktemp("edgeloop"))


@pytest.fixture(scope="session")
def home(workplace: Workplace) -> Path:
    """The shared home folder."""
    return workplace.home


@pytest.fixture
def edgeloop(workplace: Workplace) -> Callable[..., Outcome]:
    """Runs `run.py` with arguments."""
    return workplace.run


@pytest.fixture(scope="session")
def free_port() -> Callable[[], int]:
    """Finds a free port on the loopback interface."""
    return programs.free_port


@dataclass(frozen=True)
class Smoke:
    """The first run, and what it left."""

    result: dict[str, Any]
    stderr: str
    new_in_checkout: set[str]
    tracked: int


@pytest.fixture(scope="session")
def smoke(workplace: Workplace) -> Smoke:
    """`run.py all` with the smoke configuration on an empty home."""
    before = listing()
    outcome = workplace.succeed("all", *SMOKE)
    new = {name for name in listing() - before if not name.startswith("docs")}
    return Smoke(outcome.result, outcome.stderr, new, len(workplace.mlflow("select run_uuid from runs")))


@pytest.fixture(scope="session")
def again(workplace: Workplace, smoke: Smoke) -> dict[str, Any]:
    """The same command a second time, with other workers, which no outcome depends on."""
    return workplace.succeed("all", *SMOKE, "--workers", "2").result


@pytest.fixture(scope="session")
def reseeded(workplace: Workplace, again: dict[str, Any]) -> dict[str, Any]:
    """Another seed: a second version."""
    return workplace.succeed("train", *SMOKE, "--seed", "2", "--set", "search.max_evaluations=2").result


@pytest.fixture(scope="session")
def library() -> ctypes.CDLL:
    """The firmware's application as a library."""
    return memory_board.load()
