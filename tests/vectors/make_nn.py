"""Write tests/vectors/nn.bin: operators and cells with what TFLM's reference kernels answer, for host and board.

    .venv/bin/python -m tests.vectors.make_nn [FILE]

Little-endian: "NNV1", the version of the tflite-micro wheel (32 bytes, zero padded), u32 number of cases; each case:
name (48 bytes, zero padded), u32 bytes of the .tflite file, u32 tensors at each end, u32 steps, u32 tolerance in 1e-9
(0: the same bits), zeros to a multiple of 16, the file, then for each step every input and every expected output as
raw bytes, and zeros to a multiple of 16. A step sets all inputs, states too.
"""

from __future__ import annotations

import importlib.metadata
import struct
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from tests.vectors.cells import gru_cell
from tests.vectors.tflite_file import TfliteFile

ROOT = Path(__file__).resolve().parents[2]
LIMITS = {"int8": (-128, 127), "int16": (-32768, 32767)}
FIXED = {
    ("LOGISTIC", "int8"): (1 / 256, -128),
    ("LOGISTIC", "int16"): (1 / 32768, 0),
    ("TANH", "int8"): (1 / 128, 0),
    ("TANH", "int16"): (1 / 32768, 0),
}
FLOAT_TOLERANCE = 1e-6


@dataclass
class Case:
    """One file with the inputs of its steps.

    Attributes:
        steps: for each step the input arrays, in the file's order.
    """

    name: str
    file: bytes
    steps: list[list[Any]]
    tolerance: float = 0.0


def reference(file: bytes) -> Any:
    """TFLM with its reference kernels."""
    from tflite_micro.python.tflite_micro import runtime

    return runtime.Interpreter.from_bytes(file, arena_size=1 << 20)


def answers(interpreter: Any, inputs: list[Any]) -> list[Any]:
    """The reference's outputs for one step."""
    for index, value in enumerate(inputs):
        interpreter.set_input(value, index)
    interpreter.invoke()
    return [interpreter.get_output(index) for index in range(len(inputs))]


def values(rng: np.random.Generator, dtype: str, size: int) -> Any:
    """A row of random values; a fifth of the integers lie at the ends of their range."""
    if dtype == "float32":
        return (rng.normal(size=(1, size)) * 3).astype(np.float32)
    low, high = LIMITS[dtype]
    row = rng.integers(low, high + 1, (1, size))
    chance = rng.random((1, size))
    row[chance < 0.1], row[chance > 0.9] = low, high
    return row.astype(dtype)


def scales(rng: np.random.Generator, dtype: str, *, power: bool) -> tuple[Any, int]:
    """A scale and a zero point that an operator may have."""
    if dtype == "float32":
        return None, 0
    base = 1 / 128 if dtype == "int8" else 1 / 32768
    exponent = int(rng.integers(-2, 4)) if power else rng.uniform(-2, 4)
    return float(np.float32(base * 2.0**exponent)), int(rng.integers(-128, 128)) if dtype == "int8" else 0


def two_inputs(rng: np.random.Generator, operator: str, dtype: str, size: int, *, power: bool) -> Case:
    """ADD, SUB or MUL of x and a state that stays."""
    file = TfliteFile()
    a, b, out = (scales(rng, dtype, power=power) for _ in range(3))
    if operator == "MUL" and dtype != "float32":
        out = (float(np.float32(a[0] * b[0] * 2.0 ** (7.3 if dtype == "int8" else 15.4))), out[1])
    x, state = file.tensor((1, size), dtype, *a), file.tensor((1, size), dtype, *b)
    kept, y = file.tensor((1, size), dtype, *b), file.tensor((1, size), dtype, *out)
    file.operator(operator, [x, state], [y], **({} if operator == "MUL" else {"potScaleInt16": False}))
    file.operator("RESHAPE", [state], [kept])
    steps = [[values(rng, dtype, size), values(rng, dtype, size)]]
    return Case(f"{operator} {dtype}{' powers' if power else ''}", file.pack([x, state], [y, kept]), steps)


