"""What a step tells ZenML at its end: that it has done its work, and what came out; here, outputs that hold nothing.

Run as a program in the environment with the platforms' SDKs, with the variables of the step's pod; its argument is the
id of the step's run.
"""

from __future__ import annotations

import sys


def end(identity: str) -> None:
    """Call a step done, with an output of each name that it has."""
    from zenml import save_artifact
    from zenml.client import Client
    from zenml.enums import ArtifactSaveType
    from zenml.orchestrators.publish_utils import publish_successful_step_run

    step = Client().get_run_step(identity)
    saved = {name: save_artifact({}, name, save_type=ArtifactSaveType.STEP_OUTPUT) for name in step.config.outputs}
    publish_successful_step_run(step.id, {name: [each.id] for name, each in saved.items()})


if __name__ == "__main__":
    end(*sys.argv[1:])
