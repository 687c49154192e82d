"""One of the pipelines' work in plain Python, from the readings to the release, without ZenML and without a registry.

    python -m benchmarks.stacks_plain data|train FOLDER

The dataset is handed over through the folder. `benchmarks.stacks` runs both, each as a process of its own, and compares
what they cost with the pipelines on each stack.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from pipelines.config import DataConfig, TrainingConfig, load_config

SMOKE = Path(__file__).resolve().parents[1] / "pipelines" / "configs" / "smoke.yaml"


def data(config: DataConfig, folder: Path) -> dict[str, Any]:
    """What the data pipeline does; gives the dataset's digest."""
    from forecaster import cleaning, splitting  # noqa: PLC0415 - each process loads what it needs, as a step does
    from forecaster.dataset import build_dataset, minimum_steps  # noqa: PLC0415
    from forecaster.features import fit_program  # noqa: PLC0415
    from forecaster.gate import require  # noqa: PLC0415
    from forecaster.reports.data_quality import data_quality_page  # noqa: PLC0415
    from forecaster.sources import Selection, read_readings  # noqa: PLC0415
    from forecaster.validation import validate  # noqa: PLC0415

    readings = read_readings(config.source, Selection(user=config.user, tag=config.tag))
    grid, report = cleaning.clean(readings, config.cleaning)
    counts = report.as_dict()
    judged = splitting.split(grid, config.split)
    validation = validate(readings, grid, counts, judged["part"], config.validation)
    (folder / "data.html").write_text(data_quality_page(readings, judged, counts, validation, config.source))
    require("data gate", validation.conditions)
    parts = splitting.split(grid, config.split, minimum_steps=minimum_steps(config.sequences))
    program = fit_program(parts, config.features, counts["cadence_seconds"], config.sequences.horizon)
    description = {"source": config.source, "cleaning": config.cleaning.model_dump(mode="json")}
    dataset = build_dataset(parts, program, config.sequences, description)
    (folder / "dataset").mkdir()
    dataset.save(folder / "dataset")
    return {"digest": dataset.digest}


def train(config: TrainingConfig, folder: Path) -> dict[str, Any]:
    """What the training pipeline does before it registers; gives the model's test error."""
    from forecaster import evaluation, model  # noqa: PLC0415
    from forecaster import search as genetic  # noqa: PLC0415
    from forecaster.conversion import dry_run, fidelity_condition  # noqa: PLC0415
    from forecaster.dataset import Dataset  # noqa: PLC0415
    from forecaster.evaluation import Evaluation, gate_conditions  # noqa: PLC0415
    from forecaster.gate import require  # noqa: PLC0415
    from forecaster.release import Release  # noqa: PLC0415
    from forecaster.reports.search import search_page  # noqa: PLC0415

    dataset = Dataset.load(folder / "dataset")
    found = genetic.search(dataset, config.search, config.seed)
    (folder / "search.html").write_text(search_page(found.as_dict()["records"], found.summary()))
    picked, updates = genetic.chosen(found, config.search, dataset)
    made = model.train(dataset, picked, updates, config.seed, refit=config.refit, seeds=config.seeds)
    result, page = evaluation.assess(dataset, made, config.gate, config.seed)
    (folder / "evaluation.html").write_text(page)
    release = Release.write(made, dataset, result["evaluation"], {"search": found.summary()})
    fidelity, page = dry_run(release.path, config.conversion)
    (folder / "fidelity.html").write_text(page)
    judged = gate_conditions(Evaluation.from_dict(result["evaluation"]), config.gate)
    require("model gate", [*judged, fidelity_condition(fidelity)])
    return {"test": result["evaluation"]["model"]}


def main(pipeline: str, folder: Path) -> None:
    """Run one of them with the smoke configuration and print what it gave as JSON."""
    config = load_config([SMOKE])
    answer = data(config.data, folder) if pipeline == "data" else train(config.training, folder)
    print(json.dumps(answer))


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]))
