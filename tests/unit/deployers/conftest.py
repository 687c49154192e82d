"""A small release, and what becomes of it, made once for all tests of the deployers."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest

from benchmarks import cells
from benchmarks.cells import FORMS, Converted
from deployers.conversion.budget import ConversionConfig
from deployers.conversion.cost import TYPES
from deployers.conversion.folder import write_conversion
from deployers.conversion.proof import Proof, prove

INPUTS, HORIZON, UNITS = 3, 4, 6


@pytest.fixture(scope="session")
def forms() -> dict[str, Converted]:
    """Every form, converted in this process, where a crash would be seen as one."""
    return {form: converted(form) for form in FORMS}


def sequences(seed: int = 0, steps: int = 48) -> Any:
    """Features that walk, with jumps."""
    return cells.sequences(INPUTS, seed, steps)


def converted(form: str) -> Converted:
    """One form with random weights, in every type."""
    return cells.random_cell(form, INPUTS, UNITS, HORIZON)


@pytest.fixture(scope="session")
def release(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A release as training writes it, of a network that has hardly been trained."""
    from forecaster.genome import Candidate
    from forecaster.gru.architecture import Recipe
    from forecaster.model import train
    from forecaster.release import write_release
    from tests.synthetic import dataset

    folder, data = tmp_path_factory.mktemp("releases") / "release", dataset(1600)
    recipe = Recipe(updates=40, batch=8, steps=32, burn_in=4)
    trained = train(data, Candidate(("difference:1", "hour:1:sin"), "gru", 4, recipe), 40, 1, refit=True)
    write_release(folder, trained, data, {}, {"dataset_version": "t:1"})
    return folder


@pytest.fixture(scope="session")
def proof(release: Path) -> Proof:
    """The release, converted by a child process, and measured."""
    return prove(release, ConversionConfig(types=TYPES, mae_growth=0.5))


@pytest.fixture(scope="session")
def conversion(release: Path, proof: Proof, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder that convert writes; not to be changed."""
    folder = tmp_path_factory.mktemp("conversions") / "out"
    write_conversion(release, proof, folder, {"version": "3", "model": "kitchen", "release_sha256": "5a" * 32})
    return folder


@pytest.fixture
def copied_release(release: Path, tmp_path: Path) -> Path:
    """A release that a test may spoil."""
    return Path(shutil.copytree(release, tmp_path / "release"))


@pytest.fixture
def copied(conversion: Path, tmp_path: Path) -> Path:
    """A conversion that a test may spoil."""
    return Path(shutil.copytree(conversion, tmp_path / "out"))
