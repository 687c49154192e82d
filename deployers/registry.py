"""Releases in MLflow: which version a number or an alias means, and a verified copy of its folder.

The registry is the one the pipelines write: `--tracking-uri`, else MLFLOW_TRACKING_URI, else the database in the home
folder (EDGELOOP_HOME, or .edgeloop in the checkout).
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from textwrap import shorten
from typing import TYPE_CHECKING, Any

from deployers.exceptions import InputError, MissingTool, ReleaseError, ServiceUnavailable
from deployers.protocol.manifest import ManifestError, verify_manifest

if TYPE_CHECKING:
    from collections.abc import Iterator

CHECKOUT = Path(__file__).resolve().parents[1]
MODEL = "temperature-forecaster"
RELEASE = "data/release"  # inside the artifacts of a version
CREDENTIALS = re.compile(r"(://[^:/@\s]*:)[^@\s]*@")
# How MLflow words a request that got no answer, or an answer of a server in trouble; a 4xx is a refusal.
UNREACHED = re.compile(r"API request to .* failed with (exception|error code 5)", re.DOTALL)
DIGITS = 9
SQLITE = b"SQLite format 3\0"  # https://www.sqlite.org/fileformat.html, 1.3.1
REASON_CHARACTERS = 200
UNKNOWN = ("RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE")
# Minutes of retries help nobody who waits at a command line.
SETTINGS = {
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "2",
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "20",
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
    "MLFLOW_LOGGING_LEVEL": "WARNING",
}


@dataclass(frozen=True)
class FetchedRelease:
    """A release folder on this machine.

    Attributes:
        path: the folder.
        model: registered model's name, empty for a folder that was given.
        version: its number there, empty likewise.
        manifest: as verified.
    """

    path: Path
    model: str
    version: str
    manifest: dict[str, Any]

    @property
    def name(self) -> str:
        """What messages and reports call it."""
        return f"{self.model} {self.version}" if self.model else str(self.path)

    @property
    def facts(self) -> dict[str, str]:
        """What a conversion and an image say about where they come from."""
        digest = hashlib.sha256((self.path / "manifest.json").read_bytes()).hexdigest()
        return {"release_sha256": digest, "model": self.model, "version": self.version}


def tracking_uri(given: str | None = None) -> str:
    """The registry that is asked.

    Raises:
        InputError: it is a SQLite file that does not exist, which MLflow would silently create, or is no database.
    """
    home = Path(os.environ.get("EDGELOOP_HOME") or CHECKOUT / ".edgeloop").expanduser().resolve()
    uri = given or os.environ.get("MLFLOW_TRACKING_URI") or f"sqlite:///{home / 'mlflow' / 'mlflow.db'}"
    file = Path(uri.removeprefix("sqlite:///").partition("?")[0]) if uri.startswith("sqlite:///") else None
    if file is not None and not file.exists():
        msg = (
            f"there is no registry at {uri!r}, expected what python run.py train makes: "
            "train first, or give --tracking-uri or EDGELOOP_HOME"
        )
        raise InputError(msg)
    if file is not None and not _is_database(file):
        msg = f"{uri!r} is no SQLite database, expected the one of MLflow: give another --tracking-uri"
        raise InputError(msg)
    return uri


def _is_database(file: Path) -> bool:
    """By its first bytes; an empty file becomes one when it is first used."""
    try:
        with file.open("rb") as opened:
            return opened.read(len(SQLITE)) in {SQLITE, b""}
    except OSError:
        return False


def open_release(folder: Path) -> FetchedRelease:
    """A release folder that is on this machine already.

    Raises:
        ReleaseError: it is none, or not what its manifest says.
    """
    if not folder.is_dir():
        msg = f"release {str(folder)!r} is no folder, expected one with a manifest.json: give another --release"
        raise ReleaseError(msg)
    return FetchedRelease(folder, "", "", _verified(folder))


def copy_release(folder: Path, target: Path) -> FetchedRelease:
    """A copy of a release folder that is on this machine already, verified where it will be used.

    Args:
        folder: the release.
        target: existing folder that takes the copy.

    Raises:
        ReleaseError: it is none, or not what its manifest says.
    """
    open_release(folder)
    copied = Path(shutil.copytree(folder, target / "release"))
    return FetchedRelease(copied, "", "", _verified(copied))


def fetch_release(reference: str, folder: Path, model: str = MODEL, uri: str | None = None) -> FetchedRelease:
    """Download a version's release folder and verify it.

    Args:
        reference: version number, or an alias such as champion.
        folder: existing folder that takes the copy.
        model: registered model's name.
        uri: tracking URI; see `tracking_uri` for the default.

    Raises:
        InputError: there is no such registry, model, version or alias.
        ReleaseError: the version has no release folder, or it is not what its manifest says.
        ServiceUnavailable: the registry does not answer.
        MissingTool: MLflow is not installed.
    """
    with asking(uri) as (client, address):
        import mlflow  # noqa: PLC0415 - seconds to import

        version = _version(client, model, reference, address)
        source = f"{client.get_model_version_download_uri(model, version)}/{RELEASE}"
        path = _downloaded(mlflow, source, folder, address)
    return FetchedRelease(path, model, version, _verified(path))


def resolve(reference: str, model: str = MODEL, uri: str | None = None) -> str:
    """The number of the version that a number or an alias means.

    Raises:
        InputError: there is no such registry, model, version or alias.
        ServiceUnavailable: the registry does not answer.
        MissingTool: MLflow is not installed.
    """
    with asking(uri) as (client, address):
        return _version(client, model, reference, address)


@contextmanager
def asking(uri: str | None = None) -> Iterator[tuple[Any, str]]:
    """An MlflowClient and the address that it asks.

    Args:
        uri: tracking URI; see `tracking_uri` for the default.

    Raises:
        InputError: there is no such registry, or it refuses what is asked inside.
        ServiceUnavailable: it does not answer.
        MissingTool: MLflow is not installed.
    """
    address = tracking_uri(uri)
    for name, value in SETTINGS.items():
        os.environ.setdefault(name, value)
    try:
        import mlflow  # noqa: PLC0415 - seconds to import
    except ImportError as error:
        msg = "mlflow is not installed, the registry cannot be asked: make setup, or give --release FOLDER"
        raise MissingTool(msg) from error
    with _answering(address):
        yield mlflow.MlflowClient(tracking_uri=address, registry_uri=address), address


def is_gone(error: Exception) -> bool:
    """Whether MLflow says that a model, or a version of it, is not there."""
    return getattr(error, "error_code", None) in UNKNOWN


def _version(client: Any, model: str, reference: str, address: str) -> str:
    from mlflow.exceptions import MlflowException  # noqa: PLC0415 - only where MLflow is

    try:
        # A database has no integers of more digits, and fails on them instead of finding nothing.
        if reference.isdecimal() and len(reference) <= DIGITS:
            return str(client.get_model_version(model, reference).version)
        if not reference.isdecimal():
            return str(client.get_model_version_by_alias(model, reference).version)
    except MlflowException as error:
        if error.error_code not in UNKNOWN:
            raise
    raise InputError(_unknown(client, model, reference, _shown(address)))


def _unknown(client: Any, model: str, reference: str, address: str) -> str:
    """Why a reference means nothing, and what there is instead."""
    names = sorted(found.name for found in client.search_registered_models())
    if model not in names:
        listed = ", ".join(map(repr, names)) or "none"
        return f"model {model!r} is not registered at {address!r}, which has {listed}: give another --model or train"
    found = sorted(int(v.version) for v in client.search_model_versions(f"name = '{model}'"))
    aliases = sorted(client.get_registered_model(model).aliases)
    kind = "version" if reference.isdecimal() else "alias"
    listed = f"versions {', '.join(map(str, found)) or 'none'} and aliases {', '.join(aliases) or 'none'}"
    return (
        f"{kind} {reference!r} of model {model!r} is not registered, expected one of {listed}: give another --version"
    )


def _downloaded(mlflow: Any, source: str, folder: Path, address: str) -> Path:
    from mlflow.exceptions import MlflowException  # noqa: PLC0415 - only where MLflow is
    from requests.exceptions import RequestException  # noqa: PLC0415

    try:
        return Path(mlflow.artifacts.download_artifacts(source, dst_path=str(folder), tracking_uri=address))
    except (OSError, MlflowException) as error:
        gone = isinstance(error, OSError) or error.error_code == "RESOURCE_DOES_NOT_EXIST"
        if isinstance(error, ConnectionError | RequestException) or not gone:
            raise
        reason = f" ({error.strerror})" if isinstance(error, OSError) and error.strerror else ""
        msg = (
            f"the release's files are not at {_shown(source)!r}{reason}, expected what training stored there: "
            "put the artifacts back, or give another --version"
        )
        raise ReleaseError(msg) from error


def _verified(folder: Path) -> dict[str, Any]:
    try:
        return verify_manifest(folder)
    except ManifestError as error:
        raise ReleaseError(str(error)) from None


@contextmanager
def _answering(address: str) -> Iterator[None]:
    """Turn a registry that does not answer, or refuses, into our own error; no password in it."""
    from mlflow.exceptions import MlflowException  # noqa: PLC0415
    from requests.exceptions import RequestException  # noqa: PLC0415
    from sqlalchemy.exc import SQLAlchemyError  # noqa: PLC0415

    try:
        yield
    except ModuleNotFoundError as error:
        msg = (
            f"MLflow at {_shown(address)!r} needs the Python module {error.name!r}, which is not installed: install it"
        )
        raise MissingTool(msg) from error
    except (RequestException, ConnectionError, SQLAlchemyError) as error:
        raise ServiceUnavailable(_outage(address, error, "start it and run the same command again")) from error
    except MlflowException as error:
        causes = (error, error.__cause__, error.__context__)
        away = any(isinstance(cause, RequestException | ConnectionError | SQLAlchemyError) for cause in causes)
        if away or error.error_code == "TEMPORARILY_UNAVAILABLE" or UNREACHED.search(str(error)):
            raise ServiceUnavailable(_outage(address, error, "start it and run the same command again")) from error
        raise InputError(_outage(address, error, "check --tracking-uri, --model and your credentials")) from error


def _outage(address: str, error: Exception, advice: str) -> str:
    reason = shorten(CREDENTIALS.sub(r"\1***@", str(error)), REASON_CHARACTERS, placeholder=" …")  # whole words
    return f"MLflow at {_shown(address)!r} does not give the release ({reason}): {advice}"


def _shown(address: str) -> str:
    return CREDENTIALS.sub(r"\1***@", address)
