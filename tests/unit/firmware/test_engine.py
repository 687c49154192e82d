"""The engine beside TFLM's reference kernels, and what it refuses, by name."""

from __future__ import annotations

import re
import struct
from typing import Any

import numpy as np
import pytest

from deployers.exceptions import ConversionError
from deployers.protocol.status import Status
from tests.vectors import make_nn
from tests.vectors.raw_engine import RawEngine
from tests.vectors.tflite_file import TfliteFile

EVERY_INT16 = np.arange(-32768, 32768).astype(np.int16)[None]


def largest_difference(library, case: make_nn.Case) -> float:
    reference, engine = make_nn.reference(case.file), RawEngine(case.file, library)
    worst = 0.0
    for inputs in case.steps:
        expected, found = make_nn.answers(reference, inputs), engine.run(inputs)
        for a, b in zip(expected, found, strict=True):
            scale = np.maximum(1, np.abs(a.ravel().astype(float)))
            worst = max(worst, float((np.abs(a.ravel().astype(float) - b.astype(float)) / scale).max()))
    return worst


@pytest.mark.parametrize("scale", [1 / 4096, 1 / 2048, 1 / 8192, 2.3e-4, 7.7e-4, 3e-5])
@pytest.mark.parametrize("operator", ["LOGISTIC", "TANH"])
def test_int16_curves_have_the_reference_s_bits_for_every_input(engine_library, operator, scale):
    rng = np.random.default_rng(0)
    case = make_nn.one_input(rng, operator, "int16", scale, EVERY_INT16[:, ::16])
    case.steps = [[EVERY_INT16[:, start::16]] for start in range(16)]
    assert largest_difference(engine_library, case) == 0


@pytest.mark.parametrize("seed", range(12))
@pytest.mark.parametrize("operator", ["LOGISTIC", "TANH"])
def test_int8_curves_have_the_reference_s_bits_for_every_input(engine_library, operator, seed):
    rng = np.random.default_rng(seed)
    every = np.arange(-128, 128).astype(np.int8)[None]
    case = make_nn.one_input(rng, operator, "int8", float(np.float32(2 ** rng.uniform(-9, -3))), every)
    assert largest_difference(engine_library, case) == 0


@pytest.mark.parametrize("seed", range(8))
@pytest.mark.parametrize("dtype", ["int8", "int16"])
@pytest.mark.parametrize("operator", ["ADD", "SUB", "MUL"])
def test_arithmetic_has_the_reference_s_bits(engine_library, operator, dtype, seed):
    rng = np.random.default_rng(seed)
    case = make_nn.two_inputs(rng, operator, dtype, 500, power=seed % 3 == 0)
    assert largest_difference(engine_library, case) == 0


@pytest.mark.parametrize("seed", range(12))
@pytest.mark.parametrize("dtype", ["int8", "int16"])
def test_dense_layers_have_the_reference_s_bits(engine_library, dtype, seed):
    rng = np.random.default_rng(seed)
    columns, rows = int(rng.integers(1, 70)), int(rng.integers(1, 40))
    case = make_nn.dense(rng, dtype, columns, rows, channels=seed % 2 == 0, relu=seed % 3 == 0)
    assert largest_difference(engine_library, case) == 0


@pytest.mark.parametrize("dtype", ["int8", "int16"])
def test_requantisation_has_the_reference_s_bits(engine_library, dtype):
    for seed in range(8):
        rng = np.random.default_rng(seed)
        scale = make_nn.scales(rng, dtype, power=False)[0]
        case = make_nn.one_input(rng, "QUANTIZE", dtype, scale, make_nn.values(rng, dtype, 300))
        assert largest_difference(engine_library, case) == 0


@pytest.mark.parametrize("general", [False, True])
@pytest.mark.parametrize("dtype", ["int8", "int16"])
@pytest.mark.parametrize("sizes", [(3, 8, 12), (8, 24, 1), (7, 19, 5)])
def test_cells_have_the_reference_s_bits_fused_or_not(engine_library, dtype, sizes, general):
    case = make_nn.cell(np.random.default_rng(1), dtype, sizes, general=general)
    assert largest_difference(engine_library, case) == 0
    assert RawEngine(case.file, engine_library).fused == (not general)


