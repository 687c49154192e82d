"""What a hub is told by its `hub.toml`; paths are relative to `root`.

    root = "/var/lib/edgeloop"       # if not given: the folder above the one that holds this file

    [rest]
    host = "127.0.0.1"
    port = 8484

    [boards]
    port = 7484

    [train]
    kind = "command"
    command = ["/usr/bin/make", "train"]

Every field with its default is printed by `python -m deployers.hub settings`.
"""

from __future__ import annotations

import os
import tomllib
from pathlib import Path
from typing import Annotated, Any, Literal, Self
from urllib.parse import urlsplit

from pydantic import Field, ValidationError, model_validator

from deployers.exceptions import InputError
from deployers.hub.alerts.settings import AlertsSection
from deployers.hub.private import require_private
from deployers.hub.section import Port, is_loopback
from deployers.hub.section import Section as _Section

Seconds = Annotated[float, Field(gt=0, le=86_400, allow_inf_nan=False)]
Count = Annotated[int, Field(ge=1, le=1_000_000)]
SQLITE = "sqlite:///"
MEBIBYTE = 1 << 20
# What a field is named by whose value may be a secret, be it one that is not known here.
SECRET = ("password", "token", "secret", "key")


class Rest(_Section):
    """Where the hub answers REST, and what a client may ask of it."""

    host: str = Field("127.0.0.1", description="the address to listen on")
    port: Port = Field(8484, description="0 takes a free one")
    tls_certificate: Path | None = Field(None, description="PEM file with the certificate and its chain")
    tls_key: Path | None = Field(None, description="PEM file with its key, 0600")
    insecure: bool = Field(default=False, description="listen beyond loopback without TLS: tokens can be overheard")
    requests_per_second: Annotated[float, Field(ge=0, le=1e6, allow_inf_nan=False)] = Field(
        500.0, description="of one token, or of one address without a token; 0: no limit"
    )
    burst: Count = Field(1000, description="requests that may come at once")
    body_bytes_max: Annotated[int, Field(ge=1024, le=1 << 30)] = Field(8 * MEBIBYTE, description="of one request")
    body_seconds: Seconds = Field(15.0, description="time that a client has to send a request once it has begun")
    send_seconds: Seconds = Field(30.0, description="time that a client has to take the next part of an answer")
    concurrency_max: Count = Field(256, description="requests answered at the same time")
    connections_max: Count = Field(512, description="connections held open at the same time")

    @model_validator(mode="after")
    def _pair(self) -> Self:
        if (self.tls_certificate is None) != (self.tls_key is None):
            msg = "tls_certificate and tls_key go together, expected both or neither"
            raise ValueError(msg)
        return self

    @property
    def has_tls(self) -> bool:
        """Whether what is sent is encrypted."""
        return self.tls_certificate is not None

    def url(self, port: int) -> str:
        """Where the hub answers, as seen from this machine."""
        host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(self.host, self.host)  # noqa: S104 - read, not bound
        shown = f"[{host}]" if ":" in host else host
        return f"{'https' if self.has_tls else 'http'}://{shown}:{port}"


class BoardsSection(_Section):
    """Where boards connect."""

    host: str = Field("127.0.0.1", description="the address to listen on; boards prove that they hold a key")
    port: Port = Field(7484, description="0 takes a free one")
    keys: Path = Field(Path("config/boards"), description="folder with ID.key of each board: 32 bytes, 0600")
    test_seconds: Seconds = Field(
        900.0, description="how long a new version is waited for, in each stage of its test; two cadences at the least"
    )


class StoreSection(_Section):
    """Where readings and forecasts are kept."""

    url: str = Field("sqlite:///data/hub.db", description="SQLAlchemy URL of SQLite or PostgreSQL")
    retention_days: Annotated[float, Field(ge=0, le=36_500, allow_inf_nan=False)] = Field(
        0.0, description="readings and forecasts older than this are removed; 0: never"
    )


class ModelsSection(_Section):
    """The models on the hub."""

    folder: Path = Field(Path("data/models"), description="one folder a version")
    incoming: Path = Field(Path("incoming"), description="the only place from which a model is installed")
    image_keys: Path = Field(Path("config/image_keys"), description="folder with public keys of who signs images")
    runtime: Literal["auto", "litert", "tflite", "onnx"] = Field("auto", description="what computes forecasts here")
    keep: Annotated[int, Field(ge=2, le=1000)] = Field(
        4, description="versions kept beside the active one and its way back"
    )


