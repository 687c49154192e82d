"""Every limit a dataset has to keep before a model may be trained on it."""

from __future__ import annotations

from typing import Self

from pydantic import BaseModel, ConfigDict, Field, model_validator


class ValidationConfig(BaseModel):
    """Limits of the data gate, each with its unit.

    The defaults suit a room or outdoor sensor of the DS18B20 kind (steps of 0.0625 °C) at a cadence of seconds to an
    hour. Lengths are given in hours, not in readings, so that they hold for any cadence.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    min_readings: int = Field(default=1000, ge=1, description="Fewest readings on the grid, held values not counted.")

    lowest_value: float = Field(default=-40.0, description="Lowest plausible value, °C.")
    highest_value: float = Field(default=50.0, description="Highest plausible value, °C.")
    highest_median: float = Field(
        default=45.0, description="Highest plausible median, °C; rooms in °F have medians of 60 to 80 and break it."
    )
    min_standard_deviation: float = Field(
        default=0.05, ge=0, description="Smallest standard deviation, °C; below it the series counts as constant."
    )

    max_rate: float = Field(
        default=30.0, gt=0, description="Largest rate of change, °C per hour, after a median of three."
    )
    rate_span_minutes: float = Field(
        default=10.0,
        gt=0,
        description="Shortest span a rate is measured over, minutes; one quantum in one second is no fast change.",
    )
    spike_height: float = Field(
        default=3.0, gt=0, description="Smallest departure from the local median of a spike, °C."
    )
    spike_spread: float = Field(
        default=3.0,
        ge=0,
        description="Departure of a spike in local standard deviations (1.4826 MAD); 3 is Hampel's rule.",
    )
    spike_half_window: int = Field(default=2, ge=1, le=50, description="Readings on either side in the local median.")
    max_spike_share: float = Field(default=0.001, ge=0, le=1, description="Largest share of readings that are spikes.")

    max_run_hours: float = Field(default=24.0, gt=0, description="Longest time the identical value may be read, hours.")
    long_run_hours: float = Field(
        default=6.0,
        gt=0,
        description="From this length a run of the identical value is long, hours; still nights reach it.",
    )
    max_long_run_share: float = Field(
        default=0.3, ge=0, le=1, description="Largest share of readings inside long runs."
    )

    max_out_of_order_share: float = Field(
        default=0.01, ge=0, le=1, description="Largest share of readings out of time order."
    )
    max_duplicate_share: float = Field(
        default=0.05, ge=0, le=1, description="Largest share of exactly repeated readings."
    )
    max_conflicting_share: float = Field(
        default=0.005,
        ge=0,
        le=1,
        description="Largest share of readings with a time of another reading but another value.",
    )
    cadence_tolerance: float = Field(
        default=0.25,
        ge=0,
        lt=0.5,
        description="Allowed distance of an interval from a multiple of the cadence, in cadences.",
    )
    min_cadence_share: float = Field(
        default=0.9, ge=0, le=1, description="Smallest share of intervals between readings that fit the cadence."
    )
    max_gap_share: float = Field(
        default=0.1, ge=0, le=1, description="Largest share of grid steps without a reading: missing, held or dropped."
    )
    max_gap_hours: float = Field(default=48.0, gt=0, description="Longest gap between readings, hours.")

    max_missing_feature_share: float = Field(default=0.0, ge=0, le=1, description="Largest share of NaN in a feature.")
    min_distinct_values: int = Field(default=2, ge=1, description="Fewest distinct values of a feature in a part.")
    min_test_ratio: float = Field(
        default=0.05, ge=0, description="Fewest rows of the test part for one of the train part."
    )
    max_test_overlap: float = Field(
        default=0.0, ge=0, le=1, description="Largest share of test rows dated before the end of the train part."
    )
    max_difference_drift: float = Field(
        default=0.3, ge=0, le=1, description="Largest Kolmogorov-Smirnov distance of step differences, train to test."
    )
    max_hour_drift: float = Field(
        default=0.3,
        ge=0,
        le=1,
        description="Largest Kolmogorov-Smirnov distance of the hour of day, train to test; a test part of less than "
        "about 17 hours breaks it.",
    )
    deepchecks_rows: int = Field(
        default=100_000, ge=100, description="Rows Deepchecks looks at in each part; more are sampled down to it."
    )
    seed: int = Field(default=0, ge=0, description="Seed of Deepchecks' sampling.")

    @model_validator(mode="after")
    def _range_is_a_range(self) -> Self:
        if not self.lowest_value < self.highest_value:
            message = f"lowest_value {self.lowest_value!r} is not below highest_value {self.highest_value!r}: swap them"
            raise ValueError(message)
        return self
