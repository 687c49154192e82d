"""One set of status codes in both languages."""

from __future__ import annotations

import re
from pathlib import Path

from deployers.protocol.status import Status

ROOT = Path(__file__).resolve().parents[4]
HEADER = (ROOT / "firmware" / "core" / "status.h").read_text(encoding="utf-8")
RANGES = {"NN": 100, "IMAGE": 200, "SLOT": 300, "WIRE": 400, "SESSION": 500, "RING": 510, "FEATURES": 600}


def in_c() -> dict[str, int]:
    return {name: int(number) for name, number in re.findall(r"\bSTATUS_(\w+) = (-?\d+)", HEADER)}


def test_both_languages_have_the_same_names_and_numbers() -> None:
    assert {status.name: status.value for status in Status} == in_c()


def test_no_number_has_two_meanings() -> None:
    assert len(set(in_c().values())) == len(in_c()) == len(re.findall(r"\bSTATUS_\w+ =", HEADER))


def test_success_is_zero_and_everything_else_negative() -> None:
    assert Status.OK == 0
    assert all(status < 0 for status in Status if status is not Status.OK)


def test_each_part_keeps_to_its_range() -> None:
    for status in Status:
        part = status.name.partition("_")[0]
        if part in RANGES:
            assert 0 <= -status - RANGES[part] < 100, status.name


def test_every_code_says_what_it_means() -> None:
    for line in HEADER.splitlines():
        if re.search(r"STATUS_\w+ = -", line):
            assert re.search(r"/\* .{10,} \*/", line), line
