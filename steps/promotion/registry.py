"""Writes to MLflow: the run with its evaluations, the registered version, its aliases.

Everything is written by one function after training, so a server that is down costs no training: run the
same command again, and only this is repeated. A version is known by the digest of its release: registering
the same release again finds it.
"""

from __future__ import annotations

import re
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit
from urllib.request import url2pathname

import mlflow
from mlflow.entities import Metric, Param, RunTag
from mlflow.exceptions import MlflowException
from requests.exceptions import RequestException
from sqlalchemy.exc import OperationalError

from forecaster.errors import InputError, ServiceUnavailable

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from mlflow.entities.model_registry import ModelVersion

CHALLENGER, CHAMPION = "challenger", "champion"
# User and password inside an address, wherever in a text it stands.
CREDENTIALS = re.compile(r"(://[^:/@\s]*:)[^@\s]*@")
# How MLflow words a request that got no answer, or an answer of a server in trouble; a 4xx is a refusal.
_UNREACHED = re.compile(r"API request to .* failed with (exception|error code 5)", re.DOTALL)
DIGEST_TAG = "edgeloop.digest"
# MLflow shows the experiment with its pages for trained models, not with those for prompts and traces.
TRAINING_PAGES = {"mlflow.experimentKind": "custom_model_development"}
ROOT = Path(__file__).resolve().parents[2]
# What `forecaster.serving` needs on a server; the versions are those in use.
SERVING_PACKAGES = ("numpy", "pandas", "pydantic", "onnxruntime", "SQLAlchemy")


@dataclass(frozen=True)
class Registration:
    """A registered version.

    Attributes:
        model: registered model's name.
        version: its number.
        run_id: MLflow run that made it.
        model_uri: where `mlflow models serve` finds it.
        release: URI of its release folder.
        created: False where the same release was registered before.
    """

    model: str
    version: str
    run_id: str
    model_uri: str
    release: str
    created: bool

    def as_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return asdict(self)


@dataclass(frozen=True)
class TrackedRun:
    """What is written about one training run.

    Attributes:
        name: of the MLflow run.
        params, metrics, tags: of the run; the tags also of the version.
        evaluations: the search's records, each a nested run.
        pages: HTML reports by file name.
        note: Markdown above the run and its version on MLflow's pages.
    """

    name: str
    params: dict[str, Any]
    metrics: dict[str, float]
    tags: dict[str, str]
    evaluations: list[dict[str, Any]]
    pages: dict[str, str]
    note: str = ""


