"""Vector instructions for numba's functions, written with LLVM's builder.

A generator is given words, addresses and steps in bytes, and writes what one tile of a kernel does: loads, sums that
stay in registers, stores. That is what a compiler does not find by itself in loops over arrays of which it knows
neither length nor whether they overlap.
"""

from __future__ import annotations

import inspect
import math
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np
from llvmlite import ir
from numba import config, types
from numba.core import cgutils
from numba.core.codegen import get_host_cpu_features
from numba.extending import intrinsic

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from forecaster.arrays import Floats

FLOAT = 4  # bytes of a number
_WORD, _LLVM_WORD = types.intp, ir.IntType(8 * np.dtype(np.intp).itemsize)
# The very string that numba keeps machine code under: the width is the same wherever that code is.
_given = config.CPU_FEATURES  # type: ignore[attr-defined]
_features = get_host_cpu_features() if _given is None else _given
# Columns of a panel: a register of AVX-512, one of AVX2, or two of 128 bits.
LANES = 16 if "+avx512f" in _features.split(",") else 8
PANEL = LANES * FLOAT
# Sums may be reordered, which SIMD needs; NaN and infinity keep their meaning, so that divergence shows.
FAST = ("reassoc", "nsz", "arcp", "contract", "afn")
_VECTOR = ir.VectorType(ir.FloatType(), LANES)