@pytest.mark.parametrize("sizes", [(4, 16, 6), (5, 12, 3), (8, 9, 1)])
def test_a_fused_cell_with_zero_points_has_the_reference_s_bits(engine_library, sizes):
    case = make_nn.cell(np.random.default_rng(3), "int8", sizes, general=False, zeros=True)
    assert RawEngine(case.file, engine_library).fused == 1
    assert largest_difference(engine_library, case) == 0


@pytest.mark.parametrize("gate", ["w", "r", "c"])
@pytest.mark.parametrize("dtype", ["int8", "int16", "float32"])
def test_what_only_looks_like_a_cell_runs_operator_by_operator(engine_library, dtype, gate):
    case = make_nn.cell(np.random.default_rng(4), dtype, (8, 8, 3), general=False, stray=gate)
    assert RawEngine(case.file, engine_library).fused == 0
    assert largest_difference(engine_library, case) <= (1e-6 if dtype == "float32" else 0)


@pytest.mark.parametrize("dtype", ["int8", "int16", "float32"])
def test_dense_layers_without_a_bias_have_the_reference_s_bits(engine_library, dtype):
    for columns, rows in ((4, 3), (17, 8), (32, 1)):
        case = make_nn.dense(np.random.default_rng(5), dtype, columns, rows, channels=False, relu=False, bias=False)
        assert largest_difference(engine_library, case) <= (1e-5 if dtype == "float32" else 0)


def test_the_stored_vectors_are_what_the_reference_answers_today(engine_library, tmp_path, monkeypatch):
    target = tmp_path / "nn.bin"
    monkeypatch.setattr("sys.argv", ["make_nn.py", str(target)])
    make_nn.main()
    assert target.read_bytes() == (make_nn.ROOT / "tests" / "vectors" / "nn.bin").read_bytes()


# Refusals -----------------------------------------------------------------------------------------------------------


def refusal(library, file: bytes) -> Status:
    with pytest.raises(ConversionError, match="the engine refuses the file") as caught:
        RawEngine(file, library)
    name = re.search(r"file: (\w+) \(", str(caught.value))
    assert name is not None
    return Status[name[1]]


def simple(operator: str = "ADD", dtype: str = "int8", **changes: Any) -> bytes:
    """X + a state that stays, with one thing changed."""
    scale = {"float32": None, "int8": 0.05, "int16": 0.001}.get(dtype, 0.05)
    file = TfliteFile()
    x = file.tensor(changes.get("x_shape", (1, 4)), dtype, changes.get("x_scale", scale), changes.get("x_zero", 0))
    state = file.tensor((1, 4), dtype, scale)
    y = file.tensor(changes.get("y_shape", (1, 4)), changes.get("y_dtype", dtype), changes.get("y_scale", scale))
    kept = file.tensor(
        changes.get("kept_shape", (1, 4)), dtype, changes.get("kept_scale", scale), changes.get("kept_zero", 0)
    )
    file.operator(operator, [x, state], [y], **changes.get("options", {}))
    file.operator(changes.get("keeps", "RESHAPE"), [state], [kept])
    return file.pack([x, state], [y, kept])


def curve(scale: float, zero: int, dtype: str = "int8") -> bytes:
    file = TfliteFile()
    x, y = file.tensor((1, 4), dtype, 0.05), file.tensor((1, 4), dtype, scale, zero)
    file.operator("LOGISTIC", [x], [y])
    return file.pack([x], [y])


def layer(*, shape=(3, 4), weights="int8", bias="int32", zero=0, axis=0, scales=0.01, activation=0) -> bytes:
    file = TfliteFile()
    x, y = file.tensor((1, 4), "int8", 0.05), file.tensor((1, 3), "int8", 0.1)
    w = file.tensor(shape, weights, scales, zero, np.ones(shape))
    file.tensors[w].quantization.quantizedDimension = axis
    b = file.tensor((3,), bias, 0.0005, 0, np.ones(3))
    file.operator("FULLY_CONNECTED", [x, w, b], [y], fusedActivationFunction=activation)
    return file.pack([x], [y])


