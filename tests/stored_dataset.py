"""A small dataset stored as the data pipeline's last step stores it, so that a training has something to begin from.

Run as a program in the environment with the platforms' SDKs: its arguments are a stack and the dataset's name.
"""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.append(str(Path(__file__).resolve().parents[1]))


def store(stack: str, name: str) -> None:
    """Store it in the stack's artifact store."""
    from pipelines.home import Home

    home = Home.from_environment()
    home.prepare()
    from synthetic import dataset  # beside this file: a library in that environment brings a package `tests`
    from zenml import save_artifact

    from stacks.loader import use_stack
    from steps.materializers import DatasetMaterializer

    use_stack(stack, home.root)
    save_artifact(dataset(1600), name=name, materializer=DatasetMaterializer)


if __name__ == "__main__":
    store(*sys.argv[1:])
