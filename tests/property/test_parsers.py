"""What parses input from outside: any bytes give a result or an error of the project, never one of another kind."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import yaml
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st

from deployers.protocol.manifest import NAME, ManifestError, verify_manifest, write_manifest
from forecaster.errors import ConfigError, ForecasterError, InputError, ReadingError, SourceError
from forecaster.sources import Selection, fingerprint, masked, read_readings, without_password
from pipelines.config import Config, load_config

if TYPE_CHECKING:
    from collections.abc import Callable

DEEP = 3_000  # more levels than Python's stack has
CSV = b"time_point,user,value,tag,id\n" + b"".join(
    f"2024-01-01T{hour:02}:00:00,lab,{20 + hour / 16},indoor,{hour}\n".encode() for hour in range(24)
)
CONFIG = b"""data: {source: a.csv, split: {train: 0.6}}
training:
  seed: 3
  conversion: {types: [int8], mae_growth: 0.01}
"""


@st.composite
def damaged(draw: st.DrawFn, whole: bytes) -> bytes:
    """A file with a stretch cut out, doubled or overwritten, in a place that hypothesis chooses."""
    start = draw(st.integers(0, len(whole)))
    end = draw(st.integers(start, min(len(whole), start + 40)))
    return whole[:start] + draw(st.binary(max_size=20) | st.just(2 * whole[start:end])) + whole[end:]


def outcome(parse: Callable[[], Any], *allowed: type[Exception]) -> Any:
    """What it gives, or the message it refuses with: one line that names what to do."""
    try:
        return parse()
    except allowed as error:
        message = str(error)
        assert message.isprintable(), message
        assert message.strip()
        return message


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder for the files of one test after another."""
    return tmp_path_factory.mktemp("parsers")


# Readings


def check_readings(place: Path, content: bytes) -> None:
    path = place / "readings.csv"
    path.write_bytes(content)
    found = outcome(lambda: read_readings(str(path), Selection()), SourceError, ReadingError)
    if not isinstance(found, str):
        assert found["time"].dtype == "datetime64[us]"
        assert not found["time"].isna().any()
        assert np.isfinite(found["value"]).all()


@given(content=st.binary(max_size=200) | damaged(CSV))
@example(content=b"time_point,value\n2024-02-30T00:00:00,1\n")
@example(content=b"time_point,value\n9999999-01-01T00:00:00,1\n")
@example(content=b'time_point,value\n"2024-01-01')
@example(content=b"time_point,time_point,value\n2024-01-01,2024-01-01,1\n")
@example(content=b"time_point,value\n2024-01-01T00:00:00+99:00,1\n")
@example(content=b"time_point,value\n2024-01-01,1,2,3\n2024-01-02,1,2,3\n")
def test_any_bytes_are_readings_or_refused(place: Path, content: bytes) -> None:
    check_readings(place, content)


@given(content=damaged(gzip.compress(CSV, mtime=0)))
@settings(max_examples=60)
def test_any_damaged_gzip_is_readings_or_refused(place: Path, content: bytes) -> None:
    check_readings(place, content)


def test_the_file_that_is_damaged_here_is_sound(place: Path) -> None:
    (place / "sound.csv").write_bytes(CSV)
    assert len(read_readings(str(place / "sound.csv"), Selection())) == 24


# Where readings come from


names = st.text(st.characters(codec="utf-8"), max_size=12)
queries = st.lists(
    st.tuples(st.sampled_from(["days", "seed", "start", "cadence", "drift", "gaps", "sauce"]) | names, names),
    max_size=4,
).map(lambda pairs: "&".join(f"{key}={value}" for key, value in pairs))


@given(name=names, query=queries)
@example(name="[", query="")
@example(name="lab", query="seed=" + "9" * 5000)
@example(name="lab", query="start=0001-01-01T00:00:00-23:59")
@example(name="lab", query="days=nan")
@example(name="lab:99999999", query="")
def test_any_simulated_sensor_has_a_fingerprint_or_is_refused(name: str, query: str) -> None:
    found = outcome(lambda: fingerprint(f"simulated://{name}?{query}", Selection()), ConfigError, SourceError)
    assert found


