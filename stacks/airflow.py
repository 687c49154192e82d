"""Airflow, as far as a run needs it: whether it is at work, and what became of a DAG, by its REST API."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import requests

from forecaster.errors import ServiceUnavailable, StackError

if TYPE_CHECKING:
    from collections.abc import Callable

    from stacks.schema import Stack

FLAVOR, SERVICE, SETTINGS = "airflow", "Airflow", "orchestrator.airflow"
LOGIN = "EDGELOOP_AIRFLOW_LOGIN"
PARTS = {"scheduler": "scheduler", "dag_processor": "DAG processor"}
START = "start it with scripts/airflow.sh start, or set EDGELOOP_AIRFLOW_URL"
SECONDS_TO_ANSWER = 20
KILLED = 137  # 128 and the number of SIGKILL


@dataclass(frozen=True)
class Airflow:
    """One Airflow.

    Attributes:
        url: its page's address, without a slash at the end.
        user: who asks.
        password: of this user.
    """

    url: str
    user: str
    password: str

    @classmethod
    def of(cls, stack: Stack | None) -> Airflow | None:
        """The Airflow that a stack runs on; None if it runs on something else.

        Raises:
            StackError: nobody said as whom to ask it.
        """
        if stack is None or stack.components["orchestrator"].flavor != FLAVOR:
            return None
        (url,) = [service.url for service in stack.requires.services if service.name == SERVICE]
        user, colon, password = os.environ.get(LOGIN, "").partition(":")
        if not (user and colon and password):
            said = "has no colon between user and password" if user and not colon else "is not set"
            msg = f"environment variable {LOGIN!r} {said}, expected USER:PASSWORD of who asks Airflow how a run stands"
            msg += " (Airflow's first start makes user admin and prints the file with its password)"
            raise StackError(msg)
        return cls(str(url).rstrip("/"), user, password)

    def ready(self) -> None:
        """Return if Airflow is at work and lets the user in.

        Raises:
            ServiceUnavailable: it does not answer, or its scheduler or DAG processor does not run.
            StackError: it refuses user or password.
        """
        try:
            answer = requests.get(f"{self.url}/api/v2/monitor/health", timeout=SECONDS_TO_ANSWER)
            answer.raise_for_status()
            health = answer.json()
            self._login()
        except (requests.RequestException, ValueError) as error:
            msg = f"Airflow at {self.url!r} does not answer ({_words(error)}): {START}"
            raise ServiceUnavailable(msg) from error
        for part, name in PARTS.items():
            if (state := (health.get(part) or {}).get("status")) != "healthy":
                msg = f"Airflow at {self.url!r} answers, but its {name} does not run (status {state!r}): {START}"
                raise ServiceUnavailable(msg)

    def lost(self, dag: str) -> str | None:
        """Why a DAG's run will not come to an end; None if it may, and while Airflow cannot be asked."""
        try:
            token = self._login()
            return self._failure(dag, token)
        except (requests.RequestException, ValueError):
            return None  # containers go on without Airflow's page; the next look may find it again

    def _failure(self, dag: str, token: str) -> str | None:
        runs = self._get(token, "dags", dag, "dagRuns")
        if runs is None:
            return self._not_imported(dag, token)
        failed = [run["dag_run_id"] for run in runs["dag_runs"] if run["state"] == "failed"]
        if not failed:
            return None
        place = ("dags", dag, "dagRuns", failed[0], "taskInstances")
        for task in (self._get(token, *place) or {"task_instances": []})["task_instances"]:
            if task["state"] == "failed":
                logs = self._get(token, *place, task["task_id"], "logs", str(task["try_number"]))
                return f"step {task['task_id']!r} failed in Airflow: {_last_error(logs)}"
        return "the DAG's run failed in Airflow before a step began"

    def _not_imported(self, dag: str, token: str) -> str | None:
        for error in (self._get(token, "importErrors") or {"import_errors": []})["import_errors"]:
            if f"{dag}.zip" in (error.get("filename") or ""):
                return f"Airflow cannot read the DAG: {error['stack_trace'].strip().splitlines()[-1]}"
        return None

    def _get(self, token: str, *path: str) -> Any:
        """What Airflow answers; None if it does not know the thing."""
        place = "/".join(quote(part, safe="") for part in path)
        headers = {"Authorization": f"Bearer {token}", "Accept": "application/json"}
        answer = requests.get(f"{self.url}/api/v2/{place}", headers=headers, timeout=SECONDS_TO_ANSWER)
        if answer.status_code == requests.codes.not_found:
            return None
        answer.raise_for_status()
        return answer.json()

    def _login(self) -> str:
        given = {"username": self.user, "password": self.password}
        answer = requests.post(f"{self.url}/auth/token", json=given, timeout=SECONDS_TO_ANSWER)
        if answer.status_code in (requests.codes.unauthorized, requests.codes.forbidden):
            msg = f"Airflow at {self.url!r} refuses user {self.user!r}: set {LOGIN} to USER:PASSWORD"
            raise StackError(msg)
        answer.raise_for_status()
        return str(answer.json()["access_token"])


def at_work(stack: Stack) -> tuple[bool, str]:
    """Whether a stack's Airflow works and lets the user in, and what was found."""
    try:
        airflow = Airflow.of(stack)
        if airflow is None:
            return False, f"stack {stack.name!r} has no Airflow"
        airflow.ready()
    except (StackError, ServiceUnavailable) as error:
        return False, str(error)
    return True, f"{airflow.url} takes up DAGs"


def followed(
    stack: Stack | None, run_name: str, options: dict[str, Any]
) -> tuple[dict[str, Any], Callable[[], str | None]]:
    """Have a run's DAG bear the run's name, so that Airflow can be asked about it.

    Args:
        stack: what the run goes to; nothing changes if it has no Airflow.
        run_name: the run's name in ZenML.
        options: arguments of the pipeline's `with_options`.

    Returns:
        The options, and what tells why the run was lost (see `Airflow.lost`).

    Raises:
        ServiceUnavailable: Airflow is not at work.
        StackError: Airflow does not let the user in.
    """
    airflow = Airflow.of(stack)
    if airflow is None:
        return options, lambda: None
    airflow.ready()
    settings = options.get("settings", {})
    named = {**settings, SETTINGS: {**settings.get(SETTINGS, {}), "dag_id": run_name}}
    return {**options, "settings": named}, lambda: airflow.lost(run_name)


def _last_error(logs: Any) -> str:
    """What a task's log says at last of an exception."""
    for line in reversed((logs or {}).get("content") or []):
        for detail in line.get("error_detail") or [] if isinstance(line, dict) else []:
            said = " ".join(str(detail["exc_value"]).split())
            killed = " (killed from outside, or for want of memory)" if f"'StatusCode': {KILLED}" in said else ""
            return said + killed
    return "its log has no exception, see it on Airflow's page"


def _words(error: Exception) -> str:
    return " ".join(str(error).split()) or type(error).__name__
