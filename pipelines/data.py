"""The data pipeline: collect → clean → validate → accept → split → scale → store."""

from __future__ import annotations

from typing import Any

from zenml import pipeline

from forecaster.sources import Selection, fingerprint
from pipelines.carried import carried
from pipelines.config import DataConfig  # noqa: TC001 - ZenML reads the annotation at run time
from steps.data.accept import accept
from steps.data.clean import clean
from steps.data.collect import collect
from steps.data.look import look
from steps.data.scale import scale
from steps.data.split import split
from steps.data.store import store
from steps.data.validate import validate


@pipeline(name="data", enable_cache=True)
def data_pipeline(config: DataConfig, scheduled: bool = False) -> Any:
    """Readings become a versioned dataset.

    A pipeline is compiled once for all runs of a schedule: there each run looks at its source in a step of its own.
    """
    known = None if scheduled else fingerprint(config.source, Selection(user=config.user, tag=config.tag))
    content = known or look(config.source, config.user, config.tag)
    copy = None if known is None else carried(config, known)
    readings = collect(config.source, config.user, config.tag, content, copy)
    grid, counts = clean(readings, config.cleaning)
    validation, _ = validate(readings, grid, counts, config.split, config.validation, config.source)
    accept(validation)
    parts = split(grid, config.split, config.sequences, after="accept")
    program = scale(parts, config.features, counts, config.sequences.horizon)
    description: dict[str, Any] = {
        "source": config.source,
        "user": config.user,
        "tag": config.tag,
        "fingerprint": known,
    }
    description["cleaning"] = config.cleaning.model_dump(mode="json")
    description["dataset"] = (
        config.dataset
    )  # in the cache key: the same readings under another name are another dataset
    return store.with_options(substitutions={"dataset": config.dataset})(parts, program, config.sequences, description)
