"""The REST interface from outside: requests, jobs followed to their ends, and problems as the errors they were."""

from __future__ import annotations

import json
import ssl
import time
from typing import TYPE_CHECKING, Any, Self

import httpx

from deployers.exceptions import DeployerError, InputError, Unreachable
from deployers.hub.codes import ERRORS

if TYPE_CHECKING:
    from collections.abc import Callable

CONNECT_SECONDS = 5.0
# An installation runs golden vectors in every type on a slow machine.
ANSWER_SECONDS = 300.0
WAIT_SECONDS = 1.0
# A job is asked for again after lost answers, long enough for a hub that restarts: it says then what became of it.
LOST_MAX, PAUSE_SECONDS = 20, 1.0

KINDS = {code: kind for kind, _, code in reversed(ERRORS)}


class JobFailed(DeployerError):  # noqa: N818 - as the job has it
    """A job did not end well.

    Attributes:
        job: all that the hub says of it.
    """

    def __init__(self, job: dict[str, Any]) -> None:
        error = job.get("error") or {}
        super().__init__(error.get("detail") or f"job {job.get('id')!r} ended as {job.get('state')!r}")
        self.job, self.code = job, str(error.get("code", "internal"))
        self.exit_code = int(error.get("exit_code", 1))


class HubClient:
    """One hub.

    Args:
        url: where it answers.
        token: a token of a sufficient role.
        transport: of httpx; tests give one in memory.
        certificate: PEM file to trust, where the hub has a certificate of its own.
    """

    def __init__(
        self, url: str, token: str, *, transport: httpx.BaseTransport | None = None, certificate: str | None = None
    ) -> None:
        verify: Any = ssl.create_default_context(cafile=certificate) if certificate else True
        timeout = httpx.Timeout(ANSWER_SECONDS, connect=CONNECT_SECONDS)
        headers = {"Authorization": f"Bearer {token}"}
        self._url = url
        # No proxy of the environment stands between a command and the hub on its own machine.
        self._http = httpx.Client(
            base_url=url, headers=headers, timeout=timeout, transport=transport, verify=verify, trust_env=False
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._http.close()

    def get(self, path: str, **parameters: Any) -> dict[str, Any]:
        """Ask.

        Raises:
            Unreachable: the hub does not answer.
            DeployerError: the error that it answers with.
        """
        return self._request("GET", path, params=parameters)

    def post(self, path: str, body: dict[str, Any] | None = None) -> dict[str, Any]:
        """Ask for something to be done; errors as for `get`."""
        return self._request("POST", path, json=body or {})

    def put(self, path: str, body: dict[str, Any]) -> dict[str, Any]:
        """Have something take the place of what is there; errors as for `get`."""
        return self._request("PUT", path, json=body)

    def delete(self, path: str) -> dict[str, Any]:
        """Have something ended or removed; errors as for `get`."""
        return self._request("DELETE", path)

    def follow(self, path: str, body: dict[str, Any], told: Callable[[str], None]) -> dict[str, Any]:
        """Start a job and wait for its end.

        Args:
            path: what starts it.
            body: what is wanted.
            told: called with each new line of the job's log, and what it does with its progress.

        Returns:
            What came of it.

        Raises:
            JobFailed: it did not end well.
        """
        job, said = self.post(path, body), _Said(told)
        lost = 0
        while job["state"] == "running":
            try:
                job = self.get(f"/jobs/{job['id']}", wait=WAIT_SECONDS)
                lost = 0
            except Unreachable:
                lost += 1
                if lost > LOST_MAX:
                    raise
                time.sleep(PAUSE_SECONDS)
            said(job)
        said(job)
        if job["state"] != "done":
            raise JobFailed(job)
        result: dict[str, Any] = job["result"]
        return result

    def _request(self, method: str, path: str, **given: Any) -> dict[str, Any]:
        try:
            answer = self._http.request(method, path, **given)
        except httpx.TransportError as error:
            msg = f"the hub at {self._url!r} does not answer ({error or type(error).__name__}): is it running?"
            raise Unreachable(msg) from None
        return _content(answer)


class _Said:
    """Tells each line of a job's log once, and progress in steps of a tenth."""

    def __init__(self, told: Callable[[str], None]) -> None:
        self._told, self._lines, self._step = told, 0, ("", -1)

    def __call__(self, job: dict[str, Any]) -> None:
        for line in job["log"][self._lines :]:
            self._told(line)
        self._lines = max(self._lines, len(job["log"]))
        if job["progress"] is not None and job["state"] == "running":
            step = (job["doing"], int(10 * job["progress"]))
            if step != self._step:
                self._told(f"{job['doing']}: {100 * job['progress']:.0f} %")
            self._step = step


def _content(answer: httpx.Response) -> dict[str, Any]:
    try:
        content = json.loads(answer.content)
    except ValueError:
        content = None
    if not answer.is_success or not isinstance(content, dict):
        raise _error(answer.status_code, content if isinstance(content, dict) else {})
    return content


def _error(status: int, problem: dict[str, Any]) -> DeployerError:
    """The error that a problem stands for, made without the arguments that its class takes where it is found."""
    code, detail = str(problem.get("code", "")), str(problem.get("detail", ""))
    kind = KINDS.get(code)
    if kind is None:
        kind = InputError if 400 <= status < 500 else Unreachable
    error = kind.__new__(kind)
    Exception.__init__(error, detail or f"the hub answers with status {status}, expected a JSON object: is it one?")
    return error
