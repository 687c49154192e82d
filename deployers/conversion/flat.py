"""A .tflite file as tensors and operators that may be changed, and written back so that it can be run in place.

Schema: tensorflow/compiler/mlir/lite/schema/schema.fbs, version 3.
"""

from __future__ import annotations

from typing import Any

import flatbuffers
import numpy as np
from ai_edge_litert import schema_py_generated as schema

ALIGNMENT = 16
DTYPES = {0: np.float32, 2: np.int32, 4: np.int64, 7: np.int16, 9: np.int8}
TYPE_NUMBERS = {np.dtype(dtype): number for number, dtype in DTYPES.items()}
OPERATORS = {value: name for name, value in vars(schema.BuiltinOperator).items() if not name.startswith("_")}


class AlignedBuilder(flatbuffers.Builder):  # type: ignore[misc]  # ships no type hints
    """Aligns constants as the schema asks (`force_align: 16`), which the generated code leaves out."""

    def CreateNumpyVector(self, x: Any) -> Any:  # noqa: D102, N802 - the library's name
        if x.dtype.itemsize == 1:
            self.Prep(ALIGNMENT, len(x))
        return super().CreateNumpyVector(x)


class Graph:
    """The one subgraph of a file.

    Args:
        file: the bytes of a .tflite file, from a converter that is trusted.

    Attributes:
        inputs, outputs: tensor numbers.
        operators: the schema's operator tables, in the order they run.
    """

    def __init__(self, file: bytes) -> None:
        self.model = schema.ModelT.InitFromObj(schema.Model.GetRootAs(file, 0))
        self.subgraph = self.model.subgraphs[0]
        self.inputs = [int(index) for index in self.subgraph.inputs]
        self.outputs = [int(index) for index in self.subgraph.outputs]
        self.operators = list(self.subgraph.operators)

    def name(self, operator: Any) -> str:
        """An operator's name in the schema."""
        code = self.model.operatorCodes[operator.opcodeIndex]
        return str(OPERATORS[max(code.builtinCode, code.deprecatedBuiltinCode)])

    def named(self, *names: str) -> list[Any]:
        """The operators of these names, in order."""
        return [operator for operator in self.operators if self.name(operator) in names]

    def maker(self, tensor: int) -> Any:
        """The operator that makes a tensor, or None for an input or a constant."""
        return next((operator for operator in self.operators if tensor in list(operator.outputs)), None)

    def tensor(self, index: int) -> Any:
        """The schema's table of a tensor."""
        return self.subgraph.tensors[index]

    def constant(self, index: int) -> Any:
        """The values of a constant, None if the tensor is computed."""
        tensor = self.tensor(index)
        data = self.model.buffers[tensor.buffer].data
        if data is None or not len(data):
            return None
        return np.frombuffer(np.asarray(data, np.uint8).tobytes(), DTYPES[tensor.type]).reshape(tensor.shape)

    def scale(self, index: int) -> float | None:
        """The scale of a tensor that has one, else None."""
        scales = getattr(self.tensor(index).quantization, "scale", None)
        return None if scales is None or len(scales) != 1 else float(scales[0])

    def zero(self, index: int) -> int:
        """The zero point of a quantised tensor."""
        return int(self.tensor(index).quantization.zeroPoint[0])

    def quantise(self, index: int, scale: Any, zero: int = 0, axis: int = 0) -> None:
        """Give a tensor other quantisation parameters; its values stay as they are."""
        parameters = schema.QuantizationParametersT()
        scales = np.atleast_1d(np.asarray(scale, np.float32))
        parameters.scale, parameters.zeroPoint = scales, np.full(len(scales), zero, np.int64)
        parameters.quantizedDimension = axis
        self.tensor(index).quantization = parameters

    def add_constant(self, values: Any) -> int:
        """Add a constant with a buffer of its own."""
        buffer, tensor = schema.BufferT(), schema.TensorT()
        buffer.data = np.frombuffer(np.ascontiguousarray(values).tobytes(), np.uint8)
        self.model.buffers.append(buffer)
        tensor.buffer, tensor.shape = len(self.model.buffers) - 1, np.array(values.shape, np.int32)
        tensor.type, tensor.name = TYPE_NUMBERS[values.dtype], b""
        tensor.quantization = schema.QuantizationParametersT()
        self.subgraph.tensors.append(tensor)
        return len(self.subgraph.tensors) - 1

    def replace(self, old: int, new: int) -> None:
        """Let every reader of a tensor read another one."""
        for operator in self.operators:
            operator.inputs = [new if index == old else int(index) for index in operator.inputs]
        self.outputs = [new if index == old else index for index in self.outputs]

    def pack(self, names: list[str]) -> bytes:
        """The file's bytes: only what is used, constants aligned.

        Args:
            names: of the inputs, then of the outputs; other tensors have none.
        """
        self._drop_unused()
        ends = dict(zip([*self.inputs, *self.outputs], names, strict=True))
        for index, tensor in enumerate(self.subgraph.tensors):
            tensor.name = ends.get(index, "").encode()
            tensor.shapeSignature = None
        self.subgraph.inputs, self.subgraph.outputs = self.inputs, self.outputs
        self.subgraph.operators, self.subgraph.name = self.operators, b"cell"
        self.model.metadata = self.model.metadataBuffer = self.model.signatureDefs = None
        self.model.description = b""
        builder = AlignedBuilder(1024)
        builder.Finish(self.model.Pack(builder), b"TFL3")
        return bytes(builder.Output())

    def _drop_unused(self) -> None:
        ends = [*self.inputs, *self.outputs]
        used = {int(i) for operator in self.operators for i in [*operator.inputs, *operator.outputs] if i >= 0}
        kept = sorted(used | set(ends))
        number = {old: new for new, old in enumerate(kept)}
        tensors = [self.subgraph.tensors[index] for index in kept]
        buffers = [schema.BufferT()]
        for tensor in tensors:
            data = self.model.buffers[tensor.buffer].data
            tensor.buffer = 0
            if data is not None and len(data):
                buffers.append(schema.BufferT())
                buffers[-1].data = np.asarray(data, np.uint8)
                tensor.buffer = len(buffers) - 1
        for operator in self.operators:
            operator.inputs = [number.get(int(index), -1) for index in operator.inputs]
            operator.outputs = [number[int(index)] for index in operator.outputs]
        self.inputs, self.outputs = [number[i] for i in self.inputs], [number[i] for i in self.outputs]
        self.subgraph.tensors, self.model.buffers = tensors, buffers
