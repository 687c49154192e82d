"""Programs that fail, do not end or are not there: one line each; and the ends of their logs."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deployers.exceptions import MissingTool
from deployers.lab.programs import LabError, end_of, find_program, run_program


def shell(code: str, seconds: float = 20.0, **options: object) -> None:
    run_program(["sh", "-c", code], seconds, "mending failed", "mend it", **options)  # type: ignore[arg-type]


def test_a_program_that_succeeds_prints_nothing(capfd: pytest.CaptureFixture[str]) -> None:
    shell("echo out; echo err >&2")
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize(
    ("code", "said"),
    [
        ("echo no room >&2; exit 4", r"^mending failed \(code 4, 'no room'\): mend it$"),
        ("echo no room; exit 4", r"^mending failed \(code 4, 'no room'\): mend it$"),  # nothing on its error output
        ("printf 'caf\\351' >&2; exit 1", "'caf\ufffd'"),
        ("kill -9 $$", r"\(code -9, ''\)"),
    ],
)
def test_one_that_fails_says_what_it_printed(code: str, said: str) -> None:
    with pytest.raises(LabError, match=said):
        shell(code)


def test_of_much_that_it_printed_the_end_is_said() -> None:
    with pytest.raises(LabError, match="the very end") as raised:
        shell("seq 100000 >&2; echo the very end >&2; exit 1")
    assert len(str(raised.value)) < 700


def test_an_exit_code_that_is_accepted_is_no_failure() -> None:
    shell("exit 1", accepted=(0, 1))
    with pytest.raises(LabError, match="code 2"):
        shell("exit 2", accepted=(0, 1))


def test_one_that_does_not_end_is_ended() -> None:
    begun = time.monotonic()
    with pytest.raises(LabError, match=r"mending failed \(it did not end within 0.2 s\): mend it"):
        run_program(["sleep", "60"], 0.2, "mending failed", "mend it")
    assert time.monotonic() - begun < 20


def test_one_that_is_not_there_is_a_missing_tool() -> None:
    with pytest.raises(MissingTool, match="'no-such-program' is missing, mending failed: install it"):
        run_program(["no-such-program"], 1.0, "mending failed", "mend it")


def test_it_reads_what_it_is_given_and_nothing_of_the_terminal() -> None:
    shell("read line && exit 1; exit 0")
    with Path(__file__).open("rb") as source:
        shell("read line && exit 0; exit 1", stdin=source)


def test_a_program_off_the_path_of_everyone_is_found(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("deployers.lab.programs.FOLDERS", str(tmp_path))
    monkeypatch.delenv("PATH")
    with pytest.raises(MissingTool, match=r"^'server' is missing, it serves: install it$"):
        find_program("server", "it serves: install it")
    (tmp_path / "server").touch(mode=0o755)
    assert find_program("server", "") == str(tmp_path / "server")


# Logs


@given(text=st.text(alphabet=st.characters(exclude_categories=["Cs"]), max_size=200), characters=st.integers(1, 60))
def test_the_end_of_a_log_is_the_end_of_its_text(tmp_path_factory, text: str, characters: int) -> None:
    file = tmp_path_factory.getbasetemp() / "log"
    file.write_bytes(text.encode())
    found = end_of(file, characters)
    whole = text.strip()
    assert len(found) <= characters
    # White space at its very end hides what comes before it only where it fills all that was read.
    assert whole.endswith(found)
    if text == whole:
        assert found == whole[-characters:]


@given(st.binary(max_size=300))
def test_bytes_that_are_no_text_do_not_matter(tmp_path_factory, data: bytes) -> None:
    file = tmp_path_factory.getbasetemp() / "bytes"
    file.write_bytes(data)
    assert len(end_of(file, 10)) <= 10


def test_a_long_log_is_not_read_to_find_its_end(tmp_path: Path) -> None:
    with (tmp_path / "log").open("wb") as log:
        log.seek(1 << 40)  # a file with a hole: reading a terabyte would not end
        log.write(b"\nthe end\n")
    assert end_of(tmp_path / "log", 7) == "the end"


def test_no_log_says_nothing(tmp_path: Path) -> None:
    assert not end_of(tmp_path / "none")
    assert not end_of(tmp_path)
