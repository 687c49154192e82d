"""The process in which TensorFlow converts: it may crash without taking anything with it.

    python -m deployers.conversion.child RELEASE OUT TYPE...

Writes `OUT/cell_TYPE.tflite` for each type and, where OUT holds `inputs.npz` (`features`, scaled features of a whole
test part, and `starts`, the rows at which the state is zero), `OUT/reference.npz` with the `residuals` that the
Keras sequence model makes of them. Standard output has one JSON object a line: {"stage": …} before each part of the
work, {"error": …} for what is refused on purpose.
"""

from __future__ import annotations

import json
import os
import sys
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from deployers.conversion.calibration import calibration_steps
from deployers.conversion.cell import Cell
from deployers.conversion.quantisation import finish_cell
from deployers.conversion.runtimes import LiteRT
from deployers.exceptions import ConversionError, DeployerError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from numpy.typing import NDArray

# Scaled units; a float cell that differs more from the sequence model computes something else.
FLOAT_TOLERANCE = 1e-4
STEPS_COMPARED = 96


def main(arguments: list[str]) -> int:
    """Convert, and report on standard output."""
    with os.fdopen(os.dup(1), "w", encoding="utf-8") as output:
        os.dup2(2, 1)  # what TensorFlow prints is no report
        release, out, *types = arguments
        try:
            convert(Path(release), Path(out), types, lambda stage: _say(output, {"stage": stage}))
        except DeployerError as error:
            _say(output, {"error": str(error)})
            return error.exit_code
        return 0


def convert(release: Path, out: Path, types: Iterable[str], report: Any) -> None:
    """Everything the process does; `report` is called with the name of each stage.

    Raises:
        ConversionError: the model has no cell, or the cell is another function than the model.
    """
    report("TensorFlow")
    model = _model(release)
    cell = Cell.of(model)
    features = np.load(release / "calibration.npz")["features"]
    report("float32")
    exact = finish_cell(unfinished_cell(cell, "float32"), cell, "float32")
    runtime = LiteRT(exact)
    _require_same(runtime, model, features[0][:STEPS_COMPARED])
    for kind in types:
        report(kind)
        samples = calibration_steps(runtime, cell.states, features, kind)
        file = exact if kind == "float32" else finish_cell(unfinished_cell(cell, kind, samples), cell, kind)
        (out / f"cell_{kind}.tflite").write_bytes(file)
    if (out / "inputs.npz").exists():
        report("Keras")
        given = np.load(out / "inputs.npz")
        np.savez(out / "reference.npz", residuals=sequence_residuals(model, given["features"], given["starts"]))


def _model(release: Path) -> Any:
    import keras  # noqa: PLC0415 - seconds to import

    try:
        return keras.models.load_model(release / "model.keras", compile=False)
    except (OSError, ValueError, TypeError, KeyError) as error:
        reason = " ".join(str(error).split())[:200]
        msg = f"model.keras of {release.name!r} cannot be read ({reason}): fetch it again from the registry"
        raise ConversionError(msg) from error


def unfinished_cell(cell: Cell, kind: str, samples: Iterable[Any] = ()) -> bytes:
    """What TensorFlow's converter makes of a cell; `finish_cell` takes it from there."""
    import tensorflow as tf  # noqa: PLC0415

    converter = tf.lite.TFLiteConverter.from_concrete_functions([cell.function()])
    if kind != "float32":
        sets = tf.lite.OpsSet
        operators, dtype = {
            "int8": (sets.TFLITE_BUILTINS_INT8, tf.int8),
            "int16x8": (sets.EXPERIMENTAL_TFLITE_BUILTINS_ACTIVATIONS_INT16_WEIGHTS_INT8, tf.int16),
        }[kind]
        converter.optimizations = [tf.lite.Optimize.DEFAULT]
        converter.representative_dataset = lambda: iter(samples)
        converter.target_spec.supported_ops = [operators]
        converter.inference_input_type = converter.inference_output_type = dtype
        # TFLM runs int16x8 layers only with one scale for all weights of a layer.
        converter._experimental_disable_per_channel_quantization_for_dense_layers = True  # noqa: SLF001
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it warns about interfaces that it has no other of
        return bytes(converter.convert())


def _require_same(runtime: LiteRT, model: Any, features: NDArray[np.float32]) -> None:
    """The float cell, stepped, is the sequence model: also a proof that no two states changed places."""
    expected = sequence_residuals(model, features, np.zeros(1, int))
    difference = float(np.abs(runtime.stream(features) - expected).max())
    if not difference <= FLOAT_TOLERANCE:
        msg = (
            f"the float cell differs from the {model.name!r} model by {difference:.3g} scaled units, "
            f"allowed are {FLOAT_TOLERANCE:g}: report this model"
        )
        raise ConversionError(msg)


def sequence_residuals(model: Any, features: NDArray[np.float32], starts: NDArray[Any]) -> NDArray[np.float32]:
    """What the sequence model makes of each stretch, from a zero state."""
    import tensorflow as tf  # noqa: PLC0415

    # Eagerly Keras walks through the steps in Python, twenty times slower.
    shape = tf.TensorSpec((1, None, features.shape[1]), tf.float32)
    run = tf.function(lambda x: model(x, training=False), input_signature=[shape])
    parts = np.split(features.astype(np.float32), starts[starts > 0])
    return np.concatenate([run(part[None]).numpy()[0] for part in parts])


def _say(output: Any, fields: dict[str, str]) -> None:
    output.write(json.dumps(fields) + "\n")
    output.flush()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
