"""What the integer types of a converted model cost in accuracy on the reference readings.

    python -m benchmarks.fidelity [RELEASE ...] [--source FILE] [--user living_room] [--forms gru] [--units 16,32]
                                  [--seeds 1]

Given releases are measured as they are. Without one, a network of each form, size and seed is trained with the standard
recipe on four inputs (two differences and the time of day), 6 steps ahead, by the project's own API, and written as a
release first. Each is converted as `python -m deployers convert` does it; the MAE over the whole test part, streamed
reading by reading, is compared with that of float Keras. Exit code 1 where a growth is beyond its limit. Results go to
build/bench/fidelity.json.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

for variable in ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS"):
    os.environ.setdefault(variable, "1")

from rich.console import Console
from rich.table import Table

from deployers.conversion.budget import ConversionConfig
from deployers.conversion.conditions import Condition, failures, finite
from deployers.conversion.proof import prove

if TYPE_CHECKING:
    from forecaster.dataset import Dataset

ROOT = Path(__file__).resolve().parents[1]
SOURCE = ROOT.parent / "shared" / "data" / "house_temperatures_10min.csv.gz"
INPUTS = ("difference:1", "difference:18", "hour:1:sin", "hour:1:cos")
UPDATES = 240
# Shares by which the MAE may grow.
LIMITS = {"float32": 0.0005, "int8": 0.01, "int16x8": 0.005}


@dataclass(frozen=True)
class Row:
    """One release in one type.

    Attributes:
        name: of the release.
        kind: its type.
        keras: MAE of float Keras in °C.
        mae: of this type in °C.
        growth: share by which it is larger.
        mean, largest: difference from float Keras' forecasts in °C.
    """

    name: str
    kind: str
    keras: float
    mae: float
    growth: float
    mean: float
    largest: float


def main(arguments: list[str] | None = None) -> int:
    """Measure, print the table, write the file; 1 if a growth is beyond its limit."""
    options = _options(arguments)
    with tempfile.TemporaryDirectory(prefix="edgeloop-fidelity-") as scratch:
        releases = options.releases or train_releases(options, Path(scratch))
        rows = [row for release in releases for row in measure(release)]
    _print(rows)
    target = ROOT / "build" / "bench" / "fidelity.json"
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_text(json.dumps(finite([asdict(row) for row in rows]), indent=1), encoding="utf-8")
    wrong = exceeded(rows)
    for condition in wrong:
        sys.stderr.write(f"fidelity: {condition.sentence()}\n")
    return 1 if wrong else 0


def measure(release: Path) -> list[Row]:
    """Every type of one release."""
    figures = prove(release, ConversionConfig(), lambda stage: _say(f"{release.name}: {stage}")).figures
    keras = float(figures["keras"]["mae"])
    return [
        Row(
            release.name, kind, keras, found["metrics"]["mae"], found["mae_growth"],
            found["error"]["mean"], found["error"]["largest"]["celsius"],
        )
        for kind, found in figures["types"].items()
    ]  # fmt: skip


def exceeded(rows: list[Row]) -> list[Condition]:
    """What grows by more than its limit."""
    return failures(
        Condition(f"MAE growth of {row.name} in {row.kind}", 100 * row.growth, "at most", 100 * LIMITS[row.kind], "%")
        for row in rows
    )


def train_releases(options: argparse.Namespace, folder: Path) -> list[Path]:
    """Train every form, size and seed, and write each as a release."""
    from forecaster.genome import Candidate  # noqa: PLC0415 - not for releases that are there
    from forecaster.gru.architecture import Recipe  # noqa: PLC0415
    from forecaster.model import train  # noqa: PLC0415
    from forecaster.release import write_release  # noqa: PLC0415

    dataset, releases = _dataset(options.source, options.user), []
    for form in options.forms:
        for units in options.units:
            for seed in options.seeds:
                _say(f"training {form} {units}, seed {seed}")
                model = train(dataset, Candidate(INPUTS, form, units, Recipe()), UPDATES, seed, refit=True)
                releases.append(folder / f"{form} {units} seed {seed}")
                write_release(releases[-1], model, dataset, {}, {"dataset_version": "benchmark"})
    return releases


def _dataset(source: str, user: str) -> Dataset:
    from forecaster.cleaning import clean  # noqa: PLC0415
    from forecaster.dataset import build_dataset  # noqa: PLC0415
    from forecaster.features import fit_program  # noqa: PLC0415
    from forecaster.sources import Selection, read_readings  # noqa: PLC0415
    from forecaster.splitting import split  # noqa: PLC0415
    from pipelines.config import load_config  # noqa: PLC0415

    config = load_config([]).data
    grid, report = clean(read_readings(source, Selection(user=user)), config.cleaning)
    parts = split(grid, config.split)
    program = fit_program(parts, config.features, report.cadence_seconds, config.sequences.horizon)
    return build_dataset(parts, program, config.sequences, {"cleaning": config.cleaning.model_dump(mode="json")})


def _print(rows: list[Row]) -> None:
    table = Table(title="Converted cells beside float Keras, °C over the test part")
    for column in ("release", "type", "MAE of Keras", "MAE", "growth %", "limit %", "mean difference", "largest"):
        table.add_column(column, justify="left" if column in {"release", "type"} else "right")
    for row in rows:
        limit = "[red]" if row.growth > LIMITS[row.kind] else ""
        table.add_row(
            row.name, row.kind, f"{row.keras:.4f}", f"{row.mae:.4f}", f"{limit}{100 * row.growth:+.2f}",
            f"{100 * LIMITS[row.kind]:g}", f"{row.mean:.2g}", f"{row.largest:.2g}",
        )  # fmt: skip
    Console(width=110).print(table)


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def _list(text: str) -> list[str]:
    return text.split(",")


def _numbers(text: str) -> list[int]:
    return [int(number) for number in text.split(",")]


def _options(arguments: list[str] | None) -> Any:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("releases", nargs="*", type=Path, metavar="RELEASE")
    parser.add_argument("--source", default=str(SOURCE))
    parser.add_argument("--user", default="living_room")
    parser.add_argument("--forms", type=_list, default=["gru"])
    parser.add_argument("--units", type=_numbers, default=[16, 32])
    parser.add_argument("--seeds", type=_numbers, default=[1])
    return parser.parse_args(arguments)


if __name__ == "__main__":
    sys.exit(main())