def with_constant(rng: np.random.Generator, dtype: str, size: int) -> Case:
    """SUB of a constant of one element and x, as Keras writes 1 − z."""
    file = TfliteFile()
    scale = scales(rng, dtype, power=False)
    high = LIMITS.get(dtype, (0, 1))[1]
    one = file.tensor((), dtype, scale[0], scale[1], np.array(high if dtype != "float32" else 1))
    x, y = file.tensor((1, size), dtype, *scale), file.tensor((1, size), dtype, *scales(rng, dtype, power=False))
    file.operator("SUB", [one, x], [y], potScaleInt16=False)
    return Case(f"SUB constant {dtype}", file.pack([x], [y]), [[values(rng, dtype, size)]])


def one_input(rng: np.random.Generator, operator: str, dtype: str, scale: float | None, inputs: Any) -> Case:
    """LOGISTIC, TANH or QUANTIZE."""
    file = TfliteFile()
    zero = int(rng.integers(-20, 20)) if dtype == "int8" else 0
    x = file.tensor(inputs.shape, dtype, scale, zero)
    y = file.tensor(inputs.shape, dtype, *FIXED.get((operator, dtype), scales(rng, dtype, power=False)))
    file.operator(operator, [x], [y])
    return Case(f"{operator} {dtype} {'' if scale is None else format(scale, '.3g')}", file.pack([x], [y]), [[inputs]])


def dense(
    rng: np.random.Generator, dtype: str, columns: int, rows: int, *, channels: bool, relu: bool, bias: bool = True
) -> Case:
    """FULLY_CONNECTED with one weight scale or one a row, with a bias or without."""
    file = TfliteFile()
    x_scale, y_scale = scales(rng, dtype, power=False), scales(rng, dtype, power=False)
    weights = rng.integers(-127, 128, (rows, columns))
    x, y = file.tensor((1, columns), dtype, *x_scale), 0
    if dtype == "float32":
        parameters = [
            file.tensor((rows, columns), dtype, data=weights / 127),
            file.tensor((rows,), dtype, data=rng.normal(size=rows)),
        ]
    else:
        steps = (0.01 * rng.uniform(0.3, 1, rows)).astype(np.float32) if channels else np.array([0.01], np.float32)
        wide, spread = ("int32", 3000) if dtype == "int8" else ("int64", 300_000)
        parameters = [
            file.tensor((rows, columns), "int8", list(steps), 0, weights),
            file.tensor((rows,), wide, list(steps * np.float32(x_scale[0])), 0, rng.integers(-spread, spread, rows)),
        ]
        y_scale = (float(np.float32(x_scale[0] * 0.01 * 60 * columns**0.5)), y_scale[1])
    y = file.tensor((1, rows), dtype, *y_scale)
    parameters[1] = parameters[1] if bias else -1
    file.operator("FULLY_CONNECTED", [x, *parameters], [y], fusedActivationFunction=int(relu))
    name = f"FULLY_CONNECTED {dtype} {columns}x{rows}{' channels' if channels else ''}{' relu' if relu else ''}"
    return Case(name, file.pack([x], [y]), [[values(rng, dtype, columns)] for _ in range(3)])


def moving(rng: np.random.Generator, dtype: str) -> Case:
    """CONCATENATION, STRIDED_SLICE and SPLIT: a window of the last three inputs, and its parts added up."""
    file = TfliteFile()
    scale = scales(rng, dtype, power=False)
    row = {size: lambda size=size: file.tensor((1, size), dtype, *scale) for size in (4, 8, 12)}
    x, window, joined, following, y = row[4](), row[8](), row[12](), row[8](), row[4]()
    ends = [file.tensor((2,), "int32", data=pair) for pair in ([0, 4], [0, 12], [1, 1])]
    axis, parts = file.tensor((), "int32", data=1), [row[4]() for _ in range(3)]
    between = row[4]()
    file.operator("CONCATENATION", [window, x], [joined], axis=1)
    file.operator("STRIDED_SLICE", [joined, *ends], [following], beginMask=1, endMask=3)
    file.operator("SPLIT", [axis, joined], parts, numSplits=3)
    file.operator("ADD", parts[:2], [between], potScaleInt16=False)
    file.operator("ADD", [between, parts[2]], [y], potScaleInt16=False)
    steps = [[values(rng, dtype, 4), values(rng, dtype, 8)] for _ in range(2)]
    return Case(f"moving {dtype}", file.pack([x, window], [y, following]), steps)


