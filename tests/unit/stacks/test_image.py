"""The image: its name follows what it is made of, and its settings are those of a run on this machine."""

from __future__ import annotations

import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from packaging.requirements import Requirement

from pipelines.home import CHECKOUT, Home
from stacks import image, loader

# What a step in a container has a place of its own for, or tells its log: the log goes to the artifact store.
OWN = {"ZENML_CONFIG_PATH", "NUMBA_CACHE_DIR", "MPLCONFIGDIR", "ZENML_LOGGING_VERBOSITY", "MLFLOW_LOGGING_LEVEL"}
DOCKERFILE = (CHECKOUT / "Dockerfile").read_text(encoding="utf-8")
SCRIPT = (CHECKOUT / "scripts" / "image.sh").read_text(encoding="utf-8")


@pytest.fixture
def sources(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of what the image is made of, in place of ours."""
    for name in image.SOURCES:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(CHECKOUT / name, tmp_path / name)
    monkeypatch.setattr(image, "CHECKOUT", tmp_path)
    return tmp_path


def settings() -> dict[str, str]:
    """What the Dockerfile sets in the environment."""
    joined = DOCKERFILE.replace("\\\n", " ")
    lines = re.findall(r"^ENV (.*)$", joined, re.MULTILINE)
    return dict(word.split("=", 1) for line in lines for word in shlex.split(line))


def test_the_name_is_a_repository_and_twelve_digits() -> None:
    assert re.fullmatch(r"edgeloop-pipelines:[0-9a-f]{12}", image.image_name())


@pytest.mark.parametrize("name", image.SOURCES)
def test_whatever_the_image_is_made_of_changes_its_name(sources: Path, name: str) -> None:
    before = image.image_name()
    assert before == image.image_name()
    (sources / name).write_bytes((sources / name).read_bytes() + b"# changed\n")
    assert image.image_name() != before


def test_the_script_is_told_the_name() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "stacks.image"], cwd=CHECKOUT, capture_output=True, text=True, check=True
    )
    assert done.stdout == f"{image.image_name()}\n"
    assert "python -m stacks.image" in SCRIPT


def test_steps_in_a_container_have_the_environment_of_a_run_on_this_machine(tmp_path: Path) -> None:
    here = Home(tmp_path)._environment(debug=False)  # noqa: SLF001
    there = settings()
    assert {name: there.get(name) for name in here if name not in OWN} == {
        name: value for name, value in here.items() if name not in OWN
    }
    assert {"ZENML_CONFIG_PATH", "NUMBA_CACHE_DIR", "MPLCONFIGDIR"} <= there.keys()


def test_the_packages_lie_where_the_script_compiled_them_for() -> None:
    library = re.search(r"^LIBRARY=(\S+)$", SCRIPT, re.MULTILINE)
    assert library is not None
    assert f"COPY packages {library.group(1)}\n" in DOCKERFILE


def test_the_lock_it_is_filled_from_gives_its_name() -> None:
    locks = set(re.findall(r"-r (locks/\S+)", SCRIPT))
    assert locks == {name for name in image.SOURCES if name.startswith("locks/")}


def locked(name: str) -> dict[str, str]:
    """Version of each package of a lock."""
    text = (CHECKOUT / "locks" / name).read_text(encoding="utf-8")
    return dict(re.findall(r"^([a-z0-9.-]+)(?:\[[^]]*\])?==(\S+)", text, re.MULTILINE))


@pytest.mark.parametrize("name", ["kubernetes", "kubeflow"])
def test_a_step_in_it_can_load_what_started_it(name: str, tmp_path: Path) -> None:
    from zenml.integrations.registry import integration_registry

    stack, _ = loader.read_with_gaps(name, tmp_path)
    assert stack is not None
    there = locked("image.txt")
    for each in set(stack.requires.integrations) - {"mlflow", "s3"}:
        for text in integration_registry.integrations[each].get_requirements():
            wanted = Requirement(text)
            assert there[wanted.name.lower()] in wanted.specifier, text


def test_it_trains_with_the_versions_that_the_release_names() -> None:
    alone, there = locked("pipelines.txt"), locked("image.txt")
    assert {name for name, version in alone.items() if there.get(name) != version} == {"protobuf"}


@pytest.mark.parametrize("text", [DOCKERFILE, SCRIPT], ids=["Dockerfile", "image.sh"])
def test_no_address_of_an_index_or_mirror_is_written_down(text: str) -> None:
    assert not re.search(r"https?://|--(?:extra-)?index-url|--find-links|trusted-host", text)


def test_no_step_has_privileges() -> None:
    users = re.findall(r"^USER (\S+)$", DOCKERFILE, re.MULTILINE)
    assert users == ["1000:1000"]
