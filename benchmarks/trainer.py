"""CPU time of one update of the trainer beside Keras on XLA and beside what the processor's matrix products reach.

    python -m benchmarks.trainer [--rounds 7] [--sizes gru:16:32,gru:8:16]

An update is one batch of windows as long as the usual recipe's forward, its loss, backward, and the optimiser's step,
on one thread: the trainer's own, and the Keras model of the same weights in a `tf.function(jit_compile=True)` with the
same batch, loss and optimiser. Both and a product of two 512 × 512 matrices in NumPy's OpenBLAS take turns, and of each
the lowest of the rounds counts: whoever else uses the machine can only add to it. GFLOP/s count the network's matrix
products, forward and twice that backward, but for the gradient of the features, which nobody needs; gates do not count.
Nor does compilation. All goes to build/bench/trainer.json.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

for variable in ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS"):
    os.environ[variable] = "1"
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("CUDA_VISIBLE_DEVICES", "-1")

import numpy as np

from forecaster.genome import USUAL
from forecaster.gru import loops
from forecaster.gru.architecture import Architecture
from forecaster.gru.keras_model import keras_model
from forecaster.gru.network import Workspace, initial_weights

if TYPE_CHECKING:
    from collections.abc import Callable

    from forecaster.arrays import Floats

TARGET = Path(__file__).resolve().parents[1] / "build" / "bench" / "trainer.json"
INPUTS, HORIZON, RATE, CLIP = 3, 6, 0.01, 1.0
STEPS, BURN_IN = USUAL.steps, USUAL.burn_in
MATRIX = 512
REPEATS = 10  # in a round


def main(arguments: list[str] | None = None) -> int:
    """Measure each size, print the table, write the figures."""
    options = _options(arguments)
    lines = []
    for form, units, batch in options.sizes:
        lines.append(measured(Architecture(INPUTS, HORIZON, units, form), batch, options.rounds))
        if len(lines) == 1:
            print("form       units  batch   ours ms  Keras, XLA ms  times as fast  GFLOP/s  of OpenBLAS' %")
        print(
            "{form:10} {units:5d} {batch:6d} {ours_ms:9.2f} {keras_ms:14.2f} {times:14.1f} {gflops:8.1f} "
            "{share:14.0%}".format(**lines[-1]),
            flush=True,
        )
    TARGET.parent.mkdir(parents=True, exist_ok=True)
    TARGET.write_text(json.dumps(lines), encoding="utf-8")
    return 0


def measured(architecture: Architecture, batch: int, rounds: int) -> dict[str, Any]:
    """Figures of one network: milliseconds of CPU time an update."""
    rng = np.random.default_rng(0)
    x = rng.standard_normal((STEPS, INPUTS, batch)).astype(np.float32)
    y = rng.standard_normal((STEPS, HORIZON, batch)).astype(np.float32)
    flat = initial_weights(architecture, rng)
    matrix = rng.standard_normal((MATRIX, MATRIX)).astype(np.float32)
    contenders = {
        "ours": ours(architecture, flat, x, y),
        "keras": keras_on_xla(architecture, flat, x, y),
        "blas": lambda: matrix @ matrix,
    }
    lowest = dict.fromkeys(contenders, float("inf"))
    for _ in range(rounds):
        for name, work in contenders.items():
            lowest[name] = min(lowest[name], _milliseconds(work))
    sizes = [math.prod(shape) for name, shape in architecture.shapes().items() if not name.endswith("bias")]
    products = (3 * sum(sizes) - sizes[0]) * STEPS * batch  # the first weight's input has no gradient
    gflops, peak = 2 * products / 1e6 / lowest["ours"], 2 * MATRIX**3 / 1e6 / lowest["blas"]
    return {
        "form": architecture.form,
        "units": architecture.units,
        "batch": batch,
        "parameters": len(flat),
        "ours_ms": lowest["ours"],
        "keras_ms": lowest["keras"],
        "times": lowest["keras"] / lowest["ours"],
        "gflops": gflops,
        "blas_gflops": peak,
        "share": gflops / peak,
    }


def ours(architecture: Architecture, flat: Floats, x: Floats, y: Floats) -> Callable[[], float]:
    """An update of the trainer; it returns the loss."""
    space, weights = Workspace(architecture, STEPS, x.shape[2]), flat.copy()
    gradient, first, second, decay = (np.zeros_like(weights) for _ in range(4))

    def update() -> float:
        space.forward(weights, x)
        loss = space.loss(y, BURN_IN)
        space.backward(weights, gradient)
        loops.adam(weights, gradient, first, second, decay, 1, RATE, 0.0, CLIP)
        return loss

    return update


def keras_on_xla(architecture: Architecture, flat: Floats, x: Floats, y: Floats) -> Callable[[], float]:
    """The same update by Keras, compiled by XLA as a whole."""
    import keras  # noqa: PLC0415 - after the number of threads is set
    import tensorflow as tf  # noqa: PLC0415 - as above

    model = keras_model(architecture, flat)
    optimizer = keras.optimizers.Adam(RATE, global_clipnorm=CLIP)
    optimizer.build(model.trainable_variables)
    inputs, targets = (tf.constant(part.transpose(2, 0, 1)) for part in (x, y))

    @tf.function(jit_compile=True)  # type: ignore[untyped-decorator]
    def update() -> Any:
        with tf.GradientTape() as tape:
            error = (model(inputs, training=True) - targets)[:, BURN_IN:]
            loss = tf.reduce_mean(tf.square(error))
        optimizer.apply(tape.gradient(loss, model.trainable_variables), model.trainable_variables)
        return loss

    return lambda: float(update())


def _milliseconds(work: Callable[[], Any]) -> float:
    work()
    began = time.process_time()
    for _ in range(REPEATS):
        work()
    return (time.process_time() - began) / REPEATS * 1e3


def _options(arguments: list[str] | None) -> Any:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=7)
    sizes = "gru:8:16,gru:16:32,gru:24:32,gru_gru:16:32,gru_dense:16:32,conv_gru:16:32"
    parser.add_argument("--sizes", type=_sizes, default=_sizes(sizes), help="form:units:batch, ...; default " + sizes)
    return parser.parse_args(arguments)


def _sizes(text: str) -> list[tuple[str, int, int]]:
    found = [size.split(":") for size in text.split(",")]
    if not all(len(parts) == 3 and parts[1].isdecimal() and parts[2].isdecimal() for parts in found):
        msg = f"{text!r}: give form:units:batch, several with a comma between, as gru:16:32"
        raise argparse.ArgumentTypeError(msg)
    return [(form, int(units), int(batch)) for form, units, batch in found]


if __name__ == "__main__":
    sys.exit(main())
