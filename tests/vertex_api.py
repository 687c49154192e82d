"""As much of Vertex AI, Cloud Storage and Google's login as ZenML speaks to.

The client speaks gRPC over TLS to REGION-aiplatform.googleapis.com. A proxy on loopback leads it to
`vertex_program.py`, whose certificate the client is told to trust.
"""

from __future__ import annotations

import json
import signal
import subprocess
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from tests.answering import Request, answering
from tests.certificate import certificate
from tests.connect_proxy import connect_proxy

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).resolve().parents[1]
PROJECT, LOCATION = "edgeloop-test", "europe-west4"
HOST = f"{LOCATION}-aiplatform.googleapis.com"


@dataclass(frozen=True)
class Vertex:
    """Attributes: variables, what leads Google's clients here; private_key, of the service account."""

    variables: dict[str, str]
    private_key: str
    _kept: Path

    def submitted(self) -> list[dict[str, Any]]:
        """Every job that was asked for, as the API's JSON."""
        return [json.loads(line) for line in self._kept.read_text(encoding="utf-8").splitlines()]


@contextmanager
def vertex_api(python: Path, folder: Path, storage: str) -> Iterator[Vertex]:
    """Serve on loopback.

    Args:
        python: interpreter of the environment with the platforms' SDKs.
        folder: for certificate, credentials and jobs.
        storage: URL of what answers for Cloud Storage.
    """
    shown, secret = certificate(folder, HOST)
    kept = folder / "jobs.jsonl"
    kept.touch()
    command = [str(python), str(ROOT / "tests" / "vertex_program.py"), str(shown), str(secret), str(kept)]
    log = folder / "vertex.log"
    with (
        log.open("w", encoding="utf-8") as errors,
        subprocess.Popen(command, stdout=subprocess.PIPE, stderr=errors, text=True) as process,
        answering(_token) as login,
    ):
        try:
            assert process.stdout is not None
            port = process.stdout.readline()
            assert port, log.read_text(encoding="utf-8")
            with connect_proxy(int(port)) as proxy:
                account, key = _account(folder, login.url)
                variables = {
                    "GOOGLE_APPLICATION_CREDENTIALS": str(account),
                    "STORAGE_EMULATOR_HOST": storage,
                    "grpc_proxy": proxy,
                    "GRPC_DEFAULT_SSL_ROOTS_FILE_PATH": str(shown),
                }
                yield Vertex(variables, key, kept)
        finally:
            process.send_signal(signal.SIGTERM)


def _token(_request: Request) -> tuple[int, Any]:
    return 200, {"access_token": "granted", "expires_in": 3600, "token_type": "Bearer"}


def _account(folder: Path, login: str) -> tuple[Path, str]:
    """Credentials of a service account, and its private key."""
    form, plain = serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    made = rsa.generate_private_key(65537, 2048).private_bytes(serialization.Encoding.PEM, form, plain).decode()
    told = {
        "type": "service_account",
        "project_id": PROJECT,
        "private_key_id": "1",
        "private_key": made,
        "client_email": f"edgeloop@{PROJECT}.iam.gserviceaccount.com",
        "client_id": "1",
        "token_uri": f"{login}/token",
    }
    path = folder / "account.json"
    path.write_text(json.dumps(told), encoding="utf-8")
    return path, made
