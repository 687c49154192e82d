"""Flash, RAM and the deepest stack of a firmware for the Cortex-M, from its ELF file and its linker map.

    python scripts/firmware_sizes.py PROGRAM.elf --calls CALLS --flash 163840 --ram 131072 --stack 8192 --json FILE

The stack is a bound, not a sample: frames come from the disassembly, so that the libraries count too, and are added up
along the deepest chain of calls, with one interrupt on top. What a call through a pointer may reach says the file
CALLS, in lines `object: function ...` for the object file that the call stands in: a pattern of its path in the map. On
either side `function@object` names one function, and the first line that fits counts. An object file that is not named
there, and any recursion, is an error; `cut: caller callee` leaves out a call that cannot recur, with its reason in a
comment beside it. Without CALLS the stack is not looked at.
"""

from __future__ import annotations

import argparse
import json
import re
import shutil
import subprocess
import sys
from bisect import bisect_right
from dataclasses import dataclass, field
from fnmatch import fnmatch
from pathlib import Path

TOOLS = "arm-none-eabi-"
FLASH = (".text", ".ARM.exidx", ".init_array", ".data")
RAM = (".data", ".bss", ".stack", ".network", ".retained")
START, INTERRUPT = "Reset_Handler", "SysTick_Handler"
# What the core pushes when it enters an interrupt: 26 words with the FPU's registers, and one to align them.
EXCEPTION_BYTES = 108

_FUNCTION = re.compile(r"^([0-9a-f]+) <([^>]+)>:$")
_CONDITION = "eq|ne|cs|cc|mi|pl|vs|vc|hi|ls|ge|lt|gt|le"
_DIRECT = re.compile(rf"\t(?:blx?|b(?:{_CONDITION})?(?:\.[nw])?|cbn?z)\t(?:\w+, )?([0-9a-f]+) <([^>+]+)>$")
_POINTER = re.compile(r"\t(?:blx|bx)\t(?!lr)\w+$")
_PUSH = re.compile(r"\t(?:push|stmdb\tsp!,|stmdb\.w\tsp!,|vpush)\s+\{([^}]*)\}")
_SUBTRACT = re.compile(r"\tsubw?(?:\.w)?\tsp, (?:sp, )?#(\d+)")
_PRE_INDEXED = re.compile(r"\[sp, #-(\d+)\]!")
_DYNAMIC = re.compile(r"\t(?:subw?(?:\.w)?|mov)\tsp, (?:sp, )?r\d")
_SECTION = re.compile(r"^ \.text\S*\s+0x([0-9a-f]+)\s+0x([0-9a-f]+) (\S+)$", re.MULTILINE)


class SizesError(Exception):
    """The program cannot be measured, or is over its budget."""


@dataclass
class Function:
    """One function of the program.

    Attributes:
        frame: bytes of stack it takes itself.
        callees: addresses of the functions it calls or jumps to.
        by_pointer: it also calls through a pointer.
    """

    name: str
    address: int
    frame: int = 0
    callees: set[int] = field(default_factory=set)
    by_pointer: bool = False


def pushed_bytes(registers: str) -> int:
    """Bytes of a register list such as `r4, r5-r7, lr` or `d8-d9`."""
    total = 0
    for item in registers.split(","):
        first, _, last = item.strip().partition("-")
        count = int(last[1:]) - int(first[1:]) + 1 if last else 1
        total += count * (8 if first.startswith("d") else 4)
    return total


def frame_bytes(line: str) -> int:
    """What one line of the disassembly takes from the stack.

    Raises:
        SizesError: an amount that is not known before it runs.
    """
    if found := _PUSH.search(line):
        return pushed_bytes(found[1])
    if found := _SUBTRACT.search(line) or _PRE_INDEXED.search(line):
        return int(found[1])
    if _DYNAMIC.search(line):
        message = f"stack of a size that is not constant: {line.strip()!r}: use an array of constant length"
        raise SizesError(message)
    return 0


def parse_disassembly(text: str) -> dict[int, Function]:
    """The functions of `objdump -d --no-show-raw-insn`, by address."""
    functions: dict[int, Function] = {}
    current = Function("", -1)
    for line in text.splitlines():
        bare = line.split("@")[0].split(";")[0].rstrip()
        if found := _FUNCTION.match(bare):
            current = functions.setdefault(int(found[1], 16), Function(found[2], int(found[1], 16)))
            continue
        current.frame += frame_bytes(bare)
        current.by_pointer |= bool(_POINTER.search(bare))
        if (found := _DIRECT.search(bare)) and int(found[1], 16) != current.address and found[2] != current.name:
            current.callees.add(int(found[1], 16))
    return functions


def parse_map(text: str) -> list[tuple[int, str]]:
    """Start address and object file of each piece of code, in order."""
    joined = re.sub(r"^( \.text\S*)\n\s+", r"\1 ", text, flags=re.MULTILINE)
    return sorted((int(start, 16), path) for start, size, path in _SECTION.findall(joined) if int(size, 16))


def parse_calls(text: str) -> tuple[list[tuple[str, list[str]]], set[tuple[str, str]]]:
    """What the file CALLS says: targets by pattern of the object file, and calls left out."""
    targets: list[tuple[str, list[str]]] = []
    cuts: set[tuple[str, str]] = set()
    for line in text.splitlines():
        where, _, names = line.partition("#")[0].partition(":")
        if where.strip() == "cut":
            caller, callee = names.split()
            cuts.add((caller, callee))
        elif where.strip():
            targets.append((where.strip(), names.split()))
    return targets, cuts


