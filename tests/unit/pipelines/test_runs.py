"""What surrounds a pipeline run: revision, password, errors that come back from a step."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from zenml.enums import ExecutionStatus

from forecaster.errors import ConfigError, ForecasterError, InputError, ServiceUnavailable, SourceError
from pipelines import runs, waiting


def git(folder: Path, *words: str) -> str:
    identity = ("-c", "user.name=t", "-c", "user.email=t@example.org", "-c", "commit.gpgsign=false")
    done = subprocess.run(["git", *identity, *words], cwd=folder, check=True, capture_output=True, text=True)
    return done.stdout.strip()


@pytest.fixture
def checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A git checkout with one commit, in place of ours."""
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    monkeypatch.setattr(runs, "CHECKOUT", tmp_path)
    git(tmp_path, "init", "-q")
    (tmp_path / "code.py").write_text("a = 1\n")
    git(tmp_path, "add", "code.py")
    git(tmp_path, "commit", "-q", "-m", "first")
    return tmp_path


def test_a_clean_checkout_is_its_commit(checkout: Path) -> None:
    (checkout / "untracked.txt").write_text("not part of the code")
    assert runs.code_revision() == git(checkout, "rev-parse", "HEAD")


def test_a_changed_checkout_says_so(checkout: Path) -> None:
    (checkout / "code.py").write_text("a = 2\n")
    assert runs.code_revision() == git(checkout, "rev-parse", "HEAD") + "+changes"


def test_without_git_the_revision_is_unknown(checkout: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(checkout))
    assert runs.code_revision() == "unknown"


