"""As much of a Kubernetes API as ZenML speaks to: jobs, secrets and pods in memory.

The orchestrator's job is really run, as the kubelet would: its command with its environment, secrets put in. The jobs
of steps are kept and called complete at once; nothing runs in them.
"""

from __future__ import annotations

import base64
import copy
import os
import subprocess
import threading
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from tests.answering import Answering, Request, answering

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).resolve().parents[1]
CONTEXT = "edgeloop-test"
STEP = "step_name"  # ZenML's label of a step's job
KINDS = {
    "jobs": {"apiVersion": "batch/v1", "kind": "Job"},
    "cronjobs": {"apiVersion": "batch/v1", "kind": "CronJob"},
    "secrets": {"apiVersion": "v1", "kind": "Secret"},
    "serviceaccounts": {"apiVersion": "v1", "kind": "ServiceAccount"},
    "rolebindings": {"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "RoleBinding"},
}
NOW = "2026-01-01T00:00:00Z"


@dataclass
class Cluster:
    """What was created, and where the API listens."""

    python: Path
    folder: Path
    node: dict[str, str]
    server: Answering | None = None
    objects: dict[tuple[str, str], dict[str, Any]] = field(default_factory=dict)
    created: list[dict[str, Any]] = field(default_factory=list)
    pods: list[threading.Thread] = field(default_factory=list)
    logs: list[str] = field(default_factory=list)

    @property
    def kubeconfig(self) -> Path:
        """Names this API as the context `CONTEXT`."""
        assert self.server is not None
        path = self.folder / "kubeconfig"
        config = {
            "apiVersion": "v1",
            "kind": "Config",
            "current-context": CONTEXT,
            "clusters": [{"name": CONTEXT, "cluster": {"server": self.server.url}}],
            "users": [{"name": CONTEXT, "user": {}}],
            "contexts": [{"name": CONTEXT, "context": {"cluster": CONTEXT, "user": CONTEXT}}],
        }
        path.write_text(yaml.safe_dump(config), encoding="utf-8")
        return path

    def started(self, objects: list[dict[str, Any]]) -> list[dict[str, Any]]:
        """Jobs among some objects that start the others."""
        return [each for each in objects if each["kind"] == "Job" and STEP not in each["metadata"]["labels"]]

    def at_rest(self, count: int) -> bool:
        """Whether a job that came after so many objects has run to its end."""
        return len(self.logs) > len(self.started(self.created[:count]))

    def answer(self, request: Request) -> tuple[int, Any]:
        """Create, read, change, list or delete one kind of object."""
        _, _, where = request.path.partition("/namespaces/")
        _, kind, *rest = where.split("/")
        name = rest[0] if rest else ""
        if request.method == "POST":
            return self._create(kind, request.body)
        if kind == "pods":
            return (200, self._pod(name)) if name else (200, {"kind": "PodList", "apiVersion": "v1", "items": []})
        if not name:
            return 200, {"kind": "JobList", "apiVersion": "batch/v1", "items": self._jobs(request.query)}
        if (kind, name) not in self.objects:
            return 404, {"kind": "Status", "apiVersion": "v1", "status": "Failure", "reason": "NotFound", "code": 404}
        if request.method == "DELETE":
            return 200, self.objects.pop((kind, name))
        if request.method == "PATCH":
            self.objects[kind, name]["metadata"].setdefault("annotations", {}).update(
                request.body["metadata"]["annotations"]
            )
        return 200, self.objects[kind, name]

    def _create(self, kind: str, sent: dict[str, Any]) -> tuple[int, Any]:
        # The path says what is sent where the body does not.
        sent = {**KINDS[kind], **sent}
        self.created.append(copy.deepcopy(sent))
        metadata = {"uid": str(len(self.created)), "creationTimestamp": NOW, **sent["metadata"]}
        kept = {**sent, "metadata": metadata, "status": {}}
        self.objects[kind, metadata["name"]] = kept
        if kind == "jobs":
            _put_defaults(kept)
            if STEP in metadata["labels"]:
                kept["status"] = finished("Complete", "nothing ran in it")
            else:
                thread = threading.Thread(target=self._run, args=(kept,))
                self.pods.append(thread)
                thread.start()
        return 201, kept

    def _jobs(self, query: dict[str, str]) -> list[dict[str, Any]]:
        """Jobs that have every label of a selector."""
        wanted = dict(each.split("=") for each in query.get("labelSelector", "").split(",") if each)
        kept = [each for (kind, _), each in list(self.objects.items()) if kind == "jobs"]
        return [each for each in kept if wanted.items() <= each["metadata"]["labels"].items()]

    def _pod(self, name: str) -> dict[str, Any]:
        """The pod of the newest orchestrator's job: it asks for itself, by the machine's name."""
        job = self.started(self.created)[-1]
        kept = self.objects["jobs", job["metadata"]["name"]]["metadata"]
        owner = {"apiVersion": "batch/v1", "kind": "Job", "name": kept["name"], "uid": kept["uid"]}
        labels = {**kept["labels"], "job-name": kept["name"]}
        metadata = {"name": name, "uid": "pod", "labels": labels, "ownerReferences": [owner]}
        return {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "status": {"phase": "Running"}}

    def _run(self, job: dict[str, Any]) -> None:
        """Run the orchestrator's container to its end, and say so in the job's status."""
        (container,) = job["spec"]["template"]["spec"]["containers"]
        command = [*container["command"], *container["args"]]
        assert command[0] == "python"
        environment = {**self.environment(container), "KUBECONFIG": str(self.kubeconfig)}
        done = subprocess.run(
            [str(self.python), *command[1:]], cwd=ROOT, env=environment, capture_output=True, text=True, check=False
        )
        self.logs.append(done.stdout + done.stderr)
        job["status"] = finished("Failed" if done.returncode else "Complete", "the orchestrator's pod ended")

    def environment(self, container: dict[str, Any]) -> dict[str, str]:
        """What a container's program finds in its environment, secrets put in."""
        kubelet = {"PATH": os.environ["PATH"], "HOME": str(self.folder), "ZENML_CONFIG_PATH": str(self.folder / "pod")}
        return {**{each["name"]: self._value(each) for each in container["env"]}, **kubelet, **self.node}

    def _value(self, variable: dict[str, Any]) -> str:
        if "value" in variable:
            return str(variable["value"])
        source = variable["valueFrom"]["secretKeyRef"]
        return base64.b64decode(self.objects["secrets", source["name"]]["data"][source["key"]]).decode()


def _put_defaults(job: dict[str, Any]) -> None:
    """What the API puts in where a job leaves it out."""
    for rule in job["spec"].get("podFailurePolicy", {}).get("rules", []):
        for condition in rule.get("onPodConditions", []):
            condition.setdefault("status", "True")


def finished(kind: str, message: str) -> dict[str, Any]:
    """A job's status at its end."""
    return {"conditions": [{"type": kind, "status": "True", "message": message, "lastTransitionTime": NOW}]}


@contextmanager
def kubernetes_api(
    python: Path, folder: Path, node: dict[str, str], certificate: tuple[Path, Path] | None = None
) -> Iterator[Cluster]:
    """An API server on loopback.

    Args:
        python: interpreter of the orchestrator's pod.
        folder: the pod's home, and where the kubeconfig lies.
        node: what the cluster adds to a pod's environment, as a cloud does for its workload identities.
        certificate: as for `answering`; pods that reach their own cluster want TLS.
    """
    cluster = Cluster(python, folder, node)
    with answering(cluster.answer, certificate) as server:
        cluster.server = server
        try:
            yield cluster
        finally:
            for pod in cluster.pods:
                pod.join()