def connect(functions: dict[int, Function], objects: list[tuple[int, str]], calls: str) -> None:
    """Add the calls through pointers, and leave out those that are cut.

    Raises:
        SizesError: an object file that is not named.
    """
    targets, cuts = parse_calls(calls)
    places = {address: _object_of(address, objects) for address in functions}
    for function in functions.values():
        if function.by_pointer:
            wanted = _targets_of(function, places[function.address], targets)
            function.callees |= {
                other.address
                for other in functions.values()
                if any(_is_meant(target, other.name, places[other.address]) for target in wanted)
            }
        function.callees = {
            callee
            for callee in function.callees
            if callee in functions and (_plain(function.name), _plain(functions[callee].name)) not in cuts
        }


def deepest(functions: dict[int, Function], start: str) -> tuple[int, list[str]]:
    """Bytes of the deepest chain of calls from `start`, and the names along it.

    Raises:
        SizesError: recursion.
    """
    known: dict[int, tuple[int, list[str]]] = {}

    def depth(address: int, path: tuple[int, ...]) -> tuple[int, list[str]]:
        if address in path:
            circle = " → ".join(functions[step].name for step in (*path[path.index(address) :], address))
            message = f"recursion: {circle}: its depth has no bound"
            raise SizesError(message)
        if address not in known:
            function = functions[address]
            below = [depth(callee, (*path, address)) for callee in sorted(function.callees)]
            most, names = max(below, default=(0, []), key=lambda item: item[0])
            known[address] = (function.frame + most, [f"{function.name} {function.frame}", *names])
        return known[address]

    return depth(next(f.address for f in functions.values() if f.name == start), ())


def stack_bytes(elf: Path, calls: Path) -> tuple[int, list[str]]:
    """The deepest stack of a program, and the chain of calls that takes it."""
    functions = parse_disassembly(_run("objdump", "-d", "--no-show-raw-insn", str(elf)))
    objects = parse_map(elf.with_suffix(".map").read_text(encoding="utf-8"))
    connect(functions, objects, calls.read_text(encoding="utf-8"))
    most, chain = deepest(functions, START)
    interrupt, _ = deepest(functions, INTERRUPT)
    return most + EXCEPTION_BYTES + interrupt, chain


def section_bytes(text: str) -> dict[str, int]:
    """Flash and RAM from `size -A`."""
    rows = (line.split() for line in text.splitlines())
    sizes = {row[0]: int(row[1]) for row in rows if len(row) == 3 and row[1].isdigit()}
    return {
        "flash": sum(sizes.get(name, 0) for name in FLASH),
        "ram": sum(sizes.get(name, 0) for name in RAM),
    }


def main(arguments: list[str]) -> int:
    """Measure, print, write the file; 1 if a budget is exceeded."""
    options = _parser().parse_args(arguments)
    sizes = section_bytes(_run("size", "-A", str(options.elf)))
    chain: list[str] = []
    if options.calls:
        sizes["stack"], chain = stack_bytes(options.elf, options.calls)
    over = [name for name, size in sizes.items() if getattr(options, name) and size > getattr(options, name)]
    shown = (f"{name} {size:,} of {getattr(options, name):,} bytes" for name, size in sizes.items())
    sys.stdout.write(f"{options.elf.stem}: {', '.join(shown)}\n")
    if chain:
        sys.stdout.write(f"  deepest stack: {' → '.join(chain)}\n")
    if options.json:
        options.json.write_text(json.dumps(sizes) + "\n", encoding="utf-8")
    for name in over:
        sys.stderr.write(f"{options.elf.stem}: {sizes[name]!r} bytes of {name}, allowed are {getattr(options, name)}\n")
    return 1 if over else 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0] if __doc__ else "")
    parser.add_argument("elf", type=Path)
    parser.add_argument("--calls", type=Path)
    parser.add_argument("--json", type=Path)
    for name in ("flash", "ram", "stack"):
        parser.add_argument(f"--{name}", type=int, default=0, metavar="BYTES")
    return parser


def _plain(name: str) -> str:
    """The name in the source; the compiler appends `.isra.0` and the like to its copies."""
    return name.partition(".")[0]


def _object_of(address: int, objects: list[tuple[int, str]]) -> str:
    at = bisect_right(objects, (address, "\U0010ffff")) - 1
    return objects[at][1] if at >= 0 else "no object file"


def _is_meant(target: str, name: str, place: str) -> bool:
    wanted, _, pattern = target.partition("@")
    return wanted == _plain(name) and fnmatch(place, pattern or "*")


def _targets_of(function: Function, place: str, targets: list[tuple[str, list[str]]]) -> list[str]:
    for pattern, names in targets:
        caller, at, where = pattern.rpartition("@")
        if fnmatch(place, where) and (not at or caller == _plain(function.name)):
            return names
    message = f"{function.name} in {place!r} calls through a pointer: add a line for it to the file of such calls"
    raise SizesError(message)


def _run(tool: str, *arguments: str) -> str:
    if shutil.which(TOOLS + tool) is None:
        message = f"{TOOLS + tool!r} is missing: install it (Debian: binutils-arm-none-eabi)"
        raise SizesError(message)
    done = subprocess.run([TOOLS + tool, *arguments], capture_output=True, text=True, check=False)  # noqa: S603 - a fixed tool
    if done.returncode:
        message = f"{TOOLS}{tool} failed: {done.stderr.strip()!r}"
        raise SizesError(message)
    return done.stdout


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1:]))
    except SizesError as error:
        sys.stderr.write(f"firmware_sizes: {error}\n")
        sys.exit(2)
