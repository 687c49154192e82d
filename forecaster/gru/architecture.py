"""What a network is and how it is trained, as plain values: nothing here computes."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import Any

from forecaster.errors import ConfigError

FORMS = ("gru", "conv_gru", "gru_dense", "gru_gru")
KERNEL_STEPS = 3


@dataclass(frozen=True)
class Architecture:
    """Sizes of a network.

    Attributes:
        inputs: features of one step.
        horizon: values forecast at each step.
        units: units of each GRU layer.
        form: `gru`; `conv_gru` (causal convolution over 3 steps before it); `gru_dense` (a dense
            layer of `units` with ReLU after it); `gru_gru` (two stacked layers).

    Raises:
        ConfigError: the form is unknown.
    """

    inputs: int
    horizon: int
    units: int
    form: str = "gru"

    def __post_init__(self) -> None:
        if self.form not in FORMS:
            msg = f"form {self.form!r} is unknown, choose one of {', '.join(FORMS)}"
            raise ConfigError(msg)

    @property
    def channels(self) -> int:
        """Output channels of the convolution, 0 without one."""
        return max(4, self.units // 2) if self.form == "conv_gru" else 0

    @property
    def layers(self) -> int:
        """Number of GRU layers."""
        return 2 if self.form == "gru_gru" else 1

    @property
    def hidden(self) -> int:
        """Units of the dense layer between GRU and output, 0 without one."""
        return self.units if self.form == "gru_dense" else 0

    def shapes(self) -> dict[str, tuple[int, ...]]:
        """Name and shape of every weight, in the order of the flat vector."""
        shapes: dict[str, tuple[int, ...]] = {}
        width = self.inputs
        if self.channels:
            shapes["conv.kernel"] = (KERNEL_STEPS * width, self.channels)
            shapes["conv.bias"] = (self.channels,)
            width = self.channels
        for layer in range(self.layers):
            shapes[f"gru{layer}.kernel"] = (width, 3 * self.units)
            shapes[f"gru{layer}.recurrent"] = (self.units, 3 * self.units)
            shapes[f"gru{layer}.bias"] = (2, 3 * self.units)
            width = self.units
        if self.hidden:
            shapes["dense.kernel"] = (width, self.hidden)
            shapes["dense.bias"] = (self.hidden,)
            width = self.hidden
        shapes["output.kernel"] = (width, self.horizon)
        shapes["output.bias"] = (self.horizon,)
        return shapes

    @property
    def parameters(self) -> int:
        """Number of weights."""
        return sum(math.prod(shape) for shape in self.shapes().values())

    @property
    def macs_per_forecast(self) -> int:
        """Multiply-accumulates of one streaming forecast (matrix products and state update)."""
        matrices = sum(math.prod(s) for name, s in self.shapes().items() if not name.endswith("bias"))
        return matrices + 3 * self.units * self.layers

    def as_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return asdict(self)


@dataclass(frozen=True)
class Recipe:
    """How one network is trained.

    Attributes:
        updates: optimiser updates; the learning rate falls over them as half a cosine.
        batch: windows of an update.
        steps: time steps of a window.
        burn_in: steps at a window's beginning that carry no loss, while the state fills.
        learning_rate: Adam's rate after warm-up.
        dropout: share of the last GRU's outputs dropped, one mask a sequence (Gal & Ghahramani 2016).
        weight_decay: decoupled decay of kernels.
        clip: largest norm of a gradient.
        check_every: updates between looks at the validation part.
        averaging: decay of the running average of weights that is validated and kept; 0 for none.
    """

    updates: int = 300
    batch: int = 32
    steps: int = 288
    burn_in: int = 24
    learning_rate: float = 0.01
    dropout: float = 0.1
    weight_decay: float = 0.0
    clip: float = 1.0
    check_every: int = 20
    averaging: float = 0.98

    def as_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return asdict(self)
