"""The sequence model of a release as a cell, for machines that have ONNX Runtime only.

`model.onnx` begins each run with a zero state and does not tell the one it ends with. Both ends are opened here in the
file's bytes, for ONNX Runtime cannot edit a graph and the `onnx` package is not on the Jetson: each GRU node gets an
initial state and gives its last one, and the convolution, if there is one, no longer pads with zeros but is given the
two inputs before the present one.

The file is a protocol buffer (https://protobuf.dev/programming-guides/encoding): a message is its fields one after the
other, a repeated field may be continued behind all others, and of a single one the last counts. The field numbers are
those of onnx.proto3.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from deployers.conversion.runtimes import End, Interpreter
from deployers.exceptions import ConversionError, MissingTool

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

VARINT, FIXED64, LENGTH, FIXED32 = 0, 1, 2, 5  # wire types
MODEL_GRAPH = 7
GRAPH_NODE, GRAPH_INPUT, GRAPH_OUTPUT = 1, 11, 12
NODE_INPUT, NODE_OUTPUT, NODE_OPERATOR, NODE_ATTRIBUTE = 1, 2, 4, 5
ATTRIBUTE_NAME, ATTRIBUTE_INTEGER, ATTRIBUTE_INTEGERS, ATTRIBUTE_TYPE = 1, 3, 8, 20
TYPE_INTEGERS = 7
VALUE_NAME, VALUE_TYPE, TYPE_TENSOR = 1, 2, 1
TENSOR_ELEMENTS, TENSOR_SHAPE, SHAPE_DIMENSION, DIMENSION_VALUE = 1, 2, 1, 1
ELEMENTS_FLOAT = 1
# A GRU's optional inputs are known by their place: X, W, R, B, lengths, initial state.
GRU_INPUTS = 4
KERNEL_STEPS = 3


class OnnxCell(Interpreter):
    """One step of a sequence model: x and the states in, y and the next states out, all float32.

    Args:
        model: bytes of a release's model.onnx.

    Raises:
        MissingTool: ONNX Runtime is not installed.
        ConversionError: it refuses the file, or the file is no sequence model.
    """

    name = "ONNX Runtime"
    delegate = "CPU"

    def __init__(self, model: bytes) -> None:
        try:
            import onnxruntime  # noqa: PLC0415 - half a second to import
        except ImportError as error:
            msg = "onnxruntime is not installed: install locks/hub.txt"
            raise MissingTool(msg) from error
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        try:
            opened, self._convolves = open_states(model)
            self._session = onnxruntime.InferenceSession(opened, options, providers=["CPUExecutionProvider"])
            x, *states = self._session.get_inputs()
            y, *_ = self._session.get_outputs()
        except Exception as error:  # its errors have no class in common
            msg = f"ONNX Runtime refuses model.onnx ({' '.join(str(error).split())[:200]}): convert the release again"
            raise ConversionError(msg) from error
        width = int(x.shape[-1])
        window = [_end((KERNEL_STEPS - 1) * width)] if self._convolves else []
        self.inputs = [_end(width), *window, *(_end(int(state.shape[-1])) for state in states)]
        self.outputs = [_end(int(y.shape[-1])), *self.inputs[1:]]
        self._names = [state.name for state in states]
        self.reset()

    def carry(self, x: NDArray[Any], states: list[NDArray[Any]]) -> tuple[NDArray[Any], list[NDArray[Any]]]:
        """See `deployers.hub.cells.Cell.carry`."""
        y = x
        for row in range(len(x)):
            y, *states = self.invoke([x[row : row + 1], *states])
        return y, states

    def invoke(self, values: list[NDArray[Any]]) -> list[NDArray[Any]]:
        """See `Interpreter.invoke`."""
        x, *states = values
        window = []
        if self._convolves:
            x = np.concatenate([states.pop(0), x], axis=1)
            window = [x[:, values[0].shape[1] :]]
        feeds = {"features": x.reshape(1, -1, values[0].shape[1])}
        feeds |= {name: state.reshape(1, 1, -1) for name, state in zip(self._names, states, strict=True)}
        y, *following = self._session.run(None, feeds)
        return [y.reshape(1, -1), *window, *(state.reshape(1, -1) for state in following)]


def open_states(model: bytes) -> tuple[bytes, bool]:
    """A sequence model whose GRU states come in and go out, in the order of the layers, and whether it convolves.

    Raises:
        ValueError: the bytes are no such model.
    """
    graph = _only(model, MODEL_GRAPH)
    parts, ends, convolves = list[bytes](), list[bytes](), False
    for number, kind, value in fields(graph):
        if (number, kind) != (GRAPH_NODE, LENGTH):
            parts.append(field(number, kind, value))
            continue
        node, operator = value, _only(value, NODE_OPERATOR)
        if operator == b"GRU":
            name = f"state{len(ends) // 2}"
            node, shape = _with_state(node, name), (1, 1, _integer(node, b"hidden_size"))
            ends.append(field(GRAPH_INPUT, LENGTH, _tensor(name, shape)))
            ends.append(field(GRAPH_OUTPUT, LENGTH, _tensor(f"{name}_next", shape)))
        elif operator == b"Conv":
            node, convolves = _without_padding(node), True
        parts.append(field(GRAPH_NODE, LENGTH, node))
    if not ends:
        msg = "it has no GRU"
        raise ValueError(msg)
    replaced = field(MODEL_GRAPH, LENGTH, b"".join(parts + ends))
    kept = [field(*each) for each in fields(model) if each[0] != MODEL_GRAPH]
    return b"".join([*kept, replaced]), convolves


def fields(message: bytes) -> Iterator[tuple[int, int, bytes]]:
    """Number, wire type and bytes of each field; of those with a length, without it.

    Raises:
        ValueError: it ends early, or has a wire type that is not in use.
    """
    at = 0
    while at < len(message):
        tag, at = _varint(message, at)
        number, kind = tag >> 3, tag & 7
        if kind == VARINT:
            _, end = _varint(message, at)
        elif kind == LENGTH:
            length, at = _varint(message, at)
            end = at + length
        elif kind in {FIXED64, FIXED32}:
            end = at + (8 if kind == FIXED64 else 4)
        else:
            msg = f"wire type {kind!r} at byte {at}"
            raise ValueError(msg)
        if end > len(message):
            msg = f"it ends within field {number}"
            raise ValueError(msg)
        yield number, kind, message[at:end]
        at = end


def field(number: int, kind: int, value: bytes) -> bytes:
    """The inverse of `fields`, for one of them."""
    length = varint(len(value)) if kind == LENGTH else b""
    return varint(number << 3 | kind) + length + value


def varint(value: int) -> bytes:
    """Seven bits a byte, the lowest first."""
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*out, value])


def _varint(message: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while at < len(message) and shift < 64:
        byte = message[at]
        value |= (byte & 0x7F) << shift
        at, shift = at + 1, shift + 7
        if byte < 0x80:
            return value, at
    msg = f"a number at byte {at} does not end"
    raise ValueError(msg)


def _only(message: bytes, wanted: int) -> bytes:
    found = [value for number, kind, value in fields(message) if (number, kind) == (wanted, LENGTH)]
    if len(found) != 1:
        msg = f"{len(found)} fields {wanted}, expected one"
        raise ValueError(msg)
    return found[0]


def _attributes(node: bytes) -> dict[bytes, bytes]:
    found = (value for number, kind, value in fields(node) if (number, kind) == (NODE_ATTRIBUTE, LENGTH))
    return {_only(value, ATTRIBUTE_NAME): value for value in found}


def _integer(node: bytes, name: bytes) -> int:
    attribute = _attributes(node).get(name, b"")
    found = [value for number, _, value in fields(attribute) if number == ATTRIBUTE_INTEGER]
    if len(found) != 1:
        msg = f"a node without {name.decode()!r}"
        raise ValueError(msg)
    return _varint(found[0], 0)[0]


def _with_state(node: bytes, name: str) -> bytes:
    count = sum(number == NODE_INPUT for number, _, _ in fields(node))
    made = sum(number == NODE_OUTPUT for number, _, _ in fields(node))
    if (count, made) != (GRU_INPUTS, 1):
        msg = f"a GRU with {count} inputs and {made} outputs, expected {GRU_INPUTS} and 1"
        raise ValueError(msg)
    more = [(NODE_INPUT, ""), (NODE_INPUT, name), (NODE_OUTPUT, f"{name}_next")]
    return node + b"".join(field(number, LENGTH, text.encode()) for number, text in more)


def _without_padding(node: bytes) -> bytes:
    kept = [each for each in fields(node) if each[0] != NODE_ATTRIBUTE]
    attributes = {**_attributes(node), b"pads": _zero_pads()}
    return b"".join([field(*each) for each in kept] + [field(NODE_ATTRIBUTE, LENGTH, a) for a in attributes.values()])


def _zero_pads() -> bytes:
    name = field(ATTRIBUTE_NAME, LENGTH, b"pads")
    zeros = field(ATTRIBUTE_INTEGERS, VARINT, varint(0)) * 2
    return name + zeros + field(ATTRIBUTE_TYPE, VARINT, varint(TYPE_INTEGERS))


def _tensor(name: str, shape: tuple[int, ...]) -> bytes:
    """A ValueInfoProto of float32."""
    sizes = (field(SHAPE_DIMENSION, LENGTH, field(DIMENSION_VALUE, VARINT, varint(size))) for size in shape)
    elements = field(TENSOR_ELEMENTS, VARINT, varint(ELEMENTS_FLOAT))
    tensor = elements + field(TENSOR_SHAPE, LENGTH, b"".join(sizes))
    kind = field(TYPE_TENSOR, LENGTH, tensor)
    return field(VALUE_NAME, LENGTH, name.encode()) + field(VALUE_TYPE, LENGTH, kind)


def _end(width: int) -> End:
    return End(np.dtype(np.float32), width, 1.0, 0)
