"""The Keras model: same weights, same outputs, standard layers, readable back from disk."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING

import numpy as np
import pytest

from forecaster.errors import InputError
from forecaster.gru.architecture import FORMS, Architecture
from forecaster.gru.keras_model import flat_weights, keras_model
from forecaster.gru.network import Workspace

if TYPE_CHECKING:
    from pathlib import Path

    from forecaster.arrays import Floats


def noise(seed: int, *shape: int) -> Floats:
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)


def sizes_and_weights(form: str) -> tuple[Architecture, Floats]:
    sizes = Architecture(3, 5, 10, form)
    return sizes, 0.4 * noise(0, sizes.parameters)


@pytest.mark.parametrize("form", FORMS)
def test_weights_come_back_bit_for_bit(form: str) -> None:
    sizes, flat = sizes_and_weights(form)
    model = keras_model(sizes, flat, dropout=0.1)
    assert model.count_params() == sizes.parameters
    np.testing.assert_array_equal(flat_weights(model, sizes), flat)


@pytest.mark.parametrize("form", FORMS)
def test_outputs_equal_the_kernels(form: str) -> None:
    sizes, flat = sizes_and_weights(form)
    x = noise(1, 4, 30, 3)
    ours = Workspace(sizes, 30, 4).forward(flat, np.ascontiguousarray(x.transpose(1, 2, 0))).transpose(2, 0, 1)
    np.testing.assert_allclose(keras_model(sizes, flat)(x, training=False), ours, atol=2e-6)


@pytest.mark.parametrize(
    ("form", "layers"),
    [
        ("gru", ["gru0", "dropout", "residuals"]),
        ("conv_gru", ["conv", "gru0", "dropout", "residuals"]),
        ("gru_dense", ["gru0", "dropout", "dense", "residuals"]),
        ("gru_gru", ["gru0", "gru1", "dropout", "residuals"]),
    ],
)
def test_names_and_free_dimensions(form: str, layers: list[str]) -> None:
    model = keras_model(*sizes_and_weights(form))
    assert [layer.name for layer in model.layers] == ["features", *layers]
    assert model.input_shape == (None, None, 3)
    assert model.output_shape == (None, None, 5)
    assert {type(layer).__module__.split(".")[0] for layer in model.layers} == {"keras"}


def test_dropout_draws_one_mask_for_all_steps_of_a_sequence() -> None:
    model = keras_model(*sizes_and_weights("gru"), dropout=0.5)
    mask = np.asarray(model.get_layer("dropout")(np.ones((3, 20, 10), np.float32), training=True))
    assert set(np.unique(mask)) == {0.0, 2.0}
    assert (mask == mask[:, :1]).all()
    assert (mask[0] != mask[1]).any()


def test_the_flat_vector_is_copied() -> None:
    sizes, flat = sizes_and_weights("gru")
    model, before = keras_model(sizes, flat), flat.copy()
    flat[:] = 0.0
    np.testing.assert_array_equal(flat_weights(model, sizes), before)


@pytest.mark.parametrize("name", ["model.keras", "model.h5"])
@pytest.mark.filterwarnings("ignore:You are saving your model as an HDF5 file")
def test_a_saved_model_is_the_same_model(name: str, tmp_path: Path) -> None:
    import keras

    sizes, flat = sizes_and_weights("conv_gru")
    keras_model(sizes, flat, dropout=0.1).save(tmp_path / name)
    loaded = keras.models.load_model(tmp_path / name, compile=False)
    np.testing.assert_array_equal(flat_weights(loaded, sizes), flat)
    assert loaded.get_layer("dropout").rate == 0.1


@pytest.mark.parametrize("other", [Architecture(3, 5, 10, "gru_dense"), Architecture(3, 5, 9), Architecture(2, 5, 10)])
def test_weights_of_another_architecture_are_refused(other: Architecture) -> None:
    model = keras_model(*sizes_and_weights("gru"))
    with pytest.raises(InputError, match="give the matching architecture"):
        flat_weights(model, other)


def test_a_vector_of_another_length_is_refused() -> None:
    sizes, flat = sizes_and_weights("gru")
    with pytest.raises(InputError, match="weights have shape"):
        keras_model(sizes, flat[:-1])


def test_importing_the_module_does_not_import_keras() -> None:
    code = "import sys, forecaster.gru.keras_model; sys.exit('keras' in sys.modules or 'tensorflow' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)
