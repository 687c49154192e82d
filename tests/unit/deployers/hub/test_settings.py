from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deployers.exceptions import InputError
from deployers.hub.settings import Rest, Settings

ANY = "0.0.0.0"  # noqa: S104 - refused, or only read
HERE = Path("/srv/edgeloop/config/hub.toml")


def load(tmp_path: Path, text: str, mode: int = 0o600) -> Settings:
    path = tmp_path / "config" / "hub.toml"
    path.parent.mkdir(exist_ok=True)
    path.write_text(text, encoding="utf-8")
    path.chmod(mode)
    return Settings.load(path)


def test_an_empty_file_is_a_hub_on_loopback_below_its_folder(tmp_path: Path) -> None:
    found = load(tmp_path, "")
    assert found.root == tmp_path
    assert (found.rest.host, found.rest.port, found.boards.host, found.boards.port) == (
        "127.0.0.1",
        8484,
        "127.0.0.1",
        7484,
    )
    assert found.store_url == f"sqlite:///{tmp_path}/data/hub.db"
    assert found.path(found.auth.tokens) == tmp_path / "config" / "tokens.toml"
    assert found.train.kind == "none"


@pytest.mark.parametrize(
    ("root", "expected"), [("/var/lib/x", "/var/lib/x"), ("..", "/srv/edgeloop"), (".", "/srv/edgeloop/config")]
)
def test_the_root_is_where_it_says_seen_from_the_file(root: str, expected: str) -> None:
    assert Settings.parse(f"root = '{root}'", HERE).root == Path(expected)


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("sqlite:////tmp/hub.db", "sqlite:////tmp/hub.db"),
        ("sqlite:///hub.db", "sqlite:////srv/edgeloop/hub.db"),
        ("postgresql+psycopg://hub@db/hub", "postgresql+psycopg://hub@db/hub"),
    ],
)
def test_a_relative_database_lies_below_the_root(url: str, expected: str) -> None:
    assert Settings.parse(f"store.url = '{url}'", HERE).store_url == expected


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("[rest", "no TOML"),
        ("rest.prot = 1", "'rest.prot'"),
        ("rest.port = 65536", "'rest.port' is 65536"),
        ("rest.port = 'eighty'", "'rest.port' is 'eighty'"),
        ("rest.requests_per_second = inf", "'rest.requests_per_second'"),
        ("rest.tls_key = 'key.pem'", "go together"),
        ("boards.test_seconds = 0", "'boards.test_seconds' is 0"),
        ("models.keep = 1", "'models.keep' is 1"),
        ("models.runtime = 'tensorrt'", "'models.runtime' is 'tensorrt'"),
        ("train.kind = 'command'", "needs command"),
        ("train.kind = 'webhook'", "needs url"),
        ("train = {kind = 'zenml', url = 'file:///etc/passwd'}", "expected http"),
        ("other = 1", "'other' is 1"),
    ],
)
def test_a_wrong_setting_is_named(text: str, says: str) -> None:
    with pytest.raises(InputError, match=says) as caught:
        Settings.parse(text, HERE)
    assert str(HERE) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_password_is_not_shown_and_not_left_readable(tmp_path: Path) -> None:
    with pytest.raises(InputError) as caught:
        Settings.parse("train = {kind = 'webhook', url = 'ftp://u:secret@h'}", HERE)
    assert "secret" not in str(caught.value)
    text = "store.url = 'postgresql+psycopg://hub:secret@db/hub'"
    assert load(tmp_path, text).store_url.endswith("@db/hub")
    with pytest.raises(InputError, match="chmod 600"):
        load(tmp_path, text, 0o644)
    assert load(tmp_path, "", 0o644).rest.port == 8484


@pytest.mark.parametrize("host", [ANY, "::", "192.168.1.7", "hub.example.org"])
def test_tokens_do_not_go_beyond_loopback_in_the_clear(tmp_path: Path, host: str) -> None:
    with pytest.raises(InputError, match=r"tls_certificate.*insecure = true"):
        load(tmp_path, f"rest.host = '{host}'")
    assert load(tmp_path, f"rest.host = '{host}'\nrest.insecure = true").rest.insecure
    tls = "rest.tls_certificate = 'c.pem'\nrest.tls_key = 'k.pem'"
    assert load(tmp_path, f"rest.host = '{host}'\n{tls}").rest.has_tls


