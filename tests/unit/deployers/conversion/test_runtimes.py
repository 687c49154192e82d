"""Three runtimes of one cell: the same bits where they are promised, the same refusals, and what is missing by name."""

from __future__ import annotations

import importlib
import subprocess
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from deployers.conversion import runtimes
from deployers.conversion.flat import Graph
from deployers.conversion.runtimes import TFLM, End, Engine, LiteRT, board_runtime, engine_library
from deployers.exceptions import ConversionError, MissingTool
from tests.unit.deployers.conftest import FORMS, HORIZON, sequences

TYPES = ("float32", "int8", "int16x8")
INT8 = End(np.dtype(np.int8), 3, 0.5, -2)


@pytest.fixture(scope="module", autouse=True)
def _built() -> None:
    engine_library()


# Agreement


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("kind", ["int8", "int16x8"])
@pytest.mark.parametrize("loud", [1, 40])
def test_the_engine_has_the_reference_kernels_bits(forms, form: str, kind: str, loud: int) -> None:
    """Forty times the features: everything saturates somewhere."""
    file = forms[form].files[kind]
    engine, reference = Engine(file), TFLM(file)
    for sequence in sequences(seed=7) * np.float32(loud):
        assert np.array_equal(engine.stream(sequence), reference.stream(sequence))


@pytest.mark.parametrize("form", FORMS)
def test_in_float_all_three_are_keras(forms, form: str) -> None:
    found = forms[form]
    for sequence in sequences(seed=8):
        expected = found.model(sequence[None], training=False).numpy()[0]
        for make in (LiteRT, TFLM, Engine):
            assert np.abs(make(found.files["float32"]).stream(sequence) - expected).max() < 1e-6, make.name


@pytest.mark.parametrize("form", FORMS)
def test_the_integer_types_are_near_the_float_model(forms, form: str) -> None:
    found = forms[form]
    expected = found.model(found.features, training=False).numpy()
    spread = float(expected.std())
    for kind, limit in (("int8", 0.25), ("int16x8", 0.03)):
        runtime = TFLM(found.files[kind])
        made = np.stack([runtime.stream(sequence) for sequence in found.features])
        assert np.sqrt(((made - expected) ** 2).mean()) < limit * spread, kind


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("kind", TYPES)
def test_every_gru_layer_is_one_fused_step(forms, form: str, kind: str) -> None:
    engine = Engine(forms[form].files[kind])
    assert engine.fused == (2 if form == "gru_gru" else 1)
    assert 0 < engine.arena_bytes <= 4096


@pytest.mark.parametrize("make", [LiteRT, TFLM, Engine])
def test_a_stream_goes_on_where_it_is_not_reset(forms, make) -> None:
    runtime, x = make(forms["gru"].files["int16x8"]), sequences(1)[0]
    whole = runtime.stream(x)
    runtime.stream(x[:10])
    assert np.array_equal(runtime.stream(x[10:], reset=False), whole[10:])
    assert not np.array_equal(runtime.stream(x[10:]), whole[10:])


@pytest.mark.parametrize("make", [LiteRT, TFLM, Engine])
def test_stretches_begin_from_nothing(forms, make) -> None:
    runtime, x = make(forms["gru"].files["float32"]), sequences(1)[0]
    made = runtime.forecasts(x, np.array([0, 5, 9]))
    assert made.shape == (len(x), HORIZON)
    assert np.array_equal(made[5:9], runtime.stream(x[5:9]))
    assert np.array_equal(made[9:], runtime.stream(x[9:]))


@pytest.mark.parametrize("kind", TYPES)
def test_the_states_can_be_read_as_reals(forms, kind: str) -> None:
    runtime = LiteRT(forms["gru_gru"].files[kind])
    assert runtime.kind == kind
    assert not runtime.real_states().any()
    runtime.stream(sequences(1)[0])
    assert np.abs(runtime.real_states()).max() <= 1
    assert runtime.real_states().any()


def test_any_tensor_can_be_asked_for(forms) -> None:
    file = forms["gru"].files["int8"]
    runtime, graph = LiteRT(file, inspect=True), Graph(file)
    sub = int(graph.named("SUB")[0].outputs[0])
    runtime.stream(sequences(1)[0][:3])
    (values,) = runtime.tensors([sub])
    assert values.dtype == np.int8
    assert values.any()


# Integers and reals


@pytest.mark.parametrize(
    ("real", "integer"), [(0, -2), (0.25, -1), (-0.25, -3), (0.24, -2), (0.75, 0), (1000, 127), (-1000, -128)]
)
def test_halves_round_away_from_zero_and_the_rest_is_clamped(real: float, integer: int) -> None:
    assert INT8.quantise(np.array([real], np.float32)).tolist() == [integer]


@given(st.lists(st.floats(-62, 64, width=32), min_size=1, max_size=8))
def test_a_real_within_range_comes_back_within_half_a_step(values: list[float]) -> None:
    reals = np.array(values, np.float32)
    assert np.abs(INT8.real(INT8.quantise(reals)) - reals).max() <= 0.25


def test_nothing_is_the_zero_point() -> None:
    assert INT8.nothing.tolist() == [[-2, -2, -2]]
    assert INT8.real(INT8.nothing).tolist() == [[0, 0, 0]]
    assert End(np.dtype(np.float32), 2, 1.0, 0).nothing.tolist() == [[0, 0]]


