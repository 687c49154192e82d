"""Object stores and logins of the clouds on loopback: moto for S3 and STS, an emulator for Cloud Storage."""

from __future__ import annotations

import socket
import ssl
import subprocess
import time
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import httpx

from tests.certificate import certificate
from tests.connect_proxy import connect_proxy
from tests.programs import free_port

if TYPE_CHECKING:
    from collections.abc import Iterator

BUCKET = "artifacts"
REGION = "eu-central-1"
ACCESS_KEY, SECRET_KEY = "AKIAPLANTEDACCESSKEY", "planted-aws-secret-access-key"
SECONDS_TO_START = 120


@dataclass(frozen=True)
class Aws:
    """Attributes: url, of S3; variables, what the AWS tools find in the environment of whoever starts a run."""

    url: str
    variables: dict[str, str]


@contextmanager
def aws(binaries: Path, folder: Path) -> Iterator[Aws]:
    """S3 and STS over TLS, by address and through a proxy: SageMaker's SDK insists on the real host name of STS.

    Args:
        binaries: of the environment with the platforms' SDKs.
        folder: for the certificate and the log.
    """
    shown, secret = certificate(folder, f"sts.{REGION}.amazonaws.com")
    port = free_port()
    command = [binaries / "moto_server", "-p", str(port), "-c", str(shown), "-k", str(secret)]
    url = f"https://127.0.0.1:{port}"
    with _started([str(word) for word in command], port, folder / "aws.log"), connect_proxy(port) as proxy:
        httpx.put(f"{url}/{BUCKET}", verify=ssl.create_default_context(cafile=shown)).raise_for_status()
        variables = {
            "AWS_REGION": REGION,
            "AWS_DEFAULT_REGION": REGION,
            "AWS_ACCESS_KEY_ID": ACCESS_KEY,
            "AWS_SECRET_ACCESS_KEY": SECRET_KEY,
            "AWS_CA_BUNDLE": str(shown),
            "AWS_ENDPOINT_URL": url,
            "HTTPS_PROXY": proxy,
            "NO_PROXY": "127.0.0.1",
        }
        yield Aws(url, variables)


@contextmanager
def cloud_storage(binaries: Path, folder: Path) -> Iterator[str]:
    """URL of what answers for Cloud Storage, with one bucket."""
    port = free_port()
    words = ["start", "-H", "127.0.0.1", "--port", str(port), "--default-bucket", BUCKET, "--in-memory"]
    with _started([str(binaries / "gcp-storage-emulator"), *words], port, folder / "storage.log"):
        yield f"http://127.0.0.1:{port}"


@contextmanager
def _started(command: list[str], port: int, log: Path) -> Iterator[None]:
    """A server that takes connections, ended afterwards."""
    with log.open("w", encoding="utf-8") as file:
        process = subprocess.Popen(command, stdout=file, stderr=subprocess.STDOUT)
        try:
            end = time.monotonic() + SECONDS_TO_START
            while not _open(port):
                assert process.poll() is None, log.read_text(encoding="utf-8")
                assert time.monotonic() < end, f"{command[0]} does not answer after {SECONDS_TO_START} s"
                time.sleep(0.2)
            yield
        finally:
            process.terminate()
            process.wait(30)


def _open(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0
