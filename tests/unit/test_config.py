"""Configuration: files, overrides, and errors that help."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from forecaster.errors import ConfigError
from pipelines.config import CONFIGS, Config, describe, known_keys, load_config


def test_the_shipped_files_follow_the_schema() -> None:
    for file in sorted(CONFIGS.glob("*.yaml")):
        assert load_config([file])


def test_the_shipped_defaults_repeat_the_schema() -> None:
    """The files show what a reader may change; they must not silently differ from the documented defaults."""
    assert load_config([]) == Config()


def test_later_files_win_and_keep_what_they_do_not_name(tmp_path: Path) -> None:
    (tmp_path / "one.yaml").write_text("data: {user: a, split: {train: 0.6}}")
    (tmp_path / "two.yaml").write_text("data: {split: {validation: 0.2}}")
    config = load_config([tmp_path / "one.yaml", tmp_path / "two.yaml"])
    assert (config.data.user, config.data.split.train, config.data.split.validation) == ("a", 0.6, 0.2)


def test_overrides_win_over_files_and_are_typed(tmp_path: Path) -> None:
    (tmp_path / "one.yaml").write_text("training: {seed: 5}")
    config = load_config([tmp_path / "one.yaml"], ["training.seed=7", "training.refit=false", "data.user=42a"])
    assert (config.training.seed, config.training.refit, config.data.user) == (7, False, "42a")


def test_the_section_may_be_left_out() -> None:
    assert load_config([], ["search.population=4"], "training").training.search.population == 4
    with pytest.raises(ConfigError, match=r"'search' is unknown"):
        load_config([], ["search.population=4"])


def test_workers_are_a_number_or_an_address_and_part_of_no_key() -> None:
    usual = load_config([]).training.search
    for given, workers in (("4", "4"), ("tcp://dask:8786", "tcp://dask:8786")):
        search = load_config([], [f"search.workers={given}"], "training").training.search
        assert search.workers == workers
        assert search.model_dump(mode="json") == usual.model_dump(mode="json")
        assert search.model_dump_json() == usual.model_dump_json()
    for wrong in ("0", "true", "dask:8786"):
        with pytest.raises(ConfigError, match="must be a number of processes"):
            load_config([], [f"search.workers={wrong}"], "training")


@pytest.mark.parametrize(
    ("override", "near"),
    [
        ("training.search.populaton=4", "training.search.population"),
        ("data.split.trian=0.5", "data.split.train"),
        ("training.population=4", "training.search.population"),
        ("data.sauce=x", "data.source"),
        ("training.conversion.max_mae_growth=0.01", "training.conversion.mae_growth"),
    ],
)
def test_an_unknown_key_names_the_near_match(override: str, near: str) -> None:
    with pytest.raises(ConfigError, match=f"is unknown, did you mean '{near}'"):
        load_config([], [override])


@pytest.mark.parametrize(
    ("override", "complaint"),
    [
        ("training.search.population=many", "training.search.population.*'many'.*integer"),
        ("training.search.population=1", "greater than or equal to 2"),
        ("data.split.train=1.5", "data.split"),
        ("training.model=a b", "pattern"),
        ("data.cleaning.conflicts=guess", "conflicts"),
        ("training.search.space.form=[lstm]", "form 'lstm' is unknown"),
        ("data.split=3", "data.split"),
        ("training.conversion.types=[int4]", "type 'int4' is unknown, choose from float32, int8, int16x8"),
        ("training.conversion.types=[]", "training.conversion.types"),
        ("training.conversion.mae_growth=2", "training.conversion.mae_growth.* is 2: .*less than or equal to 1"),
        ("training.seed=2024-99-99", "training.seed.*'2024-99-99'"),
    ],
)
def test_wrong_values_name_key_and_value(override: str, complaint: str) -> None:
    with pytest.raises(ConfigError, match=complaint):
        load_config([], [override])


@pytest.mark.parametrize("override", ["population", "=3", " = "])
def test_an_override_without_key_or_value(override: str) -> None:
    with pytest.raises(ConfigError, match="is not key=value, write for example"):
        load_config([], [override])


def test_files_that_are_none(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"cannot be read \(No such file"):
        load_config([tmp_path / "absent.yaml"])
    (tmp_path / "broken.yaml").write_text("data: [")
    with pytest.raises(ConfigError, match="is not YAML"):
        load_config([tmp_path / "broken.yaml"])
    (tmp_path / "list.yaml").write_text("- data")
    with pytest.raises(ConfigError, match="holds 'list'"):
        load_config([tmp_path / "list.yaml"])
    (tmp_path / "binary.yaml").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ConfigError, match="is not YAML"):
        load_config([tmp_path / "binary.yaml"])


@pytest.mark.parametrize("text", ["data: 2024-99-99", "[" * 3_000, f"training: {{seed: {'9' * 5_000}}}"])
def test_what_breaks_the_yaml_library_is_not_yaml(tmp_path: Path, text: str) -> None:
    (tmp_path / "broken.yaml").write_text(text)
    with pytest.raises(ConfigError, match="is not YAML"):
        load_config([tmp_path / "broken.yaml"])


def test_an_empty_file_changes_nothing(tmp_path: Path) -> None:
    (tmp_path / "empty.yaml").write_text("")
    assert load_config([tmp_path / "empty.yaml"]) == Config()


def test_every_setting_is_described() -> None:
    lines = describe()
    assert len(lines) > 50
    assert not [line for line in lines if line.endswith("# None")]
    assert all(line.startswith("training.") for line in describe("training"))


def test_known_keys_are_those_that_load() -> None:
    keys = list(known_keys())
    assert "training.search.space.units" in keys
    assert len(keys) == len(set(keys))


def test_yaml_in_an_override_that_does_not_parse_is_text() -> None:
    assert load_config([], ["data.user=[half"]).data.user == "[half"
    assert yaml.safe_load("7") == 7
