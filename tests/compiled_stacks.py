"""What each platform is sent by `run.py` on its stack, for both pipelines: the stack files are what is under test.

The secrets that a run could give away have values that are easy to find again (`PLANTED`).
"""

from __future__ import annotations

import subprocess
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tests.clouds import ACCESS_KEY, BUCKET, SECRET_KEY, Aws, aws, cloud_storage
from tests.kubeflow_api import kubeflow_api, submitted
from tests.kubeflow_pods import TOKEN, kubeflow_pods
from tests.kubernetes_api import CONTEXT, kubernetes_api
from tests.sagemaker_api import ROLE, created, sagemaker_api, started
from tests.stack_runs import ENVIRONMENT, PYTHON, ROOT, StackRuns
from tests.vertex_api import LOCATION, PROJECT, vertex_api

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.kubernetes_api import Cluster
    from tests.servers import ZenServer

PIPELINES = {"data": "data", "training": "train"}
STORE = {"aws_access_key_id": "planted-store-key-id", "aws_secret_access_key": "planted-store-secret-key"}
LOGIN = {"MLFLOW_TRACKING_USERNAME": "planted-mlflow-user", "MLFLOW_TRACKING_PASSWORD": "planted-mlflow-password"}
PLANTED = (*STORE.values(), *LOGIN.values(), ACCESS_KEY, SECRET_KEY)
REGISTRY = "registry.example.org"
PROFILE = "team"
OPERATOR = {"EDGELOOP_KUBEFLOW_ACCOUNT": "trainer", "EDGELOOP_TRAIN_MEMORY": "6Gi"}
VARIABLES = {
    "EDGELOOP_REGISTRY": REGISTRY,
    "EDGELOOP_IMAGE": f"{REGISTRY}/edgeloop-pipelines:locked",
    "MLFLOW_TRACKING_URI": "https://mlflow.example.org",
    "EDGELOOP_MLFLOW_SECRET": "edgeloop-mlflow",
    "EDGELOOP_TRAIN_GPUS": "1",
}


@dataclass(frozen=True)
class Compiled:
    """What a platform got.

    Attributes:
        documents: by pipeline, everything the platform was sent.
        ends: by pipeline, how `run.py` ended.
        planted: secrets that must not be found.
        cluster: where its tasks have started jobs, on a platform that has a step operator.
    """

    documents: dict[str, list[dict[str, Any]]]
    ends: dict[str, subprocess.CompletedProcess[str]]
    planted: tuple[str, ...]
    cluster: Cluster | None = None


