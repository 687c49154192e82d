"""The exception tree, its exit codes, and errors that come back from an orchestrator."""

from __future__ import annotations

import pytest

from forecaster import errors
from forecaster.gate import Condition


def test_exit_codes_are_distinct_for_each_branch() -> None:
    codes = {kind.__name__: kind.exit_code for kind in errors.ForecasterError.__subclasses__()}
    assert codes == {
        "InputError": 2,
        "GateFailed": 3,
        "StackError": 4,
        "ServiceUnavailable": 5,
        "Busy": 6,
        "ConversionError": 7,
    }


@pytest.mark.parametrize("kind", [errors.SourceError, errors.ReadingError, errors.ConfigError])
def test_bad_input_is_one_code(kind: type[errors.ForecasterError]) -> None:
    assert kind.exit_code == 2


def test_a_failed_gate_lists_every_condition() -> None:
    failed = [Condition("gap share", 0.5, "at most", 0.1), Condition("rows", 3, "at least", 9, "rows")]
    error = errors.GateFailed("data gate", failed)
    assert str(error) == (
        "data gate: 2 condition(s) failed: gap share is 0.5, must be at most 0.1; "
        "rows is 3 rows, must be at least 9 rows"
    )


def test_an_error_of_ours_comes_back_with_class_and_message() -> None:
    error = errors.restored("forecaster.errors.GateFailed", "data gate: it failed")
    assert isinstance(error, errors.GateFailed)
    assert str(error) == "data gate: it failed"


@pytest.mark.parametrize(
    "source", ["builtins.ValueError", "forecaster.errors.Sequence", "", "forecaster.errors.TYPE_CHECKING"]
)
def test_other_errors_do_not(source: str) -> None:
    assert errors.restored(source, "x") is None
