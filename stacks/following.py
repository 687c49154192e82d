"""What tells why a run that a platform took up will not come to an end."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from stacks import airflow, hosts

if TYPE_CHECKING:
    from collections.abc import Callable

    from stacks.schema import Component, Stack


def followed(
    stack: Stack | None, run_name: str, options: dict[str, Any]
) -> tuple[dict[str, Any], Callable[[], str | None]]:
    """Prepare a run so that its platform can be asked about it.

    Args:
        stack: what the run goes to.
        run_name: the run's name in ZenML.
        options: arguments of the pipeline's `with_options`.

    Returns:
        The options, and what asks the platform why the run was lost: None while it may end, and of platforms that
        cannot be asked.

    Raises:
        ServiceUnavailable: the platform is not at work.
        StackError: it does not let the user in.
    """
    orchestrator = hosts.over_ssh(stack)
    if orchestrator is None:
        return airflow.followed(stack, run_name, options)
    return options, lambda: _lost_over_ssh(orchestrator, run_name)


def _lost_over_ssh(orchestrator: Component, run_name: str) -> str | None:
    from zenml.client import Client  # noqa: PLC0415 - reads the environment that the caller prepared

    run = Client().get_pipeline_run(run_name)
    why = hosts.lost(orchestrator, str(run.id))
    under_way = [repr(name) for name, step in run.steps.items() if not step.status.is_finished]
    return why and f"step {' and '.join(under_way) or 'to come'} {why}"
