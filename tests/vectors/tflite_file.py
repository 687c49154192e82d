"""Small .tflite files written tensor by tensor, for the operators that a converter would not produce alone."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from ai_edge_litert import schema_py_generated as schema

from deployers.conversion.flat import AlignedBuilder

TYPES = {"float32": 0, "int32": 2, "int64": 4, "int16": 7, "int8": 9}


@dataclass
class TfliteFile:
    """A subgraph under construction; tensors and operators in the order they are added."""

    tensors: list[Any] = field(default_factory=list)
    operators: list[Any] = field(default_factory=list)
    codes: list[int] = field(default_factory=list)
    buffers: list[Any] = field(default_factory=lambda: [schema.BufferT()])

    def tensor(
        self,
        shape: tuple[int, ...],
        dtype: str,
        scale: float | list[float] | None = None,
        zero: int = 0,
        data: Any = None,
    ) -> int:
        """Add a tensor and return its index."""
        made = schema.TensorT()
        made.shape, made.type, made.name = np.array(shape, np.int32), TYPES[dtype], f"t{len(self.tensors)}".encode()
        made.quantization = schema.QuantizationParametersT()
        if scale is not None:
            scales = np.atleast_1d(np.asarray(scale, np.float32))
            made.quantization.scale = scales
            made.quantization.zeroPoint = np.full(len(scales), zero, np.int64)
            made.quantization.quantizedDimension = 0
        if data is not None:
            buffer = schema.BufferT()
            buffer.data = np.frombuffer(np.ascontiguousarray(data, dtype).tobytes(), np.uint8)
            made.buffer = len(self.buffers)
            self.buffers.append(buffer)
        self.tensors.append(made)
        return len(self.tensors) - 1

    def operator(self, name: str, inputs: list[int], outputs: list[int], **options: Any) -> None:
        """Add an operator by its name in the schema, with the fields of its options table."""
        code = getattr(schema.BuiltinOperator, name)
        if code not in self.codes:
            self.codes.append(code)
        made = schema.OperatorT()
        made.opcodeIndex, made.inputs, made.outputs = self.codes.index(code), inputs, outputs
        table = OPTIONS.get(name)
        if table:
            made.builtinOptionsType = getattr(schema.BuiltinOptions, table)
            made.builtinOptions = getattr(schema, f"{table}T")()
            for key, value in options.items():
                setattr(made.builtinOptions, key, value)
        self.operators.append(made)

    def pack(self, inputs: list[int], outputs: list[int]) -> bytes:
        """The file's bytes."""
        model, graph = schema.ModelT(), schema.SubGraphT()
        graph.tensors, graph.operators, graph.inputs, graph.outputs = self.tensors, self.operators, inputs, outputs
        model.version, model.subgraphs, model.buffers, model.operatorCodes = 3, [graph], self.buffers, []
        for code in self.codes:
            made = schema.OperatorCodeT()
            made.builtinCode, made.deprecatedBuiltinCode, made.version = code, min(code, 127), VERSIONS.get(code, 1)
            model.operatorCodes.append(made)
        builder = AlignedBuilder(1024)
        builder.Finish(model.Pack(builder), b"TFL3")
        return bytes(builder.Output())


OPTIONS = {
    "ADD": "AddOptions",
    "SUB": "SubOptions",
    "MUL": "MulOptions",
    "FULLY_CONNECTED": "FullyConnectedOptions",
    "CONCATENATION": "ConcatenationOptions",
    "STRIDED_SLICE": "StridedSliceOptions",
    "SPLIT": "SplitOptions",
    "RESHAPE": "ReshapeOptions",
    "QUANTIZE": "QuantizeOptions",
}
VERSIONS: dict[int, int] = {}
