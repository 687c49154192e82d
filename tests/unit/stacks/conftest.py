"""ZenML in a process of its own: its configuration, its database and its choice of a stack are those of a process."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable

CHECKOUT = Path(__file__).resolve().parents[3]
PREPARED = """
import __main__, json, os, sys
__main__.__file__ = os.path.abspath("run.py")  # where ZenML looks for our classes
from pathlib import Path
from pipelines.home import Home
from forecaster.errors import StackError
home = Home.from_environment()
home.prepare()
from zenml.client import Client
from zenml.config.global_config import GlobalConfiguration
from stacks import loader

folder = loader.STACKS = Path(sys.argv[1])
client, answer = Client(), {"home": str(home.root)}

def refused(call, *arguments):
    try:
        call(*arguments)
    except StackError as error:
        return str(error)

"""


@pytest.fixture(scope="module")
def zenml(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., dict[str, Any]]:
    """Runs a script after PREPARED, with files beside it; returns what the script put into `answer`."""

    def run(script: str, **files: str) -> dict[str, Any]:
        folder, home = tmp_path_factory.mktemp("stacks"), tmp_path_factory.mktemp("home")
        for name, text in files.items():
            (folder / f"{name}.yaml").write_text(text)
        done = subprocess.run(
            [sys.executable, "-c", PREPARED + script + "\nprint('ANSWER' + json.dumps(answer))", str(folder)],
            cwd=CHECKOUT,
            env={"PATH": os.environ["PATH"], "HOME": str(home), "EDGELOOP_HOME": str(home)},
            capture_output=True,
            text=True,
            check=False,
            timeout=240,
        )
        assert done.returncode == 0, done.stderr
        return dict(json.loads(done.stdout.rpartition("ANSWER")[2]))

    return run