def test_outside_a_checkout_the_revision_is_unknown(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    monkeypatch.setattr(runs, "CHECKOUT", tmp_path)
    assert runs.code_revision() == "unknown"


@pytest.mark.parametrize("value", ["text", 3, 2.5, [1, 2], True])
def test_plain_values_stay(value: Any) -> None:
    assert runs._plain(value) is value  # noqa: SLF001


def test_other_values_become_text() -> None:
    assert runs._plain(Path("a/b")) == "a/b"  # noqa: SLF001


def client(monkeypatch: pytest.MonkeyPatch, **methods: Any) -> None:
    """A ZenML client with these methods."""
    for module in (runs, waiting):
        monkeypatch.setattr(module, "Client", lambda: SimpleNamespace(**methods))


@pytest.mark.parametrize(("version", "wanted"), [(None, "'attic'"), ("7", "'attic:7'")])
def test_a_dataset_that_does_not_exist_is_named(
    monkeypatch: pytest.MonkeyPatch, version: str | None, wanted: str
) -> None:
    def missing(name: str, version: str | None) -> None:
        raise KeyError(name)

    client(monkeypatch, get_artifact_version=missing)
    with pytest.raises(InputError, match=f"^dataset {wanted} does not exist, run python run.py data first"):
        runs.dataset_version("attic", version)


def test_the_newest_dataset_is_named_with_its_version(monkeypatch: pytest.MonkeyPatch) -> None:
    client(monkeypatch, get_artifact_version=lambda name, version: SimpleNamespace(name=name, version=version or "9"))
    assert runs.dataset_version("attic", None) == "attic:9"
    assert runs.dataset_version("attic", "4") == "attic:4"


def failed(monkeypatch: pytest.MonkeyPatch, *infos: SimpleNamespace | None, **methods: Any) -> None:
    """A client with one run whose failed steps have these exceptions."""

    def steps(pipeline_run_id: str, status: ExecutionStatus, hydrate: bool) -> SimpleNamespace:
        assert (pipeline_run_id, status, hydrate) == ("id of r", ExecutionStatus.FAILED, True)
        return SimpleNamespace(items=[SimpleNamespace(exception_info=info) for info in infos])

    def listed(name: str) -> SimpleNamespace:
        return SimpleNamespace(items=[SimpleNamespace(id="id of r")])

    client(monkeypatch, list_pipeline_runs=listed, list_run_steps=steps, **methods)
    monkeypatch.setattr(runs, "reason", lambda *_: None)  # has tests of its own


def info(source: str | None, message: str | None) -> SimpleNamespace:
    return SimpleNamespace(source=source, message=message)


OURS = info("forecaster.errors.SourceError", "source 'x' is missing")
FOREIGN = [None, info(None, "lost"), info("builtins.ValueError", "foreign"), info("elsewhere.Path", "no error")]


def test_an_error_of_ours_comes_back_from_a_step(monkeypatch: pytest.MonkeyPatch) -> None:
    failed(monkeypatch, *FOREIGN, OURS)
    error = runs._failure("r")  # noqa: SLF001
    assert type(error) is SourceError
    assert str(error) == "source 'x' is missing"


def test_an_error_of_ours_without_message_comes_back(monkeypatch: pytest.MonkeyPatch) -> None:
    failed(monkeypatch, info("forecaster.errors.ConfigError", None))
    error = runs._failure("r")  # noqa: SLF001
    assert type(error) is ConfigError
    assert not str(error)


def test_foreign_errors_are_not_ours(monkeypatch: pytest.MonkeyPatch) -> None:
    failed(monkeypatch, *FOREIGN)
    assert runs._failure("r") is None  # noqa: SLF001


class Pipeline:
    """Raises what it is given, as a pipeline does; records what it was called with."""

    def __init__(self, error: Exception | None = None) -> None:
        self.error, self.calls = error, []

    def with_options(self, run_name: str, **options: Any) -> Any:
        self.options = options

        def start(*arguments: Any) -> None:
            self.calls.append((run_name, arguments))
            if self.error:
                raise self.error

        return start


def test_a_run_that_ends_is_returned(monkeypatch: pytest.MonkeyPatch) -> None:
    done = SimpleNamespace(status=ExecutionStatus.COMPLETED)
    client(monkeypatch, get_pipeline_run=lambda name: done)
    pipeline = Pipeline()
    assert runs._launch(pipeline, "data", 1, 2) is done  # noqa: SLF001
    [(name, arguments)] = pipeline.calls
    assert name.startswith("data-")
    assert arguments == (1, 2)


@pytest.mark.parametrize(
    ("raised", "infos", "expected"),
    [
        (ConfigError("here"), [OURS], "here"),
        (RuntimeError("step failed"), [OURS], "source 'x' is missing"),
        (RuntimeError("step failed"), FOREIGN, "step failed"),
    ],
    ids=["ours", "ours in a step", "foreign"],
)
def test_the_error_of_a_run(monkeypatch: pytest.MonkeyPatch, raised: Exception, infos: list, expected: str) -> None:
    failed(monkeypatch, *infos)
    with pytest.raises((ForecasterError, RuntimeError), match=f"^{expected}$"):
        runs._launch(Pipeline(raised), "data")  # noqa: SLF001


def test_a_run_that_did_not_complete_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    failed(monkeypatch, get_pipeline_run=lambda name: SimpleNamespace(status=ExecutionStatus.STOPPED))
    with pytest.raises(ForecasterError, match="is 'stopped' on this stack"):
        runs._launch(Pipeline(), "data")  # noqa: SLF001


def test_what_the_orchestrator_over_ssh_raises_is_told_in_our_words(monkeypatch: pytest.MonkeyPatch) -> None:
    failed(monkeypatch)
    monkeypatch.setattr(runs, "refusal", lambda _stack, error: ServiceUnavailable(f"in our words: {error}"))
    with pytest.raises(ServiceUnavailable, match="in our words: no connection"):
        runs._launch(Pipeline(RuntimeError("no connection")), "data")  # noqa: SLF001


def test_what_the_stack_asks_for_goes_into_the_run(monkeypatch: pytest.MonkeyPatch) -> None:
    client(monkeypatch, get_pipeline_run=lambda name: SimpleNamespace(status=ExecutionStatus.COMPLETED))
    monkeypatch.setattr(runs, "used_stack", lambda: "the stack")
    looked: list[str] = []
    monkeypatch.setattr(runs, "require_image", looked.append)
    monkeypatch.setattr(runs, "require_store", lambda client, stack: looked.append(stack))
    monkeypatch.setattr(runs, "run_settings", lambda stack: {"settings": {"docker": {"of": stack}}})
    pipeline = Pipeline()
    asked = []

    def followed(stack: str, run_name: str, options: dict) -> Any:
        asked.append((stack, run_name))
        return {**options, "tags": ["followed"]}, lambda: None

    monkeypatch.setattr(runs, "followed", followed)
    runs._launch(pipeline, "data")  # noqa: SLF001
    assert pipeline.options == {"settings": {"docker": {"of": "the stack"}}, "tags": ["followed"]}
    assert asked == [("the stack", pipeline.calls[0][0])]
    assert looked == ["the stack", "the stack"]


def test_a_run_is_waited_for_with_its_platform(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runs, "ended", lambda name, lost: SimpleNamespace(status=ExecutionStatus.COMPLETED, why=lost()))
    monkeypatch.setattr(runs, "followed", lambda stack, run_name, options: (options, lambda: f"asked for {run_name}"))
    pipeline = Pipeline()
    assert runs._launch(pipeline, "data").why == f"asked for {pipeline.calls[0][0]}"  # noqa: SLF001


@pytest.mark.parametrize("name", ["require_image", "require_store"])
def test_a_run_that_is_refused_does_not_begin(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    def refuse(*_: Any) -> None:
        raise ServiceUnavailable(name)

    client(monkeypatch)
    monkeypatch.setattr(runs, name, refuse)
    pipeline = Pipeline()
    with pytest.raises(ServiceUnavailable, match=f"^{name}$"):
        runs._launch(pipeline, "data")  # noqa: SLF001
    assert pipeline.calls == []


@pytest.mark.parametrize("status", [ExecutionStatus.FAILED, None], ids=["ended badly", "raised"])
def test_the_reason_of_a_step_elsewhere_is_the_error(
    monkeypatch: pytest.MonkeyPatch, status: ExecutionStatus | None
) -> None:
    failed(monkeypatch, get_pipeline_run=lambda name: SimpleNamespace(status=status))
    raised = RuntimeError("Pipeline run has failed") if status is None else None
    asked: list[tuple[Any, ...]] = []

    def reason(name: str, *error: Exception) -> ForecasterError:
        asked.append(error)
        return ServiceUnavailable(name)

    monkeypatch.setattr(runs, "reason", reason)
    with pytest.raises(ServiceUnavailable, match=r"^data-"):
        runs._launch(Pipeline(raised), "data")  # noqa: SLF001
    assert asked == [() if raised is None else (raised,)]


@pytest.mark.parametrize("before", [None, "of the user"])
def test_the_password_is_there_only_for_a_while(monkeypatch: pytest.MonkeyPatch, before: str | None) -> None:
    monkeypatch.setattr(os, "environ", {} if before is None else {runs.PGPASSWORD: before})
    scope = runs._password("secret")  # noqa: SLF001
    with scope:
        assert os.environ[runs.PGPASSWORD] == "secret"
    assert os.environ.get(runs.PGPASSWORD) == before
    with runs._password(None):  # noqa: SLF001
        assert os.environ.get(runs.PGPASSWORD) == before


def test_an_output_of_another_type_is_refused() -> None:
    def run(value: Any) -> Any:
        artifact = SimpleNamespace(load=lambda: value)
        return SimpleNamespace(steps={"clean": SimpleNamespace(outputs={"report": [artifact]})})

    assert runs._output(run({"a": 1}), "clean", "report") == {"a": 1}  # noqa: SLF001
    with pytest.raises(ConfigError, match="artifact 'report' of step 'clean' is 'list', expected a dict"):
        runs._output(run([1]), "clean", "report")  # noqa: SLF001
