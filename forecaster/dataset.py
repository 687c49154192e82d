"""The dataset a training run takes: the split grid, the feature program and the training sequences."""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from pydantic import BaseModel, ConfigDict, Field

from forecaster.errors import ReadingError
from forecaster.features import FeatureProgram, features, residuals
from forecaster.sequences import MISSING, Sequences

if TYPE_CHECKING:
    from pathlib import Path

    from forecaster.arrays import Floats, Rows

# Share of the training part that the earlier fold trains on; about the share the whole dataset trains on.
EARLIER_SHARE = 0.7
PARTS = ("train", "validation", "test")


class SequenceConfig(BaseModel):
    """Length of the stored sequences and of the forecast."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    steps: int = Field(
        576,
        ge=32,
        le=8192,
        description="time steps of a stored sequence; neighbours overlap by half, so every training window of up to "
        "half that length lies inside one sequence",
    )
    horizon: int = Field(6, ge=1, le=48, description="steps forecast at each reading")
    warm_up: int = Field(144, ge=0, description="steps that fill the state before validation counts")
    streams: int = Field(16, ge=1, le=64, description="parallel streams the validation part is cut into")


class Dataset:
    """Everything training needs, and nothing of the source; never changed once made.

    A plain class: pydantic, which orchestrators check step arguments with, would take a dataclass apart.

    Args:
        grid: grid frame with `part`.
        program: all candidate features, scaled from the training part.
        sequences: for each part its sequences `(sequences, steps, features)`, scaled, float32.
        config: how the sequences were cut.
        description: where the readings came from, and as `cleaning` the rules that made the grid.
    """

    def __init__(
        self,
        grid: pd.DataFrame,
        program: FeatureProgram,
        sequences: dict[str, Floats],
        config: SequenceConfig,
        description: dict[str, Any],
    ) -> None:
        self.grid, self.program, self.sequences = grid, program, sequences
        self.config, self.description = config, description

    @property
    def digest(self) -> str:
        """SHA-256 over the values, times, parts and feature program: equal data, equal digest."""
        digest = hashlib.sha256()
        digest.update(self.grid["time"].to_numpy("datetime64[us]").astype("<i8").tobytes())
        digest.update(self.grid["value"].to_numpy("<f8").tobytes())
        for column in ("segment", "filled", "part"):
            digest.update("\n".join(self.grid[column].astype(str)).encode())
        digest.update(json.dumps([self.program.as_dict(), self.config.model_dump()], sort_keys=True).encode())
        return digest.hexdigest()

    def summary(self) -> dict[str, Any]:
        """Figures a reviewer wants to see: rows, parts, shapes."""
        counts = self.grid["part"].value_counts()
        return {
            "digest": self.digest,
            "rows": len(self.grid),
            "rows_filled": int(self.grid["filled"].sum()),
            "segments": int(self.grid["segment"].nunique()),
            "first": self.grid["time"].iloc[0].isoformat(),
            "last": self.grid["time"].iloc[-1].isoformat(),
            "features": list(self.program.names),
            **{f"rows_{part}": int(counts.get(part, 0)) for part in PARTS},
            **{f"sequences_{part}": list(self.sequences[part].shape) for part in PARTS},
        }

    def training_sequences(self, parts: tuple[str, ...] = ("train",)) -> Sequences:
        """Tensors for the trainer: the stored sequences of `parts`, and streams over the validation part.

        Raises:
            ReadingError: no target in `parts` or in the validation part is known.
        """
        targets = self._targets()
        y = np.concatenate([_cut(targets, _windows(self.grid, part, self.config.steps), MISSING) for part in parts])
        streams, warm = _streams(self.grid, self.config)
        vx = _cut(features(self.grid, self.program).astype(np.float32), streams, 0.0)
        vy = _cut(targets, streams, MISSING)
        vy[np.arange(streams.shape[1]) < warm[:, None]] = MISSING
        for name, tensor in (("/".join(parts), y), ("validation", vy)):
            if not (tensor < MISSING).any():
                msg = f"no reading of the {name} part can be forecast, give more readings or a shorter horizon"
                raise ReadingError(msg)
        order = (1, 2, 0)
        return Sequences(
            np.concatenate([self.sequences[part] for part in parts]),
            y,
            np.ascontiguousarray(vx.transpose(order)),
            np.ascontiguousarray(vy.transpose(order)),
        )

    def earlier(self) -> Dataset:
        """The training part as a dataset of its own, its last stretch as the validation part.

        A network judged on this stretch and on the validation part is judged on two seasons instead of one
        (rolling-origin evaluation, Tashman 2000). The feature program stays.
        """
        grid = self.grid[self.grid["part"] == "train"].reset_index(drop=True)
        first = int(len(grid) * EARLIER_SHARE)
        part = np.where(np.arange(len(grid)) < first, "train", "validation")
        return build_dataset(grid.assign(part=part), self.program, self.config, self.description)

    def _targets(self) -> Floats:
        """Scaled residuals, `(rows, horizon)`; `MISSING` where unknown or in another part."""
        scaled = residuals(self.grid, self.program.horizon) / self.program.target_scale
        return np.where(np.isnan(scaled), MISSING, scaled).astype(np.float32)

    def save(self, folder: Path) -> None:
        """Write the dataset into an existing folder."""
        self.grid.to_parquet(folder / "grid.parquet", index=False)
        np.savez_compressed(folder / "sequences.npz", **self.sequences)
        fields = {
            "program": self.program.as_dict(),
            "config": self.config.model_dump(),
            "description": self.description,
            "digest": self.digest,
        }
        (folder / "dataset.json").write_text(json.dumps(fields, indent=1), encoding="utf-8")

    @classmethod
    def load(cls, folder: Path) -> Dataset:
        """Read what `save` wrote.

        Raises:
            ReadingError: the content does not match the digest written with it.
        """
        fields = json.loads((folder / "dataset.json").read_text(encoding="utf-8"))
        with np.load(folder / "sequences.npz") as stored:
            sequences = {part: stored[part] for part in PARTS}
        dataset = cls(
            pd.read_parquet(folder / "grid.parquet"),
            FeatureProgram.from_dict(fields["program"]),
            sequences,
            SequenceConfig(**fields["config"]),
            fields["description"],
        )
        if dataset.digest != fields["digest"]:
            found, stored_digest = dataset.digest[:12], fields["digest"][:12]
            msg = f"dataset digest is {found!r}, stored was {stored_digest!r}: run the data pipeline again"
            raise ReadingError(msg)
        return dataset


def build_dataset(
    grid: pd.DataFrame, program: FeatureProgram, config: SequenceConfig, description: dict[str, Any]
) -> Dataset:
    """Cut each part of a split grid into sequences of shape (sequences, steps, features)."""
    inputs = features(grid, program).astype(np.float32)
    sequences = {part: _cut(inputs, _windows(grid, part, config.steps), 0.0) for part in PARTS}
    return Dataset(grid, program, sequences, config, description)


def minimum_steps(config: SequenceConfig) -> int:
    """Rows a part needs so that at least one of its readings can be forecast at every horizon."""
    return max(32, config.horizon + 1)


def _windows(grid: pd.DataFrame, part: str, steps: int) -> Rows:
    """Row numbers of each sequence of a part, `(sequences, steps)`; −1 behind the end of a short run."""
    segment, rows = grid["segment"].to_numpy(), (grid["part"] == part).to_numpy()
    run = np.cumsum(np.r_[False, (segment[1:] != segment[:-1]) | (rows[1:] != rows[:-1])])
    found = []
    for number in np.unique(run[rows]):
        members = np.flatnonzero(run == number)
        last = max(0, len(members) - steps)
        for start in [*range(0, last, steps // 2), last]:
            window = np.full(steps, -1)
            taken = members[start : start + steps]
            window[: len(taken)] = taken
            found.append(window)
    return np.stack(found) if found else np.empty((0, steps), int)


def _cut(values: Floats, windows: Rows, blank: float) -> Floats:
    return np.where(windows[..., None] >= 0, values[windows], np.float32(blank)).astype(np.float32)


def _streams(grid: pd.DataFrame, config: SequenceConfig) -> tuple[Rows, Rows]:
    """Row numbers of the validation streams, `(streams, warm_up + length)`, −1 behind their end, and their warm-ups.

    A stream lies in one segment, as the state it fills does, and begins with the rows just before it there.
    """
    segment = grid["segment"].to_numpy()
    rows = np.flatnonzero(grid["part"] == "validation")
    length = max(1, -(-len(rows) // config.streams))
    streams, warm = [], []
    for taken in _pieces(rows, np.flatnonzero(np.diff(segment[rows])) + 1, length):
        before = np.arange(max(0, taken[0] - config.warm_up), taken[0])
        before = before[segment[before] == segment[taken[0]]]
        stream = np.full(config.warm_up + length, -1)
        stream[: len(before) + len(taken)] = np.concatenate([before, taken])
        streams.append(stream)
        warm.append(len(before))
    return np.array(streams, np.int64).reshape(-1, config.warm_up + length), np.array(warm, np.int64)


def _pieces(rows: Rows, cuts: Rows, length: int) -> list[Rows]:
    """Rows cut at `cuts`, and what is longer than `length` again."""
    runs = [run for run in np.split(rows, cuts) if len(run)]
    return [piece for run in runs for piece in np.split(run, range(length, len(run), length))]