def slice_of(begin=(0, 2), end=(0, 6), stride=(1, 1), **masks: int) -> bytes:
    file = TfliteFile()
    x, y = file.tensor((1, 8), "int8", 0.05), file.tensor((1, 4), "int8", 0.05)
    lists = [file.tensor((2,), "int32", data=values) for values in (begin, end, stride)]
    file.operator("STRIDED_SLICE", [x, *lists], [y], **{"beginMask": 1, "endMask": 1, **masks})
    return file.pack([x], [y])


@pytest.mark.parametrize(
    ("file", "status"),
    [
        (simple("MAXIMUM"), Status.NN_OPERATOR),
        (simple(options={"fusedActivationFunction": 3}), Status.NN_OPTION),
        (simple(y_dtype="int16", y_scale=0.1), Status.NN_TYPE),
        (simple(dtype="int32"), Status.NN_TYPE),
        (simple(y_shape=(1, 5)), Status.NN_SHAPE),
        (simple(x_shape=(1, 3)), Status.NN_SHAPE),
        (simple(x_shape=(1, 5)), Status.NN_SHAPE),
        (simple(y_shape=(1, 0)), Status.NN_SHAPE),
        (simple(y_shape=(1, 1, 1, 1, 4)), Status.NN_SHAPE),
        (simple(y_shape=(1, 100_000)), Status.NN_SHAPE),
        (simple(x_scale=0.0), Status.NN_QUANTISATION),
        (simple(x_scale=-0.05), Status.NN_QUANTISATION),
        (simple(x_scale=float("nan")), Status.NN_QUANTISATION),
        (simple(x_scale=float("inf")), Status.NN_QUANTISATION),
        (simple(x_zero=128), Status.NN_QUANTISATION),
        (simple(x_zero=-(2**40)), Status.NN_QUANTISATION),
        (simple(x_scale=None), Status.NN_QUANTISATION),
        (simple(x_scale=[0.05, 0.05]), Status.NN_QUANTISATION),
        (simple(y_scale=1e-9), Status.NN_QUANTISATION),
        (simple(dtype="int16", x_scale=0.001, x_zero=1), Status.NN_QUANTISATION),
        (simple(kept_scale=0.06, keeps="QUANTIZE"), Status.NN_STATE),
        (simple(kept_zero=3, keeps="QUANTIZE"), Status.NN_STATE),
        (simple(kept_scale=0.06), Status.NN_QUANTISATION),
        (curve(1 / 255, -128), Status.NN_QUANTISATION),
        (curve(1 / 256, 0), Status.NN_QUANTISATION),
        (layer(shape=(3, 5)), Status.NN_SHAPE),
        (layer(shape=(4, 4)), Status.NN_SHAPE),
        (layer(weights="int16"), Status.NN_TYPE),
        (layer(bias="int64"), Status.NN_TYPE),
        (layer(zero=1), Status.NN_QUANTISATION),
        (layer(scales=[0.01, 0.02]), Status.NN_QUANTISATION),
        (layer(scales=[0.01, 0.02, 0.03, 0.04], axis=1), Status.NN_QUANTISATION),
        (layer(activation=2), Status.NN_OPTION),
        (slice_of(stride=(1, 2)), Status.NN_OPTION),
        (slice_of(begin=(0, 6), end=(0, 2)), Status.NN_OPTION),
        (slice_of(end=(0, 7)), Status.NN_SHAPE),
        (slice_of(begin=(0, -9)), Status.NN_OPTION),
        (slice_of(shrinkAxisMask=2), Status.NN_OPTION),
        (slice_of(newAxisMask=1), Status.NN_OPTION),
    ],
)
def test_a_hostile_file_is_refused_by_name(engine_library, file, status):
    assert refusal(engine_library, file) is status


def test_the_unchanged_files_load(engine_library):
    for file in (simple(), simple(dtype="int16"), simple(dtype="float32"), curve(1 / 256, -128), layer(), slice_of()):
        RawEngine(file)


