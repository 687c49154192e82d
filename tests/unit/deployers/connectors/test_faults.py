"""Connections that break on purpose, and a Jetson that is not there."""

from __future__ import annotations

from pathlib import PurePosixPath
from typing import TYPE_CHECKING

import pytest

from deployers.connectors.base import Completed
from deployers.connectors.command import Command
from deployers.connectors.fake import FakeConnector
from deployers.connectors.faults import MOMENTS, FaultyConnector
from deployers.exceptions import NotFound, Unreachable

if TYPE_CHECKING:
    from pathlib import Path

PATH = PurePosixPath("/r/file")
DATA = b"0123456789"


def test_without_a_fault_everything_passes(tmp_path: Path) -> None:
    fake = FakeConnector(answer=lambda _: Completed(7))
    faulty = FaultyConnector(fake)
    assert faulty.run(Command(("id",))).code == 7
    assert faulty.upload(DATA, PATH, 0o600).sent == len(DATA)
    assert faulty.sha256(PATH) == fake.sha256(PATH)
    assert faulty.download(PATH, tmp_path / "x").size == len(DATA)
    faulty.close()
    assert (faulty.name, faulty.calls, fake.closed) == ("kitchen", 4, 1)


@pytest.mark.parametrize(("when", "ran"), [("before", []), ("middle", ["id"]), ("after", ["id"])])
def test_a_command_breaks_before_or_after_it_ran(when, ran) -> None:
    fake = FakeConnector()
    faulty = FaultyConnector(fake, 1, when)
    with pytest.raises(Unreachable, match=f"cut {when} call 1"):
        faulty.run(Command(("id",)))
    assert fake.commands == ran


@pytest.mark.parametrize(("when", "part", "whole"), [("before", 0, False), ("middle", 5, False), ("after", 0, True)])
def test_an_upload_breaks_with_none_half_or_all_of_it_there(when, part, whole) -> None:
    fake = FakeConnector()
    with pytest.raises(Unreachable):
        FaultyConnector(fake, 1, when).upload(DATA, PATH)
    assert (len(fake.parts.get(str(PATH), b"")), str(PATH) in fake.files) == (part, whole)
    assert fake.upload(DATA, PATH).sent == (0 if whole else len(DATA) - part)


@pytest.mark.parametrize("when", MOMENTS)
def test_after_the_fault_nothing_passes(when, tmp_path) -> None:
    faulty = FaultyConnector(FakeConnector(files={str(PATH): (DATA, 0o644)}), 2, when)
    faulty.sha256(PATH)
    assert not faulty.is_broken()
    with pytest.raises(Unreachable):
        faulty.download(PATH, tmp_path / "x")
    assert faulty.is_broken()
    for call in (lambda: faulty.sha256(PATH), lambda: faulty.run(Command(("id",))), lambda: faulty.upload(DATA, PATH)):
        with pytest.raises(Unreachable):
            call()


def test_a_part_of_another_file_is_not_gone_on_with() -> None:
    fake = FakeConnector(parts={str(PATH): b"xyz"})
    assert fake.upload(DATA, PATH).sent == len(DATA)


def test_a_file_that_is_there_is_not_sent() -> None:
    fake = FakeConnector()
    fake.upload(DATA, PATH)
    assert fake.upload(DATA, PATH).sent == 0


def test_what_is_not_there_is_not_found(tmp_path) -> None:
    with pytest.raises(NotFound):
        FakeConnector().download(PATH, tmp_path / "x")
    assert FakeConnector().sha256(PATH) is None