class TrainSection(_Section):
    """How the hub asks the training side to run."""

    kind: Literal["none", "command", "webhook", "zenml"] = Field("none", description="what POST /train does")
    command: tuple[str, ...] = Field((), description="program and arguments; no shell")
    folder: Path = Field(Path(), description="where the command runs")
    url: str = Field("", description="what the webhook, or the trigger of the ZenML server, is called")
    token_env: str = Field("EDGELOOP_TRAIN_TOKEN", description="environment variable with the token for that call")
    seconds: Seconds = Field(3600.0, description="time that a training command may take")
    attempts: Annotated[int, Field(ge=1, le=10)] = Field(3, description="calls until one is answered")
    log_bytes: Annotated[int, Field(ge=1024, le=64 * MEBIBYTE)] = Field(MEBIBYTE, description="kept of its output")

    @model_validator(mode="after")
    def _complete(self) -> Self:
        if self.kind == "command" and not self.command:
            msg = 'kind "command" needs command, expected a list such as ["/usr/bin/make", "train"]'
            raise ValueError(msg)
        if self.kind in {"webhook", "zenml"} and urlsplit(self.url).scheme not in {"http", "https"}:
            msg = f"kind {self.kind!r} needs url, expected http:// or https://, not {urlsplit(self.url).scheme!r}"
            raise ValueError(msg)
        return self


class MonitorSection(_Section):
    """When the monitor warns and alarms."""

    enabled: bool = Field(default=True, description="watch errors and sensors of all series")
    warning_days: Annotated[float, Field(ge=2, le=36_500)] = Field(
        60.0, description="false warnings of decayed skill are so many days apart on average, for one device"
    )
    alarm_days: Annotated[float, Field(ge=2, le=36_500)] = Field(365.0, description="false alarms, likewise")
    reference_days: Annotated[int, Field(ge=7, le=60)] = Field(
        14, description="first days in the field that later ones are compared with, where the release has no days"
    )
    lowest_celsius: float = Field(-40.0, description="a sensor that measures less is at fault")
    highest_celsius: float = Field(85.0, description="a sensor that measures more is at fault")

    @model_validator(mode="after")
    def _rising(self) -> Self:
        if self.warning_days >= self.alarm_days:
            msg = f"warning_days {self.warning_days:g} is not below alarm_days {self.alarm_days:g}"
            raise ValueError(msg)
        return self


class RetrainingSection(_Section):
    """When the hub asks the training side by itself; `train` says how."""

    enabled: bool = Field(default=False, description="ask for retraining by itself, and when a person says so")
    on_alarm: bool = Field(default=True, description="when the monitor finds decayed skill, or drift held for 14 days")
    every_days: Annotated[float, Field(ge=0, le=365, allow_inf_nan=False)] = Field(
        0.0, description="so many days after the last retraining of a series; 0: never"
    )
    new_readings: Annotated[int, Field(ge=0, le=1_000_000_000)] = Field(
        0, description="after so many readings of a series since its last retraining; 0: never"
    )
    cooldown_hours: Annotated[float, Field(ge=0, le=8760, allow_inf_nan=False)] = Field(
        24.0, description="from the end of a retraining to the next of the same series"
    )
    per_week: Annotated[int, Field(ge=0, le=100)] = Field(
        3, description="retrainings of this hub in any seven days; a person may ask for more"
    )
    least_days: Annotated[int, Field(ge=0, le=365)] = Field(
        28, description="days of which a series must have readings; less leaves no test part worth the name"
    )


class ShadowSection(_Section):
    """Challengers that forecast in the shadow of the active version, and when one is better."""

    at_most: Annotated[int, Field(ge=0, le=4)] = Field(1, description="challengers at the same time")
    cost_most: Annotated[float, Field(gt=0, le=1e9, allow_inf_nan=False)] = Field(
        5000.0, description="CPU time of one challenger in µs a reading, moving mean; one that costs more is ended"
    )
    margin: Annotated[float, Field(ge=0, lt=1)] = Field(
        0.0, description="by how much a day's skill must be higher for the challenger to be better on that day"
    )
    alpha: Annotated[float, Field(gt=0, lt=0.5)] = Field(
        0.05, description="probability of calling a challenger better that is not, however often one looks"
    )
    least_days: Annotated[int, Field(ge=1, le=365)] = Field(5, description="complete days before any verdict")
    most_days: Annotated[int, Field(ge=1, le=365)] = Field(28, description="complete days, then it stays undecided")
    promote: Literal["person", "automatic"] = Field(
        "person", description="who brings a better challenger to hub and boards: a person, or the hub by itself"
    )
    boards: bool = Field(default=False, description="have boards carry the challenger too, in their second slots")

    @model_validator(mode="after")
    def _rising(self) -> Self:
        if self.least_days > self.most_days:
            msg = f"least_days {self.least_days} is above most_days {self.most_days}"
            raise ValueError(msg)
        return self


class AuthSection(_Section):
    """Who may do what."""

    tokens: Path = Field(Path("config/tokens.toml"), description="names, roles and SHA-256 of tokens, 0600")
    ctl_token: Path = Field(Path("config/ctl.token"), description="the token of `ctl` on this machine, 0600")


