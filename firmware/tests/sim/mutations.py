"""Does the simulator notice? The slot code with one fault each, as somebody might write it, under the power cuts.

    .venv/bin/python firmware/tests/sim/mutations.py      (or: make -C firmware mutations)

Each mutant is compiled into the simulator; it must report failures. Needs `make -C firmware sim` first.
"""

# ruff: noqa: INP001, T201 - a script, which prints what it finds
from __future__ import annotations

import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

FIRMWARE = Path(__file__).resolve().parents[2]
ROOT = FIRMWARE.parent
BUILD = ROOT / "build" / "firmware" / "mutants"
FLAGS = ("-std=c99", "-O2", "-w", "-Icore", "-Itests", f'-DVECTORS_FOLDER="{ROOT / "tests" / "vectors"}"')
SECONDS = 120


@dataclass(frozen=True)
class Mutant:
    """One fault.

    Attributes:
        name: what is wrong.
        file: below core/slot.
        old: text that is there once.
        new: what it becomes.
    """

    name: str
    file: str
    old: str
    new: str


MUTANTS = (
    Mutant(
        "the version rises in a record of its own, before the confirmation",
        "slot.c",
        "    memset(&next, 0, sizeof next);\n    next.confirmed = (uint8_t)s->running;\n    next.lowest_version",
        "    next.lowest_version = s->version;\n    if (journal_append(s, &next) != STATUS_OK)\n"
        "        return STATUS_SLOT_FLASH;\n    memset(&next, 0, sizeof next);\n"
        "    next.confirmed = (uint8_t)s->running;\n    next.lowest_version",
    ),
    Mutant(
        "the slots change roles before the version rises",
        "slot.c",
        "    next.lowest_version = s->version;\n    return journal_append(s, &next);",
        "    next.lowest_version = s->record.lowest_version;\n    (void)journal_append(s, &next);\n"
        "    next.lowest_version = s->version;\n    return journal_append(s, &next);",
    ),
    Mutant(
        "a sector is recorded as erased before it is",
        "slot.c",
        "    if (s->flash->erase(s->flash->context, first + sector) != 0) {\n        return STATUS_SLOT_FLASH;\n    }\n"
        "    s->sector_is_fresh = 1;\n    return note_sectors(s, sector + 1);",
        "    if (note_sectors(s, sector + 1) != STATUS_OK)\n        return STATUS_SLOT_FLASH;\n"
        "    s->sector_is_fresh = 1;\n    return s->flash->erase(s->flash->context, first + sector) != 0 ? "
        "STATUS_SLOT_FLASH : STATUS_OK;",
    ),
    Mutant(
        "an image in test is started without a record of it",
        "slot.c",
        "    if (enter(s, SLOT_PHASE_TEST) != STATUS_OK) {\n        return 0;\n    }\n",
        "    s->record.phase = SLOT_PHASE_TEST;\n",
    ),
    Mutant(
        "an image in test is not given up at the next boot",
        "slot.c",
        "    if (s->record.phase == SLOT_PHASE_TEST) {\n        (void)enter(s, SLOT_PHASE_REVERTED);\n    } else if",
        "    if",
    ),
    Mutant(
        "a transfer goes on after the last block without comparing it",
        "slot.c",
        "    return from + at;",
        "    return from + at + block < s->record.bytes ? from + at + block : from + at;",
    ),
    Mutant(
        "a spoiled block is programmed over",
        "slot.c",
        "if (flash_is_blank(flash, offset, count) && flash_program",
        "if (flash_program",
    ),
    Mutant(
        "an image in the shadow is put to the test at a boot",
        "slot.c",
        "} else if (s->record.phase == SLOT_PHASE_INSTALLED && start_test",
        "} else if ((s->record.phase == SLOT_PHASE_INSTALLED || s->record.phase == SLOT_PHASE_SHADOW) && start_test",
    ),
    Mutant(
        "a transfer finds itself complete in any image in the shadow",
        "slot.c",
        "record.phase == SLOT_PHASE_SHADOW && is_same",
        "record.phase == SLOT_PHASE_SHADOW",
    ),
    Mutant(
        "nothing that was programmed is read back",
        "journal.c",
        "        memcmp(found, bytes, count) != 0)",
        "        0)",
    ),
    Mutant(
        "the journal erases the sector that holds",
        "journal.c",
        "s->flash->erase(s->flash->context, 1 - s->journal) != 0)",
        "s->flash->erase(s->flash->context, s->journal) != 0 || s->flash->erase(s->flash->context, 1 - s->journal))",
    ),
    Mutant(
        "records are believed without their CRC",
        "journal.c",
        "get_u32(bytes + CRC_OFFSET) != wire_crc32(0, bytes, CRC_OFFSET)",
        "0",
    ),
    Mutant(
        "the first record found holds, not the newest",
        "journal.c",
        "record.sequence > s->record.sequence",
        "s->record.sequence == 0",
    ),
    Mutant(
        "the confirmed slot is taken for the transfer",
        "slot.c",
        "? 0 : 1u - s->record.confirmed;",
        "? 0 : s->record.confirmed;",
    ),
)


def source(mutant: Mutant) -> str:
    """The mutated file.

    Raises:
        SystemExit: the text to change is not there once: the list must follow the code.
    """
    text = (FIRMWARE / "core" / "slot" / mutant.file).read_text(encoding="utf-8")
    found = text.count(mutant.old)
    if found != 1:
        sys.exit(f"mutant {mutant.name!r}: its text is {found!r} times in {mutant.file}, expected once: adapt the list")
    return text.replace(mutant.old, mutant.new)


def is_noticed(number: int) -> tuple[bool, str]:
    """Whether the simulator fails, and what it says last."""
    mutant = MUTANTS[number]
    folder = BUILD / str(number)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / mutant.file).write_text(source(mutant), encoding="utf-8")
    bearssl = f"-I{ROOT / 'build' / 'third_party' / 'bearssl' / 'inc'}"
    inputs = [str(folder / mutant.file), "tests/sim/power_cut.c", str(ROOT / "build/firmware/host/libcore.a"), "-lm"]
    program = str(folder / "power_cut")
    subprocess.run(["gcc", *FLAGS, bearssl, *inputs, "-o", program], cwd=FIRMWARE, check=True)  # noqa: S603, S607
    try:
        done = subprocess.run([program, "first"], capture_output=True, text=True, timeout=SECONDS, check=False)  # noqa: S603
    except subprocess.TimeoutExpired:
        return False, f"does not end within {SECONDS} s"
    return done.returncode == 1, (done.stdout.splitlines() or [f"exit code {done.returncode}"])[-1]


def main() -> None:
    """All mutants, two at a time."""
    with ThreadPoolExecutor(2) as pool:
        results = list(pool.map(is_noticed, range(len(MUTANTS))))
    for mutant, (noticed, line) in zip(MUTANTS, results, strict=True):
        print(f"{'noticed' if noticed else 'MISSED'}: {mutant.name}\n    {line}")
    missed = sum(not noticed for noticed, _ in results)
    print(f"{len(MUTANTS) - missed} of {len(MUTANTS)} mutants noticed")
    sys.exit(1 if missed else 0)


if __name__ == "__main__":
    main()
