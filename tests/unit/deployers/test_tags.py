"""Tags in MLflow: what is told of a change, kept until it is told, and told in the order in which it happened."""

from __future__ import annotations

from typing import TYPE_CHECKING

import mlflow
import pytest

from deployers import tags
from deployers.exceptions import InputError
from deployers.registry import is_gone

if TYPE_CHECKING:
    from pathlib import Path

ONE, TWO = tags.Running("m", "1", 4, "ab" * 32), tags.Running("m", "2", 5, "cd" * 32)
NOBODY = tags.Running("", "", 5, "cd" * 32)
TIME = "2026-11-21T13:05:09Z"


class Told:
    def __init__(self) -> None:
        self.calls: list[tuple[str, ...]] = []

    def set_model_version_tag(self, *given: str) -> None:
        self.calls.append(("set", *given))

    def delete_model_version_tag(self, *given: str) -> None:
        self.calls.append(("delete", *given))


def test_a_version_that_takes_anothers_place() -> None:
    old, new = tags.changes("kitchen.board-1", ONE, TWO, TIME)
    assert old == tags.Change(
        "m", "1", {"ran_until.kitchen.board-1": TIME},
        ("running_since.kitchen.board-1", "image_version.kitchen.board-1", "image_sha256.kitchen.board-1"),
    )  # fmt: skip
    given = {
        "running_since.kitchen.board-1": TIME, "image_version.kitchen.board-1": "5",
        "image_sha256.kitchen.board-1": "cd" * 32,
    }  # fmt: skip
    assert new == tags.Change("m", "2", given, ("ran_until.kitchen.board-1",))


def test_the_same_version_in_a_new_image_did_not_end() -> None:
    (only,) = tags.changes("kitchen", ONE, tags.Running("m", "1", 6, "ef" * 32), TIME)
    assert (only.version, only.given["image_version.kitchen"]) == ("1", "6")


@pytest.mark.parametrize(
    ("before", "now", "versions"), [(None, ONE, ["1"]), (NOBODY, ONE, ["1"]), (ONE, NOBODY, ["1"]), (None, NOBODY, [])]
)
def test_of_what_is_not_registered_nobody_is_told(before, now, versions: list[str]) -> None:
    assert [change.version for change in tags.changes("kitchen", before, now, TIME)] == versions


def test_what_is_kept_is_told_once_and_in_order(tmp_path: Path) -> None:
    told = Told()
    assert tags.tell(tmp_path, told) == 0
    tags.keep(tmp_path, "2026-02", tags.changes("b", None, TWO, TIME), {"b": TWO})
    tags.keep(tmp_path, "2026-01", tags.changes("a", None, ONE, TIME), {"a": ONE})
    assert [path.name for path in tags.pending(tmp_path)] == ["2026-01.json", "2026-02.json"]
    assert tags.tell(tmp_path, told) == 2
    assert [call[2] for call in told.calls if call[0] == "set"] == ["1"] * 3 + ["2"] * 3
    assert (tags.tell(tmp_path, told), len(told.calls)) == (0, 8)
    assert tags.known(tmp_path) == {"a": ONE, "b": TWO}


def test_nothing_to_tell_keeps_nothing(tmp_path: Path) -> None:
    assert not tags.keep(tmp_path, "1", [], {})
    assert tags.pending(tmp_path) == []


def test_what_cannot_be_told_stays(tmp_path: Path) -> None:
    class Down(Told):
        def set_model_version_tag(self, *given: str) -> None:
            raise ConnectionError

    tags.keep(tmp_path, "1", tags.changes("a", None, ONE, TIME), {"a": ONE})
    with pytest.raises(ConnectionError):
        tags.tell(tmp_path, Down())
    assert len(tags.pending(tmp_path)) == 1
    assert tags.tell(tmp_path, Told()) == 1


@pytest.mark.parametrize("text", ["", "{}", "[1]", '[{"model": "m"}]', "\0"])
def test_a_file_that_is_none_of_ours_is_named(tmp_path: Path, text: str) -> None:
    (tmp_path / "tags").mkdir()
    (tmp_path / "tags" / "1.json").write_text(text)
    if text == "{}":
        assert tags.tell(tmp_path, Told()) == 1
        return
    with pytest.raises(InputError, match="move the file away"):
        tags.tell(tmp_path, Told())


@pytest.mark.parametrize("text", ["", "[]", '{"a": 1}', '{"a": {"model": "m"}}'])
def test_what_was_told_last_may_be_lost(tmp_path: Path, text: str) -> None:
    (tmp_path / "running.json").write_text(text)
    assert tags.known(tmp_path) == {}


def test_a_real_registry_is_told_and_one_that_forgot_the_version_is_not_asked_again(tmp_path: Path) -> None:
    client = mlflow.MlflowClient(f"sqlite:///{tmp_path}/m.db", f"sqlite:///{tmp_path}/m.db")
    client.create_registered_model("m")
    client.create_model_version("m", str(tmp_path))
    tags.keep(tmp_path, "1", tags.changes("kitchen", None, ONE, TIME), {})
    tags.keep(tmp_path, "2", tags.changes("kitchen", ONE, TWO, TIME), {})
    assert tags.tell(tmp_path, client, is_gone) == 2
    assert client.get_model_version("m", "1").tags == {"ran_until.kitchen": TIME}
