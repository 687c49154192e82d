"""Pods of a run of Kubeflow Pipelines: of those tasks that start a job of the cluster, and of what they wait for.

Each is its task's container as Kubeflow starts it: its command and variables, a service account's token where
Kubernetes lays it, and a folder of its own for the code that ZenML fetches. In a started job nothing runs but, for the
task that comes after it, what its step tells ZenML at its end.
"""

from __future__ import annotations

import shutil
import subprocess
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from tests.certificate import certificate
from tests.kubeflow_api import RUN
from tests.kubernetes_api import ROOT, Cluster, kubernetes_api

if TYPE_CHECKING:
    from collections.abc import Iterator

TASKS = ("load", "search", "train")
TOKEN = "planted-service-account-token"  # noqa: S105 - the account's, which no manifest may hold
CODE = Path("/app")  # the image's working folder
# In mounts of its own: what a pod has of /run is its account's files.
POD = """mount -t tmpfs edgeloop /run && mkdir -p /run/secrets/kubernetes.io &&
ln -s "$0" /run/secrets/kubernetes.io/serviceaccount && mount -t tmpfs edgeloop /app && cd /app && exec "$@" """
RUN_NAME = "{{$.pipeline_job_name}}"  # Kubeflow puts it in


@dataclass(frozen=True)
class Pods:
    """Attributes: cluster, whose API they speak to; account, the folder with what a service account is known by."""

    cluster: Cluster
    account: Path

    def run(self, specification: dict[str, Any]) -> None:
        """The pods of `TASKS`, one after the other; none where the pipeline has no such tasks."""
        executors = specification["deploymentSpec"]["executors"]
        for name in TASKS if f"exec-{TASKS[-1]}" in executors else ():
            before = len(self.cluster.created)
            self._task(executors[f"exec-{name}"]["container"])
            if name != TASKS[-1]:
                for job in self.cluster.created[before:]:
                    self._end(job)

    def _task(self, container: dict[str, Any]) -> None:
        assert self.cluster.server is not None
        at = urlsplit(self.cluster.server.url)
        own = {"KUBERNETES_SERVICE_HOST": str(at.hostname), "KUBERNETES_SERVICE_PORT": str(at.port)}
        env = [{**each, "value": each["value"].replace(RUN_NAME, RUN["run_id"])} for each in container["env"]]
        command = [*container["command"], *container["args"]]
        assert command[0] == "python"
        self._succeed(command[1:], {**self.cluster.environment({"env": env}), **own})

    def _end(self, job: dict[str, Any]) -> None:
        (container,) = job["spec"]["template"]["spec"]["containers"]
        step_run = container["args"][container["args"].index("--step_run_id") + 1]
        ended = str(ROOT / "tests" / "ended_step.py")
        self._succeed([ended, step_run], self.cluster.environment(container))

    def _succeed(self, words: list[str], environment: dict[str, str]) -> None:
        """Run Python in a pod."""
        apart = ["unshare", "--mount", "--map-root-user", "sh", "-c", POD, str(self.account)]
        command = [*apart, str(self.cluster.python), *words]
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
        assert done.returncode == 0, f"{words}: {done.stdout[-2000:]}{done.stderr[-4000:]}"


@contextmanager
def kubeflow_pods(python: Path, folder: Path, node: dict[str, str]) -> Iterator[Pods]:
    """A cluster's API over TLS, and the pods of the runs in it.

    Args:
        python: interpreter of the pods.
        folder: the pods' home.
        node: as for `kubernetes_api`.
    """
    shown, secret = certificate(folder)
    account = folder / "account"
    account.mkdir()
    shutil.copy(shown, account / "ca.crt")
    (account / "token").write_text(TOKEN, encoding="ascii")
    made = not CODE.exists()
    CODE.mkdir(exist_ok=True)  # the pods mount over it
    try:
        with kubernetes_api(python, folder, node, (shown, secret)) as cluster:
            yield Pods(cluster, account)
    finally:
        if made:
            CODE.rmdir()
