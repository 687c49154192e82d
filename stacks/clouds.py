"""Whose credentials a cloud takes here: found out by asking the cloud who one is."""

from __future__ import annotations

from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

SECONDS = 5
Found = tuple[str, bool | None, str, str]
AWS_HOW = "aws configure sso and aws sso login, or set AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY and AWS_SESSION_TOKEN"
GCP_HOW = "gcloud auth application-default login, or set GOOGLE_APPLICATION_CREDENTIALS"


def identities(integrations: Iterable[str]) -> Iterator[Found]:
    """What, whether it is there, what was found, how to get it: for each cloud that a stack uses."""
    asked = {
        "aws": ("AWS credentials", "boto3", _aws, AWS_HOW),
        "gcp": ("Google credentials", "google.auth", _gcp, GCP_HOW),
    }
    for name in integrations:
        if name in asked:
            what, module, ask, how = asked[name]
            ok, found = ask() if _there(module) else (None, f"cannot be looked at without {module}")
            yield what, ok, found, how


def _aws() -> tuple[bool, str]:
    import boto3  # noqa: PLC0415 - only where the platforms' packages are installed
    from botocore.config import Config  # noqa: PLC0415
    from botocore.exceptions import BotoCoreError, ClientError  # noqa: PLC0415

    quick = Config(connect_timeout=SECONDS, read_timeout=SECONDS, retries={"max_attempts": 0})
    try:
        asked: dict[str, Any] = boto3.client("sts", config=quick).get_caller_identity()
    except (BotoCoreError, ClientError) as error:
        return False, f"refused ({' '.join(str(error).split())})"
    return True, str(asked["Arn"])


def _gcp() -> tuple[bool, str]:
    import google.auth  # noqa: PLC0415 - as above
    from google.auth.exceptions import GoogleAuthError  # noqa: PLC0415
    from google.auth.transport.requests import Request  # noqa: PLC0415

    try:
        credentials, project = google.auth.default(scopes=["https://www.googleapis.com/auth/cloud-platform"])
        credentials.refresh(Request())  # type: ignore[no-untyped-call]
    except GoogleAuthError as error:
        return False, f"refused ({' '.join(str(error).split())})"
    return True, f"project {project or 'not named'}"


def _there(module: str) -> bool:
    try:
        return find_spec(module) is not None
    except ModuleNotFoundError:  # its parent is absent
        return False