def cell(rng: np.random.Generator, dtype: str, sizes: tuple[int, int, int], *, general: bool, **options: Any) -> Case:
    """A GRU cell along its own trajectory, thrown to a random state now and then; options as of `gru_cell`."""
    made = gru_cell(dtype, *sizes, seed=sum(sizes), general=general, **options)
    interpreter = reference(made.file)
    state = np.zeros((1, made.units), dtype)
    steps = []
    for step in range(24):
        x = values(rng, dtype, made.inputs)
        if dtype != "float32" and step % 3:
            x = (x // 4).astype(dtype)
        if step % 8 == 7:
            state = values(rng, dtype, made.units) if dtype != "float32" else -state
        steps.append([x, state])
        state = answers(interpreter, steps[-1])[1].copy()
    name = f"gru {dtype} {'x'.join(map(str, sizes))}{' general' if general else ''}"
    return Case(name, made.file, steps)


def cases() -> list[Case]:
    """Every operator in every type with ordinary, extreme and power-of-two scales, and whole cells."""
    rng = np.random.default_rng(20)
    made = []
    for dtype in ("float32", "int8", "int16"):
        integer = dtype != "float32"
        for operator in ("ADD", "SUB", "MUL"):
            made += [two_inputs(rng, operator, dtype, 96, power=power) for power in (False, True)[: 1 + integer]]
        made += [with_constant(rng, dtype, 48), moving(rng, dtype)]
        low, high = LIMITS.get(dtype, (0, 0))
        every = np.arange(low, high + 1, 1 if dtype == "int8" else 97).astype(dtype)[None]
        inputs = every if integer else (np.linspace(-12, 12, 97) ** 3 / 100).astype(np.float32)[None]
        chosen = {"float32": (None,), "int8": (0.07, 1 / 32), "int16": (1 / 4096, 1 / 2048, 2.3e-4)}[dtype]
        made += [one_input(rng, name, dtype, scale, inputs) for name in ("LOGISTIC", "TANH") for scale in chosen]
        if integer:
            made.append(one_input(rng, "QUANTIZE", dtype, scales(rng, dtype, power=False)[0], values(rng, dtype, 96)))
        for sizes in ((4, 6), (16, 5), (13, 7), (1, 1), (32, 30)):
            made.append(dense(rng, dtype, *sizes, channels=False, relu=False))
        made.append(dense(rng, dtype, 12, 10, channels=integer, relu=True))
        for sizes in ((4, 16, 6), (5, 13, 3), (4, 32, 6)):
            made += [cell(rng, dtype, sizes, general=general) for general in (False, True)[: 1 + integer]]
    for case in made:
        if "float32" in case.name:
            # Sums of 32 terms of up to 10 that cancel keep fewer digits than a cell's values.
            case.tolerance = FLOAT_TOLERANCE * (10 if case.name.startswith("FULLY_CONNECTED") else 1)
    return made


def encode(case: Case) -> bytes:
    """The bytes of one case, with the reference's answers."""
    interpreter = reference(case.file)
    ends = len(case.steps[0])
    head = struct.pack("<48s4I", case.name.encode(), len(case.file), ends, len(case.steps), round(case.tolerance * 1e9))
    body = b"".join(
        np.ascontiguousarray(part).tobytes()
        for inputs in case.steps
        for part in [*inputs, *answers(interpreter, inputs)]
    )
    return b"".join(part + bytes(-len(part) % 16) for part in (head, case.file, body))


def main() -> None:
    """Write the file."""
    target = Path(sys.argv[1]) if len(sys.argv) > 1 else ROOT / "tests" / "vectors" / "nn.bin"
    made = cases()
    version = importlib.metadata.version("tflite-micro").encode()
    head = struct.pack("<4s32sI", b"NNV1", version, len(made))
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_bytes(head + bytes(-len(head) % 16) + b"".join(encode(case) for case in made))
    sys.stdout.write(f"{target.name}: {len(made)} cases, {target.stat().st_size} bytes\n")


if __name__ == "__main__":
    main()
