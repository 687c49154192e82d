"""The configuration of both pipelines: YAML files, single overrides, one schema."""

from __future__ import annotations

import difflib
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from forecaster.cleaning import CleaningConfig
from forecaster.conversion import ConversionConfig
from forecaster.dataset import SequenceConfig
from forecaster.errors import ConfigError
from forecaster.evaluation import GateConfig
from forecaster.features import FeatureConfig
from forecaster.promotion import PromotionConfig
from forecaster.search_config import SearchConfig
from forecaster.splitting import SplitConfig
from forecaster.validation import ValidationConfig

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

CONFIGS = Path(__file__).resolve().parent / "configs"
DEFAULTS = (CONFIGS / "data.yaml", CONFIGS / "training.yaml")
# What PyYAML raises: its own errors, ValueError for a date or a number that is none, and no limit on the levels.
UNREADABLE = (yaml.YAMLError, ValueError, RecursionError)
NAME = r"^[A-Za-z0-9][A-Za-z0-9_.-]*$"


class _Section(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class DataConfig(_Section):
    """The data pipeline."""

    source: str = Field("simulated://lab?days=120&seed=1", description="path, SQLAlchemy URL, hub:// or simulated://")
    user: str | None = Field(None, description="only this user's readings")
    tag: str | None = Field(None, description="only readings with this tag")
    dataset: str = Field("temperature", pattern=NAME, description="name of the dataset artifact")
    cleaning: CleaningConfig = Field(CleaningConfig(), description="how readings become a grid")
    validation: ValidationConfig = Field(ValidationConfig(), description="thresholds of the data gate")
    split: SplitConfig = Field(SplitConfig(), description="shares of the parts")
    features: FeatureConfig = Field(FeatureConfig(), description="candidate features")
    sequences: SequenceConfig = Field(SequenceConfig(), description="stored sequences and horizon")


class TrainingConfig(_Section):
    """The training pipeline."""

    dataset: str = Field("temperature", pattern=NAME, description="name of the dataset artifact")
    dataset_version: str | None = Field(None, description="its version, the newest if not given")
    model: str = Field("temperature-forecaster", pattern=NAME, description="name of the registered model")
    seed: int = Field(1, ge=0, description="seed of the search and of every training")
    candidate: int | None = Field(
        None, ge=0, description="train this candidate of the search, one of its report's front say, not the winner"
    )
    refit: bool = Field(default=True, description="train the winner on training and validation part together")
    seeds: int = Field(3, ge=1, description="trainings of the winner, of which the one with the median error is kept")
    search: SearchConfig = Field(SearchConfig(), description="genetic search")
    gate: GateConfig = Field(GateConfig(), description="what a model must beat")
    conversion: ConversionConfig = Field(ConversionConfig(), description="dry run of the conversion, and its budget")
    promotion: PromotionConfig = Field(PromotionConfig(), description="when a challenger becomes champion")


class Config(_Section):
    """Both pipelines."""

    data: DataConfig = Field(DataConfig(), description="data pipeline")
    training: TrainingConfig = Field(TrainingConfig(), description="training pipeline")


def load_config(files: Sequence[Path], overrides: Iterable[str] = (), section: str | None = None) -> Config:
    """Read files in order, later ones over earlier ones, then single overrides.

    Args:
        files: YAML files with the sections `data` and `training`; none for the shipped defaults.
        overrides: `key=value` with dotted keys; the section may be left out where `section` gives it.
        section: section that keys belong to when they name none.

    Raises:
        ConfigError: a file that cannot be read, an unknown key (with its near match), a wrong value.
    """
    merged: dict[str, Any] = {}
    for file in files or DEFAULTS:
        _merge(merged, _read(file))
    for override in overrides:
        key, value = _parse(override)
        _merge(merged, _nested(_qualified(key, section), value))
    return _validated(merged)


def known_keys(model: type[BaseModel] = Config, prefix: str = "") -> Iterator[str]:
    """Every dotted key of the schema, sections included."""
    for name, field in model.model_fields.items():
        yield prefix + name
        if isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel):
            yield from known_keys(field.annotation, f"{prefix}{name}.")


def _read(file: Path) -> dict[str, Any]:
    try:
        content = yaml.safe_load(file.read_text(encoding="utf-8"))
    except OSError as error:
        msg = f"config file {str(file)!r} cannot be read ({error.strerror}): give an existing YAML file to --config"
        raise ConfigError(msg) from error
    except UNREADABLE as error:
        msg = f"config file {str(file)!r} is not YAML: {' '.join(str(error).split())}"
        raise ConfigError(msg) from error
    if not isinstance(content, dict | None):
        msg = f"config file {str(file)!r} holds {type(content).__name__!r}, expected the sections data and training"
        raise ConfigError(msg)
    return content or {}


def _parse(override: str) -> tuple[str, Any]:
    key, sign, text = override.partition("=")
    if not sign or not key.strip():
        msg = f"override {override!r} is not key=value, write for example training.search.population=4"
        raise ConfigError(msg)
    try:
        return key.strip(), yaml.safe_load(text)
    except UNREADABLE:
        return key.strip(), text


def _qualified(key: str, section: str | None) -> str:
    first = key.partition(".")[0]
    if first not in Config.model_fields and f"{section}.{first}" in known_keys():
        return f"{section}.{key}"
    return key


def _nested(key: str, value: Any) -> dict[str, Any]:
    for name in reversed(key.split(".")):
        value = {name: value}
    return value  # type: ignore[no-any-return]


def _merge(into: dict[str, Any], other: dict[str, Any]) -> None:
    for key, value in other.items():
        if isinstance(value, dict) and isinstance(into.get(key), dict):
            _merge(into[key], value)
        else:
            into[key] = value


def _validated(merged: dict[str, Any]) -> Config:
    try:
        return Config.model_validate(merged)
    except ValidationError as error:
        raise ConfigError("; ".join(_explain(item) for item in error.errors())) from None


def _explain(item: Any) -> str:
    key = ".".join(str(part) for part in item["loc"])
    if item["type"] != "extra_forbidden":
        return f"config key {key!r} is {item['input']!r}: {item['msg']}"
    known = list(known_keys())
    near = difflib.get_close_matches(key, known, n=1, cutoff=0.5)
    near = near or [k for k in known if k.rsplit(".", 1)[-1] == key.rsplit(".", 1)[-1]][:1]
    hint = f", did you mean {near[0]!r}?" if near else f", known are {', '.join(k for k in known if '.' not in k)}"
    return f"config key {key!r} is unknown{hint}"


def describe(section: str | None = None) -> list[str]:
    """One line a setting: dotted key, default, meaning."""
    return [line for line in _lines(Config, "") if section is None or line.startswith(f"{section}.")]


def _lines(model: type[BaseModel], prefix: str) -> Iterator[str]:
    for name, field in model.model_fields.items():
        if isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel):
            yield from _lines(field.annotation, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name} = {field.default!r}  # {field.description}"