@dataclass(frozen=True)
class Platforms:
    """Compiles for each platform."""

    server: ZenServer
    cloud: Aws
    folder: Path

    def runs(self, stack: str, variables: dict[str, str]) -> StackRuns:
        """With a home folder of its own for each stack."""
        return StackRuns(self.server, self.folder / stack / "home", {**VARIABLES, **variables})

    def folder_of(self, stack: str) -> Path:
        """For the platform's own files."""
        made = self.folder / stack
        made.mkdir(exist_ok=True)
        return made

    @property
    def s3(self) -> dict[str, str]:
        """For stacks that know S3 by its address and its keys by ZenML's secret."""
        trusted = {"AWS_CA_BUNDLE": self.cloud.variables["AWS_CA_BUNDLE"]}
        return {"EDGELOOP_ARTIFACTS": f"s3://{BUCKET}/edgeloop", "EDGELOOP_S3_ENDPOINT": self.cloud.url, **trusted}

    def kubernetes(self) -> Compiled:
        """The orchestrator's job is run, so that it starts the steps' jobs."""
        node = {"AWS_CA_BUNDLE": self.cloud.variables["AWS_CA_BUNDLE"]}
        with kubernetes_api(PYTHON, self.folder_of("kubernetes"), node) as cluster:
            known = {"KUBECONFIG": str(cluster.kubeconfig), "EDGELOOP_KUBERNETES_CONTEXT": CONTEXT}
            runs = self.runs("kubernetes", {**self.s3, **known})
            return self._both(runs, "kubernetes", lambda: cluster.created, cluster.at_rest)

    def kubeflow(self) -> Compiled:
        """The tasks that start jobs are run."""
        node = {"AWS_CA_BUNDLE": self.cloud.variables["AWS_CA_BUNDLE"]}
        with kubeflow_api() as api, kubeflow_pods(PYTHON, self.folder_of("kubeflow"), node) as pods:
            known = {"EDGELOOP_KUBEFLOW_URL": api.url, "EDGELOOP_KUBEFLOW_PROFILE": PROFILE, **OPERATOR}
            begun: set[int] = set()

            def taken(count: int) -> bool:
                sent = submitted(api)
                if len(sent) > count and count not in begun:
                    begun.add(count)
                    pods.run(sent[-1])
                return len(sent) > count

            done = self._both(self.runs("kubeflow", {**self.s3, **known}), "kubeflow", lambda: submitted(api), taken)
            return replace(done, planted=(*done.planted, TOKEN), cluster=pods.cluster)

    def sagemaker(self) -> Compiled:
        with sagemaker_api() as api:
            variables = {
                **self.cloud.variables,
                "EDGELOOP_ARTIFACTS": f"s3://{BUCKET}/edgeloop",
                "EDGELOOP_SAGEMAKER_ROLE": ROLE,
                "AWS_ENDPOINT_URL_SAGEMAKER": api.url,
            }
            runs = self.runs("sagemaker", variables)
            return self._both(runs, "sagemaker", lambda: created(api), lambda count: started(api) > count)

    def vertex(self) -> Compiled:
        with ExitStack() as stack:
            folder = self.folder_of("vertex")
            storage = stack.enter_context(cloud_storage(ENVIRONMENT / "bin", folder))
            api = stack.enter_context(vertex_api(PYTHON, folder, storage))
            known = {"EDGELOOP_GCP_PROJECT": PROJECT, "EDGELOOP_GCP_LOCATION": LOCATION}
            runs = self.runs("vertex", {**api.variables, **known, "EDGELOOP_ARTIFACTS": f"gs://{BUCKET}/edgeloop"})
            done = self._both(runs, "vertex", api.submitted, lambda count: len(api.submitted()) > count)
            return Compiled(done.documents, done.ends, (*done.planted, api.private_key))

    def _both(
        self,
        runs: StackRuns,
        stack: str,
        sent: Callable[[], list[dict[str, Any]]],
        taken: Callable[[int], bool],
    ) -> Compiled:
        """Both pipelines, one after the other.

        Args:
            runs: how `run.py` is run.
            stack: which one.
            sent: everything the platform got so far.
            taken: whether it has all of a pipeline, given how much it had before.
        """
        documents, ends = {}, {}
        for name, command in PIPELINES.items():
            before = len(sent())
            ends[name] = runs.run(command, stack, lambda count=before: taken(count))  # type: ignore[misc]
            documents[name] = sent()[before:]
        return Compiled(documents, ends, (*PLANTED, self.server.key))

    def everywhere(self) -> dict[str, Compiled]:
        """All platforms at once: each waits for its own more than it computes."""
        work = {"kubernetes": self.kubernetes, "kubeflow": self.kubeflow, "sagemaker": self.sagemaker}
        with ThreadPoolExecutor(4) as pool:
            begun = {name: pool.submit(compiles) for name, compiles in {**work, "vertex": self.vertex}.items()}
            return {name: each.result() for name, each in begun.items()}


def store(runs: StackRuns, stack: str, name: str) -> None:
    """Store a dataset through a stack."""
    command = [str(PYTHON), str(ROOT / "tests" / "stored_dataset.py"), stack, name]
    done = subprocess.run(command, cwd=ROOT, env=runs.environment(), capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


@contextmanager
def platforms(server: ZenServer, folder: Path) -> Iterator[Platforms]:
    """What all platforms share: stand-ins, secrets in ZenML's store, and a dataset to train on."""
    server.keep_secret("edgeloop-s3", **STORE)
    server.keep_secret("edgeloop-mlflow", **LOGIN)
    with aws(ENVIRONMENT / "bin", folder) as cloud:
        made = Platforms(server, cloud, folder)
        unused = {"EDGELOOP_KUBERNETES_CONTEXT": CONTEXT}
        store(made.runs("kubernetes", {**made.s3, **unused}), "kubernetes", "smoke")
        yield made
