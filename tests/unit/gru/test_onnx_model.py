"""The ONNX model in ONNX Runtime, against Keras and the kernels."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import onnx
import onnxruntime
import pytest

from forecaster.gru.architecture import FORMS, Architecture
from forecaster.gru.keras_model import keras_model
from forecaster.gru.network import stream_network
from forecaster.gru.onnx_model import onnx_model

if TYPE_CHECKING:
    from forecaster.arrays import Floats


def noise(seed: int, *shape: int) -> Floats:
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)


def sizes_and_weights(form: str) -> tuple[Architecture, Floats]:
    sizes = Architecture(3, 5, 10, form)
    return sizes, 0.4 * noise(0, sizes.parameters)


def run(model: onnx.ModelProto, features: Floats) -> Floats:
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    return np.asarray(session.run(["residuals"], {"features": features})[0])


@pytest.mark.parametrize("form", FORMS)
def test_outputs_equal_keras(form: str) -> None:
    sizes, flat = sizes_and_weights(form)
    features = noise(1, 4, 50, 3)
    expected = np.asarray(keras_model(sizes, flat, dropout=0.1)(features, training=False))
    np.testing.assert_allclose(run(onnx_model(sizes, flat), features), expected, atol=2e-6)
    assert np.abs(expected).max() > 0.1


@pytest.mark.parametrize("form", FORMS)
def test_batch_and_steps_are_free(form: str) -> None:
    sizes, flat = sizes_and_weights(form)
    model, features = onnx_model(sizes, flat), noise(2, 3, 40, 3)
    whole = run(model, features)
    np.testing.assert_allclose(run(model, features[1:2, :17]), whole[1:2, :17], atol=1e-6)
    np.testing.assert_allclose(run(model, features[:, :1]), whole[:, :1], atol=1e-6)


@pytest.mark.parametrize("form", FORMS)
def test_a_long_series_equals_the_kernels(form: str) -> None:
    sizes, flat = sizes_and_weights(form)
    series = noise(3, 1, 2000, 3)
    np.testing.assert_allclose(run(onnx_model(sizes, flat), series), stream_network(sizes, flat)(series), atol=5e-6)


@pytest.mark.parametrize("form", FORMS)
def test_the_recurrence_is_a_real_operator_an_old_runtime_reads(form: str) -> None:
    sizes, flat = sizes_and_weights(form)
    model = onnx_model(sizes, flat)
    operators = [node.op_type for node in model.graph.node]
    assert operators.count("GRU") == sizes.layers
    assert not {"Loop", "Scan"} & set(operators)
    assert (model.ir_version, [(entry.domain, entry.version) for entry in model.opset_import]) == (7, [("", 14)])
    assert len(model.SerializeToString()) < 4 * sizes.parameters + 2000


def test_the_checker_sees_names_and_shapes() -> None:
    model = onnx_model(*sizes_and_weights("conv_gru"))
    onnx.checker.check_model(model, full_check=True)
    ends = {
        end.name: [dimension.dim_param or dimension.dim_value for dimension in end.type.tensor_type.shape.dim]
        for end in (*model.graph.input, *model.graph.output)
    }
    assert ends == {"features": ["batch", "steps", 3], "residuals": ["batch", "steps", 5]}


def test_the_same_weights_give_the_same_bytes() -> None:
    first, again = (onnx_model(*sizes_and_weights("gru_gru")).SerializeToString() for _ in range(2))
    assert first == again


def test_tf2onnx_agrees() -> None:
    """An independent converter of the Keras model as a witness; it unrolls nothing and writes a Loop."""
    tf2onnx = pytest.importorskip("tf2onnx")
    import tensorflow as tf

    sizes, flat = sizes_and_weights("gru")
    keras, features = keras_model(sizes, flat), noise(4, 2, 20, 3)
    signature = [tf.TensorSpec((None, None, 3), tf.float32, name="features")]
    witness, _ = tf2onnx.convert.from_function(
        tf.function(lambda features: {"residuals": keras(features, training=False)}), signature, opset=14
    )
    np.testing.assert_allclose(run(onnx_model(sizes, flat), features), run(witness, features), atol=2e-6)