def test_what_is_no_tflite_file_is_refused(engine_library):
    file = simple()
    assert refusal(engine_library, b"") is Status.NN_TRUNCATED
    assert refusal(engine_library, file[:4] + b"TFL2" + file[8:]) is Status.NN_NOT_TFLITE
    assert refusal(engine_library, struct.pack("<I", 2**31) + file[4:]) is Status.NN_TRUNCATED
    assert refusal(engine_library, file[: len(file) // 2]) is Status.NN_TRUNCATED


def broken(change: Any) -> bytes:
    """A graph of one ADD, changed before it is written."""
    file = TfliteFile()
    x, s = file.tensor((1, 4), "int8", 0.05), file.tensor((1, 4), "int8", 0.05)
    y, kept = file.tensor((1, 4), "int8", 0.05), file.tensor((1, 4), "int8", 0.05)
    file.operator("ADD", [x, s], [y])
    file.operator("RESHAPE", [s], [kept])
    ends = change(file, x, s, y, kept) or ([x, s], [y, kept])
    return file.pack(*ends)


def read_before_made(file, x, s, y, kept):
    file.operators.reverse()
    file.operators[1].inputs, file.operators[0].inputs = [x, kept], [y]


def written_twice(file, x, s, y, kept):
    file.operators[1].outputs = [y]


def input_written(file, x, s, y, kept):
    file.operators[1].outputs = [s]


def nothing_makes_y(file, x, s, y, kept):
    del file.operators[0]


def nothing_makes_the_state(file, x, s, y, kept):
    del file.operators[1]


def reshapes_nothing(file, x, s, y, kept):
    file.operators[1].inputs = []


def reshapes_three(file, x, s, y, kept):
    file.operators[1].inputs = [s, s, s]


def joined(axis: int, **options: int) -> Any:
    def change(file, x, s, y, kept) -> None:
        wide = file.tensor((1, 8), "int8", 0.05)
        file.operator("CONCATENATION", [x, s], [wide], axis=axis, **options)

    return change


def too_many_operators(file, x, s, y, kept):
    for _ in range(64):
        file.operator("ADD", [x, s], [file.tensor((1, 4), "int8", 0.05)])


@pytest.mark.parametrize(
    ("change", "status"),
    [
        (lambda _, x, s, y, kept: ([x], [y, kept]), Status.NN_STRUCTURE),
        (lambda _, x, s, y, kept: ([x, x], [y, kept]), Status.NN_STRUCTURE),
        (lambda _, x, s, y, kept: ([], []), Status.NN_STRUCTURE),
        (lambda _, x, s, y, kept: ([x, s], [y, 99]), Status.NN_STRUCTURE),
        (lambda _, x, s, y, kept: ([x, s], [y, s]), Status.NN_STRUCTURE),
        (read_before_made, Status.NN_STRUCTURE),
        (written_twice, Status.NN_STRUCTURE),
        (input_written, Status.NN_STRUCTURE),
        (nothing_makes_y, Status.NN_STRUCTURE),
        (nothing_makes_the_state, Status.NN_STRUCTURE),
        (reshapes_nothing, Status.NN_STRUCTURE),
        (reshapes_three, Status.NN_STRUCTURE),
        (joined(0), Status.NN_OPTION),
        (joined(2), Status.NN_OPTION),
        (joined(1, fusedActivationFunction=1), Status.NN_OPTION),
        (too_many_operators, Status.NN_TOO_LARGE),
    ],
)
def test_a_graph_that_does_not_hold_together_is_refused(engine_library, change, status):
    assert refusal(engine_library, broken(change)) is status


@pytest.mark.parametrize("axis", [1, -1])
def test_what_is_joined_along_the_last_axis_loads(engine_library, axis):
    assert RawEngine(broken(joined(axis)), engine_library).arena_bytes > 0


def test_float_cells_differ_from_the_reference_by_rounding_alone(engine_library):
    case = make_nn.cell(np.random.default_rng(2), "float32", (6, 28, 4), general=False)
    assert largest_difference(engine_library, case) < 1e-6
