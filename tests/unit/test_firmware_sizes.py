"""The script that measures a firmware: sections, frames, and the deepest chain of calls."""

from __future__ import annotations

import runpy
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2]
SCRIPT = ROOT / "scripts" / "firmware_sizes.py"
script = runpy.run_path(str(SCRIPT))
SizesError = script["SizesError"]

DISASSEMBLY = """
00000000 <Reset_Handler>:
   0:\tb.w\t8 <main>
00000008 <main>:
   8:\tpush\t{r4, lr}
   a:\tsub\tsp, #24
   c:\tbl\t20 <leaf>
  10:\tbl\t40 <table>
  14:\tcbz\tr0, 18 <main+0x10>
  16:\tpop\t{r4, pc}
00000020 <leaf>:
  20:\tstmdb\tsp!, {r4, r5, r6, r7, r8, lr}
  24:\tvpush\t{d8-d9}
  28:\tbx\tlr
00000040 <table>:
  40:\tstr.w\tlr, [sp, #-4]!
  44:\tblx\tr3
00000060 <target.isra.0>:
  60:\tsub.w\tsp, sp, #1024\t@ 0x400
00000080 <target>:
  80:\tsubw\tsp, sp, #2044\t; 0x7fc
000000a0 <SysTick_Handler>:
  a0:\tbx\tlr
"""
MAP = """
 .text.main
                0x00000008       0x18 build/app/app.o
 .text          0x00000020       0x20 build/lib.a(leaf.o)
 .text.table    0x00000040       0x20 build/app/table.o
 .text.target.isra.0
                0x00000060       0x20 build/one.o
 .text.target   0x00000080       0x20 build/two.o
 .text.gone     0x00000000        0x0 build/gone.o
"""


def functions(calls: str, disassembly: str = DISASSEMBLY) -> dict[int, Any]:
    found: dict[int, Any] = script["parse_disassembly"](disassembly)
    script["connect"](found, script["parse_map"](MAP), calls)
    return found


@pytest.mark.parametrize(
    ("line", "bytes_taken"),
    [
        ("\tpush\t{r4, lr}", 8),
        ("\tpush\t{r3-r7, lr}", 24),
        ("\tstmdb\tsp!, {r4, r5}", 8),
        ("\tvpush\t{d8-d15}", 64),
        ("\tvpush\t{s16}", 4),
        ("\tsub\tsp, #12", 12),
        ("\tsub.w\tsp, sp, #320", 320),
        ("\tstrd\tr4, r5, [sp, #-16]!", 16),
        ("\tadd\tsp, #12", 0),
        ("\tstr\tr0, [sp, #4]", 0),
    ],
)
def test_what_a_line_takes(line: str, bytes_taken: int) -> None:
    assert script["frame_bytes"](line) == bytes_taken


@pytest.mark.parametrize("line", ["\tsub.w\tsp, sp, r3", "\tmov\tsp, r7", "\tsub\tsp, r2"])
def test_a_frame_that_is_not_constant_is_an_error(line: str) -> None:
    with pytest.raises(SizesError, match="not constant"):
        script["frame_bytes"](line)


def test_frames_add_up_along_the_deepest_chain() -> None:
    most, chain = script["deepest"](functions("*/table.o: nothing"), "Reset_Handler")
    assert (most, chain) == (32 + 24 + 16, ["Reset_Handler 0", "main 32", "leaf 40"])


def test_a_call_through_a_pointer_reaches_what_is_said() -> None:
    most, chain = script["deepest"](functions("*/table.o: target@*/one.o"), "Reset_Handler")
    assert (most, chain[-1]) == (32 + 4 + 1024, "target.isra.0 1024")
    most, _ = script["deepest"](functions("table@*.o: target"), "Reset_Handler")
    assert most == 32 + 4 + 2044


def test_the_first_line_that_fits_counts() -> None:
    calls = "other@*/table.o: target  # not this one\ntable@*/table.o: leaf\n*: target\n"
    most, _ = script["deepest"](functions(calls), "Reset_Handler")
    assert most == 32 + 4 + 40


def test_an_object_that_is_not_named_is_an_error() -> None:
    with pytest.raises(SizesError, match=r"table in 'build/app/table.o' calls through a pointer"):
        functions("*/app.o: target")


def test_recursion_is_an_error_until_it_is_cut() -> None:
    calls = "*/table.o: main"
    with pytest.raises(SizesError, match="recursion: main → table → main"):
        script["deepest"](functions(calls), "Reset_Handler")
    most, _ = script["deepest"](functions(f"{calls}\ncut: table main\n"), "Reset_Handler")
    assert most == 72


def test_sections_are_added_up() -> None:
    sizes = (
        ".text 100 0\n.data 8 536870912\n.bss 50 536870920\n.stack 64 0\n.flash_image 999 0\n.debug_info 7 0\nTotal 9\n"
    )
    assert script["section_bytes"](sizes) == {"flash": 108, "ram": 122}


@pytest.mark.skipif(shutil.which("arm-none-eabi-gcc") is None, reason="no compiler for the Cortex-M7")
def test_a_budget_that_is_exceeded_fails_and_names_it(tmp_path: Path) -> None:
    source, elf = tmp_path / "one.c", tmp_path / "one.elf"
    source.write_text(
        "const char text[100] = {1}; int value[25] = {1}; void Reset_Handler(void) { value[0] = text[0]; }\n"
    )
    flags = ["-mcpu=cortex-m7", "-mthumb", "-nostdlib", "-eReset_Handler", "-Wl,--no-warn-rwx-segments"]
    subprocess.run(["arm-none-eabi-gcc", *flags, str(source), "-o", str(elf)], check=True)
    command = [sys.executable, str(SCRIPT), str(elf), "--ram", "99", "--json", str(tmp_path / "sizes.json")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert done.stderr == "one: 100 bytes of ram, allowed are 99\n"
    assert '"ram": 100' in (tmp_path / "sizes.json").read_text()


def test_a_file_that_is_no_program_is_an_error_of_one_line(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, str(SCRIPT), str(tmp_path / "none.elf")], capture_output=True, text=True, check=False
    )
    assert done.returncode == 2
    assert done.stderr.startswith("firmware_sizes: ")
    assert done.stderr.count("\n") == 1
