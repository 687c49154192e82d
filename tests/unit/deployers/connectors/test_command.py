"""Commands: whatever is in a word, it arrives as that word, and a secret is seen by nobody."""

from __future__ import annotations

import shlex
import subprocess
from pathlib import PurePosixPath

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deployers.connectors.base import Completed, failure
from deployers.connectors.command import MASK, Command, Secret, script
from deployers.exceptions import InputError

TEXT = st.text(st.characters(exclude_characters="\0", exclude_categories=("Cs",)), max_size=20)


@given(st.lists(TEXT, min_size=1, max_size=5))
def test_words_survive_a_shell(words: list[str]) -> None:
    assert shlex.split(Command(tuple(words)).line()) == words


@pytest.mark.parametrize("word", ["$HOME", "`id`", "$(id)", "a;b", "'", '"', "-n", "a\nb", "*", "", " ", "ü", "\\"])
def test_no_word_is_read_by_the_shell(word: str) -> None:
    command = Command(("printf", "%s|", "first", word))
    done = subprocess.run(["sh", "-c", command.line()], capture_output=True, check=True)
    assert done.stdout.decode() == f"first|{word}|"


def test_arguments_of_a_script_are_never_part_of_it() -> None:
    command = script('printf "%s/%s" "$1" "$2"', "$(id)", PurePosixPath("/a b"))
    assert subprocess.run(command.plain(), capture_output=True, check=True).stdout == b"$(id)//a b"


def test_a_secret_is_given_and_not_shown() -> None:
    command = Command(("login", Secret("hunter2"), "x"))
    assert command.plain() == ("login", "hunter2", "x")
    assert command.shown() == f"login {MASK} x"
    assert "hunter2" not in repr(command) + str(command) + command.shown() + f"{Secret('hunter2')}"
    assert command.masked("wrong password hunter2!") == f"wrong password {MASK}!"


def test_a_failure_is_told_without_the_secret() -> None:
    command = Command(("login", Secret("hunter2")))
    told = failure("kitchen", command, Completed(3, b"", b"error: no user with hunter2\n"))
    assert "hunter2" not in told
    assert told.startswith(f"kitchen: no user with {MASK} (")
    assert "ended with 3, expected 0" in told


def test_a_failure_without_output_says_so() -> None:
    assert "no output" in failure("kitchen", Command(("false",)), Completed(1))


def test_of_much_output_the_errors_are_told() -> None:
    said = b"Collecting numpy\nERROR: No matching distribution\nnotice: see the manual\n"
    assert "No matching distribution" in failure("k", Command(("pip",)), Completed(1, said))
    assert "see the manual" not in failure("k", Command(("pip",)), Completed(1, said))


@pytest.mark.parametrize("words", [(), ("a", "b\0c"), (Secret("\0"),)])
def test_what_no_program_can_be_given_is_refused(words: tuple[str, ...]) -> None:
    with pytest.raises(InputError, match=r"no program|zero byte"):
        Command(words)


def test_words_go_before_a_command() -> None:
    command = Command(("id",), timeout=3, accepted=(0, 1), input=b"x").after("sudo", "-n")
    assert (command.plain(), command.timeout, command.accepted, command.input) == (
        ("sudo", "-n", "id"),
        3,
        (0, 1),
        b"x",
    )
