"""The project's home folder on one machine: everything that is kept lies under it.

zenml/     ZenML's configuration, database and local artifacts
mlflow/    MLflow's database and artifacts
cache/     compiled kernels, searches that can be resumed
lock       held by the command that writes
"""

from __future__ import annotations

import fcntl
import os
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TYPE_CHECKING
from urllib.parse import unquote, urlsplit, urlunsplit

from forecaster.errors import Busy, ServiceUnavailable

if TYPE_CHECKING:
    from collections.abc import Iterator

CHECKOUT = Path(__file__).resolve().parents[1]


@dataclass(frozen=True)
class Home:
    """Paths under one home folder."""

    root: Path

    @classmethod
    def from_environment(cls) -> Home:
        """`EDGELOOP_HOME`, or `.edgeloop` in the checkout."""
        return cls(Path(os.environ.get("EDGELOOP_HOME") or CHECKOUT / ".edgeloop").expanduser().resolve())

    @property
    def mlflow_uri(self) -> str:
        """MLflow's tracking database."""
        return f"sqlite:///{self.root / 'mlflow' / 'mlflow.db'}"

    @property
    def mlflow_artifacts(self) -> Path:
        """MLflow's artifacts."""
        return self.root / "mlflow" / "artifacts"

    def prepare(self, *, debug: bool = False) -> None:
        """Create the folders and point every library at them; must run before those libraries are imported.

        What the user has set in the environment stays. ZenML logs nothing but what is fatal unless `debug`:
        an error of a step comes out of the command as one line.

        Raises:
            ServiceUnavailable: the folder cannot be created or written.
        """
        try:
            for folder in (self.root / "zenml", self.mlflow_artifacts, self.root / "cache" / "numba"):
                folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            reason = f"home folder {str(self.root)!r} cannot be created ({error.strerror})"
            msg = f"{reason}: set EDGELOOP_HOME to a writable folder"
            raise ServiceUnavailable(msg) from error
        os.environ["EDGELOOP_HOME"] = str(self.root)  # resolved: steps read it, wherever they are started from
        for name, value in self._environment(debug=debug).items():
            os.environ.setdefault(name, value)
        _part_from_credentials("MLFLOW_TRACKING_URI")

    def _environment(self, *, debug: bool) -> dict[str, str]:
        return {
            "ZENML_CONFIG_PATH": str(self.root / "zenml"),
            "ZENML_ANALYTICS_OPT_IN": "false",
            "ZENML_ENABLE_RICH_TRACEBACK": "false",
            "ZENML_LOGGING_COLORS_DISABLED": "true",  # it colours a file as it does a terminal
            "ZENML_LOGGING_VERBOSITY": "INFO" if debug else "CRITICAL",
            "ZENML_SUPPRESS_UPDATE_NOTIFICATIONS": "true",
            "AUTO_OPEN_DASHBOARD": "false",
            "NUMBA_CACHE_DIR": str(self.root / "cache" / "numba"),
            "MPLCONFIGDIR": str(self.root / "cache" / "matplotlib"),
            "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "2",
            "MLFLOW_HTTP_REQUEST_TIMEOUT": "20",
            "MLFLOW_DISABLE_TELEMETRY": "true",
            "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
            "MLFLOW_LOGGING_LEVEL": "INFO" if debug else "WARNING",
            "TF_CPP_MIN_LOG_LEVEL": "2",
            "TF_ENABLE_ONEDNN_OPTS": "0",
            "CUDA_VISIBLE_DEVICES": "-1",
            "OPENBLAS_NUM_THREADS": "1",
        }

    def _lock(self) -> IO[str]:
        try:
            return (self.root / "lock").open("a+", encoding="utf-8")
        except OSError as error:
            reason = f"home folder {str(self.root)!r} cannot be written ({error.strerror})"
            msg = f"{reason}: set EDGELOOP_HOME to a writable folder"
            raise ServiceUnavailable(msg) from error

    @contextmanager
    def held(self) -> Iterator[None]:
        """Hold the home for one writing command; the lock ends with the process, however it ends.

        Raises:
            Busy: another process holds it.
        """
        with self._lock() as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                file.seek(0)
                holder = file.read().strip() or "unknown"
                place = str(self.root)
                msg = f"another run (process {holder!r}) works in {place!r}: wait for it or set another EDGELOOP_HOME"
                raise Busy(msg) from None
            file.truncate(0)
            file.write(str(os.getpid()))
            file.flush()
            yield


def _part_from_credentials(variable: str) -> None:
    """Move user and password out of a server's URI, which is stored and shown, to the variables MLflow reads."""
    parts = urlsplit(os.environ.get(variable, ""))
    if parts.scheme not in ("http", "https") or "@" not in parts.netloc:
        return
    given, _, host = parts.netloc.rpartition("@")
    user, _, password = given.partition(":")
    os.environ[variable] = urlunsplit(parts._replace(netloc=host))
    os.environ.setdefault("MLFLOW_TRACKING_USERNAME", unquote(user))
    os.environ.setdefault("MLFLOW_TRACKING_PASSWORD", unquote(password))