def padded(batch: int) -> int:
    """The batch with the columns that fill its last panel."""
    return -(-batch // LANES) * LANES


def aligned_zeros(*shape: int) -> Floats:
    """Single precision, beginning where a panel does in the cache: loads that cross a line take twice as long."""
    size = math.prod(shape)
    memory = np.zeros(size + LANES, np.float32)
    begin = -memory.ctypes.data % PANEL // FLOAT
    return memory[begin : begin + size].reshape(shape)


class Vector:
    """`LANES` numbers in a function that is being generated; operators add instructions to it."""

    def __init__(self, builder: Any, value: Any) -> None:
        self.builder, self.value = builder, value

    def _of(self, number: float) -> Vector:
        return Vector(self.builder, ir.Constant(_VECTOR, [float(number)] * LANES))

    def _made(self, instruction: str, other: Vector | float) -> Vector:
        other = other if isinstance(other, Vector) else self._of(other)
        return Vector(self.builder, getattr(self.builder, instruction)(self.value, other.value, flags=FAST))

    def __add__(self, other: Vector | float) -> Vector:
        return self._made("fadd", other)

    def __sub__(self, other: Vector | float) -> Vector:
        return self._made("fsub", other)

    def __mul__(self, other: Vector | float) -> Vector:
        return self._made("fmul", other)

    def __truediv__(self, other: Vector | float) -> Vector:
        return self._made("fdiv", other)

    __radd__, __rmul__ = __add__, __mul__

    def __rtruediv__(self, other: float) -> Vector:
        return self._of(other) / self

    def __rsub__(self, other: float) -> Vector:
        return self * -1.0 + other

    def within(self, edge: float) -> Vector:
        """Cut off at ±edge; NaN stays NaN."""
        value = self.value
        for sign, bound in ((">", edge), ("<", -edge)):
            limit = ir.Constant(_VECTOR, [float(bound)] * LANES)
            value = self.builder.select(self.builder.fcmp_ordered(sign, value, limit), limit, value)
        return Vector(self.builder, value)

    def total(self) -> Any:
        """The sum of all lanes, a number."""
        name = f"llvm.vector.reduce.fadd.v{LANES}f32"
        function = cgutils.get_or_insert_function(
            self.builder.module, ir.FunctionType(ir.FloatType(), (ir.FloatType(), _VECTOR)), name
        )
        zero = ir.Constant(ir.FloatType(), -0.0)
        return self.builder.call(function, (zero, self.value), fastmath=FAST)


class Code:
    """Writes the instructions of a function; addresses and steps are words, in bytes."""

    def __init__(self, builder: Any) -> None:
        self.builder = builder

    def number(self, value: int) -> Any:
        """A word that is known here."""
        return ir.Constant(_LLVM_WORD, value)

    def after(self, address: Any, *moves: Any) -> Any:
        """The address moved by words, or by products `(number or word, word)`."""
        for move in moves:
            if isinstance(move, tuple):
                times, step = move
                step = self.builder.mul(self.number(times) if isinstance(times, int) else times, step)
            else:
                step = self.number(move) if isinstance(move, int) else move
            address = self.builder.add(address, step)
        return address

    def load(self, address: Any) -> Vector:
        """The numbers of a channel in a panel."""
        value = self.builder.load(self.builder.inttoptr(address, ir.PointerType(_VECTOR)))
        value.align = FLOAT
        return Vector(self.builder, value)

    def spread(self, address: Any) -> Vector:
        """One number in every lane."""
        number = self.builder.load(self.builder.inttoptr(address, ir.PointerType(ir.FloatType())))
        lanes = ir.VectorType(ir.IntType(32), LANES)
        none = ir.Constant(_VECTOR, ir.Undefined)
        first = self.builder.insert_element(none, number, ir.Constant(ir.IntType(32), 0))
        return Vector(self.builder, self.builder.shuffle_vector(first, none, ir.Constant(lanes, [0] * LANES)))

    def store(self, address: Any, vector: Vector) -> None:
        """Write the numbers of a channel in a panel."""
        self.builder.store(vector.value, self.builder.inttoptr(address, ir.PointerType(_VECTOR))).align = FLOAT

    def add_total(self, address: Any, vector: Vector) -> None:
        """Add the sum of all lanes to a number in memory."""
        place = self.builder.inttoptr(address, ir.PointerType(ir.FloatType()))
        self.builder.store(self.builder.fadd(self.builder.load(place), vector.total(), flags=FAST), place)

    def sums(self, vectors: Sequence[Vector]) -> list[Sum]:
        """Registers that begin with these."""
        return [Sum(self.builder, vector) for vector in vectors]

    def zeros(self, count: int) -> list[Sum]:
        """Registers that begin with zero."""
        return self.sums([Vector(self.builder, ir.Constant(_VECTOR, [0.0] * LANES))] * count)

    @contextmanager
    def loop(self, count: Any) -> Iterator[Any]:
        """What is written inside is done for each number below `count`."""
        with cgutils.for_range(self.builder, count, intp=_LLVM_WORD) as loop:
            yield loop.index

    @contextmanager
    def panels(self, size: Any) -> Iterator[Any]:
        """What is written inside is done for each panel of so many bytes, at its offset."""
        with self.loop(self.builder.udiv(size, self.number(PANEL))) as panel:
            yield self.builder.mul(panel, self.number(PANEL))


class Sum:
    """A register that a loop adds to."""

    def __init__(self, builder: Any, vector: Vector) -> None:
        self.builder, self.place = builder, cgutils.alloca_once(builder, _VECTOR)
        builder.store(vector.value, self.place)

    def add(self, vector: Vector) -> None:
        """Add in place."""
        self.builder.store((self.value + vector).value, self.place)

    @property
    def value(self) -> Vector:
        """What it has come to."""
        return Vector(self.builder, self.builder.load(self.place))


def generated(generator: Callable[..., None]) -> Any:
    """A function of words that numba writes into its callers; `generator(code, *words)` writes its instructions."""

    def typed(_typing: Any, *arguments: Any) -> Any:
        def generate(context: Any, builder: Any, _signature: Any, words: Any) -> Any:
            generator(Code(builder), *words)
            return context.get_dummy_value()

        return types.void(*[_WORD] * len(arguments)), generate

    vars(typed)["__signature__"] = inspect.signature(generator)  # numba counts arguments by it
    return intrinsic(typed)


@intrinsic
def address(_typing: Any, array: Any) -> Any:
    """Where the first number of a contiguous array lies."""
    if not (isinstance(array, types.Array) and array.layout == "C" and array.dtype == types.float32):
        return None

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        view = context.make_array(signature.args[0])(context, builder, arguments[0])
        return builder.ptrtoint(view.data, _LLVM_WORD)

    return _WORD(array), generate
