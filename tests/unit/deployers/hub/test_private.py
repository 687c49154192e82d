"""Variables in a file that only its owner may read."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from deployers.exceptions import InputError
from deployers.hub.private import read_variables

if TYPE_CHECKING:
    from pathlib import Path


def written(tmp_path: Path, text: str, mode: int = 0o600) -> Path:
    path = tmp_path / "hub.env"
    path.write_text(text)
    path.chmod(mode)
    return path


def test_each_line_is_a_variable(tmp_path: Path) -> None:
    path = written(tmp_path, "# alerts\n\nEDGELOOP_SMTP_PASSWORD=a b=c#d\n; also\n  OTHER_1=\n")
    assert read_variables(path) == {"EDGELOOP_SMTP_PASSWORD": "a b=c#d", "OTHER_1": ""}


def test_no_file_is_no_variables(tmp_path: Path) -> None:
    assert read_variables(tmp_path / "hub.env") == {}


@pytest.mark.parametrize("line", ["hunter2", "1A=hunter2", "A B=hunter2", 'A="hunter2"', r"A=hunter2\n", "export A=x"])
def test_what_another_program_would_read_otherwise_is_refused_and_not_shown(tmp_path: Path, line: str) -> None:
    with pytest.raises(InputError, match="line 2: expected NAME=value, without quotes and backslashes") as refused:
        read_variables(written(tmp_path, f"B=1\n{line}\n"))
    assert "hunter" not in str(refused.value)


def test_others_may_not_read_it(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="chmod 600"):
        read_variables(written(tmp_path, "A=1\n", 0o640))
