from __future__ import annotations

import hashlib
import os
import stat
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deployers.exceptions import InputError
from deployers.hub.auth import PREFIX, ROLES, Principal, Tokens, add_token, bearer, make_token, parse_tokens
from deployers.hub.private import require_private, write_private
from tests.hub_parts import tokens

NAMES = st.text("abcXYZ019_.@-", min_size=1, max_size=64)


def file(tmp_path: Path, text: str, mode: int = 0o600) -> Path:
    path = tmp_path / "tokens.toml"
    path.write_text(text, encoding="utf-8")
    path.chmod(mode)
    return path


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


@given(st.dictionaries(NAMES, st.sampled_from(ROLES), max_size=8))
def test_tokens_that_were_added_are_found_with_their_roles(tmp_path_factory: Any, wanted: dict[str, Any]) -> None:
    path = tmp_path_factory.mktemp("tokens") / "config" / "tokens.toml"
    made = {name: add_token(path, name, role) for name, role in wanted.items()}
    if not made:
        return
    found = Tokens.load(path)
    assert {name: found.find(token) for name, token in made.items()} == {
        name: Principal(name, role) for name, role in wanted.items()
    }
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert not any(token in path.read_text(encoding="utf-8") for token in made.values())


@given(st.text(max_size=400))
def test_any_text_is_read_or_refused_in_one_line(text: str) -> None:
    try:
        parse_tokens(text)
    except InputError as error:
        assert "\n" not in str(error)  # noqa: PT017 - only where it is refused


@given(st.text(max_size=300))
def test_no_other_text_is_a_token(text: str) -> None:
    found = tokens().find(text)
    assert (found is not None) == (text in ROLES)


def test_roles_contain_those_below_them() -> None:
    assert [Principal("x", "write").may(role) for role in ROLES] == [True, True, False]
    assert [Principal("x", "deploy").may(role) for role in ROLES] == [True] * 3
    assert [Principal("x", "read").may(role) for role in ROLES] == [True, False, False]


def test_a_token_is_long_and_known_by_its_beginning() -> None:
    one, digest = make_token()
    assert one.startswith(PREFIX)
    assert len(one) > 45
    assert digest == hashlib.sha256(one.encode()).hexdigest()
    assert one != make_token()[0]


def test_a_token_of_the_same_name_takes_its_place(tmp_path: Path) -> None:
    path = tmp_path / "tokens.toml"
    old, new = add_token(path, "ctl", "read"), add_token(path, "ctl", "deploy")
    found = Tokens.load(path)
    assert found.find(old) is None
    assert found.find(new) == Principal("ctl", "deploy")


@pytest.mark.parametrize("name", ["", "a b", 'x"', "é\n", "n" * 65])
def test_a_name_that_could_not_be_read_again_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(InputError, match="no name of a token"):
        add_token(tmp_path / "tokens.toml", name, "read")
    assert not (tmp_path / "tokens.toml").exists()


@pytest.mark.parametrize("mode", [0o644, 0o640, 0o604, 0o620, 0o601])
def test_a_file_that_others_may_touch_is_refused(tmp_path: Path, mode: int) -> None:
    path = file(tmp_path, "", mode)
    with pytest.raises(InputError, match=f"permissions {mode:04o}.*chmod 600"):
        Tokens.load(path)
    with pytest.raises(InputError, match="chmod 600"):
        add_token(path, "x", "read")


def test_a_missing_file_a_folder_and_an_empty_one_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="cannot be read"):
        Tokens.load(tmp_path / "none.toml")
    with pytest.raises(InputError, match="expected a file"):
        require_private(tmp_path)
    with pytest.raises(InputError, match=r"has no token.*deployers.hub token"):
        Tokens.load(file(tmp_path, ""))


GOOD = '[[token]]\nname = "a"\nrole = "read"\nsha256 = "' + "0" * 64 + '"\n'


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("[[token]", "no TOML"),
        (GOOD.replace("read", "admin"), "token.0.role"),
        (GOOD.replace("0" * 64, "0" * 63), "token.0.sha256"),
        (GOOD + "more = 1\n", "token.0.more"),
        (GOOD.replace('name = "a"\n', ""), "token.0.name"),
        (GOOD + GOOD, "names 'a' twice"),
        ("token = 3", "'token'"),
    ],
)
def test_a_wrong_file_says_what_is_wrong(text: str, says: str) -> None:
    with pytest.raises(InputError, match=says):
        parse_tokens(text)


def test_a_hash_is_not_shown(tmp_path: Path) -> None:
    with pytest.raises(InputError) as caught:
        parse_tokens(GOOD.replace("0" * 64, "secret" * 10))
    assert "secret" not in str(caught.value)


def test_a_changed_file_is_read_again_and_a_wrong_one_is_not(tmp_path: Path, caplog: Any) -> None:
    path, clock = tmp_path / "tokens.toml", Clock()
    first = add_token(path, "a", "read")
    found = Tokens.load(path, clock)
    second = add_token(path, "b", "write")
    assert found.find(second) is None  # not yet looked at
    clock.now += 2
    assert found.find(second) == Principal("b", "write")
    path.write_text("[[", encoding="utf-8")
    clock.now += 2
    assert found.find(first) == Principal("a", "read")
    assert "tokens stay as they were" in caplog.text
    path.write_text(GOOD, encoding="utf-8")
    clock.now += 2
    assert found.find(first) is None


def test_a_very_long_token_is_not_even_hashed(monkeypatch: pytest.MonkeyPatch) -> None:
    known = tokens()
    monkeypatch.setattr(hashlib, "sha256", lambda *_: pytest.fail("hashed"))
    assert known.find("x" * 257) is None


@pytest.mark.parametrize(
    ("value", "token"),
    [
        (b"Bearer abc", "abc"),
        (b"bearer  abc ", "abc"),
        (b"Basic abc", None),
        (b"Bearer", ""),
        (b"", None),
        (b"Bearer \xff", "ÿ"),
    ],
)
def test_the_token_is_what_follows_bearer(value: bytes, token: str | None) -> None:
    assert bearer({"headers": [(b"host", b"x"), (b"authorization", value)]}) == token
    assert bearer({"headers": []}) is None


def test_a_private_file_appears_whole_or_not_at_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "deep" / "secret"
    write_private(path, b"one")
    assert (path.read_bytes(), stat.S_IMODE(path.stat().st_mode)) == (b"one", 0o600)

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space"):
        write_private(path, b"two")
    assert path.read_bytes() == b"one"
    assert [each.name for each in path.parent.iterdir()] == ["secret"]


def test_a_file_of_another_account_is_refused_and_known_tokens_stay(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    path, now = tmp_path / "tokens.toml", [0.0]
    token = add_token(path, "ctl", "deploy")
    known = Tokens.load(path, lambda: now[0])
    add_token(path, "page", "read")

    def deny(*_: object, **__: object) -> str:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "read_text", deny)
    now[0] = 10.0
    assert known.find(token) == Principal("ctl", "deploy")
    assert "tokens stay as they were" in caplog.text
    with pytest.raises(InputError, match=r"cannot be read .*chown"):
        Tokens.load(path)
