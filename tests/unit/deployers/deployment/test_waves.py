"""Waves: every device once, canaries first, shares rising; what is no list of waves is refused."""

from __future__ import annotations

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deployers.deployment.rollout import gravest
from deployers.deployment.waves import Device, parse_waves, waves_of
from deployers.exceptions import InputError

DEVICES = st.lists(
    st.builds(Device, st.sampled_from("abcd"), st.sampled_from(["", "1", "2", "3"])),
    unique=True,
    min_size=0,
    max_size=16,
)
SHARES = st.lists(st.integers(1, 99), unique=True, max_size=5).map(sorted)


@pytest.mark.parametrize("text", ["canary,100%", "canary,25%,100%", "100%", " canary , 50% , 100% ", "1%,2%,100%"])
def test_waves_as_people_write_them(text: str) -> None:
    assert ",".join(parse_waves(text)) == text.replace(" ", "")


@pytest.mark.parametrize(
    "text",
    ["", "canary", "50%", "100%,canary", "50%,25%,100%", "0%,100%", "101%", "canary,canary,100%", "-5%,100%", "100",
     "100%,100%", "²5%,100%", "1e2%", "99999999999%"],
)  # fmt: skip
def test_what_is_no_list_of_waves_is_refused(text: str) -> None:
    with pytest.raises(InputError, match="--waves"):
        parse_waves(text)


@given(st.text(max_size=20))
def test_any_text_is_read_or_refused(text: str) -> None:
    with suppress(InputError):
        assert parse_waves(text)[-1] == "100%"


@given(DEVICES, SHARES, st.booleans(), st.data())
def test_every_device_is_in_one_wave(
    devices: list[Device], shares: list[int], canary: bool, data: st.DataObject
) -> None:
    names = parse_waves(",".join([*(["canary"] if canary else []), *(f"{share}%" for share in shares), "100%"]))
    canaries = data.draw(st.lists(st.sampled_from(devices), unique=True)) if devices else []
    waves = waves_of(names, devices, canaries)
    assert sorted(device for wave in waves for device in wave.devices) == sorted(devices)
    assert all(wave.devices for wave in waves)
    if canary and canaries:
        assert set(waves[0].devices) == set(canaries)
        assert waves[0].name == "canary"


def test_without_canaries_the_first_jetson_is_one() -> None:
    devices = [Device("a", "1"), Device("a", "2"), Device("b", "1"), Device("c")]
    waves = waves_of(("canary", "75%", "100%"), devices, [])
    assert [[device.name for device in wave.devices] for wave in waves] == [["a/1", "a/2"], ["b/1"], ["c"]]


def test_a_share_rounds_up_and_counts_the_canaries() -> None:
    devices = [Device(name) for name in "abcde"]
    waves = waves_of(("canary", "25%", "50%", "100%"), devices, [Device("d")])
    assert [[device.name for device in wave.devices] for wave in waves] == [["d"], ["a"], ["b"], ["c", "e"]]


@pytest.mark.parametrize(
    ("codes", "code"), [([], 0), ([5, 10], 10), ([9, 5, 3], 9), ([8, 10], 8), ([11, 8], 11), ([77, 5], 77)]
)
def test_the_gravest_failure_gives_the_exit_code(codes: list[int], code: int) -> None:
    assert gravest(codes) == code