class Registry:
    """One MLflow server or database.

    Args:
        uri: tracking URI.
        artifacts: where a new experiment keeps its artifacts; None leaves it to the server.
    """

    def __init__(self, uri: str, artifacts: Path | None = None) -> None:
        self.uri, self.artifacts = uri, artifacts
        mlflow.set_tracking_uri(uri)
        self.client = mlflow.MlflowClient(uri)

    @contextmanager
    def answering(self) -> Iterator[None]:
        """Turn a server that does not answer into our own error.

        Raises:
            ServiceUnavailable: MLflow cannot be reached.
        """
        try:
            yield
        except (RequestException, ConnectionError, OperationalError) as error:
            raise self._unavailable(error) from error
        except MlflowException as error:
            if not _is_outage(error):
                raise
            raise self._unavailable(error) from error

    def _unavailable(self, error: Exception) -> ServiceUnavailable:
        reason = CREDENTIALS.sub(r"\1***@", " ".join(str(error).split()))[:200]
        address = CREDENTIALS.sub(r"\1***@", self.uri)
        return ServiceUnavailable(
            f"MLflow at {address!r} does not answer ({reason}): start it and run the same command again; "
            "what was trained is kept"
        )

    def register(self, model: str, release: Path, digest: str, run: TrackedRun) -> Registration:
        """Write the run and register the release as a new version; it is the challenger unless it is the champion.

        Args:
            model: registered model's name.
            release: release folder.
            digest: identity of the release.
            run: what is written about the training.

        Returns:
            The registration; the earlier one where the same release is registered already.

        Raises:
            ServiceUnavailable: MLflow cannot be reached.
        """
        with self.answering():
            known = self.find(model, digest)
            version = known or self._create(model, release, digest, run)
            champion = self.alias(model, CHAMPION)
            if champion is None or champion.version != str(version.version):
                self.client.set_registered_model_alias(model, CHALLENGER, version.version)
            return self._registration(version, created=known is None)

    def find(self, model: str, digest: str) -> ModelVersion | None:
        """The version made of the release with this digest."""
        found = self.client.search_model_versions(f"name = '{model}' and tags.`{DIGEST_TAG}` = '{digest}'")
        return found[0] if found else None

    def alias(self, model: str, alias: str) -> Registration | None:
        """The version an alias points to, None where there is no such model or alias."""
        with self.answering():
            try:
                return self._registration(self.client.get_model_version_by_alias(model, alias), created=False)
            except MlflowException as error:
                if error.error_code in ("RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE"):
                    return None
                raise

    def version(self, model: str, version: str) -> Registration:
        """One version.

        Raises:
            InputError: there is none.
        """
        with self.answering():
            try:
                return self._registration(self.client.get_model_version(model, version), created=False)
            except MlflowException as error:
                if error.error_code not in ("RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE"):
                    raise
                msg = f"version {version!r} of model {model!r} is not registered, see python run.py show"
                raise InputError(msg) from None

    def versions(self, model: str) -> list[dict[str, Any]]:
        """Every version of a model with its aliases and tags, newest first."""
        with self.answering():
            aliases = self._aliases(model)
            found = self.client.search_model_versions(f"name = '{model}'")
            numbers = {str(v.version): dict(v.tags) for v in found}  # the client gives numbers, or text, by its store
            rows = [{"version": n, "aliases": aliases.get(n, []), "tags": tags} for n, tags in numbers.items()]
            return sorted(rows, key=lambda row: -int(row["version"]))

    def promote(self, model: str, version: str) -> None:
        """Let `champion` point to a version, and take `challenger` from it."""
        with self.answering():
            self.client.set_registered_model_alias(model, CHAMPION, version)
            challenger = self._aliases(model).get(version, [])
            if CHALLENGER in challenger:
                self.client.delete_registered_model_alias(model, CHALLENGER)

    def fetch_release(self, registration: Registration, folder: Path) -> Path:
        """A local copy of a version's release folder."""
        with self.answering():
            return Path(mlflow.artifacts.download_artifacts(registration.release, dst_path=str(folder)))

    def tag(self, registration: Registration, tags: Mapping[str, str]) -> None:
        """Set tags of a version."""
        with self.answering():
            for key, value in tags.items():
                self.client.set_model_version_tag(registration.model, registration.version, key, value)

    def _aliases(self, model: str) -> dict[str, list[str]]:
        by_version: dict[str, list[str]] = {}
        for alias, version in self.client.get_registered_model(model).aliases.items():
            by_version.setdefault(str(version), []).append(alias)
        return by_version

    def _create(self, model: str, release: Path, digest: str, run: TrackedRun) -> ModelVersion:
        experiment = self._experiment(model)
        tags = {**run.tags, DIGEST_TAG: digest}
        with mlflow.start_run(experiment_id=experiment, run_name=run.name, tags=tags, description=run.note) as active:
            mlflow.log_params(run.params)
            mlflow.log_metrics(run.metrics)
            for name, page in run.pages.items():
                mlflow.log_text(page, f"reports/{name}")
            self._log_evaluations(experiment, active.info.run_id, run.evaluations)
            logged = _log_model(release)
            registered = mlflow.register_model(logged.model_uri, model, tags=tags)
            self.client.update_model_version(model, registered.version, description=run.note)
        return self.client.get_model_version(model, registered.version)

    def _experiment(self, name: str) -> str:
        known = self.client.get_experiment_by_name(name)
        if known is not None:
            return str(known.experiment_id)
        location = (self.artifacts / name).as_uri() if self.artifacts is not None else None
        return str(self.client.create_experiment(name, artifact_location=location, tags=TRAINING_PAGES))

    def _log_evaluations(self, experiment: str, parent: str, evaluations: list[dict[str, Any]]) -> None:
        for record in evaluations:
            end = int(record["finished"] * 1000)
            begin = end - int(record["cpu_seconds"] * 1000)
            tags = {"mlflow.parentRunId": parent, "mlflow.runName": f"evaluation {record['index']}"}
            nested = self.client.create_run(experiment, start_time=begin, tags=tags)
            errors, sizes = ("validation_rmse", "fitness"), ("parameters", "macs")
            figures = (*errors, *sizes, "updates", "best_update", "generation", "cpu_seconds")
            self.client.log_batch(
                nested.info.run_id,
                metrics=[Metric(name, float(record[name]), end, 0) for name in figures],
                params=[Param(name, str(value)) for name, value in record["candidate"].items()],
                tags=[RunTag("parents", str(list(record["parents"])))],
            )
            self.client.set_terminated(nested.info.run_id, end_time=end)

    def _registration(self, version: ModelVersion, *, created: bool) -> Registration:
        source = f"models:/{version.name}/{version.version}"
        release = f"{self.client.get_model_version_download_uri(version.name, version.version)}/data/release"
        return Registration(version.name, str(version.version), version.run_id or "", source, release, created)


def _log_model(release: Path) -> Any:
    """Log the release as an MLflow model whose loader is `forecaster.serving`, with our code beside it."""
    from importlib.metadata import version  # noqa: PLC0415 - only here

    from mlflow.models import ModelSignature  # noqa: PLC0415
    from mlflow.types import ColSpec, ParamSchema, ParamSpec, Schema  # noqa: PLC0415

    signature = ModelSignature(
        inputs=Schema([ColSpec("string", "time_point"), ColSpec("double", "value")]),
        outputs=Schema(
            [
                ColSpec(kind, name)
                for kind, name in (("string", "made_at"), ("string", "time"), ("long", "step"), ("double", "forecast"))
            ]
        ),
        params=ParamSchema([ParamSpec("every_reading", "boolean", default=False)]),
    )
    return mlflow.pyfunc.log_model(
        name="forecaster",
        loader_module="forecaster.serving",
        data_path=str(release),  # its name, `release`, is part of the version's path
        code_paths=[str(ROOT / "forecaster"), str(ROOT / "deployers")],
        signature=signature,
        input_example=_example(release),
        pip_requirements=[f"{name}=={version(name)}" for name in SERVING_PACKAGES],
    )


def _example(release: Path) -> Any:
    import json  # noqa: PLC0415 - only here

    import pandas as pd  # noqa: PLC0415

    vector = json.loads((release / "golden.json").read_text(encoding="utf-8"))["vectors"][0]
    return pd.DataFrame(vector["readings"], columns=["time_point", "value"])


def _is_outage(error: MlflowException) -> bool:
    """Whether the server could not be reached or its database is gone, rather than refusing the request."""
    causes = [error, error.__cause__, error.__context__]
    if any(isinstance(cause, RequestException | ConnectionError | OperationalError) for cause in causes):
        return True
    return error.error_code == "TEMPORARILY_UNAVAILABLE" or _UNREACHED.search(str(error)) is not None


def local_copy(registration: Registration) -> str:
    """The release folder's path where it lies on this machine, else its URI."""
    uri = registration.release
    return url2pathname(urlsplit(uri).path) if uri.startswith("file:") else uri
