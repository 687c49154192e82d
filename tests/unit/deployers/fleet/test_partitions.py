"""The file of a fleet: what it may say, and what is said of one that is wrong."""

from __future__ import annotations

from pathlib import Path

import pytest

from deployers.exceptions import InputError
from deployers.fleet.partitions import Fleet, Gate, of_wave
from tests.unit.deployers.deployment.conftest import make_world

BOARDS = {"attic": ("a1", "a2"), "barn": ("b1",), "cellar": ()}


def load(tmp_path: Path, text: str) -> Fleet:
    path = tmp_path / "fleet.toml"
    path.write_text(text)
    return Fleet.load(path)


def test_a_file_says_waves_gate_and_partitions(tmp_path: Path) -> None:
    found = load(
        tmp_path,
        """
        waves = ["canary", "100%"]
        max_failures = 2
        [gate]
        hours = 6
        [[partition]]
        name = "north"
        jetsons = ["attic", "b*"]
        model = "temperature-north"
        [[partition]]
        name = "south"
        jetsons = ["cellar"]
        version = "7"
        """,
    )
    assert (found.waves, found.max_failures, found.gate) == (("canary", "100%"), 2, Gate(hours=6))
    assert [(each.name, each.version) for each in found.partitions] == [("north", "champion"), ("south", "7")]
    divided = found.divided(make_world(tmp_path / "world", BOARDS).inventory)
    assert {name: [each.jetson.name for each in chosen] for name, chosen in divided.items()} == {
        "north": ["attic", "barn"],
        "south": ["cellar"],
    }


def test_an_empty_file_is_one_partition_of_everything(tmp_path: Path) -> None:
    assert load(tmp_path, "") == Fleet()


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("wave = []", "'wave' is no key that is known here"),
        ("[gate]\nhour = 1", "'gate.hour' is no key"),
        ("[gate]\nhours = -1", "'gate.hours' is -1"),
        ('[gate]\nhours = "day"', "'gate.hours' is 'day'"),
        ("partition = []", "'partition' is [], tuple should have at least 1 item"),
        ('[[partition]]\nname = "a b"', "'partition.0.name' 'a b' is no name"),
        ('[[partition]]\nname = "a"\n[[partition]]\nname = "a"', "partition 'a' is there twice"),
        ('waves = ["50%"]', "the last wave of --waves '50%' is '50%'"),
        ("waves = [", "is no TOML"),
    ],
)
def test_what_is_wrong_is_named(tmp_path: Path, text: str, said: str) -> None:
    with pytest.raises(InputError) as raised:
        load(tmp_path, text)
    assert said in str(raised.value)


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"fleet file '.*none.toml' cannot be read .*check --config"):
        Fleet.load(tmp_path / "none.toml")


@pytest.mark.parametrize(
    ("jetsons", "said"),
    [
        ((["attic"], ["a*"]), "jetson 'attic' is in the partitions 'p0' and 'p1', expected one"),
        ((["a1"],), "partition 'p0' takes boards of 'attic' without 'a2', expected all of them"),
        ((["dungeon"],), "partition 'p0': jetsons 'dungeon' fits nothing"),
    ],
)
def test_a_division_that_cannot_be_is_refused(tmp_path: Path, jetsons: tuple[list[str], ...], said: str) -> None:
    fleet = Fleet(partition=[{"name": f"p{at}", "jetsons": each} for at, each in enumerate(jetsons)])
    with pytest.raises(InputError) as raised:
        fleet.divided(make_world(tmp_path / "world", BOARDS).inventory)
    assert said in str(raised.value)


def test_a_wave_has_its_devices_and_those_that_are_gone_are_left_out(tmp_path: Path) -> None:
    fleet = Fleet(waves=("canary", "100%"))
    chosen = fleet.divided(make_world(tmp_path / "world", BOARDS, canary="a2").inventory)["fleet"]
    first, last = fleet.waves_over(chosen)
    assert [each.boards for each in of_wave(chosen, first.devices)] == [("a2",)]
    assert [(each.jetson.name, each.boards) for each in of_wave(chosen[1:], last.devices)] == [
        ("barn", ("b1",)),
        ("cellar", ()),
    ]