class Settings(_Section):
    """Everything a hub is told."""

    root: Path = Field(Path(".."), description="what other paths are relative to; itself to this file's folder")
    rest: Rest = Rest()
    boards: BoardsSection = BoardsSection()
    store: StoreSection = StoreSection()
    models: ModelsSection = ModelsSection()
    train: TrainSection = TrainSection()
    monitor: MonitorSection = MonitorSection()
    alerts: AlertsSection = AlertsSection()
    retraining: RetrainingSection = RetrainingSection()
    shadow: ShadowSection = ShadowSection()
    auth: AuthSection = AuthSection()

    @model_validator(mode="after")
    def _watched(self) -> Self:
        if self.alerts.channels and not self.monitor.enabled:
            msg = "alerts tell what the monitor finds, and monitor.enabled is false: enable it, or remove the channels"
            raise ValueError(msg)
        return self

    @classmethod
    def load(cls, path: Path) -> Settings:
        """Read a file and check it as a whole.

        Raises:
            InputError: it is not there, is no TOML, has unknown fields or wrong values, is readable by others though
                it holds a password or a webhook's address, or would send tokens in the clear.
        """
        settings = cls.parse(_text(path), path.resolve())
        settings.require_safe()
        settings.require_trainable()
        if urlsplit(settings.store.url).password or settings.alerts.webhook is not None:
            require_private(path)
        return settings

    @classmethod
    def parse(cls, text: str, path: Path) -> Settings:
        """The settings in the text of a file.

        Raises:
            InputError: as for `load`.
        """
        try:
            fields: dict[str, Any] = tomllib.loads(text)
            found = cls.model_validate(fields)
        except tomllib.TOMLDecodeError as error:
            msg = f"{str(path)!r} is no TOML: {error}: mend it there"
            raise InputError(msg) from None
        except ValidationError as error:
            first = error.errors(include_url=False)[0]
            where = ".".join(str(part) for part in first["loc"])
            msg = f"{str(path)!r}: {where!r} is {_shown(first)}, {first['msg']}: mend it there"
            raise InputError(msg) from None
        return found.model_copy(update={"root": Path(os.path.normpath(path.parent / found.root))})

    def path(self, relative: Path) -> Path:
        """A path of these settings, from the root of the file system."""
        return self.root / relative

    @property
    def url(self) -> str:
        """Where the hub answers: what it wrote when it started, if it chose the port itself."""
        written = self.root / "run" / "hub.url"
        if self.rest.port == 0 and written.exists():
            return written.read_text(encoding="utf-8").strip()
        return self.rest.url(self.rest.port)

    @property
    def store_url(self) -> str:
        """The URL of the store, with an absolute path."""
        url = self.store.url
        if not url.startswith(SQLITE) or url in {SQLITE, f"{SQLITE}:memory:"}:
            return url
        return SQLITE + str(self.root / url.removeprefix(SQLITE))

    def require_trainable(self) -> None:
        """Refuse retraining that nothing would do, or that nothing could ask for.

        Raises:
            InputError: it is enabled without a training side, or on alarms of a monitor that is switched off.
        """
        wanted = self.retraining
        if wanted.enabled and self.train.kind == "none":
            msg = (
                "retraining.enabled is true and train.kind is 'none', expected a training side: "
                "give [train] kind command, webhook or zenml, or retraining.enabled = false"
            )
            raise InputError(msg)
        if wanted.enabled and wanted.on_alarm and not self.monitor.enabled:
            msg = (
                "retraining.on_alarm is true and monitor.enabled is false, expected a monitor that alarms: "
                "give monitor.enabled = true, or retraining.on_alarm = false"
            )
            raise InputError(msg)

    def require_safe(self) -> None:
        """Refuse to listen where tokens and readings could be overheard.

        Raises:
            InputError: REST listens beyond loopback without TLS, and `insecure` does not say that this is meant.
        """
        rest = self.rest
        if rest.has_tls or rest.insecure or is_loopback(rest.host):
            return
        msg = (
            f"rest.host {rest.host!r} is beyond loopback and there is no TLS, tokens could be overheard: "
            "give rest.tls_certificate and rest.tls_key, or insecure = true"
        )
        raise InputError(msg)


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        why = error.strerror if isinstance(error, OSError) else "it is not UTF-8"
        msg = f"configuration {str(path)!r} cannot be read ({why}), expected a hub.toml: give its path by --config"
        raise InputError(msg) from None


def _shown(error: Any) -> str:
    """The wrong value, unless it could be a secret or is very long."""
    value = error.get("input")
    named = str(error["loc"][-1]) if error["loc"] else ""
    if "url" in error["loc"] or isinstance(value, dict) or any(word in named for word in SECRET):
        return "wrong"
    text = repr(value)
    return text if len(text) <= 80 else text[:77] + "..."
