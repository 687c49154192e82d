"""The network as an ONNX graph with real GRU operators, small and fast in ONNX Runtime."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from onnx import TensorProto, checker, helper, numpy_helper

from forecaster.gru.architecture import KERNEL_STEPS
from forecaster.gru.network import views

if TYPE_CHECKING:
    from onnx import ModelProto, NodeProto

    from forecaster.arrays import Floats
    from forecaster.gru.architecture import Architecture

# GRU, Squeeze and Relu as of opset 14 (ONNX 1.9, 2021): the oldest runtime still met, ONNX Runtime 1.10, reads it.
OPSET = 14
IR_VERSION = 7


def onnx_model(architecture: Architecture, weights_flat: Floats) -> ModelProto:
    """Build the sequence model; it begins with a zero state.

    Args:
        architecture: sizes of the network.
        weights_flat: `architecture.parameters` values; copied.

    Returns:
        A checked model: "features" `(batch, steps, inputs)`, batch and steps free, to "residuals"
        `(batch, steps, horizon)`, float32. Operators: https://onnx.ai/onnx/operators.
    """
    chain, parts = _Chain("features"), views(architecture, weights_flat)
    if architecture.channels:
        _convolution(chain, architecture, parts)
    # ONNX Runtime knows the GRU only with the steps outermost, (steps, batch, channels).
    chain.add("Transpose", perm=(2, 0, 1) if architecture.channels else (1, 0, 2))
    for index in range(architecture.layers):
        _gru(chain, f"gru{index}", architecture.units, parts)
    if architecture.hidden:
        _dense(chain, "dense", parts)
        chain.add("Relu")
    _dense(chain, "output", parts)
    chain.add("Transpose", result="residuals", perm=(1, 0, 2))
    return _model(chain, architecture)


class _Chain:
    """Nodes one after the other, each reading the one before it, and their constants."""

    def __init__(self, source: str) -> None:
        self.last = source
        self.nodes: list[NodeProto] = []
        self.constants: list[TensorProto] = []

    def add(self, operator: str, *constants: str, result: str = "", **attributes: Any) -> None:
        """Append a node; its first output is what the next one reads."""
        inputs = [self.last, *constants]
        self.last = result or f"{operator.lower()}_{len(self.nodes)}"
        self.nodes.append(helper.make_node(operator, inputs, [self.last], name=self.last, **attributes))

    def constant(self, name: str, value: Any) -> str:
        """Keep an array under a name."""
        self.constants.append(numpy_helper.from_array(np.ascontiguousarray(value), name))
        return name


def _convolution(chain: _Chain, architecture: Architecture, parts: dict[str, Floats]) -> None:
    """Causal by padding on the left; leaves the layout of Conv, (batch, channels, steps)."""
    kernel = parts["conv.kernel"].reshape(KERNEL_STEPS, architecture.inputs, architecture.channels)
    chain.add("Transpose", perm=(0, 2, 1))
    chain.add(
        "Conv",
        chain.constant("conv.kernel", kernel.transpose(2, 1, 0)),
        chain.constant("conv.bias", parts["conv.bias"]),
        kernel_shape=[KERNEL_STEPS],
        pads=[KERNEL_STEPS - 1, 0],
    )
    chain.add("Relu")


def _gru(chain: _Chain, name: str, units: int, parts: dict[str, Floats]) -> None:
    """Keras' gate order z, r, h is ONNX's; `linear_before_reset` is Keras' `reset_after`."""
    chain.add(
        "GRU",
        chain.constant(f"{name}.kernel", parts[f"{name}.kernel"].T[None]),
        chain.constant(f"{name}.recurrent", parts[f"{name}.recurrent"].T[None]),
        chain.constant(f"{name}.bias", parts[f"{name}.bias"].reshape(1, -1)),
        hidden_size=units,
        linear_before_reset=1,
    )
    # The output is (steps, directions, batch, units), with one direction.
    chain.add("Squeeze", chain.constant(f"{name}.direction", np.array([1], np.int64)))


def _dense(chain: _Chain, name: str, parts: dict[str, Floats]) -> None:
    chain.add("MatMul", chain.constant(f"{name}.kernel", parts[f"{name}.kernel"]))
    chain.add("Add", chain.constant(f"{name}.bias", parts[f"{name}.bias"]))


def _model(chain: _Chain, architecture: Architecture) -> ModelProto:
    ends = [
        helper.make_tensor_value_info(name, TensorProto.FLOAT, ("batch", "steps", size))
        for name, size in (("features", architecture.inputs), ("residuals", architecture.horizon))
    ]
    graph = helper.make_graph(chain.nodes, architecture.form, ends[:1], ends[1:], chain.constants)
    model = helper.make_model(
        graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=IR_VERSION, producer_name="edgeloop"
    )
    checker.check_model(model, full_check=True)
    return model