# Refusals


@pytest.mark.parametrize("make", [LiteRT, TFLM, Engine])
@pytest.mark.parametrize("file", [b"", b"TFL3", b"\0" * 64, b"no flatbuffer at all, but long enough for a header"])
def test_what_is_no_model_is_refused(make, file: bytes) -> None:
    with pytest.raises(ConversionError, match="refuses the file"):
        make(file)


@pytest.mark.parametrize("kind", TYPES)
def test_the_engine_refuses_every_truncation(forms, kind: str) -> None:
    file = forms["gru"].files[kind]
    for length in range(0, len(file), 97):
        with pytest.raises(ConversionError, match=r"refuses the file: NN_\w+ \(-\d+, firmware/core/status\.h\)"):
            Engine(file[:length])


def test_a_flipped_byte_is_refused_or_harmless(forms) -> None:
    """Refused by name, or loaded and run without touching what is not its own."""
    file, rng, refused = bytearray(forms["gru"].files["int8"]), np.random.default_rng(0), 0
    for _ in range(300):
        at, bit = int(rng.integers(len(file))), 1 << int(rng.integers(8))
        file[at] ^= bit
        try:
            Engine(bytes(file)).stream(sequences(1)[0][:3, :3])
        except ConversionError:
            refused += 1
        file[at] ^= bit
    assert refused > 50


def test_an_unknown_operator_is_named(forms) -> None:
    graph = Graph(forms["gru"].files["float32"])
    code = graph.model.operatorCodes[graph.named("TANH")[0].opcodeIndex]
    code.builtinCode = code.deprecatedBuiltinCode = 1  # AVERAGE_POOL_2D
    with pytest.raises(ConversionError, match="NN_OPERATOR"):
        Engine(graph.pack(["x", "h0", "y", "h0_next"]))


def test_states_of_other_scales_are_refused(forms) -> None:
    graph = Graph(forms["gru"].files["int8"])
    graph.quantise(graph.outputs[1], 1 / 64)
    with pytest.raises(ConversionError, match="NN_STATE"):
        Engine(graph.pack(["x", "h0", "y", "h0_next"]))


# What is not on this machine


@pytest.fixture
def fresh():
    engine_library.cache_clear()
    yield
    engine_library.cache_clear()


@pytest.mark.usefixtures("fresh")
def test_without_a_compiler_it_is_said_what_to_install(monkeypatch, tmp_path: Path) -> None:
    monkeypatch.setattr(runtimes.shutil, "which", lambda tool: None if tool == "gcc" else f"/usr/bin/{tool}")
    with pytest.raises(MissingTool, match=r"^'gcc' is not installed, .* apt-get install build-essential"):
        engine_library(tmp_path / "libedgeloop.so")


@pytest.mark.usefixtures("fresh")
def test_nothing_is_built_unless_allowed(monkeypatch, tmp_path: Path) -> None:
    monkeypatch.setattr(runtimes, "_build_engine", lambda: pytest.fail("built"))
    with pytest.raises(MissingTool, match="is not there, the engine is not built"):
        Engine(b"", tmp_path / "libedgeloop.so", build=False)


@pytest.mark.usefixtures("fresh")
def test_a_build_that_fails_is_told_by_its_last_line(monkeypatch) -> None:
    failed = subprocess.CompletedProcess([], 2, "", "first\nmake: *** [nn.o] Error 1\n")
    monkeypatch.setattr(runtimes.subprocess, "run", lambda *_, **__: failed)
    with pytest.raises(MissingTool, match=r"does not build \(make: \*\*\* \[nn\.o\] Error 1\)"):
        engine_library()


@pytest.mark.usefixtures("fresh")
def test_a_library_of_another_machine_is_told(tmp_path: Path) -> None:
    wrong = tmp_path / "libedgeloop.so"
    wrong.write_bytes(b"\x7fELF of another machine")
    with pytest.raises(MissingTool, match="cannot be loaded"):
        engine_library(wrong, build=False)


def without(monkeypatch, *names: str) -> None:
    real = importlib.import_module

    def imported(name: str, *rest: object) -> object:
        if name.startswith(names):
            raise ImportError(name)
        return real(name, *rest)

    monkeypatch.setattr(runtimes.importlib, "import_module", imported)
    runtimes._litert.cache_clear()  # noqa: SLF001


def test_without_the_tflm_wheel_litert_stands_in(monkeypatch, forms) -> None:
    file = forms["gru"].files["int8"]
    assert isinstance(board_runtime(file), TFLM)
    without(monkeypatch, "tflite_micro")
    assert isinstance(board_runtime(file), LiteRT)
    with pytest.raises(MissingTool, match="install the pre-release wheel tflite-micro"):
        TFLM(file)


def test_without_litert_it_is_said(monkeypatch, forms) -> None:
    without(monkeypatch, "ai_edge_litert", "tflite_runtime")
    with pytest.raises(MissingTool, match="neither ai_edge_litert nor tflite_runtime is installed"):
        LiteRT(forms["gru"].files["int8"])
    runtimes._litert.cache_clear()  # noqa: SLF001
