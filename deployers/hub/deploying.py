"""A version on to hub and boards as one job: by a person who asks for it, or by a challenger that is better."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from deployers.hub.jobs import BOARD_BY_BOARD, DEPLOY, DEPLOYMENT, held

if TYPE_CHECKING:
    from collections.abc import Sequence

    from deployers.hub.jobs import Job, Jobs
    from deployers.hub.rollout import Rollout

# A deployer brings boards forward one by one: the hub's version is not changed under it.
UNDER_WAY = "a deployment cannot begin"


async def start_deployment(
    jobs: Jobs,
    rollout: Rollout,
    version: int,
    chosen: Sequence[str] | None = None,
    failures_max: int = 1,
    **about: Any,
) -> Job:
    """Begin to bring a version that is installed here to the hub and then to boards.

    Args:
        jobs: where it is followed.
        rollout: does it.
        version: installed here.
        chosen: boards; all that are online if not given.
        failures_max: boards that may fail before no further one is tried.
        about: what the job is about, beside version and boards.

    Raises:
        NotFound: no such version, or no such board.
        DeploymentRunning: another one is under way.
        Conflict: a board has confirmed a higher version, or is in use.
    """
    jobs.require_none(BOARD_BY_BOARD, UNDER_WAY)
    rollout.catalogue.view(version)
    boards = rollout.wanted(chosen)
    rollout.require_not_older(version, boards)

    async def work(job: Job) -> dict[str, Any]:
        return await rollout.deploy(job, version, chosen, failures_max)

    return await jobs.start(
        DEPLOY, {"version": version, "boards": boards, **about}, work, {DEPLOYMENT, *map(held, boards)}
    )
