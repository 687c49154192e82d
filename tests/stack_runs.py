"""`run.py` on a stack whose platform is a stand-in on loopback, in the environment with the platforms' SDKs."""

from __future__ import annotations

import os
import subprocess
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.servers import ZenServer

ROOT = Path(__file__).resolve().parents[1]
ENVIRONMENT = ROOT / ".venv-stacks"
PYTHON = ENVIRONMENT / "bin" / "python"
SECONDS = 900
CONFIG = ROOT / "pipelines" / "configs" / "smoke.yaml"


def install() -> None:
    """Make the environment hold what its lock names."""
    subprocess.run([ROOT / "scripts" / "setup.sh", ENVIRONMENT.name, "locks/stacks.txt"], cwd=ROOT, check=True)


@dataclass(frozen=True)
class StackRuns:
    """Runs against one ZenML server.

    Attributes:
        server: the ZenML server.
        home: what EDGELOOP_HOME is.
        variables: what every run finds in its environment.
    """

    server: ZenServer
    home: Path
    variables: dict[str, str] = field(default_factory=dict)

    def environment(self) -> dict[str, str]:
        """Of a run: nothing of the user's stacks, clouds and clusters."""
        kept = {name: os.environ[name] for name in ("PATH", "HOME", "LANG", "TMPDIR") if name in os.environ}
        chosen = {**self.variables, "EDGELOOP_HOME": str(self.home)}
        return {**kept, **chosen, **self.server.environment, "PYTHONPATH": ""}

    def run(self, word: str, stack: str, taken: Callable[[], bool]) -> subprocess.CompletedProcess[str]:
        """`run.py WORD --stack STACK` to its end, with the smoke configuration.

        Args:
            word: its command.
            stack: a stack file's name.
            taken: whether the platform has all that is to come; the run is then called failed, as no step will run.
        """
        command = [str(PYTHON), "run.py", word, "--stack", stack, "--config", str(CONFIG)]
        began = time.monotonic()
        with tempfile.TemporaryFile("w+") as output, tempfile.TemporaryFile("w+") as errors:
            environment = self.environment()
            process = subprocess.Popen(command, cwd=ROOT, env=environment, stdout=output, stderr=errors, text=True)
            try:
                while process.poll() is None:
                    assert time.monotonic() - began < SECONDS, f"{word} on {stack} takes longer than {SECONDS} s"
                    time.sleep(1)
                    if taken():
                        self.server.end_runs(f"edgeloop-{stack}")
            finally:
                process.kill()
                process.wait()
            output.seek(0)
            errors.seek(0)
            return subprocess.CompletedProcess(command, process.returncode, output.read(), errors.read())
