"""The limits: documented, bounded, closed to unknown names."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from forecaster.validation import ValidationConfig


def test_every_field_is_described_and_has_a_default() -> None:
    ValidationConfig()
    for name, field in ValidationConfig.model_fields.items():
        assert field.description, name
        assert not field.is_required(), name


def test_unknown_names_are_refused() -> None:
    with pytest.raises(ValidationError, match="max_sikes"):
        ValidationConfig.model_validate({"max_sikes": 1})


def test_limits_cannot_be_changed_afterwards() -> None:
    name = "max_rate"
    with pytest.raises(ValidationError, match="frozen"):
        setattr(ValidationConfig(), name, 3.0)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("min_readings", 0),
        ("min_standard_deviation", -0.1),
        ("max_rate", 0.0),
        ("rate_span_minutes", 0.0),
        ("spike_half_window", 0),
        ("max_spike_share", 1.1),
        ("max_run_hours", 0.0),
        ("cadence_tolerance", 0.5),
        ("max_gap_share", -0.1),
        ("max_difference_drift", 1.5),
        ("deepchecks_rows", 10),
        ("seed", -1),
    ],
)
def test_values_outside_their_range_are_refused(name: str, value: float) -> None:
    with pytest.raises(ValidationError, match=name):
        ValidationConfig.model_validate({name: value})


def test_range_must_be_a_range() -> None:
    with pytest.raises(ValidationError, match=r"lowest_value 50\.0 is not below highest_value 20.0: swap them"):
        ValidationConfig(lowest_value=50.0, highest_value=20.0)


def test_json_round_trip() -> None:
    config = ValidationConfig(max_rate=12.0, seed=4)
    assert ValidationConfig.model_validate_json(config.model_dump_json()) == config