@given(rest=names, password=st.text("abcdef0123456789", min_size=12, max_size=16))
@example(rest="h:port/db", password="a" * 12)
@example(rest="[::1/db", password="a" * 12)
@example(rest="h/db?port=x&sslpassword=y", password="a" * 12)
def test_no_database_url_brings_its_password_into_a_message(rest: str, password: str) -> None:
    assume(password not in rest)
    source = f"postgresql://reader:{password}@{rest}"
    found = outcome(lambda: without_password(source), SourceError)
    shown, taken = (found, password) if isinstance(found, str) else found
    assert taken == password
    assert password not in shown
    assert password not in masked(source)


@given(scheme=st.from_regex(r"\A[a-z][a-z0-9+.-]{0,8}\Z"), rest=names)
def test_any_other_scheme_is_refused(scheme: str, rest: str) -> None:
    if scheme not in ("simulated", "sqlite", "postgresql", "postgresql+psycopg"):
        assert "unknown scheme" in outcome(lambda: read_readings(f"{scheme}://{rest}", Selection()), SourceError)


# Settings


@given(content=st.binary(max_size=80) | damaged(CONFIG))
@example(content=b"data: 2024-99-99")
@example(content=b"training: {seed: " + b"9" * 5000 + b"}")
@example(content=b"[" * DEEP)
@example(content=b"data: &a {split: *a}")
@example(content=b"1: 2\n? [a]\n: 3")
@example(content=b"!!python/object/apply:os.getcwd []")
@example(content=b"data: !!binary x")
@example(content=b"data: {1: {2: 3}}")
def test_any_file_is_a_configuration_or_refused(place: Path, content: bytes) -> None:
    (place / "config.yaml").write_bytes(content)
    found = outcome(lambda: load_config([place / "config.yaml"]), ConfigError)
    assert isinstance(found, Config | str)


keys = st.sampled_from(["training.seed", "data", "data.split.train", "training.conversion.types", "search", ""]) | names
values = st.sampled_from(["2024-99-99", "1_0:99", ".nan", "{}", "[[", "!!int x", "0x", "~"]) | names


@given(key=keys, value=values)
@example(key="training.seed", value="9" * 5000)
@example(key="training.seed", value="[" * DEEP)
@example(key="training.seed", value="&a [*a]")
@example(key="." * 5000, value="1")
def test_any_override_is_a_setting_or_refused(key: str, value: str) -> None:
    found = outcome(lambda: load_config([], [f"{key}={value}"], "training"), ConfigError)
    assert isinstance(found, Config | str)


# The manifest


@pytest.fixture(scope="module")
def release(place: Path) -> Path:
    folder = place / "release"
    folder.mkdir()
    (folder / "model.onnx").write_bytes(b"model")
    write_manifest(folder, {"digest": "abc"})
    return folder


SOUND = json.dumps(
    {
        "format": "edgeloop-release",
        "version": 1,
        "facts": {"digest": "abc"},
        "files": {
            "model.onnx": {
                "bytes": 5,
                "sha256": "9372c470eeadd5ecd9c3c74c2b3cb633f8e2f2fad799250a0f70d652b6b825e4",
            }
        },
    }
).encode()


@given(content=st.binary(max_size=60) | damaged(SOUND))
@example(content=b"[" * DEEP)
@example(content=SOUND.replace(b'"facts"', b'"factz"'))
@example(content=SOUND.replace(b'{"digest": "abc"}', b"7"))
@example(content=SOUND.replace(b'"model.onnx"', b'"../model.onnx"'))
@example(content=b'{"format": 1' + b"0" * 5000 + b"}")
def test_any_manifest_is_that_of_the_folder_or_refused(release: Path, content: bytes) -> None:
    (release / NAME).write_bytes(content)
    found = outcome(lambda: verify_manifest(release), ManifestError)
    if not isinstance(found, str):
        assert found["files"] == json.loads(SOUND)["files"]
        assert isinstance(found["facts"], dict)


def test_the_manifest_that_is_damaged_here_is_sound(release: Path) -> None:
    (release / NAME).write_bytes(SOUND)
    assert verify_manifest(release)["facts"] == {"digest": "abc"}


def test_the_errors_of_readings_and_settings_are_input_errors() -> None:
    assert all(issubclass(kind, InputError) for kind in (SourceError, ReadingError, ConfigError))
    assert issubclass(InputError, ForecasterError)
    assert yaml.safe_load(CONFIG)["training"]["seed"] == 3
