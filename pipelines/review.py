"""What a reviewer reads on the page of a run that has no step to say it: every step may come from the cache."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from zenml import add_tags, log_metadata

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from zenml.models import ArtifactVersionResponse, PipelineRunResponse

# Counts of the cleaning that say how whole a series is.
COUNTS = ("rows_in", "rows_out", "missing", "held", "gaps_long", "longest_gap_steps", "segments")


def describe_data_run(
    run: PipelineRunResponse,
    dataset: ArtifactVersionResponse,
    counts: Mapping[str, Any],
    conditions: Sequence[Mapping[str, Any]],
) -> None:
    """Show a data run's outcome on its page, and tag it with the dataset version.

    Args:
        run: a run that has ended.
        dataset: what it stored, or found in the cache.
        counts: of the cleaning.
        conditions: of the data gate.
    """
    passed = sum(condition["passed"] for condition in conditions)
    shown = {
        "dataset": dataset.name,
        "dataset_version": dataset.version,
        "conditions_passed": f"{passed} of {len(conditions)}",
        **{name: counts[name] for name in COUNTS},
    }
    log_metadata(metadata=shown, run_id_name_or_prefix=str(run.id))
    add_tags(tags=[f"{dataset.name}:{dataset.version}"], run=run.id)