@pytest.mark.parametrize("host", ["127.0.0.1", "127.9.9.9", "::1", "localhost"])
def test_loopback_needs_no_tls(tmp_path: Path, host: str) -> None:
    assert not load(tmp_path, f"rest.host = '{host}'").rest.has_tls


@pytest.mark.parametrize(
    ("host", "url"),
    [
        ("127.0.0.1", "http://127.0.0.1:8484"),
        (ANY, "http://127.0.0.1:8484"),
        ("::", "http://[::1]:8484"),
        ("::1", "http://[::1]:8484"),
    ],
)
def test_the_address_is_that_of_this_machine(host: str, url: str) -> None:
    assert Rest(host=host).url(8484) == url
    secure = Rest(host=host, tls_certificate=Path("c"), tls_key=Path("k"))
    assert secure.url(8484) == url.replace("http:", "https:")


def test_a_missing_file_and_one_that_is_no_text_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"expected a hub.toml"):
        Settings.load(tmp_path / "none.toml")
    (tmp_path / "hub.toml").write_bytes(b"\xff\xfe")
    with pytest.raises(InputError, match="not UTF-8"):
        Settings.load(tmp_path / "hub.toml")


@given(st.text(max_size=300))
def test_any_text_is_read_or_refused_in_one_line(text: str) -> None:
    try:
        Settings.parse(text, HERE)
    except InputError as error:
        assert "\n" not in str(error)  # noqa: PT017 - only where it is refused


SCALARS = st.one_of(st.integers(), st.booleans(), st.floats(), st.text("abc:/.", max_size=12))


@given(
    st.sampled_from(["rest", "boards", "store", "models", "train", "auth"]),
    st.sampled_from(["host", "port", "url", "keep", "kind", "tokens", "command", "seconds", "burst"]),
    st.one_of(SCALARS, st.lists(SCALARS, max_size=2)),
)
def test_any_value_is_taken_or_refused_in_one_line(section: str, name: str, value: Any) -> None:
    text = f"[{section}]\n{name} = {str(value).lower() if isinstance(value, bool | float) else value!r}"
    try:
        Settings.parse(text, HERE)
    except InputError as error:
        assert "\n" not in str(error)  # noqa: PT017 - only where it is refused
        assert len(str(error)) < 500  # noqa: PT017


TRAIN = "train = {kind = 'command', command = ['true']}"


def test_retraining_is_off_and_has_bounds_by_default(tmp_path: Path) -> None:
    found = load(tmp_path, "").retraining
    assert (found.enabled, found.on_alarm, found.every_days, found.new_readings) == (False, True, 0, 0)
    assert (found.cooldown_hours, found.per_week, found.least_days) == (24, 3, 28)


def test_retraining_needs_a_training_side(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"retraining.enabled is true and train.kind is 'none'.*give \[train\]"):
        load(tmp_path, "retraining.enabled = true")
    assert load(tmp_path, f"retraining.enabled = true\n{TRAIN}").retraining.enabled
    assert load(tmp_path, "retraining.every_days = 7").retraining.every_days == 7


def test_retraining_on_alarms_needs_a_monitor(tmp_path: Path) -> None:
    text = f"retraining.enabled = true\nmonitor.enabled = false\n{TRAIN}"
    with pytest.raises(InputError, match=r"on_alarm is true and monitor.enabled is false.*on_alarm = false"):
        load(tmp_path, text)
    assert not load(tmp_path, f"retraining.on_alarm = false\n{text}").retraining.on_alarm


@pytest.mark.parametrize(
    "text",
    ["every_days = -1", "new_readings = 0.5", "per_week = 101", "cooldown_hours = inf", "least_days = 366", "no = 1"],
)
def test_a_wrong_setting_of_retraining_is_named(text: str) -> None:
    with pytest.raises(InputError, match=rf"'retraining\.{text.split(maxsplit=1)[0]}'"):
        Settings.parse(f"retraining.{text}", HERE)
