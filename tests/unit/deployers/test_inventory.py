"""The inventory: every mistake in it is named with file, entry and key."""

from __future__ import annotations

import os
from pathlib import Path, PurePosixPath

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from deployers.exceptions import InputError
from deployers.inventory import Inventory, find_inventory

PIN = "SHA256:" + "A" * 43
MINIMAL = f"""
[[jetson]]
name = "kitchen"
host = "192.0.2.7"
host_keys = ["{PIN}"]
"""
WHOLE = f"""
signing_key = "keys/signing.key"

[defaults]
user = "jetson"
key_file = "keys/id"
index = false

[[jetson]]
name = "kitchen"
host = "192.0.2.7"
host_keys = ["{PIN}"]
groups = ["canary", "ground-floor"]
[jetson.hub.store]
url = "sqlite:///data/other.db"
[[jetson.board]]
id = "board-1"
key_file = "keys/b1"
group = "canary"

[[jetson]]
name = "attic"
host = "2001:db8::7"
port = 2222
host_keys = ["{PIN}"]
index = true
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "keys").mkdir()
    for name in ("signing.key", "id", "b1"):
        (tmp_path / "keys" / name).write_bytes(os.urandom(32))
        (tmp_path / "keys" / name).chmod(0o600)
    return tmp_path


def load(folder: Path, text: str) -> Inventory:
    path = folder / "inventory.toml"
    path.write_text(text, encoding="utf-8")
    return Inventory.load(path)


def test_everything_is_read_and_paths_are_relative_to_the_file(folder) -> None:
    found = load(folder, WHOLE)
    kitchen, attic = found.jetsons
    assert found.signing_key == folder / "keys" / "signing.key"
    assert (kitchen.user, kitchen.index, kitchen.key_file) == ("jetson", False, folder / "keys" / "id")
    assert (attic.port, attic.index, attic.host) == (2222, True, "2001:db8::7")
    assert (kitchen.boards[0].id, kitchen.boards[0].key_file) == ("board-1", folder / "keys" / "b1")
    assert kitchen.hub == {"store": {"url": "sqlite:///data/other.db"}}
    assert (kitchen.root, kitchen.python, kitchen.service) == (PurePosixPath("/var/lib/edgeloop"), "python3", "auto")


def test_what_is_not_given_has_a_default(folder) -> None:
    found = load(folder, MINIMAL)
    assert (found.signing_key, found.jetsons[0].key_file, found.jetsons[0].boards) == (None, None, ())


def test_this_machine_needs_no_host_key(folder) -> None:
    assert load(folder, '[[jetson]]\nname = "here"\nconnection = "local"').jetsons[0].host_keys == ()


@pytest.mark.parametrize(
    ("limit", "names"),
    [
        ((), ["kitchen", "attic"]),
        (("attic",), ["attic"]),
        (("canary",), ["kitchen"]),
        (("k*",), ["kitchen"]),
        (("attic", "canary"), ["kitchen", "attic"]),
    ],
)
def test_limit_chooses_by_name_pattern_and_group(folder, limit, names) -> None:
    assert [jetson.name for jetson in load(folder, WHOLE).chosen(limit)] == names


def test_a_limit_that_fits_none_is_refused(folder) -> None:
    with pytest.raises(InputError, match=r"--limit 'cellar' fits no Jetson .*attic, canary, ground-floor, kitchen"):
        load(folder, WHOLE).chosen(("kitchen", "cellar"))


def entry(more: str) -> str:
    return MINIMAL + more + "\n"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("a = ", "is no TOML"),
        ("", r"'jetson' is no list of tables, expected at least one \[\[jetson\]\]"),
        ("jetson = 3", "'jetson' is no list of tables"),
        ("jetson = [3]", "'jetson' is no list of tables"),
        ("colour = 1" + MINIMAL, "'colour' is no key of an inventory"),
        ("signing_key = 3" + MINIMAL, "'signing_key' is 3, expected the path"),
        ('signing_key = ""' + MINIMAL, "'signing_key' is '', expected the path"),
        ("defaults = 3" + MINIMAL, "'defaults' is 3, expected a table"),
        ('[defaults]\nname = "x"' + MINIMAL, "defaults: 'name' belongs to one Jetson"),
        ('[defaults]\ncolour = "x"' + MINIMAL, "jetson 'kitchen': 'colour' is no key that is known here"),
        (entry('colour = "red"'), "jetson 'kitchen': 'colour' is no key that is known here"),
        ('[[jetson]]\nhost = "h"', "jetson number 1: 'name' is missing"),
        ("[[jetson]]\nname = 3", "jetson number 1: 'name' is 3, input should be a valid string"),
        ('[[jetson]]\nname = "a/b"', "'name' 'a/b' is no name, expected up to 64 letters"),
        ('[[jetson]]\nname = ".."', r"'name' '\.\.' is no name"),
        ('[[jetson]]\nname = "k"\nhost = "h"', "jetson 'k': 'host_keys' is empty, expected the fingerprint"),
        (entry('port = "22"'), "'port' is '22', input should be a valid integer"),
        (entry("port = 0"), "'port' is 0, input should be greater than or equal to 1"),
        (entry("port = 65536"), "'port' is 65536"),
        (entry("index = 1"), "'index' is 1, input should be a valid boolean"),
        (entry('connection = "telnet"'), "'connection' is 'telnet', input should be 'ssh' or 'local'"),
        (entry('root = "relative"'), "'root' 'relative' is no folder for the hub, expected an absolute path"),
        (entry('root = "/"'), "'root' '/' is no folder"),
        (entry('root = "/var"'), "'root' '/var' is no folder"),
        (entry('root = "/var/lib/../../etc"'), "is no folder for the hub"),
        (entry('root = "/var/lib/edge loop"'), "is no folder for the hub"),
        (entry('root = "/var/lib/%h"'), "is no folder for the hub"),
        (entry("root = 3"), "'root' is 3"),
        (entry('account = "Root!"'), "'account' 'Root!' is no account name"),
        (entry('user = "-oProxyCommand=id"'), "'user' '-oProxyCommand=id' is no name"),
        (MINIMAL.replace("192.0.2.7", "-oProxyCommand=id"), "'host' '-oProxyCommand=id' is no host name"),
        (MINIMAL.replace("192.0.2.7", "-v"), "'host' '-v' is no host name"),
        (MINIMAL.replace("192.0.2.7", "a b"), "'host' 'a b' is no host name"),
        (MINIMAL.replace(PIN, "MD5:aa"), r"'host_keys\.0' 'MD5:aa' is no fingerprint, expected 'SHA256:' and 43"),
        (MINIMAL.replace(PIN, PIN[:-1]), "is no fingerprint"),
        (MINIMAL.replace(PIN, PIN + "A"), "is no fingerprint"),
        (MINIMAL.replace(PIN, PIN[:-1] + "!"), "is no fingerprint"),
        (entry('key_file = "keys/none"'), r"jetson 'kitchen': 'key_file' '.*keys/none' cannot be read \(No such file"),
        (entry('key_file = "keys"'), r"'key_file' '.*keys' cannot be read"),
        (entry("hub = 3"), "'hub' is 3"),
        (entry('[[jetson.board]]\nid = "b"'), "jetson 'kitchen', board number 1: 'key_file' is missing"),
        (entry('[[jetson.board]]\nid = "b"\nkey_file = "keys/b1"\ncolour = 1'), "board number 1: 'colour' is no key"),
        (entry('[[jetson.board]]\nid = "b"\nkey_file = "keys/no"'), "board 'b': 'key_file' '.*no' cannot be read"),
        (entry("board = 3"), "'board' is 3"),
        (MINIMAL + MINIMAL, "jetson 'kitchen': 'name' 'kitchen' is there twice, expected each once"),
        (WHOLE + '[[jetson.board]]\nid = "board-1"\nkey_file = "keys/b1"', "'id' 'board-1' is there twice"),
    ],
)  # fmt: skip
def test_every_mistake_is_named_with_its_entry_and_key(folder, text, said) -> None:
    with pytest.raises(InputError, match=said) as refused:
        load(folder, text)
    assert "inventory.toml" in str(refused.value)
    assert len(str(refused.value).splitlines()) == 1


@pytest.mark.parametrize("name", ["signing.key", "id", "b1"])
@pytest.mark.parametrize("mode", [0o640, 0o604, 0o620, 0o777])
def test_a_key_that_others_may_read_is_refused(folder, name, mode) -> None:
    (folder / "keys" / name).chmod(mode)
    with pytest.raises(InputError, match=rf"{name}' has mode {mode:04o}, expected 0600 \(chmod 600\)"):
        load(folder, WHOLE)


@pytest.mark.parametrize("size", [0, 31, 33])
def test_a_board_key_of_another_length_is_refused(folder, size) -> None:
    (folder / "keys" / "b1").write_bytes(bytes(size))
    with pytest.raises(InputError, match=f"board 'board-1': 'key_file' .* has {size} bytes, expected 32"):
        load(folder, WHOLE)


def test_a_file_that_is_no_text_or_not_there_is_named(tmp_path) -> None:
    (tmp_path / "inventory.toml").write_bytes(b"\xff\xfe")
    with pytest.raises(InputError, match="is no TOML"):
        Inventory.load(tmp_path / "inventory.toml")
    with pytest.raises(InputError, match=r"cannot be read \(No such file"):
        Inventory.load(tmp_path / "none.toml")


@given(st.text(max_size=200))
@settings(max_examples=60)
def test_no_text_is_an_internal_error(tmp_path_factory, text: str) -> None:
    path = tmp_path_factory.mktemp("i") / "inventory.toml"
    path.write_text(text, encoding="utf-8", errors="ignore")
    with pytest.raises(InputError):
        Inventory.load(path)


def test_the_file_is_looked_for_in_four_places(tmp_path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("EDGELOOP_HOME", str(tmp_path / "home"))
    monkeypatch.delenv("EDGELOOP_INVENTORY", raising=False)
    with pytest.raises(InputError, match=r"no 'inventory\.toml' .*deployers\.lab up"):
        find_inventory()
    lab = tmp_path / "home" / "lab" / "inventory.toml"
    lab.parent.mkdir(parents=True)
    lab.touch()
    assert find_inventory() == lab
    Path("inventory.toml").touch()
    assert find_inventory() == Path("inventory.toml")
    monkeypatch.setenv("EDGELOOP_INVENTORY", "/elsewhere/i.toml")
    assert find_inventory() == Path("/elsewhere/i.toml")
    assert find_inventory(Path("given.toml")) == Path("given.toml")


def test_a_signing_key_may_lie_elsewhere(folder) -> None:
    """Who only looks or rolls back needs none."""
    assert load(folder, 'signing_key = "keys/away"' + MINIMAL).signing_key == folder / "keys" / "away"
