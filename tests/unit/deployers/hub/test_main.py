from __future__ import annotations

import json
import stat
from pathlib import Path
from typing import Any

import pytest

from deployers.hub.__main__ import main
from deployers.hub.auth import Principal, Tokens


@pytest.fixture
def config(tmp_path: Path) -> Path:
    path = tmp_path / "config" / "hub.toml"
    path.parent.mkdir()
    path.write_text("rest.port = 0", encoding="utf-8")
    return path


@pytest.mark.parametrize("command", ["serve", "supervise", "migrate", "export", "token", "settings", "ctl"])
def test_every_command_has_help(command: str, capsys: Any) -> None:
    assert main([command, "--help"]) == 0
    assert "--config" in capsys.readouterr().out


def test_help_lists_commands_examples_and_exit_codes(capsys: Any) -> None:
    assert main(["--help"]) == 0
    text = capsys.readouterr().out
    assert "  python -m deployers.hub serve --config config/hub.toml\n" in text
    assert "11 another one runs" in text
    assert main(["ctl", "--help"]) == 0
    text = capsys.readouterr().out
    assert "  python -m deployers.hub ctl --config config/hub.toml status\n" in text
    assert "\b" not in text
    assert "\\b" not in text


@pytest.mark.parametrize("command", ["serve", "supervise", "migrate", "settings"])
def test_a_wrong_configuration_is_bad_input_in_one_line(command: str, config: Path, capsys: Any) -> None:
    config.write_text("rest.port = -1", encoding="utf-8")
    assert main([command, "--config", str(config)]) == 2
    assert capsys.readouterr().err.count("\n") == 1
    assert main([command, "--config", "/nowhere/hub.toml"]) == 2
    assert main([command]) == (0 if command == "settings" else 2)


def test_serve_without_tokens_is_bad_input(config: Path, capsys: Any) -> None:
    import logging

    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    try:
        assert main(["serve", "--config", str(config)]) == 2
    finally:
        root.handlers[:] = handlers
        root.setLevel(level)
    assert "tokens.toml" in capsys.readouterr().err


def test_a_token_is_printed_once_or_written(config: Path, capsys: Any) -> None:
    assert main(["token", "--config", str(config), "--name", "page", "--role", "read"]) == 0
    printed = capsys.readouterr().out.strip()
    out = ["--out", "config/ctl.token"]
    assert main(["token", "--config", str(config), "--name", "ctl", "--role", "deploy", *out]) == 0
    assert capsys.readouterr().out == ""
    written = config.parent / "ctl.token"
    assert stat.S_IMODE(written.stat().st_mode) == 0o600
    known = Tokens.load(config.parent / "tokens.toml")
    assert known.find(printed) == Principal("page", "read")
    assert known.find(written.read_text(encoding="utf-8").strip()) == Principal("ctl", "deploy")


@pytest.mark.parametrize("more", [["--name", "a b", "--role", "read"], ["--name", "a", "--role", "root"], []])
def test_a_wrong_token_is_bad_input(config: Path, more: list[str]) -> None:
    assert main(["token", "--config", str(config), *more]) == 2
    assert not (config.parent / "tokens.toml").exists()


def test_settings_are_printed_whole(config: Path, tmp_path: Path, capsys: Any) -> None:
    assert main(["settings", "--config", str(config)]) == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["root"], found["rest"]["port"], found["train"]["kind"]) == (str(tmp_path), 0, "none")
    assert main(["settings"]) == 0
    assert json.loads(capsys.readouterr().out)["store"]["retention_days"] == 0, "the default"


def test_a_store_is_made_and_exported(config: Path, tmp_path: Path, capsys: Any) -> None:
    assert main(["migrate", "--config", str(config)]) == 0
    assert (tmp_path / "data" / "hub.db").exists()
    out = tmp_path / "out.csv"
    assert main(["export", "--config", str(config), "--out", str(out)]) == 0
    assert "0 readings" in capsys.readouterr().out
    assert out.read_bytes().count(b"\n") <= 1
    assert main(["export", "--config", str(config), "--out", str(tmp_path / "none" / "out.csv")]) == 2
    assert "cannot be written" in capsys.readouterr().err


def test_an_export_that_fails_leaves_the_old_file(
    config: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def full(*_: Any) -> int:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("deployers.hub.export.export_csv", full)
    out = tmp_path / "out.csv"
    out.write_text("old", encoding="utf-8")
    assert main(["export", "--config", str(config), "--out", str(out)]) == 2
    assert out.read_text(encoding="utf-8") == "old"
    assert sorted(each.name for each in tmp_path.glob("*out.csv*")) == ["out.csv"]


def test_supervise_says_how_it_ended(config: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("deployers.hub.supervise.supervise", lambda *_: 2)
    assert main(["supervise", "--config", str(config)]) == 2
